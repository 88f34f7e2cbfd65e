//! How much we offer to receive: RCV.WND, its scale and its silly-window rule (RFC 9293
//! section 3.8.6.2.2), chosen as Linux chooses it.
//!
//! Owns the advertised window's right edge, which never moves left, and the slow start of the window
//! (Linux's `rcv_ssthresh`): a window is offered as fast as the peer shows that it uses it.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::WindowScale;

use super::room::Room;

/// The largest window that a SYN can carry.
const MAX_UNSCALED: u32 = 65_535;

/// The receive window of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveWindow {
    /// Bytes that the buffer takes in all.
    capacity: u32,
    /// What is never exceeded by an offer: the application's wish, or what the field can say.
    clamp: u32,
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
    pub(crate) fn initial(room: &Room, mss: u32, scaling: bool) -> ReceiveWindow {
        let capacity = u32::try_from(room.capacity).unwrap_or(u32::MAX);
        let mss = mss.max(1);
        let mut space = capacity.min(room.clamp);
        if space > mss {
            space -= space % mss;
        }
        let scale = if scaling { scale_for(room.describable) } else { WindowScale::new(0) };
        // What the SYN's field cannot say is offered with the first ACK, where there is a scale.
        let offered = if scale.shift() == 0 { space.min(MAX_UNSCALED) } else { space };
        ReceiveWindow {
            capacity,
            clamp: room.clamp.min(MAX_UNSCALED << scale.shift()),
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

    /// The SYN-ACK offered this window, and this shift for all later ones: both hold, whatever was
    /// set since.
    // Implements: RFC9293 s3.10.7.4s
    pub(crate) fn on_promise(&mut self, shift: u8, window: u16) {
        self.scale = WindowScale::new(shift);
        self.clamp = self.clamp.min(MAX_UNSCALED << self.scale.shift());
        self.offered = self.offered.max(u32::from(window));
        if shift == 0 {
            self.offered = self.offered.min(MAX_UNSCALED);
        }
    }

    /// The peer's first sequence number is known; without its window scale ours is zero too.
    // Implements: RFC7323 s2.2b
    pub(crate) fn on_handshake(&mut self, rcv_nxt: SeqNumber, scaling: bool) {
        self.offered_at = rcv_nxt;
        if !scaling {
            self.scale = WindowScale::new(0);
            self.clamp = self.clamp.min(MAX_UNSCALED);
            self.offered = self.offered.min(MAX_UNSCALED);
            self.slow_start = self.slow_start.min(MAX_UNSCALED);
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
        let full = self.full();
        let mss = rcv_mss.min(full).max(1);
        let shift = self.scale.shift();
        let mut most = self.slow_start;
        if free < full / 2 {
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
    /// `tcp_grow_window`, twice the segment each time). Whether it grew.
    pub(crate) fn on_in_order(&mut self, segment_len: u32, held: usize) -> bool {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let free = self.capacity.saturating_sub(held).min(self.clamp);
        let grows = segment_len >= 128 && self.slow_start < free && !self.short;
        if grows {
            self.slow_start = self.slow_start.saturating_add(2 * segment_len).min(free);
        }
        grows
    }

    /// Whether more than half of the buffer is taken.
    pub(crate) fn is_filling(&self, held: usize) -> bool {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(held) < self.full() / 2
    }

    /// The buffer may hold more from now on.
    pub(crate) fn grow_capacity(&mut self, capacity: usize) {
        if self.short {
            return;
        }
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        self.capacity = self.capacity.max(capacity);
    }

    /// The application chose another buffer or clamp. What was offered stays offered.
    pub(crate) fn set_room(&mut self, room: &Room) {
        let (least, most) = (room.capacity, room.max_capacity.max(room.capacity));
        let capacity = (self.capacity as usize).clamp(least, most);
        self.capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        self.set_clamp(room.clamp);
    }

    /// The application chose another clamp (RFC 9293 section 3.8.6.2.2 leaves the size open). A
    /// smaller one takes effect as the window is used up, a larger one at once up to what is offered.
    pub(crate) fn set_clamp(&mut self, clamp: u32) {
        let clamp = clamp.min(MAX_UNSCALED << self.scale.shift());
        self.slow_start = if clamp < self.clamp {
            self.slow_start.min(clamp)
        } else {
            self.slow_start.max(self.offered.min(clamp))
        };
        self.clamp = clamp;
    }

    /// What may be offered for now (Linux's `rcv_ssthresh`), in bytes.
    pub(crate) fn slow_start(&self) -> u32 {
        self.slow_start
    }

    /// The most that will be offered while the buffer stays as it is, in bytes.
    pub(crate) fn full(&self) -> u32 {
        self.capacity.min(self.clamp)
    }
}

/// The least shift that lets the field describe `capacity`.
fn scale_for(capacity: u32) -> WindowScale {
    let bits = u32::BITS - capacity.leading_zeros();
    WindowScale::new(bits.saturating_sub(16).min(14) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(capacity: usize, describable: u32) -> Room {
        Room { capacity, max_capacity: capacity, describable, clamp: u32::MAX >> 2 }
    }

    #[test]
    fn a_clamp_is_never_exceeded_and_a_smaller_one_lets_what_is_offered_be_used_up() {
        let clamped = Room { clamp: 20_000, ..room(65_536, 20_000) };
        let mut window = ReceiveWindow::initial(&clamped, 1000, true);
        assert_eq!((window.syn_field(), window.scale().shift()), (20_000, 0));
        let start = SeqNumber(7);
        window.on_handshake(start, true);
        for _ in 0..100 {
            window.on_in_order(1000, 0);
        }
        assert_eq!(window.next_offer(start, 0, 1000), 20_000);
        window.set_clamp(5000);
        assert_eq!(window.remaining(start), 20_000);
        window.offer(start + 16_000, 0, 1000);
        assert_eq!(window.remaining(start + 16_000), 5000);
    }

    // Shows: RFC7323 s2.2c
    #[test]
    fn the_syn_offers_whole_segments_and_the_scale_of_the_largest_buffer() {
        for (max, shift) in
            [(65_535, 0), (65_536, 1), (6_291_456, 7), (33_554_432, 10), (1 << 30, 14)]
        {
            let window = ReceiveWindow::initial(&room(65_536, max), 1460, true);
            assert_eq!((window.syn_field(), window.scale().shift()), (64_240, shift), "{max}");
        }
        let unscaled = ReceiveWindow::initial(&room(65_536, 1 << 20), 1460, false);
        assert_eq!(unscaled.scale().shift(), 0);
    }

    // Shows: 9293 MUST-39
    #[test]
    fn a_reader_of_single_bytes_opens_the_window_only_by_a_real_step() {
        let mut window = ReceiveWindow::initial(&room(60_000, 60_000), 1000, false);
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

    // Shows: 9293 SHLD-14, RFC9293 s3.10.7.4s
    #[test]
    fn the_right_edge_never_moves_left() {
        let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1000, true);
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
        let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1000, true);
        window.on_handshake(SeqNumber(0), true);
        let calm = window.next_offer(SeqNumber(0), 0, 1000);
        window.set_short(true);
        window.on_in_order(1000, 0);
        window.grow_capacity(1 << 20);
        assert_eq!(window.next_offer(SeqNumber(0), 0, 1000), calm);
        assert_eq!(window.capacity, 65_536);
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
