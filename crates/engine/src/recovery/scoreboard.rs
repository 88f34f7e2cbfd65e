//! What was sent and is not acknowledged: ranges of the stream, with when and how often each was sent
//! and what the peer told of it (RFC 6675 section 3, RFC 8985 section 5.2).
//!
//! A range is what left in one segment, however large; a report of a part of it, or a smaller segment
//! size, splits it between segments, and reported neighbours are joined. So there are never more
//! ranges than segments, and a report costs what is new in it. Owns the sums over the ranges, from
//! which the pipe is one subtraction, and the count of what is delivered.
//!
//! Ranges are keyed by their 64-bit offset in the stream of sequence numbers: nothing wraps here.

mod counts;
mod missing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use towpath_wire::SeqNumber;

use super::slab::{Range, Slab, Slot};
use crate::congestion::rate_sample::DeliveryRate;
use crate::instant::Instant;

/// Nothing new leaves while there are so many ranges: a program that writes single bytes, and a peer
/// that acknowledges none, cost no memory without end.
const MAX_RANGES: usize = 32_768;

/// Sequence numbers, and the segments that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
}

impl Sum {
    fn add(&mut self, range: &Range) {
        self.bytes += range.len();
        self.segments += u64::from(range.segments);
    }

    fn sub(&mut self, range: &Range) {
        self.bytes -= range.len();
        self.segments -= u64::from(range.segments);
    }
}

/// Why a range leaves again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is lost.
    Lost,
    /// To make the peer answer (RFC 8985 section 7.3): it is not known to be lost.
    Probe,
}

/// The ranges of one connection.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    /// The first sequence number that is not acknowledged, and its offset.
    una: SeqNumber,
    una_at: u64,
    slab: Slab,
    by_start: BTreeMap<u64, Slot>,
    /// Where lost ranges begin that are to be sent again.
    missing: BTreeSet<u64>,
    missing_bytes: u64,
    /// Where reported ranges begin.
    reported: BTreeSet<u64>,
    outstanding: Sum,
    sacked: Sum,
    lost: Sum,
    resent: Sum,
    /// Segments of which the peer told that it has them, since the beginning.
    delivered: u64,
    rate: DeliveryRate,
    /// RFC 6675: everything below was judged.
    judged_to: u64,
}

impl Scoreboard {
    pub(crate) fn new(una: SeqNumber) -> Scoreboard {
        Scoreboard {
            una,
            // As far from zero as the greatest window, so that what lies below is a number too.
            una_at: 1 << 32,
            slab: Slab::default(),
            by_start: BTreeMap::new(),
            missing: BTreeSet::new(),
            missing_bytes: 0,
            reported: BTreeSet::new(),
            outstanding: Sum::default(),
            sacked: Sum::default(),
            lost: Sum::default(),
            resent: Sum::default(),
            delivered: 0,
            rate: DeliveryRate::default(),
            judged_to: 0,
        }
    }

    /// The offset of `seq`, which lies within 2 GiB of what is in flight.
    pub(crate) fn offset(&self, seq: SeqNumber) -> u64 {
        self.una_at.saturating_add_signed(i64::from(seq.signed_distance_from(self.una)))
    }

    fn seq(&self, offset: u64) -> SeqNumber {
        self.una + offset.saturating_sub(self.una_at) as u32
    }

    /// The offset of the first number that is not acknowledged.
    pub(crate) fn una(&self) -> u64 {
        self.una_at
    }

    /// The offset behind the last number sent.
    pub(crate) fn nxt(&self) -> u64 {
        self.una_at + self.outstanding.bytes
    }

    /// What is not acknowledged.
    pub(crate) fn outstanding(&self) -> Sum {
        self.outstanding
    }

    /// Of that, reported by SACK.
    pub(crate) fn sacked(&self) -> Sum {
        self.sacked
    }

    /// Of that, taken for lost, whether sent again or not.
    pub(crate) fn lost(&self) -> Sum {
        self.lost
    }
    /// Of that, sent again.
    pub(crate) fn resent(&self) -> Sum {
        self.resent
    }

    /// Bytes that are lost and to be sent again.
    pub(crate) fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Segments arrived that no range stands for: duplicates, by report or by guess.
    pub(crate) fn on_delivered(&mut self, sum: Sum) {
        self.delivered += sum.segments;
        self.rate.on_guessed(sum.bytes);
    }

    /// What a guess had counted before was acknowledged now.
    pub(crate) fn take_back_delivered(&mut self, sum: Sum) {
        self.delivered = self.delivered.saturating_sub(sum.segments);
        self.rate.take_back(sum.bytes);
    }

    pub(crate) fn rate(&self) -> &DeliveryRate {
        &self.rate
    }

    pub(crate) fn rate_mut(&mut self) -> &mut DeliveryRate {
        &mut self.rate
    }

    /// RFC 6675's pipe: what is believed to be in the network.
    // Implements: RFC6675 s4b
    pub(crate) fn pipe(&self) -> u64 {
        (self.outstanding.bytes + self.resent.bytes)
            .saturating_sub(self.sacked.bytes + self.lost.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// There are as many ranges as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.by_start.len() >= MAX_RANGES
    }

    /// The range with the lowest numbers.
    pub(crate) fn first(&self) -> Option<&Range> {
        self.by_start.first_key_value().map(|(_, slot)| &self.slab[*slot])
    }

    /// The last segment that was sent, as sequence number and length.
    pub(crate) fn last_segment(&self) -> Option<(SeqNumber, u32)> {
        let range = self.slab[*self.by_start.last_key_value()?.1];
        let start = if range.segments > 1 {
            range.start + (range.len() - 1) / u64::from(range.size.max(1)) * u64::from(range.size)
        } else {
            range.start
        };
        Some((self.seq(start), (range.end - start) as u32))
    }

    /// Behind the highest number that was reported; the first number not acknowledged if none was.
    pub(crate) fn highest_sacked(&self) -> u64 {
        let Some(start) = self.reported.last() else { return self.una_at };
        self.by_start.get(start).map_or(self.una_at, |slot| self.slab[*slot].end)
    }

    /// New sequence numbers left, in segments of `size` bytes.
    pub(crate) fn push(&mut self, now: Instant, end: SeqNumber, size: u32) {
        let start = self.nxt();
        let end = self.offset(end);
        debug_assert!(start < end);
        let was_idle = self.by_start.is_empty();
        let segments = segments(end - start, size);
        self.outstanding.bytes += end - start;
        self.outstanding.segments += u64::from(segments);
        let slot = self.slab.insert(Range {
            start,
            end,
            sent_at: now,
            departure: self.rate.on_sent(now, was_idle, self.pipe()),
            size,
            segments,
            sacked: false,
            lost: false,
            resent: false,
            ever_resent: false,
        });
        self.slab.list_newest(slot);
        self.by_start.insert(start, slot);
    }

    /// `[start, end)` left again; it begins where a range begins. Of several ranges it makes one.
    pub(crate) fn on_resent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, why: Again) {
        let (start, end) = (self.offset(start), self.offset(end));
        let Some(slot) = self.cut_at(start) else { return };
        while self.slab[slot].end < end
            && let Some(next) = self.by_start.get(&self.slab[slot].end).copied()
            && self.slab[next].end <= end
            && !self.slab[next].sacked
        {
            self.join(slot, next);
        }
        if end < self.slab[slot].end {
            self.split(slot, end);
        }
        self.change(slot, |range| {
            range.sent_at = now;
            range.ever_resent = true;
            range.resent |= why == Again::Lost;
        });
        let departure = self.rate.on_sent(now, false, self.pipe());
        self.slab[slot].departure = departure;
        self.slab.list_newest(slot);
    }

    /// Everything below `ack` is acknowledged; each range is told, in order.
    pub(crate) fn acknowledge(&mut self, ack: SeqNumber, mut tell: impl FnMut(&Range)) {
        let una = self.offset(ack);
        while let Some((start, slot)) = self.by_start.first_key_value().map(|(a, b)| (*a, *b))
            && start < una
        {
            if self.slab[slot].end > una {
                self.split(slot, una);
            }
            let range = self.forget(slot);
            if !range.sacked {
                self.deliver(&range);
            }
            tell(&range);
        }
        (self.una, self.una_at) = (ack, una);
        if self.by_start.is_empty() {
            // At rest a connection keeps nothing.
            self.slab.clear();
            self.judged_to = una;
        }
    }

    /// The peer reports that it holds `[left, right)`: each range of which this is news is told, in
    /// order, as it was before. What covers a segment in part says nothing of it.
    // Implements: RFC2018 s5c, RFC6675 s5.2, H-02, H-16
    pub(crate) fn on_sack(&mut self, left: u64, right: u64, mut tell: impl FnMut(&Range)) {
        let mut at = left;
        while let Some(slot) = self.at_or_behind(at) {
            let range = self.slab[slot];
            if range.start >= right {
                break;
            }
            at = range.end;
            if range.sacked {
                continue;
            }
            let size = u64::from(range.size.max(1));
            if range.start < left {
                let cut = range.start + (left - range.start).next_multiple_of(size);
                if cut < range.end && cut < right {
                    self.split(slot, cut);
                    at = cut;
                }
                continue;
            }
            if range.end > right {
                let cut = range.start + (right - range.start) / size * size;
                if cut == range.start {
                    break;
                }
                self.split(slot, cut);
            }
            let range = self.slab[slot];
            tell(&range);
            self.deliver(&range);
            self.slab.unlist(slot);
            self.change(slot, |range| {
                range.sacked = true;
                // Sent again though it was not lost, that one is on its way still.
                range.resent &= !range.lost;
                range.lost = false;
            });
            self.join_reported(slot);
        }
    }

    /// The peer reports that `[left, right)` arrived twice: what of it was sent again is no longer in
    /// flight. Returns whether any was sent again.
    pub(crate) fn on_duplicate(&mut self, left: u64, right: u64) -> bool {
        let (mut at, mut ever_resent) = (left, false);
        while let Some(slot) = self.at_or_behind(at)
            && self.slab[slot].start < right
        {
            at = self.slab[slot].end;
            ever_resent |= self.slab[slot].ever_resent;
            if self.slab[slot].sacked {
                self.change(slot, |range| range.resent = false);
                self.join_reported(slot);
            }
        }
        ever_resent
    }

    /// The ranges in their order of sending.
    pub(crate) fn order(&mut self) -> &mut Slab {
        &mut self.slab
    }

    pub(crate) fn range(&self, slot: Slot) -> &Range {
        &self.slab[slot]
    }

    /// Takes a range for lost, again if it was sent again. Returns whether that is news.
    pub(crate) fn mark_lost(&mut self, slot: Slot) -> bool {
        let range = self.slab[slot];
        if range.sacked || range.is_missing() {
            return false;
        }
        self.slab.unlist(slot);
        self.change(slot, |range| {
            range.lost = true;
            range.resent = false;
        });
        self.rate.on_lost(range.start, range.end, &range.departure);
        true
    }

    /// Takes the first range for lost if it was not yet; of more than one segment only the first.
    pub(crate) fn mark_first_lost(&mut self) -> bool {
        let Some(slot) = self.by_start.first_key_value().map(|(_, slot)| *slot) else {
            return false;
        };
        let range = self.slab[slot];
        if range.sacked || range.lost {
            return false;
        }
        let first = range.start + u64::from(range.size.max(1));
        if range.segments > 1 && first < range.end {
            self.split(slot, first);
        }
        self.mark_lost(slot)
    }

    /// Takes for lost every range of which `is_lost` says so; returns how many segments that were
    /// sent again are lost again.
    pub(crate) fn mark_lost_where(&mut self, is_lost: impl Fn(&Range) -> bool) -> u64 {
        let slots: Vec<Slot> = self.by_start.values().copied().collect();
        let mut again = 0;
        for slot in slots {
            let range = self.slab[slot];
            if is_lost(&range) && self.mark_lost(slot) && range.resent {
                again += u64::from(range.segments);
            }
        }
        again
    }

    /// Nothing is lost: what was taken for it only came late.
    pub(crate) fn unmark_lost(&mut self) {
        let lost: Vec<Slot> =
            self.by_start.values().copied().filter(|slot| self.slab[*slot].lost).collect();
        let mut returning = Vec::new();
        for slot in lost {
            self.change(slot, |range| range.lost = false);
            if !self.slab.is_listed(slot) {
                returning.push(slot);
            }
        }
        // Back to where they were in the order of sending.
        returning.sort_by_key(|slot| (self.slab[*slot].sent_at, self.slab[*slot].end));
        let mut older = None;
        for slot in returning {
            let range = self.slab[slot];
            while let Some(next) = self.slab.newer(older)
                && self.slab[next].left_before(range.sent_at, range.end)
            {
                older = Some(next);
            }
            self.slab.list_behind(slot, older);
            older = Some(slot);
        }
        self.slab.pass_again();
        self.judged_to = self.una_at;
    }

    /// The peer dropped what it had reported: forgets all reports.
    // Implements: RFC2018 s5b, H-65
    pub(crate) fn forget_sacks(&mut self) {
        for start in core::mem::take(&mut self.reported) {
            if let Some(slot) = self.by_start.get(&start).copied() {
                self.change(slot, |range| range.sacked = false);
            }
        }
        self.judged_to = self.una_at;
    }

    pub(crate) fn clear(&mut self) {
        let nxt = self.nxt();
        *self = Scoreboard {
            una_at: nxt,
            delivered: self.delivered,
            rate: self.rate.clone(),
            ..Scoreboard::new(self.seq(nxt))
        };
    }

    fn deliver(&mut self, range: &Range) {
        self.delivered += u64::from(range.segments);
        self.rate.on_delivered(range.len(), &range.departure, range.sent_at, range.ever_resent);
    }

    /// The range that holds `at`, or else the first one behind.
    fn at_or_behind(&self, at: u64) -> Option<Slot> {
        if let Some((_, slot)) = self.by_start.range(..=at).next_back()
            && self.slab[*slot].end > at
        {
            return Some(*slot);
        }
        self.by_start.range(at..).next().map(|(_, slot)| *slot)
    }

    /// The range that begins at `at`, which is split off if it does not.
    fn cut_at(&mut self, at: u64) -> Option<Slot> {
        let slot = self.at_or_behind(at)?;
        match self.slab[slot].start {
            start if start == at => Some(slot),
            start if start < at => Some(self.split(slot, at)),
            _ => None,
        }
    }

    /// Changes a range, and the sums and sets with it.
    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Range)) {
        let mut range = self.slab[slot];
        self.uncount(&range);
        change(&mut range);
        self.count(&range);
        self.slab[slot] = range;
    }

    fn count(&mut self, range: &Range) {
        self.outstanding.add(range);
        if range.sacked {
            self.sacked.add(range);
            self.reported.insert(range.start);
        }
        if range.lost {
            self.lost.add(range);
        }
        if range.resent {
            self.resent.add(range);
        }
        if range.is_missing() {
            self.missing.insert(range.start);
            self.missing_bytes += range.len();
        }
    }

    fn uncount(&mut self, range: &Range) {
        self.outstanding.sub(range);
        if range.sacked {
            self.sacked.sub(range);
            self.reported.remove(&range.start);
        }
        if range.lost {
            self.lost.sub(range);
        }
        if range.resent {
            self.resent.sub(range);
        }
        if range.is_missing() {
            self.missing.remove(&range.start);
            self.missing_bytes -= range.len();
        }
    }

    fn forget(&mut self, slot: Slot) -> Range {
        let range = self.slab.remove(slot);
        self.uncount(&range);
        self.by_start.remove(&range.start);
        range
    }

    /// Splits a range at `at`; returns what is right of it.
    fn split(&mut self, slot: Slot, at: u64) -> Slot {
        let range = self.slab[slot];
        let mut right = Range { start: at, ..range };
        right.segments = segments(right.len(), range.size);
        self.change(slot, |range| {
            range.end = at;
            range.segments = segments(range.len(), range.size);
        });
        self.count(&right);
        let right_slot = self.slab.insert(right);
        if self.slab.is_listed(slot) {
            self.slab.list_behind(right_slot, Some(slot));
        }
        self.by_start.insert(at, right_slot);
        right_slot
    }

    /// Makes one range of those reported that touch `slot`, so that a report costs what is new in it.
    // Implements: H-02
    fn join_reported(&mut self, slot: Slot) {
        let mut slot = slot;
        let range = self.slab[slot];
        if let Some((_, before)) = self.by_start.range(..range.start).next_back()
            && self.may_join(*before, slot)
        {
            let before = *before;
            self.join(before, slot);
            slot = before;
        }
        if let Some(next) = self.by_start.get(&self.slab[slot].end).copied()
            && self.may_join(slot, next)
        {
            self.join(slot, next);
        }
    }

    fn may_join(&self, left: Slot, right: Slot) -> bool {
        let settled = |range: &Range| range.sacked && !range.resent;
        self.slab[left].end == self.slab[right].start
            && settled(&self.slab[left])
            && settled(&self.slab[right])
    }

    fn join(&mut self, left: Slot, right: Slot) {
        let gone = self.forget(right);
        self.change(left, |range| {
            range.end = gone.end;
            range.sent_at = range.sent_at.max(gone.sent_at);
            range.ever_resent |= gone.ever_resent;
            range.size = range.size.max(gone.size);
            range.segments = if range.sacked {
                range.segments + gone.segments
            } else {
                segments(range.len(), range.size)
            };
        });
    }
}

/// How many segments `len` numbers are. A FIN takes a number and no segment of its own.
fn segments(len: u64, size: u32) -> u32 {
    let size = u64::from(size.max(1));
    let full = if len % size == 1 && len > 1 { len / size } else { len.div_ceil(size) };
    u32::try_from(full.max(1)).unwrap_or(u32::MAX)
}
