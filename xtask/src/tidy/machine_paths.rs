//! No file names a path that exists on one machine only.

use crate::finding::Finding;
use crate::repository::SourceFile;

/// Top folders that hold what one user or one machine has.
const PRIVATE_ROOTS: &[&str] = &["Users", "home", "root", "tmp", "work"];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(root) = private_root(line) {
                let message = format!(
                    "a path under /{root}: it is one machine's own: write it relative to the \
                     checkout, or ask for a temporary directory"
                );
                findings.push(Finding::error(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// The private folder that an absolute path in this line begins with.
fn private_root(line: &str) -> Option<&'static str> {
    line.match_indices('/').find_map(|(offset, _)| {
        // In `a/home`, `~/tmp`, `https://home` and `*/tmp` the slash begins no absolute path.
        let before = line[..offset].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "._-~/*)}>$<".contains(c)) {
            return None;
        }
        let path = &line[offset + 1..];
        let is_first_part = |root: &&&str| {
            path.strip_prefix(**root)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        PRIVATE_ROOTS.iter().find(is_first_part).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    /// Written apart, because this file is checked too.
    fn under(root: &str) -> String {
        format!("/{root}")
    }

    #[test]
    fn absolute_private_paths_are_found() {
        for root in PRIVATE_ROOTS {
            for line in [
                format!("see {}/x.txt", under(root)),
                format!("(\"{}\")", under(root)),
                format!("{}: here", under(root)),
                format!("DIR={}/a", under(root)),
            ] {
                let found = check(&files(&[("README.md", &format!("first\n{line}\n"))]));
                assert_eq!(places(&found), ["README.md:2"], "{line}");
            }
        }
    }

    #[test]
    fn relative_and_public_paths_pass() {
        let text = "a/work and ./home and https://home.example/ and \
                    /dev/net/tun, /proc/net/tcp, //! /worker, /tmp_like, target/tmp/x, either/or";
        assert_eq!(check(&files(&[("a.md", text)])), []);
    }
}
