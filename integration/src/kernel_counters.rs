//! What the kernel counts in the calling thread's network namespace: `/proc/thread-self/net/snmp`
//! and `netstat`, by the names that nstat(8) has for them.

use std::fs;

/// The counter `name` of `group`: `("TcpExt", "DelayedACKs")`.
///
/// # Panics
///
/// When there is none of this name, or `/proc` cannot be read.
pub fn read(group: &str, name: &str) -> u64 {
    let found = ["snmp", "netstat"].into_iter().find_map(|table| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}"));
        find(&text.expect("reading /proc"), group, name)
    });
    found.unwrap_or_else(|| panic!("the kernel counts no {group}{name}"))
}

/// Lines come in pairs, `Group: name name ..` and `Group: value value ..`.
fn find(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    // MaxConn is negative: no limit.
    pairs.find(|(found, _)| *found == name)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_group_and_name() {
        let text = "Tcp: MaxConn InSegs\nTcp: -1 70\nTcpExt: TW InSegs\nTcpExt: 3 4\n";
        assert_eq!(find(text, "Tcp", "InSegs"), Some(70));
        assert_eq!(find(text, "TcpExt", "InSegs"), Some(4));
        assert_eq!(find(text, "TcpExt", "TW"), Some(3));
        assert_eq!(find(text, "Tcp", "TW"), None);
        assert_eq!(find(text, "Udp", "InSegs"), None);
    }

    #[test]
    fn the_kernel_counts_segments() {
        read("Tcp", "InSegs");
        read("TcpExt", "DelayedACKs");
    }
}
