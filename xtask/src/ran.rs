//! Which tests and scripts ran and passed: `cargo xtask test` leaves the list in the target
//! directory, `cargo xtask rfc --check` compares it with what is cited.
//!
//! One line each: `test NAME`, as libtest prints the name, once per program that has it, and
//! `script PATH`. A test that skipped itself is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;

use crate::cargo::target_directory;

/// The tests and scripts of one run that ran and passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    /// How often a test of this name passed: two programs may have one each.
    tests: BTreeMap<String, usize>,
    /// By their paths from the root of the checkout.
    scripts: BTreeSet<String>,
}

impl Ran {
    /// Takes libtest's line `test NAME ... ok`; others are nothing to it.
    pub(crate) fn take_line(&mut self, line: &str) {
        let name = line.trim().strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... ok"));
        if let Some(name) = name {
            let name = name.strip_suffix(" - should panic").unwrap_or(name);
            *self.tests.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Takes what the scripts' test wrote: a path a line.
    pub(crate) fn take_scripts(&mut self, text: &str) {
        self.scripts.extend(text.lines().map(|path| path.trim().to_owned()));
        self.scripts.remove("");
    }

    /// Takes out the test that a line `SKIPPED (need): test: reason` names, by its whole name or
    /// by its function's.
    pub(crate) fn take_out_skipped(&mut self, line: &str) {
        let named = line.split_once("): ").and_then(|(_, rest)| rest.split_once(": "));
        let Some((skipped, _)) = named else { return };
        let function = |name: &str| name.rsplit("::").next().map(str::to_owned);
        self.tests.retain(|name, _| function(name) != function(skipped));
    }

    /// How often a test of this name ran and passed.
    pub(crate) fn times(&self, test: &str) -> usize {
        self.tests.get(test).copied().unwrap_or_default()
    }

    pub(crate) fn has_script(&self, path: &str) -> bool {
        self.scripts.contains(path)
    }

    /// The list that the last whole run left; none when none did.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read.
    pub(crate) fn load() -> anyhow::Result<Option<Self>> {
        let path = list_path()?;
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Some(Self::parse(&text)))
    }

    /// Leaves the list for `rfc --check`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let path = list_path()?;
        std::fs::write(&path, self.render())
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Removes the list of the run before, so that a run that ends early leaves none.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub(crate) fn forget() -> anyhow::Result<()> {
        let path = list_path()?;
        if path.exists() {
            std::fs::remove_file(&path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        Ok(())
    }

    fn parse(text: &str) -> Self {
        let mut ran = Self::default();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("test ") {
                *ran.tests.entry(name.to_owned()).or_default() += 1;
            } else if let Some(path) = line.strip_prefix("script ") {
                ran.scripts.insert(path.to_owned());
            }
        }
        ran
    }

    fn render(&self) -> String {
        let tests = self.tests.iter().map(|(name, &times)| format!("test {name}\n").repeat(times));
        let scripts = self.scripts.iter().map(|path| format!("script {path}\n"));
        tests.chain(scripts).collect()
    }
}

fn list_path() -> anyhow::Result<PathBuf> {
    Ok(target_directory()?.join("towpath-tests-ran.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(lines: &[&str]) -> Ran {
        let mut ran = Ran::default();
        lines.iter().for_each(|line| ran.take_line(line));
        ran
    }

    #[test]
    fn only_tests_that_passed_are_in_the_list() {
        let ran = ran(&[
            "running 4 tests",
            "test a::tests::one ... ok",
            "test two - should panic ... ok",
            "test three ... FAILED",
            "test four ... ignored, slow",
            "test result: ok. 2 passed; 0 failed",
        ]);
        let times = ["a::tests::one", "two", "three", "four", "one"].map(|name| ran.times(name));
        assert_eq!(times, [1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_run() {
        let mut ran = ran(&["test a::one ... ok", "test two ... ok", "test three ... ok"]);
        ran.take_out_skipped("SKIPPED (netns): one: EPERM: get it");
        ran.take_out_skipped("SKIPPED (curl): b::two: none");
        assert_eq!(["a::one", "two", "three"].map(|name| ran.times(name)), [0, 0, 1]);
    }

    #[test]
    fn the_list_is_read_as_it_was_written() {
        let mut ran = ran(&["test tests::one ... ok", "test tests::one ... ok"]);
        ran.take_scripts("scripts/close/fin.pkt\n\nscripts/open/syn.pkt\n");
        assert_eq!(Ran::parse(&ran.render()), ran);
        assert_eq!(ran.times("tests::one"), 2);
        assert!(ran.has_script("scripts/open/syn.pkt"));
        assert!(!ran.has_script("scripts/open"));
        assert!(!ran.has_script(""));
    }
}
