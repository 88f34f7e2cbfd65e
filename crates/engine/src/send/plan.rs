//! Which segment may be sent next, and why none may: the peer's window, Nagle with Minshall's
//! refinement, silly-window avoidance (RFC 9293 sections 3.7.4 and 3.8.6.2.1). Asking changes
//! nothing.

use towpath_wire::SeqNumber;

use super::{Fin, SendSpace};

/// A segment that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seq: SeqNumber,
    pub(crate) len: u32,
    pub(crate) fin: bool,
    pub(crate) push: bool,
    /// How many segments of its burst leave from here on, this one included; 0 if it is none.
    pub(crate) burst: u32,
    /// What a full segment with the options of this one has.
    pub(crate) full: u32,
}

impl Plan {
    /// Sequence numbers taken.
    pub(crate) fn sequence_len(&self) -> u32 {
        self.len + u32::from(self.fin)
    }
}

/// Why no new segment may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// There is nothing to send.
    Nothing,
    /// The congestion window is full.
    Congestion,
    /// The peer's window does not take the next segment.
    Window,
    /// A small segment waits, for an acknowledgment (Nagle) or for more to be written (cork).
    Held,
}

impl SendSpace {
    /// The next new segment, if one may go now. `congestion_room` is what the congestion window
    /// leaves, `option_bytes` what options beyond the usual take of the segment.
    // Implements: RFC5681 s3.1a, 9293 MUST-38, 9293 SHLD-7, 9293 MUST-17, 9293 SHLD-28, 9293 SHLD-15
    pub(crate) fn next_new(
        &self,
        congestion_room: u64,
        option_bytes: u32,
        largest_burst: u32,
    ) -> Result<Plan, Blocked> {
        let unsent = self.unsent();
        let fin_pending = self.fin == Fin::Queued;
        if unsent == 0 && !fin_pending {
            return Err(Blocked::Nothing);
        }
        let size = self.segment_size();
        let size = size.saturating_sub(option_bytes).max(size.min(8));
        let from = self.offset_of_next();
        let whole = self.marks.record_end(from).map_or(unsent, |end| unsent.min(end - from));
        let len = u32::try_from(whole).unwrap_or(u32::MAX).min(size);
        let window_room = self.window_room();
        if u64::from(len) > congestion_room {
            return Err(Blocked::Congestion);
        }
        if len > window_room || (len == 0 && window_room == 0) {
            return Err(Blocked::Window);
        }
        let last = u64::from(len) == unsent;
        let fin = fin_pending && last && len < window_room;
        let end = from + u64::from(len);
        let waits = last && len < size && !fin_pending && self.urgent.is_none();
        if waits && self.hold.holds(end, self.is_small_outstanding()) {
            return Err(Blocked::Held);
        }
        let room = whole.min(u64::from(window_room)).min(congestion_room);
        let burst = self.burst_from(room, size, largest_burst);
        let push = self.marks.is_pushed(from, end) || self.burst > 0 && burst == 1;
        Ok(Plan { seq: self.nxt, len, fin, push, full: size, burst })
    }

    /// The burst that the next segment begins or goes on with, if there is room for `room` bytes.
    fn burst_from(&self, room: u64, size: u32, largest: u32) -> u32 {
        if self.burst > 0 {
            return self.burst;
        }
        let size = u64::from(size).max(1);
        let tail_may_go = !room.is_multiple_of(size)
            && room == self.unsent()
            && (self.fin == Fin::Queued
                || !self.hold.holds(self.buffer.end(), self.is_small_outstanding()));
        let full = room / size + u64::from(tail_may_go);
        u32::try_from(full).unwrap_or(u32::MAX).min(largest)
    }

    /// What may go into a window that is too small for the next segment, or is held back, once the
    /// persist timer has overridden that; nothing if the window is closed.
    pub(crate) fn next_despite_small_window(&self) -> Option<Plan> {
        let len = self.window_room().min(u32::try_from(self.unsent()).unwrap_or(u32::MAX));
        let full = self.segment_size();
        let len = len.min(full);
        (len > 0).then_some(Plan { seq: self.nxt, len, fin: false, push: true, full, burst: 0 })
    }

    /// The segment `[seq, seq + len)` of what is outstanding, to be sent again: at most one full
    /// segment, with the FIN if it lies right behind. `None` if all of it is acknowledged.
    // Implements: RFC9293 s3.8.1, 9293 SHLD-16
    pub(crate) fn plan_again(&self, seq: SeqNumber, len: u32) -> Option<Plan> {
        let seq = seq.max(self.una);
        if !seq.before(self.nxt) {
            return None;
        }
        let data_end = self.offset_of_next();
        let from = self.offset(seq);
        let data = data_end.saturating_sub(from);
        let data = self.marks.record_end(from).map_or(data, |end| data.min(end - from));
        let size = u64::from(self.segment_size()).min(u64::from(len)).min(data) as u32;
        let end = seq + size;
        let fin = self.fin == Fin::Sent && end + 1 == self.nxt && size < len;
        let push = self.marks.is_pushed(from, from + u64::from(size));
        // The window may have been shrunk: only the oldest segment goes regardless, as a probe.
        let fits = (end + u32::from(fin)).distance_from(self.una) <= self.wnd;
        (fits || seq == self.una).then_some(Plan {
            seq,
            len: size,
            fin,
            push,
            full: self.segment_size(),
            burst: 0,
        })
    }

    fn is_small_outstanding(&self) -> bool {
        self.is_outstanding()
            && self.small_end.after(self.una)
            && self.small_end.at_or_before(self.nxt)
    }
}
