//! Files and pipes, as far as their bytes go to sockets or come from them: open, pipe, sendfile,
//! splice. All bytes are zeros, so that a file is its length and a pipe what lies in it.

use super::super::sockets::{End, File, Kind, Zeros};
use super::args::{Buffer, arg, list, number};
use super::data::{Transfer, receive_bytes, send_bytes};
use super::{Answer, Attempt, Context, Outcome, Progress, count, done, error, integer, value};
use crate::drill::ast::{Call, Expr};
use crate::drill::verdict::Stop;

const O_ACCMODE: i64 = 3;
const O_RDONLY: i64 = 0;
const O_CREAT: i64 = 0x40;

/// What a pipe holds (pipe(7)).
const PIPE_CAPACITY: usize = 65_536;

const SPLICE_F_NONBLOCK: i64 = 2;
const SPLICE_F_MORE: i64 = 4;

const MSG_DONTWAIT: i64 = 0x40;
const MSG_MORE: i64 = 0x8000;

/// The endless file of zeros.
const DEV_ZERO: &str = "/dev/zero";

pub(super) fn open(context: &mut Context<'_>, call: &Call) -> Attempt {
    let Expr::String(path) = arg(call, 0)? else {
        return Err(Stop::fail("open wants a path"));
    };
    let flags = number(call, 1)?;
    if flags & O_ACCMODE != O_RDONLY || flags & O_CREAT != 0 {
        return Err(Stop::unsupported("open for writing"));
    }
    let found = if path == DEV_ZERO { Some(u64::MAX) } else { context.files.length_of(path) };
    Ok(match found {
        Some(len) => done(Answer::Descriptor(File::Zeros(Zeros { len, at: 0 }))),
        // Nothing is known of the files that a real host has.
        None => return Err(Stop::unsupported(format!("the file {path}"))),
    })
}

/// `pipe([R, W])`: the script names both descriptors.
pub(super) fn pipe(context: &mut Context<'_>, call: &Call) -> Attempt {
    let [read, write] = list(arg(call, 0)?)? else {
        return Err(Stop::fail("pipe wants two descriptors"));
    };
    let (read, write) = (integer(read)?, integer(write)?);
    let number = context.files.pipes.len();
    context.files.pipes.push(0);
    context.files.insert(read, File::Pipe(number, End::Read)).map_err(Stop::Fail)?;
    context.files.insert(write, File::Pipe(number, End::Write)).map_err(Stop::Fail)?;
    Ok(value(0))
}

/// `sendfile(out, in, [OFFSET], COUNT)`: an offset in brackets is where to begin; without one the
/// file's own position is used, and moves.
pub(super) fn sendfile(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let (out, input) = (number(call, 0)?, number(call, 1)?);
    let offset = match arg(call, 2)? {
        Expr::List(elements) if elements.len() == 1 => Some(integer(&elements[0])?),
        other if is_null(other) => None,
        other => return Err(Stop::fail(format!("an offset was expected, not {other:?}"))),
    };
    let wanted = u64::try_from(number(call, 3)?).unwrap_or(u64::MAX);
    let file = match context.files.get(input) {
        Some(File::Zeros(file)) => *file,
        Some(_) => return Ok(error("EINVAL")),
        None => return Ok(error("EBADF")),
    };
    let at = match offset.map(u64::try_from) {
        None => file.at,
        Some(Ok(at)) => at,
        Some(Err(_)) => return Ok(error("EINVAL")),
    };
    let len = wanted.min(file.len.saturating_sub(at));
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len == 0 {
        return Ok(value(0));
    }
    let transfer = Transfer { fd: out, buffer: Buffer::Zeros, len, flags: 0, unread: None };
    let outcome = send_bytes(context, progress, &transfer)?;
    if let (Outcome::Done(Answer::Value(sent), _), None) = (&outcome, offset)
        && let Some(File::Zeros(file)) = context.files.get_mut(input)
    {
        file.at = at.saturating_add(u64::try_from(*sent).unwrap_or(0));
    }
    Ok(outcome)
}

/// `splice(in, NULL, out, NULL, LEN, FLAGS)` between a socket and a pipe.
pub(super) fn splice(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let (input, out) = (number(call, 0)?, number(call, 2)?);
    if !is_null(arg(call, 1)?) || !is_null(arg(call, 3)?) {
        return Err(Stop::unsupported("splice with offsets"));
    }
    let wanted = usize::try_from(number(call, 4)?).unwrap_or(usize::MAX);
    let flags = number(call, 5)?;
    let calm = if flags & SPLICE_F_NONBLOCK == 0 { 0 } else { MSG_DONTWAIT };
    let transfer =
        |fd, len, flags| Transfer { fd, buffer: Buffer::Zeros, len, flags, unread: None };
    match (context.files.get(input), context.files.get(out)) {
        (Some(File::Socket(socket)), Some(File::Pipe(pipe, End::Write))) => {
            let (kind, pipe) = (socket.kind, *pipe);
            let room = PIPE_CAPACITY.saturating_sub(context.files.pipes[pipe]);
            let mut len = wanted.min(room);
            if wanted > 0 && room == 0 {
                return Ok(if calm == 0 { Outcome::Blocks } else { error("EAGAIN") });
            }
            // As on Linux, where the last urgent byte is not in line: it is not gone past.
            if let Kind::Connection(id) = kind
                && let Some(left) = context.endpoint.queues(id).ok().and_then(|q| q.urgent_left)
            {
                let before = usize::try_from(left.saturating_sub(1)).unwrap_or(usize::MAX);
                if before == 0 {
                    return Ok(value(0));
                }
                len = len.min(before);
            }
            let outcome = receive_bytes(context, call, progress, &transfer(input, len, calm))?;
            if let Outcome::Done(Answer::Value(got), _) = &outcome {
                context.files.pipes[pipe] += usize::try_from(*got).unwrap_or(0);
            }
            Ok(outcome)
        }
        (Some(File::Pipe(pipe, End::Read)), Some(File::Socket(_))) => {
            let pipe = *pipe;
            let len = wanted.min(context.files.pipes[pipe]);
            if len == 0 && wanted > 0 {
                return Ok(if calm == 0 { Outcome::Blocks } else { error("EAGAIN") });
            }
            let more = if flags & SPLICE_F_MORE == 0 { 0 } else { MSG_MORE };
            let outcome = send_bytes(context, progress, &transfer(out, len, calm | more))?;
            if let Outcome::Done(Answer::Value(sent), _) = &outcome {
                context.files.pipes[pipe] -= usize::try_from(*sent).unwrap_or(0).min(len);
            }
            Ok(outcome)
        }
        (Some(File::Zeros(file)), Some(File::Pipe(pipe, End::Write))) => {
            let (left, pipe) = (file.len.saturating_sub(file.at), *pipe);
            let room = PIPE_CAPACITY.saturating_sub(context.files.pipes[pipe]);
            let moved = wanted.min(room).min(usize::try_from(left).unwrap_or(usize::MAX));
            context.files.pipes[pipe] += moved;
            if let Some(File::Zeros(file)) = context.files.get_mut(input) {
                file.at += moved as u64;
            }
            Ok(count(moved))
        }
        (None, _) | (_, None) => Ok(error("EBADF")),
        _ => Ok(error("EINVAL")),
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Integer(0)) || matches!(expr, Expr::Word(word) if word == "NULL")
}
