//! Losses by counts alone: RFC 6675's IsLost, for who does without RACK.

use super::{Scoreboard, Slot};

impl Scoreboard {
    /// Takes for lost what RFC 6675 calls so: more than `threshold` bytes above it are reported, or
    /// `runs` runs of bytes that do not touch.
    // Implements: RFC6675 s4a
    pub(crate) fn mark_lost_below_sacks(&mut self, threshold: u64, runs: u64) {
        let Some(boundary) = self.boundary(threshold, runs) else { return };
        let from = self.judged_to.min(boundary);
        let slots: Vec<Slot> = self.by_start.range(from..boundary).map(|(_, slot)| *slot).collect();
        for slot in slots {
            if !self.slab[slot].lost {
                self.mark_lost(slot);
            }
        }
        self.judged_to = boundary;
    }

    /// Where what is reported above is enough: from the top down, no further than needed.
    fn boundary(&self, threshold: u64, runs: u64) -> Option<u64> {
        let (mut above, mut runs_above, mut last_start) = (0, 0, u64::MAX);
        for start in self.reported.iter().rev() {
            let range = self.slab[*self.by_start.get(start)?];
            above += range.len();
            runs_above += u64::from(range.end != last_start);
            last_start = range.start;
            if above > threshold || runs_above >= runs {
                return Some(range.start);
            }
        }
        None
    }
}
