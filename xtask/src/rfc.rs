//! `cargo xtask rfc [--check]`: the map from requirement to code to test.
//!
//! It reads the requirement list and every line that cites it (`requirements`), judges each row
//! (`state`), and writes docs/rfc-map.md (`map`) and the README's table of RFCs (`readme`).
//! `--check` writes nothing: it fails when one of them is out of date, when a row that is in scope
//! is not shown (`scope`), and when a cited test did not run (`not_run`).

mod map;
mod not_run;
mod readme;
mod scope;
mod state;

use std::process::ExitCode;

use anyhow::Context;

use crate::finding::{Finding, Severity};
use crate::ran::Ran;
use crate::repository::{Repository, SourceFile, at_path};
use crate::requirements::{Cited, List, tests_of};
use crate::rfc::state::Judged;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing, fail where something is out of date, not shown, or did not run.
    #[arg(long)]
    check: bool,
    /// Fail, too, when no `cargo xtask test` left a list of the tests that ran.
    #[arg(long, requires = "check")]
    require_tests: bool,
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let files = repository.files()?;
    let mut findings = Vec::new();
    let mut told = String::new();
    if let Some(list) = List::of(&files, &mut findings) {
        let cited = Cited::of(&files, &list, &mut findings);
        let judged = state::judge(&list, &cited);
        findings.extend(judged.iter().flat_map(Judged::contradictions));
        let outputs = outputs(&files, &list, &judged, &mut findings);
        if arguments.check {
            findings.extend(outputs.iter().filter_map(|output| output.out_of_date(&files)));
            findings.extend(scope::gaps(&judged));
            match Ran::load()? {
                Some(ran) => findings.extend(not_run::check(&cited, &tests_of(&files), &ran)),
                None => findings.push(not_run::unknown(arguments.require_tests)),
            }
        } else if findings.is_empty() {
            write(repository, &outputs)?;
        }
        told = state::summary(&judged);
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    // All on standard error: in CI this comes after the tests, whose sums stay the last line of
    // the standard output.
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    eprintln!("rfc: {told}, {errors} errors");
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file that is generated, in whole or in a part.
struct Output {
    path: &'static str,
    text: String,
}

impl Output {
    fn out_of_date(&self, files: &[SourceFile]) -> Option<Finding> {
        let now = at_path(files, self.path).map_or("", |file| file.text.as_str());
        if now == self.text {
            return None;
        }
        let equal = now.lines().zip(self.text.lines()).take_while(|(a, b)| a == b).count();
        let message = "is out of date: it would tell what is not so: run `cargo xtask rfc`";
        Some(Finding::error(self.path, equal + 1, message))
    }
}

fn outputs(
    files: &[SourceFile],
    list: &List,
    judged: &[Judged<'_>],
    findings: &mut Vec<Finding>,
) -> Vec<Output> {
    let mut outputs = vec![Output { path: map::PATH, text: map::render(list, judged) }];
    let table = readme::table(list, judged, findings);
    for path in readme::PATHS {
        let text = at_path(files, path).map_or("", |file| file.text.as_str());
        match readme::with_table(text, &table) {
            Some(text) => outputs.push(Output { path, text }),
            None => findings.push(readme::no_place(path)),
        }
    }
    outputs
}

fn write(repository: &Repository, outputs: &[Output]) -> anyhow::Result<()> {
    for Output { path, text } in outputs {
        std::fs::write(repository.root().join(path), text)
            .with_context(|| format!("{path} cannot be written"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    #[test]
    fn an_output_that_differs_is_out_of_date_from_its_first_different_line() {
        let output = Output { path: "docs/a.md", text: "one\ntwo\n".to_owned() };
        for (now, expected) in [
            (&[("docs/a.md", "one\ntwo\n")][..], &[][..]),
            (&[("docs/a.md", "one\n2\n")], &["docs/a.md:2"]),
            (&[("docs/a.md", "one\n")], &["docs/a.md:2"]),
            (&[("docs/b.md", "one\ntwo\n")], &["docs/a.md:1"]),
        ] {
            let found: Vec<_> = output.out_of_date(&files(now)).into_iter().collect();
            assert_eq!(places(&found), expected);
        }
    }
}
