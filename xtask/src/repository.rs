//! The checkout that the commands work on: where it is, and which files it holds.
//!
//! The list of files is git's: tracked ones, and new ones that are not ignored, so that a file is
//! checked before its first commit. What the files mean is left to `tidy`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// One checkout of the project.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

/// A file of the checkout, with its text.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Repository {
    /// The checkout that this xtask was started from.
    ///
    /// # Errors
    ///
    /// When neither cargo nor the current directory leads to a workspace.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        // Cargo sets the variable for `cargo run`; a binary started by hand is in the checkout.
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => env::current_dir().context("the current directory is gone")?,
        };
        let root = start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => bail!("{} is not inside a checkout of Towpath: go there", start.display()),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Every text file that git tracks or would add, in the order of their paths.
    ///
    /// # Errors
    ///
    /// When git cannot be run, or a file cannot be read.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<SourceFile>> {
        let output = Command::new("git")
            // A checkout made by another user (a container's volume) is fine to list.
            .args(["-c", "safe.directory=*"])
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("git could not be started: install it, the list of files comes from it")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git ls-files failed: {}", said.lines().next().unwrap_or("it said nothing"));
        }
        let listed = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
        let mut paths: Vec<&str> = listed.split_terminator('\0').collect();
        paths.sort_unstable();
        // A file in a merge conflict is listed once per side.
        paths.dedup();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let full = self.root.join(path);
            if !full.is_file() {
                // Deleted, not yet committed.
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("{path} cannot be read"))?;
            // What is not UTF-8 is a picture or a capture: nothing here reads those.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(SourceFile { path: path.to_owned(), text });
            }
        }
        Ok(files)
    }
}

/// The files whose names end so.
pub(crate) fn with_extension<'a>(
    files: &'a [SourceFile],
    extension: &'static str,
) -> impl Iterator<Item = &'a SourceFile> {
    files
        .iter()
        .filter(move |file| file.path.rsplit_once('.').is_some_and(|(_, own)| own == extension))
}

/// The file at this path, if it is there.
pub(crate) fn at_path<'a>(files: &'a [SourceFile], path: &str) -> Option<&'a SourceFile> {
    files.iter().find(|file| file.path == path)
}
