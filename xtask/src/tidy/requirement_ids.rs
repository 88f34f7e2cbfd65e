//! `Shows:` and `Implements:` lines cite rows of docs/requirements.toml, by ids that exist.
//!
//! A row that was never read in its document (verified K or S) may not be relied on: cited rows
//! of that kind are told, so that someone reads them. I-nn and H-nn are not of a document.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use crate::finding::Finding;
use crate::repository::{SourceFile, at_path, with_extension};
use crate::rust_text::RustText;

const LIST: &str = "docs/requirements.toml";

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let Some(list) = at_path(files, LIST) else {
        return vec![Finding::error(LIST, 1, "is missing: every cited row stands in it")];
    };
    let mut findings = Vec::new();
    let rows = match read_rows(&list.text, &mut findings) {
        Ok(rows) => rows,
        Err(message) => return vec![Finding::error(LIST, 1, message)],
    };
    let mut unread = BTreeSet::new();
    for file in with_extension(files, "rs") {
        for citation in citations(&file.text) {
            let Some(row) = rows.get(citation.id.as_str()) else {
                findings.push(citation.unknown(&file.path));
                continue;
            };
            if !row.is_read {
                unread.insert(citation.id);
            }
        }
    }
    if !unread.is_empty() {
        let ids = unread.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!(
            "cited, but not read in their document: a guess may be what is shown: read it, then \
             correct the row and set verified = \"T\": {ids}"
        );
        findings.push(Finding::warning(LIST, 1, message));
    }
    findings
}

struct Row {
    is_read: bool,
}

/// The rows by id; doubles and rows without a field become findings.
fn read_rows(text: &str, findings: &mut Vec<Finding>) -> Result<BTreeMap<String, Row>, String> {
    let document = DeTable::parse(text).map_err(|error| {
        format!("is not TOML ({}): nothing can be looked up: mend it", error.message())
    })?;
    let rows = document.get_ref().get("row").and_then(|rows| rows.get_ref().as_array());
    let rows = rows.ok_or("has no [[row]]: nothing can be looked up: restore it")?;
    let mut by_id = BTreeMap::new();
    for row in rows {
        let line = text[..row.span().start].matches('\n').count() + 1;
        let field = |name: &str| row.get_ref().get(name).and_then(|value| value.get_ref().as_str());
        let missing = ["id", "level", "text", "verified", "test"]
            .into_iter()
            .find(|name| field(name).is_none_or(|value| value.trim().is_empty()));
        if let Some(name) = missing {
            let message = format!("the row has no {name}: it says too little to be shown: add it");
            findings.push(Finding::error(LIST, line, message));
        }
        let (Some(id), Some(verified)) = (field("id"), field("verified")) else { continue };
        let is_read =
            ["T", "T*"].contains(&verified) || id.starts_with("I-") || id.starts_with("H-");
        if by_id.insert(id.to_owned(), Row { is_read }).is_some() {
            let message = format!("the id {id} stands twice: a citation must mean one row: rename");
            findings.push(Finding::error(LIST, line, message));
        }
    }
    Ok(by_id)
}

/// One id in one `Shows:` or `Implements:` line.
struct Citation {
    line: usize,
    id: String,
}

impl Citation {
    fn unknown(&self, path: &str) -> Finding {
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
        Finding::error(path, self.line, message)
    }
}

fn citations(source: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for comment in RustText::of(source).comments {
        let cited = comment.text.strip_prefix("Shows:");
        let Some(ids) = cited.or_else(|| comment.text.strip_prefix("Implements:")) else {
            continue;
        };
        found.extend(
            ids.split(',').map(|id| Citation { line: comment.line, id: id.trim().to_owned() }),
        );
    }
    found
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
        let source = "// Shows: 9293 MUST-4, H-12\n    /// Implements: H-12\nfn f() {}\n";
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
            let found = check_with(&list, &format!("//! Head.\n{line}\n"));
            assert_eq!(places(&found), ["a.rs:2"], "{line}");
            assert!(found[0].message.contains(id), "{}", found[0].message);
        }
    }

    #[test]
    fn citations_are_comments_only() {
        let source = "const S: &str = \"// Shows: nothing\"; // it Shows: nothing\n";
        assert_eq!(check_with(&row("a", "T"), source), []);
    }

    #[test]
    fn a_double_an_incomplete_or_an_unreadable_list_is_found() {
        let double = format!("{}{}", row("a", "T"), row("a", "T"));
        assert_eq!(places(&check_with(&double, "")), ["docs/requirements.toml:8"]);
        let incomplete = row("a", "T").replace("text = \"t\"", "text = \" \"");
        assert_eq!(places(&check_with(&incomplete, "")), ["docs/requirements.toml:1"]);
        for list in ["[[row", "", "row = 5"] {
            assert_eq!(places(&check_with(list, "")), ["docs/requirements.toml:1"], "{list}");
        }
        assert_eq!(places(&check(&[])), ["docs/requirements.toml:1"]);
    }

    #[test]
    fn a_cited_row_that_nobody_read_is_told() {
        let list = format!("{}{}{}", row("a", "K"), row("b", "S/K"), row("c", "T*"));
        let found = check_with(&list, "// Shows: a, b, c\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].message.ends_with(": a, b"), "{}", found[0].message);
        assert_eq!(check_with(&list, "// Shows: c\n"), []);
    }
}
