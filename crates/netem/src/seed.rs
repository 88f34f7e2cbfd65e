//! Randomness that is the same for ever: SplitMix64, read by position.
//!
//! SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014) is a counter that advances by a fixed odd step and a mixing function over it, so
//! its n-th number is found without those before. That is what makes the verdict on packet n
//! independent of the verdicts on other packets and of other stages. It is written out here, not
//! taken from a crate, because recorded seeds must replay across versions of any dependency.

/// The counter's step: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The random numbers of one purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    origin: u64,
}

/// What a stream's numbers decide. The values are part of what a seed means: they never change,
/// and a new purpose takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    Loss = 1,
    Duplicate = 2,
    Corrupt = 3,
    CorruptedBit = 4,
    Reorder = 5,
    GilbertState = 6,
    GilbertLoss = 7,
    AckLoss = 8,
    Jitter = 9,
    JitterRepeat = 10,
}

impl Stream {
    pub(crate) const fn new(seed: u64, purpose: Purpose) -> Self {
        // Two rounds keep (seed, purpose) pairs apart that a plain sum would fold together.
        Self { origin: mix(mix(seed).wrapping_add((purpose as u64).wrapping_mul(STEP))) }
    }

    /// The number at `position`, uniform over all of `u64`.
    pub(crate) const fn at(self, position: u64) -> u64 {
        mix(self.origin.wrapping_add(position.wrapping_add(1).wrapping_mul(STEP)))
    }

    /// A number below `bound` at `position`. The bias is below `bound` / 2^64. `bound` is not 0.
    pub(crate) fn below(self, position: u64, bound: u64) -> u64 {
        ((u128::from(self.at(position)) * u128::from(bound)) >> 64) as u64
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_splitmix64_numbers() {
        // The first outputs of the reference C code (S. Vigna, splitmix64.c) for state 1234567.
        let stream = Stream { origin: 1_234_567 };
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (position, number) in expected.into_iter().enumerate() {
            assert_eq!(stream.at(position as u64), number, "position {position}");
        }
    }

    #[test]
    fn purposes_and_seeds_have_streams_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..100 {
            for purpose in [
                Purpose::Loss,
                Purpose::Duplicate,
                Purpose::Corrupt,
                Purpose::CorruptedBit,
                Purpose::Reorder,
                Purpose::GilbertState,
                Purpose::GilbertLoss,
                Purpose::AckLoss,
                Purpose::Jitter,
                Purpose::JitterRepeat,
            ] {
                for position in 0..100 {
                    assert!(seen.insert(Stream::new(seed, purpose).at(position)));
                }
            }
        }
    }

    #[test]
    fn a_bounded_number_reaches_every_value_and_never_the_bound() {
        let stream = Stream::new(7, Purpose::CorruptedBit);
        let mut seen = [0_u32; 12];
        for position in 0..1_200 {
            seen[stream.below(position, 12) as usize] += 1;
        }
        // 100 expected each; 50 is five standard deviations away.
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    }
}
