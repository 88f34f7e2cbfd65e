//! Bytes in and out: the families of read and write. Everything written is zeros, and so must be
//! everything that is read.

use bytes::Bytes;
use towpath_engine::SocketError;

use super::super::seen::first_nonzero;
use super::super::sockets::Kind;
use super::args::{Buffer, arg, braces, buffer, integer, length, member, number, vectors};
use super::{Attempt, Context, Outcome, Progress, count, errno, error, socket, value};
use crate::drill::ast::{Call, Expr};
use crate::drill::verdict::Stop;

const MSG_PEEK: i64 = 2;
const MSG_TRUNC: i64 = 0x20;
const MSG_DONTWAIT: i64 = 0x40;
const MSG_WAITALL: i64 = 0x100;
const MSG_NOSIGNAL: i64 = 0x4000;
const MSG_MORE: i64 = 0x8000;
const MSG_CMSG_CLOEXEC: i64 = 0x4000_0000;

/// The flags that a receiving call may have; the rest are not built.
const RECEIVE_FLAGS: i64 =
    MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;

/// The flags that a sending call may have.
const SEND_FLAGS: i64 = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;

/// The bits of flags with their names, for those that are not built.
const FLAG_NAMES: [(i64, &str); 8] = [
    (1, "MSG_OOB"),
    (4, "MSG_DONTROUTE"),
    (0x80, "MSG_EOR"),
    (0x800, "MSG_CONFIRM"),
    (0x2000, "MSG_ERRQUEUE"),
    (MSG_MORE, "MSG_MORE"),
    (0x400_0000, "MSG_ZEROCOPY"),
    (0x2000_0000, "MSG_FASTOPEN"),
];

/// What the calls of a family have in common.
struct Transfer {
    fd: i64,
    buffer: Buffer,
    len: usize,
    flags: i64,
}

impl Transfer {
    /// Reads the arguments of a call that takes flags only from among `allowed`.
    fn new(call: &Call, allowed: i64) -> Result<Transfer, Stop> {
        let fd = number(call, 0)?;
        let transfer = match call.name.as_str() {
            "read" | "write" => {
                Transfer { fd, buffer: buffer(arg(call, 1)?)?, len: length(call, 2)?, flags: 0 }
            }
            "readv" | "writev" => {
                let (buffer, len) = vectors(arg(call, 1)?)?;
                Transfer { fd, buffer, len, flags: 0 }
            }
            "recvmsg" | "sendmsg" => {
                let message = braces(arg(call, 1)?)?;
                let vector = member(message, "msg_iov")
                    .ok_or_else(|| Stop::fail("a message has a msg_iov"))?;
                let (buffer, len) = vectors(vector)?;
                if let Some(control) = member(message, "msg_control")
                    && !matches!(control, Expr::List(elements) if elements.is_empty())
                {
                    return Err(Stop::unsupported(format!("{} with msg_control", call.name)));
                }
                if let Some(flags) = member(message, "msg_flags")
                    && call.name == "recvmsg"
                    && integer(flags)? != 0
                {
                    return Err(Stop::unsupported("recvmsg that returns msg_flags"));
                }
                Transfer { fd, buffer, len, flags: number(call, 2)? }
            }
            _ => Transfer {
                fd,
                buffer: buffer(arg(call, 1)?)?,
                len: length(call, 2)?,
                flags: number(call, 3)?,
            },
        };
        let rest = transfer.flags & !allowed;
        if rest != 0 {
            let name = FLAG_NAMES.iter().find(|(bit, _)| rest & bit != 0);
            let name = name.map_or_else(|| format!("flags {rest:#x}"), |(_, name)| (*name).to_owned());
            return Err(Stop::unsupported(format!("{} with {name}", call.name)));
        }
        Ok(transfer)
    }
}

pub(super) fn receive(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let Transfer { fd, buffer, len, flags } = Transfer::new(call, RECEIVE_FLAGS)?;
    let socket = match socket(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let Kind::Connection(id) = socket.kind else { return Ok(error("ENOTCONN")) };
    let blocking = !socket.nonblocking && flags & MSG_DONTWAIT == 0;
    let all = flags & MSG_WAITALL != 0 && flags & MSG_PEEK == 0;
    if buffer == Buffer::Null && len > 0 {
        return Ok(match context.endpoint.peek(id, len) {
            Ok(chunks) if chunks.is_empty() => value(0),
            Ok(_) => error("EFAULT"),
            Err(SocketError::WouldBlock) if blocking => Outcome::Blocks,
            Err(why) => error(errno(why)),
        });
    }
    loop {
        let left = len.saturating_sub(progress.bytes);
        let got = if flags & MSG_PEEK == 0 {
            context.endpoint.receive(context.now, id, left)
        } else {
            context.endpoint.peek(id, left)
        };
        match got {
            Ok(chunks) => {
                let bytes = chunks.to_vec();
                if let Some(at) = first_nonzero(&bytes) {
                    let at = progress.bytes + at;
                    return Err(Stop::fail(format!("byte {at} that {} returns is not the zero that was sent", call.name)));
                }
                progress.bytes += bytes.len();
                // What is there may take several steps. A step that finds nothing would take a
                // pending error, which is the next call's.
                let more = context.endpoint.info(id).is_some_and(|info| info.unread_bytes > 0);
                let over = bytes.is_empty() || flags & MSG_PEEK != 0 || progress.bytes == len;
                if over || !(more || all && blocking) {
                    return Ok(count(progress.bytes));
                }
            }
            Err(SocketError::WouldBlock) if blocking => return Ok(Outcome::Blocks),
            Err(_) if progress.bytes > 0 => return Ok(count(progress.bytes)),
            Err(why) => return Ok(error(errno(why))),
        }
    }
}

pub(super) fn send(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let Transfer { fd, buffer, len, flags } = Transfer::new(call, SEND_FLAGS)?;
    let socket = match socket(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let Kind::Connection(id) = socket.kind else { return Ok(error("EPIPE")) };
    let blocking = !socket.nonblocking && flags & MSG_DONTWAIT == 0;
    if flags & MSG_MORE != 0 {
        return Err(Stop::unsupported(format!("{} with MSG_MORE", call.name)));
    }
    loop {
        let left = len - progress.bytes.min(len);
        match context.endpoint.reserve_send(id, left) {
            Ok(reserved) => {
                let data =
                    if buffer == Buffer::Null { Bytes::new() } else { vec![0; reserved].into() };
                let taken = data.len();
                if let Err(why) = context.endpoint.commit_send(context.now, id, reserved, data) {
                    return Ok(error(errno(why)));
                }
                if buffer == Buffer::Null && left > 0 {
                    return Ok(error("EFAULT"));
                }
                progress.bytes += taken;
                if progress.bytes >= len {
                    return Ok(count(progress.bytes));
                }
            }
            Err(SocketError::WouldBlock) if blocking => return Ok(Outcome::Blocks),
            Err(_) if progress.bytes > 0 => return Ok(count(progress.bytes)),
            Err(why) => return Ok(error(errno(why))),
        }
    }
}
