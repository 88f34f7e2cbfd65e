//! From files to verdicts: scripts are found, read and played, each by itself; what one of them
//! breaks, a panic of the engine among it, is that script's failure.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::parse::{Definitions, parse};
use super::play::{InitialNumbers, Played, play};
use super::settings::{Refused, Settings};
use super::verdict::{Failure, Verdict};

/// What the runners of Linux's own scripts define for each of them over IPv4, unless the command
/// line defines it otherwise: the cookies belong to the key that those scripts set.
const USUAL_DEFINITIONS: [(&str, &str); 4] = [
    ("TFO_COOKIE", "3021b9d889017eeb"),
    ("TFO_COOKIE_ZERO", "b7c12350a90dc8f5"),
    ("CMSG_LEVEL_IP", "SOL_IP"),
    ("CMSG_TYPE_RECVERR", "IP_RECVERR"),
];

/// How scripts are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command line's options, which win over a script's: name without dashes, and value.
    pub command_line: Vec<(String, Option<String>)>,
    /// Words that stand for others.
    pub definitions: Definitions,
    /// Where the first connection's numbers begin.
    pub numbers: InitialNumbers,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            command_line: Vec::new(),
            definitions: USUAL_DEFINITIONS.into_iter().collect(),
            numbers: InitialNumbers::AS_WRITTEN,
        }
    }
}

/// The scripts (`*.pkt`) that `paths` name: files as they are, folders with all that is below them,
/// in the order of their names.
///
/// # Errors
///
/// A path that cannot be read.
pub fn scripts_in(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() { below(path, &mut found)? } else { found.push(path.clone()) }
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() && !entry.is_symlink() {
            below(&entry, found)?;
        } else if entry.extension().is_some_and(|extension| extension == "pkt") {
            found.push(entry);
        }
    }
    Ok(())
}

/// Runs one file. What is no regular file is not opened: a pipe would never end.
pub fn run_file(path: &Path, options: &Options) -> Played {
    if !path.is_file() {
        return failed(0, "cannot be read: it is no file".to_owned());
    }
    match fs::read(path) {
        Ok(bytes) => run_text(&String::from_utf8_lossy(&bytes), options),
        Err(why) => failed(0, format!("cannot be read: {why}")),
    }
}

/// Runs the text of one script.
pub fn run_text(text: &str, options: &Options) -> Played {
    let attempt = catch_unwind(AssertUnwindSafe(|| run_unguarded(text, options)));
    attempt.unwrap_or_else(|payload| {
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        failed(0, format!("panic: {}", said.unwrap_or("without words")))
    })
}

fn run_unguarded(text: &str, options: &Options) -> Played {
    let script = match parse(text, &options.definitions) {
        Ok(script) => script,
        Err(why) => return failed(why.line, format!("cannot be parsed: {}", why.message)),
    };
    let mut settings = Settings::default();
    let mut all = script.options.iter().chain(&options.command_line);
    let taken = all
        .try_for_each(|(name, value)| settings.set(name, value.as_deref()))
        .and_then(|()| settings.validate());
    match taken {
        Err(Refused::Wrong(what)) => failed(0, what),
        Err(Refused::Unsupported(what)) => played(Verdict::Unsupported(what)),
        Ok(()) if settings.dry_run => played(Verdict::Pass),
        Ok(()) => play(&script, &settings, options.numbers),
    }
}

fn failed(line: u32, reason: String) -> Played {
    played(Verdict::Fail(Failure { line, reason, detail: String::new() }))
}

fn played(verdict: Verdict) -> Played {
    Played { verdict, protocol: String::new(), remarks: Vec::new() }
}
