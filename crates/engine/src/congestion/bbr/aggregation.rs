//! How much more than expected is acknowledged at once: where ACKs come together, the window must
//! hold what is sent while none come.
//!
//! Owns the present epoch, which lasts while more is acknowledged than the bandwidth explains, and
//! the greatest excess of the last five to ten rounds.

use core::time::Duration;

use crate::congestion::AckSample;
use crate::congestion::model::product;
use crate::instant::Instant;

/// Rounds of each of the two halves of the window over which the maximum is kept.
const ROUNDS: u64 = 5;
/// An epoch with so many segments is taken for an old one.
const LONGEST_EPOCH_SEGMENTS: u64 = 1 << 20;
/// No more than what the bandwidth delivers in this time is allowed for.
const MOST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(super) struct Aggregation {
    since: Instant,
    acked: u64,
    /// The greatest excess of this half of the window and of the one before.
    excess: [u64; 2],
    rounds: u64,
}

impl Aggregation {
    pub(super) fn new(now: Instant) -> Aggregation {
        Aggregation { since: now, acked: 0, excess: [0; 2], rounds: 0 }
    }

    /// Sending goes on after a pause.
    pub(super) fn restart(&mut self, now: Instant) {
        self.since = now;
        self.acked = 0;
    }

    pub(super) fn on_sample(
        &mut self,
        sample: &AckSample,
        round_start: bool,
        bandwidth: u64,
        window: u64,
    ) {
        if sample.delivered_bytes == 0 {
            return;
        }
        if round_start {
            self.rounds += 1;
            if self.rounds >= ROUNDS {
                self.rounds = 0;
                self.excess = [0, self.excess[0]];
            }
        }
        let mut expected = product(bandwidth, sample.now - self.since);
        let longest = LONGEST_EPOCH_SEGMENTS * u64::from(sample.mss);
        if self.acked <= expected || self.acked + sample.delivered_bytes >= longest {
            self.restart(sample.now);
            expected = 0;
        }
        self.acked += sample.delivered_bytes;
        let excess = self.acked.saturating_sub(expected).min(window);
        self.excess[0] = self.excess[0].max(excess);
    }

    /// What the window needs beyond the product of bandwidth and delay, in bytes.
    pub(super) fn extra(&self, bandwidth: u64) -> u64 {
        self.excess[0].max(self.excess[1]).min(product(bandwidth, MOST))
    }
}
