//! `unsafe` lives in the device crate's `sys` module alone, where it can be read in one sitting.
//!
//! The workspace's lints deny it too; this check also sees through an `allow`. That each block
//! says why it is sound is clippy's `undocumented_unsafe_blocks`.

use crate::finding::Finding;
use crate::repository::{SourceFile, with_extension};
use crate::rust_text::RustText;

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let outside = with_extension(files, "rs").filter(|file| !is_home_of_unsafe(&file.path));
    outside.flat_map(check_file).collect()
}

fn is_home_of_unsafe(path: &str) -> bool {
    path == "crates/device/src/sys.rs" || path.starts_with("crates/device/src/sys/")
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let text = RustText::of(&file.text);
    let finding = |line| {
        let message = "`unsafe` outside crates/device/src/sys: it is audited in that one place: \
                       move the call there behind a safe function";
        Finding::error(&file.path, line, message)
    };
    text.lines_with_word("unsafe").map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    #[test]
    fn only_the_sys_module_may_be_unsafe() {
        let code = "//! Head.\n\nfn f() { unsafe { g() } }\n";
        let found = check(&files(&[
            ("crates/device/src/sys.rs", code),
            ("crates/device/src/sys/ioctl.rs", code),
            ("crates/device/src/system.rs", code),
            ("crates/wire/src/lib.rs", code),
        ]));
        assert_eq!(places(&found), ["crates/device/src/system.rs:3", "crates/wire/src/lib.rs:3"]);
    }

    #[test]
    fn words_about_it_are_no_use_of_it() {
        let code = "//! Not unsafe.\n#![forbid(unsafe_code)]\nconst S: &str = \"unsafe\";\n";
        assert_eq!(check(&files(&[("crates/wire/src/lib.rs", code)])), []);
    }
}
