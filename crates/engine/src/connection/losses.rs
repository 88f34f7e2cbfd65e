//! Between recovery, the congestion controller and the timers: the window of now, reductions, and
//! which of the three timers of losses runs (RFC 6298 section 5, RFC 8985 sections 7.2 and 8).

use core::time::Duration;

use super::{Connection, Context};
use crate::config::Config;
use crate::congestion::{CongestionEvent, CongestionKind};
use crate::instant::Instant;
use crate::recovery::tlp::probe_after;
use crate::recovery::{Outcome, RttView, TimerWish};
use crate::timer::TimerKind;

/// The least time that a timer is armed for: at once, but not in this call.
const SOONEST: Duration = Duration::from_micros(1);

impl Connection {
    /// The congestion window of now, in bytes.
    pub(super) fn window(&self) -> u64 {
        self.recovery.window(self.congestion.controller().window())
    }

    pub(super) fn rtt_view(&self) -> RttView {
        RttView { min: self.rtt.min(), srtt: self.rtt.srtt() }
    }

    /// The controller hears of each range that was taken for lost.
    pub(super) fn tell_losses(&mut self, now: Instant) {
        for lost in self.recovery.take_losses() {
            self.congestion.controller_mut().on_lost(now, &lost);
        }
    }

    /// Congestion: the controller sets window and threshold, and the reduction begins, if it is one
    /// that goes in steps.
    pub(super) fn on_congestion(&mut self, now: Instant, kind: CongestionKind, in_flight: u64) {
        let before = self.window();
        let left_in_flight_bytes = self.recovery.pipe();
        let mss = self.send.segment_size();
        let controller = self.congestion.controller_mut();
        controller.on_congestion(&CongestionEvent {
            now,
            kind,
            in_flight_bytes: in_flight,
            left_in_flight_bytes,
            mss,
        });
        if !controller.governs_recovery() {
            self.recovery.begin_reduction(before, controller.slow_start_threshold());
        }
        self.ecn.on_reduced();
    }

    /// What an acknowledgment wants of the timers.
    pub(super) fn follow_timer_wish(&mut self, now: Instant, config: &Config, outcome: &Outcome) {
        match outcome.timer {
            TimerWish::Keep => {
                if self.recovery.flight().is_empty() {
                    self.timers.stop_for_losses();
                }
            }
            TimerWish::Restart => self.restart_loss_timer(now, config),
            TimerWish::Reordering(wait) => {
                self.timers
                    .arm_for_losses(TimerKind::ReorderingWindow, now + wait.min(self.rtt.rto()));
            }
            TimerWish::Reneging(wait) => {
                self.timers.arm_for_losses(TimerKind::Retransmission, now + wait);
            }
        }
    }

    /// Progress: a probe is due if one may be, else a retransmission.
    // Implements: RFC6298 s5.1, RFC6298 s5.2, RFC6298 s5.3
    fn restart_loss_timer(&mut self, now: Instant, config: &Config) {
        let bound = self.rtt.rto();
        if !self.arm_loss_probe(now, config, bound) {
            self.rearm_retransmission(now);
        }
    }

    /// Something new left: the probe is for this one.
    // Implements: RFC8985 s7.2b
    pub(super) fn arm_after_sending(&mut self, now: Instant, config: &Config) {
        let probing = self.timers.is_armed(TimerKind::LossProbe);
        if probing || !self.is_armed_for_losses() {
            self.rearm_retransmission(now);
        }
        let bound = self.until_retransmission(now);
        self.arm_loss_probe(now, config, if bound.is_zero() { self.rtt.rto() } else { bound });
    }

    /// The probe, but not after the retransmission would be due.
    fn arm_loss_probe(&mut self, now: Instant, config: &Config, bound: Duration) -> bool {
        if !self.recovery.may_probe() {
            return false;
        }
        let wait = probe_after(self.rtt.srtt(), self.recovery.is_lone(), config.rto_min);
        self.timers.arm_for_losses(TimerKind::LossProbe, now + wait.min(bound));
        true
    }

    /// The retransmission timer, from now; from when the oldest segment left, where another of the
    /// three timers ran in its place.
    pub(super) fn rearm_retransmission(&mut self, now: Instant) {
        if self.timers.is_armed(TimerKind::LossProbe)
            || self.timers.is_armed(TimerKind::ReorderingWindow)
        {
            self.resume_retransmission(now);
        } else {
            self.restart_retransmission(now);
        }
    }

    /// The retransmission timer, from when the oldest segment left.
    fn resume_retransmission(&mut self, now: Instant) {
        if self.recovery.flight().is_empty() {
            self.timers.stop_for_losses();
            return;
        }
        let wait = self.until_retransmission(now).max(SOONEST);
        self.timers.arm_for_losses(TimerKind::Retransmission, now + wait);
    }

    fn until_retransmission(&self, now: Instant) -> Duration {
        let sent_at = self.recovery.first_sent_at().unwrap_or(now);
        (sent_at + self.rtt.rto()).saturating_since(now)
    }

    pub(super) fn is_armed_for_losses(&self) -> bool {
        [TimerKind::Retransmission, TimerKind::ReorderingWindow, TimerKind::LossProbe]
            .into_iter()
            .any(|kind| self.timers.is_armed(kind))
    }

    /// What is late was given time to arrive.
    pub(super) fn on_reordering_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.recovery.flight().is_empty() {
            return;
        }
        let in_flight = self.recovery.flight().outstanding().bytes;
        let view = self.rtt_view();
        let outcome = self.recovery.on_reordering_timeout(now, &view, context.counters);
        if outcome.congestion > 0 {
            self.on_congestion(now, CongestionKind::Loss, in_flight);
            self.recovery.reduce(&outcome);
        }
        self.tell_losses(now);
        self.resume_retransmission(now);
    }

    /// The last segments were not acknowledged in time: a probe is owed, one at a time.
    // Implements: RFC8985 s7.3b, RFC8985 s7.3c
    pub(super) fn on_loss_probe_timeout(&mut self, now: Instant) {
        if self.recovery.flight().is_empty() {
            return;
        }
        self.owed.loss_probe = !self.recovery.is_probing();
        self.resume_retransmission(now);
    }
}
