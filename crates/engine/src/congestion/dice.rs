//! Randomness for controllers, from a seed: SplitMix64 (Steele, Lea and Flood, 2014).

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`; 0 if there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: the error is below bound / 2^64.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sides_come_up_and_a_seed_decides_their_order() {
        let mut dice = Dice::new(7);
        let rolls: Vec<u64> = (0..7000).map(|_| dice.below(7)).collect();
        for side in 0..7 {
            let count = rolls.iter().filter(|roll| **roll == side).count();
            assert!((900..1100).contains(&count), "{side} came up {count} times of 7000");
        }
        let mut again = Dice::new(7);
        assert!(rolls.iter().all(|roll| *roll == again.below(7)));
        assert_eq!(again.below(0), 0);
    }

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.next(), 6_457_827_717_110_365_317);
        assert_eq!(dice.next(), 3_203_168_211_198_807_973);
    }
}
