//! How much we offer to receive: RCV.WND, its scale and its silly-window rule (RFC 9293
//! section 3.8.6.2.2), chosen as Linux chooses it.
//!
//! Owns the advertised window's right edge, which never moves left, and the slow start of the window
//! (Linux's `rcv_ssthresh`): a window is offered as fast as the peer shows that it uses it.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::WindowScale;

/// The largest window that a SYN can carry.
const MAX_UNSCALED: u32 = 65_535;

/// The receive window of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveWindow {
    /// Bytes that the buffer takes in all.
    capacity: u32,
    /// What may be offered for now.
    slow_start: u32,
    /// RCV.WND, as last offered.
    offered: u32,
    /// RCV.NXT when it was offered (Linux's `rcv_wup`).
    offered_at: SeqNumber,
    scale: WindowScale,
    /// The stack is short of memory: what may be offered does not grow.
    short: bool,
}

/// Under memory pressure a window that is half full is no larger than this, in segments: Linux's.
const SHORT_SEGMENTS: u32 = 4;

impl ReceiveWindow {
    /// The window for a SYN: whole segments of the initial buffer, and the scale that the largest
    /// buffer will need.
    pub(crate) fn initial(
        capacity: usize,
        max_capacity: usize,
        mss: u16,
        scaling: bool,
    ) -> ReceiveWindow {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        let mss = u32::from(mss).max(1);
        let mut space = capacity;
        if space > mss {
            space -= space % mss;
        }
        let scale = if scaling { scale_for(max_capacity) } else { WindowScale::new(0) };
        let offered = space.min(MAX_UNSCALED);
        ReceiveWindow {
            capacity,
            slow_start: offered,
            offered,
            offered_at: SeqNumber::default(),
            scale,
            short: false,
        }
    }

    /// Whether the stack is short of memory.
    pub(crate) fn set_short(&mut self, short: bool) {
        self.short = short;
    }

    /// The peer's first sequence number is known; without its window scale ours is zero too.
    // Implements: RFC7323 s2.2b
    pub(crate) fn on_handshake(&mut self, rcv_nxt: SeqNumber, scaling: bool) {
        self.offered_at = rcv_nxt;
        if !scaling {
            self.scale = WindowScale::new(0);
            self.capacity = self.capacity.min(MAX_UNSCALED);
        }
    }

    pub(crate) fn scale(&self) -> WindowScale {
        self.scale
    }

    /// RCV.NXT when the window was last offered: the last acknowledgment sent.
    pub(crate) fn last_ack_sent(&self) -> SeqNumber {
        self.offered_at
    }

    /// What is left of the offered window.
    pub(crate) fn remaining(&self, rcv_nxt: SeqNumber) -> u32 {
        self.offered.saturating_sub(rcv_nxt.distance_from(self.offered_at))
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The field of a SYN: never scaled.
    // Implements: RFC7323 s2.2c
    pub(crate) fn syn_field(&self) -> u16 {
        self.offered.min(MAX_UNSCALED) as u16
    }

    /// The window that would be offered now, with `held` bytes in the buffer.
    // Implements: 9293 MUST-39, RFC7323 s2.3b
    pub(crate) fn next_offer(&self, rcv_nxt: SeqNumber, held: usize, rcv_mss: u32) -> u32 {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let mut free = self.capacity.saturating_sub(held);
        let mss = rcv_mss.min(self.capacity).max(1);
        let shift = self.scale.shift();
        let mut most = self.slow_start;
        if free < self.capacity / 2 {
            if self.short {
                most = most.min(SHORT_SEGMENTS * mss);
            }
            free = free >> shift << shift;
            if free < self.capacity >> 4 || free < mss {
                return 0;
            }
        }
        free = free.min(most);
        if shift > 0 {
            // Rounded up to what the field can say; the capacity has that much to spare.
            (free.div_ceil(1 << shift)) << shift
        } else {
            let current = self.remaining(rcv_nxt);
            if current <= free.saturating_sub(mss) || current > free {
                free - free % mss
            } else {
                current
            }
        }
    }

    /// A segment is leaving: offers the window and returns its field. The right edge never moves
    /// left.
    // Implements: 9293 SHLD-14, RFC9293 s3.10.7.4s
    pub(crate) fn offer(&mut self, rcv_nxt: SeqNumber, held: usize, rcv_mss: u32) -> u16 {
        let current = self.remaining(rcv_nxt);
        let shift = self.scale.shift();
        let mut next = self.next_offer(rcv_nxt, held, rcv_mss);
        if next < current {
            next = current.div_ceil(1 << shift) << shift;
        }
        if shift == 0 {
            next = next.min(MAX_UNSCALED);
        }
        self.offered = next;
        self.offered_at = rcv_nxt;
        self.scale.scale_down(next)
    }

    /// Full segments arrive in order and are not piling up: offer more (Linux's
    /// `tcp_grow_window`, twice the segment each time).
    pub(crate) fn on_in_order(&mut self, segment_len: u32, held: usize) {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let free = self.capacity.saturating_sub(held);
        if segment_len >= 128 && self.slow_start < free && !self.short {
            self.slow_start = (self.slow_start + 2 * segment_len).min(free);
        }
    }

    /// The buffer may hold more from now on.
    pub(crate) fn grow_capacity(&mut self, capacity: usize) {
        if self.short {
            return;
        }
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        let limit = if self.scale.shift() == 0 { MAX_UNSCALED } else { u32::MAX };
        self.capacity = self.capacity.max(capacity.min(limit));
    }
}

/// The least shift that lets the field describe `capacity`.
fn scale_for(capacity: usize) -> WindowScale {
    let bits = usize::BITS - capacity.leading_zeros();
    WindowScale::new(bits.saturating_sub(16).min(14) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC7323 s2.2c
    #[test]
    fn the_syn_offers_whole_segments_and_the_scale_of_the_largest_buffer() {
        for (max, shift) in
            [(65_535, 0), (65_536, 1), (6_291_456, 7), (33_554_432, 10), (1 << 30, 14)]
        {
            let window = ReceiveWindow::initial(65_536, max, 1460, true);
            assert_eq!((window.syn_field(), window.scale().shift()), (64_240, shift), "{max}");
        }
        assert_eq!(ReceiveWindow::initial(65_536, 1 << 20, 1460, false).scale().shift(), 0);
    }

    // Shows: 9293 MUST-39
    #[test]
    fn a_reader_of_single_bytes_opens_the_window_only_by_a_real_step() {
        let mut window = ReceiveWindow::initial(60_000, 60_000, 1000, false);
        let rcv_nxt = SeqNumber(60_000);
        window.on_handshake(SeqNumber(0), false);
        assert_eq!(window.remaining(rcv_nxt), 0);
        let mut offers = Vec::new();
        for read in 0..=6000usize {
            let offer = window.next_offer(rcv_nxt, 60_000 - read, 1000);
            if offers.last() != Some(&offer) {
                offers.push(offer);
            }
        }
        assert_eq!(offers, [0, 3000, 4000, 5000, 6000]);
    }

    // Shows: 9293 SHLD-14
    #[test]
    fn the_right_edge_never_moves_left() {
        let mut window = ReceiveWindow::initial(65_536, 1 << 22, 1000, true);
        let start = SeqNumber(u32::MAX - 3000);
        window.on_handshake(start, true);
        let mut edge = start + window.remaining(start);
        let mut held = 0;
        for step in 0..200u32 {
            let nxt = start + step * 500;
            held += 500;
            if window.remaining(nxt) < 500 {
                break;
            }
            window.offer(nxt, held, 1000);
            let new_edge = nxt + window.remaining(nxt);
            assert!(new_edge.at_or_after(edge), "step {step}");
            edge = new_edge;
        }
    }

    #[test]
    fn short_of_memory_nothing_grows_and_a_full_buffer_offers_little() {
        let mut window = ReceiveWindow::initial(65_536, 1 << 22, 1000, true);
        window.on_handshake(SeqNumber(0), true);
        let calm = window.next_offer(SeqNumber(0), 0, 1000);
        window.set_short(true);
        window.on_in_order(1000, 0);
        window.grow_capacity(1 << 20);
        assert_eq!(window.next_offer(SeqNumber(0), 0, 1000), calm);
        assert_eq!(window.capacity(), 65_536);
        let shift = window.scale().shift();
        let little = 4000u32.div_ceil(1 << shift) << shift;
        assert_eq!(window.next_offer(SeqNumber(0), 40_000, 1000), little);
        window.set_short(false);
        assert!(window.next_offer(SeqNumber(0), 40_000, 1000) > 20_000);
        window.grow_capacity(1 << 20);
        window.on_in_order(1000, 0);
        assert!(window.next_offer(SeqNumber(0), 0, 1000) > calm);
    }
}
