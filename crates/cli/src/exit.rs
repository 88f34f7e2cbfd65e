//! How a command fails: one line, and a code that says whether it had begun.

use std::fmt;
use std::process::ExitCode;

/// The call, or something about the system, was wrong from the beginning.
pub(crate) const REFUSED: u8 = 2;

/// Something went wrong after the beginning.
const FAILED: u8 = 1;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    line: String,
    code: u8,
}

impl Failure {
    /// Before anything was begun.
    pub(crate) fn refused(what: impl fmt::Display) -> Failure {
        Failure { line: one_line(&what.to_string()), code: REFUSED }
    }

    /// After the beginning.
    pub(crate) fn failed(what: impl fmt::Display) -> Failure {
        Failure { line: one_line(&what.to_string()), code: FAILED }
    }

    /// Says it, and gives the code to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("towpath: {}", self.line);
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
