//! `cargo xtask drill [ARGUMENT ...] [PATH ...]`: builds the script runner and runs it; without
//! arguments, over the scripts of this repository.
//!
//! What cargo says goes to standard error, so that `--json` is all that standard output has.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::ensure;

use crate::cargo::{cargo, exit_code, run as run_command, target_directory};
use crate::repository::Repository;

/// Where the repository's own scripts are.
const OWN_SCRIPTS: &str = "crates/lab/scripts";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the runner (`cargo xtask drill -- --help` shows what it takes).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let build = ["build", "--quiet", "-p", "towpath-lab", "--bin", "towpath-drill"];
    let status = run_command(&mut cargo(repository, &build))?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let name = format!("towpath-drill{}", std::env::consts::EXE_SUFFIX);
    let drill = target_directory()?.join("debug").join(name);
    ensure!(drill.is_file(), "cargo built the runner, but not at {}", drill.display());
    let mut command = Command::new(drill);
    if arguments.arguments.is_empty() {
        command.arg(repository.root().join(OWN_SCRIPTS));
    } else {
        command.args(&arguments.arguments);
    }
    Ok(exit_code(run_command(&mut command)?))
}
