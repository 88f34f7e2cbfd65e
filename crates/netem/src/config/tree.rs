//! Settings as a tree of names and texts, which is what the line `rate=100Mbit delay=20ms
//! loss={random=1%,packets=[3,7]}` and a table of a file have in common.
//!
//! Grammar of the line: entries are separated by blanks or commas; an entry is `name=value`, where
//! `a.b=value` is short for `a={b=value}`; a value is a bare text, a text in double quotes, a
//! table `{...}` or a list `[...]`.

use std::fmt;

use super::error::SettingsError;

/// How deep tables and lists may be inside one another; settings need three.
const DEEPEST: usize = 8;

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Table(Table),
    List(Vec<Value>),
}

/// Names with their values, in the order in which they were given, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table(pub(crate) Vec<(String, Value)>);

impl Table {
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Adds an entry, if it says something.
    pub(crate) fn add(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.push((name.to_owned(), value));
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    /// Adds an entry at a dotted path.
    pub(crate) fn insert(&mut self, path: &str, value: Value) -> Result<(), SettingsError> {
        self.insert_below("", path, value)
    }

    fn insert_below(
        &mut self,
        around: &str,
        path: &str,
        value: Value,
    ) -> Result<(), SettingsError> {
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        let full = format!("{around}{name}");
        match (self.get_mut(name), rest) {
            (None, None) => self.0.push((name.to_owned(), value)),
            (None, Some(rest)) => {
                let mut table = Table::default();
                table.insert_below(&format!("{full}."), rest, value)?;
                self.0.push((name.to_owned(), Value::Table(table)));
            }
            (Some(Value::Table(table)), Some(rest)) => {
                table.insert_below(&format!("{full}."), rest, value)?;
            }
            (Some(_), _) => return Err(SettingsError::Twice { setting: full }),
        }
        Ok(())
    }
}

/// Reads a line.
pub(crate) fn read(line: &str) -> Result<Table, SettingsError> {
    let mut reader = Reader { line, at: 0 };
    let table = reader.table(None, 0)?;
    Ok(table)
}

struct Reader<'a> {
    line: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.line.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn step(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn skip_separators(&mut self) {
        while self.peek().is_some_and(|c| c.is_whitespace() || c == ',') {
            self.step();
        }
    }

    fn wrong(&self, what: &'static str) -> SettingsError {
        let before = self.line.get(..self.at).unwrap_or(self.line);
        SettingsError::Syntax { at: before.chars().count() + 1, what }
    }

    /// Entries up to `end`, or up to the end of the line.
    fn table(&mut self, end: Option<char>, depth: usize) -> Result<Table, SettingsError> {
        let mut table = Table::default();
        loop {
            self.skip_separators();
            if self.peek() == end {
                self.step();
                return Ok(table);
            }
            let name = self.word(|c| c == '=');
            if name.is_empty() || name.split('.').any(str::is_empty) {
                return Err(self.wrong("expected a setting: name=value"));
            }
            if name.split('.').count() + depth > DEEPEST {
                return Err(self.wrong("too many tables inside one another"));
            }
            if self.peek() != Some('=') {
                return Err(self.wrong("expected = and a value"));
            }
            self.step();
            let value = self.value(depth)?;
            table.insert(&name, value)?;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, SettingsError> {
        if depth >= DEEPEST {
            return Err(self.wrong("too many tables and lists inside one another"));
        }
        match self.peek() {
            Some('{') => {
                self.step();
                Ok(Value::Table(self.table(Some('}'), depth + 1)?))
            }
            Some('[') => {
                self.step();
                let mut list = Vec::new();
                loop {
                    self.skip_separators();
                    match self.peek() {
                        Some(']') => {
                            self.step();
                            return Ok(Value::List(list));
                        }
                        None => return Err(self.wrong("expected ]")),
                        Some(_) => list.push(self.value(depth + 1)?),
                    }
                }
            }
            Some('"') => {
                self.step();
                let Some(end) = self.rest().find('"') else {
                    return Err(self.wrong("expected \""));
                };
                let text = self.rest().get(..end).unwrap_or("").to_owned();
                self.at += end + 1;
                Ok(Value::Text(text))
            }
            _ => {
                let text = self.word(|_| false);
                if text.is_empty() {
                    return Err(self.wrong("expected a value"));
                }
                Ok(Value::Text(text))
            }
        }
    }

    /// What stands before the next separator, bracket, or `stop`.
    fn word(&mut self, stop: impl Fn(char) -> bool) -> String {
        let ends = |c: char| c.is_whitespace() || ",{}[]\"".contains(c) || stop(c);
        let len = self.rest().find(ends).unwrap_or(self.rest().len());
        let word = self.rest().get(..len).unwrap_or("").to_owned();
        self.at += len;
        word
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_entries(f, self, " ")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Table(table) => {
                f.write_str("{")?;
                write_entries(f, table, ",")?;
                f.write_str("}")
            }
            Value::List(list) => {
                f.write_str("[")?;
                for (place, value) in list.iter().enumerate() {
                    let separator = if place == 0 { "" } else { "," };
                    write!(f, "{separator}{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

fn write_entries(f: &mut fmt::Formatter<'_>, table: &Table, between: &str) -> fmt::Result {
    for (place, (name, value)) in table.0.iter().enumerate() {
        let separator = if place == 0 { "" } else { between };
        write!(f, "{separator}{name}={value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_and_is_written_in_one_form() {
        for (line, written) in [
            ("", ""),
            ("a=1", "a=1"),
            ("  a=1,b=x%  c.d=2 c.e=3 ", "a=1 b=x% c={d=2,e=3}"),
            ("l=[ 1-3, 7 ] t={a={b=[{c=1}]}}", "l=[1-3,7] t={a={b=[{c=1}]}}"),
            ("q=\"100 packets\"", "q=100 packets"),
            ("e={} f=[]", "e={} f=[]"),
        ] {
            assert_eq!(read(line).expect(line).to_string(), written, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let deep = format!("a={}", "[".repeat(100));
        let dotted = "a.".repeat(100) + "b=1";
        for (line, error) in [
            ("rate", "at character 5: expected = and a value"),
            ("rate=", "at character 6: expected a value"),
            ("rate= 5", "at character 6: expected a value"),
            ("=5", "at character 1: expected a setting: name=value"),
            ("a.=5", "at character 3: expected a setting: name=value"),
            ("a=1 b={c=1", "at character 11: expected a setting: name=value"),
            ("a=1 }", "at character 5: expected a setting: name=value"),
            ("a=[1", "at character 5: expected ]"),
            ("ä=\"1", "at character 4: expected \""),
            ("a=1 a=2", "a is given twice"),
            ("a.b=1 a.b=2", "a.b is given twice"),
            ("a.b=1 a=2", "a is given twice"),
            ("a=1 a.b=2", "a is given twice"),
            (&deep, "at character 11: too many tables and lists inside one another"),
            (&dotted, "at character 202: too many tables inside one another"),
        ] {
            assert_eq!(read(line).expect_err(line).to_string(), error, "{line}");
        }
    }
}
