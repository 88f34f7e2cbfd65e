//! What a process holds of the system: file descriptors, and the interfaces of its network
//! namespace. Taken before and after, it shows what was left behind.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// Descriptors by what they point to, and names of interfaces; both sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// What each descriptor points to. Numbers of sockets and pipes are left out: who is replaced
    /// by one of its kind is not missed.
    pub descriptors: Vec<String>,
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// The network namespace.
    pub namespace: String,
}

/// How long what goes by itself may take to go.
const SETTLE: Duration = Duration::from_secs(5);

impl Inventory {
    /// Looks now. Counts are exact only while no other thread opens or closes anything.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn take() -> io::Result<Inventory> {
        let mut descriptors = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            // The directory's own descriptor is closed again, and has no target then.
            if let Ok(target) = fs::read_link(entry?.path()) {
                let target = target.to_string_lossy();
                descriptors.push(target.split(":[").next().unwrap_or_default().to_owned());
            }
        }
        descriptors.sort_unstable();
        // Two lines of heading, then `name: numbers`.
        let mut interfaces: Vec<_> = fs::read_to_string("/proc/self/net/dev")?
            .lines()
            .skip(2)
            .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
            .collect();
        interfaces.sort_unstable();
        let namespace = fs::read_link("/proc/self/ns/net")?.to_string_lossy().into_owned();
        Ok(Inventory { descriptors, interfaces, namespace })
    }

    /// Checks that everything is as `self` says again, or becomes so soon.
    ///
    /// # Panics
    ///
    /// When it does not, or `/proc` cannot be read.
    pub fn assert_restored(&self) {
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = Inventory::take().expect("reading /proc");
            if now == *self {
                return;
            }
            assert!(Instant::now() < deadline, "left behind:\nbefore {self:?}\nafter  {now:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_the_namespace_are_seen() {
        let inventory = Inventory::take().unwrap();
        assert!(inventory.interfaces.iter().any(|name| name == "lo"), "{inventory:?}");
        assert!(inventory.namespace.starts_with("net:["), "{inventory:?}");
    }
}
