//! ProbeBW (section 5.3.3): down, to drain and yield; cruise, at the rate of delivery; refill, so
//! that the pipe is full before it is asked for more; up, to ask.

use core::time::Duration;

use super::{BETA_PERCENT, Bbr3, HEADROOM_PERCENT, State, UNIT, has_elapsed, percent};
use crate::congestion::AckSample;
use crate::instant::Instant;

/// Sections 5.3.3.1 and 5.3.3.5, in percent.
pub(super) const DOWN_GAIN: u64 = 90;
pub(super) const UP_GAIN: u64 = 125;
pub(super) const UP_WINDOW_GAIN: u64 = 225;
/// Section 5.3.3.8.2: a probe after 2 to 3 seconds...
const LEAST_WAIT: Duration = Duration::from_secs(2);
const MOST_MORE_NANOS: u64 = 1_000_000_000;
/// ...or after as many rounds as Reno takes to grow back, at most 63.
const MOST_ROUNDS: u64 = 63;
/// The slope's exponent.
const MOST_UP_ROUNDS: u32 = 30;

/// What the acknowledgments that arrive now tell of (section 2.14, BBR.ack_phase).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// Where probing for bandwidth stands.
#[derive(Clone, Debug)]
pub(super) struct Probing {
    pub(super) ack_phase: AckPhase,
    /// What is acknowledged was sent by a probe, and has not yet lost too much.
    pub(super) is_probe_sample: bool,
    cycle_start: Instant,
    pub(super) wait: Duration,
    pub(super) rounds_since_up: u64,
    up_rounds: u32,
    pub(super) up_acked: u64,
    /// The long-term bound grows by a segment for so many bytes; not at all if `None`.
    pub(super) acked_per_segment: Option<u64>,
    /// The last probe lost too much.
    pub(super) too_high: bool,
    /// It ended where the one before had lost too much.
    pub(super) precautionary: bool,
}

impl Probing {
    pub(super) fn new(now: Instant) -> Probing {
        Probing {
            ack_phase: AckPhase::Init,
            is_probe_sample: false,
            cycle_start: now,
            wait: Duration::ZERO,
            rounds_since_up: 0,
            up_rounds: 0,
            up_acked: 0,
            acked_per_segment: None,
            too_high: false,
            precautionary: false,
        }
    }
}

impl Bbr3 {
    /// StartProbeBW_DOWN, with PickProbeWait.
    pub(super) fn start_down(&mut self, now: Instant) {
        self.path.reset_signals();
        self.probing.acked_per_segment = None;
        self.probing.rounds_since_up = self.dice.below(2);
        self.probing.wait = LEAST_WAIT + Duration::from_nanos(self.dice.below(MOST_MORE_NANOS));
        self.probing.cycle_start = now;
        self.probing.ack_phase = AckPhase::ProbeStopping;
        self.path.start_round();
        self.state = State::ProbeBwDown;
    }

    /// StartProbeBW_CRUISE.
    pub(super) fn start_cruise(&mut self) {
        self.state = State::ProbeBwCruise;
    }

    /// StartProbeBW_REFILL.
    // Implements: BBR3 refill
    pub(super) fn start_refill(&mut self) {
        self.path.reset_shortterm();
        self.probing.up_rounds = 0;
        self.probing.up_acked = 0;
        self.probing.precautionary = false;
        self.probing.ack_phase = AckPhase::Refilling;
        self.path.start_round();
        self.state = State::ProbeBwRefill;
    }

    /// StartProbeBW_UP.
    fn start_up(&mut self, sample: &AckSample) {
        self.probing.ack_phase = AckPhase::ProbeStarting;
        self.path.start_round();
        self.full_pipe.reset(sample.rate.bytes_per_second().unwrap_or(0));
        self.state = State::ProbeBwUp;
        self.raise_slope();
    }

    /// UpdateProbeBWCyclePhase.
    pub(super) fn update_probe_bw(&mut self, sample: &AckSample) {
        if !self.full_pipe.reached || self.adapt_long_term(sample) {
            return;
        }
        let state = self.state;
        match state {
            State::ProbeBwDown if self.is_time_to_probe(sample.now) => {
                self.start_refill();
            }
            State::ProbeBwDown if self.is_time_to_cruise(sample) => self.start_cruise(),
            State::ProbeBwCruise if self.is_time_to_probe(sample.now) => {
                self.start_refill();
            }
            State::ProbeBwRefill if self.path.round_start => {
                self.probing.is_probe_sample = true;
                self.start_up(sample);
            }
            State::ProbeBwUp if self.is_time_to_go_down(sample) => {
                self.probing.too_high = false;
                self.start_down(sample.now);
            }
            _ => {}
        }
    }

    /// IsTimeToProbeBW, with IsRenoCoexistenceProbeTime.
    // Implements: BBR3 wait
    pub(super) fn is_time_to_probe(&self, now: Instant) -> bool {
        let rounds = (self.target_inflight() / self.mss).min(MOST_ROUNDS);
        has_elapsed(now, self.probing.cycle_start, self.probing.wait)
            || self.probing.rounds_since_up >= rounds
    }

    /// IsTimeToCruise: the queue is empty, and others find room.
    // Implements: BBR3 down
    fn is_time_to_cruise(&self, sample: &AckSample) -> bool {
        let product = self.inflight(self.path.max_bandwidth.get(), UNIT);
        let in_flight = sample.in_flight_bytes;
        in_flight <= product && self.inflight_with_headroom().is_none_or(|most| in_flight <= most)
    }

    /// IsTimeToGoDown.
    // Implements: BBR3 up-exit
    fn is_time_to_go_down(&mut self, sample: &AckSample) -> bool {
        let bound = self.path.inflight_longterm;
        if self.probing.too_high && bound.is_some_and(|bound| sample.in_flight_bytes >= bound) {
            // It is not known to be safe to stay here: first the feedback.
            self.probing.precautionary = true;
            return true;
        }
        if self.is_bounded(sample) {
            self.full_pipe.reset(sample.rate.bytes_per_second().unwrap_or(0));
            return false;
        }
        self.full_pipe.now
    }

    /// Whether the long-term bound is what keeps it from sending more.
    fn is_bounded(&self, sample: &AckSample) -> bool {
        sample.window_full && self.path.inflight_longterm.is_some_and(|bound| self.window >= bound)
    }

    /// InflightWithHeadroom.
    pub(super) fn inflight_with_headroom(&self) -> Option<u64> {
        let bound = self.path.inflight_longterm?;
        let headroom = percent(bound, HEADROOM_PERCENT).max(self.mss);
        Some(bound.saturating_sub(headroom).max(self.least_window()))
    }

    /// RaiseInflightLongtermSlope: a segment in the first round, two in the next, four ...
    pub(super) fn raise_slope(&mut self) {
        let growth = 1u64 << self.probing.up_rounds;
        self.probing.up_rounds = (self.probing.up_rounds + 1).min(MOST_UP_ROUNDS);
        self.probing.acked_per_segment = Some((self.window / growth).max(self.mss));
    }

    /// ProbeInflightLongtermUpward.
    // Implements: BBR3 up-growth
    pub(super) fn raise_long_term(&mut self, sample: &AckSample) {
        if !self.is_bounded(sample) {
            return;
        }
        self.probing.up_acked += sample.delivered_bytes;
        if let (Some(price), Some(bound)) =
            (self.probing.acked_per_segment, self.path.inflight_longterm.as_mut())
        {
            let segments = self.probing.up_acked / price;
            self.probing.up_acked -= segments * price;
            *bound = bound.saturating_add(segments * self.mss);
        }
        if self.path.round_start {
            self.raise_slope();
        }
    }

    /// AdaptLongTermModel. Whether it has changed the state.
    // Implements: BBR3 precaution
    fn adapt_long_term(&mut self, sample: &AckSample) -> bool {
        let round_start = self.path.round_start;
        if self.probing.ack_phase == AckPhase::ProbeStarting && round_start {
            self.probing.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.probing.ack_phase == AckPhase::ProbeStopping && round_start {
            self.probing.is_probe_sample = false;
            self.probing.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() {
                if !sample.rate.app_limited {
                    self.path.max_bandwidth.advance();
                }
                if self.probing.precautionary && !self.probing.too_high {
                    self.start_refill();
                    return true;
                }
            }
        }
        if !self.is_too_much(sample.rate.lost, sample.rate.tx_in_flight)
            && let Some(bound) = self.path.inflight_longterm.as_mut()
        {
            *bound = (*bound).max(sample.rate.tx_in_flight);
            if self.state == State::ProbeBwUp {
                self.raise_long_term(sample);
            }
        }
        false
    }

    /// HandleInflightTooHigh: a probe with so much in flight lost too much of it.
    // Implements: BBR3 toohigh
    pub(super) fn handle_too_much(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        self.probing.too_high = true;
        self.probing.is_probe_sample = false;
        if !app_limited {
            let least = percent(self.target_inflight(), BETA_PERCENT);
            self.path.inflight_longterm = Some(in_flight.max(least));
        }
        if self.state == State::ProbeBwUp {
            self.undo.state = Some(State::ProbeBwUp);
            self.start_down(now);
        }
    }
}
