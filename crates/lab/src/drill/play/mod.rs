//! A script played against one engine, in virtual time.
//!
//! Here events happen in their order and time passes between them. What each kind of event means is
//! told elsewhere: `inject` and `expect` for packets, `calls` for the application, `commands` for the
//! shell, `info` for code; `live` knows the numbers of a connection, `clock` the times.

mod calls;
mod clock;
mod commands;
mod expect;
mod info;
mod inject;
mod live;
mod options;
mod seen;
mod sockets;
mod sockopt;
mod sysctl;
mod under_test;

use core::net::IpAddr;
use std::collections::VecDeque;

use towpath_engine::{Config, Instant};

use self::calls::{Answer, Context, Effect, Outcome, Progress, integer};
use self::clock::{ANY_TIME_MICROS, Clock, Due, PATIENCE_MICROS, seconds, tolerance};
use self::commands::Shell;
use self::live::Scaled;
use self::seen::Seen;
use self::sockets::{Files, Kind};
use self::under_test::UnderTest;
use super::ast::{Action, Body, Call, Direction, Event, Packet, Script, Tcp, Time};
use super::code::{Code, CodeError};
use super::constants::errno;
use super::settings::{IpVersion, Settings};
use super::verdict::{Failure, Stop, Verdict};
use crate::host::Host;
use crate::pattern::Numbers;
use crate::trace::Trace;

/// Decides what nothing else does: ports that the engine chooses, keys of its hashes.
const SEED: u64 = 1;

/// A tick of the initial sequence numbers' clock (RFC 9293 section 3.4.1), in microseconds.
const TICK_MICROS: u64 = 4;

/// Virtual time that a call waits for the blocking call before it.
const CALL_PATIENCE_MICROS: i64 = 1_000_000;

/// The packets that a failure is reported with.
const LAST_LINES: usize = 20;

/// Where the numbers of a script's first connection begin on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialNumbers {
    /// The engine's; `None`: whatever it chooses.
    pub local: Option<u32>,
    /// What is added to the peer's, which the script writes.
    pub remote_shift: u32,
}

impl InitialNumbers {
    /// The engine chooses its own, the peer's are as written.
    pub const AS_WRITTEN: InitialNumbers = InitialNumbers { local: None, remote_shift: 0 };
}

/// What came of a script.
#[derive(Clone, Debug)]
pub struct Played {
    /// Whether it went as written.
    pub verdict: Verdict,
    /// The exchange and what code printed, for `--verbose`.
    pub protocol: String,
    /// What a reader of a failure should know.
    pub remarks: Vec<String>,
}

/// Plays a script.
///
/// The engine's initial number follows its clock, so a wanted one is got by a second play that
/// begins when the clock gives it.
pub fn play(script: &Script, settings: &Settings, numbers: InitialNumbers) -> Played {
    let (played, first) = play_from(script, settings, Instant::ZERO, numbers.remote_shift);
    match (numbers.local, first) {
        (Some(wanted), Some(found)) if wanted != found => {
            let ticks = u64::from(wanted.wrapping_sub(found));
            let start = Instant::from_micros(ticks * TICK_MICROS);
            play_from(script, settings, start, numbers.remote_shift).0
        }
        _ => played,
    }
}

/// Plays a script from a time of the engine's; also gives its first initial number.
fn play_from(
    script: &Script,
    settings: &Settings,
    start: Instant,
    remote_shift: u32,
) -> (Played, Option<u32>) {
    let mut player = Player::new(settings, start, remote_shift);
    let verdict = match player.run(script) {
        Ok(()) => Verdict::Pass,
        Err(Stop::Unsupported(what)) => Verdict::Unsupported(match player.line {
            0 => what,
            line => format!("{what} (line {line})"),
        }),
        Err(Stop::Fail(reason)) => Verdict::Fail(player.failure(reason, String::new())),
        Err(Stop::Mismatch { reason, expected, seen }) => {
            let detail = format!("expected: {expected}\nseen:     {seen}\n");
            Verdict::Fail(player.failure(reason, detail))
        }
    };
    let mut protocol = player.trace.to_string();
    for line in player.code.printed() {
        protocol += line;
        protocol.push('\n');
    }
    let played = Played { verdict, protocol, remarks: player.shell.remarks };
    (played, player.first_initial)
}

/// A call that waits.
#[derive(Debug)]
struct Pending {
    call: Call,
    line: u32,
    started: i64,
    /// When it has to return.
    end: i64,
    progress: Progress,
}

#[derive(Debug)]
struct Player<'s> {
    settings: &'s Settings,
    host: Host,
    trace: Trace,
    clock: Clock,
    files: Files,
    under_test: UnderTest,
    outputs: VecDeque<Seen>,
    pending: Option<Pending>,
    shell: Shell,
    code: Code,
    /// Where the script is.
    line: u32,
    first_initial: Option<u32>,
}

impl<'s> Player<'s> {
    fn new(settings: &'s Settings, start: Instant, remote_shift: u32) -> Player<'s> {
        let seed = Numbers::new(SEED).seed_bytes();
        let mut host = Host::new("stack", Config::default(), seed, settings.mtu);
        let (local, prefix_len) = match settings.local_ip() {
            IpAddr::V4(ip) => (IpAddr::V4(ip), 16),
            IpAddr::V6(ip) => (IpAddr::V6(ip), 64),
        };
        host.add_address(local, prefix_len);
        let any: IpAddr = if local.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        host.endpoint.add_route(any, 0).expect("a default route is a route");
        Player {
            settings,
            host,
            trace: Trace::new(start),
            clock: Clock::new(start),
            files: Files::default(),
            under_test: UnderTest::new(settings, remote_shift),
            outputs: VecDeque::new(),
            pending: None,
            shell: Shell::default(),
            code: Code::new(),
            line: 0,
            first_initial: None,
        }
    }

    fn failure(&self, reason: String, mut detail: String) -> Failure {
        let lines = self.trace.to_string();
        let lines: Vec<&str> = lines.lines().collect();
        for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
            detail += line;
            detail.push('\n');
        }
        Failure { line: self.line, reason, detail }
    }

    fn run(&mut self, script: &Script) -> Result<(), Stop> {
        if let Some(init) = &script.init {
            self.line = init.line;
            self.command(&init.text)?;
        }
        for event in &script.events {
            self.line = event.line;
            self.event(event)?;
        }
        self.finish()?;
        if let Some(cleanup) = &script.cleanup {
            self.line = cleanup.line;
            self.command(&cleanup.text)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        let due = self.clock.due(event.time);
        let (from, _) = self.bounds(due);
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => {
                self.expect(packet, due)?;
            }
            action => {
                self.advance_to(from)?;
                if let Action::Call(_) = action {
                    self.await_call(CALL_PATIENCE_MICROS)?;
                }
                self.line = event.line;
                self.check_time("the event", self.clock.now(), Due::Between(from, from))?;
                match action {
                    Action::Packet(packet) => self.inject(packet)?,
                    Action::Call(call) => self.call(call, event.line, event.time, from)?,
                    Action::Command(text) => self.command(text)?,
                    Action::Code(text) => self.run_code(text)?,
                }
            }
        }
        let scripted = if due == Due::Any { self.clock.now() } else { from };
        self.clock.set_last_scripted(scripted);
        Ok(())
    }

    /// The times between which something is due; for any time, from now on.
    fn bounds(&self, due: Due) -> (i64, i64) {
        match due {
            Due::Any => (self.clock.now(), i64::MAX),
            Due::Between(from, to) => (from, to),
        }
    }

    fn check_time(&self, what: &str, at: i64, due: Due) -> Result<(), Stop> {
        let Due::Between(from, to) = due else { return Ok(()) };
        let slack = tolerance(self.settings, from, self.clock.last_scripted());
        let how = if at < from - slack {
            "early"
        } else if at > to + slack {
            "late"
        } else {
            return Ok(());
        };
        let range = if to > from { format!("~{}", seconds(to)) } else { String::new() };
        Err(Stop::fail(format!(
            "{what} is too {how}: at {}, expected at {}{range}",
            seconds(at),
            seconds(from)
        )))
    }

    // Time.

    /// Lets time pass until `at`.
    fn advance_to(&mut self, at: i64) -> Result<(), Stop> {
        while self.step(at)? {}
        self.clock.set_now(at);
        Ok(())
    }

    /// Goes to the next thing that happens by itself, if it is not after `limit`. Whether there was
    /// one.
    fn step(&mut self, limit: i64) -> Result<bool, Stop> {
        let timer = self.clock.script_time(self.host.next_deadline());
        let waiting = self.pending.as_ref().and_then(|pending| pending.progress.until);
        let next = timer.into_iter().chain(waiting).min();
        let Some(next) = next.filter(|next| *next <= limit) else { return Ok(false) };
        self.clock.set_now(next);
        self.host.on_cause();
        self.settle()?;
        Ok(true)
    }

    /// Takes what the engine has to say now, and lets a waiting call see it.
    fn settle(&mut self) -> Result<(), Stop> {
        loop {
            let now = self.clock.instant(self.clock.now());
            for bytes in self.host.poll(now, &mut self.trace) {
                if let Some(seen) = Seen::parse(self.clock.now(), &bytes).map_err(Stop::Fail)? {
                    if seen.flags.syn {
                        self.first_initial.get_or_insert(seen.seq);
                    }
                    self.outputs.push_back(seen);
                }
            }
            while let Some(event) = self.host.next_event() {
                calls::wait::on_event(&mut self.files, event);
            }
            if !self.retry()? {
                return Ok(());
            }
        }
    }

    // The application.

    fn attempt(&mut self, call: &Call, progress: &mut Progress) -> Result<Outcome, Stop> {
        let mut context = Context {
            endpoint: &mut self.host.endpoint,
            files: &mut self.files,
            settings: self.settings,
            now: self.clock.instant(self.clock.now()),
            script_now: self.clock.now(),
        };
        calls::attempt(&mut context, call, progress)
    }

    fn call(&mut self, call: &Call, line: u32, time: Time, started: i64) -> Result<(), Stop> {
        // Start and end of a relative call are counted from the same event.
        let end = call.end.map(|end| match time {
            Time::Relative(gap) => started - gap + end,
            _ => end,
        });
        self.trace.note(
            self.clock.instant(self.clock.now()),
            "line",
            format!("{line}: {}", call.name),
        );
        self.host.on_cause();
        let mut progress = Progress::default();
        let outcome = self.attempt(call, &mut progress)?;
        let waits = match outcome {
            Outcome::Done(answer, effect) => {
                if let Some(end) = end {
                    self.check_end(&call.name, started, end)?;
                }
                self.complete(call, answer, effect)?;
                false
            }
            Outcome::Begun(effect) => {
                self.under_test.follow(effect, None);
                true
            }
            Outcome::Blocks => true,
        };
        if waits {
            let Some(end) = end else {
                return Err(Stop::fail(format!("{} would block", call.name)));
            };
            let call = call.clone();
            self.pending = Some(Pending { call, line, started, end, progress });
        }
        self.settle()
    }

    /// Lets a waiting call try again. Whether it got on.
    fn retry(&mut self) -> Result<bool, Stop> {
        let Some(mut pending) = self.pending.take() else { return Ok(false) };
        let before = pending.progress.bytes;
        match self.attempt(&pending.call, &mut pending.progress)? {
            Outcome::Done(answer, effect) => {
                self.line = pending.line;
                self.check_end(&pending.call.name, pending.started, pending.end)?;
                self.complete(&pending.call, answer, effect)?;
                Ok(true)
            }
            Outcome::Begun(_) | Outcome::Blocks => {
                let moved = pending.progress.bytes > before;
                self.pending = Some(pending);
                Ok(moved)
            }
        }
    }

    /// Waits up to `patience` for the call that blocks.
    fn await_call(&mut self, patience: i64) -> Result<(), Stop> {
        let limit = self.clock.now() + patience;
        while self.pending.is_some() && self.step(limit)? {}
        match &self.pending {
            None => Ok(()),
            Some(pending) => {
                self.line = pending.line;
                let name = &pending.call.name;
                let end = seconds(pending.end);
                Err(Stop::fail(format!("{name} still blocks, expected to return at {end}")))
            }
        }
    }

    fn check_end(&self, name: &str, started: i64, end: i64) -> Result<(), Stop> {
        let now = self.clock.now();
        if (now - end).abs() <= tolerance(self.settings, end, started) {
            return Ok(());
        }
        let how = if now < end { "early" } else { "late" };
        let (now, end) = (seconds(now), seconds(end));
        Err(Stop::fail(format!("{name} returns too {how}: at {now}, expected at {end}")))
    }

    /// Compares a call's answer with the script's, and keeps what it made.
    fn complete(&mut self, call: &Call, answer: Answer, effect: Effect) -> Result<(), Stop> {
        let expected = integer(&call.result)?;
        let name = &call.name;
        let wanted = match &call.errno {
            Some(errno) => format!("{expected} {errno}"),
            None => expected.to_string(),
        };
        let wrong =
            |found: String| Stop::fail(format!("{name} returns {found}, expected {wanted}"));
        let mut made = None;
        match answer {
            Answer::Value(found) if found == expected && call.errno.is_none() => {}
            Answer::Value(found) => return Err(wrong(found.to_string())),
            Answer::Descriptor(file) if expected >= 0 => {
                self.files.insert(expected, file).map_err(Stop::Fail)?;
                made = Some(expected);
            }
            Answer::Descriptor(_) => return Err(wrong("a descriptor".to_owned())),
            Answer::Error(found) => {
                let same = call.errno.as_deref().is_none_or(|wanted| errno(wanted) == errno(found));
                if expected != -1 || !same {
                    return Err(wrong(format!("-1 {found}")));
                }
            }
        }
        if !self.under_test.follow(effect, made) {
            return Err(Stop::fail(format!("{name} gives a connection that no packet has made")));
        }
        Ok(())
    }

    // Packets.

    fn inject(&mut self, packet: &Packet) -> Result<(), Stop> {
        self.refuse_unbuilt(packet)?;
        let live = self.under_test.for_inbound(packet.ports);
        let bytes = match &packet.body {
            Body::Tcp(tcp) => {
                if tcp.flags.syn {
                    live.on_remote_first(tcp.seq);
                }
                let scaled = if self.settings.ts_ecr_scaled { Scaled::Yes } else { Scaled::No };
                inject::tcp(&packet.ip, tcp, live, scaled)?
            }
            Body::Icmp(icmp) if icmp.mtu.is_some() && self.files.ignores_reports_of_mtu => {
                let what = "a report of an MTU to a socket that does not discover its path's";
                return Err(Stop::unsupported(what));
            }
            Body::Icmp(icmp) => inject::icmp(&packet.ip, icmp, live)?,
            Body::Udp { .. } => return Err(Stop::unsupported("udp packets")),
        };
        let joined = match &packet.body {
            Body::Tcp(tcp) if tcp.len > u32::from(self.settings.gso_size) => self.settings.gso_size,
            _ => 0,
        };
        let now = self.clock.instant(self.clock.now());
        self.host.receive_joined(now, &bytes, joined, &mut self.trace);
        self.settle()
    }

    fn refuse_unbuilt(&self, packet: &Packet) -> Result<(), Stop> {
        if let Some(outer) = packet.encapsulation.first() {
            return Err(Stop::unsupported(format!("{outer} encapsulation")));
        }
        if packet.ip.flow_label.is_some() && self.settings.ip_version == IpVersion::V6 {
            return Err(Stop::unsupported("flowlabel"));
        }
        Ok(())
    }

    fn expect(&mut self, packet: &Packet, due: Due) -> Result<(), Stop> {
        self.refuse_unbuilt(packet)?;
        let Body::Tcp(tcp) = &packet.body else {
            return Err(Stop::unsupported("outbound packets that are not TCP"));
        };
        let (from, to) = self.bounds(due);
        let now = self.clock.now();
        let limit = match due {
            Due::Any => now + ANY_TIME_MICROS,
            Due::Between(..) => to.max(now) + PATIENCE_MICROS,
        };
        let mut parts = vec![self.next_output(packet, tcp, limit)?];
        let mut len = parts[0].len();
        while !self.settings.strict_segments && len > 0 && len < tcp.len {
            let part = self.next_output(packet, tcp, limit)?;
            len = len.saturating_add(part.len());
            let empty = part.payload.is_empty();
            parts.push(part);
            if empty {
                break;
            }
        }
        let live = self.under_test.for_outbound(packet.ports).ok_or_else(no_connection)?;
        let mismatch = |reason: String, seen: &Seen, live: &live::Live| Stop::Mismatch {
            reason,
            expected: expect::show_expected(tcp),
            seen: expect::show_seen(seen, live),
        };
        let last = parts.last().cloned().ok_or_else(no_connection)?;
        let seen = seen::join(&parts).map_err(|reason| mismatch(reason, &last, live))?;
        expect::check(self.settings, &packet.ip, tcp, &seen, live)
            .map_err(|reason| mismatch(reason, &seen, live))?;
        self.clock.set_now(seen.at);
        let due = if due == Due::Any { due } else { Due::Between(from, to) };
        self.check_time("the packet", seen.at, due)
    }

    /// The next packet of the connection under test, waited for until `limit`.
    fn next_output(&mut self, packet: &Packet, tcp: &Tcp, limit: i64) -> Result<Seen, Stop> {
        loop {
            let live = self.under_test.for_outbound(packet.ports).ok_or_else(no_connection)?;
            let (src, dst) = (live.local, live.remote);
            while let Some(seen) = self.outputs.pop_front() {
                if (seen.src, seen.dst) == (src, dst) {
                    return Ok(seen);
                }
            }
            let line = self.line;
            if !self.step(limit)? {
                return Err(Stop::Mismatch {
                    reason: format!(
                        "no packet comes until {}",
                        seconds(limit.max(self.clock.now()))
                    ),
                    expected: expect::show_expected(tcp),
                    seen: "nothing".to_owned(),
                });
            }
            self.line = line;
        }
    }

    // The rest.

    fn command(&mut self, text: &str) -> Result<(), Stop> {
        let counters = self.host.endpoint.counters().clone();
        let listeners = self.files.sockets().filter(|(_, s)| matches!(s.kind, Kind::Listening(_)));
        let listening: Vec<u16> =
            listeners.filter_map(|(_, socket)| Some(socket.bound?.port())).collect();
        let endpoint = &mut self.host.endpoint;
        let mut set = |name: &str, value: &str| {
            let mut config = endpoint.config().clone();
            let settled = sysctl::set(&mut config, name, value)?;
            endpoint.set_config(config).map_err(|why| why.to_string())?;
            Ok(settled)
        };
        self.shell.run(text, &counters, &listening, &mut set)?;
        self.settle()
    }

    fn run_code(&mut self, text: &str) -> Result<(), Stop> {
        let mut globals: Vec<(String, i64)> = Vec::new();
        let subject = self.under_test.subject().and_then(|fd| self.files.socket(fd));
        match subject.map(|socket| socket.kind) {
            Some(Kind::Connection(id)) => {
                if let Some(found) = self.host.endpoint.info(id) {
                    globals.extend(info::all(&found).map(|(name, value)| (name.to_owned(), value)));
                }
            }
            Some(Kind::Listening(_)) => globals.push(("tcpi_state".to_owned(), info::LISTEN)),
            Some(Kind::Fresh) => globals.push(("tcpi_state".to_owned(), info::CLOSE)),
            None => {}
        }
        self.code.run(text, &globals).map_err(|why| match why {
            CodeError::Failed { .. } => Stop::fail(why),
            CodeError::Unsupported(_) => Stop::unsupported(why),
        })
    }

    /// The end of the script: a call that blocks has to return, and nothing may be left if that is
    /// asked for.
    fn finish(&mut self) -> Result<(), Stop> {
        if let Some(pending) = &self.pending {
            let patience = (pending.end - self.clock.now()).max(0) + CALL_PATIENCE_MICROS;
            self.await_call(patience)?;
        }
        if !self.settings.strict_end {
            return Ok(());
        }
        match self.outputs.front() {
            None => Ok(()),
            Some(seen) => Err(match self.under_test.of_output(seen.src, seen.dst) {
                Some(live) => Stop::Mismatch {
                    reason: "a packet is left at the end".to_owned(),
                    expected: "nothing".to_owned(),
                    seen: expect::show_seen(seen, live),
                },
                None => Stop::fail("a packet of no connection is left at the end"),
            }),
        }
    }
}

fn no_connection() -> Stop {
    Stop::fail("there is no connection that this packet could be of")
}
