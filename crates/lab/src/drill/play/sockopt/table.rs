//! Linux's socket options that are numbers, with the fields of [`SocketOptions`] that they are, and
//! those that have no effect here.

use core::time::Duration;

use towpath_engine::{Config, FinWait2, SocketOptions};

pub(super) const SOL_IP: i64 = 0;
pub(super) const SOL_SOCKET: i64 = 1;
pub(super) const SOL_TCP: i64 = 6;
pub(super) const SOL_IPV6: i64 = 41;

/// Linux's least send and receive buffers, in bytes of memory.
const SOCK_MIN_SNDBUF: i64 = 4608;
const SOCK_MIN_RCVBUF: i64 = 2304;

/// An option that is a number.
pub(super) struct Number {
    /// Level and name.
    pub(super) id: (i64, i64),
    /// `None`: the value is not to be had.
    pub(super) get: fn(&SocketOptions, &Config) -> Option<i64>,
    /// `None`: EINVAL.
    pub(super) set: fn(&mut SocketOptions, i64) -> Option<()>,
}

/// The options that are numbers.
pub(super) const NUMBERS: &[Number] = &[
    // SO_SNDBUF: Linux doubles what is asked for, and gives the double back.
    Number {
        id: (SOL_SOCKET, 7),
        get: |options, config| match options.send_buffer {
            Some(size) => Some((2 * signed(size)).max(SOCK_MIN_SNDBUF)),
            None => setting(config, "tcp_wmem", 1),
        },
        set: |options, value| {
            options.send_buffer = Some(usize::try_from(value).ok()?);
            Some(())
        },
    },
    // SO_RCVBUF: likewise.
    Number {
        id: (SOL_SOCKET, 8),
        get: |options, config| match options.receive_buffer {
            Some(size) => {
                let most = setting(config, "rmem_max", 0)?;
                Some((2 * signed(size).min(most)).max(SOCK_MIN_RCVBUF))
            }
            None => setting(config, "tcp_rmem", 1),
        },
        set: |options, value| {
            options.receive_buffer = Some(usize::try_from(value).ok()?);
            Some(())
        },
    },
    // SO_KEEPALIVE
    Number {
        id: (SOL_SOCKET, 9),
        get: |options, _| Some(i64::from(options.keepalive)),
        set: |options, value| {
            options.keepalive = value != 0;
            Some(())
        },
    },
    // SO_RCVLOWAT
    Number {
        id: (SOL_SOCKET, 18),
        get: |options, _| Some(signed(options.rcvlowat)),
        set: |options, value| {
            options.rcvlowat = usize::try_from(value).unwrap_or(i32::MAX as usize).max(1);
            Some(())
        },
    },
    // TCP_NODELAY
    Number {
        id: (SOL_TCP, 1),
        get: |options, _| Some(i64::from(options.nodelay)),
        set: |options, value| {
            options.nodelay = value != 0;
            Some(())
        },
    },
    // TCP_MAXSEG: what is in force on a connection is its own.
    Number {
        id: (SOL_TCP, 2),
        get: |options, _| Some(options.max_segment.map_or(536, i64::from)),
        set: |options, value| {
            if value != 0 && !(88..=32_767).contains(&value) {
                return None;
            }
            options.max_segment = u16::try_from(value).ok().filter(|most| *most > 0);
            Some(())
        },
    },
    // TCP_CORK
    Number {
        id: (SOL_TCP, 3),
        get: |options, _| Some(i64::from(options.cork)),
        set: |options, value| {
            options.cork = value != 0;
            Some(())
        },
    },
    // TCP_KEEPIDLE
    Number {
        id: (SOL_TCP, 4),
        get: |options, config| {
            let own = options.keepalive_time.map(seconds);
            own.or_else(|| setting(config, "tcp_keepalive_time", 0))
        },
        set: |options, value| {
            options.keepalive_time = Some(from_seconds(value, 1..=32_767)?);
            Some(())
        },
    },
    // TCP_KEEPINTVL
    Number {
        id: (SOL_TCP, 5),
        get: |options, config| {
            let own = options.keepalive_interval.map(seconds);
            own.or_else(|| setting(config, "tcp_keepalive_intvl", 0))
        },
        set: |options, value| {
            options.keepalive_interval = Some(from_seconds(value, 1..=32_767)?);
            Some(())
        },
    },
    // TCP_KEEPCNT
    Number {
        id: (SOL_TCP, 6),
        get: |options, config| {
            let own = options.keepalive_probes.map(i64::from);
            own.or_else(|| setting(config, "tcp_keepalive_probes", 0))
        },
        set: |options, value| {
            options.keepalive_probes = Some(within(value, 1..=127)?);
            Some(())
        },
    },
    // TCP_SYNCNT
    Number {
        id: (SOL_TCP, 7),
        get: |options, config| {
            let own = options.syn_retries.map(i64::from);
            own.or_else(|| setting(config, "tcp_syn_retries", 0))
        },
        set: |options, value| {
            options.syn_retries = Some(within(value, 1..=127)?);
            Some(())
        },
    },
    // TCP_LINGER2
    Number {
        id: (SOL_TCP, 8),
        get: |options, config| match options.fin_wait_2 {
            FinWait2::Default => setting(config, "tcp_fin_timeout", 0),
            FinWait2::For(time) => Some(seconds(time)),
            FinWait2::NotAtAll => Some(-1),
        },
        set: |options, value| {
            options.fin_wait_2 = match value {
                0 => FinWait2::Default,
                1.. => FinWait2::For(from_seconds(value.min(120), 1..=120)?),
                _ => FinWait2::NotAtAll,
            };
            Some(())
        },
    },
    // TCP_DEFER_ACCEPT
    Number {
        id: (SOL_TCP, 9),
        get: |options, _| options.defer_accept.is_none().then_some(0),
        set: |options, value| {
            options.defer_accept = from_seconds(value, 1..=i64::from(i32::MAX));
            Some(())
        },
    },
    // TCP_WINDOW_CLAMP
    Number {
        id: (SOL_TCP, 10),
        get: |options, _| options.window_clamp.map(i64::from),
        set: |options, value| {
            options.window_clamp = u32::try_from(value).ok().filter(|clamp| *clamp > 0);
            Some(())
        },
    },
    // TCP_USER_TIMEOUT, in milliseconds.
    Number {
        id: (SOL_TCP, 18),
        get: |options, _| {
            let limit = options.user_timeout.unwrap_or_default();
            i64::try_from(limit.as_millis()).ok()
        },
        set: |options, value| {
            let limit = Duration::from_millis(u64::try_from(value).ok()?);
            options.user_timeout = Some(limit).filter(|limit| !limit.is_zero());
            Some(())
        },
    },
    // TCP_NOTSENT_LOWAT
    Number {
        id: (SOL_TCP, 25),
        get: |options, _| Some(options.notsent_lowat.map_or(0, i64::from)),
        set: |options, value| {
            // A negative int is a very large unsigned one.
            let limit = u32::try_from(value & 0xffff_ffff).ok()?;
            options.notsent_lowat = Some(limit).filter(|limit| *limit > 0);
            Some(())
        },
    },
    // IP_TOS
    Number { id: (SOL_IP, 1), get: |options, _| Some(i64::from(options.tos)), set: set_tos },
    // IPV6_TCLASS
    Number {
        id: (SOL_IPV6, 67),
        get: |options, _| Some(i64::from(options.tos)),
        set: |options, value| set_tos(options, if value == -1 { 0 } else { value }),
    },
    // IP_TTL
    Number { id: (SOL_IP, 2), get: ttl, set: set_ttl },
    // IPV6_UNICAST_HOPS
    Number { id: (SOL_IPV6, 16), get: ttl, set: set_ttl },
];

/// Options that change neither packets nor results here, and why.
pub(super) const WITHOUT_EFFECT: &[((i64, i64), &str)] = &[
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

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn from_seconds(value: i64, range: core::ops::RangeInclusive<i64>) -> Option<Duration> {
    range.contains(&value).then(|| Duration::from_secs(value.unsigned_abs()))
}

fn within(value: i64, range: core::ops::RangeInclusive<i64>) -> Option<u32> {
    if range.contains(&value) { u32::try_from(value).ok() } else { None }
}

fn set_tos(options: &mut SocketOptions, value: i64) -> Option<()> {
    // The ECN bits are TCP's: Linux takes the others only.
    options.tos = u8::try_from(value & 0xff).ok()? & !0b11;
    Some(())
}

fn ttl(options: &SocketOptions, config: &Config) -> Option<i64> {
    options.ttl.map(i64::from).or_else(|| setting(config, "ip_default_ttl", 0))
}

fn set_ttl(options: &mut SocketOptions, value: i64) -> Option<()> {
    options.ttl = match value {
        -1 => None,
        1..=255 => u8::try_from(value).ok(),
        _ => return None,
    };
    Some(())
}

/// A number of the stack's setting of this name.
fn setting(config: &Config, name: &str, place: usize) -> Option<i64> {
    let setting = config.iter().find(|setting| setting.name == name)?;
    setting.value.split_whitespace().nth(place)?.parse().ok()
}
