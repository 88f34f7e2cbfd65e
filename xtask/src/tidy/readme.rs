//! The README at the root is the one that the `towpath` crate is published with, to the byte.

use crate::finding::Finding;
use crate::repository::{SourceFile, at_path};

const ROOT: &str = "README.md";
const CRATE: &str = "crates/stream/README.md";

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let finding = match (at_path(files, ROOT), at_path(files, CRATE)) {
        (Some(root), Some(published)) if root.text == published.text => return Vec::new(),
        (Some(root), Some(published)) => {
            let line = first_difference(&root.text, &published.text);
            let message = format!(
                "differs from {CRATE}: both are the project's one README: edit that file and copy it here"
            );
            Finding::error(ROOT, line, message)
        }
        (_, None) => {
            Finding::error(CRATE, 1, "is missing: the crate is published with it: write it")
        }
        (None, Some(_)) => {
            Finding::error(ROOT, 1, format!("is missing: visitors read it first: copy {CRATE}"))
        }
    };
    vec![finding]
}

/// The number of the first line in which the texts differ.
fn first_difference(one: &str, other: &str) -> usize {
    one.lines().zip(other.lines()).take_while(|(a, b)| a == b).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    #[test]
    fn equal_readmes_pass() {
        assert_eq!(check(&files(&[(ROOT, "# A\nb\n"), (CRATE, "# A\nb\n")])), []);
    }

    #[test]
    fn the_first_differing_line_is_named() {
        let found = check(&files(&[(ROOT, "# A\nb\n"), (CRATE, "# A\nc\n")]));
        assert_eq!(places(&found), ["README.md:2"]);
        let found = check(&files(&[(ROOT, "# A\n"), (CRATE, "# A\nc\n")]));
        assert_eq!(places(&found), ["README.md:2"]);
    }

    #[test]
    fn a_missing_readme_is_found() {
        assert_eq!(places(&check(&files(&[(ROOT, "")]))), ["crates/stream/README.md:1"]);
        assert_eq!(places(&check(&files(&[(CRATE, "")]))), ["README.md:1"]);
        assert_eq!(places(&check(&[])), ["crates/stream/README.md:1"]);
    }
}
