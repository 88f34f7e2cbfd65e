//! The `towpath` command: what users try first, and what others measure against.
//!
//! One file per subcommand. Errors are one line on standard error, with exit code 2 when something
//! about the call or the system was wrong from the beginning, 1 when it went wrong later.
#![forbid(unsafe_code)]

mod exit;
mod lab;
mod prefix;
#[cfg(target_os = "linux")]
mod services;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// TCP/IP in user space for tokio.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(target_os = "linux")]
    Services(services::Services),
    Lab(lab::Lab),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // Standard output is for READY and the like.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = match cli.command {
        #[cfg(target_os = "linux")]
        Command::Services(services) => services.run(),
        Command::Lab(lab) => lab.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Help and version are answers; anything else is one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command is given".to_owned(),
        _ => error.to_string(),
    };
    // Clap's first paragraph says what is wrong; usage and tips follow it.
    let first: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    let what = first.strip_prefix("error: ").unwrap_or(&first);
    eprintln!("towpath: {what}; see `towpath --help` or `towpath COMMAND --help`");
    ExitCode::from(exit::REFUSED)
}
