//! What a link does to its packets, and which settings make no sense.
//!
//! [`LinkConfig`] is made with a builder, from a line of text, or (feature `serde`) from a table of
//! a file; the last two go through one [tree](tree), so they have the same names and values.

mod duplex;
mod error;
mod packets;
mod parts;
mod read;
mod tree;
#[cfg(feature = "serde")]
mod tree_serde;
mod units;
mod validate;
mod write;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use self::duplex::DuplexConfig;
pub(crate) use self::duplex::Medium;
pub use self::error::{LinkError, SettingsError};
pub use self::packets::PacketSet;
pub(crate) use self::packets::Picks;
pub use self::parts::{
    AckCompression, CoDel, Gilbert, Jitter, Outage, Policer, RateChange, RouteChange, StepMarking,
    Threshold,
};
pub(crate) use self::parts::{
    CoDelVerdict, Discipline, JitterOrder, JitterShape, NotCapable, OutageFate,
};

/// What a [`Link`](crate::Link) does. The default is a perfect wire: no delay, no limit, no harm.
///
/// Probabilities lie between 0 and 1 and are decided for each packet on its own.
///
/// # As text
///
/// The same settings as a line, which [`FromStr`] reads and [`Display`](fmt::Display) writes:
///
/// ```
/// use std::time::Duration;
/// use towpath_netem::{LinkConfig, Outage};
///
/// # fn main() -> Result<(), towpath_netem::SettingsError> {
/// let line = "delay=20ms rate=100Mbit queue=500kB loss=1% outages=[{at=10s,lasts=3s}]";
/// let config: LinkConfig = line.parse()?;
/// let same = LinkConfig::new()
///     .delay(Duration::from_millis(20))
///     .rate_bits_per_second(Some(100_000_000))
///     .queue_bytes(500_000)
///     .loss(0.01)
///     .outage(Outage::lost(Duration::from_secs(10), Duration::from_secs(3)));
/// assert_eq!(config, same);
/// assert_eq!(config.to_string(), line);
///
/// let error = "dealy=20ms".parse::<LinkConfig>().unwrap_err();
/// assert!(error.to_string().starts_with("unknown setting dealy: expected one of delay, "));
/// # Ok(())
/// # }
/// ```
///
/// With the feature `serde` a file has them by the same names; each table may be written in any
/// way that the format has for it:
///
/// ```toml
/// delay = "20ms"
/// jitter = "2ms"            # or { spread, distribution = "normal", correlation, keep_order }
/// routes = [{ at = "30s", delay = "80ms" }]
/// rate = "100Mbit"
/// rates = [{ at = "10s", rate = "20Mbit" }]
/// queue = "500kB"           # or "100 packets", or { packets, bytes, codel, mark }
/// policer = { rate = "50Mbit", burst = "100kB" }
/// duplicate = "2%"          # or { random, every, packets }, as all misfortunes
/// corrupt = { every = 1000 }
/// reorder = { random = "5%", gap = "5ms" }    # or positions = 3
/// outages = [{ at = "10s", lasts = "3s" }]    # packets = "held" instead of "lost"
/// ack_compression = { hold = "10ms", count = 8 }
///
/// [loss]                    # or loss = "1%"
/// random = "1%"
/// packets = [3, "10-19"]
/// acks = "5%"
/// gilbert = { p = "0.1%", r = "70%" }         # good and bad: the losses in each state
///
/// # [queue.codel] takes target, interval and ecn = true, and codel = true is the RFC's values.
/// # [queue.mark] takes above = "100kB", "65 packets" or "1ms", and others = "drop";
/// # mark = "100kB" is the same as { above = "100kB" }.
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    pub(crate) delay: Duration,
    pub(crate) jitter: Option<Jitter>,
    pub(crate) routes: Vec<RouteChange>,
    pub(crate) rate_bits_per_second: Option<u64>,
    pub(crate) rates: Vec<RateChange>,
    pub(crate) queue_packets: Option<usize>,
    pub(crate) queue_bytes: Option<u64>,
    pub(crate) discipline: Discipline,
    pub(crate) policer: Option<Policer>,
    pub(crate) loss: Picks,
    pub(crate) gilbert: Option<Gilbert>,
    pub(crate) ack_loss: f64,
    pub(crate) duplicate: Picks,
    pub(crate) corrupt: Picks,
    pub(crate) reorder: Picks,
    pub(crate) reorder_gap: Duration,
    pub(crate) reorder_positions: Option<u32>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) ack_compression: Option<AckCompression>,
}

/// The default length of the queue before a rate limit, in packets; what Linux gives an interface
/// and its network emulator.
const DEFAULT_QUEUE_PACKETS: usize = 1_000;

impl LinkConfig {
    /// A perfect wire.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: None,
            routes: Vec::new(),
            rate_bits_per_second: None,
            rates: Vec::new(),
            queue_packets: None,
            queue_bytes: None,
            discipline: Discipline::TailDrop,
            policer: None,
            loss: Picks::new(),
            gilbert: None,
            ack_loss: 0.0,
            duplicate: Picks::new(),
            corrupt: Picks::new(),
            reorder: Picks::new(),
            reorder_gap: Duration::ZERO,
            reorder_positions: None,
            outages: Vec::new(),
            ack_compression: None,
        }
    }

    /// How long the last bit of a packet travels. At most a day.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What is added to the delay of each packet, or taken from it.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Adds a time from which on packets take another way. Times rise from one to the next.
    #[must_use]
    pub fn route_change(mut self, change: RouteChange) -> Self {
        self.routes.push(change);
        self
    }

    /// How fast bits are put on the wire; `None` is infinitely fast. Counts the packet's own bytes
    /// only, no framing.
    #[must_use]
    pub const fn rate_bits_per_second(mut self, rate: Option<u64>) -> Self {
        self.rate_bits_per_second = rate;
        self
    }

    /// Adds a time from which on the rate is another one. Times rise from one to the next.
    #[must_use]
    pub fn rate_change(mut self, change: RateChange) -> Self {
        self.rates.push(change);
        self
    }

    /// How many packets may be waiting or being put on the wire when another one comes; that one
    /// is dropped (tail drop). Without a rate nothing ever waits. At least 1; 1,000 when neither
    /// this nor [`queue_bytes`](Self::queue_bytes) is given.
    #[must_use]
    pub const fn queue_packets(mut self, packets: usize) -> Self {
        self.queue_packets = Some(packets);
        self
    }

    /// How many bytes of packets may be waiting or being put on the wire, a packet that comes
    /// included; one with which it would be more is dropped. A packet that is half sent counts
    /// whole. A full queue of 500,000 bytes before 100 Mbit/s holds the last of them for 40 ms.
    #[must_use]
    pub const fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// Drops from the head of the queue what keeps waiting for too long, as RFC 8289 says. The
    /// limits of the queue still hold. Replaces step marking.
    #[must_use]
    pub const fn codel(mut self, codel: CoDel) -> Self {
        self.discipline = Discipline::CoDel(codel);
        self
    }

    /// Marks ECN-capable packets that find much waiting. Replaces CoDel.
    #[must_use]
    pub const fn step_marking(mut self, marking: StepMarking) -> Self {
        self.discipline = Discipline::StepMarking(marking);
        self
    }

    /// Drops what comes faster than a token bucket allows, before the queue.
    #[must_use]
    pub const fn policer(mut self, policer: Policer) -> Self {
        self.policer = Some(policer);
        self
    }

    /// The probability that a packet is lost, before it takes part in anything else.
    #[must_use]
    pub const fn loss(mut self, probability: f64) -> Self {
        self.loss.probability = probability;
        self
    }

    /// These packets are lost.
    #[must_use]
    pub fn loss_packets(mut self, packets: impl Into<PacketSet>) -> Self {
        self.loss.packets = packets.into();
        self
    }

    /// Every `n`-th packet is lost. At least 1.
    #[must_use]
    pub const fn loss_every(mut self, n: u64) -> Self {
        self.loss.every = Some(n);
        self
    }

    /// Loss in bursts, beside the other losses.
    #[must_use]
    pub const fn gilbert(mut self, gilbert: Gilbert) -> Self {
        self.gilbert = Some(gilbert);
        self
    }

    /// The probability that a pure acknowledgment is lost: TCP with ACK and without text, SYN, FIN
    /// or RST. Nothing else is struck by it, nor a packet that is not TCP over IP.
    #[must_use]
    pub const fn ack_loss(mut self, probability: f64) -> Self {
        self.ack_loss = probability;
        self
    }

    /// The probability that a packet is held back for [`reorder_gap`](Self::reorder_gap) more than
    /// the delay, so that those sent less than the gap behind it overtake it.
    #[must_use]
    pub const fn reorder(mut self, probability: f64) -> Self {
        self.reorder.probability = probability;
        self
    }

    /// These packets are held back.
    #[must_use]
    pub fn reorder_packets(mut self, packets: impl Into<PacketSet>) -> Self {
        self.reorder.packets = packets.into();
        self
    }

    /// Every `n`-th packet is held back. At least 1.
    #[must_use]
    pub const fn reorder_every(mut self, n: u64) -> Self {
        self.reorder.every = Some(n);
        self
    }

    /// How much longer a held-back packet travels. At most a day.
    #[must_use]
    pub const fn reorder_gap(mut self, gap: Duration) -> Self {
        self.reorder_gap = gap;
        self
    }

    /// A held-back packet leaves right behind the `positions`-th one that comes after it, at the
    /// latest when the gap is over; without a gap, after a second. At least 1.
    #[must_use]
    pub const fn reorder_positions(mut self, positions: u32) -> Self {
        self.reorder_positions = Some(positions);
        self
    }

    /// The probability that a second copy of a packet follows the first. The copy takes room in
    /// the queue and time on the wire, and may be corrupted or reordered on its own.
    #[must_use]
    pub const fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate.probability = probability;
        self
    }

    /// These packets are followed by a copy.
    #[must_use]
    pub fn duplicate_packets(mut self, packets: impl Into<PacketSet>) -> Self {
        self.duplicate.packets = packets.into();
        self
    }

    /// Every `n`-th packet is followed by a copy. At least 1.
    #[must_use]
    pub const fn duplicate_every(mut self, n: u64) -> Self {
        self.duplicate.every = Some(n);
        self
    }

    /// The probability that one random bit of a packet is turned over.
    #[must_use]
    pub const fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt.probability = probability;
        self
    }

    /// These packets are corrupted, their copies as well.
    #[must_use]
    pub fn corrupt_packets(mut self, packets: impl Into<PacketSet>) -> Self {
        self.corrupt.packets = packets.into();
        self
    }

    /// Every `n`-th packet is corrupted, its copy as well. At least 1.
    #[must_use]
    pub const fn corrupt_every(mut self, n: u64) -> Self {
        self.corrupt.every = Some(n);
        self
    }

    /// Adds a time in which nothing gets through. One begins after the one before is over.
    #[must_use]
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outages.push(outage);
        self
    }

    /// Holds pure acknowledgments back and sends them on in bunches.
    #[must_use]
    pub const fn ack_compression(mut self, compression: AckCompression) -> Self {
        self.ack_compression = Some(compression);
        self
    }

    /// The delay before any route change.
    #[must_use]
    pub const fn get_delay(&self) -> Duration {
        self.delay
    }

    /// The rate before any change of it.
    #[must_use]
    pub const fn get_rate_bits_per_second(&self) -> Option<u64> {
        self.rate_bits_per_second
    }

    /// The limit of the queue in packets, if it has one.
    #[must_use]
    pub const fn get_queue_packets(&self) -> Option<usize> {
        match (self.queue_packets, self.queue_bytes) {
            (None, None) => Some(DEFAULT_QUEUE_PACKETS),
            (packets, _) => packets,
        }
    }

    /// The limit of the queue in bytes, if it has one.
    #[must_use]
    pub const fn get_queue_bytes(&self) -> Option<u64> {
        self.queue_bytes
    }

    /// Checks the settings together. [`Link::new`](crate::Link::new) does it as well.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), LinkError> {
        validate::link(self)
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings that are not the default, in one line that [`FromStr`] reads.
impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write::link(self).fmt(f)
    }
}

/// Reads `name=value`, separated by blanks or commas; see [`LinkConfig`]. What it gives is
/// validated.
impl FromStr for LinkConfig {
    type Err = SettingsError;

    fn from_str(line: &str) -> Result<Self, SettingsError> {
        Self::from_tree(tree::read(line)?)
    }
}

impl LinkConfig {
    fn from_tree(table: tree::Table) -> Result<Self, SettingsError> {
        let config = read::link(table, "")?;
        config.validate()?;
        Ok(config)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for LinkConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(tree::Table::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LinkConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write::link(self).serialize(serializer)
    }
}
