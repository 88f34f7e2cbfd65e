//! `cargo xtask tidy`: the habits of the house that the compiler and clippy do not know.
//!
//! Each check is one file under `tidy/`, a function from the files of the checkout to findings;
//! none reads the disk, so that its tests show it bad samples. This file runs them all and prints
//! one line per finding: where, what, why, and what to do.

mod direction;
mod heads;
mod machine_paths;
mod manifest;
mod readme;
mod requirement_ids;
mod sans_io;
mod size;
mod unsafe_code;

use std::io::Write;
use std::process::ExitCode;

use crate::finding::{Finding, Severity};
use crate::repository::{Repository, SourceFile};

/// A check of one habit.
type Check = fn(&[SourceFile]) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    readme::check,
    heads::check,
    size::check,
    direction::check,
    sans_io::check,
    unsafe_code::check,
    requirement_ids::check,
    machine_paths::check,
];

pub(crate) fn run(repository: &Repository) -> anyhow::Result<ExitCode> {
    let files = repository.files()?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&files)).collect();
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();

    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let warnings = findings.len() - errors;
    text.push_str(&format!("tidy: {} files, {errors} errors, {warnings} warnings\n", files.len()));
    // Only fails when the reader went away.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
