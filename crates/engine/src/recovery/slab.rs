//! The ranges themselves, and the order in which they last left.
//!
//! A slab whose records are linked to a list: taking one out of the order, or putting one at its end,
//! costs the same however many there are. What a range means is `scoreboard`'s.

use core::ops::{Index, IndexMut};

use crate::congestion::rate_sample::Departure;
use crate::instant::Instant;

/// A place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

/// One range: what left in one segment, or what is left of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// When it last left.
    pub(crate) sent_at: Instant,
    /// The count of what is delivered when it last left.
    pub(crate) departure: Departure,
    /// The bytes of a full segment when it left.
    pub(crate) size: u32,
    /// How many segments it is.
    pub(crate) segments: u32,
    /// Reported by SACK.
    pub(crate) sacked: bool,
    /// Taken for lost.
    pub(crate) lost: bool,
    /// Sent again, and that is taken to be in flight.
    pub(crate) resent: bool,
    /// Sent more than once.
    pub(crate) ever_resent: bool,
}

impl Range {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Lost, and to be sent again.
    pub(crate) fn is_missing(&self) -> bool {
        self.lost && !self.resent
    }

    /// RFC 8985 section 6.2 step 2: of what left in the same instant, the later number left later.
    pub(crate) fn left_before(&self, sent_at: Instant, end: u64) -> bool {
        (self.sent_at, self.end) < (sent_at, end)
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    range: Range,
    is_listed: bool,
    older: Option<Slot>,
    newer: Option<Slot>,
}

/// The ranges of one connection.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    records: Vec<Record>,
    free: Vec<Slot>,
    oldest: Option<Slot>,
    newest: Option<Slot>,
    /// The newest of those that left before what RACK goes by; see `pass`.
    passed: Option<Slot>,
}

impl Index<Slot> for Slab {
    type Output = Range;

    fn index(&self, slot: Slot) -> &Range {
        &self.records[slot.0 as usize].range
    }
}

impl IndexMut<Slot> for Slab {
    fn index_mut(&mut self, slot: Slot) -> &mut Range {
        &mut self.records[slot.0 as usize].range
    }
}

impl Slab {
    /// Keeps `range`, in no order yet.
    pub(crate) fn insert(&mut self, range: Range) -> Slot {
        let record = Record { range, is_listed: false, older: None, newer: None };
        if let Some(slot) = self.free.pop() {
            self.records[slot.0 as usize] = record;
            return slot;
        }
        self.records.push(record);
        // A connection has far fewer: see `scoreboard::MAX_RANGES`.
        Slot(self.records.len() as u32 - 1)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Range {
        self.unlist(slot);
        self.free.push(slot);
        self[slot]
    }

    /// Forgets all, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        *self = Slab::default();
    }

    /// The one that left longest ago, of those in the order.
    pub(crate) fn oldest(&self) -> Option<Slot> {
        self.oldest
    }

    /// It leaves now: the newest.
    pub(crate) fn list_newest(&mut self, slot: Slot) {
        self.unlist(slot);
        self.link(slot, self.newest);
    }

    /// In the order behind `older`, or first.
    pub(crate) fn list_behind(&mut self, slot: Slot, older: Option<Slot>) {
        self.unlist(slot);
        self.link(slot, older);
    }

    pub(crate) fn is_listed(&self, slot: Slot) -> bool {
        self.records[slot.0 as usize].is_listed
    }

    /// What left next behind `slot`, or the oldest of all.
    pub(crate) fn newer(&self, slot: Option<Slot>) -> Option<Slot> {
        slot.map_or(self.oldest, |slot| self.records[slot.0 as usize].newer)
    }

    /// Out of the order.
    pub(crate) fn unlist(&mut self, slot: Slot) {
        let record = self.records[slot.0 as usize];
        if !record.is_listed {
            return;
        }
        match record.older {
            Some(older) => self.records[older.0 as usize].newer = record.newer,
            None => self.oldest = record.newer,
        }
        match record.newer {
            Some(newer) => self.records[newer.0 as usize].older = record.older,
            None => self.newest = record.older,
        }
        if self.passed == Some(slot) {
            self.passed = record.older;
        }
        let record = &mut self.records[slot.0 as usize];
        (record.is_listed, record.older, record.newer) = (false, None, None);
    }

    /// The newest of those that left before `(sent_at, end)`, which only grows: each range is passed
    /// once each time that it left.
    pub(crate) fn pass(&mut self, sent_at: Instant, end: u64) -> Option<Slot> {
        while let Some(next) = self.newer(self.passed)
            && self[next].left_before(sent_at, end)
        {
            self.passed = Some(next);
        }
        self.passed
    }

    /// The order was changed below what was passed.
    pub(crate) fn pass_again(&mut self) {
        self.passed = None;
    }

    fn link(&mut self, slot: Slot, older: Option<Slot>) {
        let newer = self.newer(older);
        match older {
            Some(older) => self.records[older.0 as usize].newer = Some(slot),
            None => self.oldest = Some(slot),
        }
        match newer {
            Some(newer) => self.records[newer.0 as usize].older = Some(slot),
            None => self.newest = Some(slot),
        }
        let record = &mut self.records[slot.0 as usize];
        (record.is_listed, record.older, record.newer) = (true, older, newer);
    }
}
