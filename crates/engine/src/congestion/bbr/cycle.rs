//! The states of BBR and when each of them ends: STARTUP until the pipe is full, DRAIN until what
//! that has queued is gone, PROBE_BW's eight phases of gain, and PROBE_RTT every ten seconds.

use core::time::Duration;

use super::{Bbr, DRAIN_GAIN, HIGH_GAIN, LEAST_WINDOW, MIN_RTT_WINDOW, UNIT, WINDOW_GAIN};
use crate::congestion::AckSample;
use crate::instant::Instant;

/// The phases of PROBE_BW.
pub(super) const PHASES: usize = 8;
/// More, for a round trip; less, to drain what that has queued; and six as much as the path takes.
const PHASE_GAINS: [u64; PHASES] = [UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT];
/// The pipe is full after so many rounds...
const FULL_ROUNDS: u32 = 3;
/// ...that were not faster by a quarter.
const FULL_GROWTH: u64 = UNIT * 5 / 4;
/// How long PROBE_RTT lasts, beside a round.
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);

/// What BBR is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Startup,
    Drain,
    ProbeBw { phase: usize, since: Instant },
    ProbeRtt { until: Option<Instant>, round_done: bool },
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Startup => "STARTUP",
            Mode::Drain => "DRAIN",
            Mode::ProbeBw { .. } => "PROBE_BW",
            Mode::ProbeRtt { .. } => "PROBE_RTT",
        }
    }

    pub(super) fn is_probe_rtt(self) -> bool {
        matches!(self, Mode::ProbeRtt { .. })
    }
}

/// Whether the bandwidth has stopped growing.
#[derive(Clone, Debug, Default)]
pub(super) struct FullPipe {
    pub(super) bandwidth: u64,
    rounds: u32,
    /// It has, once.
    pub(super) reached: bool,
}

impl FullPipe {
    /// Looks again from the beginning.
    pub(super) fn begin_again(&mut self) {
        self.bandwidth = 0;
        self.rounds = 0;
    }
}

impl Bbr {
    pub(super) fn update_gains(&mut self) {
        (self.pacing_gain, self.window_gain) = match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (DRAIN_GAIN, HIGH_GAIN),
            Mode::ProbeBw { .. } if self.policer.bandwidth().is_some() => (UNIT, WINDOW_GAIN),
            Mode::ProbeBw { phase, .. } => (PHASE_GAINS[phase % PHASES], WINDOW_GAIN),
            Mode::ProbeRtt { .. } => (UNIT, UNIT),
        };
    }

    /// PROBE_BW begins with any phase but the draining one, for which there is no reason yet, so that
    /// flows which share a path do not probe together.
    pub(super) fn enter_probe_bw(&mut self) {
        let last = PHASES - 1 - self.dice.below(PHASES as u64 - 1) as usize;
        self.mode = Mode::ProbeBw { phase: (last + 1) % PHASES, since: self.delivered_at };
    }

    fn leave_probe_rtt(&mut self) {
        if self.full_pipe.reached { self.enter_probe_bw() } else { self.mode = Mode::Startup }
    }

    pub(super) fn update_phase(&mut self, sample: &AckSample) {
        if let Mode::ProbeBw { phase, since } = self.mode
            && self.is_phase_over(since, sample)
        {
            self.mode = Mode::ProbeBw { phase: (phase + 1) % PHASES, since: self.delivered_at };
        }
    }

    fn is_phase_over(&self, since: Instant, sample: &AckSample) -> bool {
        let is_full_length = self.min_rtt.is_some_and(|rtt| self.delivered_at - since > rtt);
        let gain = self.pacing_gain;
        if gain == UNIT {
            return is_full_length;
        }
        let in_flight = self.in_flight_to_be(sample.prior_in_flight_bytes);
        if gain > UNIT {
            // It may take longer than a round trip to fill the pipe by so much; but a short queue may
            // not hold it.
            is_full_length
                && (sample.newly_lost_bytes > 0 || in_flight >= self.in_flight_target(gain))
        } else {
            is_full_length || in_flight <= self.in_flight_target(UNIT)
        }
    }

    /// What will be in flight when the next quantum has left.
    // Deviates: Linux takes off what is delivered until that quantum's time of departure. Here what
    // counts as in flight has left.
    fn in_flight_to_be(&self, in_flight: u64) -> u64 {
        let next = if self.pacing_gain > UNIT { self.quantum() * self.mss } else { 0 };
        in_flight.saturating_add(next)
    }

    pub(super) fn check_full_pipe(&mut self, sample: &AckSample) {
        if self.full_pipe.reached || !self.round_start || sample.rate.app_limited {
            return;
        }
        let bandwidth = self.bandwidth.get();
        if bandwidth >= self.full_pipe.bandwidth.saturating_mul(FULL_GROWTH) / UNIT {
            self.full_pipe.bandwidth = bandwidth;
            self.full_pipe.rounds = 0;
            return;
        }
        self.full_pipe.rounds += 1;
        self.full_pipe.reached = self.full_pipe.rounds >= FULL_ROUNDS;
    }

    pub(super) fn check_drained(&mut self, sample: &AckSample) {
        if self.mode == Mode::Startup && self.full_pipe.reached {
            self.mode = Mode::Drain;
            self.threshold = self.in_flight_target(UNIT);
        }
        if self.mode == Mode::Drain
            && self.in_flight_to_be(sample.in_flight_bytes) <= self.in_flight_target(UNIT)
        {
            self.enter_probe_bw();
        }
    }

    pub(super) fn update_min_rtt(&mut self, sample: &AckSample) {
        let now = sample.now;
        let expired = now - self.min_rtt_at > MIN_RTT_WINDOW;
        if let Some(rtt) = sample.rate.rtt
            && (self.min_rtt.is_none_or(|min| rtt < min) || expired && !may_be_delayed(sample))
        {
            self.min_rtt = Some(rtt);
            self.min_rtt_at = now;
        }
        if expired && !self.restarts && !self.mode.is_probe_rtt() {
            self.mode = Mode::ProbeRtt { until: None, round_done: false };
            self.save_window();
        }
        if let Mode::ProbeRtt { until, round_done } = &mut self.mode {
            match until {
                None if sample.in_flight_bytes <= LEAST_WINDOW * self.mss => {
                    *until = Some(now + PROBE_RTT_TIME);
                    *round_done = false;
                    self.round_ends_at = sample.delivered_total;
                }
                None => {}
                Some(_) => {
                    *round_done |= self.round_start;
                    if *round_done {
                        self.check_probe_rtt_done(now);
                    }
                }
            }
        }
        if sample.rate.delivered > 0 {
            self.restarts = false;
        }
    }

    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if let Mode::ProbeRtt { until: Some(until), .. } = self.mode
            && now > until
        {
            self.min_rtt_at = now;
            self.restore_window();
            self.leave_probe_rtt();
        }
    }
}

/// One small segment alone: the receiver may have waited for a second.
fn may_be_delayed(sample: &AckSample) -> bool {
    sample.acked_bytes < u64::from(sample.mss)
        && sample.acked_bytes == sample.delivered_bytes
        && sample.rate.delivered == sample.delivered_bytes
}
