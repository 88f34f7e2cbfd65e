//! What `ss -tino` tells of one of the kernel's sockets: the options that were negotiated, sizes,
//! timers.

use std::process::{Command, Stdio};

use crate::scene::Connection;

/// The words of `ss`, in its order: `ts`, `wscale:7,7`, `mss:1448`.
#[derive(Clone, Debug)]
pub struct Statistics(Vec<String>);

impl Statistics {
    /// Those of the kernel's end of a connection, in the calling thread's network namespace.
    ///
    /// # Panics
    ///
    /// When `ss` cannot be started, or knows no such socket.
    pub fn of(connection: &Connection) -> Statistics {
        let output = Command::new("ss")
            .args(["--tcp", "--info", "--numeric", "--options", "--oneline", "--no-header"])
            .arg(format!("src {} and dst {}", connection.kernels, connection.ours))
            .output()
            .expect("starting ss");
        let text = String::from_utf8_lossy(&output.stdout);
        let statistics = Statistics::from(&*text);
        assert!(
            output.status.success() && !statistics.0.is_empty(),
            "ss knows nothing of {connection:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        statistics
    }

    /// Whether this word stands there alone.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|found| found == word)
    }

    /// What stands behind `name:`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
    }

    /// The number behind `name:`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn number(&self, name: &str) -> u64 {
        let number = self.value(name).and_then(|value| value.parse().ok());
        number.unwrap_or_else(|| panic!("ss has no number {name}: {}", self.0.join(" ")))
    }
}

impl From<&str> for Statistics {
    fn from(line: &str) -> Statistics {
        Statistics(line.split_whitespace().map(str::to_owned).collect())
    }
}

/// Whether `ss` starts here.
///
/// # Errors
///
/// Why not, and what helps, in one line.
pub fn find() -> Result<(), String> {
    match Command::new("ss").arg("-V").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ss -V ended with {status}: install iproute2 anew")),
        Err(error) => Err(format!("starting ss: {error}: install it (package iproute2)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_alone_and_a_value_by_its_name() {
        let line = "ESTAB 0 0 ts sack cubic wscale:7,10 mss:1448 advmss:1460";
        let statistics = Statistics::from(line);
        assert!(statistics.has("ts") && statistics.has("sack") && !statistics.has("wscale"));
        assert_eq!(statistics.value("wscale"), Some("7,10"));
        assert_eq!((statistics.number("mss"), statistics.number("advmss")), (1448, 1460));
        assert_eq!(statistics.value("ms"), None);
    }
}
