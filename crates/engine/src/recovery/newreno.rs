//! Without SACK: what duplicate acknowledgments stand for (RFC 5681 section 3.2, RFC 6582).
//!
//! Each says that one segment has left the network, and not which. Owns their number.

use super::reordering::Reordering;
use super::scoreboard::{Scoreboard, Sum};

/// The duplicates of one connection, as segments that have arrived beyond the first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Duplicates {
    segments: u64,
}

impl Duplicates {
    pub(crate) fn segments(&self) -> u64 {
        self.segments
    }

    /// What they take out of the network: never more than lies beyond the first segment, or beyond
    /// what is lost.
    // Implements: H-37
    pub(crate) fn bytes(&self, board: &Scoreboard, mss: u32) -> u64 {
        let Some(first) = board.first() else { return 0 };
        let holes = board.lost().bytes.max(first.len());
        (self.segments * u64::from(mss)).min(board.outstanding().bytes.saturating_sub(holes))
    }

    pub(crate) fn clear(&mut self) {
        self.segments = 0;
    }

    /// A duplicate acknowledgment. Returns whether there are more than can be.
    // Implements: RFC9937 s6b
    pub(crate) fn add(
        &mut self,
        board: &mut Scoreboard,
        reordering: &mut Reordering,
        mss: u32,
    ) -> bool {
        let before = self.segments;
        self.segments += 1;
        let surplus = self.limit(board, reordering, 0);
        let news = self.segments.saturating_sub(before);
        board.on_delivered(Sum { bytes: news * u64::from(mss), segments: news });
        surplus
    }

    /// `acked` segments were acknowledged: one of them filled the hole, the others are those that the
    /// duplicates stood for. Returns whether there were more than can be.
    pub(crate) fn take_off(
        &mut self,
        board: &mut Scoreboard,
        reordering: &mut Reordering,
        acked: u64,
        mss: u32,
    ) -> bool {
        let known = self.segments.min(acked.saturating_sub(1));
        board.take_back_delivered(Sum { bytes: known * u64::from(mss), segments: known });
        self.segments -= known;
        self.limit(board, reordering, acked)
    }

    /// More duplicates than segments beyond the holes: they were late, not lost.
    fn limit(&mut self, board: &Scoreboard, reordering: &mut Reordering, acked: u64) -> bool {
        let outstanding = board.outstanding().segments;
        let holes = board.lost().segments.max(1).min(outstanding);
        if self.segments + holes <= outstanding {
            return false;
        }
        self.segments = outstanding - holes;
        reordering.on_surplus(outstanding + acked);
        true
    }
}
