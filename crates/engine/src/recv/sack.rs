//! What we report of data beyond a hole: the receiver's half of SACK (RFC 2018) and D-SACK
//! (RFC 2883).
//!
//! Owns which blocks are reported and in which order: the one that holds the latest arrival first,
//! then those reported most recently. Offsets are the assembler's.

use arrayvec::ArrayVec;

use crate::ranges::Ranges;

/// A half-open range of stream offsets.
pub(crate) type Block = (u64, u64);
/// An ACK has room for three blocks beside timestamps, four without.
const MAX_BLOCKS: usize = 4;
/// Blocks that survive the loss of an ACK: as Linux, two.
const SURE_BLOCKS: usize = 2;

/// What a receiver reports.
#[derive(Debug, Default)]
pub(crate) struct SackReporter {
    held: Ranges,
    /// Reported blocks, the most recent first.
    recent: ArrayVec<Block, MAX_BLOCKS>,
    /// A duplicate to be reported, once.
    duplicate: Option<Block>,
}

impl SackReporter {
    /// `[start, end)` arrived beyond a hole.
    // Implements: RFC2018 s4b, RFC2018 s4c
    pub(crate) fn on_out_of_order(&mut self, start: u64, end: u64) {
        let (left, right) = self.held.insert(start, end);
        self.recent.retain(|block| block.1 <= left || block.0 >= right);
        if self.recent.is_full() {
            self.recent.pop();
        }
        self.recent.insert(0, (left, right));
    }

    /// Whether a report of `[start, end)` moves or drops a block that only a few ACKs have reported:
    /// one behind the first two, which is all that the next ACK is sure to have room for.
    pub(crate) fn crowds_out(&self, start: u64, end: u64) -> bool {
        let place = self.recent.iter().position(|block| block.1 >= start && block.0 <= end);
        place.unwrap_or(self.recent.len()) >= SURE_BLOCKS
    }

    /// `[start, end)` arrived again. `next` is the first missing byte.
    // Implements: RFC2883 s4a, RFC2883 s4b, RFC2883 s4c
    pub(crate) fn on_duplicate(&mut self, start: u64, end: u64) {
        self.duplicate = Some((start, end));
        self.on_repeated(start, end);
    }

    /// The block around what arrived last comes first, also when it brought nothing new.
    // Implements: RFC2018 s4b
    pub(crate) fn on_repeated(&mut self, start: u64, end: u64) {
        if let Some(around) = self.held.containing(start, end) {
            self.recent.retain(|block| *block != around);
            if self.recent.is_full() {
                self.recent.pop();
            }
            self.recent.insert(0, around);
        }
    }

    /// The end of what is held.
    pub(crate) fn highest(&self) -> u64 {
        self.held.end().unwrap_or(0)
    }

    /// What of `[start, end)` is held beyond a hole already: the first such piece.
    pub(crate) fn overlap(&self, start: u64, end: u64) -> Option<Block> {
        self.held.first_overlap(start, end)
    }

    /// Everything below `next` was delivered in order.
    // Implements: RFC2018 s4d
    pub(crate) fn on_advance(&mut self, next: u64) {
        self.held.remove_below(next);
        self.recent.retain(|block| block.1 > next);
    }

    /// The stream is complete: there is nothing left to report.
    pub(crate) fn finish(&mut self) {
        self.clear();
        self.duplicate = None;
    }

    /// What waited behind holes was thrown away.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.recent.clear();
    }

    /// The blocks for the ACK that leaves now: a D-SACK first, reported once; then the most recent;
    /// then, if there is still room, others from the left.
    pub(crate) fn report(&mut self, max: usize) -> ArrayVec<Block, MAX_BLOCKS> {
        let max = max.min(MAX_BLOCKS);
        let mut blocks = ArrayVec::new();
        if max == 0 {
            return blocks;
        }
        blocks.extend(self.duplicate.take());
        blocks.extend(self.recent.iter().copied().take(max - blocks.len()));
        if self.recent.len() < MAX_BLOCKS {
            for block in self.held.iter().take(MAX_BLOCKS) {
                if blocks.len() < max && !self.recent.contains(&block) {
                    blocks.push(block);
                }
            }
        }
        blocks
    }

    /// How many blocks there are to report.
    pub(crate) fn pending(&self) -> usize {
        let held = self.held.iter().take(MAX_BLOCKS).count();
        held + usize::from(self.duplicate.is_some())
    }

    pub(crate) fn owes_duplicate(&self) -> bool {
        self.duplicate.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC2018 s4b, RFC2018 s4c
    #[test]
    fn the_latest_arrival_is_reported_first() {
        let mut sack = SackReporter::default();
        for start in [3u64, 5, 7] {
            sack.on_out_of_order(start * 100, start * 100 + 100);
        }
        assert_eq!(sack.report(3).as_slice(), [(700, 800), (500, 600), (300, 400)]);
        sack.on_out_of_order(400, 500);
        assert_eq!(sack.report(3).as_slice(), [(300, 600), (700, 800)]);
        sack.on_out_of_order(900, 1000);
        sack.on_out_of_order(1100, 1200);
        assert_eq!(sack.report(3).as_slice(), [(1100, 1200), (900, 1000), (300, 600)]);
        assert_eq!(sack.report(4).len(), 4);
    }

    #[test]
    fn a_block_that_was_crowded_out_is_reported_again_when_there_is_room() {
        let mut sack = SackReporter::default();
        for start in [9u64, 1, 3, 5, 7] {
            sack.on_out_of_order(start * 100, start * 100 + 100);
        }
        assert!(!sack.report(4).contains(&(900, 1000)));
        sack.on_advance(400);
        assert_eq!(sack.report(4).as_slice(), [(700, 800), (500, 600), (900, 1000)]);
    }

    #[test]
    fn a_third_block_is_crowded_out_by_what_touches_neither_of_the_first_two() {
        let mut sack = SackReporter::default();
        sack.on_out_of_order(100, 200);
        assert!(!sack.crowds_out(300, 400));
        sack.on_out_of_order(300, 400);
        assert!(sack.crowds_out(500, 600));
        assert!(!sack.crowds_out(200, 250), "it extends the second");
        sack.on_out_of_order(500, 600);
        assert!(sack.crowds_out(200, 250), "it moves the third to the front");
    }

    // Shows: RFC2018 s4d
    #[test]
    fn nothing_below_the_acknowledgment_is_reported() {
        let mut sack = SackReporter::default();
        sack.on_out_of_order(100, 200);
        sack.on_out_of_order(300, 400);
        sack.on_advance(200);
        assert_eq!(sack.report(4).as_slice(), [(300, 400)]);
        sack.on_advance(400);
        assert!(sack.report(4).is_empty());
    }

    // Shows: RFC2883 s4a, RFC2883 s4b
    #[test]
    fn a_duplicate_is_reported_once_and_before_the_block_around_it() {
        let mut sack = SackReporter::default();
        sack.on_duplicate(0, 50);
        assert_eq!(sack.report(3).as_slice(), [(0, 50)]);
        assert!(sack.report(3).is_empty());
        sack.on_out_of_order(100, 300);
        sack.on_out_of_order(500, 600);
        sack.on_duplicate(150, 200);
        assert_eq!(sack.report(3).as_slice(), [(150, 200), (100, 300), (500, 600)]);
        assert_eq!(sack.report(3).as_slice(), [(100, 300), (500, 600)]);
    }
}
