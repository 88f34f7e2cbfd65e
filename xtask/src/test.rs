//! `cargo xtask test`: every test of the workspace, by plain `cargo test`.
//!
//! Tests that need a privilege or a program skip themselves loudly where it is missing; how they
//! are counted is `test_run`'s. The list of those that ran is left for `rfc --check`.

use std::process::ExitCode;

use crate::cargo::{build_towpath_command, exit_code};
use crate::ran::Ran;
use crate::repository::Repository;
use crate::test_run::TestRun;

pub(crate) fn run(repository: &Repository) -> anyhow::Result<ExitCode> {
    Ran::forget()?;
    let built = build_towpath_command(repository)?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    // Every feature: a test behind one that nothing turns on would never run.
    let run = TestRun::of(repository, &["--workspace", "--all-features", "--no-fail-fast"])?;
    run.ran().save()?;
    run.print_closing_lines();
    Ok(run.verdict())
}
