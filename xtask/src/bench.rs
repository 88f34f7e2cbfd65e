//! `cargo xtask bench WHAT [ARGUMENT ...]`: builds what measures, then runs it with the arguments that
//! were given. As with the demo, building comes first and apart, and cargo enters no namespace.

use std::process::{Command, ExitCode};

use anyhow::ensure;

use crate::cargo::{cargo, exit_code, run as run_command, target_directory};
use crate::repository::Repository;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// Towpath's TCP beside the kernel's, on long and lossy ways: goodput, or with --completion,
    /// --outage or --coexist what their names say.
    #[command(disable_help_flag = true)]
    Wan(Passed),
    /// How fast a client on kernel sockets sends to a tokio server, on Towpath and on the kernel.
    #[command(disable_help_flag = true)]
    Upload(Passed),
    /// The same in the other direction.
    #[command(disable_help_flag = true)]
    Download(Passed),
    /// How long a message takes there and back.
    #[command(disable_help_flag = true)]
    Rr(Passed),
    /// Everything but wan.
    #[command(disable_help_flag = true)]
    All(Passed),
}

#[derive(Debug, clap::Args)]
struct Passed {
    /// Passed on (`cargo xtask bench WHAT --help` shows what it takes).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A program of towpath-integration.
struct Program<'a> {
    /// What is built; the first is started.
    binaries: &'static [&'static str],
    /// What it is told to measure, unless that is everything.
    workload: Option<&'static str>,
    passed: &'a Passed,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let speed = |workload, passed| Program { binaries: &["speed"], workload, passed };
    let program = match &arguments.bench {
        // The relay stands beside the program that starts it.
        Bench::Wan(passed) => Program { binaries: &["wan", "relay"], workload: None, passed },
        Bench::Upload(passed) => speed(Some("upload"), passed),
        Bench::Download(passed) => speed(Some("download"), passed),
        Bench::Rr(passed) => speed(Some("rr"), passed),
        Bench::All(passed) => speed(None, passed),
    };
    let mut build = vec!["build", "--release", "-p", "towpath-integration"];
    build.extend(program.binaries.iter().flat_map(|binary| ["--bin", *binary]));
    let status = run_command(&mut cargo(repository, &build))?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let name = format!("{}{}", program.binaries[0], std::env::consts::EXE_SUFFIX);
    let path = target_directory()?.join("release").join(name);
    ensure!(path.is_file(), "cargo built the program, but not at {}", path.display());
    let mut command = Command::new(path);
    command.arg("bench").args(program.workload).args(&program.passed.arguments);
    Ok(exit_code(run_command(&mut command)?))
}
