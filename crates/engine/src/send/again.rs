//! Bursts of retransmissions. As on Linux what left as one burst is one batch of the queue, and what
//! is still missing of it goes again as one, as far as the window lets it: a device that cuts such a
//! packet into segments gives PSH to the last of them (RFC 9293 section 3.9.1.2 leaves that to the
//! sender).

use super::SendSpace;
use super::plan::Plan;

/// The burst of retransmissions that has begun, by stream offset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AgainBurst {
    /// Where its next segment begins.
    next: u64,
    end: u64,
}

impl SendSpace {
    /// A segment goes again, and the window takes `room` such. `missing` tells how many bytes from its
    /// first on are to go again without a gap, as far as so many reach.
    pub(crate) fn join_burst(
        &mut self,
        plan: &mut Plan,
        room: u64,
        missing: impl FnOnce(u64) -> u64,
    ) {
        let from = self.offset(plan.seq);
        let goes_on = from == self.again.next && from < self.again.end;
        if !goes_on {
            let rest = self.marks.burst_end(from).map_or(0, |end| end - from);
            let fits = room.saturating_mul(u64::from(self.segment_size()));
            self.again.end = from + missing(rest).min(rest).min(fits);
        }
        self.again.next = from + u64::from(plan.len);
        plan.push |= goes_on && self.again.next >= self.again.end;
    }
}
