//! Waiting for readiness: poll and epoll, from the engine's readiness to Linux's bits (tcp_poll).

use towpath_engine::{ConnectionId, Endpoint, Event, Readiness, StateName};

use super::super::sockets::{File, Files, Kind};
use super::args::{arg, braces, int, integer, list, member, number};
use super::{Attempt, Context, Outcome, Progress, error, value};
use crate::drill::ast::{Call, Expr};
use crate::drill::verdict::Stop;

const IN: i64 = 0x1;
const OUT: i64 = 0x4;
const ERR: i64 = 0x8;
const HUP: i64 = 0x10;
const NVAL: i64 = 0x20;
const RDNORM: i64 = 0x40;
const WRNORM: i64 = 0x100;
const RDHUP: i64 = 0x2000;
const EPOLLEXCLUSIVE: i64 = 1 << 28;
const EPOLLWAKEUP: i64 = 1 << 29;
const EPOLLONESHOT: i64 = 1 << 30;
const EPOLLET: i64 = 1 << 31;

/// What an epoll descriptor wants to know of another.
#[derive(Clone, Debug)]
pub(in crate::drill::play) struct Interest {
    events: i64,
    data: Option<i64>,
    /// Something has happened since it was last told.
    news: bool,
    /// One-shot, and it was told.
    disarmed: bool,
}

/// The bits that a descriptor has now.
fn bits(endpoint: &Endpoint, files: &Files, fd: i64) -> i64 {
    let kind = match files.get(fd) {
        Some(File::Socket(socket)) => socket.kind,
        Some(_) => return 0,
        None => return NVAL,
    };
    let told = match kind {
        Kind::Fresh => OUT | WRNORM | HUP,
        Kind::Listening(id) if endpoint.is_acceptable(id) => IN | RDNORM,
        Kind::Listening(_) => 0,
        Kind::Connection(id) => connection_bits(endpoint, id),
    };
    let has_errors = files.socket(fd).is_some_and(|socket| !socket.errors.is_empty());
    told | if has_errors { ERR } else { 0 }
}

fn connection_bits(endpoint: &Endpoint, id: ConnectionId) -> i64 {
    let readiness = endpoint.readiness(id);
    let state = endpoint.state(id).unwrap_or(StateName::Closed);
    if state == StateName::SynSent {
        return 0;
    }
    let read_closed = readiness.contains(Readiness::READ_CLOSED);
    let write_closed = readiness.contains(Readiness::WRITE_CLOSED);
    let table = [
        (readiness.contains(Readiness::READABLE), IN | RDNORM),
        (readiness.contains(Readiness::WRITABLE), OUT | WRNORM),
        (read_closed, IN | RDNORM | RDHUP),
        (read_closed && write_closed || state == StateName::Closed, HUP),
        (readiness.contains(Readiness::ERROR), ERR),
    ];
    table.iter().filter(|(set, _)| *set).fold(0, |all, (_, bits)| all | bits)
}

/// When a call with this timeout in milliseconds stops to wait; at once if it is 0, never if it is
/// negative.
fn deadline(context: &Context<'_>, progress: &mut Progress, timeout: i64) -> bool {
    if timeout == 0 {
        return true;
    }
    if timeout > 0 && progress.until.is_none() {
        progress.until = Some(context.script_now.saturating_add(timeout.saturating_mul(1000)));
    }
    progress.until.is_some_and(|until| context.script_now >= until)
}

pub(super) fn poll(context: &mut Context<'_>, call: &Call, progress: &mut Progress) -> Attempt {
    let timeout = int(call, 2)?;
    let mut found = Vec::new();
    for wanted in list(arg(call, 0)?)? {
        let fields = braces(wanted)?;
        let field = |name| match member(fields, name) {
            Some(expr) => integer(expr),
            None => Ok(0),
        };
        let (fd, events, revents) = (field("fd")?, field("events")?, field("revents")?);
        let seen = bits(context.endpoint, context.files, fd) & (events | ERR | HUP | NVAL);
        found.push((fd, seen, revents));
    }
    let ready = found.iter().filter(|(_, seen, _)| *seen != 0).count();
    if ready == 0 && !deadline(context, progress, timeout) {
        return Ok(Outcome::Blocks);
    }
    for (fd, seen, revents) in found {
        if seen != revents {
            return Err(Stop::fail(format!(
                "poll gives revents {} for {fd}, expected {}",
                show(seen),
                show(revents)
            )));
        }
    }
    Ok(super::count(ready))
}

pub(super) fn epoll_ctl(context: &mut Context<'_>, call: &Call) -> Attempt {
    const ADD: i64 = 1;
    const DEL: i64 = 2;
    const MOD: i64 = 3;
    let (epoll, operation, fd) = (number(call, 0)?, number(call, 1)?, number(call, 2)?);
    if context.files.get(fd).is_none() {
        return Ok(error("EBADF"));
    }
    let interests = match context.files.get_mut(epoll) {
        Some(File::Epoll(interests)) => interests,
        Some(_) => return Ok(error("EINVAL")),
        None => return Ok(error("EBADF")),
    };
    if operation == DEL {
        return Ok(interests.remove(&fd).map_or_else(|| error("ENOENT"), |_| value(0)));
    }
    let fields = braces(arg(call, 3)?)?;
    let events = member(fields, "events").map_or(Ok(0), integer)?;
    match (operation, interests.contains_key(&fd)) {
        (ADD, true) => return Ok(error("EEXIST")),
        (MOD, false) => return Ok(error("ENOENT")),
        (ADD | MOD, _) => {}
        _ => return Ok(error("EINVAL")),
    }
    let interest = Interest { events, data: data(fields)?, news: true, disarmed: false };
    interests.insert(fd, interest);
    Ok(value(0))
}

/// What an event carries besides its bits; `None` for `ptr`, which no script can compare.
fn data(fields: &[crate::drill::ast::Field]) -> Result<Option<i64>, Stop> {
    let named = ["fd", "u32", "u64"].iter().find_map(|name| member(fields, name));
    named.map(integer).transpose()
}

pub(super) fn epoll_wait(
    context: &mut Context<'_>,
    call: &Call,
    progress: &mut Progress,
) -> Attempt {
    let (epoll, most, timeout) = (number(call, 0)?, int(call, 2)?, int(call, 3)?);
    let interests = match context.files.get(epoll) {
        Some(File::Epoll(interests)) => interests.clone(),
        Some(_) => return Ok(error("EINVAL")),
        None => return Ok(error("EBADF")),
    };
    if most <= 0 {
        return Ok(error("EINVAL"));
    }
    let mut told = Vec::new();
    for (fd, interest) in &interests {
        let mask = interest.events & !(EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET);
        let seen = bits(context.endpoint, context.files, *fd) & (mask | ERR | HUP);
        let edge = interest.events & EPOLLET == 0 || interest.news;
        if seen != 0 && edge && !interest.disarmed {
            told.push((*fd, seen, interest.data));
        }
    }
    told.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    if told.is_empty() && !deadline(context, progress, timeout) {
        return Ok(Outcome::Blocks);
    }
    if let Some(File::Epoll(interests)) = context.files.get_mut(epoll) {
        for (fd, ..) in &told {
            if let Some(interest) = interests.get_mut(fd) {
                interest.news = false;
                interest.disarmed = interest.events & EPOLLONESHOT != 0;
            }
        }
    }
    if let (Some((_, seen, carried)), Expr::Braces(fields)) = (told.first(), arg(call, 1)?) {
        let events = member(fields, "events").map_or(Ok(0), integer)?;
        if *seen != events {
            return Err(Stop::fail(format!(
                "epoll_wait gives {}, expected {}",
                show(*seen),
                show(events)
            )));
        }
        let wanted = data(fields)?;
        if wanted.is_some() && wanted != *carried {
            return Err(Stop::fail(format!(
                "epoll_wait gives data {carried:?}, expected {wanted:?}"
            )));
        }
    }
    Ok(super::count(told.len()))
}

/// An event of the engine is news for those who asked for edges.
pub(in crate::drill::play) fn on_event(files: &mut Files, event: Event) {
    if let Event::Ready(id, readiness) = event
        && readiness.contains(Readiness::WRITABLE)
    {
        for (_, socket) in files.sockets_mut().filter(|(_, s)| s.kind == Kind::Connection(id)) {
            socket.has_room = true;
        }
    }
    let concerns = |kind: Kind| match event {
        Event::Ready(id, _) => kind == Kind::Connection(id),
        Event::Incoming(id) => kind == Kind::Listening(id),
        _ => false,
    };
    let fds: Vec<i64> =
        files.sockets().filter(|(_, socket)| concerns(socket.kind)).map(|(fd, _)| fd).collect();
    has_news(files, &fds);
}

/// What has become of the text of sockets that want to know is put into their error queues.
pub(in crate::drill::play) fn look_at_errors(files: &mut Files, endpoint: &Endpoint, now: i64) {
    let mut fds = Vec::new();
    for (fd, socket) in files.sockets_mut() {
        if let Kind::Connection(id) = socket.kind
            && socket.errors.look(endpoint, id, now)
        {
            fds.push(fd);
        }
    }
    has_news(files, &fds);
}

fn has_news(files: &mut Files, fds: &[i64]) {
    for interests in files.epolls_mut() {
        for fd in fds {
            if let Some(interest) = interests.get_mut(fd) {
                interest.news = true;
            }
        }
    }
}

fn show(bits: i64) -> String {
    const NAMES: [(i64, &str); 9] = [
        (IN, "IN"),
        (0x2, "PRI"),
        (OUT, "OUT"),
        (ERR, "ERR"),
        (HUP, "HUP"),
        (NVAL, "NVAL"),
        (RDNORM, "RDNORM"),
        (WRNORM, "WRNORM"),
        (RDHUP, "RDHUP"),
    ];
    let names: Vec<&str> =
        NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { "0".to_owned() } else { names.join("|") }
}
