//! Reno: RFC 5681's slow start and congestion avoidance, counting bytes.

use super::{AckSample, CongestionEvent, CongestionKind, Controller, IdleSample};

/// RFC 5681.
#[derive(Clone, Debug)]
pub struct Reno {
    window: u64,
    threshold: u64,
    /// Bytes acknowledged in congestion avoidance that have not yet grown the window.
    credit: u64,
    mss: u64,
}

impl Reno {
    /// Begins in slow start with a window of `initial_window` bytes.
    pub fn new(initial_window: u64, mss: u32) -> Reno {
        Reno { window: initial_window, threshold: u64::MAX, credit: 0, mss: u64::from(mss) }
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn slow_start_threshold(&self) -> u64 {
        self.threshold
    }

    // Implements: RFC5681 s3.1d, RFC5681 s3.1e, RFC5681 s3.1f
    fn on_ack(&mut self, sample: &AckSample) {
        if !sample.may_grow {
            return;
        }
        let mut acked = sample.acked_bytes;
        if self.window < self.threshold {
            // Deviates: RFC 5681 adds at most one SMSS an ACK. As Linux, all bytes newly
            // acknowledged count: an ACK may cover a whole super-segment.
            let growth = acked.min(self.threshold - self.window);
            self.window += growth;
            acked -= growth;
        }
        self.credit += acked;
        if self.credit >= self.window {
            // One segment a round trip: a window's worth of bytes was acknowledged.
            self.credit -= self.window;
            self.window += self.mss;
        }
        self.credit = self.credit.min(self.window);
    }

    // Implements: RFC5681 s3.1g, RFC5681 s3.1h, RFC5681 s3.1i, RFC5681 s3.2.2
    fn on_congestion(&mut self, event: &CongestionEvent) {
        if event.kind != CongestionKind::RepeatedTimeout {
            self.threshold = (event.in_flight_bytes / 2).max(2 * self.mss);
        }
        self.window = match event.kind {
            CongestionKind::Loss => self.threshold,
            CongestionKind::Timeout | CongestionKind::RepeatedTimeout => self.mss,
        };
        self.credit = 0;
    }

    // Implements: RFC5681 s4.1
    fn on_idle(&mut self, idle: &IdleSample) {
        let Some(restart_window) = idle.restart_window.filter(|_| idle.idle > idle.rto) else {
            return;
        };
        // RFC 2861 as Linux does it: halve for each RTO of silence, not below the restart window.
        let restart = restart_window.min(self.window);
        self.threshold = self.threshold.max(self.window / 4 * 3);
        let mut left = idle.idle;
        while left > idle.rto && self.window > restart {
            left -= idle.rto;
            self.window /= 2;
        }
        self.window = self.window.max(restart);
        self.credit = 0;
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.mss = u64::from(mss);
        self.window = self.window.max(self.mss);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::congestion::samples::sample;
    use crate::instant::Instant;

    const MSS: u32 = 1000;

    fn ack(reno: &mut Reno, acked_bytes: u64) {
        reno.on_ack(&AckSample { acked_bytes, ..sample() });
    }

    fn congestion(reno: &mut Reno, kind: CongestionKind, in_flight_bytes: u64) {
        reno.on_congestion(&CongestionEvent {
            now: Instant::ZERO,
            kind,
            in_flight_bytes,
            mss: MSS,
        });
    }

    // Shows: RFC5681 s3.1d, H-36
    #[test]
    fn slow_start_grows_by_the_bytes_acknowledged_however_they_are_divided() {
        let mut whole = Reno::new(10_000, MSS);
        ack(&mut whole, 10_000);
        assert_eq!(whole.window(), 20_000);
        let mut divided = Reno::new(10_000, MSS);
        for _ in 0..1000 {
            ack(&mut divided, 1);
        }
        assert_eq!(divided.window(), 11_000);
    }

    // Shows: RFC5681 s3.1e
    #[test]
    fn congestion_avoidance_adds_one_segment_a_window() {
        let mut reno = Reno::new(20_000, MSS);
        congestion(&mut reno, CongestionKind::Loss, 20_000);
        assert_eq!(reno.window(), 10_000);
        for _ in 0..10 {
            ack(&mut reno, 1000);
        }
        assert_eq!(reno.window(), 11_000);
        for _ in 0..11 {
            ack(&mut reno, 1000);
        }
        assert_eq!(reno.window(), 12_000);
    }

    // Shows: RFC5681 s3.1g, RFC5681 s3.1h, RFC5681 s3.1i
    #[test]
    fn a_time_out_halves_the_flight_once_and_leaves_one_segment() {
        let mut reno = Reno::new(100_000, MSS);
        congestion(&mut reno, CongestionKind::Timeout, 20_000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1000, 10_000));
        congestion(&mut reno, CongestionKind::RepeatedTimeout, 1000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1000, 10_000));
        congestion(&mut reno, CongestionKind::Timeout, 1000);
        assert_eq!(reno.slow_start_threshold(), 2000);
    }

    #[test]
    fn an_application_that_does_not_fill_the_window_does_not_grow_it() {
        let mut reno = Reno::new(10_000, MSS);
        reno.on_ack(&AckSample { acked_bytes: 5000, may_grow: false, ..sample() });
        assert_eq!(reno.window(), 10_000);
    }

    // Shows: RFC5681 s4.1, RFC2861
    #[test]
    fn idling_halves_the_window_for_each_time_out_down_to_the_restart_window() {
        for (idle_ms, expected) in [(300, 80_000), (301, 40_000), (700, 20_000), (60_000, 10_000)] {
            let mut reno = Reno::new(80_000, MSS);
            reno.on_idle(&IdleSample {
                now: Instant::ZERO,
                idle: Duration::from_millis(idle_ms),
                rto: Duration::from_millis(300),
                restart_window: Some(10_000),
                app_limited: true,
            });
            assert_eq!(reno.window(), expected, "{idle_ms} ms");
        }
    }
}
