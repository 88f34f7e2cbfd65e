//! wire, engine and netem read no clock and no random source, and do no I/O: time, randomness and
//! secrets are arguments, so that every exchange can be replayed to the bit.
//!
//! A textual search in their `src` folders, unit tests included, and a look at their
//! dependencies. crates/engine/clippy.toml asks the compiler the same question again, through
//! aliases and re-exports.

use crate::finding::Finding;
use crate::repository::{SourceFile, with_extension};
use crate::rust_text::{RustText, word_offsets};
use crate::tidy::manifest::manifests;

const FOLDERS: &[&str] = &["crates/wire/src/", "crates/engine/src/", "crates/netem/src/"];
const PACKAGES: &[&str] = &["towpath-wire", "towpath-engine", "towpath-netem"];

/// Words that mean a clock, a random source or I/O wherever they stand in code.
const FOREIGN_WORDS: &[(&str, &str)] = &[
    ("SystemTime", "a clock"),
    ("UNIX_EPOCH", "a clock"),
    ("RandomState", "a random source"),
    ("getrandom", "a random source"),
    ("fastrand", "a random source"),
    ("thread_rng", "a random source"),
    ("OsRng", "a random source"),
    ("tokio", "I/O and a clock"),
    ("mio", "I/O"),
];

/// Standard types and functions that mean the same, by the module that they are in.
const FOREIGN_PATHS: &[(&str, &str, &str)] = &[
    ("time", "Instant", "a clock"),
    ("thread", "sleep", "a clock"),
    ("thread", "spawn", "a thread"),
    ("net", "TcpStream", "I/O"),
    ("net", "TcpListener", "I/O"),
    ("net", "UdpSocket", "I/O"),
    ("std", "fs", "I/O"),
];

/// Packages that bring a clock, randomness or I/O.
const FOREIGN_PACKAGES: &[&str] = &[
    "tokio",
    "mio",
    "futures",
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "socket2",
    "tokio-tun",
];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let inside = |file: &&SourceFile| FOLDERS.iter().any(|folder| file.path.starts_with(folder));
    let mut findings: Vec<Finding> =
        with_extension(files, "rs").filter(inside).flat_map(check_file).collect();
    // A manifest that cannot be read is found by the check of directions.
    let (manifests, _) = manifests(files);
    for manifest in manifests.iter().filter(|m| PACKAGES.contains(&m.package.as_str())) {
        for dependency in &manifest.dependencies {
            if FOREIGN_PACKAGES.contains(&dependency.package.as_str()) {
                let what = format!("a dependency on {}", dependency.package);
                findings.push(finding(&manifest.path, dependency.line, &what));
            }
        }
    }
    findings
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let text = RustText::of(&file.text);
    let mut findings = Vec::new();
    for (word, what) in FOREIGN_WORDS {
        let lines = text.lines_with_word(word);
        findings.extend(lines.map(|line| finding(&file.path, line, &format!("{what} (`{word}`)"))));
    }
    for (module, item, what) in FOREIGN_PATHS {
        for offset in path_offsets(&text.code, module, item) {
            let what = format!("{what} (`{module}::{item}`)");
            findings.push(finding(&file.path, text.line_of(offset), &what));
        }
    }
    findings
}

fn finding(path: &str, line: usize, what: &str) -> Finding {
    let message = format!(
        "{what} in a crate without any: an exchange could not be replayed: take it as an argument"
    );
    Finding::error(path, line, message)
}

/// Where `module::item` stands, written out or as `module::{.., item, ..}`.
fn path_offsets(code: &str, module: &str, item: &str) -> Vec<usize> {
    let mut offsets = Vec::new();
    for start in word_offsets(code, module) {
        let after = start + module.len();
        let Some(path) = code[after..].trim_start().strip_prefix("::") else { continue };
        let path = path.trim_start();
        let begin = code.len() - path.len();
        // A path that goes on leaves the module: `time::{self, x::Instant}` is none of ours.
        let names = match path.strip_prefix('{') {
            Some(group) => group_length(group).map_or(group, |length| &group[..length]),
            None => {
                &path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())]
            }
        };
        let base = begin + usize::from(path.starts_with('{'));
        let own = |&offset: &usize| !names[..offset].trim_end().ends_with("::");
        offsets.extend(word_offsets(names, item).filter(own).map(|offset| base + offset));
    }
    offsets
}

/// The length of a `{...}` group whose opening brace is already taken.
fn group_length(group: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(offset);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    fn check_engine(code: &str) -> Vec<Finding> {
        check(&files(&[("crates/engine/src/a.rs", code)]))
    }

    #[test]
    fn clocks_random_sources_and_io_are_found_on_their_line() {
        for code in [
            "use std::time::Instant;",
            "use std::time::{Duration, Instant};",
            "use std::{fmt, time::{Duration, Instant as Clock}};",
            "use core::{\n};\nlet t = std::time::SystemTime::now();",
            "use std::time;\nfn f(t: time::Instant) {}",
            "use tokio::time::sleep;",
            "let k = getrandom::fill(&mut key);",
            "let r = rand::thread_rng();",
            "use std::hash::RandomState;",
            "std :: thread :: sleep(d);",
            "use std::net::{IpAddr, UdpSocket};",
            "let f = std::fs::read(p);",
        ] {
            let found = check_engine(&format!("//! Head.\n{code}\n"));
            assert!(!found.is_empty(), "{code}");
            let last = 2 + code.matches('\n').count();
            assert_eq!(found[0].line, last, "{code}: {}", found[0].message);
        }
    }

    #[test]
    fn our_own_instant_durations_addresses_and_prose_pass() {
        let code = "//! Never tokio, never SystemTime.\n\
                    use std::time::Duration;\n\
                    use std::net::{IpAddr, Ipv4Addr};\n\
                    use crate::instant::Instant; // not std::time::Instant\n\
                    use crate::{time::{Time, own::Instant}, thread::sleep_until_due};\n\
                    fn f(now: Instant, spawn: u8) -> &'static str { \"tokio\" }\n";
        assert_eq!(check_engine(code), []);
    }

    #[test]
    fn other_crates_may_read_clocks() {
        let code = "use std::time::Instant;";
        assert_eq!(check(&files(&[("crates/stream/src/a.rs", code)])), []);
        assert_eq!(check(&files(&[("crates/wire/benches/a.rs", code)])), []);
    }

    #[test]
    fn a_dependency_that_brings_them_is_found_but_not_one_of_tests() {
        let manifest = "[package]\nname = \"towpath-netem\"\n[dependencies]\nrand = \"0.10\"\n\
                        [dev-dependencies]\ntokio = \"1\"\n";
        let found = check(&files(&[("crates/netem/Cargo.toml", manifest)]));
        assert_eq!(places(&found), ["crates/netem/Cargo.toml:4"]);
    }
}
