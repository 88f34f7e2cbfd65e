//! Reno: RFC 5681's slow start and congestion avoidance, counting bytes.

use super::window::Window;
use super::{AckSample, CongestionEvent, CongestionKind, Controller, IdleSample, Start};
use crate::instant::Instant;

/// RFC 8511 section 3.1: what a mark leaves of the window.
const ABE_PERCENT: u64 = 80;

/// RFC 5681.
#[derive(Clone, Debug)]
pub struct Reno {
    window: Window,
    alternative_backoff: bool,
}

impl Reno {
    /// Begins with a window; in slow start if there was no congestion yet.
    pub fn new(start: &Start) -> Reno {
        Reno { window: Window::new(start), alternative_backoff: start.alternative_backoff }
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn window(&self) -> u64 {
        self.window.bytes()
    }

    fn slow_start_threshold(&self) -> u64 {
        self.window.threshold()
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if !sample.may_grow {
            return;
        }
        let mut acked = sample.delivered_bytes;
        if self.window.is_in_slow_start() {
            acked = self.window.slow_start(acked);
        }
        if acked > 0 {
            // One segment a round trip: a window's worth of bytes was acknowledged.
            self.window.grow(self.window.bytes(), acked);
        }
    }

    // Implements: RFC5681 s3.1g, RFC5681 s3.1h, RFC5681 s3.2.2
    fn on_congestion(&mut self, event: &CongestionEvent) {
        match event.kind {
            // Deviates: RFC 5681 halves FlightSize. As Linux, the window, which does not grow while
            // it is not used.
            CongestionKind::Loss => self.window.reduce_to(self.window.bytes() / 2, true),
            CongestionKind::Ecn => {
                let percent = if self.alternative_backoff { ABE_PERCENT } else { 50 };
                self.window.reduce_to(self.window.bytes() * percent / 100, true);
            }
            CongestionKind::Timeout => {
                self.window.reduce_to(self.window.bytes() / 2, true);
                self.window.collapse(event.left_in_flight_bytes);
            }
            CongestionKind::RepeatedTimeout => self.window.collapse(event.left_in_flight_bytes),
        }
    }

    fn on_spurious(&mut self, _now: Instant) {
        self.window.undo();
    }

    fn on_idle(&mut self, idle: &IdleSample) {
        self.window.restart(idle);
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.window.set_mss(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::samples::{sample, start};
    use crate::instant::Instant;

    const MSS: u32 = 1000;

    fn ack(reno: &mut Reno, delivered_bytes: u64) {
        reno.on_ack(&AckSample { delivered_bytes, ..sample() });
    }

    fn congestion(reno: &mut Reno, kind: CongestionKind, in_flight_bytes: u64) {
        reno.on_congestion(&CongestionEvent {
            now: Instant::ZERO,
            kind,
            in_flight_bytes,
            left_in_flight_bytes: 0,
            mss: MSS,
        });
    }

    // Shows: RFC5681 s3.1d, H-36
    #[test]
    fn slow_start_grows_by_the_bytes_acknowledged_however_they_are_divided() {
        let mut whole = Reno::new(&start(10_000));
        ack(&mut whole, 10_000);
        assert_eq!(whole.window(), 20_000);
        let mut divided = Reno::new(&start(10_000));
        for _ in 0..1000 {
            ack(&mut divided, 1);
        }
        assert_eq!(divided.window(), 11_000);
    }

    // Shows: RFC5681 s3.1e
    #[test]
    fn congestion_avoidance_adds_one_segment_a_window() {
        let mut reno = Reno::new(&start(20_000));
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

    // Shows: RFC5681 s3.1g, RFC5681 s3.1h
    #[test]
    fn a_time_out_halves_the_window_once_and_leaves_one_segment() {
        let mut reno = Reno::new(&start(20_000));
        congestion(&mut reno, CongestionKind::Timeout, 20_000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1000, 10_000));
        congestion(&mut reno, CongestionKind::RepeatedTimeout, 1000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1000, 10_000));
        congestion(&mut reno, CongestionKind::Timeout, 1000);
        assert_eq!(reno.slow_start_threshold(), 2000);
    }

    // Shows: RFC8511 s3
    #[test]
    fn a_mark_halves_the_window_and_leaves_four_fifths_with_abe() {
        for (alternative_backoff, expected) in [(false, 10_000), (true, 16_000)] {
            let mut reno = Reno::new(&Start { alternative_backoff, ..start(20_000) });
            congestion(&mut reno, CongestionKind::Ecn, 20_000);
            assert_eq!(reno.window(), expected);
        }
    }

    #[test]
    fn an_application_that_does_not_fill_the_window_does_not_grow_it() {
        let mut reno = Reno::new(&start(10_000));
        reno.on_ack(&AckSample { delivered_bytes: 5000, may_grow: false, ..sample() });
        assert_eq!(reno.window(), 10_000);
    }
}
