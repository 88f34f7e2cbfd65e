//! docs/requirements.toml as values: its rows, its documents and its chapters.
//!
//! The head of that file says what the keys mean. What is wrong with the file is a finding with
//! its line; only a file that cannot be read as a list at all ends the reading.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::finding::Finding;
use crate::repository::{SourceFile, at_path};
use crate::requirements::LIST;

/// The whole list, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) rows: Vec<Row>,
    pub(crate) documents: Vec<Document>,
    /// The titles of the chapters by their numbers, from the headings.
    pub(crate) chapters: BTreeMap<u64, String>,
}

/// One requirement.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Where it stands in the file, from 1.
    pub(crate) line: usize,
    pub(crate) section: u64,
    pub(crate) level: String,
    pub(crate) text: String,
    /// Somebody read it in its document, or it is not of a document.
    pub(crate) is_read: bool,
    /// Why the default profile departs from it.
    pub(crate) exception: Option<String>,
    /// The part of the work that it waits for.
    pub(crate) later: Option<String>,
}

/// One RFC that rows come from.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) number: u64,
    pub(crate) title: String,
    /// What of it works, in a phrase; empty where nothing does.
    pub(crate) works: String,
}

const ROW_KEYS: &[&str] =
    &["id", "section", "level", "text", "verified", "test", "exception", "later"];
const DOCUMENT_KEYS: &[&str] = &["rfc", "title", "works"];

impl List {
    /// The list of a checkout; what is wrong with it becomes findings.
    pub(crate) fn of(files: &[SourceFile], findings: &mut Vec<Finding>) -> Option<Self> {
        let Some(file) = at_path(files, LIST) else {
            findings.push(Finding::error(LIST, 1, "is missing: every cited row stands in it"));
            return None;
        };
        match Self::read(&file.text, findings) {
            Ok(list) => Some(list),
            Err(message) => {
                findings.push(Finding::error(LIST, 1, message));
                None
            }
        }
    }

    fn read(text: &str, findings: &mut Vec<Finding>) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| {
            format!("is not TOML ({}): nothing can be looked up: mend it", error.message())
        })?;
        let tables = |name: &str| {
            document.get_ref().get(name).and_then(|tables| tables.get_ref().as_array())
        };
        let entries = |name: &str| {
            tables(name).into_iter().flatten().map(|table| Entry {
                line: text[..table.span().start].matches('\n').count() + 1,
                table: table.get_ref(),
            })
        };
        if tables("row").is_none() {
            return Err("has no [[row]]: nothing can be looked up: restore it".to_owned());
        }
        let mut list = Self { chapters: chapters(text), ..Self::default() };
        let mut first_line = BTreeMap::new();
        for entry in entries("row") {
            entry.complain(ROW_KEYS, &["id", "level", "text", "verified", "test"], findings);
            let Some(row) = entry.row() else { continue };
            if first_line.insert(row.id.clone(), row.line).is_some() {
                let message =
                    format!("the id {} stands twice: a citation must mean one row: rename", row.id);
                findings.push(Finding::error(LIST, row.line, message));
            }
            list.rows.push(row);
        }
        for entry in entries("document") {
            entry.complain(DOCUMENT_KEYS, &["title"], findings);
            list.documents.extend(entry.document());
        }
        Ok(list)
    }

    /// The row with exactly this id.
    pub(crate) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }
}

impl Row {
    /// The number of the RFC that the row comes from: `9293 MUST-4`, `RFC826a`, `RFC5033/9743 x`
    /// are of 9293, 826 and 5033; `I-04` and `BBR3 s4.1` of none.
    pub(crate) fn rfc(&self) -> Option<u64> {
        let number = self.id.strip_prefix("RFC").unwrap_or(&self.id);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        number[..end].parse().ok()
    }
}

/// One `[[row]]` or `[[document]]`.
struct Entry<'a> {
    line: usize,
    table: &'a DeValue<'a>,
}

impl Entry<'_> {
    fn value(&self, key: &str) -> Option<&DeValue<'_>> {
        self.table.get(key).map(|value| value.get_ref())
    }

    fn field(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(DeValue::as_str)
    }

    fn number(&self, key: &str) -> Option<u64> {
        let number = self.value(key)?.as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// Tells the first key that is missing, and every key that nobody reads.
    fn complain(&self, known: &[&str], needed: &[&str], findings: &mut Vec<Finding>) {
        let is_empty = |key: &&&str| self.field(key).is_none_or(|value| value.trim().is_empty());
        if let Some(key) = needed.iter().find(is_empty) {
            let message = format!("the row has no {key}: it says too little to be shown: add it");
            findings.push(Finding::error(LIST, self.line, message));
        }
        for key in self.table.as_table().into_iter().flat_map(|table| table.keys()) {
            let key = key.get_ref();
            if !known.contains(&key.as_ref()) {
                let message = format!(
                    "the key {key} means nothing here, and what it says is lost: write one of {}",
                    known.join(", ")
                );
                findings.push(Finding::error(LIST, self.line, message));
            }
        }
    }

    /// The row, if it has what makes one.
    fn row(&self) -> Option<Row> {
        let id = self.field("id")?.to_owned();
        let verified = self.field("verified")?;
        let is_read =
            ["T", "T*"].contains(&verified) || id.starts_with("I-") || id.starts_with("H-");
        let text_of = |key| self.field(key).map(str::to_owned);
        Some(Row {
            id,
            line: self.line,
            section: self.number("section").unwrap_or_default(),
            level: text_of("level").unwrap_or_default(),
            text: text_of("text").unwrap_or_default(),
            is_read,
            exception: text_of("exception"),
            later: text_of("later"),
        })
    }

    fn document(&self) -> Option<Document> {
        Some(Document {
            number: self.number("rfc")?,
            title: self.field("title")?.to_owned(),
            works: self.field("works").unwrap_or_default().to_owned(),
        })
    }
}

/// The headings `# 7. RACK-TLP: RFC 8985: 24 rows`, without number and count.
fn chapters(text: &str) -> BTreeMap<u64, String> {
    let chapter = |line: &str| {
        let (number, title) = line.strip_prefix("# ")?.split_once(". ")?;
        let title = title.rsplit_once(": ").filter(|(_, count)| count.ends_with(" rows"))?.0;
        Some((number.parse().ok()?, title.to_owned()))
    };
    text.lines().filter_map(chapter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    fn row(id: &str) -> String {
        format!(
            "[[row]]\nid = \"{id}\"\nsection = 7\nlevel = \"MUST\"\ntext = \"t\"\n\
             verified = \"T\"\ntest = \"t\"\n"
        )
    }

    fn read(text: &str) -> (Option<List>, Vec<Finding>) {
        let mut findings = Vec::new();
        let list = List::of(&files(&[(LIST, text)]), &mut findings);
        (list, findings)
    }

    #[test]
    fn rows_documents_and_chapters_are_read() {
        let text = format!(
            "# Head.\n\n[[document]]\nrfc = 8985\ntitle = \"RACK\"\nworks = \"all\"\n\n\
             # 7. RACK-TLP: RFC 8985: 24 rows\n\n{}later = \"recovery\"\n",
            row("RFC8985 s1")
        );
        let (list, findings) = read(&text);
        let list = list.expect("a list");
        assert_eq!(findings, []);
        assert_eq!(list.chapters[&7], "RACK-TLP: RFC 8985");
        assert_eq!((list.documents[0].number, list.documents[0].works.as_str()), (8985, "all"));
        let row = list.row("RFC8985 s1").expect("a row");
        assert_eq!((row.line, row.section, row.level.as_str()), (10, 7, "MUST"));
        assert_eq!((row.later.as_deref(), row.exception.as_deref()), (Some("recovery"), None));
        assert!(list.row("RFC8985").is_none());
    }

    #[test]
    fn a_double_an_incomplete_or_an_unreadable_list_is_found() {
        let double = format!("{}{}", row("a"), row("a"));
        assert_eq!(places(&read(&double).1), ["docs/requirements.toml:8"]);
        let incomplete = row("a").replace("text = \"t\"", "text = \" \"");
        assert_eq!(places(&read(&incomplete).1), ["docs/requirements.toml:1"]);
        for list in ["[[row", "", "row = 5"] {
            assert_eq!(places(&read(list).1), ["docs/requirements.toml:1"], "{list}");
        }
        let mut findings = Vec::new();
        assert!(List::of(&[], &mut findings).is_none());
        assert_eq!(places(&findings), ["docs/requirements.toml:1"]);
    }

    #[test]
    fn a_misspelt_key_is_found() {
        let (_, findings) = read(&format!("{}exeption = \"Linux\"\n", row("a")));
        assert_eq!(places(&findings), ["docs/requirements.toml:1"]);
        assert!(findings[0].message.contains("exeption"), "{}", findings[0].message);
    }

    #[test]
    fn the_rfc_of_a_row_is_the_first_number_of_its_id() {
        for (id, number) in [
            ("9293 MUST-4", Some(9293)),
            ("RFC5681 s3.1d", Some(5681)),
            ("RFC826a", Some(826)),
            ("RFC5033/9743 x", Some(5033)),
            ("I-04", None),
            ("BBR3 s4.1", None),
            ("Cookie 1", None),
        ] {
            let (list, _) = read(&row(id));
            assert_eq!(list.expect("a list").rows[0].rfc(), number, "{id}");
        }
    }
}
