//! `cargo xtask demo`: builds the demo, then runs it with the arguments that were given.
//!
//! Building comes first and apart, as the user who typed the command: the demo enters its
//! namespaces by itself, and cargo is never run inside one or through sudo (both would leave
//! files in the target directory that the user cannot remove).

use std::process::{Command, ExitCode};

use anyhow::ensure;

use crate::cargo::{cargo, exit_code, run as run_command, target_directory};
use crate::repository::Repository;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the demo (`cargo xtask demo -- --help` shows what it takes).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let build = ["build", "--release", "-p", "towpath-integration", "--example", "demo"];
    let status = run_command(&mut cargo(repository, &build))?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let name = format!("demo{}", std::env::consts::EXE_SUFFIX);
    let demo = target_directory()?.join("release/examples").join(name);
    ensure!(demo.is_file(), "cargo built the demo, but not at {}", demo.display());
    let status = run_command(Command::new(demo).args(&arguments.arguments))?;
    Ok(exit_code(status))
}
