//! What is not built is said by its name, and never passes.

use crate::{PLAIN, passes, unsupported};

#[test]
fn calls_options_and_flags_that_are_not_built_are_named() {
    for (event, what) in [
        ("+0 vmsplice(3, ..., 1, 0) = 10", "call vmsplice"),
        ("+0 open(\"/etc/passwd\", O_RDONLY) = 5", "the file /etc/passwd"),
        (
            "+0 setsockopt(4, SOL_SOCKET, SO_TIMESTAMPING, [SOF_TIMESTAMPING_RX_SOFTWARE], 4) = 0",
            "SO_TIMESTAMPING with 0x8",
        ),
        ("+0 setsockopt(3, SOL_TCP, TCP_FASTOPEN, [5], 4) = 0", "TCP_FASTOPEN"),
        ("+0 setsockopt(4, SOL_TCP, TCP_NO_SUCH_THING, [5], 4) = 0", "TCP_NO_SUCH_THING"),
        ("+0 getsockopt(4, SOL_TCP, TCP_ULP, [5], [4]) = 0", "TCP_ULP"),
        ("+0 send(4, ..., 10, MSG_CONFIRM) = 10", "MSG_CONFIRM"),
        ("+0 recv(4, ..., 10, MSG_ERRQUEUE) = 10", "MSG_ERRQUEUE"),
        ("+0 ioctl(4, FIOASYNC, [0]) = 0", "ioctl"),
        ("+0 `sysctl -q net.ipv4.tcp_no_such_thing=1`", "sysctl tcp_no_such_thing=1"),
        ("+0 `sysctl -q net.ipv4.tcp_congestion_control=vegas`", "tcp_congestion_control=vegas"),
        ("+0 `ip route add 10.0.0.0/8 dev tun0 initrwnd 5`", "command `ip route add"),
        ("+0 `tc qdisc add dev tun0 root pfifo limit 0`", "command `tc qdisc add"),
        ("+0 %{ assert tcpi_no_such_thing == 1 }%", "tcpi_no_such_thing"),
        ("+0 > udp (10)", "not TCP"),
        ("+0 < udp (10)", "udp"),
    ] {
        unsupported(PLAIN, &format!("  {event}"), what);
    }
}

#[test]
fn options_of_scripts_that_are_not_built_are_named() {
    unsupported("--is_anyip\n", PLAIN, "--is_anyip");
}

#[test]
fn what_has_no_effect_is_taken() {
    for event in [
        "+0 setsockopt(4, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0",
        "+0 setsockopt(4, SOL_SOCKET, SO_PRIORITY, [1], 4) = 0",
        "+0 `sysctl -q net.ipv4.tcp_fack=0`",
        "+0 `ip tcp_metrics flush all > /dev/null 2>&1`",
        "+0 `tc qdisc add dev tun0 root pfifo`",
        "+0 `./sysctl_restore_${PPID}.sh`",
    ] {
        passes(PLAIN, &format!("  {event}"));
    }
}
