//! The names that scripts use for numbers, with the values that Linux gives them on x86-64.
//!
//! Facts of Linux's interface to programs; whether a call knows what to do with a value is the
//! player's business.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What `name` stands for in a call; an error's name is its number, as in `[ECONNREFUSED]` for
/// `SO_ERROR`.
pub fn constant(name: &str) -> Option<i64> {
    static TABLE: LazyLock<HashMap<&str, i64>> =
        LazyLock::new(|| CONSTANTS.iter().flat_map(|group| group.iter().copied()).collect());
    TABLE.get(name).copied().or_else(|| errno(name).map(i64::from))
}

/// The number of an error.
pub fn errno(name: &str) -> Option<i32> {
    ERRORS.iter().find(|&&(known, _)| known == name).map(|&(_, number)| number)
}

/// The name of an error; where there are two, the one that manual pages prefer.
pub fn errno_name(number: i32) -> Option<&'static str> {
    ERRORS.iter().find(|&&(_, known)| known == number).map(|&(name, _)| name)
}

const CONSTANTS: &[&[(&str, i64)]] =
    &[SOCKETS, SOCKET_OPTIONS, TCP, TCP_STATES, IP, IPV6, FILES, POLLING, ERROR_QUEUE];

#[rustfmt::skip]
const SOCKETS: &[(&str, i64)] = &[
    ("NULL", 0), ("INADDR_ANY", 0), ("INADDR_LOOPBACK", 0x7f00_0001), ("SOMAXCONN", 4096),
    ("AF_UNSPEC", 0), ("AF_UNIX", 1), ("AF_LOCAL", 1), ("AF_INET", 2), ("AF_INET6", 10),
    ("AF_NETLINK", 16), ("AF_PACKET", 17),
    ("PF_UNSPEC", 0), ("PF_UNIX", 1), ("PF_LOCAL", 1), ("PF_INET", 2), ("PF_INET6", 10),
    ("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_RAW", 3), ("SOCK_RDM", 4),
    ("SOCK_SEQPACKET", 5), ("SOCK_DCCP", 6), ("SOCK_PACKET", 10),
    ("SOCK_NONBLOCK", 0x800), ("SOCK_CLOEXEC", 0x8_0000),
    ("IPPROTO_IP", 0), ("IPPROTO_ICMP", 1), ("IPPROTO_IPIP", 4), ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17), ("IPPROTO_DCCP", 33), ("IPPROTO_IPV6", 41), ("IPPROTO_GRE", 47),
    ("IPPROTO_ESP", 50), ("IPPROTO_AH", 51), ("IPPROTO_ICMPV6", 58), ("IPPROTO_SCTP", 132),
    ("IPPROTO_UDPLITE", 136), ("IPPROTO_RAW", 255), ("IPPROTO_MPTCP", 262),
    ("SOL_IP", 0), ("SOL_SOCKET", 1), ("SOL_TCP", 6), ("SOL_UDP", 17), ("SOL_IPV6", 41),
    ("SOL_ICMPV6", 58), ("SOL_SCTP", 132), ("SOL_UDPLITE", 136), ("SOL_RAW", 255),
    ("SHUT_RD", 0), ("SHUT_WR", 1), ("SHUT_RDWR", 2),
    ("MSG_OOB", 1), ("MSG_PEEK", 2), ("MSG_DONTROUTE", 4), ("MSG_TRYHARD", 4),
    ("MSG_CTRUNC", 8), ("MSG_PROBE", 0x10), ("MSG_TRUNC", 0x20), ("MSG_DONTWAIT", 0x40),
    ("MSG_EOR", 0x80), ("MSG_WAITALL", 0x100), ("MSG_FIN", 0x200), ("MSG_SYN", 0x400),
    ("MSG_CONFIRM", 0x800), ("MSG_RST", 0x1000), ("MSG_ERRQUEUE", 0x2000),
    ("MSG_NOSIGNAL", 0x4000), ("MSG_MORE", 0x8000), ("MSG_WAITFORONE", 0x1_0000),
    ("MSG_BATCH", 0x4_0000), ("MSG_SOCK_DEVMEM", 0x200_0000), ("MSG_ZEROCOPY", 0x400_0000),
    ("MSG_FASTOPEN", 0x2000_0000), ("MSG_CMSG_CLOEXEC", 0x4000_0000),
];

#[rustfmt::skip]
const SOCKET_OPTIONS: &[(&str, i64)] = &[
    ("SO_DEBUG", 1), ("SO_REUSEADDR", 2), ("SO_TYPE", 3), ("SO_ERROR", 4),
    ("SO_DONTROUTE", 5), ("SO_BROADCAST", 6), ("SO_SNDBUF", 7), ("SO_RCVBUF", 8),
    ("SO_KEEPALIVE", 9), ("SO_OOBINLINE", 10), ("SO_NO_CHECK", 11), ("SO_PRIORITY", 12),
    ("SO_LINGER", 13), ("SO_BSDCOMPAT", 14), ("SO_REUSEPORT", 15), ("SO_PASSCRED", 16),
    ("SO_PEERCRED", 17), ("SO_RCVLOWAT", 18), ("SO_SNDLOWAT", 19),
    ("SO_RCVTIMEO", 20), ("SO_RCVTIMEO_OLD", 20), ("SO_SNDTIMEO", 21), ("SO_SNDTIMEO_OLD", 21),
    ("SO_BINDTODEVICE", 25), ("SO_ATTACH_FILTER", 26), ("SO_GET_FILTER", 26),
    ("SO_DETACH_FILTER", 27), ("SO_DETACH_BPF", 27), ("SO_PEERNAME", 28),
    ("SO_TIMESTAMP", 29), ("SO_TIMESTAMP_OLD", 29), ("SO_ACCEPTCONN", 30), ("SO_PEERSEC", 31),
    ("SO_SNDBUFFORCE", 32), ("SO_RCVBUFFORCE", 33), ("SO_PASSSEC", 34),
    ("SO_TIMESTAMPNS", 35), ("SO_TIMESTAMPNS_OLD", 35), ("SO_MARK", 36),
    ("SO_TIMESTAMPING", 37), ("SO_TIMESTAMPING_OLD", 37), ("SO_PROTOCOL", 38),
    ("SO_DOMAIN", 39), ("SO_RXQ_OVFL", 40), ("SO_WIFI_STATUS", 41), ("SO_PEEK_OFF", 42),
    ("SO_NOFCS", 43), ("SO_LOCK_FILTER", 44), ("SO_SELECT_ERR_QUEUE", 45),
    ("SO_BUSY_POLL", 46), ("SO_MAX_PACING_RATE", 47), ("SO_BPF_EXTENSIONS", 48),
    ("SO_INCOMING_CPU", 49), ("SO_ATTACH_BPF", 50), ("SO_ATTACH_REUSEPORT_CBPF", 51),
    ("SO_ATTACH_REUSEPORT_EBPF", 52), ("SO_CNX_ADVICE", 53), ("SO_MEMINFO", 55),
    ("SO_INCOMING_NAPI_ID", 56), ("SO_COOKIE", 57), ("SO_PEERGROUPS", 59),
    ("SO_ZEROCOPY", 60), ("SO_TXTIME", 61), ("SO_BINDTOIFINDEX", 62),
    ("SO_TIMESTAMP_NEW", 63), ("SO_TIMESTAMPNS_NEW", 64), ("SO_TIMESTAMPING_NEW", 65),
    ("SO_RCVTIMEO_NEW", 66), ("SO_SNDTIMEO_NEW", 67), ("SO_DETACH_REUSEPORT_BPF", 68),
    ("SO_PREFER_BUSY_POLL", 69), ("SO_BUSY_POLL_BUDGET", 70), ("SO_NETNS_COOKIE", 71),
    ("SO_BUF_LOCK", 72), ("SO_RESERVE_MEM", 73), ("SO_TXREHASH", 74), ("SO_RCVMARK", 75),
    ("SO_PASSPIDFD", 76), ("SO_PEERPIDFD", 77), ("SO_DEVMEM_LINEAR", 78),
    ("SO_DEVMEM_DMABUF", 79), ("SO_DEVMEM_DONTNEED", 80), ("SO_RCVPRIORITY", 82),
    ("SO_PASSRIGHTS", 83), ("SO_INQ", 84),
    ("SCM_RIGHTS", 1), ("SCM_CREDENTIALS", 2), ("SCM_SECURITY", 3), ("SCM_PIDFD", 4),
    ("SCM_TIMESTAMP", 29), ("SCM_TIMESTAMPNS", 35), ("SCM_TIMESTAMPING", 37),
    ("SCM_WIFI_STATUS", 41), ("SCM_TIMESTAMPING_OPT_STATS", 54),
    ("SCM_TIMESTAMPING_PKTINFO", 58), ("SCM_TXTIME", 61), ("SCM_DEVMEM_LINEAR", 78),
    ("SCM_DEVMEM_DMABUF", 79), ("SCM_TS_OPT_ID", 81), ("SCM_INQ", 84),
];

#[rustfmt::skip]
const TCP: &[(&str, i64)] = &[
    ("TCP_NODELAY", 1), ("TCP_MAXSEG", 2), ("TCP_CORK", 3), ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6), ("TCP_SYNCNT", 7), ("TCP_LINGER2", 8),
    ("TCP_DEFER_ACCEPT", 9), ("TCP_WINDOW_CLAMP", 10), ("TCP_INFO", 11),
    ("TCP_QUICKACK", 12), ("TCP_CONGESTION", 13), ("TCP_MD5SIG", 14),
    ("TCP_COOKIE_TRANSACTIONS", 15), ("TCP_THIN_LINEAR_TIMEOUTS", 16), ("TCP_THIN_DUPACK", 17),
    ("TCP_USER_TIMEOUT", 18), ("TCP_REPAIR", 19), ("TCP_REPAIR_QUEUE", 20),
    ("TCP_QUEUE_SEQ", 21), ("TCP_REPAIR_OPTIONS", 22), ("TCP_FASTOPEN", 23),
    ("TCP_TIMESTAMP", 24), ("TCP_NOTSENT_LOWAT", 25), ("TCP_CC_INFO", 26),
    ("TCP_SAVE_SYN", 27), ("TCP_SAVED_SYN", 28), ("TCP_REPAIR_WINDOW", 29),
    ("TCP_FASTOPEN_CONNECT", 30), ("TCP_ULP", 31), ("TCP_MD5SIG_EXT", 32),
    ("TCP_FASTOPEN_KEY", 33), ("TCP_FASTOPEN_NO_COOKIE", 34), ("TCP_ZEROCOPY_RECEIVE", 35),
    ("TCP_INQ", 36), ("TCP_CM_INQ", 36), ("TCP_TX_DELAY", 37), ("TCP_AO_ADD_KEY", 38),
    ("TCP_AO_DEL_KEY", 39), ("TCP_AO_INFO", 40), ("TCP_AO_GET_KEYS", 41),
    ("TCP_AO_REPAIR", 42), ("TCP_IS_MPTCP", 43), ("TCP_RTO_MAX_MS", 44),
    ("TCP_RTO_MIN_US", 45), ("TCP_DELACK_MAX_US", 46),
    ("TCP_REPAIR_ON", 1), ("TCP_REPAIR_OFF", 0), ("TCP_REPAIR_OFF_NO_WP", -1),
    ("TCP_NO_QUEUE", 0), ("TCP_RECV_QUEUE", 1), ("TCP_SEND_QUEUE", 2),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff), ("TCP_MSS_DEFAULT", 536), ("TCP_MSS_DESIRED", 1220),
    ("TCP_MD5SIG_MAXKEYLEN", 80), ("TCP_MD5SIG_FLAG_PREFIX", 1), ("TCP_MD5SIG_FLAG_IFINDEX", 2),
];

#[rustfmt::skip]
const TCP_STATES: &[(&str, i64)] = &[
    ("TCP_ESTABLISHED", 1), ("TCP_SYN_SENT", 2), ("TCP_SYN_RECV", 3), ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5), ("TCP_TIME_WAIT", 6), ("TCP_CLOSE", 7), ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9), ("TCP_LISTEN", 10), ("TCP_CLOSING", 11), ("TCP_NEW_SYN_RECV", 12),
    ("TCP_BOUND_INACTIVE", 13),
    ("TCP_CA_Open", 0), ("TCP_CA_Disorder", 1), ("TCP_CA_CWR", 2), ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1), ("TCPI_OPT_SACK", 2), ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8), ("TCPI_OPT_ECN_SEEN", 16), ("TCPI_OPT_SYN_DATA", 32),
    ("TCPI_OPT_USEC_TS", 64), ("TCPI_OPT_TFO_CHILD", 128),
    ("TCPI_ECN_MODE_DISABLED", 0), ("TCPI_ECN_MODE_RFC3168", 1), ("TCPI_ECN_MODE_ACCECN", 2),
    ("TCPI_ECN_MODE_PENDING", 3),
];

#[rustfmt::skip]
const IP: &[(&str, i64)] = &[
    ("IP_TOS", 1), ("IP_TTL", 2), ("IP_HDRINCL", 3), ("IP_OPTIONS", 4), ("IP_ROUTER_ALERT", 5),
    ("IP_RECVOPTS", 6), ("IP_RETOPTS", 7), ("IP_RECVRETOPTS", 7), ("IP_PKTINFO", 8),
    ("IP_PKTOPTIONS", 9), ("IP_MTU_DISCOVER", 10), ("IP_RECVERR", 11), ("IP_RECVTTL", 12),
    ("IP_RECVTOS", 13), ("IP_MTU", 14), ("IP_FREEBIND", 15), ("IP_IPSEC_POLICY", 16),
    ("IP_XFRM_POLICY", 17), ("IP_PASSSEC", 18), ("IP_TRANSPARENT", 19),
    ("IP_ORIGDSTADDR", 20), ("IP_RECVORIGDSTADDR", 20), ("IP_MINTTL", 21),
    ("IP_NODEFRAG", 22), ("IP_CHECKSUM", 23), ("IP_BIND_ADDRESS_NO_PORT", 24),
    ("IP_RECVFRAGSIZE", 25), ("IP_RECVERR_RFC4884", 26), ("IP_MULTICAST_IF", 32),
    ("IP_MULTICAST_TTL", 33), ("IP_MULTICAST_LOOP", 34), ("IP_ADD_MEMBERSHIP", 35),
    ("IP_DROP_MEMBERSHIP", 36), ("IP_MULTICAST_ALL", 49), ("IP_UNICAST_IF", 50),
    ("IP_LOCAL_PORT_RANGE", 51), ("IP_PROTOCOL", 52),
    ("IP_PMTUDISC_DONT", 0), ("IP_PMTUDISC_WANT", 1), ("IP_PMTUDISC_DO", 2),
    ("IP_PMTUDISC_PROBE", 3), ("IP_PMTUDISC_INTERFACE", 4), ("IP_PMTUDISC_OMIT", 5),
    ("IPTOS_LOWDELAY", 0x10), ("IPTOS_THROUGHPUT", 8), ("IPTOS_RELIABILITY", 4),
    ("IPTOS_MINCOST", 2),
];

#[rustfmt::skip]
const IPV6: &[(&str, i64)] = &[
    ("IPV6_ADDRFORM", 1), ("IPV6_CHECKSUM", 7), ("IPV6_NEXTHOP", 9), ("IPV6_AUTHHDR", 10),
    ("IPV6_FLOWINFO", 11), ("IPV6_UNICAST_HOPS", 16), ("IPV6_MULTICAST_IF", 17),
    ("IPV6_MULTICAST_HOPS", 18), ("IPV6_MULTICAST_LOOP", 19), ("IPV6_ADD_MEMBERSHIP", 20),
    ("IPV6_JOIN_GROUP", 20), ("IPV6_DROP_MEMBERSHIP", 21), ("IPV6_LEAVE_GROUP", 21),
    ("IPV6_ROUTER_ALERT", 22), ("IPV6_MTU_DISCOVER", 23), ("IPV6_MTU", 24),
    ("IPV6_RECVERR", 25), ("IPV6_V6ONLY", 26), ("IPV6_JOIN_ANYCAST", 27),
    ("IPV6_LEAVE_ANYCAST", 28), ("IPV6_MULTICAST_ALL", 29), ("IPV6_ROUTER_ALERT_ISOLATE", 30),
    ("IPV6_RECVERR_RFC4884", 31), ("IPV6_FLOWLABEL_MGR", 32), ("IPV6_FLOWINFO_SEND", 33),
    ("IPV6_IPSEC_POLICY", 34), ("IPV6_XFRM_POLICY", 35), ("IPV6_HDRINCL", 36),
    ("IPV6_RECVPKTINFO", 49), ("IPV6_PKTINFO", 50), ("IPV6_RECVHOPLIMIT", 51),
    ("IPV6_HOPLIMIT", 52), ("IPV6_RECVHOPOPTS", 53), ("IPV6_HOPOPTS", 54),
    ("IPV6_RTHDRDSTOPTS", 55), ("IPV6_RECVRTHDR", 56), ("IPV6_RTHDR", 57),
    ("IPV6_RECVDSTOPTS", 58), ("IPV6_DSTOPTS", 59), ("IPV6_RECVPATHMTU", 60),
    ("IPV6_PATHMTU", 61), ("IPV6_DONTFRAG", 62), ("IPV6_RECVTCLASS", 66), ("IPV6_TCLASS", 67),
    ("IPV6_AUTOFLOWLABEL", 70), ("IPV6_ADDR_PREFERENCES", 72), ("IPV6_MINHOPCOUNT", 73),
    ("IPV6_ORIGDSTADDR", 74), ("IPV6_RECVORIGDSTADDR", 74), ("IPV6_TRANSPARENT", 75),
    ("IPV6_UNICAST_IF", 76), ("IPV6_RECVFRAGSIZE", 77), ("IPV6_FREEBIND", 78),
    ("IPV6_PMTUDISC_DONT", 0), ("IPV6_PMTUDISC_WANT", 1), ("IPV6_PMTUDISC_DO", 2),
    ("IPV6_PMTUDISC_PROBE", 3), ("IPV6_PMTUDISC_INTERFACE", 4), ("IPV6_PMTUDISC_OMIT", 5),
];

#[rustfmt::skip]
const FILES: &[(&str, i64)] = &[
    ("F_DUPFD", 0), ("F_GETFD", 1), ("F_SETFD", 2), ("F_GETFL", 3), ("F_SETFL", 4),
    ("F_GETLK", 5), ("F_SETLK", 6), ("F_SETLKW", 7), ("F_SETOWN", 8), ("F_GETOWN", 9),
    ("F_SETSIG", 10), ("F_GETSIG", 11), ("F_DUPFD_CLOEXEC", 1030), ("F_SETPIPE_SZ", 1031),
    ("F_GETPIPE_SZ", 1032), ("FD_CLOEXEC", 1),
    ("O_RDONLY", 0), ("O_WRONLY", 1), ("O_RDWR", 2), ("O_ACCMODE", 3), ("O_CREAT", 0x40),
    ("O_EXCL", 0x80), ("O_NOCTTY", 0x100), ("O_TRUNC", 0x200), ("O_APPEND", 0x400),
    ("O_NONBLOCK", 0x800), ("O_NDELAY", 0x800), ("O_DSYNC", 0x1000), ("O_ASYNC", 0x2000),
    ("O_DIRECT", 0x4000), ("O_CLOEXEC", 0x8_0000), ("O_SYNC", 0x10_1000),
    ("FIONREAD", 0x541b), ("SIOCINQ", 0x541b), ("TIOCINQ", 0x541b), ("SIOCOUTQ", 0x5411),
    ("TIOCOUTQ", 0x5411), ("SIOCOUTQNSD", 0x894b), ("FIONBIO", 0x5421), ("FIOASYNC", 0x5452),
    ("SIOCATMARK", 0x8905), ("SIOCGSTAMP", 0x8906),
    ("SPLICE_F_MOVE", 1), ("SPLICE_F_NONBLOCK", 2), ("SPLICE_F_MORE", 4), ("SPLICE_F_GIFT", 8),
];

#[rustfmt::skip]
const POLLING: &[(&str, i64)] = &[
    ("POLLIN", 1), ("POLLPRI", 2), ("POLLOUT", 4), ("POLLERR", 8), ("POLLHUP", 0x10),
    ("POLLNVAL", 0x20), ("POLLRDNORM", 0x40), ("POLLRDBAND", 0x80), ("POLLWRNORM", 0x100),
    ("POLLWRBAND", 0x200), ("POLLMSG", 0x400), ("POLLRDHUP", 0x2000),
    ("EPOLLIN", 1), ("EPOLLPRI", 2), ("EPOLLOUT", 4), ("EPOLLERR", 8), ("EPOLLHUP", 0x10),
    ("EPOLLNVAL", 0x20), ("EPOLLRDNORM", 0x40), ("EPOLLRDBAND", 0x80), ("EPOLLWRNORM", 0x100),
    ("EPOLLWRBAND", 0x200), ("EPOLLMSG", 0x400), ("EPOLLRDHUP", 0x2000),
    ("EPOLLEXCLUSIVE", 1 << 28), ("EPOLLWAKEUP", 1 << 29), ("EPOLLONESHOT", 1 << 30),
    ("EPOLLET", 1 << 31),
    ("EPOLL_CTL_ADD", 1), ("EPOLL_CTL_DEL", 2), ("EPOLL_CTL_MOD", 3), ("EPOLL_CLOEXEC", 0x8_0000),
];

#[rustfmt::skip]
const ERROR_QUEUE: &[(&str, i64)] = &[
    ("SO_EE_ORIGIN_NONE", 0), ("SO_EE_ORIGIN_LOCAL", 1), ("SO_EE_ORIGIN_ICMP", 2),
    ("SO_EE_ORIGIN_ICMP6", 3), ("SO_EE_ORIGIN_TXSTATUS", 4), ("SO_EE_ORIGIN_TIMESTAMPING", 4),
    ("SO_EE_ORIGIN_ZEROCOPY", 5), ("SO_EE_ORIGIN_TXTIME", 6), ("SO_EE_CODE_ZEROCOPY_COPIED", 1),
    ("SO_EE_CODE_TXTIME_INVALID_PARAM", 1), ("SO_EE_CODE_TXTIME_MISSED", 2),
    ("SCM_TSTAMP_SND", 0), ("SCM_TSTAMP_SCHED", 1), ("SCM_TSTAMP_ACK", 2),
    ("SCM_TSTAMP_COMPLETION", 3),
    ("SOF_TIMESTAMPING_TX_HARDWARE", 1), ("SOF_TIMESTAMPING_TX_SOFTWARE", 1 << 1),
    ("SOF_TIMESTAMPING_RX_HARDWARE", 1 << 2), ("SOF_TIMESTAMPING_RX_SOFTWARE", 1 << 3),
    ("SOF_TIMESTAMPING_SOFTWARE", 1 << 4), ("SOF_TIMESTAMPING_SYS_HARDWARE", 1 << 5),
    ("SOF_TIMESTAMPING_RAW_HARDWARE", 1 << 6), ("SOF_TIMESTAMPING_OPT_ID", 1 << 7),
    ("SOF_TIMESTAMPING_TX_SCHED", 1 << 8), ("SOF_TIMESTAMPING_TX_ACK", 1 << 9),
    ("SOF_TIMESTAMPING_OPT_CMSG", 1 << 10), ("SOF_TIMESTAMPING_OPT_TSONLY", 1 << 11),
    ("SOF_TIMESTAMPING_OPT_STATS", 1 << 12), ("SOF_TIMESTAMPING_OPT_PKTINFO", 1 << 13),
    ("SOF_TIMESTAMPING_OPT_TX_SWHW", 1 << 14), ("SOF_TIMESTAMPING_BIND_PHC", 1 << 15),
    ("SOF_TIMESTAMPING_OPT_ID_TCP", 1 << 16), ("SOF_TIMESTAMPING_OPT_RX_FILTER", 1 << 17),
    ("SOF_TIMESTAMPING_TX_COMPLETION", 1 << 18),
];

/// The name that manual pages prefer comes first.
#[rustfmt::skip]
const ERRORS: &[(&str, i32)] = &[
    ("EPERM", 1), ("ENOENT", 2), ("ESRCH", 3), ("EINTR", 4), ("EIO", 5), ("ENXIO", 6),
    ("E2BIG", 7), ("ENOEXEC", 8), ("EBADF", 9), ("ECHILD", 10), ("EAGAIN", 11),
    ("EWOULDBLOCK", 11), ("ENOMEM", 12), ("EACCES", 13), ("EFAULT", 14), ("ENOTBLK", 15),
    ("EBUSY", 16), ("EEXIST", 17), ("EXDEV", 18), ("ENODEV", 19), ("ENOTDIR", 20),
    ("EISDIR", 21), ("EINVAL", 22), ("ENFILE", 23), ("EMFILE", 24), ("ENOTTY", 25),
    ("ETXTBSY", 26), ("EFBIG", 27), ("ENOSPC", 28), ("ESPIPE", 29), ("EROFS", 30),
    ("EMLINK", 31), ("EPIPE", 32), ("EDOM", 33), ("ERANGE", 34), ("EDEADLK", 35),
    ("EDEADLOCK", 35), ("ENAMETOOLONG", 36), ("ENOLCK", 37), ("ENOSYS", 38),
    ("ENOTEMPTY", 39), ("ELOOP", 40), ("ENOMSG", 42), ("EIDRM", 43), ("ECHRNG", 44),
    ("EL2NSYNC", 45), ("EL3HLT", 46), ("EL3RST", 47), ("ELNRNG", 48), ("EUNATCH", 49),
    ("ENOCSI", 50), ("EL2HLT", 51), ("EBADE", 52), ("EBADR", 53), ("EXFULL", 54),
    ("ENOANO", 55), ("EBADRQC", 56), ("EBADSLT", 57), ("EBFONT", 59), ("ENOSTR", 60),
    ("ENODATA", 61), ("ETIME", 62), ("ENOSR", 63), ("ENONET", 64), ("ENOPKG", 65),
    ("EREMOTE", 66), ("ENOLINK", 67), ("EADV", 68), ("ESRMNT", 69), ("ECOMM", 70),
    ("EPROTO", 71), ("EMULTIHOP", 72), ("EDOTDOT", 73), ("EBADMSG", 74), ("EOVERFLOW", 75),
    ("ENOTUNIQ", 76), ("EBADFD", 77), ("EREMCHG", 78), ("ELIBACC", 79), ("ELIBBAD", 80),
    ("ELIBSCN", 81), ("ELIBMAX", 82), ("ELIBEXEC", 83), ("EILSEQ", 84), ("ERESTART", 85),
    ("ESTRPIPE", 86), ("EUSERS", 87), ("ENOTSOCK", 88), ("EDESTADDRREQ", 89),
    ("EMSGSIZE", 90), ("EPROTOTYPE", 91), ("ENOPROTOOPT", 92), ("EPROTONOSUPPORT", 93),
    ("ESOCKTNOSUPPORT", 94), ("EOPNOTSUPP", 95), ("ENOTSUP", 95), ("EPFNOSUPPORT", 96),
    ("EAFNOSUPPORT", 97), ("EADDRINUSE", 98), ("EADDRNOTAVAIL", 99), ("ENETDOWN", 100),
    ("ENETUNREACH", 101), ("ENETRESET", 102), ("ECONNABORTED", 103), ("ECONNRESET", 104),
    ("ENOBUFS", 105), ("EISCONN", 106), ("ENOTCONN", 107), ("ESHUTDOWN", 108),
    ("ETOOMANYREFS", 109), ("ETIMEDOUT", 110), ("ECONNREFUSED", 111), ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113), ("EALREADY", 114), ("EINPROGRESS", 115), ("ESTALE", 116),
    ("EUCLEAN", 117), ("ENOTNAM", 118), ("ENAVAIL", 119), ("EISNAM", 120),
    ("EREMOTEIO", 121), ("EDQUOT", 122), ("ENOMEDIUM", 123), ("EMEDIUMTYPE", 124),
    ("ECANCELED", 125), ("ENOKEY", 126), ("EKEYEXPIRED", 127), ("EKEYREVOKED", 128),
    ("EKEYREJECTED", 129), ("EOWNERDEAD", 130), ("ENOTRECOVERABLE", 131), ("ERFKILL", 132),
    ("EHWPOISON", 133),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_is_listed_twice() {
        let mut seen = HashSet::new();
        for (name, _) in CONSTANTS.iter().flat_map(|group| group.iter()) {
            assert!(seen.insert(name), "{name}");
        }
        for (name, _) in ERRORS {
            assert!(seen.insert(name), "{name}");
        }
    }

    #[test]
    fn names_have_linux_s_values_and_strange_names_have_none() {
        for (name, value) in [
            ("AF_INET6", 10),
            ("SOCK_NONBLOCK", 2048),
            ("SOL_TCP", 6),
            ("SO_ZEROCOPY", 60),
            ("TCP_USER_TIMEOUT", 18),
            ("TCP_CA_Loss", 4),
            ("MSG_FASTOPEN", 0x2000_0000),
            ("EPOLLET", 0x8000_0000),
            ("SIOCOUTQ", 0x5411),
            ("NULL", 0),
            ("ECONNREFUSED", 111),
        ] {
            assert_eq!(constant(name), Some(value), "{name}");
        }
        assert_eq!(constant("TCP_NO_SUCH_THING"), None);
        assert_eq!(constant("ENOTHING"), None);
    }

    #[test]
    fn errors_have_numbers_and_numbers_have_names() {
        assert_eq!(errno("EWOULDBLOCK"), errno("EAGAIN"));
        assert_eq!(errno_name(11), Some("EAGAIN"));
        assert_eq!(errno_name(95), Some("EOPNOTSUPP"));
        for number in (1..=133).filter(|number| ![41, 58].contains(number)) {
            let name = errno_name(number).unwrap_or_else(|| panic!("{number}"));
            assert_eq!(errno(name), Some(number));
        }
        assert_eq!((errno("ENOTHING"), errno_name(0)), (None, None));
    }
}
