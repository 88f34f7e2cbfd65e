//! How far the network reorders: the degree that duplicates are judged by (Linux's `tcpi_reordering`),
//! and whether any was seen at all, which decides if RACK waits.

/// The degree of one connection, in segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reordering {
    degree: u32,
    initial: u32,
    max: u32,
    seen: u64,
}

impl Reordering {
    /// `initial` is RFC 5681's duplicate threshold.
    pub(crate) fn new(initial: u32, max: u32) -> Reordering {
        Reordering { degree: initial, initial, max, seen: 0 }
    }

    /// How many segments beyond a hole make it a loss.
    pub(crate) fn degree(&self) -> u32 {
        self.degree
    }

    /// Whether the network was ever seen to reorder.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen > 0
    }

    /// How often it was.
    pub(crate) fn times_seen(&self) -> u64 {
        self.seen
    }

    /// Whether more was seen than is allowed for at first.
    pub(crate) fn is_high(&self) -> bool {
        self.degree > self.initial
    }

    /// Something sent once arrived after something that lies `distance` bytes higher.
    // Implements: RFC8985 s6.2-3
    pub(crate) fn on_distance(&mut self, distance: u64, mss: u32) {
        let mss = u64::from(mss.max(1));
        if distance > u64::from(self.degree) * mss {
            self.degree = u32::try_from(distance.div_ceil(mss)).unwrap_or(u32::MAX).min(self.max);
        }
        self.seen += 1;
    }

    /// More duplicates came than segments can be missing: it is at least so much.
    pub(crate) fn on_surplus(&mut self, segments: u64) {
        self.degree = u32::try_from(segments).unwrap_or(u32::MAX).min(self.max);
        self.seen += 1;
    }

    /// A time-out although `sacked` segments were reported: the degree was too high.
    pub(crate) fn on_timeout(&mut self, sacked: u64) {
        if sacked >= u64::from(self.initial) {
            self.degree = self.degree.min(self.initial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_degree_is_the_greatest_distance_up_to_the_bound_and_a_time_out_ends_it() {
        let mut reordering = Reordering::new(3, 300);
        reordering.on_distance(3000, 1000);
        assert_eq!((reordering.degree(), reordering.times_seen()), (3, 1));
        assert!(!reordering.is_high());
        reordering.on_distance(4001, 1000);
        assert_eq!(reordering.degree(), 5);
        reordering.on_distance(2000, 1000);
        assert_eq!(reordering.degree(), 5);
        reordering.on_distance(1_000_000, 1000);
        assert_eq!(reordering.degree(), 300);
        reordering.on_timeout(2);
        assert_eq!(reordering.degree(), 300);
        reordering.on_timeout(3);
        assert_eq!(reordering.degree(), 3);
    }
}
