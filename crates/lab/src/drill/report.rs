//! What is printed of scripts that ran: for readers, and as JSON.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::play::Played;
use super::verdict::Verdict;

/// The verdicts of many scripts.
#[derive(Debug, Default)]
pub struct Report {
    verdicts: Vec<(PathBuf, Verdict, Vec<String>)>,
}

impl Report {
    /// Keeps what came of a script, and prints it for readers.
    ///
    /// # Errors
    ///
    /// When nobody takes what is printed.
    pub fn tell(
        &mut self,
        out: &mut dyn io::Write,
        path: &Path,
        played: &Played,
        verbose: bool,
    ) -> io::Result<()> {
        if verbose {
            write!(out, "{}", played.protocol)?;
        }
        let shown = path.display();
        match &played.verdict {
            Verdict::Pass => writeln!(out, "pass         {shown}")?,
            Verdict::Unsupported(what) => writeln!(out, "unsupported  {shown}: {what}")?,
            Verdict::Fail(failure) => {
                writeln!(out, "FAIL         {shown}:{}: {}", failure.line, failure.reason)?;
                for line in played.remarks.iter().map(String::as_str).chain(failure.detail.lines())
                {
                    writeln!(out, "    {line}")?;
                }
            }
        }
        self.keep(path, played);
        Ok(())
    }

    /// Keeps what came of a script.
    pub fn keep(&mut self, path: &Path, played: &Played) {
        let failed = matches!(played.verdict, Verdict::Fail(_));
        let remarks = if failed { played.remarks.clone() } else { Vec::new() };
        self.verdicts.push((path.to_owned(), played.verdict.clone(), remarks));
    }

    /// How many scripts had the verdict of this name.
    pub fn count(&self, name: &str) -> usize {
        self.verdicts.iter().filter(|(_, verdict, _)| verdict.name() == name).count()
    }

    /// The closing line.
    pub fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} unsupported",
            self.count("pass"),
            self.count("fail"),
            self.count("unsupported")
        )
    }

    /// One array with an object for each script: `path`, `verdict`, `reason`.
    pub fn json(&self) -> String {
        let objects: Vec<String> = self
            .verdicts
            .iter()
            .map(|(path, verdict, remarks)| {
                let mut reason = verdict.reason();
                for remark in remarks {
                    let _ = write!(reason, " ({remark})");
                }
                format!(
                    "{{\"path\": {}, \"verdict\": {}, \"reason\": {}}}",
                    quoted(&path.to_string_lossy()),
                    quoted(verdict.name()),
                    quoted(&reason)
                )
            })
            .collect();
        if objects.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", objects.join(",\n")) }
    }
}

/// A JSON string (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::verdict::Failure;

    #[test]
    fn reports_are_json_whatever_the_reason_says() {
        let mut report = Report::default();
        let reason = "a \"b\" \\ c\n\u{1}".to_owned();
        let verdict = Verdict::Fail(Failure { line: 7, reason, detail: String::new() });
        let played = Played { verdict, protocol: String::new(), remarks: vec!["but".to_owned()] };
        report.keep(Path::new("x/y.pkt"), &played);
        assert_eq!(
            report.json(),
            "[\n{\"path\": \"x/y.pkt\", \"verdict\": \"fail\", \
             \"reason\": \"line 7: a \\\"b\\\" \\\\ c\\n\\u0001 (but)\"}\n]"
        );
        assert_eq!(report.summary(), "0 passed, 1 failed, 0 unsupported");
        assert_eq!(Report::default().json(), "[]");
    }
}
