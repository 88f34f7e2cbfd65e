//! Stages that do harm to what is on the wire: duplication and corruption.

use crate::config::LinkConfig;
use crate::payload::Payload;
use crate::seed::{Purpose, Stream};
use crate::stage::{PacketNumber, Picker};

/// Sends a second copy right behind the first.
#[derive(Debug)]
pub(crate) struct Duplication {
    picker: Picker,
}

impl Duplication {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self { picker: Picker::new(&config.duplicate, seed, Purpose::Duplicate) }
    }

    pub(crate) fn duplicates(&self, packet: PacketNumber) -> bool {
        self.picker.strikes(packet)
    }
}

/// Turns over one random bit of a packet.
#[derive(Debug)]
pub(crate) struct Corruption {
    picker: Picker,
    bit: Stream,
}

impl Corruption {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self {
            picker: Picker::new(&config.corrupt, seed, Purpose::Corrupt),
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
        (bits > 0 && self.picker.strikes(packet))
            .then(|| self.bit.below(packet.position(), bits) as usize)
    }
}
