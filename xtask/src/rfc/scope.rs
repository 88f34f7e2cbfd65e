//! Which rows must be shown by now: the one place that says so.

use crate::finding::Finding;
use crate::requirements::{LIST, Row};
use crate::rfc::state::{Judged, State};

/// The chapters of the list whose MUST and SHOULD rows are shown by a test, are an exception with
/// its reason, or are declared for later: the life of a connection.
const CHAPTERS: &[u64] = &[1, 2, 3, 4, 10, 17, 18, 20];

/// The rows in scope that nothing shows.
pub(super) fn gaps(judged: &[Judged<'_>]) -> Vec<Finding> {
    let is_gap = |judged: &&Judged<'_>| {
        is_in_scope(judged.row) && [State::Missing, State::Implemented].contains(&judged.state())
    };
    let told = |judged: &Judged<'_>| {
        let Row { id, line, level, .. } = judged.row;
        let what = match judged.state() {
            State::Implemented => "implemented, and no test shows it",
            _ => "missing",
        };
        let message = format!(
            "{id} ({level}) is {what}: it is in scope: write the test, or declare the row an \
             exception or later"
        );
        Finding::error(LIST, *line, message)
    };
    judged.iter().filter(is_gap).map(told).collect()
}

fn is_in_scope(row: &Row) -> bool {
    let is_binding = ["MUST", "SHOULD"].iter().any(|word| row.level.contains(word));
    is_binding && CHAPTERS.contains(&row.section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc::state::judge;
    use crate::rfc::state::samples::list_and_cited;

    #[test]
    fn a_binding_row_in_scope_has_to_be_shown() {
        let (list, cited) = list_and_cited(
            &[
                ("9293 A", "MUST", ""),
                ("9293 B", "SHOULD NOT", ""),
                ("9293 C", "MAY", ""),
                ("9293 D", "MUST", "section = 8"),
                ("9293 E", "MUST", "exception = \"Linux\""),
                ("9293 F", "MUST", "later = \"fast open\""),
                ("9293 G", "MUST-like", ""),
            ],
            &[
                ("a/src/a.rs", "// Implements: 9293 B\nfn f() {}\n"),
                ("a/tests/a.rs", "// Shows: 9293 G\n#[test]\nfn holds() {}\n"),
            ],
        );
        let told: Vec<String> =
            gaps(&judge(&list, &cited)).into_iter().map(|finding| finding.message).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("9293 A (MUST) is missing:"), "{told:?}");
        assert!(told[1].starts_with("9293 B (SHOULD NOT) is implemented, and no test"), "{told:?}");
    }
}
