//! What was sent and is not acknowledged: ranges of sequence numbers, with when and how often each
//! was sent and what the peer told of it.
//!
//! A range is what left in one segment, however large; a SACK or a smaller segment size splits it.
//! Owns the sums over the ranges, from which the pipe (RFC 6675) is one subtraction.

use std::collections::VecDeque;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::SackBlock;

use crate::congestion::rate_sample::{DeliveryRate, Departure};
use crate::instant::Instant;

/// Beyond so many ranges a SACK splits no more: what it covers in part counts as not covered. A peer
/// that reports single bytes costs itself throughput, not us memory (H-02).
const MAX_RANGES: usize = 16_384;

/// One range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) start: SeqNumber,
    pub(crate) end: SeqNumber,
    pub(crate) sent_at: Instant,
    pub(crate) transmissions: u32,
    /// The count of what is delivered when it was sent.
    departure: Departure,
    /// Reported by SACK.
    pub(crate) sacked: bool,
    /// Taken for lost.
    pub(crate) lost: bool,
    /// Lost, and sent again since.
    pub(crate) resent: bool,
}

impl Sent {
    pub(crate) fn len(&self) -> u32 {
        self.end.distance_from(self.start)
    }

    fn tell_delivered(&self, rate: &mut DeliveryRate) {
        let resent = self.transmissions > 1;
        rate.on_delivered(u64::from(self.len()), &self.departure, self.sent_at, resent);
    }

    fn tell_lost(&self, rate: &mut DeliveryRate) {
        rate.on_lost(self.start, self.end, &self.departure);
    }
}

/// What a cumulative acknowledgment took off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// When the earliest of the ranges that were sent only once was sent.
    pub(crate) first_sent_at: Option<Instant>,
    /// One of them was sent more than once: its time says nothing (Karn).
    pub(crate) retransmitted: bool,
}

/// The ranges of one connection, in order.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    ranges: VecDeque<Sent>,
    outstanding: u64,
    sacked: u64,
    /// Lost and not sent again.
    missing: u64,
    /// Nothing below is missing: where to look for the next; from the left if `None`.
    search_from: Option<SeqNumber>,
    /// Everything below is lost or reported: where marking goes on.
    marked_to: Option<SeqNumber>,
    /// Ranges of which the peer told that it has them, since the beginning.
    delivered: u64,
    rate: DeliveryRate,
}

/// How many segments are in flight, and in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentCounts {
    pub(crate) outstanding: u64,
    pub(crate) sacked: u64,
    pub(crate) lost: u64,
    pub(crate) resent: u64,
}

impl InFlight {
    /// Sequence numbers that are not acknowledged.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Sequence numbers reported by SACK.
    pub(crate) fn sacked(&self) -> u64 {
        self.sacked
    }

    /// Sequence numbers that are lost and were not sent again.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// Segments that the peer has, as it told, since the beginning.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How fast the path delivers.
    pub(crate) fn rate(&self) -> &DeliveryRate {
        &self.rate
    }

    pub(crate) fn rate_mut(&mut self) -> &mut DeliveryRate {
        &mut self.rate
    }

    /// Counts segments of `mss` bytes. Where a report joined ranges, it counts as few as possible.
    pub(crate) fn count_segments(&self, mss: u32) -> SegmentCounts {
        let mut counts = SegmentCounts::default();
        for range in &self.ranges {
            // A FIN takes a number and no segment of its own.
            let segments = u64::from(range.len().saturating_sub(1).div_ceil(mss.max(1)).max(1));
            counts.outstanding += segments;
            counts.sacked += if range.sacked { segments } else { 0 };
            counts.lost += if range.lost { segments } else { 0 };
            counts.resent += if range.resent { segments } else { 0 };
        }
        counts
    }

    /// RFC 6675's pipe: what is believed to be in the network.
    // Implements: RFC6675 s4b
    pub(crate) fn pipe(&self) -> u64 {
        self.outstanding - self.sacked - self.missing
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<&Sent> {
        self.ranges.front()
    }

    /// New sequence numbers left.
    pub(crate) fn push(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        debug_assert!(self.ranges.back().is_none_or(|last| last.end == start));
        let was_idle = self.ranges.is_empty();
        self.outstanding += u64::from(end.distance_from(start));
        let departure = self.rate.on_sent(now, was_idle, self.pipe());
        self.ranges.push_back(Sent {
            start,
            end,
            sent_at: now,
            transmissions: 1,
            departure,
            sacked: false,
            lost: false,
            resent: false,
        });
    }

    /// `[start, end)` left again; it begins where a range begins.
    pub(crate) fn on_resent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        let Some(index) = self.position(start) else { return };
        if self.ranges[index].end.after(end) {
            self.split(index, end);
        }
        let range = &mut self.ranges[index];
        range.sent_at = now;
        range.transmissions += 1;
        if range.lost && !range.resent {
            range.resent = true;
            self.missing -= u64::from(range.len());
        }
        let departure = self.rate.on_sent(now, false, self.pipe());
        self.ranges[index].departure = departure;
    }

    /// Everything below `una` is acknowledged.
    pub(crate) fn acknowledge(&mut self, una: SeqNumber) -> Removed {
        let mut removed = Removed::default();
        while let Some(front) = self.ranges.front() {
            if !front.start.before(una) {
                break;
            }
            if front.end.after(una) {
                self.split(0, una);
            }
            let Some(range) = self.ranges.pop_front() else { break };
            let len = u64::from(range.len());
            self.outstanding -= len;
            self.sacked -= if range.sacked { len } else { 0 };
            self.delivered += u64::from(!range.sacked);
            if !range.sacked {
                range.tell_delivered(&mut self.rate);
            }
            self.missing -= if range.lost && !range.resent { len } else { 0 };
            if range.transmissions > 1 {
                removed.retransmitted = true;
            } else if !range.sacked && removed.first_sent_at.is_none() {
                removed.first_sent_at = Some(range.sent_at);
            }
        }
        if self.ranges.is_empty() {
            self.ranges = VecDeque::new();
        }
        // A number that stays behind would seem to lie ahead after 2 GiB.
        self.marked_to = self.marked_to.filter(|marked| marked.after(una));
        self.search_from = self.search_from.filter(|from| from.after(una));
        removed
    }

    /// The peer reports that it holds `block`: the number of bytes that this is news of.
    // Implements: RFC2018 s5c, RFC6675 s5.2, H-16
    pub(crate) fn on_sack(&mut self, block: SackBlock) -> u64 {
        let (Some(first), Some(last)) = (self.ranges.front(), self.ranges.back()) else {
            return 0;
        };
        // Only what lies wholly within (SND.UNA, SND.NXT] is believed.
        if !block.left.before(block.right)
            || block.left.before(first.start)
            || block.right.after(last.end)
        {
            return 0;
        }
        let mut news = 0;
        let mut index = self.ranges.partition_point(|range| range.end.at_or_before(block.left));
        while let Some(range) = self.ranges.get(index).copied() {
            if !range.start.before(block.right) {
                break;
            }
            if range.sacked {
                index += 1;
                continue;
            }
            let in_part = range.start.before(block.left) || range.end.after(block.right);
            if in_part && self.ranges.len() >= MAX_RANGES {
                index += 1;
                continue;
            }
            if range.start.before(block.left) {
                self.split(index, block.left);
                index += 1;
                continue;
            }
            if range.end.after(block.right) {
                self.split(index, block.right);
            }
            let range = &mut self.ranges[index];
            let len = u64::from(range.len());
            range.tell_delivered(&mut self.rate);
            self.missing -= if range.lost && !range.resent { len } else { 0 };
            range.sacked = true;
            range.lost = false;
            range.resent = false;
            self.sacked += len;
            self.delivered += 1;
            news += len;
            index = self.join_sacked(index);
        }
        news
    }

    /// Makes one range of those reported that touch the one at `index`, so that a report costs what
    /// is new in it. Returns the index behind.
    // Implements: H-02
    fn join_sacked(&mut self, index: usize) -> usize {
        let mut index = index;
        if self.ranges.get(index + 1).is_some_and(|next| next.sacked) {
            self.join(index);
        }
        if index > 0 && self.ranges[index - 1].sacked {
            index -= 1;
            self.join(index);
        }
        index + 1
    }

    fn join(&mut self, index: usize) {
        if let Some(next) = self.ranges.remove(index + 1) {
            let range = &mut self.ranges[index];
            range.end = next.end;
            range.sent_at = range.sent_at.max(next.sent_at);
            range.transmissions = range.transmissions.max(next.transmissions);
        }
    }

    /// Takes for lost what RFC 6675 calls so: more than `threshold` bytes above it are reported, or
    /// `runs` runs of bytes that do not touch.
    // Implements: RFC6675 s4a
    pub(crate) fn mark_lost_below_sacks(&mut self, threshold: u64, runs: usize) -> u64 {
        let Some(boundary) = self.boundary(threshold, runs) else { return 0 };
        let mut index = self.marked_to.map_or(0, |marked| {
            self.ranges.partition_point(|range| range.end.at_or_before(marked))
        });
        let mut newly = 0;
        while let Some(range) = self.ranges.get_mut(index)
            && range.start.before(boundary)
        {
            if !range.sacked && !range.lost {
                range.lost = true;
                range.tell_lost(&mut self.rate);
                newly += u64::from(range.len());
                let start = range.start;
                self.look_from(start);
            }
            index += 1;
        }
        self.marked_to = Some(self.marked_to.map_or(boundary, |marked| marked.max(boundary)));
        self.missing += newly;
        newly
    }

    /// Where what is reported above is enough: from the top down, no further than needed.
    fn boundary(&self, threshold: u64, runs: usize) -> Option<SeqNumber> {
        let (mut above, mut runs_above) = (0, 0);
        for range in self.ranges.iter().rev() {
            if above == self.sacked {
                return None;
            }
            if range.sacked {
                // Ranges that touch are joined, so each is a run of its own.
                above += u64::from(range.len());
                runs_above += 1;
                if above > threshold || runs_above >= runs {
                    return Some(range.start);
                }
            }
        }
        None
    }

    /// Something from `start` on is missing.
    fn look_from(&mut self, start: SeqNumber) {
        // `None` is from the left already.
        self.search_from = self.search_from.map(|from| from.min(start));
    }

    /// Takes the oldest range for lost, again if it was sent again already.
    pub(crate) fn mark_oldest_lost(&mut self) -> u64 {
        let Some(range) = self.ranges.front_mut() else { return 0 };
        if range.sacked || range.lost && !range.resent {
            return 0;
        }
        range.lost = true;
        range.resent = false;
        range.tell_lost(&mut self.rate);
        let (start, len) = (range.start, u64::from(range.len()));
        self.missing += len;
        self.look_from(start);
        len
    }

    /// Takes for lost every range above `size` that was not reported, again if it was sent again.
    pub(crate) fn mark_larger_lost(&mut self, size: u32) -> u64 {
        let mut newly = 0;
        let mut first = None;
        for range in &mut self.ranges {
            if range.len() > size && !range.sacked && (!range.lost || range.resent) {
                range.lost = true;
                range.resent = false;
                newly += u64::from(range.len());
                first.get_or_insert(range.start);
            }
        }
        self.missing += newly;
        if let Some(start) = first {
            self.look_from(start);
        }
        newly
    }

    /// The retransmission timer fired: everything that was not reported is taken for lost.
    pub(crate) fn mark_all_lost(&mut self) {
        self.missing = 0;
        self.search_from = self.ranges.front().map(|range| range.start);
        for range in self.ranges.iter_mut().filter(|range| !range.sacked) {
            let is_news = !range.lost || range.resent;
            range.lost = true;
            range.resent = false;
            self.missing += u64::from(range.len());
            if is_news {
                range.tell_lost(&mut self.rate);
            }
        }
    }

    /// The peer dropped what it had reported: forgets all reports.
    // Implements: RFC2018 s5b, H-65
    pub(crate) fn forget_sacks(&mut self) {
        for range in &mut self.ranges {
            range.sacked = false;
        }
        self.sacked = 0;
        self.marked_to = None;
    }

    /// The first range that is lost and was not sent again.
    pub(crate) fn next_missing(&mut self) -> Option<Sent> {
        if self.missing == 0 {
            return None;
        }
        let from = self
            .search_from
            .map_or(0, |from| self.ranges.partition_point(|range| range.end.at_or_before(from)));
        let found = self.ranges.range(from..).find(|range| range.lost && !range.resent).copied();
        if let Some(range) = &found {
            self.search_from = Some(range.start);
        }
        found
    }

    pub(crate) fn clear(&mut self) {
        *self =
            InFlight { delivered: self.delivered, rate: self.rate.clone(), ..InFlight::default() };
    }

    fn position(&self, start: SeqNumber) -> Option<usize> {
        let index = self.ranges.partition_point(|range| range.end.at_or_before(start));
        self.ranges.get(index).filter(|range| range.start == start).map(|_| index)
    }

    fn split(&mut self, index: usize, at: SeqNumber) {
        let mut right = self.ranges[index];
        self.ranges[index].end = at;
        right.start = at;
        self.ranges.insert(index + 1, right);
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        let sum = |keep: &dyn Fn(&Sent) -> bool| -> u64 {
            self.ranges.iter().filter(|range| keep(range)).map(|range| u64::from(range.len())).sum()
        };
        assert_eq!(self.outstanding, sum(&|_| true));
        assert_eq!(self.sacked, sum(&|range| range.sacked));
        assert_eq!(self.missing, sum(&|range| range.lost && !range.resent));
        let missing = self.ranges.iter().find(|range| range.lost && !range.resent);
        if let (Some(missing), Some(from)) = (missing, self.search_from) {
            assert!(from.at_or_before(missing.start), "the search would miss {missing:?}");
        }
        for pair in self.ranges.iter().zip(self.ranges.iter().skip(1)) {
            assert!(!(pair.0.sacked && pair.1.sacked), "reported neighbours are one range");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNA: SeqNumber = SeqNumber(u32::MAX - 2500);

    fn ten() -> InFlight {
        let mut flight = InFlight::default();
        for index in 0..10 {
            flight.push(Instant::ZERO, UNA + index * 1000, UNA + (index + 1) * 1000);
        }
        flight
    }

    fn block(left: u32, right: u32) -> SackBlock {
        SackBlock { left: UNA + left, right: UNA + right }
    }

    // Shows: RFC6675 s4a, RFC6675 s4b, H-33
    #[test]
    fn a_hole_is_lost_when_more_than_two_segments_above_it_are_reported() {
        let mut flight = ten();
        assert_eq!(flight.on_sack(block(1000, 3000)), 2000);
        assert_eq!(flight.mark_lost_below_sacks(2000, 3), 0);
        assert_eq!(flight.on_sack(block(1000, 3001)), 1);
        assert_eq!(flight.mark_lost_below_sacks(2000, 3), 1000);
        assert_eq!(flight.pipe(), 10_000 - 2001 - 1000);
        assert_eq!(flight.next_missing().map(|range| range.start), Some(UNA));
        flight.on_resent(Instant::from_millis(5), UNA, UNA + 1000);
        assert_eq!(flight.next_missing(), None);
        assert_eq!(flight.pipe(), 10_000 - 2001);
        flight.check();
    }

    // Shows: RFC6675 s4a
    #[test]
    fn a_hole_is_lost_when_three_runs_above_it_are_reported_however_small() {
        let mut flight = ten();
        flight.on_sack(block(1000, 1001));
        flight.on_sack(block(3000, 3001));
        assert_eq!(flight.mark_lost_below_sacks(2000, 3), 0);
        flight.on_sack(block(5000, 5001));
        assert_eq!(flight.mark_lost_below_sacks(2000, 3), 1000);
        assert_eq!(flight.next_missing().map(|range| range.start), Some(UNA));
        flight.check();
    }

    // Shows: RFC6675 s5.2, RFC2018 s5c, H-16
    #[test]
    fn reports_of_what_was_not_sent_or_is_upside_down_are_ignored() {
        let mut flight = ten();
        for (left, right) in [(9000, 10_001), (3000, 2000), (3000, 3000)] {
            assert_eq!(flight.on_sack(block(left, right)), 0);
        }
        assert_eq!(flight.on_sack(SackBlock { left: UNA - 5, right: UNA + 1000 }), 0);
        flight.check();
    }

    // Shows: H-33
    #[test]
    fn gigabytes_after_a_loss_the_next_one_is_found_as_well() {
        let mut flight = InFlight::default();
        let mut at = UNA;
        let hole = |flight: &mut InFlight, at: SeqNumber| {
            flight.push(Instant::ZERO, at, at + 1000);
            flight.push(Instant::ZERO, at + 1000, at + 9000);
            flight.on_sack(SackBlock { left: at + 1000, right: at + 9000 });
            assert_eq!(flight.mark_lost_below_sacks(2000, 3), 1000);
            assert_eq!(flight.next_missing().map(|range| range.start), Some(at));
            flight.acknowledge(at + 9000);
            flight.check();
        };
        hole(&mut flight, at);
        at += 9000;
        for _ in 0..3 << 10 {
            flight.push(Instant::ZERO, at, at + (1 << 20));
            at += 1 << 20;
            flight.acknowledge(at);
        }
        hole(&mut flight, at);
    }

    // Shows: H-02
    #[test]
    fn reports_of_single_bytes_do_not_make_ranges_without_end() {
        let mut flight = InFlight::default();
        flight.push(Instant::ZERO, UNA, UNA + 100_000);
        for byte in 0..40_000 {
            flight.on_sack(block(2 * byte + 1, 2 * byte + 2));
        }
        assert!(flight.ranges.len() <= MAX_RANGES + 1, "{}", flight.ranges.len());
        flight.check();
        flight.on_sack(block(0, 100_000));
        assert_eq!((flight.ranges.len(), flight.sacked()), (1, 100_000));
        flight.check();
    }

    #[test]
    fn a_partial_acknowledgment_splits_and_karn_is_told() {
        let mut flight = ten();
        flight.mark_oldest_lost();
        flight.on_resent(Instant::from_millis(9), UNA, UNA + 400);
        flight.check();
        let removed = flight.acknowledge(UNA + 1500);
        assert!(removed.retransmitted);
        assert_eq!(flight.oldest().map(Sent::len), Some(500));
        assert_eq!(flight.outstanding(), 8500);
        flight.check();
    }

    proptest! {
        #[test]
        fn the_sums_are_the_ranges_whatever_happens(
            steps in prop::collection::vec((0u8..6, 0u32..10_000, 1u32..4000), 0..60),
        ) {
            let mut flight = ten();
            let mut una = 0;
            for (what, at, len) in steps {
                match what {
                    0 => { una = una.max(at); flight.acknowledge(UNA + una); }
                    1 => { flight.on_sack(block(at, at + len)); }
                    2 => { flight.mark_lost_below_sacks(u64::from(len), 3); }
                    3 => { flight.mark_all_lost(); }
                    4 => if let Some(range) = flight.next_missing() {
                        let end = range.start + range.len().min(len);
                        flight.on_resent(Instant::ZERO, range.start, end);
                    },
                    _ => { flight.mark_oldest_lost(); }
                }
                flight.check();
                prop_assert_eq!(flight.outstanding(), u64::from(10_000 - una));
            }
        }
    }
}
