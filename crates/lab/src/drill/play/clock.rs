//! When things happen: script time, in microseconds since the script's start, and how far from its
//! time a thing may be (section 4 of the language).

use core::time::Duration;

use towpath_engine::Instant;

use crate::drill::ast::Time;
use crate::drill::settings::Settings;

/// Virtual time that a missing packet is waited for, beyond the gap that is written.
pub(super) const PATIENCE_MICROS: i64 = 2_000_000;

/// What a packet at any time (`*`) is waited for: longer than any timer that is not idle.
pub(super) const ANY_TIME_MICROS: i64 = 24 * 3600 * 1_000_000;

/// How long a script may last: more than thirty years, and few enough that no sum overflows.
pub(super) const LONGEST_MICROS: i64 = 1_000_000_000 * 1_000_000;

/// Script time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    now: i64,
    /// When the last event was to happen; percentages are of the gap since then.
    last_scripted: i64,
}

/// An event's time, since the script's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Any,
    Between(i64, i64),
}

impl Clock {
    pub(super) fn new(start: Instant) -> Clock {
        Clock { start, now: 0, last_scripted: 0 }
    }

    pub(super) fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn set_now(&mut self, now: i64) {
        self.now = self.now.max(now);
    }

    pub(super) fn last_scripted(&self) -> i64 {
        self.last_scripted
    }

    pub(super) fn set_last_scripted(&mut self, at: i64) {
        self.last_scripted = at;
    }

    /// A script time as the engine counts.
    pub(super) fn instant(&self, at: i64) -> Instant {
        self.start + Duration::from_micros(u64::try_from(at).unwrap_or(0))
    }

    /// The engine's time as script time, rounded up: nothing happens before it is due. `None` if it
    /// is never.
    pub(super) fn script_time(&self, at: Instant) -> Option<i64> {
        if at == Instant::FAR_FUTURE {
            return None;
        }
        let nanos = at.saturating_since(self.start).as_nanos();
        i64::try_from(nanos.div_ceil(1000)).ok()
    }

    /// When an event is due, seen from the end of the one before it; `None` if that is beyond what
    /// a script may last.
    pub(super) fn due(&self, time: Time) -> Option<Due> {
        let later = |gap: i64| self.now.saturating_add(gap);
        let (from, to) = match time {
            Time::Absolute(at) => (at, at),
            Time::Relative(gap) => (later(gap), later(gap)),
            Time::Any => return Some(Due::Any),
            Time::AbsoluteRange(from, to) => (from, to),
            Time::RelativeRange(from, to) => (later(from), later(to)),
        };
        (to <= LONGEST_MICROS).then_some(Due::Between(from, to))
    }
}

/// How far from `expected` something may be, when the event that it is counted from was at `base`.
#[expect(clippy::cast_possible_truncation, reason = "microseconds of a script are far below 2^52")]
#[expect(clippy::cast_precision_loss, reason = "microseconds of a script are far below 2^52")]
pub(super) fn tolerance(settings: &Settings, expected: i64, base: i64) -> i64 {
    let percent = settings.tolerance_percent / 100.0 * (expected - base) as f64;
    settings.tolerance_micros.max(percent as i64)
}

/// Seconds as scripts write them.
pub(super) fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
