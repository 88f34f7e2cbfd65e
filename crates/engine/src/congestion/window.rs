//! The window of the controllers that count acknowledgments: slow start, additive growth, the
//! restart after a pause, and what a spurious loss gives back.
//!
//! Owns the window, the threshold and the credit of bytes that have not yet made a segment; how
//! steep it grows and how far it falls is its controller's.

use core::time::Duration;

use super::{IdleSample, Start};

/// The congestion window of one connection, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    bytes: u64,
    threshold: u64,
    /// Bytes acknowledged that have not yet grown the window.
    credit: u64,
    mss: u64,
    /// Window and threshold before the last reduction.
    prior: (u64, u64),
}

impl Window {
    pub(crate) fn new(start: &Start) -> Window {
        Window {
            bytes: start.window,
            threshold: start.slow_start_threshold,
            credit: 0,
            mss: u64::from(start.mss).max(1),
            prior: (start.window, start.slow_start_threshold),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn threshold(&self) -> u64 {
        self.threshold
    }

    pub(crate) fn mss(&self) -> u64 {
        self.mss
    }

    /// The window in full segments.
    pub(crate) fn segments(&self) -> u64 {
        self.bytes / self.mss
    }

    /// The window before the last reduction.
    pub(crate) fn prior(&self) -> u64 {
        self.prior.0
    }

    pub(crate) fn is_in_slow_start(&self) -> bool {
        self.bytes < self.threshold
    }

    /// Whether there was no congestion yet.
    pub(crate) fn is_in_initial_slow_start(&self) -> bool {
        self.threshold == u64::MAX
    }

    /// Slow start ends here.
    pub(crate) fn end_slow_start(&mut self) {
        self.threshold = self.bytes;
    }

    /// Grows by all that was acknowledged, up to the threshold, and returns the rest.
    // Deviates: RFC 5681 adds at most one SMSS an ACK, RFC 9406 eight. As Linux, all bytes newly
    // acknowledged count: an ACK may cover a whole super-segment.
    // Implements: RFC5681 s3.1d
    pub(crate) fn slow_start(&mut self, acked: u64) -> u64 {
        let growth = acked.min(self.threshold.saturating_sub(self.bytes));
        self.bytes = self.bytes.saturating_add(growth);
        acked - growth
    }

    /// Grows by one segment for each `cost` bytes acknowledged.
    // Implements: RFC5681 s3.1e, RFC5681 s3.1f
    pub(crate) fn grow(&mut self, cost: u64, acked: u64) {
        let cost = cost.max(1);
        if self.credit >= cost {
            // The price fell: what was saved buys one segment, not many.
            self.credit = 0;
            self.bytes += self.mss;
        }
        self.credit += acked;
        let segments = self.credit / cost;
        self.credit -= segments * cost;
        self.bytes = self.bytes.saturating_add(segments.saturating_mul(self.mss));
    }

    /// Congestion: the window falls to the threshold. `first` is whether what was before is to be
    /// remembered for the case that it was none.
    pub(crate) fn reduce_to(&mut self, threshold: u64, first: bool) {
        if first {
            self.prior = (self.bytes, self.threshold);
        }
        self.threshold = threshold.max(2 * self.mss);
        self.bytes = self.threshold;
        self.credit = 0;
    }

    /// After a time-out: one segment beyond what is still taken to be in flight.
    // Implements: RFC8985 s6.3
    pub(crate) fn collapse(&mut self, left_in_flight: u64) {
        self.bytes = left_in_flight.saturating_add(self.mss);
        self.credit = 0;
    }

    /// The congestion was none: what was before it holds again.
    pub(crate) fn undo(&mut self) {
        self.bytes = self.bytes.max(self.prior.0);
        self.threshold = self.threshold.max(self.prior.1);
    }

    /// RFC 2861 as Linux does it: halved for each RTO of silence, not below the restart window.
    // Implements: RFC5681 s4.1, RFC2861
    pub(crate) fn restart(&mut self, idle: &IdleSample) {
        let Some(restart_window) = idle.restart_window.filter(|_| idle.idle > idle.rto) else {
            return;
        };
        let restart = restart_window.min(self.bytes);
        self.threshold = self.threshold.max(self.bytes / 4 * 3);
        let mut left: Duration = idle.idle;
        while left > idle.rto && self.bytes > restart {
            left -= idle.rto;
            self.bytes /= 2;
        }
        self.bytes = self.bytes.max(restart);
        self.credit = 0;
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.mss = u64::from(mss).max(1);
        self.bytes = self.bytes.max(self.mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::samples::start;
    use crate::instant::Instant;

    #[test]
    fn a_segment_costs_what_it_is_said_to() {
        let mut window = Window::new(&start(10_000));
        window.end_slow_start();
        window.grow(3000, 2000);
        assert_eq!(window.bytes(), 10_000);
        window.grow(3000, 5000);
        assert_eq!(window.bytes(), 12_000);
        window.grow(3000, 2000);
        assert_eq!(window.bytes(), 13_000, "the rest of 1000 was kept");
    }

    #[test]
    fn a_price_that_falls_does_not_make_many_segments_of_old_savings() {
        let mut window = Window::new(&start(10_000));
        window.end_slow_start();
        window.grow(20_000, 19_000);
        window.grow(2000, 1000);
        assert_eq!(window.bytes(), 11_000);
    }

    #[test]
    fn what_was_before_a_spurious_loss_comes_back_and_growth_since_stays() {
        let mut window = Window::new(&start(40_000));
        window.reduce_to(20_000, true);
        assert_eq!((window.bytes(), window.threshold()), (20_000, 20_000));
        window.undo();
        assert_eq!((window.bytes(), window.threshold()), (40_000, u64::MAX));
    }

    // Shows: RFC5681 s4.1, RFC2861
    #[test]
    fn idling_halves_the_window_for_each_time_out_down_to_the_restart_window() {
        for (idle_ms, expected) in [(300, 80_000), (301, 40_000), (700, 20_000), (60_000, 10_000)] {
            let mut window = Window::new(&start(80_000));
            window.restart(&IdleSample {
                now: Instant::ZERO,
                idle: Duration::from_millis(idle_ms),
                rto: Duration::from_millis(300),
                restart_window: Some(10_000),
                app_limited: true,
            });
            assert_eq!(window.bytes(), expected, "{idle_ms} ms");
        }
    }
}
