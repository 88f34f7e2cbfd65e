//! `cargo xtask bench wan [ARGUMENT ...]`: builds what measures, then runs it with the arguments that
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
    Wan {
        /// Passed on (`cargo xtask bench wan --help` shows what it takes).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Bench::Wan { arguments } = &arguments.bench;
    // The relay stands beside the program that starts it.
    let build =
        ["build", "--release", "-p", "towpath-integration", "--bin", "wan", "--bin", "relay"];
    let status = run_command(&mut cargo(repository, &build))?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let name = format!("wan{}", std::env::consts::EXE_SUFFIX);
    let wan = target_directory()?.join("release").join(name);
    ensure!(wan.is_file(), "cargo built the program, but not at {}", wan.display());
    let status = run_command(Command::new(wan).arg("bench").args(arguments))?;
    Ok(exit_code(status))
}
