//! ProbeRTT (section 5.3.4): half of the product in flight for a fifth of a second, unless a shorter
//! round trip was seen in the last five seconds, so that the path's own delay shows.

use core::time::Duration;

use super::probe_bw::AckPhase;
use super::{Bbr3, State, has_elapsed};
use crate::congestion::AckSample;
use crate::instant::Instant;

/// Section 2.16.2, ProbeRTTCwndGain, in percent.
pub(super) const WINDOW_GAIN: u64 = 50;
/// ProbeRTTDuration.
const DURATION: Duration = Duration::from_millis(200);
/// ProbeRTTInterval.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// Section 2.16.1, MinRTTFilterLen.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);

/// When the delay is to be measured again.
#[derive(Clone, Debug)]
pub(super) struct ProbeRttClock {
    min_delay: Option<Duration>,
    min_delay_at: Instant,
    expired: bool,
    done_at: Option<Instant>,
    round_done: bool,
}

impl ProbeRttClock {
    pub(super) fn new(now: Instant) -> ProbeRttClock {
        ProbeRttClock {
            min_delay: None,
            min_delay_at: now,
            expired: false,
            done_at: None,
            round_done: false,
        }
    }
}

impl Bbr3 {
    /// UpdateMinRTT.
    // Implements: BBR3 minrtt
    pub(super) fn update_min_rtt(&mut self, sample: &AckSample) {
        let clock = &mut self.probe_rtt;
        clock.expired = has_elapsed(sample.now, clock.min_delay_at, INTERVAL);
        if let Some(rtt) = sample.rate.rtt
            && (clock.expired || clock.min_delay.is_none_or(|min| rtt < min))
        {
            clock.min_delay = Some(rtt);
            clock.min_delay_at = sample.now;
        }
        let expired = has_elapsed(sample.now, self.path.min_rtt_at, MIN_RTT_WINDOW);
        if let Some(delay) = clock.min_delay
            && (expired || self.path.min_rtt.is_none_or(|min| delay < min))
        {
            self.path.min_rtt = Some(delay);
            self.path.min_rtt_at = clock.min_delay_at;
        }
    }

    /// CheckProbeRTT.
    pub(super) fn check_probe_rtt(&mut self, sample: &AckSample) {
        if self.state != State::ProbeRtt && self.probe_rtt.expired && !self.idle_restart {
            self.state = State::ProbeRtt;
            self.save_window();
            self.probe_rtt.done_at = None;
            self.probing.ack_phase = AckPhase::ProbeStopping;
            self.path.start_round();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(sample);
        }
        if sample.rate.delivered > 0 {
            self.idle_restart = false;
        }
    }

    /// HandleProbeRTT: the time counts from when so little is in flight.
    // Implements: BBR3 probertt, BBR3 probertt-int
    fn handle_probe_rtt(&mut self, sample: &AckSample) {
        if self.probe_rtt.done_at.is_some() {
            self.probe_rtt.round_done |= self.path.round_start;
            if self.probe_rtt.round_done {
                self.check_probe_rtt_done(sample.now);
            }
        } else if sample.in_flight_bytes <= self.probe_rtt_window() {
            self.probe_rtt.done_at = Some(sample.now + DURATION);
            self.probe_rtt.round_done = false;
            self.path.start_round();
        }
    }

    /// CheckProbeRTTDone and ExitProbeRTT.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.probe_rtt.done_at.is_none_or(|done_at| now <= done_at) {
            return;
        }
        self.probe_rtt.min_delay_at = now;
        self.restore_window();
        self.path.reset_shortterm();
        if self.full_pipe.reached {
            self.start_down(now);
            // What is in flight is below the product already.
            self.start_cruise();
        } else {
            self.enter_startup();
        }
    }

    /// ProbeRTTCwnd.
    pub(super) fn probe_rtt_window(&self) -> u64 {
        self.product_multiple(self.path.bandwidth, WINDOW_GAIN).max(self.least_window())
    }
}
