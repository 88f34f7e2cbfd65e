//! A script played against one engine, in virtual time.
//!
//! Here events happen in their order and time passes between them. What each kind of event means is
//! told elsewhere: `packets`, `inject` and `expect`; `application` and `calls`; `commands` for the
//! shell, `info` for code; `live` knows the numbers of a connection, `clock` the times.

mod application;
mod calls;
mod clock;
mod commands;
mod disk;
mod error_queue;
mod expect;
mod here;
mod info;
mod inject;
mod live;
mod options;
mod packets;
mod seen;
mod sockets;
mod sockopt;
mod sysctl;
mod under_test;

use core::net::IpAddr;
use std::collections::VecDeque;

use towpath_engine::congestion::HyStart;
use towpath_engine::{Config, Instant};

use self::application::{CALL_PATIENCE_MICROS, Pending};
use self::clock::{Clock, Due, seconds, tolerance};
use self::commands::Shell;
use self::here::Here;
use self::seen::Seen;
use self::sockets::{Files, Kind};
use self::under_test::UnderTest;
use super::ast::{Action, Direction, Event, Script};
use super::code::{Code, CodeError};
use super::settings::Settings;
use super::verdict::{Failure, Stop, Verdict};
use crate::host::Host;
use crate::pattern::Numbers;
use crate::trace::Trace;

/// Decides what nothing else does: ports that the engine chooses, keys of its hashes.
const SEED: u64 = 1;

/// A tick of the initial sequence numbers' clock (RFC 9293 section 3.4.1), in microseconds.
const TICK_MICROS: u64 = 4;

/// The packets that a failure is reported with.
const LAST_LINES: usize = 20;

/// What is said of an event beyond the longest time that a script may last.
const TOO_LONG: &str = "a script lasts at most 1000000000 seconds";

/// Things that may happen by themselves between two events of a script: a million keep-alive probes
/// are more than any script means to wait for.
const MOST_STEPS: u32 = 1_000_000;

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
    /// What has happened by itself since the last event.
    steps: u32,
    first_initial: Option<u32>,
}

impl<'s> Player<'s> {
    fn new(settings: &'s Settings, start: Instant, remote_shift: u32) -> Player<'s> {
        let seed = Numbers::new(SEED).seed_bytes();
        let mut host = Host::new("stack", profile(), seed, settings.mtu);
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
            steps: 0,
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
        self.steps = 0;
        let due = self.clock.due(event.time).ok_or_else(|| Stop::fail(TOO_LONG))?;
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
        self.steps += 1;
        if self.steps > MOST_STEPS {
            let now = seconds(self.clock.now());
            return Err(Stop::fail(format!("it does not come to an end: gave up at {now}")));
        }
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
            calls::wait::look_at_errors(&mut self.files, &self.host.endpoint, self.clock.now());
            if !self.retry()? {
                return Ok(());
            }
        }
    }

    // Commands, code and the end.

    fn command(&mut self, text: &str) -> Result<(), Stop> {
        let mut here = Here { host: &mut self.host, files: &mut self.files };
        self.shell.run(text, &mut here)?;
        self.settle()
    }

    fn run_code(&mut self, text: &str) -> Result<(), Stop> {
        let mut globals: Vec<(String, i64)> = Vec::new();
        let subject = self.under_test.subject().and_then(|fd| self.files.socket(fd));
        match subject.map(|socket| socket.kind) {
            Some(Kind::Connection(id)) => {
                if let Some(found) = self.host.endpoint.info(id) {
                    let now = self.clock.instant(self.clock.now());
                    globals.extend(
                        info::all(&found, now).map(|(name, value)| (name.to_owned(), value)),
                    );
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

/// The default profile with Linux's way out of slow start and Linux's clock of timestamps: that is
/// what scripts for Linux see. The stack's own defaults are `sysctl towpath.hystart=5` and
/// `sysctl towpath.coarse_timestamps=1`.
fn profile() -> Config {
    let hystart = HyStart::Linux { train: true, delay: true };
    Config::default().hystart(hystart).coarse_timestamps(false)
}
