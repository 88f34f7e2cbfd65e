//! `getsockopt` and `setsockopt`: Linux's numbers, and the fields of the engine's [`SocketOptions`]
//! that they are.
//!
//! An option that is in neither table is unsupported. Those of [`WITHOUT_EFFECT`] are taken and given
//! back, because nothing that a script can see depends on them; each says why.

use towpath_engine::SocketOptions;

use super::calls::{Attempt, Context, errno, error, integer, plain, socket, socket_mut, value};
use super::sockets::Kind;
use crate::drill::ast::{Call, Expr};
use crate::drill::constants::errno as errno_number;
use crate::drill::verdict::Stop;

const SOL_IP: i64 = 0;
const SOL_SOCKET: i64 = 1;
const SOL_TCP: i64 = 6;
const SOL_IPV6: i64 = 41;

const SO_ERROR: i64 = 4;
const SO_LINGER: i64 = 13;

/// An option that is a number.
struct Number {
    level: i64,
    name: i64,
    get: fn(&SocketOptions) -> i64,
    /// `None`: EINVAL.
    set: fn(&mut SocketOptions, i64) -> Option<()>,
}

const NUMBERS: &[Number] = &[
    // TCP_NODELAY
    Number {
        level: SOL_TCP,
        name: 1,
        get: |options| i64::from(options.nodelay),
        set: |options, value| {
            options.nodelay = value != 0;
            Some(())
        },
    },
    // SO_SNDBUF: Linux doubles what is asked for, and gives the double back.
    Number {
        level: SOL_SOCKET,
        name: 7,
        get: |options| 2 * options.send_buffer.map_or(0, signed),
        set: |options, value| {
            options.send_buffer = Some(usize::try_from(value).ok()?);
            Some(())
        },
    },
    // IP_TTL
    Number {
        level: SOL_IP,
        name: 2,
        get: |options| options.ttl.map_or(64, i64::from),
        set: set_ttl,
    },
    // IPV6_UNICAST_HOPS
    Number {
        level: SOL_IPV6,
        name: 16,
        get: |options| options.ttl.map_or(64, i64::from),
        set: set_ttl,
    },
];

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn set_ttl(options: &mut SocketOptions, value: i64) -> Option<()> {
    options.ttl = match value {
        -1 => None,
        1..=255 => u8::try_from(value).ok(),
        _ => return None,
    };
    Some(())
}

/// Options that change neither packets nor results here, and why.
const WITHOUT_EFFECT: &[(i64, i64, &str)] = &[
    (SOL_SOCKET, 1, "SO_DEBUG: the kernel's own tracing"),
    (SOL_SOCKET, 2, "SO_REUSEADDR: an address is free again as soon as its listener is closed"),
    (SOL_SOCKET, 12, "SO_PRIORITY: there is no queueing discipline"),
    (SOL_SOCKET, 15, "SO_REUSEPORT: a script has one listener for an address"),
    (SOL_SOCKET, 36, "SO_MARK: there is no firewall and no policy routing"),
    (SOL_SOCKET, 47, "SO_MAX_PACING_RATE: pfifo does not pace"),
    (SOL_IP, 15, "IP_FREEBIND: only addresses that the host has are bound to"),
    (SOL_IP, 24, "IP_BIND_ADDRESS_NO_PORT: port 0 chooses at connect anyway"),
    (SOL_IPV6, 26, "IPV6_V6ONLY: packets of the other family do not come"),
];

/// The option's number, the number's level, and the call's words for a report.
fn named(call: &Call) -> Result<(i64, i64, String), Stop> {
    let [_, level, name, ..] = call.args.as_slice() else {
        return Err(Stop::fail(format!("{} wants five arguments", call.name)));
    };
    let text = match plain(name) {
        Expr::Word(word) => word.clone(),
        other => format!("{other:?}"),
    };
    Ok((integer(level)?, integer(name)?, format!("{} {text}", call.name)))
}

pub(super) fn set(context: &mut Context<'_>, call: &Call) -> Attempt {
    let (level, name, text) = named(call)?;
    let [fd, _, _, given, _] = call.args.as_slice() else {
        return Err(Stop::fail("setsockopt wants five arguments"));
    };
    let fd = integer(fd)?;
    let (now, endpoint) = (context.now, &mut *context.endpoint);
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let mut options = match socket.kind {
        Kind::Connection(id) => endpoint.options(id).unwrap_or(socket.options),
        _ => socket.options,
    };
    if (level, name) == (SOL_SOCKET, SO_LINGER) {
        let (on, seconds) = linger(given)?;
        if on && seconds != 0 {
            return Err(Stop::unsupported("setsockopt SO_LINGER with seconds"));
        }
        options.zero_linger = on;
    } else if let Some(number) = NUMBERS.iter().find(|n| (n.level, n.name) == (level, name)) {
        if (number.set)(&mut options, integer(given)?).is_none() {
            return Ok(error("EINVAL"));
        }
    } else if WITHOUT_EFFECT.iter().any(|(l, n, _)| (*l, *n) == (level, name)) {
        return Ok(value(0));
    } else {
        return Err(Stop::unsupported(text));
    }
    socket.options = options;
    if let Kind::Connection(id) = socket.kind
        && let Err(why) = endpoint.set_options(now, id, options)
    {
        return Ok(error(errno(why)));
    }
    Ok(value(0))
}

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
    let (level, name, text) = named(call)?;
    let [fd, _, _, expected, _] = call.args.as_slice() else {
        return Err(Stop::fail("getsockopt wants five arguments"));
    };
    let socket = match socket(context.files, integer(fd)?) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let options = match socket.kind {
        Kind::Connection(id) => context.endpoint.options(id).unwrap_or(socket.options),
        _ => socket.options,
    };
    if (level, name) == (SOL_SOCKET, SO_LINGER) {
        let wanted = linger(expected)?;
        let found = (options.zero_linger, 0);
        return if wanted == found {
            Ok(value(0))
        } else {
            Err(Stop::fail(format!("{text} gives {found:?}, expected {wanted:?}")))
        };
    }
    let found = if (level, name) == (SOL_SOCKET, SO_ERROR) {
        let pending = match socket.kind {
            Kind::Connection(id) => context.endpoint.take_error(id),
            _ => None,
        };
        pending.and_then(|why| errno_number(errno(why))).map_or(0, i64::from)
    } else if let Some(number) = NUMBERS.iter().find(|n| (n.level, n.name) == (level, name)) {
        (number.get)(&options)
    } else {
        return Err(Stop::unsupported(text));
    };
    let wanted = integer(expected)?;
    if found != wanted {
        return Err(Stop::fail(format!("{text} gives {found}, expected {wanted}")));
    }
    Ok(value(0))
}
