//! The settings of a link that are more than one number.
//!
//! Each is a small value with a builder of its own; [`LinkConfig::validate`](super::LinkConfig)
//! looks into them.

use std::time::Duration;

/// Loss in bursts: the chain of E. N. Gilbert ("Capacity of a burst-noise channel", 1960) and
/// E. O. Elliott (1963). A link is in a good or in a bad state; before each packet it may change;
/// a packet is lost with the probability of the state. It begins in the good one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gilbert {
    pub(crate) p: f64,
    pub(crate) r: f64,
    pub(crate) good: f64,
    pub(crate) bad: f64,
}

impl Gilbert {
    /// The plain form: nothing is lost in the good state and everything in the bad one. `p` is
    /// the probability to become bad, `r` to become good again: a share `p / (p + r)` of the
    /// packets is lost, in bursts of `1 / r` packets on average.
    #[must_use]
    pub const fn new(p: f64, r: f64) -> Self {
        Self { p, r, good: 0.0, bad: 1.0 }
    }

    /// The probability that a packet is lost in the good state.
    #[must_use]
    pub const fn loss_in_good(mut self, probability: f64) -> Self {
        self.good = probability;
        self
    }

    /// The probability that a packet is lost in the bad state.
    #[must_use]
    pub const fn loss_in_bad(mut self, probability: f64) -> Self {
        self.bad = probability;
        self
    }

    /// The share of packets that is lost in the long run. A chain that never changes stays good.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        if self.p == 0.0 {
            return self.good;
        }
        (self.r * self.good + self.p * self.bad) / (self.p + self.r)
    }
}

/// How the delay of one packet differs from that of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    pub(crate) spread: Duration,
    pub(crate) shape: JitterShape,
    pub(crate) correlation: f64,
    pub(crate) order: JitterOrder,
}

/// The distribution of a [`Jitter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JitterShape {
    Uniform,
    Normal,
}

/// Whether packets may overtake one another because of a [`Jitter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JitterOrder {
    Free,
    Kept,
}

impl Jitter {
    /// Anything from `spread` less than the delay to `spread` more, all equally likely. A packet
    /// never travels backwards: with a spread above the delay the shortest time is 0.
    #[must_use]
    pub const fn uniform(spread: Duration) -> Self {
        Self { spread, shape: JitterShape::Uniform, correlation: 0.0, order: JitterOrder::Free }
    }

    /// Normally distributed around the delay with this standard deviation; nothing is further
    /// from it than six of them, and a packet never travels backwards.
    #[must_use]
    pub const fn normal(deviation: Duration) -> Self {
        Self {
            spread: deviation,
            shape: JitterShape::Normal,
            correlation: 0.0,
            order: JitterOrder::Free,
        }
    }

    /// The probability that a packet has the jitter of the packet before it instead of one of its
    /// own: the correlation of two packets `k` apart is this to the power of `k`, and the
    /// distribution stays what it is. Below 1.
    #[must_use]
    pub const fn correlation(mut self, probability: f64) -> Self {
        self.correlation = probability;
        self
    }

    /// Packets do not overtake one another: one that would waits until the one before has
    /// arrived. Without this they do when the spread is wider than their distance.
    #[must_use]
    pub const fn keep_order(mut self) -> Self {
        self.order = JitterOrder::Kept;
        self
    }
}

/// From `at` on packets travel for `delay`. What was sent before still travels as it did, so a
/// shorter way lets later packets overtake, as a change of a real route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChange {
    pub(crate) at: Duration,
    pub(crate) delay: Duration,
}

impl RouteChange {
    /// A change `at` after the link's epoch, for packets whose last bit leaves then or later.
    #[must_use]
    pub const fn new(at: Duration, delay: Duration) -> Self {
        Self { at, delay }
    }
}

/// From `at` on the rate is another one, also for a packet that is half on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateChange {
    pub(crate) at: Duration,
    pub(crate) bits_per_second: u64,
}

impl RateChange {
    /// A change `at` after the link's epoch.
    #[must_use]
    pub const fn new(at: Duration, bits_per_second: u64) -> Self {
        Self { at, bits_per_second }
    }
}

/// A time in which nothing gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) fate: OutageFate,
}

/// What becomes of the packets of an [`Outage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutageFate {
    Lost,
    Held,
}

impl Outage {
    /// The wire is cut: packets whose last bit would be on it then are lost, those that are
    /// under way already arrive. The queue goes on sending into the void.
    #[must_use]
    pub const fn lost(at: Duration, lasts: Duration) -> Self {
        Self { at, lasts, fate: OutageFate::Lost }
    }

    /// The wire stands still: packets wait in the queue, which drops what it has no room for.
    #[must_use]
    pub const fn held(at: Duration, lasts: Duration) -> Self {
        Self { at, lasts, fate: OutageFate::Held }
    }
}

/// A token bucket without a queue: what comes faster is dropped. The bucket begins full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policer {
    pub(crate) bits_per_second: u64,
    pub(crate) burst_bytes: u64,
}

impl Policer {
    /// Lets `bits_per_second` pass, and `burst_bytes` at once after a rest. A packet that is
    /// longer than the burst never passes.
    #[must_use]
    pub const fn new(bits_per_second: u64, burst_bytes: u64) -> Self {
        Self { bits_per_second, burst_bytes }
    }
}

/// Controlled delay: RFC 8289. Drops from the head of the queue once packets have waited for
/// longer than the target during a whole interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoDel {
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
    pub(crate) verdict: CoDelVerdict,
}

/// What [`CoDel`] does to a packet that it has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoDelVerdict {
    Drop,
    /// Marked if it is ECN-capable, else dropped.
    Mark,
}

impl CoDel {
    /// The RFC's constants: a target of 5 ms, an interval of 100 ms (sections 4.3 and 4.4), and
    /// drops.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            verdict: CoDelVerdict::Drop,
        }
    }

    /// The wait that is acceptable for ever.
    #[must_use]
    pub const fn target(mut self, target: Duration) -> Self {
        self.target = target;
        self
    }

    /// For how long it may be exceeded: about the longest round trip of those who share the queue.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// ECN-capable packets are marked instead of dropped.
    #[must_use]
    pub const fn mark(mut self) -> Self {
        self.verdict = CoDelVerdict::Mark;
        self
    }
}

impl Default for CoDel {
    fn default() -> Self {
        Self::new()
    }
}

/// Marks every ECN-capable packet that finds more than a threshold waiting: the one step of
/// DCTCP's switches (RFC 8257, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMarking {
    pub(crate) above: Threshold,
    pub(crate) others: NotCapable,
}

/// How much may wait before an arriving packet without its being marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Threshold {
    /// So many bytes, the packet that is being sent included.
    Bytes(u64),
    /// So many packets, the one that is being sent included.
    Packets(usize),
    /// So long, until the packet's own first bit is sent.
    Wait(Duration),
}

/// What [`StepMarking`] does above its threshold to packets that may not be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCapable {
    Passed,
    Dropped,
}

impl StepMarking {
    /// Marks above `threshold`, and lets pass what cannot be marked.
    #[must_use]
    pub const fn above(threshold: Threshold) -> Self {
        Self { above: threshold, others: NotCapable::Passed }
    }

    /// Drops above the threshold what is not ECN-capable.
    #[must_use]
    pub const fn drop_others(mut self) -> Self {
        self.others = NotCapable::Dropped;
        self
    }
}

/// What the queue does beside dropping the packet that finds it full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discipline {
    TailDrop,
    CoDel(CoDel),
    StepMarking(StepMarking),
}

/// Holds the pure acknowledgments of TCP back and sends them on in one bunch, as the way back
/// through a busy or an aggregating link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckCompression {
    pub(crate) hold: Duration,
    pub(crate) count: Option<u32>,
}

impl AckCompression {
    /// A bunch goes on when its first acknowledgment has been held for `hold`.
    #[must_use]
    pub const fn new(hold: Duration) -> Self {
        Self { hold, count: None }
    }

    /// A bunch of `count` goes on at once.
    #[must_use]
    pub const fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }
}
