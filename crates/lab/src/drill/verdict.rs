//! What comes of a script: it passes, it fails, or it asks for something that is not there.

use core::fmt;

/// The outcome of one script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything happened as it was written.
    Pass,
    /// Something else happened.
    Fail(Failure),
    /// The script uses what Towpath does not have; its name. Never counted as passed.
    Unsupported(String),
}

/// Why and where a script failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, from 1; 0 if it is no line's fault.
    pub line: u32,
    /// What was expected and what was seen, in one line.
    pub reason: String,
    /// Expected beside seen, and the last packets; empty where there are none.
    pub detail: String,
}

impl Verdict {
    /// The verdict's name: `pass`, `fail` or `unsupported`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "fail",
            Verdict::Unsupported(_) => "unsupported",
        }
    }

    /// Why it is not a pass, in one line.
    pub fn reason(&self) -> String {
        match self {
            Verdict::Pass => String::new(),
            Verdict::Fail(failure) if failure.line == 0 => failure.reason.clone(),
            Verdict::Fail(failure) => format!("line {}: {}", failure.line, failure.reason),
            Verdict::Unsupported(what) => what.clone(),
        }
    }
}

/// Why the play of a script ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something was not as written.
    Fail(String),
    /// The same, with expected and seen to be printed one below the other.
    Mismatch { reason: String, expected: String, seen: String },
    /// Not built; its name.
    Unsupported(String),
}

impl Stop {
    pub(crate) fn fail(reason: impl fmt::Display) -> Stop {
        Stop::Fail(reason.to_string())
    }

    pub(crate) fn unsupported(what: impl fmt::Display) -> Stop {
        Stop::Unsupported(what.to_string())
    }
}
