//! By how much the delay of one packet differs from the middle.

use crate::config::{Jitter, JitterShape};
use crate::delay::nanos;
use crate::seed::{Purpose, Stream};
use crate::stage::{Coin, PacketNumber};

/// Draws what is added to the delay of each packet.
#[derive(Debug)]
pub(crate) struct JitterSource {
    spread_ns: u64,
    shape: JitterShape,
    values: Stream,
    /// Falls for a packet that has the value of the one before.
    repeats: Coin,
    /// The last packet asked about, by its ordinal, and the packet whose value it had.
    last: (u64, PacketNumber),
}

/// How many uniform numbers make a normal one, and their standard deviation in their own unit:
/// the sum of twelve has a variance of 12 / 12.
const SUMMANDS: u64 = 12;

impl JitterSource {
    pub(crate) fn new(jitter: &Jitter, seed: u64) -> Self {
        Self {
            spread_ns: nanos(jitter.spread),
            shape: jitter.shape,
            values: Stream::new(seed, Purpose::Jitter),
            repeats: Coin::new(jitter.correlation, seed, Purpose::JitterRepeat),
            last: (0, PacketNumber::original(0)),
        }
    }

    /// What is added to the delay of `packet`, which comes after those asked about before.
    pub(crate) fn offset_ns(&mut self, packet: PacketNumber) -> i64 {
        let source = self.source(packet);
        self.value_ns(source)
    }

    /// The packet whose value this one has: itself, or the next before it that does not repeat.
    /// Whether a packet repeats is drawn also for those that never came here, so that their loss
    /// changes nothing.
    fn source(&mut self, packet: PacketNumber) -> PacketNumber {
        let (last, last_source) = self.last;
        let ordinal = packet.ordinal();
        let fresh = (last + 1..=ordinal)
            .rev()
            .map(|ordinal| PacketNumber::original(ordinal - 1))
            .find(|&packet| !self.repeats.falls_for(packet));
        let source = fresh.unwrap_or(last_source);
        if ordinal > last {
            self.last = (ordinal, source);
        }
        if packet.is_copy() && !self.repeats.falls_for(packet) { packet } else { source }
    }

    fn value_ns(&self, packet: PacketNumber) -> i64 {
        let spread = i128::from(self.spread_ns);
        let offset = match self.shape {
            JitterShape::Uniform => {
                let drawn = self.values.below(packet.position(), 2 * self.spread_ns + 1);
                i128::from(drawn) - spread
            }
            JitterShape::Normal => {
                // Two numbers below 2^32 of each one that is drawn.
                let first = packet.position().wrapping_mul(SUMMANDS / 2);
                let sum: u64 = (0..SUMMANDS / 2)
                    .map(|n| self.values.at(first.wrapping_add(n)))
                    .map(|drawn| (drawn >> 32) + (drawn & 0xffff_ffff))
                    .sum();
                ((i128::from(sum) - (i128::from(SUMMANDS) << 31)) * spread) >> 32
            }
        };
        i64::try_from(offset).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SPREAD: i64 = 2_000_000;

    fn offsets(jitter: Jitter, seed: u64, count: u64) -> Vec<f64> {
        let mut source = JitterSource::new(&jitter, seed);
        (0..count).map(|n| source.offset_ns(PacketNumber::original(n)) as f64).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    fn spread() -> Duration {
        Duration::from_nanos(SPREAD as u64)
    }

    #[test]
    fn a_uniform_jitter_is_flat_and_reaches_both_ends() {
        for seed in [1, 42, u64::MAX] {
            let drawn = offsets(Jitter::uniform(spread()), seed, 100_000);
            let mut tenths = [0_u32; 10];
            for offset in &drawn {
                assert!(offset.abs() <= SPREAD as f64);
                let tenth = (offset + SPREAD as f64) / (2.0 * SPREAD as f64) * 10.0;
                tenths[(tenth as usize).min(9)] += 1;
            }
            // 10,000 each; five standard deviations are 475.
            assert!(tenths.iter().all(|count| count.abs_diff(10_000) < 475), "{tenths:?}");
        }
    }

    #[test]
    fn a_normal_jitter_has_the_shares_of_the_normal_distribution() {
        for seed in [1, 42, u64::MAX] {
            let drawn = offsets(Jitter::normal(spread()), seed, 100_000);
            let deviation = SPREAD as f64;
            assert!(mean(drawn.iter().copied()).abs() < deviation * 0.016, "five sigma of a mean");
            let variance = mean(drawn.iter().map(|offset| (offset / deviation).powi(2)));
            assert!((variance - 1.0).abs() < 0.022, "{variance}");
            for (sigmas, share) in [(1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
                let inside =
                    drawn.iter().filter(|offset| offset.abs() <= sigmas * deviation).count();
                let found = inside as f64 / drawn.len() as f64;
                // Sampling allows 0.0074 at most, the sum of twelve is off by 0.0023.
                assert!((found - share).abs() < 0.01, "within {sigmas}: {found}");
            }
        }
    }

    #[test]
    fn correlation_is_what_it_was_told_to_be_and_leaves_the_distribution_alone() {
        let drawn = offsets(Jitter::normal(spread()).correlation(0.8), 7, 400_000);
        let deviation = SPREAD as f64;
        let variance = mean(drawn.iter().map(|offset| (offset / deviation).powi(2)));
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        for lag in [1, 2, 5, 20] {
            let products = drawn.iter().zip(&drawn[lag..]);
            let products: Vec<f64> = products.map(|(a, b)| a * b / deviation.powi(2)).collect();
            let found = mean(products.into_iter());
            let expected = 0.8_f64.powi(lag as i32);
            assert!((found - expected).abs() < 0.03, "lag {lag}: {found}, expected {expected}");
        }
    }

    #[test]
    fn the_jitter_of_a_packet_does_not_depend_on_which_others_came() {
        let jitter = Jitter::uniform(spread()).correlation(0.9);
        let all = offsets(jitter, 3, 10_000);
        let mut source = JitterSource::new(&jitter, 3);
        for n in (0..10_000).filter(|n| n % 7 == 3) {
            assert_eq!(source.offset_ns(PacketNumber::original(n)) as f64, all[n as usize], "{n}");
        }
    }
}
