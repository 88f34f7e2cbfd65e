//! How a test that cannot run on this machine says so: the three steps of docs/testing.md.

use std::fs::OpenOptions;
use std::io::Write;

use crate::{capture_check, network, socket_statistics};

/// What a test of the third ring may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A network namespace with a TUN interface in it.
    Netns,
    /// The program `tshark`.
    Tshark,
    /// The programs `ip` and `ss`.
    Iproute2,
    /// The program `towpath`, built from this workspace.
    Towpath,
}

impl Need {
    /// The word for it in `TOWPATH_REQUIRE` and in the line of a skip.
    pub fn word(self) -> &'static str {
        match self {
            Need::Netns => "netns",
            Need::Tshark => "tshark",
            Need::Iproute2 => "iproute2",
            Need::Towpath => "towpath",
        }
    }

    /// Whether the programs start here. Where a namespace and `towpath` are to be had, only those
    /// know who use them.
    ///
    /// # Errors
    ///
    /// Why not, and what helps, in one line.
    pub fn find(self) -> Result<(), String> {
        match self {
            Need::Tshark => capture_check::find(),
            Need::Iproute2 => network::find_ip().and_then(|()| socket_statistics::find()),
            Need::Netns | Need::Towpath => Ok(()),
        }
    }
}

/// Says that `test` does not run, and why: the step that failed, its errno, the remedy. The caller
/// returns afterwards.
///
/// # Panics
///
/// When `TOWPATH_REQUIRE` names the need; and when the log cannot be written, because then nobody
/// would count the skip.
pub fn skip(need: Need, test: &str, reason: &str) {
    // One line, whatever the reason has in it.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("SKIPPED ({}): {test}: {reason}", need.word());
    let required = std::env::var("TOWPATH_REQUIRE").unwrap_or_default();
    assert!(!is_required(need, &required), "TOWPATH_REQUIRE={required} forbids: {line}");
    eprintln!("{line}");
    if let Some(log) = std::env::var_os("TOWPATH_SKIP_LOG") {
        let file = OpenOptions::new().append(true).create(true).open(&log);
        // One write: other tests append to the same file.
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.unwrap_or_else(|error| panic!("TOWPATH_SKIP_LOG={}: {error}", log.display()));
    }
}

fn is_required(need: Need, required: &str) -> bool {
    required.split(',').any(|word| word.trim() == need.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_required_by_its_word_in_a_list() {
        for (required, is) in [
            ("", false),
            ("netns", true),
            ("curl, netns", true),
            ("netns2", false),
            ("curl", false),
        ] {
            assert_eq!(is_required(Need::Netns, required), is, "{required:?}");
        }
    }
}
