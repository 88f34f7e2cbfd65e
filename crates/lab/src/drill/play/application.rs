//! The application of a script: calls are made at their time, those that block are tried again
//! whenever the engine has moved, and what they return is compared.

use super::calls::{self, Answer, Context, Effect, Outcome, Progress, integer};
use super::clock::{LONGEST_MICROS, seconds, tolerance};
use super::{Player, TOO_LONG};
use crate::drill::ast::{Call, Time};
use crate::drill::constants::errno;
use crate::drill::verdict::Stop;

/// Virtual time that a call waits for the blocking call before it.
pub(super) const CALL_PATIENCE_MICROS: i64 = 1_000_000;

/// A call that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) line: u32,
    pub(super) started: i64,
    /// When it has to return.
    pub(super) end: i64,
    pub(super) progress: Progress,
}

impl Player<'_> {
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

    pub(super) fn call(
        &mut self,
        call: &Call,
        line: u32,
        time: Time,
        started: i64,
    ) -> Result<(), Stop> {
        // Start and end of a relative call are counted from the same event.
        let end = call.end.map(|end| match time {
            Time::Relative(gap) => (started - gap).saturating_add(end),
            _ => end,
        });
        if end.is_some_and(|end| end > LONGEST_MICROS) {
            return Err(Stop::fail(TOO_LONG));
        }
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
    pub(super) fn retry(&mut self) -> Result<bool, Stop> {
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
    pub(super) fn await_call(&mut self, patience: i64) -> Result<(), Stop> {
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
}
