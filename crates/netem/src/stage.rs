//! What the stages that decide by chance share: which packet is judged, and the coin.
//!
//! A stage is a small value that [`Link::offer`](crate::Link::offer) asks in a fixed order. It
//! keeps its own state and its own random stream, is told which packet it judges, and returns its
//! verdict; the link applies it and counts. A stage never sees another stage.

use crate::config::{PacketSet, Picks};
use crate::seed::{Purpose, Stream};

/// Which copy of which offered packet is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketNumber(u64);

impl PacketNumber {
    /// The `n`-th packet offered to the link.
    pub(crate) const fn original(n: u64) -> Self {
        Self(n.wrapping_mul(2))
    }

    /// The copy that the duplicate stage makes of this packet: judged on its own afterwards, at a
    /// place that exists whether or not the copy is made.
    pub(crate) const fn copy(self) -> Self {
        Self(self.0 | 1)
    }

    /// How many packets had been offered when this one or its original was, itself included.
    pub(crate) const fn ordinal(self) -> u64 {
        (self.0 >> 1).wrapping_add(1)
    }

    /// Whether this is the copy of a packet.
    pub(crate) const fn is_copy(self) -> bool {
        self.0 & 1 == 1
    }

    /// The packet's place in every stage's random stream.
    pub(crate) const fn position(self) -> u64 {
        self.0
    }
}

/// A coin that falls on its marked side with a given probability, once for each packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coin {
    /// Of 2^64 numbers, how many fall on the marked side.
    threshold: u128,
    stream: Stream,
}

impl Coin {
    /// `probability` lies in 0..=1.
    pub(crate) fn new(probability: f64, seed: u64, purpose: Purpose) -> Self {
        Self { threshold: threshold(probability), stream: Stream::new(seed, purpose) }
    }

    pub(crate) fn falls_for(&self, packet: PacketNumber) -> bool {
        u128::from(self.stream.at(packet.position())) < self.threshold
    }
}

/// Of the 2^64 numbers that a stream gives, how many mean yes.
pub(crate) fn threshold(probability: f64) -> u128 {
    debug_assert!((0.0..=1.0).contains(&probability));
    // A product with a power of two is exact, so every platform finds the same threshold.
    (probability * 2.0_f64.powi(64)) as u128
}

/// Who is struck: by a coin, by its number, by being an nth.
#[derive(Clone, Debug)]
pub(crate) struct Picker {
    coin: Coin,
    packets: PacketSet,
    every: Option<u64>,
}

impl Picker {
    pub(crate) fn new(picks: &Picks, seed: u64, purpose: Purpose) -> Self {
        Self {
            coin: Coin::new(picks.probability, seed, purpose),
            packets: picks.packets.clone(),
            every: picks.every,
        }
    }

    pub(crate) fn strikes_by_chance(&self, packet: PacketNumber) -> bool {
        self.coin.falls_for(packet)
    }

    pub(crate) fn strikes_by_number(&self, packet: PacketNumber) -> bool {
        let ordinal = packet.ordinal();
        self.every.is_some_and(|n| ordinal.is_multiple_of(n)) || self.packets.contains(ordinal)
    }

    pub(crate) fn strikes(&self, packet: PacketNumber) -> bool {
        self.strikes_by_chance(packet) || self.strikes_by_number(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_of_probability_zero_never_falls_and_of_one_always_does() {
        let never = Coin::new(0.0, 3, Purpose::Loss);
        let always = Coin::new(1.0, 3, Purpose::Loss);
        for n in 0..10_000 {
            assert!(!never.falls_for(PacketNumber::original(n)));
            assert!(always.falls_for(PacketNumber::original(n)));
        }
    }

    #[test]
    fn a_higher_probability_only_adds_packets() {
        let rare = Coin::new(0.1, 9, Purpose::Loss);
        let frequent = Coin::new(0.2, 9, Purpose::Loss);
        for n in 0..10_000 {
            let packet = PacketNumber::original(n);
            assert!(!rare.falls_for(packet) || frequent.falls_for(packet), "packet {n}");
        }
    }
}
