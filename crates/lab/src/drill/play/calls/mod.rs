//! The application's calls: from names and arguments to the engine's calls, and from its results to
//! what Linux's return. What TCP answers is the engine's; what the socket layer above it answers
//! (wrong descriptors, EINPROGRESS, bad addresses) is told here.

mod args;
mod control;
mod data;
mod errors;
mod files;
mod open;
pub(super) mod wait;

use core::net::SocketAddr;

use towpath_engine::{ConnectionId, Endpoint, Instant, SocketError};

pub(super) use self::args::{integer, plain};
use super::sockets::{File, Files, Socket};
use crate::drill::ast::Call;
use crate::drill::settings::Settings;
use crate::drill::verdict::Stop;

/// What a call works on.
pub(super) struct Context<'a> {
    pub(super) endpoint: &'a mut Endpoint,
    pub(super) files: &'a mut Files,
    pub(super) settings: &'a Settings,
    pub(super) now: Instant,
    /// The same, in script time.
    pub(super) script_now: i64,
}

/// What a call that has to wait remembers between its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// It was attempted before.
    pub(super) begun: bool,
    /// Bytes that it has written or read.
    pub(super) bytes: usize,
    /// When it stops to wait, in script time.
    pub(super) until: Option<i64>,
    /// The connection that a close waits for.
    pub(super) lingering: Option<ConnectionId>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Answer, Effect),
    /// It has begun what the effect says and has to wait for it.
    Begun(Effect),
    /// It has to wait.
    Blocks,
}

/// What a call returns.
#[derive(Debug)]
pub(super) enum Answer {
    Value(i64),
    /// A new descriptor, to which the script gives a number.
    Descriptor(File),
    /// -1, and the name of an errno.
    Error(&'static str),
}

/// What a call means for the packets that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// A new socket is the one under test.
    Created,
    /// A connection is begun.
    Connecting {
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// A connection was accepted.
    Accepted {
        remote: SocketAddr,
    },
}

/// An attempt's result: an outcome, or what ends the script.
pub(super) type Attempt = Result<Outcome, Stop>;

/// Makes a call, or goes on with one that had to wait.
///
/// # Errors
///
/// A call that is not there, arguments that it does not take, a by-reference result that is not as
/// written.
pub(super) fn attempt(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let outcome = match call.name.as_str() {
        "socket" => open::create(context, call),
        "bind" => open::bind(context, call),
        "listen" => open::listen(context, call),
        "accept" | "accept4" => open::accept(context, call),
        "connect" => open::connect(context, call, progress),
        "read" | "recv" | "recvfrom" | "readv" | "recvmsg" => {
            data::receive(context, call, progress)
        }
        "write" | "send" | "sendto" | "writev" | "sendmsg" => data::send(context, call, progress),
        "fcntl" => control::fcntl(context, call),
        "ioctl" => control::ioctl(context, call),
        "close" => control::close(context, call, progress),
        "shutdown" => control::shutdown(context, call),
        "getsockopt" => super::sockopt::get(context, call),
        "setsockopt" => super::sockopt::set(context, call),
        "poll" => wait::poll(context, call, progress),
        "epoll_create" | "epoll_create1" => {
            Ok(done(Answer::Descriptor(File::Epoll(<_>::default()))))
        }
        "open" => files::open(context, call),
        "pipe" | "pipe2" => files::pipe(context, call),
        "sendfile" => files::sendfile(context, call, progress),
        "splice" => files::splice(context, call, progress),
        "epoll_ctl" => wait::epoll_ctl(context, call),
        "epoll_wait" => wait::epoll_wait(context, call, progress),
        other => Err(Stop::unsupported(format!("call {other}"))),
    };
    progress.begun = true;
    outcome
}

fn done(answer: Answer) -> Outcome {
    Outcome::Done(answer, Effect::None)
}

pub(super) fn value(value: i64) -> Outcome {
    done(Answer::Value(value))
}

pub(super) fn error(errno: &'static str) -> Outcome {
    done(Answer::Error(errno))
}

/// A number of bytes as a call returns it.
fn count(bytes: usize) -> Outcome {
    value(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// A result of the engine without a value.
fn plain_result(result: Result<(), SocketError>) -> Outcome {
    match result {
        Ok(()) => value(0),
        Err(why) => error(errno(why)),
    }
}

/// The socket of a descriptor, or the errno for there being none.
pub(super) fn socket(files: &Files, fd: i64) -> Result<&Socket, &'static str> {
    match files.get(fd) {
        Some(File::Socket(socket)) => Ok(socket),
        Some(_) => Err("ENOTSOCK"),
        None => Err("EBADF"),
    }
}

pub(super) fn socket_mut(files: &mut Files, fd: i64) -> Result<&mut Socket, &'static str> {
    match files.get_mut(fd) {
        Some(File::Socket(socket)) => Ok(socket),
        Some(_) => Err("ENOTSOCK"),
        None => Err("EBADF"),
    }
}

/// Linux's name for what the engine's calls fail with.
pub(super) fn errno(error: SocketError) -> &'static str {
    match error {
        SocketError::WouldBlock => "EAGAIN",
        SocketError::ConnectionRefused => "ECONNREFUSED",
        SocketError::ConnectionReset => "ECONNRESET",
        SocketError::ConnectionAborted => "ECONNABORTED",
        SocketError::TimedOut => "ETIMEDOUT",
        SocketError::BrokenPipe => "EPIPE",
        SocketError::NotConnected => "ENOTCONN",
        SocketError::AddressInUse => "EADDRINUSE",
        SocketError::AddressNotAvailable => "EADDRNOTAVAIL",
        SocketError::NetworkUnreachable => "ENETUNREACH",
        SocketError::HostUnreachable => "EHOSTUNREACH",
        SocketError::NetworkDown => "ENETDOWN",
        SocketError::ProtocolUnreachable => "ENOPROTOOPT",
        SocketError::MessageSize => "EMSGSIZE",
        SocketError::InvalidInput => "EINVAL",
        SocketError::NoBuffers => "ENOBUFS",
        SocketError::NoSuchSocket => "EBADF",
        SocketError::AlreadyConnecting => "EALREADY",
        SocketError::IsConnected => "EISCONN",
        _ => "EIO",
    }
}
