//! Bytes in and out: the families of read and write. Everything written is zeros, and so must be
//! everything that is read.

use bytes::Bytes;
use towpath_engine::{SendFlags, SocketError};

use super::super::seen::first_nonzero;
use super::super::sockets::Kind;
use super::args::{
    Buffer, arg, braces, buffer, check_count, integer, length, member, number, vectors,
};
use super::{
    Answer, Attempt, Context, Outcome, Progress, count, errno, error, socket, socket_mut, value,
};
use crate::drill::ast::{Call, Expr};
use crate::drill::verdict::Stop;

const MSG_OOB: i64 = 1;
const MSG_PEEK: i64 = 2;
const MSG_TRUNC: i64 = 0x20;
const MSG_DONTWAIT: i64 = 0x40;
const MSG_EOR: i64 = 0x80;
const MSG_WAITALL: i64 = 0x100;
const MSG_NOSIGNAL: i64 = 0x4000;
const MSG_MORE: i64 = 0x8000;
const MSG_ERRQUEUE: i64 = 0x2000;
const MSG_ZEROCOPY: i64 = 0x400_0000;
const MSG_CMSG_CLOEXEC: i64 = 0x4000_0000;

/// The flags that a receiving call may have; the rest are not built.
const RECEIVE_FLAGS: i64 =
    MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;

/// The flags that a sending call may have.
const SEND_FLAGS: i64 = MSG_OOB | MSG_DONTWAIT | MSG_EOR | MSG_NOSIGNAL | MSG_MORE | MSG_ZEROCOPY;

/// Linux cuts a segment where it has no place for more pieces of memory (MAX_SKB_FRAGS).
const MOST_PIECES: usize = 17;

/// The bits of flags with their names, for those that are not built.
const FLAG_NAMES: [(i64, &str); 8] = [
    (MSG_OOB, "MSG_OOB"),
    (4, "MSG_DONTROUTE"),
    (MSG_EOR, "MSG_EOR"),
    (0x800, "MSG_CONFIRM"),
    (MSG_ERRQUEUE, "MSG_ERRQUEUE"),
    (MSG_MORE, "MSG_MORE"),
    (MSG_ZEROCOPY, "MSG_ZEROCOPY"),
    (0x2000_0000, "MSG_FASTOPEN"),
];

/// What the calls of a family have in common.
pub(super) struct Transfer {
    pub(super) fd: i64,
    pub(super) buffer: Buffer,
    pub(super) len: usize,
    pub(super) flags: i64,
    /// What a recvmsg has to say of the bytes that are left (TCP_CM_INQ).
    pub(super) unread: Option<i64>,
}

impl Transfer {
    /// Reads the arguments of a call that takes flags only from among `allowed`.
    fn new(call: &Call, allowed: i64) -> Result<Transfer, Stop> {
        let fd = number(call, 0)?;
        let transfer = match call.name.as_str() {
            "read" | "write" => Transfer {
                fd,
                buffer: buffer(arg(call, 1)?)?,
                len: length(call, 2)?,
                flags: 0,
                unread: None,
            },
            "readv" | "writev" => {
                let (buffer, len) = vectors(arg(call, 1)?)?;
                check_count(Some(arg(call, 2)?), arg(call, 1)?)?;
                Transfer { fd, buffer, len, flags: 0, unread: None }
            }
            "recvmsg" | "sendmsg" => {
                let message = braces(arg(call, 1)?)?;
                let vector = member(message, "msg_iov")
                    .ok_or_else(|| Stop::fail("a message has a msg_iov"))?;
                let (buffer, len) = vectors(vector)?;
                let count = message.iter().find(|field| field.name.as_deref() == Some("msg_iov"));
                check_count(count.and_then(|field| field.count.as_ref()), vector)?;
                let unread = match member(message, "msg_control") {
                    Some(Expr::List(elements)) => control(&call.name, elements)?,
                    _ => None,
                };
                if let Some(flags) = member(message, "msg_flags")
                    && call.name == "recvmsg"
                    && integer(flags)? != 0
                {
                    return Err(Stop::unsupported("recvmsg that returns msg_flags"));
                }
                Transfer { fd, buffer, len, flags: number(call, 2)?, unread }
            }
            _ => Transfer {
                fd,
                buffer: buffer(arg(call, 1)?)?,
                len: length(call, 2)?,
                flags: number(call, 3)?,
                unread: None,
            },
        };
        let rest = transfer.flags & !allowed;
        if rest != 0 {
            let name = FLAG_NAMES.iter().find(|(bit, _)| rest & bit != 0);
            let name =
                name.map_or_else(|| format!("flags {rest:#x}"), |(_, name)| (*name).to_owned());
            return Err(Stop::unsupported(format!("{} with {name}", call.name)));
        }
        Ok(transfer)
    }
}

/// What a message's control list says: nothing, or the bytes that are left to read.
fn control(name: &str, elements: &[Expr]) -> Result<Option<i64>, Stop> {
    const SOL_TCP: i64 = 6;
    const TCP_CM_INQ: i64 = 36;
    let unsupported = || Stop::unsupported(format!("{name} with msg_control"));
    let [element] = elements else {
        return if elements.is_empty() { Ok(None) } else { Err(unsupported()) };
    };
    let fields = braces(element)?;
    let field = |name| member(fields, name).ok_or_else(unsupported);
    if (integer(field("cmsg_level")?)?, integer(field("cmsg_type")?)?) != (SOL_TCP, TCP_CM_INQ)
        || name != "recvmsg"
    {
        return Err(unsupported());
    }
    integer(field("cmsg_data")?).map(Some)
}

pub(super) fn receive(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    if let "recv" | "recvfrom" | "recvmsg" = call.name.as_str() {
        let flags = number(call, if call.name == "recvmsg" { 2 } else { 3 })?;
        if flags & MSG_ERRQUEUE != 0 {
            return super::errors::receive(context, call);
        }
    }
    let transfer = Transfer::new(call, RECEIVE_FLAGS)?;
    let outcome = receive_bytes(context, call, progress, &transfer)?;
    // A message has control data if it has come and the socket asked for it.
    let came = matches!(&outcome, Outcome::Done(Answer::Value(0..), _));
    if let (true, "recvmsg", Ok(socket)) =
        (came, call.name.as_str(), socket(context.files, transfer.fd))
        && let Kind::Connection(id) = socket.kind
    {
        let found = socket
            .tells_unread
            .then(|| context.endpoint.queues(id).map_or(0, |queues| queues.hint as i64));
        if found != transfer.unread {
            let wanted = transfer.unread;
            return Err(Stop::fail(format!("TCP_CM_INQ gives {found:?}, expected {wanted:?}")));
        }
    }
    Ok(outcome)
}

/// Takes zeros from the socket's connection.
pub(super) fn receive_bytes(
    context: &mut Context<'_>,
    call: &Call,
    progress: &mut Progress,
    transfer: &Transfer,
) -> Attempt {
    let Transfer { fd, buffer, len, flags, .. } = *transfer;
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
                    return Err(Stop::fail(format!(
                        "byte {at} that {} returns is not the zero that was sent",
                        call.name
                    )));
                }
                progress.bytes += bytes.len();
                // What is there may take several steps. A step that finds nothing would take a
                // pending error, which is the next call's.
                let more = context.endpoint.queues(id).is_ok_and(|queues| queues.unread > 0);
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
    let transfer = Transfer::new(call, SEND_FLAGS)?;
    let copies = transfer.flags & MSG_ZEROCOPY == 0
        || socket(context.files, transfer.fd).is_ok_and(|socket| !socket.errors.zerocopy);
    if !copies && pieces(call) > MOST_PIECES {
        let what = format!("{} with MSG_ZEROCOPY of more than {MOST_PIECES} pieces", call.name);
        return Err(Stop::unsupported(what));
    }
    let outcome = send_bytes(context, progress, &transfer)?;
    // A call that could write something ends well, or with less than it was given.
    if let (Outcome::Done(..), true) = (&outcome, progress.bytes > 0)
        && let Ok(socket) = socket_mut(context.files, transfer.fd)
    {
        socket.errors.on_call(!copies);
    }
    Ok(outcome)
}

/// The pieces of memory that a message is gathered from.
fn pieces(call: &Call) -> usize {
    let vector = match call.args.get(1).map(super::plain) {
        Some(Expr::Braces(message)) => member(message, "msg_iov"),
        other => other,
    };
    match vector {
        Some(Expr::List(elements)) => elements.len(),
        _ => 1,
    }
}

/// Gives zeros to the socket's connection.
pub(super) fn send_bytes(
    context: &mut Context<'_>,
    progress: &mut Progress,
    transfer: &Transfer,
) -> Attempt {
    let Transfer { fd, buffer, len, flags, .. } = *transfer;
    let socket = match socket(context.files, fd) {
        Ok(socket) => socket,
        Err(name) => return Ok(error(name)),
    };
    let Kind::Connection(id) = socket.kind else { return Ok(error("EPIPE")) };
    let blocking = !socket.nonblocking && flags & MSG_DONTWAIT == 0;
    // Who waits for room goes on when the engine says so, not as soon as there is any.
    if blocking && progress.begun && !socket.has_room {
        return Ok(Outcome::Blocks);
    }
    loop {
        let left = len - progress.bytes.min(len);
        match context.endpoint.reserve_send(id, left) {
            Ok(reserved) => {
                let data =
                    if buffer == Buffer::Null { Bytes::new() } else { vec![0; reserved].into() };
                let taken = data.len();
                let mut said = SendFlags::default();
                said.more = flags & MSG_MORE != 0;
                // Record and urgent data end with the last of these bytes.
                said.end_of_record = flags & MSG_EOR != 0 && taken == left;
                said.urgent = flags & MSG_OOB != 0 && taken == left;
                let sent = context.endpoint.commit_send(context.now, id, reserved, data, said);
                if let Err(why) = sent {
                    return Ok(error(errno(why)));
                }
                if buffer == Buffer::Null && left > 0 {
                    return Ok(error("EFAULT"));
                }
                progress.bytes += taken;
                if let Ok(socket) = socket_mut(context.files, fd) {
                    socket.errors.on_written(taken);
                }
                if progress.bytes >= len {
                    return Ok(count(progress.bytes));
                }
            }
            Err(SocketError::WouldBlock) if blocking => {
                if let Ok(socket) = socket_mut(context.files, fd) {
                    socket.has_room = false;
                }
                return Ok(Outcome::Blocks);
            }
            Err(_) if progress.bytes > 0 => return Ok(count(progress.bytes)),
            Err(why) => return Ok(error(errno(why))),
        }
    }
}
