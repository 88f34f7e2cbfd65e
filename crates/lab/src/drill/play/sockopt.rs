//! `getsockopt` and `setsockopt`: Linux's numbers, and the fields of the engine's [`SocketOptions`]
//! that they are.
//!
//! An option that is in no table is unsupported. Those of [`WITHOUT_EFFECT`] are taken because
//! nothing that a script can see depends on them; each says why.

use core::time::Duration;

use towpath_engine::{Config, CongestionControl, FinWait2, QuickAck, SocketOptions, StateName};

use super::calls::{Attempt, Context, errno, error, integer, plain, socket, socket_mut, value};
use super::sockets::{Kind, Socket};
use crate::drill::ast::{Call, Expr};
use crate::drill::constants::errno as errno_number;
use crate::drill::settings::IpVersion;
use crate::drill::verdict::Stop;

const SOL_IP: i64 = 0;
const SOL_SOCKET: i64 = 1;
const SOL_TCP: i64 = 6;
const SOL_IPV6: i64 = 41;

const SO_LINGER: (i64, i64) = (SOL_SOCKET, 13);
const TCP_CONGESTION: (i64, i64) = (SOL_TCP, 13);
const TCP_QUICKACK: (i64, i64) = (SOL_TCP, 12);
const TCP_INQ: (i64, i64) = (SOL_TCP, 36);
const IP_MTU_DISCOVER: (i64, i64) = (SOL_IP, 10);
const IPV6_MTU_DISCOVER: (i64, i64) = (SOL_IPV6, 23);

/// Linux's least send and receive buffers, in bytes of memory.
const SOCK_MIN_SNDBUF: i64 = 4608;
const SOCK_MIN_RCVBUF: i64 = 2304;

/// An option that is a number.
struct Number {
    /// Level and name.
    id: (i64, i64),
    /// `None`: the value is not to be had.
    get: fn(&SocketOptions, &Config) -> Option<i64>,
    /// `None`: EINVAL.
    set: fn(&mut SocketOptions, i64) -> Option<()>,
}

const NUMBERS: &[Number] = &[
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
const WITHOUT_EFFECT: &[((i64, i64), &str)] = &[
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

fn seconds(time: Duration) -> i64 {
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

/// Level and name of a call's option, and the words for a report.
fn named(call: &Call) -> Result<((i64, i64), String), Stop> {
    let [_, level, name, _, _] = call.args.as_slice() else {
        return Err(Stop::fail(format!("{} wants five arguments", call.name)));
    };
    let text = match plain(name) {
        Expr::Word(word) => word.clone(),
        other => format!("{other:?}"),
    };
    Ok(((integer(level)?, integer(name)?), format!("{} {text}", call.name)))
}

/// The options of a socket as they are now.
fn current(context: &Context<'_>, socket: &Socket) -> SocketOptions {
    match socket.kind {
        Kind::Connection(id) => context.endpoint.options(id).unwrap_or(socket.options),
        _ => socket.options,
    }
}

pub(super) fn set(context: &mut Context<'_>, call: &Call) -> Attempt {
    let (id, text) = named(call)?;
    let (fd, given) = (integer(&call.args[0])?, &call.args[3]);
    let found = match socket(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let kind = found.kind;
    let mut options = current(context, found);
    match id {
        SO_LINGER => {
            let (on, time) = linger(given)?;
            let time = Duration::from_secs(time.unsigned_abs());
            options.linger = on.then_some(time);
        }
        TCP_CONGESTION => match plain(given) {
            Expr::String(name) if name == "reno" => {
                options.congestion = Some(CongestionControl::Reno);
            }
            other => return Err(Stop::unsupported(format!("{text} to {other:?}"))),
        },
        TCP_QUICKACK => {
            let wish = match integer(given)? {
                0 => QuickAck::Off,
                odd if odd & 1 == 1 => QuickAck::On,
                _ => QuickAck::Once,
            };
            if let Kind::Connection(id) = kind {
                let told = context.endpoint.set_quick_ack(context.now, id, wish);
                return Ok(told.map_or_else(|why| error(errno(why)), |()| value(0)));
            }
            options.quickack = wish != QuickAck::Off;
        }
        TCP_INQ => {
            let wish = integer(given)?;
            if !(0..=1).contains(&wish) {
                return Ok(error("EINVAL"));
            }
            if let Ok(socket) = socket_mut(context.files, fd) {
                socket.tells_unread = wish == 1;
            }
            return Ok(value(0));
        }
        IP_MTU_DISCOVER | IPV6_MTU_DISCOVER => {
            // What differs is DF, which the language cannot see, and the answer to reports of a
            // smaller MTU, which a script then cannot send.
            if integer(given)? != PMTUDISC_WANT {
                context.files.ignores_reports_of_mtu = true;
            }
            return Ok(value(0));
        }
        _ => {
            if let Some(number) = NUMBERS.iter().find(|number| number.id == id) {
                if (number.set)(&mut options, integer(given)?).is_none() {
                    return Ok(error("EINVAL"));
                }
            } else if WITHOUT_EFFECT.iter().any(|(known, _)| *known == id) {
                return Ok(value(0));
            } else {
                return Err(Stop::unsupported(text));
            }
        }
    }
    if let Kind::Listening(_) = kind {
        return Err(Stop::unsupported(format!("{text} on a socket that listens")));
    }
    if let Ok(socket) = socket_mut(context.files, fd) {
        socket.options = options;
    }
    if let Kind::Connection(id) = kind
        && let Err(why) = context.endpoint.set_options(context.now, id, options)
    {
        return Ok(error(errno(why)));
    }
    Ok(value(0))
}

const PMTUDISC_WANT: i64 = 1;

/// `{onoff=1, linger=0}`
fn linger(given: &Expr) -> Result<(bool, i64), Stop> {
    let Expr::Braces(fields) = plain(given) else {
        return Err(Stop::fail("SO_LINGER wants {onoff=..., linger=...}"));
    };
    let field = |name: &str| {
        let found = fields.iter().find(|field| field.name.as_deref() == Some(name));
        found.map_or(Ok(0), |field| integer(&field.value))
    };
    Ok((field("onoff")? != 0, field("linger")?))
}

pub(super) fn get(context: &mut Context<'_>, call: &Call) -> Attempt {
    let (id, text) = named(call)?;
    let expected = &call.args[3];
    let socket = match socket(context.files, integer(&call.args[0])?) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let options = current(context, socket);
    let (kind, tells_unread) = (socket.kind, socket.tells_unread);
    let differs = |found: String, wanted: String| {
        Err(Stop::fail(format!("{text} gives {found}, expected {wanted}")))
    };
    match id {
        SO_LINGER => {
            let wanted = linger(expected)?;
            let found = (options.linger.is_some(), options.linger.map_or(0, seconds));
            if found != wanted {
                return differs(format!("{found:?}"), format!("{wanted:?}"));
            }
        }
        TCP_CONGESTION => {
            let name = match options.congestion {
                Some(CongestionControl::Reno) => "reno".to_owned(),
                _ => default_congestion_control(context),
            };
            if !matches!(plain(expected), Expr::String(wanted) if *wanted == name) {
                return differs(name, format!("{:?}", plain(expected)));
            }
        }
        _ => {
            let found = match id {
                TCP_INQ => Some(i64::from(tells_unread)),
                _ => number(context, kind, &options, id),
            };
            let found = found.ok_or_else(|| Stop::unsupported(text.clone()))?;
            let wanted = integer(expected)?;
            if found != wanted {
                return differs(found.to_string(), wanted.to_string());
            }
        }
    }
    Ok(value(0))
}

fn default_congestion_control(context: &Context<'_>) -> String {
    let mut settings = context.endpoint.config().iter();
    let setting = settings.find(|setting| setting.name == "tcp_congestion_control");
    setting.map_or_else(String::new, |setting| setting.value)
}

/// The value of an option that is a number.
fn number(
    context: &mut Context<'_>,
    kind: Kind,
    options: &SocketOptions,
    id: (i64, i64),
) -> Option<i64> {
    let connection = match kind {
        Kind::Connection(id) => Some(id),
        _ => None,
    };
    Some(match id {
        // SO_ERROR
        (SOL_SOCKET, 4) => {
            let pending = connection.and_then(|id| context.endpoint.take_error(id));
            pending.and_then(|why| errno_number(errno(why))).map_or(0, i64::from)
        }
        // SO_TYPE, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN
        (SOL_SOCKET, 3) => 1,
        (SOL_SOCKET, 30) => i64::from(matches!(kind, Kind::Listening(_))),
        (SOL_SOCKET, 38) => 6,
        (SOL_SOCKET, 39) => {
            if context.settings.ip_version == IpVersion::V4 {
                2
            } else {
                10
            }
        }
        // TCP_MAXSEG of a connection
        (SOL_TCP, 2) if connection.is_some() => {
            let info = context.endpoint.info(connection?)?;
            let open = !matches!(info.state, StateName::Closed);
            if open { i64::from(info.snd_mss) } else { return None }
        }
        TCP_QUICKACK => i64::from(options.quickack),
        _ => {
            let number = NUMBERS.iter().find(|number| number.id == id)?;
            (number.get)(options, context.endpoint.config())?
        }
    })
}
