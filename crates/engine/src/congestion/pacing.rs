//! Pacing: a budget of bytes that grows with the time, at a rate.
//!
//! What leaves at once is a quantum, and the budget pays for it afterwards: the next one waits until
//! the debt is paid, by a timer, but whatever asks when it is, an arriving acknowledgment for one,
//! need not wait for that timer. A timer that fires late loses nothing as long as the budget holds
//! what is earned meanwhile: it holds what two milliseconds earn, for timers with a grain of one. A
//! wait that is shorter than that grain is not made at all: the next quantum waits for both.

use core::time::Duration;

use crate::instant::Instant;

/// What the budget holds, at a rate.
const HELD: Duration = Duration::from_millis(2);
/// It holds so many segments at any rate.
const LEAST_HELD_SEGMENTS: u64 = 2;
/// As Linux, a connection's first segments are its initial window: they leave at once.
const UNPACED_SEGMENTS: u64 = 10;

/// The pace of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pacer {
    /// Bytes earned and not used; below zero what is still to be earned.
    budget: i64,
    /// The part of a byte behind that, in units of a billionth.
    fraction: u64,
    /// When the budget was last looked at.
    at: Instant,
    /// What is left of the quantum that is leaving.
    quantum_left: u64,
    segments: u64,
}

/// How to pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bytes of payload per second.
    pub(crate) rate: u64,
    /// What leaves at once, in bytes.
    pub(crate) quantum: u64,
    pub(crate) mss: u64,
    /// Shorter waits are not made.
    pub(crate) grain: Duration,
}

impl Pacer {
    /// Whether a segment may leave now, or else when.
    pub(crate) fn may_send(&mut self, now: Instant, pace: &Pace) -> Result<(), Instant> {
        self.earn(now, pace);
        if self.segments < UNPACED_SEGMENTS || self.quantum_left > 0 {
            return Ok(());
        }
        if self.budget < 0 {
            let wait = pace.time_for(self.budget.unsigned_abs(), self.fraction);
            if wait >= pace.grain {
                return Err(now + wait);
            }
        }
        self.quantum_left = pace.quantum.clamp(1, pace.held());
        Ok(())
    }

    /// So much payload has left.
    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.segments = self.segments.saturating_add(1);
        if self.segments > UNPACED_SEGMENTS {
            self.budget = self.budget.saturating_sub_unsigned(bytes);
        }
        self.quantum_left = self.quantum_left.saturating_sub(bytes);
    }

    /// A timer asks for a segment: it does not wait for its turn.
    pub(crate) fn let_pass(&mut self, mss: u64) {
        self.quantum_left = self.quantum_left.max(mss);
    }

    fn earn(&mut self, now: Instant, pace: &Pace) {
        let earned = (now - self.at).as_nanos() * u128::from(pace.rate) + u128::from(self.fraction);
        self.at = now;
        let held = i64::try_from(pace.held()).unwrap_or(i64::MAX);
        let whole = i64::try_from(earned / 1_000_000_000).unwrap_or(i64::MAX);
        self.fraction = (earned % 1_000_000_000) as u64;
        // A debt that was made at a greater rate is not paid at a small one.
        self.budget = self.budget.saturating_add(whole).max(held.saturating_mul(-2));
        if self.budget >= held {
            self.budget = held;
            self.fraction = 0;
        }
    }
}

impl Pace {
    /// What the budget holds at most.
    fn held(&self) -> u64 {
        let earned = u128::from(self.rate) * HELD.as_nanos() / 1_000_000_000;
        u64::try_from(earned).unwrap_or(u64::MAX).max(LEAST_HELD_SEGMENTS * self.mss.max(1))
    }

    /// How long it takes until so many bytes are earned, but for what is earned of the next.
    fn time_for(&self, bytes: u64, fraction: u64) -> Duration {
        let missing = u128::from(bytes) * 1_000_000_000 - u128::from(fraction);
        let nanos = missing.div_ceil(u128::from(self.rate.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1000;
    const GRAIN: Duration = Duration::from_millis(1);

    /// A pacer behind its first segments and without a budget, at the given time.
    fn warm(now: Instant) -> Pacer {
        Pacer { segments: UNPACED_SEGMENTS, at: now, ..Pacer::default() }
    }

    fn pace(rate: u64, quantum: u64, grain: Duration) -> Pace {
        Pace { rate, quantum, mss: MSS, grain }
    }

    /// How much leaves until `end` if a timer fires `late` after it was due, and when it left.
    fn run(pace: &Pace, end: Instant, late: impl Fn(Instant) -> Instant) -> Vec<Instant> {
        let (mut now, mut departures) = (Instant::ZERO, Vec::new());
        let mut pacer = warm(now);
        while now <= end {
            match pacer.may_send(now, pace) {
                Ok(()) => {
                    pacer.on_sent(MSS);
                    departures.push(now);
                }
                Err(at) => {
                    assert!(at > now, "a wait that is over");
                    now = late(at);
                }
            }
        }
        departures
    }

    #[test]
    fn with_an_exact_timer_quanta_leave_at_exact_distances() {
        // 3 MB/s in quanta of two segments: one each 2/3 ms, to the nanosecond.
        let departures =
            run(&pace(3_000_000, 2 * MSS, Duration::ZERO), Instant::from_millis(10), |at| at);
        let expected: Vec<u64> =
            (0..=15).flat_map(|n: u64| [(n * 2_000_000).div_ceil(3); 2]).collect();
        assert_eq!(departures.iter().map(|at| at.as_nanos()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_timer_with_a_grain_of_a_millisecond_loses_no_rate() {
        // As tokio's: never early, on whole milliseconds, the one that it is due in not counted.
        let late = |at: Instant| Instant::from_millis(at.as_millis() + 1);
        for megabytes in [1, 12, 125, 1250] {
            let rate = megabytes * 1_000_000;
            let pace = pace(rate, (rate / 1024).clamp(2 * MSS, 64_000), GRAIN);
            let sent = run(&pace, Instant::from_millis(1000), late).len() as u64 * MSS;
            let error = sent.abs_diff(rate);
            assert!(error <= rate / 250, "{megabytes} MB/s: {sent} bytes in a second");
        }
    }

    #[test]
    fn a_pause_earns_two_milliseconds_and_no_more() {
        let pace = pace(12_500_000, 12_000, GRAIN);
        let mut pacer = warm(Instant::ZERO);
        let now = Instant::from_millis(10_000);
        let mut sent = 0;
        while pacer.may_send(now, &pace).is_ok() {
            pacer.on_sent(MSS);
            sent += MSS;
        }
        // 25 kB held, the quantum that they do not pay for, and one for less than a grain of waiting.
        assert_eq!(sent, 48_000);
        let slow = Pace { rate: 1000, quantum: MSS, ..pace };
        let mut pacer = warm(Instant::ZERO);
        for _ in 0..3 {
            assert_eq!(pacer.may_send(now, &slow), Ok(()), "two segments at any rate, and one");
            pacer.on_sent(MSS);
        }
        assert_eq!(pacer.may_send(now, &slow), Err(now + Duration::from_secs(1)));
    }

    #[test]
    fn who_asks_early_need_not_wait_for_the_timer() {
        let pace = pace(1_000_000, 2 * MSS, GRAIN);
        let mut pacer = warm(Instant::ZERO);
        assert_eq!(pacer.may_send(Instant::ZERO, &pace), Ok(()));
        pacer.on_sent(MSS);
        pacer.on_sent(MSS);
        assert_eq!(pacer.may_send(Instant::ZERO, &pace), Err(Instant::from_millis(2)));
        // An acknowledgment comes before the timer: less than a grain is missing.
        let early = Instant::from_micros(1001);
        assert_eq!(pacer.may_send(early, &pace), Ok(()));
        pacer.on_sent(MSS);
        pacer.on_sent(MSS);
        assert_eq!(pacer.may_send(early, &pace), Err(Instant::from_millis(4)));
    }

    #[test]
    fn the_first_ten_segments_and_what_timers_send_do_not_wait() {
        let pace = pace(1000, MSS, GRAIN);
        let mut pacer = Pacer::default();
        for _ in 0..10 {
            assert_eq!(pacer.may_send(Instant::ZERO, &pace), Ok(()));
            pacer.on_sent(MSS);
        }
        pacer.may_send(Instant::ZERO, &pace).unwrap();
        pacer.on_sent(MSS);
        assert!(pacer.may_send(Instant::ZERO, &pace).is_err());
        pacer.let_pass(MSS);
        assert_eq!(pacer.may_send(Instant::ZERO, &pace), Ok(()));
        pacer.on_sent(MSS);
        assert!(pacer.may_send(Instant::ZERO, &pace).is_err());
    }

    #[test]
    fn a_rate_that_falls_does_not_make_old_debts_last() {
        let mut pacer = Pacer { budget: -100_000, ..warm(Instant::ZERO) };
        let slow = pace(10_000, MSS, GRAIN);
        assert_eq!(
            pacer.may_send(Instant::ZERO, &slow),
            Err(Instant::ZERO + Duration::from_millis(400))
        );
    }

    #[test]
    fn rates_without_sense_do_no_harm() {
        for rate in [0, u64::MAX] {
            let pace = Pace { rate, quantum: u64::MAX, mss: u64::from(u32::MAX), grain: GRAIN };
            let mut pacer = warm(Instant::ZERO);
            let _ = pacer.may_send(Instant::from_nanos(u64::MAX - 1), &pace);
            pacer.on_sent(u64::MAX);
            let _ = pacer.may_send(Instant::FAR_FUTURE, &pace);
        }
    }
}
