//! `Shows:` and `Implements:` lines cite rows of docs/requirements.toml, by ids that exist.
//!
//! A row that was never read in its document (verified K or S) may not be relied on: cited rows
//! of that kind are told, so that someone reads them. I-nn and H-nn are not of a document.

use crate::finding::Finding;
use crate::repository::SourceFile;
use crate::requirements::{Cited, LIST, List};

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(list) = List::of(files, &mut findings) else { return findings };
    let cited = Cited::of(files, &list, &mut findings);
    if !cited.unread.is_empty() {
        let ids = cited.unread.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!(
            "cited, but not read in their document: a guess may be what is shown: read it, then \
             correct the row and set verified = \"T\": {ids}"
        );
        findings.push(Finding::warning(LIST, 1, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    fn row(id: &str, verified: &str) -> String {
        format!(
            "[[row]]\nid = \"{id}\"\nsection = 1\nlevel = \"MUST\"\ntext = \"t\"\n\
             verified = \"{verified}\"\ntest = \"t\"\n"
        )
    }

    fn check_with(list: &str, source: &str) -> Vec<Finding> {
        check(&files(&[(LIST, list), ("a.rs", source)]))
    }

    #[test]
    fn known_ids_pass() {
        let list = format!("{}\n{}", row("9293 MUST-4", "T"), row("H-12", "S"));
        let source = "// Shows: 9293 MUST-4, H-12\n#[test]\nfn f() {}\n/// Implements: H-12\n";
        assert_eq!(check_with(&list, source), []);
    }

    #[test]
    fn unknown_ids_are_named_with_their_line() {
        let list = row("9293 MUST-4", "T");
        for (line, id) in [
            ("// Shows: 9293 MUST-40", "`9293 MUST-40`"),
            ("// Implements: MUST-4", "`MUST-4`"),
            ("// Shows: 9293 MUST-4.", "`9293 MUST-4.`"),
            ("// Shows: 9293 MUST-4 and more", "`9293 MUST-4 and more`"),
            ("// Shows: 9293 MUST-4,", "empty id"),
            ("// Shows:", "empty id"),
        ] {
            let found = check_with(&list, &format!("//! Head.\n{line}\n#[test]\nfn f() {{}}\n"));
            assert_eq!(places(&found), ["a.rs:2"], "{line}");
            assert!(found[0].message.contains(id), "{}", found[0].message);
        }
    }

    #[test]
    fn a_line_that_shows_nothing_is_found_once() {
        let list = format!("{}{}", row("a", "T"), row("b", "T"));
        assert_eq!(places(&check_with(&list, "// Shows: a, b\nfn helper() {}\n")), ["a.rs:1"]);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_found() {
        assert_eq!(places(&check_with("[[row", "")), ["docs/requirements.toml:1"]);
    }

    #[test]
    fn a_cited_row_that_nobody_read_is_told() {
        let list = format!("{}{}{}", row("a", "K"), row("b", "S/K"), row("c", "T*"));
        let found = check_with(&list, "// Implements: a, b, c\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].message.ends_with(": a, b"), "{}", found[0].message);
        assert_eq!(check_with(&list, "// Implements: c\n"), []);
    }
}
