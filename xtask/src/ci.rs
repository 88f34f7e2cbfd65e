//! `cargo xtask ci`: what a change must pass before it lands, the same here and on the server.
//!
//! Every step runs even when an earlier one failed, so that one run shows all there is to mend.
//! The tests come last, because their closing line is the one that readers look for.

use std::process::{Command, ExitCode};

use crate::cargo::{cargo, run as run_command};
use crate::repository::Repository;
use crate::{test, tidy};

pub(crate) fn run(repository: &Repository) -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    for step in STEPS {
        announce(step.name);
        let good = match step.work {
            Work::Cargo { arguments, environment } => {
                let mut command: Command = cargo(repository, arguments);
                command.envs(environment.iter().copied());
                run_command(&mut command)?.success()
            }
            Work::Here(command) => command(repository)? == ExitCode::SUCCESS,
        };
        if !good {
            failed.push(step.name);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("ci: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

struct Step {
    name: &'static str,
    work: Work,
}

enum Work {
    /// One cargo command, with these variables added to its environment.
    Cargo {
        arguments: &'static [&'static str],
        environment: &'static [(&'static str, &'static str)],
    },
    /// A command of this program.
    Here(fn(&Repository) -> anyhow::Result<ExitCode>),
}

/// The cheap ones first.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        work: Work::Cargo { arguments: &["fmt", "--all", "--check"], environment: &[] },
    },
    Step { name: "tidy", work: Work::Here(tidy::run) },
    Step {
        name: "clippy",
        work: Work::Cargo {
            arguments: &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ],
            environment: &[],
        },
    },
    Step {
        name: "doc",
        work: Work::Cargo {
            // Libraries only: the command and the library are both named towpath, and their
            // pages would overwrite each other.
            arguments: &["doc", "--workspace", "--lib", "--no-deps", "--all-features"],
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
        },
    },
    Step {
        name: "package",
        work: Work::Cargo {
            // Not verified: that builds every crate a second time, and the clean build is what
            // the other steps do.
            arguments: &["package", "--workspace", "--allow-dirty", "--no-verify", "--quiet"],
            environment: &[],
        },
    },
    Step { name: "test", work: Work::Here(test::run) },
    // After the tests: it asks which of those that the list cites ran.
    Step {
        name: "rfc",
        work: Work::Cargo {
            arguments: &["xtask", "rfc", "--check", "--require-tests"],
            environment: &[],
        },
    },
];

fn announce(step: &str) {
    eprintln!("ci: {step}");
}
