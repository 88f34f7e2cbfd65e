//! A packet with a number, a run of a link, and what may be expected of chance.

use std::collections::BTreeSet;
use std::time::Duration;

use towpath_netem::{Link, LinkConfig, LinkStatistics, Payload};

pub(crate) const SEEDS: [u64; 4] = [1, 42, 0xdead_beef, u64::MAX];
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// A packet that remembers its number, and whether a bit of it was turned over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) len: usize,
    pub(crate) flipped: Vec<usize>,
}

impl Numbered {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, len: 100, flipped: Vec::new() }
    }
}

impl Payload for Numbered {
    fn len(&self) -> usize {
        self.len
    }

    fn flip_bit(&mut self, bit_index: usize) {
        self.flipped.push(bit_index);
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }
}

pub(crate) fn link(config: LinkConfig, seed: u64) -> Link<Numbered> {
    Link::new(config, seed).expect("the configuration makes sense")
}

/// Everything that arrives, with its time, when the clock goes from arrival to arrival.
pub(crate) fn drain(link: &mut Link<Numbered>) -> Vec<(u64, Numbered)> {
    let mut arrived = Vec::new();
    while let Some(at_ns) = link.next_delivery_ns() {
        let packet = link.deliver(at_ns).expect("a packet arrives when the link says so");
        arrived.push((at_ns, packet));
    }
    assert!(link.is_empty());
    arrived
}

/// Offers packets 0..count, `spacing_ns` apart, and gives what arrives.
pub(crate) fn pass(config: LinkConfig, seed: u64, count: u64, spacing_ns: u64) -> Passed {
    let mut link = link(config, seed);
    let mut arrived = Vec::new();
    for number in 0..count {
        let now_ns = number * spacing_ns;
        while let Some(at_ns) = link.next_delivery_ns().filter(|&at_ns| at_ns <= now_ns) {
            arrived.push((at_ns, link.deliver(at_ns).expect("a packet is due")));
        }
        link.offer(now_ns, Numbered::new(number));
    }
    arrived.extend(drain(&mut link));
    Passed { arrived, statistics: link.statistics() }
}

pub(crate) struct Passed {
    pub(crate) arrived: Vec<(u64, Numbered)>,
    pub(crate) statistics: LinkStatistics,
}

impl Passed {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.arrived.iter().map(|(_, packet)| packet.number).collect()
    }

    pub(crate) fn duplicated(&self) -> BTreeSet<u64> {
        let mut seen = BTreeSet::new();
        self.numbers().into_iter().filter(|&number| !seen.insert(number)).collect()
    }

    pub(crate) fn corrupted(&self) -> BTreeSet<u64> {
        let flipped = self.arrived.iter().filter(|(_, packet)| !packet.flipped.is_empty());
        flipped.map(|(_, packet)| packet.number).collect()
    }
}

/// Five standard deviations of the binomial distribution on each side: one true link in two
/// million fails.
pub(crate) fn assert_binomial(what: &str, seed: u64, trials: u64, probability: f64, hits: u64) {
    let expected = trials as f64 * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    let off = (hits as f64 - expected).abs();
    println!("{what}: seed {seed}: {hits} of {trials}, expected {expected:.0} +- {deviation:.1}");
    assert!(off <= 5.0 * deviation, "{what}: seed {seed}: {hits}, expected {expected:.0}");
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
