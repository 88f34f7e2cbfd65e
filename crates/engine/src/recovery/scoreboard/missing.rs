//! What is lost and to be sent again: the next of it, and how far it reaches without a gap.

use towpath_wire::SeqNumber;

use super::Scoreboard;

impl Scoreboard {
    /// The first range that is to be sent again, with what of the ranges behind it one segment of
    /// `size` bytes takes as well.
    // Implements: 9293 SHLD-16
    pub(crate) fn next_missing(&self, size: u32) -> Option<(SeqNumber, u32)> {
        let start = *self.missing.first()?;
        let slot = *self.by_start.get(&start)?;
        let mut end = self.slab[slot].end;
        for (_, slot) in self.by_start.range(end..) {
            let next = self.slab[*slot];
            if next.sacked || next.resent || next.end - start > u64::from(size) {
                break;
            }
            end = next.end;
        }
        Some((self.seq(start), (end - start) as u32))
    }

    /// How many bytes are missing from the first such on without a gap, as far as `limit` reaches.
    pub(crate) fn missing_run(&self, limit: u64) -> u64 {
        let Some(start) = self.missing.first() else { return 0 };
        let mut end = *start;
        for at in &self.missing {
            let Some(slot) = self.by_start.get(at) else { break };
            if *at != end || end - start >= limit {
                break;
            }
            end = self.slab[*slot].end;
        }
        end - start
    }
}
