//! `cargo xtask tidy`: the habits of the house that the compiler and clippy do not know.
//!
//! Each check is one file under `tidy/`, a function from the files of the checkout to findings;
//! none reads the disk, so that its tests show it bad samples. This file runs them all and prints
//! one line per finding: where, what, why, and what to do.

mod direction;
mod finding;
mod heads;
mod machine_paths;
mod manifest;
mod readme;
mod requirement_ids;
mod rust_text;
mod sans_io;
mod size;
mod unsafe_code;

use std::io::Write;
use std::process::ExitCode;

use crate::repository::{Repository, SourceFile};
use crate::tidy::finding::{Finding, Severity};

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

/// The files whose names end so.
fn with_extension<'a>(
    files: &'a [SourceFile],
    extension: &'static str,
) -> impl Iterator<Item = &'a SourceFile> {
    files
        .iter()
        .filter(move |file| file.path.rsplit_once('.').is_some_and(|(_, own)| own == extension))
}

/// The file at this path, if it is there.
fn at_path<'a>(files: &'a [SourceFile], path: &str) -> Option<&'a SourceFile> {
    files.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod samples {
    //! Files made for the checks' tests.

    use super::{Finding, SourceFile};

    /// A checkout of these files.
    pub(super) fn files(samples: &[(&str, &str)]) -> Vec<SourceFile> {
        let file = |&(path, text): &(&str, &str)| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        samples.iter().map(file).collect()
    }

    /// Where the findings are, as `path:line`.
    pub(super) fn places(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }
}
