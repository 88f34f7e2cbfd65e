//! The loss stage: by chance, by number, in bursts, and of pure acknowledgments.
//!
//! Each kind of loss judges every packet that is offered, also one that another kind has lost, so
//! that none changes what another does.

use crate::config::{Gilbert, LinkConfig};
use crate::ip;
use crate::link::DropReason;
use crate::payload::Payload;
use crate::seed::{Purpose, Stream};
use crate::stage::{Coin, PacketNumber, Picker, threshold};

/// Loses packets before they take part in anything else.
#[derive(Debug)]
pub(crate) struct Loss {
    picker: Picker,
    bursts: Option<Bursts>,
    acks: Option<Coin>,
}

impl Loss {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        let acks =
            (config.ack_loss > 0.0).then(|| Coin::new(config.ack_loss, seed, Purpose::AckLoss));
        Self {
            picker: Picker::new(&config.loss, seed, Purpose::Loss),
            bursts: config.gilbert.as_ref().map(|gilbert| Bursts::new(gilbert, seed)),
            acks,
        }
    }

    /// Why this packet is lost, if it is. Each packet is asked about once, in order.
    pub(crate) fn verdict(
        &mut self,
        packet: PacketNumber,
        payload: &impl Payload,
    ) -> Option<DropReason> {
        let in_burst = self.bursts.as_mut().is_some_and(|bursts| bursts.loses(packet));
        if self.picker.strikes_by_chance(packet) {
            return Some(DropReason::Chance);
        }
        if self.picker.strikes_by_number(packet) {
            return Some(DropReason::Number);
        }
        if in_burst {
            return Some(DropReason::Burst);
        }
        let ack = self.acks.is_some_and(|coin| coin.falls_for(packet) && ip::is_pure_ack(payload));
        ack.then_some(DropReason::AckLoss)
    }
}

/// The chain of Gilbert and Elliott. Its state depends on the numbers drawn for all packets before,
/// and on nothing else.
#[derive(Debug)]
struct Bursts {
    state: State,
    /// Of 2^64 numbers, how many turn the good state bad, and the bad one good.
    to_bad: u128,
    to_good: u128,
    changes: Stream,
    in_good: Coin,
    in_bad: Coin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Bad,
}

impl Bursts {
    fn new(gilbert: &Gilbert, seed: u64) -> Self {
        Self {
            state: State::Good,
            to_bad: threshold(gilbert.p),
            to_good: threshold(gilbert.r),
            changes: Stream::new(seed, Purpose::GilbertState),
            in_good: Coin::new(gilbert.good, seed, Purpose::GilbertLoss),
            in_bad: Coin::new(gilbert.bad, seed, Purpose::GilbertLoss),
        }
    }

    fn loses(&mut self, packet: PacketNumber) -> bool {
        let draw = u128::from(self.changes.at(packet.position()));
        self.state = match self.state {
            State::Good if draw < self.to_bad => State::Bad,
            State::Bad if draw < self.to_good => State::Good,
            same => same,
        };
        match self.state {
            State::Good => self.in_good.falls_for(packet),
            State::Bad => self.in_bad.falls_for(packet),
        }
    }
}
