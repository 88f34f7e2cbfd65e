//! A file that grows long holds more than one noun: told above 400 lines, refused above 600.
//!
//! Lines are counted up to the unit tests at the end of the file.

use crate::finding::Finding;
use crate::repository::{SourceFile, with_extension};

/// Above this many lines it is time to ask which noun wants to leave.
const WARN_LINES: usize = 400;

/// Above this many lines a file has become what the project is meant to avoid.
const FAIL_LINES: usize = 600;

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    with_extension(files, "rs").filter_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Option<Finding> {
    let lines = lines_before_tests(&file.text);
    let message = |limit: usize| {
        format!(
            "{lines} lines before its tests, more than {limit}: a file holds one noun: ask which \
             one wants to leave"
        )
    };
    if lines > FAIL_LINES {
        Some(Finding::error(&file.path, FAIL_LINES + 1, message(FAIL_LINES)))
    } else if lines > WARN_LINES {
        Some(Finding::warning(&file.path, WARN_LINES + 1, message(WARN_LINES)))
    } else {
        None
    }
}

/// How many lines stand before the module of unit tests.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let begins_tests = |index: usize| {
        // A single item or `mod tests;` under the attribute ends nothing: only a module with its
        // body in this file does.
        lines[index].starts_with("#[cfg(test)]")
            && lines[index + 1..]
                .iter()
                .find(|line| !line.starts_with("#["))
                .is_some_and(|line| line.contains("mod ") && line.trim_end().ends_with('{'))
    };
    (0..lines.len()).find(|&index| begins_tests(index)).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::samples::files;

    fn severity(text: &str) -> Option<Severity> {
        check(&files(&[("a.rs", text)])).first().map(|finding| finding.severity)
    }

    #[test]
    fn the_limits_are_the_last_lengths_that_pass() {
        for (lines, expected) in [
            (400, None),
            (401, Some(Severity::Warning)),
            (600, Some(Severity::Warning)),
            (601, Some(Severity::Error)),
        ] {
            assert_eq!(severity(&"x\n".repeat(lines)), expected, "{lines} lines");
        }
    }

    #[test]
    fn unit_tests_at_the_end_are_not_counted() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(900));
        assert_eq!(severity(&format!("{}{tests}", "x\n".repeat(400))), None);
        assert_eq!(severity(&format!("{}{tests}", "x\n".repeat(601))), Some(Severity::Error));
    }

    #[test]
    fn a_test_only_item_near_the_top_hides_nothing() {
        for item in ["use x;\n", "mod tests;\n", "impl X {\n"] {
            let text = format!("#[cfg(test)]\n{item}{}", "x\n".repeat(700));
            assert_eq!(severity(&text), Some(Severity::Error), "{item}");
        }
    }
}
