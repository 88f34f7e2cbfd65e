//! When data leaves: pacing, and whether it is the application that sends too little.

use super::{Connection, Context};
use crate::config::Config;
use crate::congestion::pacing::Pace;
use crate::congestion::rate::{Ratios, burst_segments, pacing_rate};
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;
use crate::timer::TimerKind;

impl Connection {
    /// The rate at which data leaves, in bytes of payload per second, if it is spread over the time:
    /// the congestion control's, else the stack's own where pacing was asked for; never above
    /// SO_MAX_PACING_RATE.
    pub(super) fn pacing_rate(&self, config: &Config) -> Option<u64> {
        let limit = self.user.options.max_pacing_rate;
        let rate = match self.congestion.controller().pacing_rate() {
            Some(rate) => Some(rate),
            None if config.pacing || limit.is_some() => self.unpaced_rate(config),
            None => None,
        };
        match (rate, limit) {
            (Some(rate), Some(limit)) => Some(rate.min(limit)),
            (rate, limit) => rate.or(limit),
        }
    }

    /// How fast the window is meant to leave where nothing else is said.
    fn unpaced_rate(&self, config: &Config) -> Option<u64> {
        let controller = self.congestion.controller();
        let ratios = Ratios {
            slow_start: config.tcp_pacing_ss_ratio,
            avoidance: config.tcp_pacing_ca_ratio,
        };
        let window = self.window();
        pacing_rate(ratios, window, controller.slow_start_threshold(), self.rtt.srtt())
    }

    /// How many segments leave as one burst.
    pub(super) fn largest_burst(&self, config: &Config) -> u32 {
        let controller = self.congestion.controller();
        let rate = self.pacing_rate(config).or_else(|| self.unpaced_rate(config));
        let least = controller.least_burst().unwrap_or(config.tcp_min_tso_segs);
        let size = self.send.segment_size();
        burst_segments(least, rate, self.rtt.min(), self.window(), size)
    }

    /// Whether it is data's turn to leave; if not, the timer is armed.
    pub(super) fn is_paced_in(&mut self, now: Instant, config: &Config) -> bool {
        let Some(rate) = self.pacing_rate(config) else { return true };
        let mss = u64::from(self.send.segment_size());
        let quantum = u64::from(self.largest_burst(config)).saturating_mul(mss);
        let pace = Pace { rate, quantum, mss, grain: config.pacing_grain };
        match self.pacer.may_send(now, &pace) {
            Ok(()) => true,
            Err(turn) => {
                self.timers.arm(TimerKind::Pacing, turn);
                false
            }
        }
    }

    /// Before the application writes and before an acknowledgment is taken: whether there was nothing
    /// to send though the window would have taken it. What is in flight then, and leaves after it,
    /// measures the application (draft-ietf-ccwg-bbr section 4.1.2.4).
    // Implements: BBR3 rs4
    pub(super) fn check_app_limited(&mut self) {
        let window = self.window();
        // As Linux, less than a segment counts as nothing.
        if self.state.is_synchronized()
            && self.send.unsent() < u64::from(self.send.segment_size())
            && self.recovery.pipe() < window
            && self.recovery.flight().missing_bytes() == 0
        {
            self.recovery.on_app_limited();
        }
    }

    /// A user's congestion control that panics takes its connection with it.
    pub(super) fn check_controller(&mut self, context: &mut Context<'_>) {
        if self.congestion.has_panicked() && self.state.is_synchronized() {
            self.owed.reset = Some(self.active_reset());
            self.fail(context, CloseReason::CongestionControl, SocketError::ConnectionAborted);
        }
    }
}
