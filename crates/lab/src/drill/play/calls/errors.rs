//! `recvmsg` with `MSG_ERRQUEUE`: notices of the socket's error queue as Linux's ancillary data.

use super::super::clock::tolerance;
use super::super::error_queue::{Notice, Origin, Stamp};
use super::args::{braces, integer, list, member, number, vectors};
use super::{Attempt, Context, error, socket_mut, value};
use crate::drill::ast::{Call, Expr, Field};
use crate::drill::constants::errno as errno_number;
use crate::drill::settings::IpVersion;
use crate::drill::verdict::Stop;

const SOL_SOCKET: i64 = 1;
const SCM_TIMESTAMPING: i64 = 37;
/// Level and type of the notice itself, for sockets of the two families.
const IP_RECVERR: (i64, i64) = (0, 11);
const IPV6_RECVERR: (i64, i64) = (41, 25);

const MSG_TRUNC: i64 = 0x20;
const MSG_ERRQUEUE: i64 = 0x2000;

const ORIGIN_TIMESTAMPING: i64 = 4;
const ORIGIN_ZEROCOPY: i64 = 5;
const ZEROCOPY_COPIED: i64 = 1;

const NANOS_PER_MICRO: i64 = 1000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

pub(super) fn receive(context: &mut Context<'_>, call: &Call) -> Attempt {
    if call.name != "recvmsg" {
        return Err(Stop::unsupported(format!("{} with MSG_ERRQUEUE", call.name)));
    }
    let message = braces(call.args.get(1).ok_or_else(|| Stop::fail("recvmsg wants a message"))?)?;
    let socket = match socket_mut(context.files, number(call, 0)?) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let tells_times = socket.errors.tells_times();
    let Some(notice) = socket.errors.take() else { return Ok(error("EAGAIN")) };
    let room = member(message, "msg_iov").map_or(Ok(0), |iov| vectors(iov).map(|(_, len)| len))?;
    let has_text = matches!(notice.origin, Origin::Stamp { has_text: true, .. });
    if has_text && room > 0 {
        return Err(Stop::unsupported("the packet that a timestamp is of"));
    }
    let flags = MSG_ERRQUEUE | if has_text { MSG_TRUNC } else { 0 };
    let wanted = member(message, "msg_flags").map_or(Ok(flags), integer)?;
    if wanted != flags {
        return Err(differs("msg_flags", flags, wanted));
    }
    let control = match member(message, "msg_control") {
        None => return Ok(value(0)),
        Some(control) => list(control)?,
    };
    let mut control = control.iter();
    if matches!(notice.origin, Origin::Stamp { .. }) && tells_times {
        let data = element(control.next(), (SOL_SOCKET, SCM_TIMESTAMPING))?;
        check_time(context, data, notice.at)?;
    }
    let v4 = context.settings.ip_version == IpVersion::V4;
    let data = element(control.next(), if v4 { IP_RECVERR } else { IPV6_RECVERR })?;
    check_notice(data, notice)?;
    match control.next() {
        None => Ok(value(0)),
        Some(_) => Err(Stop::fail("recvmsg gives less msg_control than expected")),
    }
}

fn differs(what: &str, found: i64, wanted: i64) -> Stop {
    Stop::fail(format!("recvmsg gives {what} {found:#x}, expected {wanted:#x}"))
}

/// The data of the element of `msg_control` that has to have this level and type.
fn element(expr: Option<&Expr>, (level, kind): (i64, i64)) -> Result<&[Field], Stop> {
    let expr = expr.ok_or_else(|| {
        Stop::fail(format!("recvmsg gives more msg_control than expected: {level}, {kind}"))
    })?;
    let fields = braces(expr)?;
    for (name, found) in [("cmsg_level", level), ("cmsg_type", kind)] {
        let wanted = member(fields, name).map_or(Ok(found), integer)?;
        if wanted != found {
            return Err(differs(name, found, wanted));
        }
    }
    braces(member(fields, "cmsg_data").ok_or_else(|| Stop::fail("cmsg_data was expected"))?)
}

/// `{scm_sec=S,scm_nsec=N}` is script time; two zeros are any time.
fn check_time(context: &Context<'_>, fields: &[Field], at: i64) -> Result<(), Stop> {
    let part = |name| member(fields, name).map_or(Ok(0), integer);
    let nanos = part("scm_sec")?.saturating_mul(NANOS_PER_SECOND);
    let nanos = nanos.saturating_add(part("scm_nsec")?);
    let wanted = nanos / NANOS_PER_MICRO;
    if nanos != 0 && (at - wanted).abs() > tolerance(context.settings, wanted, wanted) {
        return Err(Stop::fail(format!("a timestamp is {at} us, expected {wanted} us")));
    }
    Ok(())
}

fn check_notice(fields: &[Field], notice: Notice) -> Result<(), Stop> {
    let (errno, origin, code, info, data) = match notice.origin {
        Origin::ZeroCopy { first, last } => {
            (0, ORIGIN_ZEROCOPY, ZEROCOPY_COPIED, i64::from(first), i64::from(last))
        }
        Origin::Stamp { what, key, .. } => {
            let errno = errno_number("ENOMSG").map_or(0, i64::from);
            (errno, ORIGIN_TIMESTAMPING, 0, stamp_number(what), i64::from(key))
        }
    };
    for (name, found) in [
        ("ee_errno", errno),
        ("ee_origin", origin),
        ("ee_type", 0),
        ("ee_code", code),
        ("ee_info", info),
        ("ee_data", data),
    ] {
        let wanted = member(fields, name).map_or(Ok(0), integer)?;
        if wanted != found {
            return Err(Stop::fail(format!("recvmsg gives {name} {found}, expected {wanted}")));
        }
    }
    Ok(())
}

fn stamp_number(what: Stamp) -> i64 {
    what as i64
}
