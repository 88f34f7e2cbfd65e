//! What is neither opening nor data: fcntl, ioctl, shutdown, close.

use super::super::sockets::{File, Kind};
use super::args::{arg, number};
use super::{Attempt, Context, Outcome, Progress, error, integer, plain_result, socket_mut, value};
use crate::drill::ast::Call;
use crate::drill::verdict::Stop;

const O_RDWR: i64 = 2;
const O_NONBLOCK: i64 = 0x800;
const FD_CLOEXEC: i64 = 1;

pub(super) fn fcntl(context: &mut Context<'_>, call: &Call) -> Attempt {
    const F_GETFD: i64 = 1;
    const F_SETFD: i64 = 2;
    const F_GETFL: i64 = 3;
    const F_SETFL: i64 = 4;
    let (fd, command) = (number(call, 0)?, number(call, 1)?);
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err("ENOTSOCK") => return Err(Stop::unsupported("fcntl on what is no socket")),
        Err(name) => return Ok(error(name)),
    };
    Ok(match command {
        F_GETFL => value(O_RDWR | if socket.nonblocking { O_NONBLOCK } else { 0 }),
        F_SETFL => {
            socket.nonblocking = number(call, 2)? & O_NONBLOCK != 0;
            value(0)
        }
        // Nothing here ever calls exec.
        F_GETFD => value(FD_CLOEXEC),
        F_SETFD => value(0),
        other => return Err(Stop::unsupported(format!("fcntl command {other}"))),
    })
}

pub(super) fn ioctl(context: &mut Context<'_>, call: &Call) -> Attempt {
    const SIOCINQ: i64 = 0x541b;
    const SIOCOUTQ: i64 = 0x5411;
    const SIOCOUTQNSD: i64 = 0x894b;
    const SIOCATMARK: i64 = 0x8905;
    const FIONBIO: i64 = 0x5421;
    let (fd, request) = (number(call, 0)?, number(call, 1)?);
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err("ENOTSOCK") => return Ok(error("ENOTTY")),
        Err(name) => return Ok(error(name)),
    };
    if request == FIONBIO {
        socket.nonblocking = number(call, 2)? != 0;
        return Ok(value(0));
    }
    if !matches!(request, SIOCINQ | SIOCOUTQ | SIOCOUTQNSD | SIOCATMARK) {
        return Err(Stop::unsupported(format!("ioctl {:?}", arg(call, 1)?)));
    }
    let found = match socket.kind {
        Kind::Listening(_) => return Ok(error("EINVAL")),
        Kind::Fresh => 0,
        Kind::Connection(id) => match context.endpoint.queues(id) {
            Err(_) => 0,
            Ok(queues) => match request {
                SIOCINQ => queues.unread as u64,
                SIOCOUTQ => queues.unacknowledged,
                SIOCATMARK => u64::from(queues.urgent_left == Some(1)),
                _ => queues.unsent,
            },
        },
    };
    let expected = integer(arg(call, 2)?)?;
    if i64::try_from(found) != Ok(expected) {
        return Err(Stop::fail(format!("ioctl gives {found}, expected {expected}")));
    }
    Ok(value(0))
}

pub(super) fn shutdown(context: &mut Context<'_>, call: &Call) -> Attempt {
    const SHUT_RD: i64 = 0;
    const SHUT_WR: i64 = 1;
    const SHUT_RDWR: i64 = 2;
    let (fd, how) = (number(call, 0)?, number(call, 1)?);
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    if !(SHUT_RD..=SHUT_RDWR).contains(&how) {
        return Ok(error("EINVAL"));
    }
    let (endpoint, now) = (&mut *context.endpoint, context.now);
    let id = match socket.kind {
        Kind::Fresh => return Ok(error("ENOTCONN")),
        // A listener that does not receive listens no more.
        Kind::Listening(id) => {
            if how != SHUT_WR {
                endpoint.close_listener(now, id);
                socket.kind = Kind::Fresh;
            }
            return Ok(value(0));
        }
        Kind::Connection(id) => id,
    };
    let receiving = if how == SHUT_WR { Ok(()) } else { endpoint.shutdown_receive(now, id) };
    let sending = if how == SHUT_RD { Ok(()) } else { endpoint.shutdown_send(now, id) };
    Ok(plain_result(receiving.and(sending)))
}

pub(super) fn close(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    if progress.lingering.is_none() {
        let fd = number(call, 0)?;
        let file = match context.files.remove(fd) {
            Some(File::Socket(socket)) => socket.kind,
            Some(_) => return Ok(value(0)),
            None => return Ok(error("EBADF")),
        };
        match file {
            Kind::Fresh => {}
            Kind::Listening(id) => context.endpoint.close_listener(context.now, id),
            Kind::Connection(id) => {
                let linger = context.endpoint.options(id).ok().and_then(|options| options.linger);
                context.endpoint.close(context.now, id);
                let micros = linger.map_or(0, |time| time.as_micros());
                let micros = i64::try_from(micros).unwrap_or(i64::MAX);
                progress.until = Some(context.script_now.saturating_add(micros));
                progress.lingering = Some(id);
            }
        }
    }
    let waits = progress.lingering.is_some_and(|id| context.endpoint.is_lingering(id))
        && progress.until.is_some_and(|until| context.script_now < until);
    Ok(if waits { Outcome::Blocks } else { value(0) })
}
