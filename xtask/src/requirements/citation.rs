//! The lines that cite rows: `Shows: ID, ID` and `Implements: ID, ID`, each a comment of its own.
//!
//! In Rust a `Shows:` line belongs to the tests that `tests_in` finds for it; in a script of the
//! drill (`.pkt`) it belongs to the script.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::repository::{SourceFile, with_extension};
use crate::requirements::tests_in::{TestName, TestsIn};
use crate::requirements::{LIST, List};
use crate::rust_text::{Comment, RustText};

/// One id in one citing line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) id: String,
    pub(crate) by: Citing,
}

/// Who cites.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Citing {
    /// Code, by `Implements:`.
    Code,
    /// These tests, by `Shows:`; no test where the line belongs to none.
    Tests(Vec<TestName>),
    /// The script that the line stands in.
    Script,
}

/// Every citation of a checkout that names a row, and the unread rows among them.
#[derive(Debug, Default)]
pub(crate) struct Cited {
    pub(crate) citations: Vec<Citation>,
    /// Cited, but nobody read them in their document.
    pub(crate) unread: BTreeSet<String>,
}

impl Cited {
    /// Looks up every citation; ids without a row, and `Shows:` lines without a test, become
    /// findings.
    pub(crate) fn of(files: &[SourceFile], list: &List, findings: &mut Vec<Finding>) -> Self {
        let mut cited = Self::default();
        let mut idle = BTreeSet::new();
        for citation in citations(files) {
            let Some(row) = list.row(&citation.id) else {
                findings.push(citation.unknown());
                continue;
            };
            if citation.by == Citing::Tests(Vec::new()) {
                idle.insert((citation.path.clone(), citation.line));
            }
            if !row.is_read {
                cited.unread.insert(citation.id.clone());
            }
            cited.citations.push(citation);
        }
        findings.extend(idle.iter().map(|(path, line)| {
            let message = "the line belongs to no test, and shows nothing: write it above a test, \
                           or above a table or a function that a test of this file names";
            Finding::error(path, *line, message)
        }));
        cited
    }
}

impl Citation {
    fn unknown(&self) -> Finding {
        let message = if self.id.is_empty() {
            "an empty id: the list has no row for it: write `ID, ID` on this one line, no comma \
             at its end"
                .to_owned()
        } else {
            format!(
                "the id `{}` is not in {LIST}: nobody can look it up: write it exactly as there, \
                 with a comma between two",
                self.id
            )
        };
        Finding::error(&self.path, self.line, message)
    }
}

/// Every citation of a checkout, by file and line.
fn citations(files: &[SourceFile]) -> Vec<Citation> {
    let mut found = Vec::new();
    for file in with_extension(files, "rs") {
        let text = RustText::of(&file.text);
        let tests = TestsIn::of(&file.path, &text);
        for comment in &text.comments {
            let Some((shows, ids)) = cited_ids(comment) else { continue };
            let by = || match shows {
                Verb::Shows => Citing::Tests(tests.shown_by(comment.line)),
                Verb::Implements => Citing::Code,
            };
            found.extend(each(&file.path, comment.line, ids, by));
        }
    }
    for file in with_extension(files, "pkt") {
        for (index, line) in file.text.lines().enumerate() {
            let Some(text) = line.trim_start().strip_prefix("//") else { continue };
            let comment = Comment { line: index + 1, text: text.trim().to_owned() };
            // A script has no code of ours in it: all that it can do with a row is to show it.
            let Some((Verb::Shows, ids)) = cited_ids(&comment) else { continue };
            found.extend(each(&file.path, comment.line, ids, || Citing::Script));
        }
    }
    found
}

enum Verb {
    Shows,
    Implements,
}

fn cited_ids(comment: &Comment) -> Option<(Verb, &str)> {
    let shows = comment.text.strip_prefix("Shows:").map(|ids| (Verb::Shows, ids));
    shows.or_else(|| comment.text.strip_prefix("Implements:").map(|ids| (Verb::Implements, ids)))
}

/// The citations of one line.
fn each(path: &str, line: usize, ids: &str, by: impl Fn() -> Citing) -> Vec<Citation> {
    let citation =
        |id: &str| Citation { path: path.to_owned(), line, id: id.trim().to_owned(), by: by() };
    ids.split(',').map(citation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::files;

    fn ids(path: &str, text: &str) -> Vec<(usize, String)> {
        let found = citations(&files(&[(path, text)]));
        found.into_iter().map(|citation| (citation.line, citation.id)).collect()
    }

    #[test]
    fn citations_are_comments_of_their_own() {
        let source = "const S: &str = \"// Shows: nothing\"; // it Shows: nothing\n\
                      // Shows: a, b\n/// Implements: c\n";
        let expected = [(2, "a".to_owned()), (2, "b".to_owned()), (3, "c".to_owned())];
        assert_eq!(ids("a.rs", source), expected);
        assert_eq!(ids("a.md", "// Shows: a\n"), []);
    }

    #[test]
    fn a_script_shows_the_rows_at_its_head() {
        let script =
            "// A closed port.\n// Shows: a, H-12\n\n0 `echo // Shows: b`\n+0 < S 0:0(0)\n";
        let expected = [(2, "a".to_owned()), (2, "H-12".to_owned())];
        assert_eq!(ids("crates/lab/scripts/a.pkt", script), expected);
        let found = citations(&files(&[("a.pkt", script)]));
        assert_eq!(found[0].by, Citing::Script);
    }

    #[test]
    fn code_implements_and_tests_show() {
        let source = "// Implements: a\nfn f() {}\n#[test]\n// Shows: b\nfn shown() {}\n";
        let found = citations(&files(&[("x/src/lib.rs", source)]));
        assert_eq!(found[0].by, Citing::Code);
        let Citing::Tests(tests) = &found[1].by else { panic!("{found:?}") };
        assert_eq!(tests.iter().map(|test| test.name.as_str()).collect::<Vec<_>>(), ["shown"]);
    }
}
