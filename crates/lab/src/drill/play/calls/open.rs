//! How sockets come and connections are made: socket, bind, listen, accept, connect.

use core::net::{IpAddr, SocketAddr};

use towpath_engine::{ConnectRequest, ListenRequest, SocketError, SocketOptions};

use super::super::sockets::{File, Kind, Socket};
use super::args::{arg, braces, integer, member, number};
use super::{
    Answer, Attempt, Context, Effect, Outcome, Progress, errno, error, socket, socket_mut, value,
};
use crate::drill::ast::{Call, Expr};
use crate::drill::settings::IpVersion;
use crate::drill::verdict::Stop;

const SOCK_STREAM: i64 = 1;
const SOCK_NONBLOCK: i64 = 0x800;
const SOCK_CLOEXEC: i64 = 0x8_0000;
const AF_UNSPEC: i64 = 0;
const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;
const IPPROTO_TCP: i64 = 6;

pub(super) fn create(context: &Context<'_>, call: &Call) -> Attempt {
    let family = match arg(call, 0)? {
        Expr::Ellipsis => None,
        other => Some(integer(other)?),
    };
    let (kind, protocol) = (number(call, 1)?, number(call, 2)?);
    let v4 = context.settings.ip_version == IpVersion::V4;
    let fits = family.is_none_or(|family| family == if v4 { AF_INET } else { AF_INET6 });
    let stream = kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC) == SOCK_STREAM;
    if !fits || !stream || !matches!(protocol, 0 | IPPROTO_TCP) {
        return Err(Stop::unsupported(format!(
            "a socket of family {family:?}, type {kind}, protocol {protocol}"
        )));
    }
    let new = Socket::new(Kind::Fresh, kind & SOCK_NONBLOCK != 0);
    Ok(Outcome::Done(Answer::Descriptor(File::Socket(Box::new(new))), Effect::Created))
}

/// The address of an argument: `...` is the usual one, a structure says it.
fn address(expr: &Expr, usual: SocketAddr) -> Result<SocketAddr, Stop> {
    match expr {
        Expr::Ellipsis => Ok(usual),
        Expr::Braces(_) => {
            let fields = braces(expr)?;
            let port = member(fields, "sin_port").or_else(|| member(fields, "sin6_port"));
            let port = port.map_or(Ok(0), integer)?;
            let ip = member(fields, "sin_addr").or_else(|| member(fields, "sin6_addr"));
            let ip = match ip.map(inner_address) {
                Some(Some(ip)) => ip,
                _ => return Err(Stop::fail("sin_addr was expected to be an address")),
            };
            Ok(SocketAddr::new(ip, u16::try_from(port).unwrap_or(0)))
        }
        other => Err(Stop::unsupported(format!("an address that is written as {other:?}"))),
    }
}

fn inner_address(expr: &Expr) -> Option<IpAddr> {
    match super::plain(expr) {
        Expr::Address(ip) => Some(*ip),
        Expr::String(text) => text.parse().ok(),
        Expr::Apply(_, inner) => inner_address(inner),
        _ => None,
    }
}

pub(super) fn bind(context: &mut Context<'_>, call: &Call) -> Attempt {
    let usual = SocketAddr::new(context.settings.local_ip(), context.settings.bind_port);
    let wanted = address(arg(call, 1)?, usual)?;
    let fd = number(call, 0)?;
    let busy = context.files.sockets().any(|(_, other)| {
        matches!(other.kind, Kind::Listening(_))
            && other.bound.is_some_and(|bound| bound.port() == wanted.port() && wanted.port() != 0)
    });
    let known = context.endpoint.is_local(wanted.ip()) || wanted.ip().is_unspecified();
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    if socket.bound.is_some() || socket.kind != Kind::Fresh {
        return Ok(error("EINVAL"));
    }
    if !known {
        return Ok(error("EADDRNOTAVAIL"));
    }
    if busy {
        return Ok(error("EADDRINUSE"));
    }
    socket.bound = Some(wanted);
    Ok(value(0))
}

pub(super) fn listen(context: &mut Context<'_>, call: &Call) -> Attempt {
    let (fd, backlog) = (number(call, 0)?, number(call, 1)?);
    let any = SocketAddr::new(context.settings.local_ip(), 0);
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    match socket.kind {
        Kind::Fresh => {}
        Kind::Listening(id) => {
            let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
            context.endpoint.set_backlog(id, backlog).map_err(Stop::fail)?;
            return Ok(value(0));
        }
        Kind::Connection(_) => return Ok(error("EINVAL")),
    }
    // As on Linux a negative backlog is a very large one.
    let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
    let request = ListenRequest::new(socket.bound.unwrap_or(any));
    let request = request.backlog(backlog).options(socket.options);
    match context.endpoint.listen(request) {
        Ok(id) => {
            socket.kind = Kind::Listening(id);
            socket.bound = context.endpoint.listener_address(id).ok();
            Ok(value(0))
        }
        Err(why) => Ok(error(errno(why))),
    }
}

pub(super) fn accept(context: &mut Context<'_>, call: &Call) -> Attempt {
    let fd = number(call, 0)?;
    let flags = if call.name == "accept4" { number(call, 3)? } else { 0 };
    let listening = match socket(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let Kind::Listening(listener) = listening.kind else { return Ok(error("EINVAL")) };
    let (options, errors) = (listening.options, listening.errors.of_accepted());
    match context.endpoint.accept(context.now, listener) {
        Ok((id, remote)) => {
            let accepted = Socket {
                options,
                bound: context.endpoint.local_addr(id).ok(),
                errors,
                ..Socket::new(Kind::Connection(id), flags & SOCK_NONBLOCK != 0)
            };
            let answer = Answer::Descriptor(File::Socket(Box::new(accepted)));
            Ok(Outcome::Done(answer, Effect::Accepted { remote }))
        }
        Err(SocketError::WouldBlock) if !listening.nonblocking => Ok(Outcome::Blocks),
        Err(why) => Ok(error(errno(why))),
    }
}

pub(super) fn connect(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let fd = number(call, 0)?;
    let usual = SocketAddr::new(context.settings.remote_ip(), context.settings.connect_port);
    let wanted = match arg(call, 1)? {
        Expr::Integer(_) | Expr::Word(_) => return disconnect(context, call, fd),
        address_of => address(address_of, usual)?,
    };
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    match socket.kind {
        Kind::Listening(_) => return Ok(error("EISCONN")),
        Kind::Connection(_) => return finish(context, fd, progress),
        Kind::Fresh => {}
    }
    let mut request = ConnectRequest::new(wanted).options(socket.options);
    if let Some(local) = socket.bound {
        request = request.local(local);
    }
    let id = match context.endpoint.connect(context.now, request) {
        Ok(id) => id,
        Err(why) => return Ok(error(errno(why))),
    };
    socket.kind = Kind::Connection(id);
    let local = context.endpoint.local_addr(id).map_err(Stop::fail)?;
    let effect = Effect::Connecting { local, remote: wanted };
    if socket.nonblocking {
        return Ok(Outcome::Done(Answer::Error("EINPROGRESS"), effect));
    }
    // The player waits for the outcome; the effect is told at once.
    Ok(Outcome::Begun(effect))
}

/// A connect on a socket whose first connect was not over when it was last asked.
fn finish(context: &mut Context<'_>, fd: i64, progress: &Progress) -> Attempt {
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let Kind::Connection(id) = socket.kind else { return Ok(error("EISCONN")) };
    match context.endpoint.connect_again(id) {
        Ok(()) => Ok(value(0)),
        // A call that was there before waits; one that is new does not.
        Err(SocketError::AlreadyConnecting) if !socket.nonblocking || progress.begun => {
            Ok(Outcome::Blocks)
        }
        Err(why @ (SocketError::AlreadyConnecting | SocketError::IsConnected)) => {
            Ok(error(errno(why)))
        }
        Err(why) => {
            forget(context, fd);
            Ok(error(errno(why)))
        }
    }
}

/// The socket is as new, but for its options and the port that it was bound to.
fn forget(context: &mut Context<'_>, fd: i64) {
    if let Ok(socket) = socket_mut(context.files, fd) {
        if let Kind::Connection(id) = socket.kind {
            context.endpoint.abort(context.now, id);
        }
        socket.kind = Kind::Fresh;
        socket.errors.on_disconnected(context.script_now);
    }
}

/// `connect` with a family only: AF_UNSPEC ends whatever there is.
fn disconnect(context: &mut Context<'_>, call: &Call, fd: i64) -> Attempt {
    if number(call, 1)? != AF_UNSPEC {
        return Ok(error("EAFNOSUPPORT"));
    }
    let socket = match socket_mut(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    match socket.kind {
        Kind::Fresh => {}
        Kind::Listening(id) => {
            context.endpoint.close_listener(context.now, id);
            socket.kind = Kind::Fresh;
        }
        Kind::Connection(id) => {
            socket.options =
                context.endpoint.options(id).unwrap_or_else(|_| SocketOptions::default());
            forget(context, fd);
        }
    }
    Ok(value(0))
}
