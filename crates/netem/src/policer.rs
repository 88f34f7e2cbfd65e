//! The policer: a token bucket that drops what it has no tokens for.
//!
//! Counted in bits times nanoseconds per second, so that no token is lost to rounding.

use crate::config::Policer;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const BITS_PER_BYTE: u128 = 8;

/// The bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    bits_per_second: u64,
    size: u128,
    tokens: u128,
    filled_at_ns: u64,
}

impl Bucket {
    pub(crate) fn new(policer: &Policer) -> Self {
        let size = cost(policer.burst_bytes);
        Self { bits_per_second: policer.bits_per_second, size, tokens: size, filled_at_ns: 0 }
    }

    /// Whether a packet passes; its tokens are then gone.
    pub(crate) fn takes(&mut self, now_ns: u64, len_bytes: usize) -> bool {
        let elapsed = now_ns.saturating_sub(self.filled_at_ns);
        self.filled_at_ns = self.filled_at_ns.max(now_ns);
        let new = u128::from(elapsed) * u128::from(self.bits_per_second);
        self.tokens = self.tokens.saturating_add(new).min(self.size);
        match self.tokens.checked_sub(cost(len_bytes as u64)) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

fn cost(bytes: u64) -> u128 {
    u128::from(bytes) * BITS_PER_BYTE * NANOS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_and_no_nanosecond_earlier() {
        // 8 Mbit/s: 1,000 bytes every millisecond.
        let mut bucket = Bucket::new(&Policer::new(8_000_000, 3_000));
        assert_eq!([0, 0, 0, 0].map(|at| bucket.takes(at, 1_000)), [true, true, true, false]);
        assert!(!bucket.takes(999_999, 1_000));
        assert!(bucket.takes(1_000_000, 1_000));
        assert!(!bucket.takes(1_999_999, 1_000));
        assert!(bucket.takes(1_999_999, 999), "a shorter one finds enough");
        assert!(bucket.takes(2_000_000, 1), "and the tokens that it left are there");
        assert!(!bucket.takes(2_000_000, 1));
    }

    #[test]
    fn a_rest_fills_the_bucket_and_no_more() {
        let mut bucket = Bucket::new(&Policer::new(8_000_000, 3_000));
        let hour = 3_600_000_000_000;
        assert!(!bucket.takes(hour, 3_001));
        assert!(bucket.takes(hour, 3_000));
        assert!(!bucket.takes(hour, 1));
        assert!(!bucket.takes(0, 1), "a clock that goes back brings no tokens");
        assert!(!bucket.takes(hour, 1));
    }

    #[test]
    fn the_rate_is_exact_over_a_long_time() {
        // 7 bit/s and packets of 3 bytes, asked for every microsecond of 100 seconds.
        let mut bucket = Bucket::new(&Policer::new(7, 3));
        let passed = (0..100_000_000_u64).step_by(1_000).filter(|us| bucket.takes(us * 1_000, 3));
        // 3 bytes to begin with, and 700 bits; each time is rounded up to the next millisecond.
        assert_eq!(passed.count(), 1 + 700 / 24);
    }

    #[test]
    fn the_largest_figures_do_not_overflow() {
        let mut bucket = Bucket::new(&Policer::new(u64::MAX, u64::MAX));
        assert!(bucket.takes(u64::MAX, usize::MAX));
        assert!(!bucket.takes(u64::MAX, 1));
    }
}
