//! Cited tests and scripts that did not run: what shows nothing does not count.

use std::collections::BTreeMap;

use crate::finding::{Finding, Severity};
use crate::ran::Ran;
use crate::requirements::{Cited, Citing, LIST, TestName};

/// The citations whose test did not run and pass, each line once a test.
pub(super) fn check(cited: &Cited, all_tests: &[TestName], ran: &Ran) -> Vec<Finding> {
    // Two programs may have a test of one name, and libtest does not say whose it ran: then both
    // have to have run.
    let mut declared = BTreeMap::<&str, usize>::new();
    for test in all_tests {
        *declared.entry(&test.name).or_default() += 1;
    }
    let has_run = |test: &TestName| {
        let needed = declared.get(test.name.as_str()).copied().unwrap_or_default().max(1);
        ran.times(&test.name) >= needed
    };
    let mut missing = BTreeMap::new();
    for citation in &cited.citations {
        let names: Vec<&str> = match &citation.by {
            Citing::Code => continue,
            Citing::Script if ran.has_script(&citation.path) => continue,
            Citing::Script => vec![&citation.path],
            Citing::Tests(tests) => {
                tests.iter().filter(|test| !has_run(test)).map(|test| test.name.as_str()).collect()
            }
        };
        for name in names {
            missing.insert((citation.path.as_str(), citation.line, name), ());
        }
    }
    let told = |(path, line, name): (&str, usize, &str)| {
        let message = format!(
            "{name} did not run and pass in the last `cargo xtask test`: it shows nothing: mend \
             it, or run that command again"
        );
        Finding::error(path, line, message)
    };
    missing.into_keys().map(told).collect()
}

/// There is no list of what ran: told, and an error where it is needed.
pub(super) fn unknown(is_required: bool) -> Finding {
    let message = "which of the cited tests ran is not known: `cargo xtask test` leaves the list \
                   that says so: run it first";
    let severity = if is_required { Severity::Error } else { Severity::Warning };
    Finding { severity, ..Finding::error(LIST, 1, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::tests_of;
    use crate::rfc::state::samples::list_and_cited;
    use crate::samples::{files, places};

    const SOURCES: &[(&str, &str)] = &[
        ("a/tests/a.rs", "// Shows: 9293 A, 9293 B\n#[test]\nfn holds() {}\n"),
        ("b/tests/b.rs", "#[test]\nfn other() {}\n"),
        ("c.pkt", "// Shows: 9293 A\n"),
    ];

    fn found(sources: &[(&str, &str)], lines: &[&str], scripts: &str) -> Vec<String> {
        let (_, cited) = list_and_cited(&[("9293 A", "MUST", ""), ("9293 B", "MUST", "")], sources);
        let mut ran = Ran::default();
        lines.iter().for_each(|line| ran.take_line(line));
        ran.take_scripts(scripts);
        places(&check(&cited, &tests_of(&files(sources)), &ran))
    }

    #[test]
    fn what_is_cited_has_to_run_and_pass() {
        assert_eq!(found(SOURCES, &["test holds ... ok"], "c.pkt\n"), [""; 0]);
        assert_eq!(found(SOURCES, &["test holds ... FAILED"], "c.pkt\n"), ["a/tests/a.rs:1"]);
        assert_eq!(found(SOURCES, &["test other ... ok"], ""), ["a/tests/a.rs:1", "c.pkt:1"]);
    }

    #[test]
    fn of_two_tests_with_one_name_both_have_to_run() {
        let mut sources = SOURCES.to_vec();
        sources[1] = ("b/tests/b.rs", "#[test]\nfn holds() {}\n");
        let once = ["test holds ... ok"];
        assert_eq!(found(&sources, &once, "c.pkt\n"), ["a/tests/a.rs:1"]);
        assert_eq!(found(&sources, &[once[0]; 2], "c.pkt\n"), [""; 0]);
    }

    #[test]
    fn an_unknown_run_is_an_error_where_it_is_needed() {
        assert_eq!(unknown(false).severity, Severity::Warning);
        assert_eq!(unknown(true).severity, Severity::Error);
    }
}
