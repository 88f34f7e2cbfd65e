//! `cargo xtask lab-soak [--seeds N] [--from SEED]`: builds the lab's random runs, fast and with all
//! assertions, and plays them.

use std::process::{Command, ExitCode};

use anyhow::ensure;

use crate::cargo::{cargo, exit_code, run as run_command, target_directory};
use crate::repository::Repository;

/// The profile that it is built with, and its folder.
const PROFILE: &str = "soak";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value = "1000")]
    pub(crate) seeds: u64,
    /// The first of them.
    #[arg(long, default_value = "0")]
    pub(crate) from: u64,
    /// Plays one seed again, with its packets printed when it fails.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    pub(crate) replay: Option<u64>,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let build =
        ["build", "--quiet", "--profile", PROFILE, "-p", "towpath-lab", "--bin", "towpath-soak"];
    let status = run_command(&mut cargo(repository, &build))?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let name = format!("towpath-soak{}", std::env::consts::EXE_SUFFIX);
    let soak = target_directory()?.join(PROFILE).join(name);
    ensure!(soak.is_file(), "cargo built the runs, but not at {}", soak.display());
    let mut command = Command::new(soak);
    match arguments.replay {
        Some(seed) => command.args(["--replay", &seed.to_string()]),
        None => command.args([
            "--seeds",
            &arguments.seeds.to_string(),
            "--from",
            &arguments.from.to_string(),
        ]),
    };
    Ok(exit_code(run_command(&mut command)?))
}
