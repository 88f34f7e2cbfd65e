//! The link: its stages in order, and the count of what they did.
//!
//! Order of the stages: loss, duplication, policer, queue and wire, outage, corruption, the way
//! with its delay and reordering. A lost packet takes no room in the queue; a duplicate does.
//! Corruption happens on the wire, so a packet that the queue refuses is not counted as corrupted.

use crate::codel::{CoDelQueue, NextEvent};
use crate::config::{Discipline, LinkConfig, LinkError, OutageFate};
use crate::delay::{DelayLine, Travel, nanos};
use crate::fifo::Fifo;
use crate::harm::{Corruption, Duplication};
use crate::ip::Mark;
use crate::loss::Loss;
use crate::payload::Payload;
use crate::policer::Bucket;
use crate::stage::PacketNumber;
use crate::wire::Wire;

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
    policer: Option<Bucket>,
    queue: Queue<P>,
    wire: Wire,
    /// When packets that leave are lost: from, and up to. In order.
    cuts_ns: Vec<(u64, u64)>,
    corruption: Corruption,
    way: DelayLine<P>,
    statistics: LinkStatistics,
}

/// What waits before the wire.
#[derive(Debug)]
enum Queue<P> {
    Fifo(Fifo),
    CoDel(CoDelQueue<P>),
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    Chance,
    Number,
    Burst,
    AckLoss,
    Policer,
    Overflow,
    /// The queue's management.
    Managed,
    Outage,
}

/// How much is before the wire and on its way onto it. A packet that is half sent counts whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLength {
    /// In packets.
    pub packets: usize,
    /// In bytes.
    pub bytes: u64,
}

/// What a link has done so far, in packets where nothing else is said.
///
/// At any time `offered + duplicated == delivered + dropped() + in_flight`, where the last is
/// [`Link::in_flight`]; each packet that does not arrive is counted in one place, that of the
/// first stage that took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatistics {
    /// Packets given to the link.
    pub offered: u64,
    /// Packets, copies included, that came out of it.
    pub delivered: u64,
    /// The bytes of those.
    pub delivered_bytes: u64,
    /// Packets lost by chance, each on its own.
    pub lost: u64,
    /// Packets lost because of their number.
    pub lost_by_number: u64,
    /// Packets that the chain of good and bad states lost.
    pub lost_in_bursts: u64,
    /// Pure acknowledgments lost as such.
    pub lost_acks: u64,
    /// Packets that the policer had no tokens for.
    pub policed: u64,
    /// Packets dropped because the queue was full.
    pub overflowed: u64,
    /// Packets that CoDel dropped, or a marking queue that could not mark them.
    pub managed: u64,
    /// Packets lost in an outage.
    pub lost_in_outages: u64,
    /// The bytes of all that did not arrive.
    pub dropped_bytes: u64,
    /// Copies that the link made.
    pub duplicated: u64,
    /// Packets that were held back to be overtaken.
    pub reordered: u64,
    /// Packets of which a bit was turned over.
    pub corrupted: u64,
    /// Packets that the queue marked with Congestion Experienced.
    pub marked: u64,
    /// Acknowledgments that were held back to go on in a bunch.
    pub bunched: u64,
}

impl LinkStatistics {
    /// All packets that did not arrive.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.lost
            + self.lost_by_number
            + self.lost_in_bursts
            + self.lost_acks
            + self.policed
            + self.overflowed
            + self.managed
            + self.lost_in_outages
    }

    fn count_drop(&mut self, why: DropReason, len_bytes: u64) {
        let counter = match why {
            DropReason::Chance => &mut self.lost,
            DropReason::Number => &mut self.lost_by_number,
            DropReason::Burst => &mut self.lost_in_bursts,
            DropReason::AckLoss => &mut self.lost_acks,
            DropReason::Policer => &mut self.policed,
            DropReason::Overflow => &mut self.overflowed,
            DropReason::Managed => &mut self.managed,
            DropReason::Outage => &mut self.lost_in_outages,
        };
        *counter += 1;
        self.dropped_bytes = self.dropped_bytes.saturating_add(len_bytes);
    }
}

impl<P: Payload> Link<P> {
    /// A link that does what `config` says, with decisions drawn from `seed`.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense ([`LinkConfig::validate`]).
    pub fn new(config: LinkConfig, seed: u64) -> Result<Self, LinkError> {
        config.validate()?;
        let queue = match &config.discipline {
            Discipline::TailDrop => Queue::Fifo(Fifo::new(&config, None)),
            Discipline::StepMarking(marking) => Queue::Fifo(Fifo::new(&config, Some(*marking))),
            Discipline::CoDel(codel) => Queue::CoDel(CoDelQueue::new(&config, codel)),
        };
        let cuts = config.outages.iter().filter(|outage| outage.fate == OutageFate::Lost);
        Ok(Self {
            seed,
            loss: Loss::new(&config, seed),
            duplication: Duplication::new(&config, seed),
            policer: config.policer.as_ref().map(Bucket::new),
            queue,
            wire: Wire::new(&config),
            cuts_ns: cuts.map(|cut| (nanos(cut.at), nanos(cut.at + cut.lasts))).collect(),
            corruption: Corruption::new(&config, seed),
            way: DelayLine::new(&config, seed),
            statistics: LinkStatistics::default(),
        })
    }

    /// Gives a packet to the link.
    pub fn offer(&mut self, now_ns: u64, packet: P) {
        self.advance(now_ns);
        let number = PacketNumber::original(self.statistics.offered);
        self.statistics.offered += 1;
        if let Some(why) = self.loss.verdict(number, &packet) {
            self.statistics.count_drop(why, packet.len() as u64);
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
        let len_bytes = packet.len();
        if self.policer.as_mut().is_some_and(|bucket| !bucket.takes(now_ns, len_bytes)) {
            return self.statistics.count_drop(DropReason::Policer, len_bytes as u64);
        }
        if self.in_flight() >= IN_FLIGHT_LIMIT {
            return self.statistics.count_drop(DropReason::Overflow, len_bytes as u64);
        }
        let queued = match &mut self.queue {
            Queue::Fifo(fifo) => fifo.admit(&mut self.wire, now_ns, &mut packet),
            Queue::CoDel(codel) => {
                if let Err(why) = codel.offer(now_ns, number, packet) {
                    self.statistics.count_drop(why, len_bytes as u64);
                }
                return self.advance(now_ns);
            }
        };
        match queued {
            Ok(admitted) => {
                self.count_mark(admitted.mark);
                self.depart(admitted.departs_ns, number, packet);
            }
            Err(why) => self.statistics.count_drop(why, len_bytes as u64),
        }
    }

    /// Lets the wire take what it has taken by now from a queue that decides only then.
    fn advance(&mut self, now_ns: u64) {
        loop {
            let Queue::CoDel(codel) = &mut self.queue else { return };
            let Some(at_ns) = codel.next_taken_ns(&self.wire).filter(|&at_ns| at_ns <= now_ns)
            else {
                return;
            };
            let taken = codel.take(at_ns, &mut self.wire);
            for len_bytes in taken.dropped_bytes {
                self.statistics.count_drop(DropReason::Managed, len_bytes);
            }
            if let Some(sent) = taken.sent {
                self.count_mark(sent.mark);
                self.depart(sent.departs_ns, sent.number, sent.payload);
            }
        }
    }

    fn count_mark(&mut self, mark: Option<Mark>) {
        self.statistics.marked += u64::from(mark == Some(Mark::Set));
    }

    /// What happens to a packet whose last bit is on the wire at `departs_ns`.
    fn depart(&mut self, departs_ns: u64, number: PacketNumber, mut packet: P) {
        if self.is_cut(departs_ns) {
            return self.statistics.count_drop(DropReason::Outage, packet.len() as u64);
        }
        if let Some(bit) = self.corruption.bit_to_flip(number, &packet) {
            packet.flip_bit(bit);
            self.statistics.corrupted += 1;
        }
        match self.way.send(departs_ns, number, packet) {
            Travel::InOrder => {}
            Travel::HeldBack => self.statistics.reordered += 1,
            Travel::Bunched => self.statistics.bunched += 1,
        }
    }

    fn is_cut(&self, departs_ns: u64) -> bool {
        let begun = self.cuts_ns.partition_point(|&(from_ns, _)| from_ns <= departs_ns);
        let last = begun.checked_sub(1).and_then(|at| self.cuts_ns.get(at));
        last.is_some_and(|&(_, to_ns)| departs_ns < to_ns)
    }

    /// When to ask for a packet: the next one arrives then, if none is offered before. Behind
    /// CoDel, which may yet drop it, none may have arrived; ask again.
    #[must_use]
    pub fn next_delivery_ns(&self) -> Option<u64> {
        let waiting = match &self.queue {
            Queue::Fifo(_) => None,
            Queue::CoDel(codel) => codel.next_event(&self.wire).map(|event| match event {
                NextEvent::Decision { at_ns } => at_ns,
                NextEvent::Departure { at_ns } => {
                    at_ns.saturating_add(self.way.steady_delay_ns(at_ns).unwrap_or(0))
                }
            }),
        };
        self.way.next_arrival_ns().into_iter().chain(waiting).min()
    }

    /// Takes the next packet that has arrived by `now_ns`. Call it until it gives `None`.
    pub fn deliver(&mut self, now_ns: u64) -> Option<P> {
        self.advance(now_ns);
        let packet = self.way.take_arrived(now_ns)?;
        self.statistics.delivered += 1;
        let len_bytes = packet.len() as u64;
        self.statistics.delivered_bytes = self.statistics.delivered_bytes.saturating_add(len_bytes);
        Some(packet)
    }

    /// How long the queue is at `now_ns`, which is not before the last call's.
    pub fn queue_length(&mut self, now_ns: u64) -> QueueLength {
        self.advance(now_ns);
        match &self.queue {
            Queue::Fifo(fifo) => fifo.length(now_ns),
            Queue::CoDel(codel) => codel.length(now_ns),
        }
    }

    /// What the link has done so far.
    #[must_use]
    pub fn statistics(&self) -> LinkStatistics {
        self.statistics
    }

    /// How many packets are queued or under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let waiting = match &self.queue {
            Queue::Fifo(_) => 0,
            Queue::CoDel(codel) => codel.waiting(),
        };
        waiting + self.way.len()
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

    /// Lends the link a wire that another one uses too.
    pub(crate) fn swap_wire(&mut self, wire: &mut Wire) {
        std::mem::swap(&mut self.wire, wire);
    }
}
