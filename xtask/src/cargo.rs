//! Running cargo: the one that runs us, in the checkout, with what it is told printed first.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context;

use crate::repository::Repository;

/// A cargo command in the checkout, by the cargo that started this program.
pub(crate) fn cargo(repository: &Repository, arguments: &[&str]) -> Command {
    // The same cargo, so that its toolchain and its lock on the target directory are the same.
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository.root());
    command
}

/// Builds the `towpath` command, which end-to-end tests start beside themselves: `cargo test` builds
/// the tests of a binary, not the binary.
pub(crate) fn build_towpath_command(repository: &Repository) -> anyhow::Result<ExitStatus> {
    run(&mut cargo(repository, &["build", "--package", "towpath-cli"]))
}

/// Runs a command to its end with our own input and output.
///
/// # Errors
///
/// When it could not be started; what it returned is the caller's to judge.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<ExitStatus> {
    tracing::debug!(?command, "running");
    command.status().with_context(|| could_not_start(command))
}

/// The line for a command that could not be started.
pub(crate) fn could_not_start(command: &Command) -> String {
    format!("{} could not be started", Path::new(command.get_program()).display())
}

/// The exit code to end with when a command ended so: its own, 1 when a signal ended it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => ExitCode::from(code),
        _ => ExitCode::FAILURE,
    }
}

/// The directory that cargo writes to, in which every profile has a folder.
///
/// # Errors
///
/// When the path of this program is not to be had.
pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    // Cargo put this program at `<target>/<profile>/xtask` by the very settings (environment,
    // configuration files) that place everything else that we build.
    let program = env::current_exe().context("the path of this program is not to be had")?;
    let target = program.parent().and_then(Path::parent);
    target.map(Path::to_owned).context("this program is not in a target directory: run it by cargo")
}
