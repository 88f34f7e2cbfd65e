//! `cargo xtask netns [FILTER]`: the end-to-end tests against the kernel alone, as often as
//! wanted: a test that passes twenty times in a row is not a lucky one.

use std::process::ExitCode;

use crate::cargo::{build_towpath_command, exit_code};
use crate::repository::Repository;
use crate::test_run::TestRun;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests whose name contains this.
    filter: Option<String>,
    /// How often to run them; the first run that fails is the last.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let built = build_towpath_command(repository)?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let mut cargo_arguments =
        vec!["-p", "towpath-integration", "--all-features", "--no-fail-fast", "--"];
    cargo_arguments.extend(arguments.filter.as_deref());
    let mut number = 1;
    loop {
        if arguments.repeat > 1 {
            eprintln!("run {number} of {}", arguments.repeat);
        }
        let run = TestRun::of(repository, &cargo_arguments)?;
        run.print_closing_lines();
        if !run.is_good() || number == arguments.repeat {
            return Ok(run.verdict());
        }
        number += 1;
    }
}
