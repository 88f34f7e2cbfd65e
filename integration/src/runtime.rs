//! The two runtimes on which every scenario is played.

use std::fmt;
use std::io;

use tokio::runtime::{Builder, Runtime};

/// A kind of tokio runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// One thread does everything.
    CurrentThread,
    /// Four workers, on however few processors.
    FourWorkers,
}

impl Flavour {
    /// Both.
    pub const ALL: [Flavour; 2] = [Flavour::CurrentThread, Flavour::FourWorkers];

    /// Its word, in names of files and in the environment.
    pub fn word(self) -> &'static str {
        match self {
            Flavour::CurrentThread => "current-thread",
            Flavour::FourWorkers => "four-workers",
        }
    }

    /// The flavour of this word.
    pub fn from_word(word: &str) -> Option<Flavour> {
        Flavour::ALL.into_iter().find(|flavour| flavour.word() == word)
    }

    /// A runtime of this kind.
    ///
    /// # Errors
    ///
    /// When the system gives no threads or files.
    pub fn build(self) -> io::Result<Runtime> {
        let mut builder = match self {
            Flavour::CurrentThread => Builder::new_current_thread(),
            Flavour::FourWorkers => Builder::new_multi_thread(),
        };
        if self == Flavour::FourWorkers {
            builder.worker_threads(4);
        }
        builder.enable_all().build()
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
