//! The numbers of socket options: those that the engine has, by the names under which it has them,
//! and those that have no effect here.

pub(super) const SOL_IP: i64 = 0;
pub(super) const SOL_SOCKET: i64 = 1;
pub(super) const SOL_TCP: i64 = 6;
pub(super) const SOL_IPV6: i64 = 41;

/// Level and number of an option, and its name in the engine's `SocketOptions`.
type Named = ((i64, i64), &'static str);

/// The options that are numbers.
pub(super) const NUMBERS: &[Named] = &[
    ((SOL_SOCKET, 7), "SO_SNDBUF"),
    ((SOL_SOCKET, 8), "SO_RCVBUF"),
    ((SOL_SOCKET, 9), "SO_KEEPALIVE"),
    ((SOL_SOCKET, 18), "SO_RCVLOWAT"),
    ((SOL_TCP, 1), "TCP_NODELAY"),
    ((SOL_TCP, 2), "TCP_MAXSEG"),
    ((SOL_TCP, 3), "TCP_CORK"),
    ((SOL_TCP, 4), "TCP_KEEPIDLE"),
    ((SOL_TCP, 5), "TCP_KEEPINTVL"),
    ((SOL_TCP, 6), "TCP_KEEPCNT"),
    ((SOL_TCP, 7), "TCP_SYNCNT"),
    ((SOL_TCP, 8), "TCP_LINGER2"),
    ((SOL_TCP, 9), "TCP_DEFER_ACCEPT"),
    ((SOL_TCP, 10), "TCP_WINDOW_CLAMP"),
    ((SOL_TCP, 12), "TCP_QUICKACK"),
    ((SOL_TCP, 18), "TCP_USER_TIMEOUT"),
    ((SOL_TCP, 25), "TCP_NOTSENT_LOWAT"),
    ((SOL_IP, 1), "IP_TOS"),
    ((SOL_IP, 2), "IP_TTL"),
    ((SOL_IPV6, 16), "IPV6_UNICAST_HOPS"),
    ((SOL_IPV6, 67), "IPV6_TCLASS"),
];

/// Options that change neither packets nor results here, and why.
pub(super) const WITHOUT_EFFECT: &[Named] = &[
    ((SOL_SOCKET, 1), "SO_DEBUG: the kernel's own tracing"),
    ((SOL_SOCKET, 2), "SO_REUSEADDR: an address is free as soon as its listener is closed"),
    ((SOL_SOCKET, 12), "SO_PRIORITY: there is no queueing discipline"),
    ((SOL_SOCKET, 15), "SO_REUSEPORT: a script has one listener for an address"),
    ((SOL_SOCKET, 36), "SO_MARK: there is no firewall and no policy routing"),
    ((SOL_SOCKET, 47), "SO_MAX_PACING_RATE: pfifo does not pace"),
    ((SOL_IP, 11), "IP_RECVERR: only reading the error queue shows it, which is unsupported"),
    ((SOL_IPV6, 25), "IPV6_RECVERR: likewise"),
    ((SOL_IP, 15), "IP_FREEBIND: only addresses that the host has are bound to"),
    ((SOL_IP, 24), "IP_BIND_ADDRESS_NO_PORT: port 0 chooses at connect anyway"),
    ((SOL_IPV6, 26), "IPV6_V6ONLY: packets of the other family do not come"),
    ((SOL_IPV6, 78), "IPV6_FREEBIND: only addresses that the host has are bound to"),
];

/// What `table` has for an option.
pub(super) fn entry(table: &[Named], id: (i64, i64)) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}
