//! `speed`: Towpath's speed beside the kernel's. `speed run` makes one run, in a namespace of its own,
//! and prints what came of it as JSON; `speed client` is its client; `speed bench` makes all runs of a
//! table, each in a process of its own.

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
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use std::process::ExitCode;

    use anyhow::{Context, bail};
    use clap::{Parser, Subcommand};
    use nix::sched::{CloneFlags, setns};
    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;
    use towpath_integration::namespace::{self, Kind, Refusal};
    use towpath_integration::network;
    use towpath_integration::scenario::tun_config;
    use towpath_integration::speed::bench::{self, Options};
    use towpath_integration::speed::plan::{self, Pinning, Plan, Workload};
    use towpath_integration::speed::{client, meter, run};

    /// Towpath's speed beside the kernel's.
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
        /// The client of a run.
        Client(ClientArguments),
        /// Makes all runs of a table and prints it.
        Bench(Options),
    }

    #[derive(Debug, clap::Args)]
    struct RunArguments {
        /// The kind of namespace to enter.
        #[arg(long, value_enum, default_value = "own")]
        namespace: Kind,
        #[command(flatten)]
        plan: Plan,
    }

    #[derive(Debug, clap::Args)]
    struct ClientArguments {
        #[arg(long, value_enum)]
        workload: Workload,
        /// Where the server listens.
        #[arg(long)]
        server: SocketAddr,
        #[arg(long)]
        flows: usize,
        #[arg(long)]
        seconds: f64,
        #[arg(long, value_enum)]
        pin: Pinning,
        /// The network namespace to work in: a path that opens it.
        #[arg(long)]
        namespace: Option<PathBuf>,
    }

    pub(super) fn main() -> ExitCode {
        let arguments = Arguments::parse();
        if let Some(kind) = arguments.try_namespace {
            return namespace::answer(kind, tun_config());
        }
        let done = match arguments.command {
            Some(Command::Run(arguments)) => one_run(&arguments),
            Some(Command::Client(arguments)) => client(&arguments),
            Some(Command::Bench(options)) => bench(&options),
            None => Err(anyhow::anyhow!("no command is given; --help lists them")),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                eprintln!("speed: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    /// Exits with 1 when a run failed; what the others showed is printed all the same.
    fn bench(options: &Options) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe().context("this program's path")?;
        let told = |refusal: &Refusal| eprintln!("speed: {refusal}");
        let kind = namespace::choose(program.as_os_str(), "--try-namespace", told);
        let Ok(kind) = kind else { bail!("no namespace is to be had: nothing was measured") };
        network::find_ip().map_err(anyhow::Error::msg)?;
        let records = bench::run_all(options, kind)?;
        println!("{}", bench::table(options, &records));
        if let Some(path) = &options.json {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            serde_json::to_writer(BufWriter::new(file), &records)?;
        }
        let failed = records.iter().filter(|record| record.is_failed()).count();
        if failed > 0 {
            eprintln!("speed: {failed} of {} runs failed", records.len());
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn one_run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
        // Who is interrupted leaves nobody behind: the namespaces go with this process.
        set_pdeathsig(Signal::SIGKILL)?;
        namespace::enter(arguments.namespace)?;
        println!("{}", serde_json::to_string(&run::run(&arguments.plan)?)?);
        Ok(ExitCode::SUCCESS)
    }

    fn client(arguments: &ClientArguments) -> anyhow::Result<ExitCode> {
        set_pdeathsig(Signal::SIGKILL)?;
        if let Some(path) = &arguments.namespace {
            let namespace = File::open(path).with_context(|| path.display().to_string())?;
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
        }
        meter::pin(arguments.pin.clients())?;
        let duration = plan::duration(arguments.seconds)?;
        let told = client::run(arguments.server, arguments.workload, arguments.flows, duration)?;
        println!("{}", serde_json::to_string(&told)?);
        Ok(ExitCode::SUCCESS)
    }
}
