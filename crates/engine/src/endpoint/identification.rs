//! The identification of packets that routers may cut (RFC 6864 section 4.2).
//!
//! All 65,536 numbers go by before one comes again, in an order that only the key tells: who sees
//! some of them can neither count what else was sent nor guess the next. Packets with DF set are
//! whole wherever they are, and their identification is 0.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The numbers of one stack.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: u64,
    next: u32,
}

impl Identifications {
    pub(crate) fn new(key: u64) -> Identifications {
        Identifications { key, next: 0 }
    }

    /// The next number.
    // Implements: RFC6864 s4.2, H-50
    pub(crate) fn next(&mut self) -> u16 {
        let [.., round_a, round_b, left, right] = self.next.to_be_bytes();
        // The upper half counts the times around: each has an order of its own.
        let turn = u16::from_be_bytes([round_a, round_b]);
        self.next = self.next.wrapping_add(1);
        // A Feistel network on two bytes: a permutation whatever its round function.
        let (mut left, mut right) = (left, right);
        for round in 0..4u8 {
            (left, right) = (right, left ^ self.mix(turn, round, right));
        }
        u16::from_be_bytes([left, right])
    }

    fn mix(&self, turn: u16, round: u8, half: u8) -> u8 {
        let mut hasher = SipHasher13::new_with_keys(self.key, u64::from(turn));
        hasher.write(&[round, half]);
        hasher.finish() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC6864 s4.2, H-50
    #[test]
    fn no_number_comes_again_before_all_have_been() {
        let mut numbers = Identifications::new(7);
        let mut turns = Vec::new();
        for _ in 0..2 {
            let turn: Vec<u16> = (0..1 << 16).map(|_| numbers.next()).collect();
            let mut seen = vec![false; 1 << 16];
            for number in &turn {
                assert!(!std::mem::replace(&mut seen[usize::from(*number)], true), "{number}");
            }
            turns.push(turn);
        }
        assert_ne!(turns[0], turns[1]);
    }

    // Shows: H-50
    #[test]
    fn neighbours_are_not_near_each_other() {
        let mut numbers = Identifications::new(7);
        let near = (0..10_000)
            .filter(|_| numbers.next().wrapping_sub(numbers.next()).min(1000) < 100)
            .count();
        assert!(near < 60, "{near} of 10000");
        let first = |key| Identifications::new(key).next();
        assert!((0..100).any(|key| first(key) != first(key + 1)));
    }
}
