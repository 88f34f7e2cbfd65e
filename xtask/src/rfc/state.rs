//! What is to be said of a row: who cites it, what the list declares of it, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Finding;
use crate::requirements::{Cited, Citing, LIST, List, Row};

/// A row and those who cite it.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    pub(super) row: &'a Row,
    /// The tests that show it, by the files that they stand in.
    pub(super) tests: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The scripts that show it.
    pub(super) scripts: BTreeSet<&'a str>,
    /// The files whose code implements it.
    pub(super) code: BTreeSet<&'a str>,
}

/// What a row is; each is exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A test or a script shows it.
    Tested,
    /// Code cites it, no test does.
    Implemented,
    /// The default profile departs from it, and the list says why.
    Exception,
    /// It waits for a later part of the work, and the list says which.
    Later,
    /// None of these.
    Missing,
}

impl State {
    pub(super) const ALL: [Self; 5] =
        [Self::Tested, Self::Implemented, Self::Exception, Self::Later, Self::Missing];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Tested => "tested",
            Self::Implemented => "implemented",
            Self::Exception => "exception",
            Self::Later => "later",
            Self::Missing => "missing",
        }
    }
}

/// Every row of the list, in its order.
pub(super) fn judge<'a>(list: &'a List, cited: &'a Cited) -> Vec<Judged<'a>> {
    let mut by_id: BTreeMap<&str, Judged<'_>> = BTreeMap::new();
    for row in &list.rows {
        by_id.insert(&row.id, Judged::uncited(row));
    }
    for citation in &cited.citations {
        let Some(judged) = by_id.get_mut(citation.id.as_str()) else { continue };
        match &citation.by {
            Citing::Code => {
                judged.code.insert(&citation.path);
            }
            Citing::Script => {
                judged.scripts.insert(&citation.path);
            }
            Citing::Tests(tests) => {
                for test in tests {
                    judged.tests.entry(&test.path).or_default().insert(test.function());
                }
            }
        }
    }
    list.rows.iter().filter_map(|row| by_id.remove(row.id.as_str())).collect()
}

impl<'a> Judged<'a> {
    fn uncited(row: &'a Row) -> Self {
        let (tests, scripts, code) = Default::default();
        Self { row, tests, scripts, code }
    }

    /// What the list declares counts before what tests and code say.
    pub(super) fn state(&self) -> State {
        if self.row.exception.is_some() {
            State::Exception
        } else if self.row.later.is_some() {
            State::Later
        } else if self.is_shown() {
            State::Tested
        } else if self.code.is_empty() {
            State::Missing
        } else {
            State::Implemented
        }
    }

    /// What cannot both be so.
    pub(super) fn contradictions(&self) -> Vec<Finding> {
        let Row { id, line, exception, later, .. } = self.row;
        let Some(later) = later else { return Vec::new() };
        let mut others = Vec::new();
        if self.is_shown() {
            let files = self.tests.keys().chain(&self.scripts).copied().collect::<Vec<_>>();
            others.push(format!("tested in {}", files.join(", ")));
        }
        if !self.code.is_empty() {
            let files = self.code.iter().copied().collect::<Vec<_>>();
            others.push(format!("implemented in {}", files.join(", ")));
        }
        if exception.is_some() {
            others.push("an exception".to_owned());
        }
        let told = |other: String| {
            let message = format!(
                "{id} is later ({later}) and {other}: one of the two is not true: take it out"
            );
            Finding::error(LIST, *line, message)
        };
        others.into_iter().map(told).collect()
    }

    fn is_shown(&self) -> bool {
        !self.tests.is_empty() || !self.scripts.is_empty()
    }
}

/// How many rows are in each state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count([usize; State::ALL.len()]);

impl Count {
    pub(super) fn of<'a>(rows: impl IntoIterator<Item = &'a Judged<'a>>) -> Self {
        let mut count = Self::default();
        for judged in rows {
            count.0[judged.state() as usize] += 1;
        }
        count
    }

    pub(super) fn in_state(self, state: State) -> usize {
        self.0[state as usize]
    }

    pub(super) fn all(self) -> usize {
        self.0.iter().sum()
    }
}

/// `733 rows: 300 tested, 20 implemented, ...`
pub(super) fn summary(judged: &[Judged<'_>]) -> String {
    let count = Count::of(judged);
    let states = State::ALL.map(|state| format!("{} {}", count.in_state(state), state.word()));
    format!("{} rows: {}", count.all(), states.join(", "))
}

#[cfg(test)]
pub(super) mod samples {
    //! A small list and a checkout that cites it, for the tests of the parts.

    use crate::finding::Finding;
    use crate::requirements::{Cited, LIST, List};
    use crate::samples::files;

    /// The list of these rows (id, level, more lines) in section 1, and what these files cite.
    pub(in crate::rfc) fn list_and_cited(
        rows: &[(&str, &str, &str)],
        sources: &[(&str, &str)],
    ) -> (List, Cited) {
        let row = |&(id, level, more): &(&str, &str, &str)| {
            let section = if more.contains("section") { "" } else { "section = 1\n" };
            format!(
                "[[row]]\nid = \"{id}\"\n{section}level = \"{level}\"\ntext = \"a | b\"\n\
                 verified = \"T\"\ntest = \"t\"\n{more}\n"
            )
        };
        let documents = "[[document]]\nrfc = 9293\ntitle = \"TCP\"\nworks = \"much\"\n\
                         [[document]]\nrfc = 7413\ntitle = \"Fast Open\"\n";
        let text = format!(
            "# 1. First: chapter: {} rows\n{documents}{}",
            rows.len(),
            rows.iter().map(row).collect::<String>()
        );
        let mut all = vec![(LIST, text.as_str())];
        all.extend(sources);
        let files = files(&all);
        let mut findings: Vec<Finding> = Vec::new();
        let list = List::of(&files, &mut findings).expect("a list");
        let cited = Cited::of(&files, &list, &mut findings);
        assert_eq!(findings, []);
        (list, cited)
    }
}

#[cfg(test)]
mod tests {
    use super::samples::list_and_cited;
    use super::*;

    const TEST: (&str, &str) =
        ("a/tests/a.rs", "// Shows: 9293 A, 9293 D, 9293 F\n#[test]\nfn holds() {}\n");
    const CODE: (&str, &str) = ("a/src/a.rs", "// Implements: 9293 A, 9293 B, 9293 G\nfn f() {}\n");
    const SCRIPT: (&str, &str) = ("a/scripts/a.pkt", "// Shows: 9293 H\n");

    #[test]
    fn a_row_is_one_thing() {
        let (list, cited) = list_and_cited(
            &[
                ("9293 A", "MUST", ""),
                ("9293 B", "MUST", ""),
                ("9293 C", "MUST", ""),
                ("9293 D", "MUST", "exception = \"Linux\""),
                ("9293 E", "MUST", "later = \"fast open\""),
                ("9293 F", "MUST", ""),
                ("9293 G", "MUST", "exception = \"Linux\""),
                ("9293 H", "MUST", ""),
            ],
            &[TEST, CODE, SCRIPT],
        );
        let judged = judge(&list, &cited);
        let words: String = judged.iter().map(|row| &row.state().word()[..1]).collect();
        assert_eq!(words, "timeltet");
        assert_eq!(judged[0].tests["a/tests/a.rs"], BTreeSet::from(["holds"]));
        assert_eq!(judged[3].tests["a/tests/a.rs"], BTreeSet::from(["holds"]));
        assert!(judged.iter().all(|row| row.contradictions().is_empty()));
        assert_eq!(
            summary(&judged),
            "8 rows: 3 tested, 1 implemented, 2 exception, 1 later, 1 missing"
        );
    }

    #[test]
    fn what_is_later_can_be_nothing_else() {
        let later = "later = \"fast open\"";
        let both = "later = \"fast open\"\nexception = \"Linux\"";
        let (list, cited) = list_and_cited(
            &[
                ("9293 A", "MUST", later),
                ("9293 B", "MUST", later),
                ("9293 C", "MUST", both),
                ("9293 D", "MUST", ""),
                ("9293 F", "MUST", ""),
                ("9293 G", "MUST", ""),
            ],
            &[TEST, CODE],
        );
        let found: Vec<Finding> =
            judge(&list, &cited).iter().flat_map(Judged::contradictions).collect();
        let told: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
        let beginnings = [
            "9293 A is later (fast open) and tested in a/tests/a.rs:",
            "9293 A is later (fast open) and implemented in a/src/a.rs:",
            "9293 B is later (fast open) and implemented in a/src/a.rs:",
            "9293 C is later (fast open) and an exception:",
        ];
        assert_eq!(told.len(), beginnings.len(), "{told:?}");
        for (told, beginning) in told.iter().zip(beginnings) {
            assert!(told.starts_with(beginning), "{told}");
        }
    }
}
