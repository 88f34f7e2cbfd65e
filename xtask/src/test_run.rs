//! One run of `cargo test`, passed through as it comes and counted.
//!
//! Two counts meet here. libtest's `test result:` lines, one per binary, are added up. And a test
//! that cannot run on this machine (no privilege, no program) returns early and says so: it
//! appends the line `SKIPPED (need): test: reason` to the file that `TOWPATH_SKIP_LOG` names,
//! because libtest swallows what a passing test prints. libtest counts such a test as passed; here
//! it is counted as skipped. The test that runs the scripts of the drill tells those that passed
//! in the same way, in the file that `TOWPATH_SCRIPTS_RAN` names. docs/testing.md is the contract
//! with the tests.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};

use anyhow::Context;

use crate::cargo::{cargo, could_not_start, exit_code, target_directory};
use crate::ran::Ran;
use crate::repository::Repository;

/// What a run of `cargo test` came to.
#[derive(Debug)]
pub(crate) struct TestRun {
    status: ExitStatus,
    tally: Tally,
    ran: Ran,
    /// The lines that tests left in the log, each once.
    skips: Vec<String>,
    /// The needs that must be met here, from `TOWPATH_REQUIRE`.
    required: String,
}

impl TestRun {
    /// Runs `cargo test` with these arguments to its end.
    ///
    /// # Errors
    ///
    /// When cargo cannot be started or what the tests left cannot be read.
    pub(crate) fn of(repository: &Repository, arguments: &[&str]) -> anyhow::Result<Self> {
        let skips = Log::create("skips")?;
        let scripts = Log::create("scripts")?;
        let mut command = cargo(repository, &["test"]);
        command.args(arguments).stdout(Stdio::piped());
        command.env("TOWPATH_SKIP_LOG", &skips.path).env("TOWPATH_SCRIPTS_RAN", &scripts.path);
        tracing::debug!(?command, "running");
        let mut child = command.spawn().with_context(|| could_not_start(&command))?;
        let mut tally = Tally::default();
        let mut ran = Ran::default();
        let see = |line: &str| {
            tally.take_line(line);
            ran.take_line(line);
        };
        if let Some(output) = child.stdout.take() {
            copy_lines(output, io::stdout(), see)
                .context("the output of cargo test cannot be read")?;
        }
        let status = child.wait().context("the end of cargo test cannot be waited for")?;
        let required = env::var("TOWPATH_REQUIRE").unwrap_or_default();
        let skips = distinct_skips(&skips.text()?);
        skips.iter().for_each(|line| ran.take_out_skipped(line));
        ran.take_scripts(&scripts.text()?);
        Ok(Self { status, tally, ran, skips, required })
    }

    /// The tests and scripts that ran and passed.
    pub(crate) fn ran(&self) -> &Ran {
        &self.ran
    }

    /// What was skipped and why, then the sums, alone on the last line.
    pub(crate) fn print_closing_lines(&self) {
        let mut text = String::new();
        if !self.skips.is_empty() {
            text.push_str("\nnot run on this machine:\n");
            for line in &self.skips {
                text.push_str(&format!("  {line}\n"));
            }
        }
        for line in self.complaints() {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&format!("\n{}\n", self.summary()));
        // Only fails when the reader went away, and then nobody misses it.
        let _ = io::stdout().write_all(text.as_bytes());
    }

    /// Every test that ran passed, at least one did, and nothing that is required was skipped.
    pub(crate) fn is_good(&self) -> bool {
        self.status.success() && self.complaints().is_empty()
    }

    /// cargo's exit code where it failed, else ours.
    pub(crate) fn verdict(&self) -> ExitCode {
        if !self.status.success() {
            return exit_code(self.status);
        }
        if self.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// What makes the run bad although cargo is content with it.
    fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.status.success() && self.tally.ran() == 0 {
            lines.push("error: no test ran: does the filter match a name?".to_owned());
        }
        let forbidden = self.skips.iter().filter(|line| is_required(line, &self.required));
        lines.extend(forbidden.map(|line| {
            format!("error: TOWPATH_REQUIRE={} forbids this skip: {line}", self.required)
        }));
        lines
    }

    fn summary(&self) -> String {
        let Tally { passed, failed, ignored } = self.tally;
        let skipped = self.skips.len() as u64;
        let passed = passed.saturating_sub(skipped);
        format!("{passed} passed, {failed} failed, {} skipped", skipped + ignored)
    }
}

/// The sums over libtest's result lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; other lines are nothing to it.
    fn take_line(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        // After the verdict (`ok.` or `FAILED.`), `number word` pairs between semicolons.
        let Some((_, counts)) = rest.split_once(". ") else { return };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

/// Whether a skip line names a need that must be met: `SKIPPED (netns): ...` of `netns,curl`.
fn is_required(line: &str, required: &str) -> bool {
    let need = line.strip_prefix("SKIPPED (").and_then(|rest| rest.split_once(')'));
    need.is_some_and(|(need, _)| required.split(',').any(|one| one.trim() == need))
}

/// Copies line by line, so that the reader sees a test as it ends, and shows each to `see`.
fn copy_lines(
    from: impl io::Read,
    mut to: impl Write,
    mut see: impl FnMut(&str),
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        see(&String::from_utf8_lossy(&line));
        // A reader that went away does not end the tests: their exit code still counts.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        line.clear();
    }
    Ok(())
}

/// A file that tests append lines to; removed with this value.
#[derive(Debug)]
struct Log {
    path: PathBuf,
}

impl Log {
    fn create(what: &str) -> anyhow::Result<Self> {
        let folder = target_directory()?;
        let path = folder.join(format!("towpath-{what}-{}.log", std::process::id()));
        std::fs::write(&path, "").with_context(|| cannot_use(&path))?;
        Ok(Self { path })
    }

    fn text(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.path).with_context(|| cannot_use(&self.path))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // It is in the target directory: what stays behind goes with `cargo clean`.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn cannot_use(path: &Path) -> String {
    format!("the log of the tests {} cannot be used", path.display())
}

/// The skip lines in order, each once: a test may meet the missing thing twice.
fn distinct_skips(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with("SKIPPED (")).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The status of a process that ended with this code, made without a shell.
    fn ended_with(code: u8) -> ExitStatus {
        let program = env::current_exe().expect("the test binary has a path");
        // libtest returns 0 for a list of tests, and 101 for a flag that it does not know.
        let flag = if code == 0 { "--list" } else { "--no-such-flag" };
        let status = Command::new(program)
            .arg(flag)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the test binary starts");
        assert_eq!(status.success(), code == 0);
        status
    }

    fn run(code: u8, tally: Tally, skips: &[&str], required: &str) -> TestRun {
        let skips = skips.iter().map(|&line| line.to_owned()).collect();
        let status = ended_with(code);
        TestRun { status, tally, ran: Ran::default(), skips, required: required.to_owned() }
    }

    const THREE: Tally = Tally { passed: 3, failed: 0, ignored: 1 };

    #[test]
    fn result_lines_of_several_binaries_are_added_up() {
        let output = "\
running 2 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s
test a_name_with_5 passed; and text ... ok
test result: FAILED. 10 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s
";
        let mut tally = Tally::default();
        let mut copy = Vec::new();
        copy_lines(output.as_bytes(), &mut copy, |line| tally.take_line(line)).expect("memory");
        assert_eq!(tally, Tally { passed: 12, failed: 4, ignored: 1 });
        assert_eq!(copy, output.as_bytes());
    }

    #[test]
    fn output_that_is_not_utf8_is_passed_on_unchanged() {
        let output = b"\xff\xfe first\nlast line without an end";
        let mut copy = Vec::new();
        copy_lines(&output[..], &mut copy, |_| {}).expect("memory");
        assert_eq!(copy, output);
    }

    #[test]
    fn a_skipped_test_is_not_counted_as_passed() {
        let run = run(0, THREE, &["SKIPPED (netns): a: EPERM", "SKIPPED (curl): b: none"], "");
        assert_eq!(run.summary(), "1 passed, 0 failed, 3 skipped");
        assert!(run.is_good());
    }

    #[test]
    fn a_required_need_turns_its_skip_into_a_failure() {
        let skips = ["SKIPPED (netns): a: EPERM"];
        assert!(!run(0, THREE, &skips, "netns,curl").is_good());
        assert!(!run(0, THREE, &skips, "curl, netns").is_good());
        assert!(run(0, THREE, &skips, "curl").is_good());
        assert!(run(0, THREE, &skips, "netns2").is_good());
    }

    #[test]
    fn a_run_without_any_test_is_a_failure() {
        assert!(!run(0, Tally::default(), &[], "").is_good());
        assert!(run(0, THREE, &[], "").is_good());
    }

    #[test]
    fn a_failure_of_cargo_is_a_failure_whatever_was_counted() {
        assert!(!run(101, THREE, &[], "").is_good());
        assert_eq!(run(101, THREE, &[], "").verdict(), ExitCode::from(101));
    }

    #[test]
    fn a_skip_told_twice_counts_once_and_other_lines_do_not() {
        let text =
            "SKIPPED (curl): a: none\nnoise\nSKIPPED (curl): b: none\nSKIPPED (curl): a: none\n";
        assert_eq!(distinct_skips(text), ["SKIPPED (curl): a: none", "SKIPPED (curl): b: none"]);
    }
}
