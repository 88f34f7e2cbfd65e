//! The link: its stages in order, and the count of what they did.
//!
//! Order of the stages: loss, duplication, queue and rate, corruption, delay and reordering. A
//! lost packet takes no room in the queue; a duplicate does. Corruption happens on the wire, so a
//! packet that the queue refuses is not counted as corrupted.

use crate::config::{LinkConfig, LinkError};
use crate::delay::{DelayLine, Travel};
use crate::loss::{Corruption, Duplication, Loss};
use crate::payload::Payload;
use crate::rate::{Admission, Bottleneck};
use crate::stage::PacketNumber;

/// The most packets that a link carries at a time; further ones count as overflowed. A guard
/// against a caller that offers and never takes, four times what 10 Gbit/s of 1,500-byte packets
/// over 40 ms need.
pub const IN_FLIGHT_LIMIT: usize = 1 << 17;

/// One direction of an emulated link. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Link<P> {
    seed: u64,
    loss: Loss,
    duplication: Duplication,
    corruption: Corruption,
    bottleneck: Bottleneck,
    way: DelayLine<P>,
    statistics: LinkStatistics,
}

/// What a link has done so far, in packets.
///
/// At any time `offered + duplicated == delivered + lost + overflowed + in_flight`, where the last
/// is [`Link::in_flight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatistics {
    /// Packets given to the link.
    pub offered: u64,
    /// Packets, copies included, that came out of it.
    pub delivered: u64,
    /// Packets that the loss stage took.
    pub lost: u64,
    /// Copies that the link made.
    pub duplicated: u64,
    /// Packets that were held back by the reorder gap.
    pub reordered: u64,
    /// Packets of which a bit was turned over.
    pub corrupted: u64,
    /// Packets dropped because the queue was full.
    pub overflowed: u64,
}

impl<P: Payload> Link<P> {
    /// A link that does what `config` says, with decisions drawn from `seed`.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense ([`LinkConfig::validate`]).
    pub fn new(config: LinkConfig, seed: u64) -> Result<Self, LinkError> {
        config.validate()?;
        Ok(Self {
            seed,
            loss: Loss::new(&config, seed),
            duplication: Duplication::new(&config, seed),
            corruption: Corruption::new(&config, seed),
            bottleneck: Bottleneck::new(&config),
            way: DelayLine::new(&config, seed),
            statistics: LinkStatistics::default(),
        })
    }

    /// Gives a packet to the link.
    pub fn offer(&mut self, now_ns: u64, packet: P) {
        let number = PacketNumber::original(self.statistics.offered);
        self.statistics.offered += 1;
        if self.loss.loses(number) {
            self.statistics.lost += 1;
            return;
        }
        let copy = self.duplication.duplicates(number).then(|| packet.duplicate());
        self.transmit(now_ns, number, packet);
        if let Some(copy) = copy {
            self.statistics.duplicated += 1;
            self.transmit(now_ns, number.copy(), copy);
        }
    }

    /// The stages behind duplication, which judge each copy on its own.
    fn transmit(&mut self, now_ns: u64, number: PacketNumber, mut packet: P) {
        if self.way.len() >= IN_FLIGHT_LIMIT {
            self.statistics.overflowed += 1;
            return;
        }
        let Admission::Departs { at_ns } = self.bottleneck.admit(now_ns, packet.len()) else {
            self.statistics.overflowed += 1;
            return;
        };
        if let Some(bit) = self.corruption.bit_to_flip(number, &packet) {
            packet.flip_bit(bit);
            self.statistics.corrupted += 1;
        }
        if self.way.send(at_ns, number, packet) == Travel::HeldBack {
            self.statistics.reordered += 1;
        }
    }

    /// When the next packet arrives, if one is under way.
    #[must_use]
    pub fn next_delivery_ns(&self) -> Option<u64> {
        self.way.next_arrival_ns()
    }

    /// Takes the next packet that has arrived by `now_ns`. Call it until it gives `None`.
    pub fn deliver(&mut self, now_ns: u64) -> Option<P> {
        let packet = self.way.take_arrived(now_ns)?;
        self.statistics.delivered += 1;
        Some(packet)
    }

    /// What the link has done so far.
    #[must_use]
    pub fn statistics(&self) -> LinkStatistics {
        self.statistics
    }

    /// How many packets are queued or under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.way.len()
    }

    /// Whether no packet is queued or under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight() == 0
    }

    /// The seed that the link was made with, for a failing test to print.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}
