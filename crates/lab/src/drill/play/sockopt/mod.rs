//! `getsockopt` and `setsockopt`: from Linux's numbers to the names under which the engine's
//! [`SocketOptions`] has them, and what of them belongs to the socket layer.
//!
//! An option that is in no table is unsupported. Those of [`WITHOUT_EFFECT`] are taken because
//! nothing that a script can see depends on them; each says why.

mod table;

use core::time::Duration;

use towpath_engine::{CongestionControl, QuickAck, SocketOptions, StateName};

use self::table::{NUMBERS, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, WITHOUT_EFFECT, entry};

use super::calls::{Attempt, Context, errno, error, integer, plain, socket, socket_mut, value};
use super::error_queue::STAMPING;
use super::sockets::{Kind, Socket};
use crate::drill::ast::{Call, Expr};
use crate::drill::constants::errno as errno_number;
use crate::drill::settings::IpVersion;
use crate::drill::verdict::Stop;

const SO_LINGER: (i64, i64) = (SOL_SOCKET, 13);
const TCP_CONGESTION: (i64, i64) = (SOL_TCP, 13);
const TCP_QUICKACK: (i64, i64) = (SOL_TCP, 12);
const TCP_INQ: (i64, i64) = (SOL_TCP, 36);
const SO_TIMESTAMPING: (i64, i64) = (SOL_SOCKET, 37);
const SO_ZEROCOPY: (i64, i64) = (SOL_SOCKET, 60);
const IP_MTU_DISCOVER: (i64, i64) = (SOL_IP, 10);
const IPV6_MTU_DISCOVER: (i64, i64) = (SOL_IPV6, 23);

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
    if is_short(id, given, integer(&call.args[4])?) {
        return Ok(error("EINVAL"));
    }
    match id {
        SO_LINGER => {
            let (on, time) = linger(given)?;
            let time = Duration::from_secs(time.unsigned_abs());
            options.linger = on.then_some(time);
        }
        TCP_CONGESTION => match plain(given) {
            Expr::String(name) if CongestionControl::from_name(name).is_some() => {
                options.congestion = CongestionControl::from_name(name);
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
        SO_ZEROCOPY => {
            let wish = integer(given)?;
            if !(0..=1).contains(&wish) {
                return Ok(error("EINVAL"));
            }
            if let Ok(socket) = socket_mut(context.files, fd) {
                socket.errors.zerocopy = wish == 1;
            }
            return Ok(value(0));
        }
        SO_TIMESTAMPING => return stamp(context, fd, kind, integer(given)?),
        IP_MTU_DISCOVER | IPV6_MTU_DISCOVER => {
            // What differs is DF, which the language cannot see, and the answer to reports of a
            // smaller MTU, which a script then cannot send.
            if integer(given)? != PMTUDISC_WANT {
                context.files.ignores_reports_of_mtu = true;
            }
            return Ok(value(0));
        }
        _ => {
            if entry(WITHOUT_EFFECT, id).is_some() {
                return Ok(value(0));
            }
            let name = entry(NUMBERS, id).ok_or_else(|| Stop::unsupported(text.clone()))?;
            // An int, whatever sign it was written with: 4294967295 is -1.
            #[expect(clippy::cast_possible_truncation, reason = "as the call's int does")]
            let number = integer(given)? as i32;
            if let Err(why) = options.set_by_name(name, number) {
                return Ok(error(errno(why)));
            }
        }
    }
    if let Kind::Listening(id) = kind
        && let Err(why) = context.endpoint.set_listener_options(id, options)
    {
        return Ok(error(errno(why)));
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

/// `SO_TIMESTAMPING`: bytes can only be numbered where there is a connection.
fn stamp(context: &mut Context<'_>, fd: i64, kind: Kind, stamping: i64) -> Attempt {
    if stamping & !STAMPING != 0 {
        let other = stamping & !STAMPING;
        return Err(Stop::unsupported(format!("SO_TIMESTAMPING with {other:#x}")));
    }
    let queues = match kind {
        Kind::Connection(id) => context.endpoint.queues(id).ok(),
        _ => None,
    };
    let Ok(socket) = socket_mut(context.files, fd) else { return Ok(error("EBADF")) };
    if socket.errors.begins_to_number(stamping) && queues.is_none() {
        return Ok(error("EINVAL"));
    }
    socket.errors.set_stamping(stamping, queues.map_or(0, |queues| queues.unacknowledged));
    Ok(value(0))
}

const PMTUDISC_WANT: i64 = 1;

/// Whether a value of this many bytes is too short for a set: an int has four. Options of IP take a
/// byte as well.
fn is_short(id: (i64, i64), given: &Expr, len: i64) -> bool {
    let least = match (id, plain(given)) {
        ((SOL_IP, _), _) => 1,
        (_, Expr::String(_)) => 1,
        (SO_LINGER, _) => 8,
        _ => 4,
    };
    len < least
}

/// How many bytes a get gives, where there is room for `room`.
fn given_length(id: (i64, i64), room: i64) -> Option<i64> {
    let whole = match id {
        TCP_CONGESTION => return None,
        SO_LINGER => 8,
        _ => 4,
    };
    Some(room.min(whole))
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
    let (id, text) = named(call)?;
    let expected = &call.args[3];
    let room = integer(&call.args[4])?;
    if room < 0 {
        return Ok(error("EINVAL"));
    }
    let socket = match socket(context.files, integer(&call.args[0])?) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let options = current(context, socket);
    let (kind, tells_unread) = (socket.kind, socket.tells_unread);
    let (zerocopy, stamping) = (i64::from(socket.errors.zerocopy), socket.errors.stamping());
    let differs = |found: String, wanted: String| {
        Err(Stop::fail(format!("{text} gives {found}, expected {wanted}")))
    };
    match id {
        SO_LINGER => {
            let wanted = linger(expected)?;
            let found = (
                options.linger.is_some(),
                options.linger.map_or(0, |time| time.as_secs().cast_signed()),
            );
            if found != wanted {
                return differs(format!("{found:?}"), format!("{wanted:?}"));
            }
        }
        TCP_CONGESTION => {
            let name = match options.congestion {
                Some(control) => control.name().to_owned(),
                None => default_congestion_control(context),
            };
            if !matches!(plain(expected), Expr::String(wanted) if *wanted == name) {
                return differs(name, format!("{:?}", plain(expected)));
            }
        }
        _ => {
            let found = match id {
                TCP_INQ => Some(i64::from(tells_unread)),
                SO_ZEROCOPY => Some(zerocopy),
                SO_TIMESTAMPING => Some(stamping),
                _ => number(context, kind, &options, id),
            };
            let found = found.ok_or_else(|| Stop::unsupported(text.clone()))?;
            // An int has no more than 32 bits: 0xffffffff is -1.
            let wanted = integer(expected)?;
            if (found ^ wanted) & 0xffff_ffff != 0 {
                return differs(found.to_string(), wanted.to_string());
            }
        }
    }
    if given_length(id, room).is_some_and(|given| given != room) {
        return Err(Stop::fail(format!("{text} gives fewer bytes than the {room} expected")));
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
        _ => {
            let name = entry(NUMBERS, id)?;
            i64::from(options.get_by_name(context.endpoint.config(), name)?)
        }
    })
}
