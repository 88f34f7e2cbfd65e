//! The README's table of RFCs, between its two markers.
//!
//! An RFC has a row when something of it is tested or said to work; the others are named below.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::finding::Finding;
use crate::requirements::{Document, LIST, List};
use crate::rfc::state::{Count, Judged, State};

/// The same text twice: `tidy` sees to that.
pub(super) const PATHS: [&str; 2] = ["README.md", "crates/stream/README.md"];

const BEGIN: &str = "<!-- written by cargo xtask rfc: -->\n";
const END: &str = "<!-- :written by cargo xtask rfc -->\n";

/// The table; RFCs that have rows and no title, or a title and no rows, become findings.
pub(super) fn table(list: &List, judged: &[Judged<'_>], findings: &mut Vec<Finding>) -> String {
    let mut by_rfc: BTreeMap<u64, Vec<&Judged<'_>>> = BTreeMap::new();
    for row in judged {
        if let Some(number) = row.row.rfc() {
            by_rfc.entry(number).or_default().push(row);
        }
    }
    let mut text = String::from(
        "| RFC | rows tested | exceptions | later | rows | what works |\n|---|---|---|---|---|---|\n",
    );
    let mut idle = Vec::new();
    for (number, rows) in &by_rfc {
        let Some(document) = list.documents.iter().find(|document| document.number == *number)
        else {
            findings.push(untitled(*number));
            continue;
        };
        let count = Count::of(rows.iter().copied());
        if count.in_state(State::Tested) == 0 && document.works.is_empty() {
            idle.push(number.to_string());
        } else {
            let _ = writeln!(text, "{}", line(document, count));
        }
    }
    for document in &list.documents {
        if !by_rfc.contains_key(&document.number) {
            findings.push(without_rows(document.number));
        }
    }
    if !idle.is_empty() {
        let _ = writeln!(text, "\nNothing yet of RFC {}.", idle.join(", "));
    }
    text
}

fn line(document: &Document, count: Count) -> String {
    let Document { number, title, works } = document;
    let [tested, exceptions, later] =
        [State::Tested, State::Exception, State::Later].map(|state| count.in_state(state));
    let all = count.all();
    format!("| {number} {title} | {tested} | {exceptions} | {later} | {all} | {works} |")
}

/// The README with this table between its markers; none when it has no place for it.
pub(super) fn with_table(readme: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

pub(super) fn no_place(path: &str) -> Finding {
    let message = format!(
        "has no place for the table of RFCs: write the lines `{}` and `{}`",
        BEGIN.trim(),
        END.trim()
    );
    Finding::error(path, 1, message)
}

fn untitled(number: u64) -> Finding {
    let message = format!(
        "RFC {number} has rows and no [[document]]: the README cannot name it: add one with its \
         title"
    );
    Finding::error(LIST, 1, message)
}

fn without_rows(number: u64) -> Finding {
    let message = format!("RFC {number} is a [[document]] without a row: take it out");
    Finding::error(LIST, 1, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc::state::judge;
    use crate::rfc::state::samples::list_and_cited;

    #[test]
    fn an_rfc_is_counted_and_an_idle_one_is_named() {
        let (list, cited) = list_and_cited(
            &[
                ("9293 A", "MUST", ""),
                ("RFC9293 s1", "MUST", "exception = \"Linux\""),
                ("RFC7413 s1", "MUST", "later = \"fast open\""),
                ("I-01", "-", ""),
            ],
            &[("a/tests/a.rs", "// Shows: 9293 A\n#[test]\nfn holds() {}\n")],
        );
        let mut findings = Vec::new();
        let text = table(&list, &judge(&list, &cited), &mut findings);
        assert_eq!(findings, []);
        let rows = "| 9293 TCP | 1 | 1 | 0 | 2 | much |\n\nNothing yet of RFC 7413.\n";
        assert!(text.ends_with(rows), "{text}");
    }

    #[test]
    fn titles_and_rows_belong_together() {
        let (list, cited) = list_and_cited(&[("9293 A", "MUST", ""), ("RFC1 a", "MUST", "")], &[]);
        let mut findings = Vec::new();
        table(&list, &judge(&list, &cited), &mut findings);
        let told: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(told[0].starts_with("RFC 1 has rows and no [[document]]"), "{told:?}");
        assert!(told[1].starts_with("RFC 7413 is a [[document]] without a row"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn the_table_stands_between_its_markers() {
        let readme = format!("a\n{BEGIN}old\n{END}b\n");
        let written = with_table(&readme, "new\n").expect("a place");
        assert_eq!(written, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(with_table(&written, "new\n").as_deref(), Some(written.as_str()));
        for bad in ["a\n".to_owned(), format!("a\n{BEGIN}"), format!("a\n{END}{BEGIN}")] {
            assert_eq!(with_table(&bad, "new\n"), None, "{bad}");
        }
    }
}
