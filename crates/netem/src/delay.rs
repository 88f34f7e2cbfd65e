//! The way: packets under way, ordered by when they arrive.
//!
//! A packet travels for the delay of the route that is when its last bit leaves, and its jitter;
//! some are held back before, to be overtaken. Packets that arrive at the same time arrive in the
//! order in which they were sent.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::config::{AckCompression, JitterOrder, LinkConfig};
use crate::ip;
use crate::jitter::JitterSource;
use crate::payload::Payload;
use crate::seed::Purpose;
use crate::stage::{PacketNumber, Picker};

/// The longest that a packet is held back to be overtaken by a number of others, when no gap is
/// set: long after any loss detection has noticed, and not for ever at the end of a transfer.
const LONGEST_HOLD_NS: u64 = 1_000_000_000;

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Travel {
    InOrder,
    HeldBack,
    /// An acknowledgment that waits for others.
    Bunched,
}

/// The packets under way.
#[derive(Debug)]
pub(crate) struct DelayLine<P> {
    routes: Routes,
    jitter: Option<(JitterSource, JitterOrder)>,
    reorder: Picker,
    gap_ns: u64,
    positions: Option<u32>,
    compression: Option<AckCompression>,
    /// Those that arrive one after another as they were sent, which most do...
    in_order: VecDeque<UnderWay<P>>,
    /// ...and those that arrive before one of them.
    early: BinaryHeap<Reverse<UnderWay<P>>>,
    /// Held back until others have passed.
    held: VecDeque<Held<P>>,
    bunch: Option<Bunch<P>>,
    /// The latest arrival that may not be overtaken, and the place of its route.
    last_arrival: (u64, usize),
    /// How many have been sent without being held back.
    passed: u64,
    sent: u64,
}

/// A packet that waits for others to pass.
#[derive(Debug)]
struct Held<P> {
    /// How many will have passed in all.
    until_passed: u64,
    until_ns: u64,
    payload: P,
}

/// Acknowledgments that wait for one another.
#[derive(Debug)]
struct Bunch<P> {
    until_ns: u64,
    jitter_ns: i64,
    payloads: Vec<P>,
}

impl<P: Payload> DelayLine<P> {
    pub(crate) fn new(config: &LinkConfig, seed: u64) -> Self {
        let jitter = config.jitter.as_ref();
        let gap_ns = nanos(config.reorder_gap);
        let longest = config.reorder_positions.filter(|_| gap_ns == 0).map(|_| LONGEST_HOLD_NS);
        Self {
            routes: Routes::new(config),
            jitter: jitter.map(|jitter| (JitterSource::new(jitter, seed), jitter.order)),
            reorder: Picker::new(&config.reorder, seed, Purpose::Reorder),
            gap_ns: longest.unwrap_or(gap_ns),
            positions: config.reorder_positions,
            compression: config.ack_compression,
            in_order: VecDeque::new(),
            early: BinaryHeap::new(),
            held: VecDeque::new(),
            bunch: None,
            last_arrival: (0, 0),
            passed: 0,
            sent: 0,
        }
    }

    /// Takes a packet whose last bit is on the wire at `departs_ns`.
    pub(crate) fn send(&mut self, departs_ns: u64, packet: PacketNumber, payload: P) -> Travel {
        self.release(departs_ns);
        let jitter_ns = self.jitter.as_mut().map_or(0, |(jitter, _)| jitter.offset_ns(packet));
        if let Some(compression) = self.compression
            && ip::is_pure_ack(&payload)
        {
            self.bunch(compression, departs_ns, jitter_ns, payload);
            return Travel::Bunched;
        }
        let (delay_ns, route) = self.routes.at(departs_ns);
        let mut arrives_ns = departs_ns.saturating_add(delay_ns.saturating_add_signed(jitter_ns));
        if self.reorder.strikes(packet) {
            let Some(positions) = self.positions else {
                self.put(arrives_ns.saturating_add(self.gap_ns), payload);
                return Travel::HeldBack;
            };
            let until_passed = self.passed.saturating_add(u64::from(positions));
            let until_ns = departs_ns.saturating_add(self.gap_ns);
            self.held.push_back(Held { until_passed, until_ns, payload });
            return Travel::HeldBack;
        }
        // What another route brings is not late for this one.
        let keeps_order = matches!(self.jitter, Some((_, JitterOrder::Kept)));
        if keeps_order && self.last_arrival.1 == route {
            arrives_ns = arrives_ns.max(self.last_arrival.0);
        }
        self.last_arrival = (arrives_ns, route);
        self.put(arrives_ns, payload);
        self.passed += 1;
        while self.held.front().is_some_and(|held| held.until_passed <= self.passed) {
            if let Some(held) = self.held.pop_front() {
                self.put(arrives_ns, held.payload);
            }
        }
        Travel::InOrder
    }

    fn bunch(&mut self, compression: AckCompression, departs_ns: u64, jitter_ns: i64, payload: P) {
        let bunch = self.bunch.get_or_insert_with(|| Bunch {
            until_ns: departs_ns.saturating_add(nanos(compression.hold)),
            jitter_ns,
            payloads: Vec::new(),
        });
        bunch.payloads.push(payload);
        if compression.count.is_some_and(|count| bunch.payloads.len() >= count as usize) {
            bunch.until_ns = departs_ns;
            self.release(departs_ns);
        }
    }

    /// Sends on what is held until now or earlier.
    fn release(&mut self, now_ns: u64) {
        while self.held.front().is_some_and(|held| held.until_ns <= now_ns) {
            if let Some(held) = self.held.pop_front() {
                self.put(self.routes.arrival_ns(held.until_ns, 0), held.payload);
            }
        }
        if self.bunch.as_ref().is_some_and(|bunch| bunch.until_ns <= now_ns)
            && let Some(bunch) = self.bunch.take()
        {
            let arrives_ns = self.routes.arrival_ns(bunch.until_ns, bunch.jitter_ns);
            for payload in bunch.payloads {
                self.put(arrives_ns, payload);
            }
        }
    }

    fn put(&mut self, arrives_ns: u64, payload: P) {
        let order = self.sent;
        self.sent += 1;
        let packet = UnderWay { arrives_ns, order, payload };
        if self.in_order.back().is_none_or(|last| last.arrives_ns <= arrives_ns) {
            self.in_order.push_back(packet);
        } else {
            self.early.push(Reverse(packet));
        }
    }

    /// When the next packet arrives, if no further one is sent.
    pub(crate) fn next_arrival_ns(&self) -> Option<u64> {
        let moving = [
            self.in_order.front().map(|packet| packet.arrives_ns),
            self.early.peek().map(|Reverse(packet)| packet.arrives_ns),
            self.bunch.as_ref().map(|b| self.routes.arrival_ns(b.until_ns, b.jitter_ns)),
        ];
        // They are let go in order; only a change of the route lets a later one arrive earlier.
        let count = if self.routes.change() { self.held.len() } else { 1 };
        let held = self.held.iter().take(count);
        let held = held.map(|held| self.routes.arrival_ns(held.until_ns, 0));
        moving.into_iter().flatten().chain(held).min()
    }

    pub(crate) fn take_arrived(&mut self, now_ns: u64) -> Option<P> {
        self.release(now_ns);
        let first = self.in_order.front().map(UnderWay::key);
        let early = self.early.peek().map(|Reverse(packet)| packet.key());
        let take_early = match (first, early) {
            (Some(first), Some(early)) => early < first,
            (first, early) => first.is_none() && early.is_some(),
        };
        if take_early {
            early.filter(|key| key.0 <= now_ns)?;
            return self.early.pop().map(|Reverse(packet)| packet.payload);
        }
        first.filter(|key| key.0 <= now_ns)?;
        self.in_order.pop_front().map(|packet| packet.payload)
    }

    pub(crate) fn len(&self) -> usize {
        let bunch = self.bunch.as_ref().map_or(0, |bunch| bunch.payloads.len());
        self.in_order.len() + self.early.len() + self.held.len() + bunch
    }

    /// The least time between a departure at `departs_ns` and an arrival, if it is the same for
    /// all that depart from then on.
    pub(crate) fn steady_delay_ns(&self, departs_ns: u64) -> Option<u64> {
        (self.jitter.is_none() && !self.routes.change()).then(|| self.routes.at(departs_ns).0)
    }
}

/// How long a packet travels, by when it leaves.
#[derive(Debug)]
struct Routes {
    /// In order of time; the first begins at 0.
    delays_from_ns: Vec<(u64, u64)>,
}

impl Routes {
    fn new(config: &LinkConfig) -> Self {
        let first = (0, nanos(config.delay));
        let changes = config.routes.iter().map(|change| (nanos(change.at), nanos(change.delay)));
        Self { delays_from_ns: std::iter::once(first).chain(changes).collect() }
    }

    /// The delay, and the place of its route.
    fn at(&self, departs_ns: u64) -> (u64, usize) {
        let behind = self.delays_from_ns.partition_point(|&(from_ns, _)| from_ns <= departs_ns);
        let place = behind.saturating_sub(1);
        (self.delays_from_ns.get(place).map_or(0, |&(_, delay_ns)| delay_ns), place)
    }

    fn arrival_ns(&self, departs_ns: u64, jitter_ns: i64) -> u64 {
        departs_ns.saturating_add(self.at(departs_ns).0.saturating_add_signed(jitter_ns))
    }

    fn change(&self) -> bool {
        self.delays_from_ns.len() > 1
    }
}

/// A packet under way. Compared by when it arrives, then by when it was sent.
#[derive(Debug)]
struct UnderWay<P> {
    arrives_ns: u64,
    order: u64,
    payload: P,
}

impl<P> UnderWay<P> {
    fn key(&self) -> (u64, u64) {
        (self.arrives_ns, self.order)
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
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
