//! Policers: a token bucket lets bursts through and then drops all above its rate, so that the
//! greatest rate of delivery is not one that lasts.
//!
//! Where two intervals in a row, each from loss to loss, lose a fifth and more and deliver at the
//! same rate, that rate is taken for the policer's and used for 48 rounds.

use core::time::Duration;

use crate::congestion::AckSample;
use crate::congestion::model::per_second;
use crate::instant::Instant;

/// An interval has at least so many rounds, and at most four times as many.
const LEAST_ROUNDS: u32 = 4;
/// In 256ths of what was delivered: about 20 %.
const LOSSY: u64 = 50;
/// Rates that differ by an eighth are the same...
const SAME_RATIO: u64 = 8;
/// ...and those that differ by 4 kbit/s.
const SAME_BYTES_PER_SECOND: u64 = 4000 / 8;
/// How many rounds a policer's rate is used.
const ROUNDS_OF_USE: u32 = 48;

#[derive(Clone, Debug)]
pub(super) struct Policer {
    is_sampling: bool,
    is_used: bool,
    /// Of the last interval; the policer's when it is used.
    bandwidth: Option<u64>,
    rounds: u32,
    /// The interval's beginning.
    since: Instant,
    delivered: u64,
    lost: u64,
    /// When and after how much something was last delivered.
    latest: (Instant, u64, u64),
}

impl Policer {
    pub(super) fn new(now: Instant, delivered: u64) -> Policer {
        Policer {
            is_sampling: false,
            is_used: false,
            bandwidth: None,
            rounds: 0,
            since: now,
            delivered,
            lost: 0,
            latest: (now, delivered, 0),
        }
    }

    /// The policer's rate, if there is one.
    pub(super) fn bandwidth(&self) -> Option<u64> {
        self.bandwidth.filter(|_| self.is_used)
    }

    pub(super) fn reset(&mut self, now: Instant) {
        let (_, delivered, lost) = self.latest;
        *self = Policer { lost, latest: self.latest, ..Policer::new(now, delivered) };
    }

    fn begin_interval(&mut self) {
        (self.since, self.delivered, self.lost) = self.latest;
        self.rounds = 0;
    }

    /// A time-out is like the end of a round.
    pub(super) fn on_timeout(&mut self) {
        if self.is_sampling && !self.is_used {
            self.rounds += 1;
        }
    }

    /// Takes a valid sample of the rate. Whether the policer's rate was used for long enough, so that
    /// the cycle of gains begins again.
    pub(super) fn on_sample(
        &mut self,
        sample: &AckSample,
        losses: u64,
        round_start: bool,
        in_probe_bw: bool,
    ) -> bool {
        self.latest = (sample.now, sample.delivered_total, sample.lost_total);
        if self.is_used {
            if in_probe_bw && round_start {
                self.rounds += 1;
                if self.rounds >= ROUNDS_OF_USE {
                    self.reset(sample.now);
                    return true;
                }
            }
            return false;
        }
        if !self.is_sampling {
            // Not before the first loss: until then there may be tokens left.
            if losses == 0 {
                return false;
            }
            self.begin_interval();
            self.is_sampling = true;
        }
        if sample.rate.app_limited {
            self.reset(sample.now);
            return false;
        }
        self.rounds += u32::from(round_start);
        if self.rounds < LEAST_ROUNDS {
            return false;
        }
        if self.rounds > 4 * LEAST_ROUNDS {
            self.reset(sample.now);
            return false;
        }
        // Not before the next loss: the tokens are used up again.
        if losses > 0 {
            self.end_interval();
        }
        false
    }

    fn end_interval(&mut self) {
        let (now, delivered, lost) = self.latest;
        let (delivered, lost) = (delivered - self.delivered, lost.saturating_sub(self.lost));
        let time = now - self.since;
        if delivered == 0
            || lost.saturating_mul(256) < LOSSY * delivered
            || time < Duration::from_millis(1)
        {
            return;
        }
        let bandwidth = per_second(delivered, time);
        if let Some(before) = self.bandwidth {
            let difference = bandwidth.abs_diff(before);
            if difference <= before / SAME_RATIO || difference <= SAME_BYTES_PER_SECOND {
                self.bandwidth = Some(u64::midpoint(bandwidth, before));
                self.is_used = true;
                self.rounds = 0;
                return;
            }
        }
        self.bandwidth = Some(bandwidth);
        self.begin_interval();
    }
}
