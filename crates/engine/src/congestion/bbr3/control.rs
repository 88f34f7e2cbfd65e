//! From the model to the rate, the quantum and the window (section 5.6).

use core::time::Duration;

use super::{Bbr3, State, UNIT, percent};
use crate::congestion::AckSample;
use crate::congestion::model::{per_second, product};

/// Section 2.5, PacingMarginPercent.
const PACING_MARGIN_PERCENT: u64 = 1;
/// Section 5.6.3: a quantum is what takes a millisecond, and at most 64 kB.
const QUANTUM_TIME: Duration = Duration::from_millis(1);
const LARGEST_QUANTUM: u64 = 65_536;

/// Where no round trip is known.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);

impl Bbr3 {
    /// InitPacingRate.
    pub(super) fn initial_pacing_rate(&self, srtt: Option<Duration>) -> u64 {
        let rtt = srtt.unwrap_or(QUANTUM_TIME).max(Duration::from_micros(1));
        percent(per_second(self.window, rtt), super::startup::PACING_GAIN)
    }

    /// SetPacingRate.
    pub(super) fn set_pacing_rate(&mut self, srtt: Option<Duration>) {
        if !self.has_rtt && srtt.is_some() {
            self.has_rtt = true;
            self.pacing_rate = self.initial_pacing_rate(srtt);
        }
        self.set_pacing_rate_with_gain(self.state.gains().0);
    }

    /// SetPacingRateWithGain: until the pipe is full the rate only rises.
    // Deviates: the draft has no least rate. Lossy rounds that are too short to measure a bandwidth
    // take 30 % off each, and nothing would leave any more. A segment a round trip may.
    // Implements: BBR3 pacing
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let rate = percent(percent(self.path.bandwidth, gain), UNIT - PACING_MARGIN_PERCENT);
        let round_trip = self.path.min_rtt.unwrap_or(LONGEST_ROUND_TRIP);
        let rate = rate.max(per_second(self.mss, round_trip));
        if self.full_pipe.reached || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    /// SetSendQuantum.
    // Implements: BBR3 quantum
    pub(super) fn send_quantum(&self) -> u64 {
        product(self.pacing_rate, QUANTUM_TIME).min(LARGEST_QUANTUM).max(2 * self.mss)
    }

    /// SaveCwnd.
    pub(super) fn save_window(&mut self) {
        let is_cut = self.in_recovery() || self.state == State::ProbeRtt;
        self.prior_window = if is_cut { self.prior_window.max(self.window) } else { self.window };
    }

    /// RestoreCwnd.
    pub(super) fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }

    /// SetCwnd, with UpdateMaxInflight.
    // Implements: BBR3 cwnd
    pub(super) fn set_window(&mut self, sample: &AckSample) {
        let acked = sample.delivered_bytes;
        let most = self.product_multiple(self.path.bandwidth, self.state.gains().1);
        let most = self.with_quanta(most.saturating_add(self.path.extra_acked));
        if self.full_pipe.reached {
            self.window = self.window.saturating_add(acked).min(most);
        } else if self.window < most || sample.delivered_total < self.initial_window {
            self.window = self.window.saturating_add(acked);
        }
        self.window = self.window.max(self.least_window());
        if self.state == State::ProbeRtt {
            self.window = self.window.min(self.probe_rtt_window());
        }
        self.bound_window();
    }

    /// BoundCwndForModel: what losses have told of the path.
    fn bound_window(&mut self) {
        let long = match self.state {
            State::ProbeBwDown | State::ProbeBwRefill | State::ProbeBwUp => {
                self.path.inflight_longterm
            }
            State::ProbeBwCruise | State::ProbeRtt => self.inflight_with_headroom(),
            State::Startup | State::Drain => None,
        };
        let bound = [long, self.path.inflight_shortterm].into_iter().flatten().min();
        if let Some(bound) = bound {
            self.window = self.window.min(bound.max(self.least_window()));
        }
    }
}
