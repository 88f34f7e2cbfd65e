//! Drain (section 5.3.2): half the rate, until what Startup has queued is gone.

use super::{Bbr3, State, UNIT};
use crate::congestion::AckSample;

/// Section 2.5, DrainPacingGain: empties in a round what a gain of 2 has queued.
pub(super) const PACING_GAIN: u64 = 50;
/// After so many rounds the bandwidth was overestimated, and probing will find out.
const MOST_ROUNDS: u64 = 3;

impl Bbr3 {
    /// EnterDrain.
    pub(super) fn enter_drain(&mut self) {
        self.state = State::Drain;
        self.drain_start_round = self.path.round_count;
    }

    /// CheckDrainDone.
    // Implements: BBR3 drain
    pub(super) fn check_drain_done(&mut self, sample: &AckSample) {
        if self.state == State::Drain
            && (sample.in_flight_bytes <= self.inflight(self.path.bandwidth, UNIT)
                || self.path.round_count > self.drain_start_round + MOST_ROUNDS)
        {
            self.start_down(sample.now);
        }
    }
}
