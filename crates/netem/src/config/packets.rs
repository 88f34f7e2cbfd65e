//! Which packets a misfortune strikes.

use std::fmt;
use std::ops::RangeInclusive;

/// Numbers of packets: the first that is offered to a link is 1. A copy that the link makes bears
/// its original's number.
///
/// ```
/// use towpath_netem::PacketSet;
///
/// let set: PacketSet = [7, 1, 2, 3].into_iter().collect();
/// assert_eq!(set.to_string(), "[1-3,7]");
/// assert!(set.contains(2) && !set.contains(4));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketSet {
    /// Apart from one another and in order.
    ranges: Vec<(u64, u64)>,
}

impl PacketSet {
    /// No packet.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Whether packet `number` is one of these.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let behind = self.ranges.partition_point(|&(first, _)| first <= number);
        behind.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|r| number <= r.1)
    }

    /// Whether this is no packet at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The smallest number.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.ranges.first().map(|range| range.0)
    }

    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    pub(crate) fn from_ranges(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }
}

/// As settings have it: `[1-3,7]`.
impl fmt::Display for PacketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (place, (first, last)) in self.ranges.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
        }
        f.write_str("]")
    }
}

impl FromIterator<u64> for PacketSet {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        Self::from_ranges(numbers.into_iter().map(|number| (number, number)).collect())
    }
}

impl<const N: usize> From<[u64; N]> for PacketSet {
    fn from(numbers: [u64; N]) -> Self {
        numbers.into_iter().collect()
    }
}

impl From<RangeInclusive<u64>> for PacketSet {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self::from_ranges(vec![(*range.start(), *range.end())])
    }
}

/// Which packets a misfortune strikes: each with a probability, those in a set, every nth.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picks {
    pub(crate) probability: f64,
    pub(crate) packets: PacketSet,
    pub(crate) every: Option<u64>,
}

impl Picks {
    pub(crate) const fn new() -> Self {
        Self { probability: 0.0, packets: PacketSet::new(), every: None }
    }

    pub(crate) fn may_strike(&self) -> bool {
        self.probability > 0.0 || !self.packets.is_empty() || self.every.is_some()
    }
}
