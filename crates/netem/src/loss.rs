//! Stages that change what is on the wire: loss, duplication, corruption.

use crate::config::LinkConfig;
use crate::payload::Payload;
use crate::seed::{Purpose, Stream};
use crate::stage::{Coin, PacketNumber};

/// Loses each packet on its own, with one probability.
#[derive(Debug)]
pub(crate) struct Loss {
    coin: Coin,
}

impl Loss {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self { coin: Coin::new(config.loss.probability, seed, Purpose::Loss) }
    }

    pub(crate) fn loses(&self, packet: PacketNumber) -> bool {
        self.coin.falls_for(packet)
    }
}

/// Sends a second copy right behind the first.
#[derive(Debug)]
pub(crate) struct Duplication {
    coin: Coin,
}

impl Duplication {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self { coin: Coin::new(config.duplicate.probability, seed, Purpose::Duplicate) }
    }

    pub(crate) fn duplicates(&self, packet: PacketNumber) -> bool {
        self.coin.falls_for(packet)
    }
}

/// Turns over one random bit of a packet.
#[derive(Debug)]
pub(crate) struct Corruption {
    coin: Coin,
    bit: Stream,
}

impl Corruption {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self {
            coin: Coin::new(config.corrupt.probability, seed, Purpose::Corrupt),
            bit: Stream::new(seed, Purpose::CorruptedBit),
        }
    }

    /// The bit of `payload` to turn over, if it is to be corrupted. An empty packet has none.
    pub(crate) fn bit_to_flip(
        &self,
        packet: PacketNumber,
        payload: &impl Payload,
    ) -> Option<usize> {
        let bits = (payload.len() as u64).saturating_mul(8);
        (bits > 0 && self.coin.falls_for(packet))
            .then(|| self.bit.below(packet.position(), bits) as usize)
    }
}
