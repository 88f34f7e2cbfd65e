//! `cargo xtask`: the development commands of Towpath, one file per command.
//!
//! This file owns the flags, the log filter and the exit codes: 0, or what the command that ran
//! underneath returned, 1 when a check failed, 2 when the arguments are wrong or a command could
//! not be run. Everything runs binaries through `std::process`; no crate of the workspace is a
//! dependency, so that xtask builds when they do not.

#![forbid(unsafe_code)]

mod bench;
mod cargo;
mod ci;
mod demo;
mod drill;
mod finding;
mod lab_soak;
mod netns;
mod ran;
mod repository;
mod requirements;
mod rfc;
mod rust_text;
#[cfg(test)]
mod samples;
mod test;
mod test_run;
mod tidy;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::repository::Repository;

/// Development commands of Towpath.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the demo and run it: a client on the kernel's TCP is served by Towpath.
    Demo(demo::Arguments),
    /// Measure Towpath beside the kernel.
    Bench(bench::Arguments),
    /// Run scripts in packetdrill's language against the engine, in virtual time.
    Drill(drill::Arguments),
    /// Play random runs of the lab in virtual time, with all invariants on.
    LabSoak(lab_soak::Arguments),
    /// Run every test of the workspace and count those that were skipped.
    Test,
    /// Run the end-to-end tests against the kernel alone.
    Netns(netns::Arguments),
    /// Run what CI runs: fmt, tidy, clippy, docs, package, test.
    Ci,
    /// Write the map from requirement to code to test, or check it.
    Rfc(rfc::Arguments),
    /// Check the habits of the house that the compiler does not know.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let repository = Repository::locate()?;
    match command {
        Command::Demo(arguments) => demo::run(&repository, &arguments),
        Command::Bench(arguments) => bench::run(&repository, &arguments),
        Command::Drill(arguments) => drill::run(&repository, &arguments),
        Command::LabSoak(arguments) => lab_soak::run(&repository, &arguments),
        Command::Test => test::run(&repository),
        Command::Netns(arguments) => netns::run(&repository, &arguments),
        Command::Ci => ci::run(&repository),
        Command::Rfc(arguments) => rfc::run(&repository, &arguments),
        Command::Tidy => tidy::run(&repository),
    }
}

/// Answers a command line that clap did not take: help as it is, anything else in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Only fails when the reader of the help went away.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", usage_line(error));
    ExitCode::from(2)
}

/// What is wrong with the command line and where help is, in one line.
fn usage_line(error: &clap::Error) -> String {
    let what = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "error: no command is given".to_owned()
        }
        _ => {
            // What is wrong comes first, then hints and the usage, which the help has too.
            let text = error.render().to_string();
            let is_hint = |line: &&str| {
                line.starts_with("Usage:") || line.starts_with("For more information")
            };
            let told = text.lines().map(str::trim).take_while(|line| !is_hint(line));
            told.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
        }
    };
    format!("{what}; `cargo xtask --help` lists the commands, `cargo xtask COMMAND --help` one")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn usage(arguments: &[&str]) -> String {
        let line = std::iter::once("xtask").chain(arguments.iter().copied());
        usage_line(&Arguments::try_parse_from(line).expect_err("the arguments are wrong"))
    }

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_are_told_in_one_line_that_names_them() {
        for (arguments, named) in [
            (&[][..], "no command is given"),
            (&["tset"], "'tset'"),
            (&["tidy", "--fix"], "'--fix'"),
            (&["netns", "--repeat", "0"], "'0'"),
            (&["rfc", "--require-tests"], "--check"),
            (&["netns", "--repeat"], "--repeat"),
            (&["netns", "one", "two"], "'two'"),
        ] {
            let line = usage(arguments);
            assert!(line.starts_with("error: "), "{line}");
            assert!(line.contains(named), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn the_demo_takes_arguments_of_its_own() {
        let line = ["xtask", "demo", "--size", "1024", "-v"];
        let Command::Demo(demo) = Arguments::try_parse_from(line).expect("taken").command else {
            panic!("demo is the command");
        };
        assert_eq!(demo.arguments, ["--size", "1024", "-v"]);
    }
}
