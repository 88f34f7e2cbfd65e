//! docs/rfc-map.md: every row of the list, what it is, and where it is shown.

use std::fmt::Write;

use crate::requirements::List;
use crate::rfc::state::{Count, Judged, State, summary};

pub(super) const PATH: &str = "docs/rfc-map.md";

const HEAD: &str = "\
# From requirement to code to test

Written by `cargo xtask rfc` from `docs/requirements.toml` and from the lines `Shows:` and
`Implements:` of tests, scripts and code; not edited by hand. A row is

- **tested**: the tests and scripts named beside it show it;
- **implemented**: code cites it, no test does;
- **exception**: the default profile departs from it, and the row says why;
- **later**: it waits for the part of the work that the row names;
- **missing**: none of these.
";

pub(super) fn render(list: &List, judged: &[Judged<'_>]) -> String {
    let mut text = format!("{HEAD}\n{}.\n\n", summary(judged));
    let mut sections: Vec<u64> = judged.iter().map(|row| row.row.section).collect();
    sections.sort_unstable();
    sections.dedup();
    let title = |section: &u64| match list.chapters.get(section) {
        Some(title) => format!("{section}. {}", cell(title)),
        None => section.to_string(),
    };
    let rows_of = |section: u64| judged.iter().filter(move |row| row.row.section == section);

    text.push_str("| chapter | rows |");
    State::ALL.iter().for_each(|state| text.push_str(&format!(" {} |", state.word())));
    text.push_str(&format!("\n|---|---|{}\n", "---|".repeat(State::ALL.len())));
    for section in &sections {
        let count = Count::of(rows_of(*section));
        let _ = write!(text, "| {} | {} |", title(section), count.all());
        for state in State::ALL {
            let _ = write!(text, " {} |", count.in_state(state));
        }
        text.push('\n');
    }
    for section in &sections {
        let _ = write!(
            text,
            "\n## {}\n\n| id | level | asked | |\n|---|---|---|---|\n",
            title(section)
        );
        for judged in rows_of(*section) {
            let row = judged.row;
            let parts = [&row.id, &row.level, &row.text].map(|part| cell(part));
            let _ = writeln!(text, "| {} | {} |", parts.join(" | "), found(judged));
        }
    }
    text
}

/// What a row is, why, and where it is shown or implemented.
fn found(judged: &Judged<'_>) -> String {
    let mut text = format!("**{}**", judged.state().word());
    if let Some(reason) = judged.row.exception.as_ref().or(judged.row.later.as_ref()) {
        let _ = write!(text, ": {}", cell(reason));
    }
    for (path, functions) in &judged.tests {
        let functions: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(text, "<br>{}: {}", link(path), functions.join(", "));
    }
    for path in &judged.scripts {
        let _ = write!(text, "<br>{}", link(path));
    }
    if judged.state() == State::Implemented {
        for path in &judged.code {
            let _ = write!(text, "<br>{}", link(path));
        }
    }
    text
}

/// A file of the checkout, from the folder of the map.
fn link(path: &str) -> String {
    format!("[{path}](../{path})")
}

/// A text that does not end its cell, and is not taken for a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc::state::judge;
    use crate::rfc::state::samples::list_and_cited;

    #[test]
    fn a_row_tells_what_it_is_and_where_it_is_shown() {
        let (list, cited) = list_and_cited(
            &[
                ("9293 A", "MUST", ""),
                ("9293 B", "MUST", ""),
                ("9293 C", "MUST", "exception = \"Linux <x>\""),
                ("9293 D", "MUST", "later = \"fast open\""),
                ("9293 E", "MUST", ""),
            ],
            &[
                ("a/tests/a.rs", "// Shows: 9293 A, 9293 C\n#[test]\nfn holds() {}\n"),
                ("a/src/a.rs", "// Implements: 9293 A, 9293 B\nfn f() {}\n"),
                ("s/a.pkt", "// Shows: 9293 A\n"),
            ],
        );
        let text = render(&list, &judge(&list, &cited));
        let expected = "\
| 1. First: chapter | 5 | 1 | 1 | 1 | 1 | 1 |

## 1. First: chapter

| id | level | asked | |
|---|---|---|---|
| 9293 A | MUST | a \\| b | **tested**<br>[a/tests/a.rs](../a/tests/a.rs): `holds`<br>[s/a.pkt](../s/a.pkt) |
| 9293 B | MUST | a \\| b | **implemented**<br>[a/src/a.rs](../a/src/a.rs) |
| 9293 C | MUST | a \\| b | **exception**: Linux &lt;x><br>[a/tests/a.rs](../a/tests/a.rs): `holds` |
| 9293 D | MUST | a \\| b | **later**: fast open |
| 9293 E | MUST | a \\| b | **missing** |
";
        assert!(text.ends_with(expected), "{text}");
    }
}
