//! Every Rust file opens with what it is: a `//!` head on its first line.

use crate::finding::Finding;
use crate::repository::{SourceFile, with_extension};

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let headless = with_extension(files, "rs").filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|head| head.trim().is_empty())
    });
    let finding = |file: &SourceFile| {
        let message = "the file has no head: a reader wants to know what it is, where it comes \
                       from and what it leaves to others: open it with a `//!` line";
        Finding::error(&file.path, 1, message)
    };
    headless.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    #[test]
    fn a_head_on_the_first_line_passes() {
        let good = files(&[("a.rs", "//! What it is.\nuse x;\n"), ("b.md", "no head")]);
        assert_eq!(check(&good), []);
    }

    #[test]
    fn a_missing_late_or_empty_head_is_found() {
        let bad = files(&[
            ("a.rs", "use x;\n"),
            ("tests/b.rs", "\n//! Late.\n"),
            ("c.rs", "// A plain comment.\n"),
            ("d.rs", "//!\n"),
            ("e.rs", ""),
        ]);
        assert_eq!(places(&check(&bad)), ["a.rs:1", "tests/b.rs:1", "c.rs:1", "d.rs:1", "e.rs:1"]);
    }
}
