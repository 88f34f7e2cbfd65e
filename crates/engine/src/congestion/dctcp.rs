//! Data Center TCP: RFC 8257.
//!
//! The window falls by as much as the share of what was marked says, where Reno would halve it. It
//! wants a network that marks early and a peer that tells every mark: both ends and all queues
//! between them under one hand (section 5).

use super::window::Window;
use super::{AckSample, CongestionEvent, CongestionKind, Controller, IdleSample, Start};
use crate::instant::Instant;

/// Alpha, the share of what was marked, as a fraction of this.
const ONE: u64 = 1024;
/// Section 3.3: g, the weight of the last window of data, is 1/16.
const WEIGHT_SHIFT: u32 = 4;

/// RFC 8257.
#[derive(Clone, Debug)]
pub struct Dctcp {
    window: Window,
    alpha: u64,
    /// The present window of data ends when this is acknowledged.
    round_end: u64,
    /// Segments delivered in it, and those of them that were marked.
    delivered: u64,
    marked: u64,
}

impl Dctcp {
    /// Begins with a window; in slow start if there was no congestion yet. The first mark halves it:
    /// nothing is known of the network yet.
    pub fn new(start: &Start) -> Dctcp {
        Dctcp { window: Window::new(start), alpha: ONE, round_end: 0, delivered: 0, marked: 0 }
    }

    /// The share of segments that were marked of late, in 1024ths.
    pub fn marked_share_1024(&self) -> u64 {
        self.alpha
    }

    // Implements: RFC8257 s3.3a
    fn count(&mut self, sample: &AckSample) {
        self.delivered += u64::from(sample.delivered_segments);
        self.marked += u64::from(sample.marked_segments);
        if sample.acked_to < self.round_end {
            return;
        }
        // What is below the precision of the shift goes too: a network without marks ends at zero.
        let fall = (self.alpha >> WEIGHT_SHIFT).max(self.alpha.min(1));
        let rise = (self.marked << (ONE.ilog2() - WEIGHT_SHIFT)) / self.delivered.max(1);
        self.alpha = (self.alpha - fall + rise).min(ONE);
        self.delivered = 0;
        self.marked = 0;
        self.round_end = sample.sent_to;
    }
}

impl Controller for Dctcp {
    fn name(&self) -> &'static str {
        "dctcp"
    }

    fn window(&self) -> u64 {
        self.window.bytes()
    }

    fn slow_start_threshold(&self) -> u64 {
        self.window.threshold()
    }

    fn wants_every_mark(&self) -> bool {
        true
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.count(sample);
        if !sample.may_grow {
            return;
        }
        let mut acked = sample.delivered_bytes;
        if self.window.is_in_slow_start() {
            acked = self.window.slow_start(acked);
        }
        if acked > 0 {
            self.window.grow(self.window.bytes(), acked);
        }
    }

    // Implements: RFC8257 s3.3b, RFC8257 s3.5
    fn on_congestion(&mut self, event: &CongestionEvent) {
        let window = self.window.bytes();
        match event.kind {
            CongestionKind::Ecn => {
                let threshold = window - window * self.alpha / (2 * ONE);
                self.window.reduce_to(threshold, true);
            }
            CongestionKind::Loss => self.window.reduce_to(window / 2, true),
            CongestionKind::Timeout => {
                self.window.reduce_to(window / 2, true);
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

    /// A window of data of ten segments, so many of them marked.
    fn round(dctcp: &mut Dctcp, number: u64, marked_segments: u32) {
        dctcp.on_ack(&AckSample {
            delivered_segments: 10,
            marked_segments,
            acked_to: 10_000 * number,
            sent_to: 10_000 * (number + 1),
            may_grow: false,
            ..sample()
        });
    }

    fn congestion(dctcp: &mut Dctcp, kind: CongestionKind) {
        dctcp.on_congestion(&CongestionEvent {
            now: Instant::ZERO,
            kind,
            in_flight_bytes: 0,
            left_in_flight_bytes: 0,
            mss: 1000,
        });
    }

    // Shows: RFC8257 s3.3a
    #[test]
    fn alpha_follows_the_share_of_marks_by_a_sixteenth_a_window() {
        let mut dctcp = Dctcp::new(&start(10_000));
        assert_eq!(dctcp.marked_share_1024(), 1024);
        round(&mut dctcp, 1, 0);
        assert_eq!(dctcp.marked_share_1024(), 960);
        round(&mut dctcp, 2, 5);
        // 960 * 15/16 + 1024 / 16 * 5/10.
        assert_eq!(dctcp.marked_share_1024(), 932);
        for number in 3..200 {
            round(&mut dctcp, number, 0);
        }
        assert_eq!(dctcp.marked_share_1024(), 0);
        for number in 200..400 {
            round(&mut dctcp, number, 10);
        }
        assert_eq!(dctcp.marked_share_1024(), 1024);
    }

    // Shows: RFC8257 s3.3b, RFC8257 s3.5
    #[test]
    fn a_mark_takes_half_of_the_share_and_a_loss_half() {
        let mut dctcp = Dctcp::new(&start(100_000));
        dctcp.alpha = 256;
        congestion(&mut dctcp, CongestionKind::Ecn);
        assert_eq!(dctcp.window(), 87_500);
        congestion(&mut dctcp, CongestionKind::Loss);
        assert_eq!(dctcp.window(), 43_750);
        congestion(&mut dctcp, CongestionKind::Timeout);
        assert_eq!((dctcp.window(), dctcp.slow_start_threshold()), (1000, 21_875));
    }
}
