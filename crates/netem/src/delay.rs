//! The way: packets under way, ordered by when they arrive.
//!
//! Every packet travels for the same time, except those that are held back by the reorder gap;
//! packets that arrive at the same time arrive in the order in which they were sent.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::config::LinkConfig;
use crate::seed::Purpose;
use crate::stage::{Coin, PacketNumber};

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Travel {
    InOrder,
    HeldBack,
}

/// The packets under way.
#[derive(Debug)]
pub(crate) struct DelayLine<P> {
    delay_ns: u64,
    gap_ns: u64,
    coin: Coin,
    under_way: BinaryHeap<Reverse<UnderWay<P>>>,
    sent: u64,
}

impl<P> DelayLine<P> {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        Self {
            delay_ns: nanos(config.delay),
            gap_ns: nanos(config.reorder_gap),
            coin: Coin::new(config.reorder.probability, seed, Purpose::Reorder),
            under_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Takes a packet whose last bit is on the wire at `departs_at_ns`.
    pub(crate) fn send(&mut self, departs_at_ns: u64, packet: PacketNumber, payload: P) -> Travel {
        let travel = if self.coin.falls_for(packet) { Travel::HeldBack } else { Travel::InOrder };
        let mut arrives_at_ns = departs_at_ns.saturating_add(self.delay_ns);
        if travel == Travel::HeldBack {
            arrives_at_ns = arrives_at_ns.saturating_add(self.gap_ns);
        }
        let order = self.sent;
        self.sent += 1;
        self.under_way.push(Reverse(UnderWay { arrives_at_ns, order, payload }));
        travel
    }

    pub(crate) fn next_arrival_ns(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse(packet)| packet.arrives_at_ns)
    }

    pub(crate) fn take_arrived(&mut self, now_ns: u64) -> Option<P> {
        if self.next_arrival_ns()? > now_ns {
            return None;
        }
        self.under_way.pop().map(|Reverse(packet)| packet.payload)
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }
}

/// A packet under way. Compared by when it arrives, then by when it was sent.
#[derive(Debug)]
struct UnderWay<P> {
    arrives_at_ns: u64,
    order: u64,
    payload: P,
}

impl<P> UnderWay<P> {
    fn key(&self) -> (u64, u64) {
        (self.arrives_at_ns, self.order)
    }
}

impl<P> Ord for UnderWay<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<P> PartialOrd for UnderWay<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for UnderWay<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<P> Eq for UnderWay<P> {}

/// A duration that [`LinkConfig::validate`] has bounded.
fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
