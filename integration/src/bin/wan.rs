//! `wan`: WAN tests against the kernel. `wan run` makes one run, in namespaces of its own, and prints
//! what came of it as JSON; `wan bench` makes all runs of a table, each in a process of its own.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::BufWriter;
    use std::process::ExitCode;
    use std::time::Duration;

    use anyhow::{Context, bail};
    use clap::{Parser, Subcommand};
    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;
    use towpath_integration::namespace::{self, Kind, Refusal};
    use towpath_integration::scenario::tun_config;
    use towpath_integration::wan::bench::runner::Runner;
    use towpath_integration::wan::bench::{self, Options};
    use towpath_integration::wan::lane::Way;
    use towpath_integration::wan::run::{self, Flow, Plan, Task};
    use towpath_integration::{network, socket_statistics};

    /// WAN tests against the kernel.
    #[derive(Debug, Parser)]
    struct Arguments {
        /// For this program's own child processes: tries whether this kind of namespace is to be had.
        #[arg(long, value_enum, hide = true)]
        try_namespace: Option<Kind>,
        #[command(subcommand)]
        command: Option<Command>,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        /// Makes one run and prints what came of it as JSON.
        Run(RunArguments),
        /// Makes all runs of a table and prints it.
        Bench(Options),
    }

    #[derive(Debug, clap::Args)]
    struct RunArguments {
        /// The kind of namespace to enter.
        #[arg(long, value_enum, default_value = "own")]
        namespace: Kind,
        /// The link that the data take.
        #[arg(long)]
        out: String,
        /// The link that acknowledgments take.
        #[arg(long)]
        back: String,
        /// Decides which packets are lost and so on.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A flow: SENDER:RECEIVER:CONGESTION_CONTROL, the first two `kernel` or `towpath`.
        #[arg(long = "flow", required = true)]
        flows: Vec<Flow>,
        /// How long the flows send.
        #[arg(long, default_value_t = 30.0)]
        seconds: f64,
        /// Instead: how many bytes a connection sends, on and on.
        #[arg(long, requires = "times")]
        whole: Option<u64>,
        /// How many connections.
        #[arg(long, requires = "whole")]
        times: Option<u32>,
        /// NAME=VALUE of a sysctl, for the kernels and for Towpath.
        #[arg(long = "set", value_parser = setting)]
        settings: Vec<(String, String)>,
    }

    fn setting(text: &str) -> Result<(String, String), String> {
        let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
        Ok((name.to_owned(), value.to_owned()))
    }

    pub(super) fn main() -> ExitCode {
        let arguments = Arguments::parse();
        if let Some(kind) = arguments.try_namespace {
            return namespace::answer(kind, tun_config());
        }
        let done = match arguments.command {
            Some(Command::Run(arguments)) => one_run(&arguments),
            Some(Command::Bench(options)) => bench(&options),
            None => Err(anyhow::anyhow!("no command is given; --help lists them")),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                eprintln!("wan: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    /// Exits with 1 when a run failed; what the others showed is printed all the same.
    fn bench(options: &Options) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe().context("this program's path")?;
        let told = |refusal: &Refusal| eprintln!("wan: {refusal}");
        let kind = namespace::choose(program.as_os_str(), "--try-namespace", told);
        let Ok(kind) = kind else { bail!("no namespace is to be had: nothing was measured") };
        network::find_ip().and_then(|()| socket_statistics::find()).map_err(anyhow::Error::msg)?;
        let table = bench::table(options, &Runner { program, kind, jobs: options.jobs });
        println!("{}", table.text);
        if let Some(path) = &options.json {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            serde_json::to_writer(BufWriter::new(file), &bench::records(options, &table.runs))?;
        }
        let outcomes = || table.runs.iter().flat_map(|(_, outcomes)| outcomes);
        let failed = outcomes().filter(|outcome| outcome.is_none()).count();
        if failed > 0 || outcomes().next().is_none() {
            eprintln!("wan: {failed} of {} runs failed", outcomes().count());
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn one_run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
        // Who is interrupted leaves nobody behind: the namespaces go with this process.
        set_pdeathsig(Signal::SIGKILL)?;
        namespace::enter(arguments.namespace)?;
        let relay = std::env::current_exe().context("this program's path")?.with_file_name("relay");
        let task = match (arguments.whole, arguments.times) {
            (Some(bytes), Some(times)) => Task::Whole { bytes, times },
            _ => Task::Bulk(Duration::try_from_secs_f64(arguments.seconds)?),
        };
        let plan = Plan {
            way: Way { out: &arguments.out, back: &arguments.back, seed: arguments.seed },
            flows: arguments.flows.clone(),
            task,
            settings: arguments.settings.clone(),
        };
        println!("{}", serde_json::to_string(&run::run(&relay, &plan)?)?);
        Ok(ExitCode::SUCCESS)
    }
}
