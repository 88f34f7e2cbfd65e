//! How much we offer to receive: RCV.WND, its scale and its silly-window rule (RFC 9293
//! section 3.8.6.2.2), chosen as Linux chooses it.
//!
//! Owns the advertised window's right edge, which moves left only where `tcp_shrink_window` allows it
//! or memory has run out, and the slow start of the window (Linux's `rcv_ssthresh`): a window is
//! offered as fast as the peer shows that it uses it. How much window the memory is, `account` says.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::WindowScale;

use super::account::{self, Account};
use super::room::Room;

/// The largest window that a SYN can carry.
const MAX_UNSCALED: u32 = 65_535;

/// The receive window of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveWindow {
    /// The memory that the window is a share of.
    account: Account,
    /// Memory that the buffer may grow to, and the most that any may have.
    max_memory: usize,
    most: usize,
    /// The application's wish.
    wish: u32,
    /// What is never exceeded by an offer: the wish, what the field can say, or the memory.
    clamp: u32,
    /// What may be offered for now.
    slow_start: u32,
    /// RCV.WND, as last offered.
    offered: u32,
    /// RCV.NXT when it was offered (Linux's `rcv_wup`).
    offered_at: SeqNumber,
    /// The rightmost edge that was ever offered (Linux's `rcv_mwnd_seq`).
    max_edge: SeqNumber,
    scale: WindowScale,
    /// The stack is short of memory: what may be offered does not grow.
    short: bool,
    /// Text was turned away for want of memory: the next ACK closes the window.
    refused: bool,
    /// The right edge may move left.
    may_shrink: bool,
}

/// What a packet brought that was kept, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Its payload.
    pub(crate) len: usize,
    /// What of it was new.
    pub(crate) kept: usize,
    pub(crate) order: Order,
    /// The payload of a full segment of the peer's, and of one that we asked for.
    pub(crate) rcv_mss: u32,
    pub(crate) advertised_mss: u32,
}

/// Where a packet's text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    InOrder,
    /// The window grows by it with SACK only: without, only equal ACKs tell the sender of the hole.
    BeyondHole {
        grows: bool,
    },
}

/// Under memory pressure a window that is half full is no larger than this, in segments: Linux's.
const SHORT_SEGMENTS: u32 = 4;
/// A packet with less than this says nothing of what the peer could send: Linux's.
const LEAST_TELLING: usize = 128;

impl ReceiveWindow {
    /// The window for a SYN: whole segments of the initial buffer, and the scale that the largest
    /// buffer will need.
    pub(crate) fn initial(room: &Room, mss: u32, scaling: bool) -> ReceiveWindow {
        let account = Account::new(room.memory);
        let mss = mss.max(1);
        let mut space = account.capacity().min(room.clamp);
        if space > mss {
            space -= space % mss;
        }
        let scale = if scaling { scale_for(room.describable) } else { WindowScale::new(0) };
        // What the SYN's field cannot say is offered with the first ACK, where there is a scale.
        let offered = if scale.shift() == 0 { space.min(MAX_UNSCALED) } else { space };
        ReceiveWindow {
            clamp: room.clamp.min(account.capacity()).min(MAX_UNSCALED << scale.shift()),
            account,
            max_memory: room.max_memory,
            most: room.most,
            wish: room.clamp,
            slow_start: offered,
            offered,
            offered_at: SeqNumber::default(),
            max_edge: SeqNumber::default(),
            scale,
            short: false,
            refused: false,
            may_shrink: room.may_shrink,
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

    /// The peer's first sequence number is known; without its window scale ours is zero too. One of
    /// the segments that we asked for is kept in reserve, until what arrives shows its true cost.
    // Implements: RFC7323 s2.2b
    pub(crate) fn on_handshake(&mut self, rcv_nxt: SeqNumber, scaling: bool, mss: u32) {
        self.offered_at = rcv_nxt;
        if !scaling {
            self.scale = WindowScale::new(0);
            self.clamp = self.clamp.min(MAX_UNSCALED);
            self.offered = self.offered.min(MAX_UNSCALED);
            self.slow_start = self.slow_start.min(MAX_UNSCALED);
        }
        let capacity = self.account.capacity();
        if self.clamp > 2 * mss && self.clamp + mss > capacity {
            self.clamp = capacity.saturating_sub(mss).max(2 * mss);
        }
        self.slow_start = self.slow_start.min(self.clamp);
        self.max_edge = rcv_nxt + self.offered;
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

    /// All of the window as last offered.
    pub(crate) fn offered(&self) -> u32 {
        self.offered
    }

    /// What is left of the largest window that was ever offered: its sender may not have heard of a
    /// smaller one.
    // Implements: RFC7323 s2.4a
    pub(crate) fn max_remaining(&self, rcv_nxt: SeqNumber) -> u32 {
        if rcv_nxt.before(self.max_edge) { self.max_edge.distance_from(rcv_nxt) } else { 0 }
    }

    /// The field of a SYN: never scaled.
    // Implements: RFC7323 s2.2c
    pub(crate) fn syn_field(&self) -> u16 {
        self.offered.min(MAX_UNSCALED) as u16
    }

    /// The window that would be offered now.
    // Implements: 9293 MUST-39, RFC7323 s2.3b
    pub(crate) fn next_offer(&self, rcv_mss: u32) -> u32 {
        let full = self.full();
        let mss = rcv_mss.min(full).max(1);
        let shift = self.scale.shift();
        let unit = 1u32 << shift;
        let mut free = self.account.free();
        let mut most = self.slow_start;
        let shrinks = self.shrinks();
        if shrinks {
            free = free >> shift << shift;
        }
        if free < full / 2 {
            if self.short {
                most = most.min(SHORT_SEGMENTS * mss);
            }
            free = free >> shift << shift;
            if free < self.account.capacity() >> 4 || free < mss || shrinks && free < unit {
                return 0;
            }
        }
        free = free.min(most);
        if shift > 0 {
            // Rounded up to what the field can say; the capacity has that much to spare.
            free.div_ceil(unit) << shift
        } else {
            // All of the last offer, though some of it may be used up: as Linux, which so offers a
            // window that stays the same while its reader keeps up.
            let last = self.offered;
            if last <= free.saturating_sub(mss) || last > free { free - free % mss } else { last }
        }
    }

    /// A segment is leaving: offers the window and returns its field. The right edge never moves
    /// left, but where that is allowed, or where text that was in the window had to be turned away.
    // Implements: 9293 SHLD-14, RFC9293 s3.10.7.4s
    pub(crate) fn offer(&mut self, rcv_nxt: SeqNumber, rcv_mss: u32) -> u16 {
        let shift = self.scale.shift();
        let mut next = 0;
        if !std::mem::take(&mut self.refused) {
            let current = self.remaining(rcv_nxt);
            next = self.next_offer(rcv_mss);
            if next < current && !self.shrinks() {
                next = current.div_ceil(1 << shift) << shift;
            }
            if shift == 0 {
                next = next.min(MAX_UNSCALED);
            }
        }
        self.offered = next;
        self.offered_at = rcv_nxt;
        if (rcv_nxt + next).after(self.max_edge) {
            self.max_edge = rcv_nxt + next;
        }
        self.scale.scale_down(next)
    }

    /// A packet's text was kept. Where it comes with little around it, offer more (Linux's
    /// `tcp_grow_window`). Whether it grew.
    pub(crate) fn on_arrival(&mut self, arrival: Arrival) -> bool {
        let Arrival { len, kept, order, .. } = arrival;
        match order {
            Order::InOrder => {
                self.account.keep_in_order(kept, len);
                len >= LEAST_TELLING && self.grow(arrival)
            }
            Order::BeyondHole { grows } => {
                // It is counted when the window has grown by it.
                let grows = grows && self.grow(arrival);
                self.account.keep(kept, len);
                grows
            }
        }
    }

    fn grow(&mut self, arrival: Arrival) -> bool {
        let room = self.clamp.min(self.account.free()).saturating_sub(self.slow_start);
        if room == 0 || self.short {
            return false;
        }
        let share = self.account.share();
        let len = u32::try_from(arrival.len).unwrap_or(u32::MAX);
        let cost = share.window(match arrival.order {
            Order::InOrder => account::cost_in_order(arrival.len),
            Order::BeyondHole { .. } => account::packet_memory(arrival.len),
        });
        let step = if cost <= len {
            2 * arrival.advertised_mss
        } else if is_affordable(cost / 2, len, self.slow_start, share.window(self.most) / 2) {
            2 * arrival.rcv_mss
        } else {
            return false;
        };
        self.slow_start += room.min(step.max(len.saturating_mul(2)));
        true
    }

    /// Segments of another size arrive, in packets with `len` bytes. What is offered at most, if that
    /// changed.
    pub(crate) fn learn(&mut self, len: usize) -> Option<u32> {
        if !self.account.learn(len) {
            return None;
        }
        self.follow_memory();
        Some(self.clamp)
    }

    /// Of `held` bytes `taken` are gone.
    pub(crate) fn on_gone(&mut self, taken: usize, held: usize) {
        self.account.release(taken, held);
    }

    /// Whether what is kept counts for more than there is memory.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.account.is_exceeded()
    }

    /// More is kept than there is memory for: what was not chosen grows to it, else the `held` bytes
    /// are put together and a peer that sends so gets little (Linux's `tcp_clamp_window`).
    pub(crate) fn squeeze(&mut self, held: usize, mss: u32) {
        if !self.short {
            let grown = self.account.used().min(self.max_memory);
            self.account.set_limit(self.account.limit().max(grown));
        }
        if self.is_exceeded() {
            self.slow_start = self.clamp.min(2 * mss);
            self.account.put_together(held);
        }
    }

    /// Text in the window finds no memory: the next ACK says so.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether more than half of the buffer is taken.
    pub(crate) fn is_filling(&self) -> bool {
        self.account.free() < self.full() / 2
    }

    /// The window may be so large from now on, if there can be memory for it.
    pub(crate) fn grow_capacity(&mut self, capacity: usize) {
        let memory = self.account.share().memory(capacity).min(self.max_memory);
        if !self.short && memory > self.account.limit() {
            self.account.set_limit(memory);
            self.follow_memory();
        }
    }

    /// The memory of the buffer (SO_MEMINFO's SK_MEMINFO_RCVBUF).
    pub(crate) fn memory(&self) -> usize {
        self.account.limit()
    }

    /// The application chose another buffer or clamp. What was offered stays offered.
    pub(crate) fn set_room(&mut self, room: &Room) {
        self.max_memory = room.max_memory;
        self.most = room.most;
        let memory = self.account.limit();
        self.account.set_limit(memory.clamp(room.memory, room.max_memory.max(room.memory)));
        if self.account.limit() != memory {
            self.follow_memory();
        }
        if room.clamp != self.wish {
            self.wish = room.clamp;
            self.set_clamp(room.clamp);
        }
    }

    fn follow_memory(&mut self) {
        self.clamp = self.account.capacity().min(self.wish).min(MAX_UNSCALED << self.scale.shift());
    }

    /// Whether the right edge may move left. Without a scale it never does, as on Linux.
    fn shrinks(&self) -> bool {
        self.may_shrink && self.scale.shift() > 0
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
        self.account.capacity().min(self.clamp)
    }
}

/// Whether packets of `len` bytes that cost so much would do no harm in a window as far below the
/// largest as `slow_start` is: the further below it, the worse they may be.
fn is_affordable(mut cost: u32, len: u32, slow_start: u32, mut largest: u32) -> bool {
    while slow_start <= largest {
        if cost <= len {
            return true;
        }
        cost /= 2;
        largest /= 2;
    }
    false
}

/// The least shift that lets the field describe `capacity`.
fn scale_for(capacity: u32) -> WindowScale {
    let bits = u32::BITS - capacity.leading_zeros();
    WindowScale::new(bits.saturating_sub(16).min(14) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of which half, as long as that is the share, is a window of `capacity`.
    fn room(capacity: usize, describable: u32) -> Room {
        Room {
            memory: 2 * capacity,
            max_memory: 4 * capacity,
            most: 64 << 20,
            describable,
            clamp: u32::MAX >> 2,
            may_shrink: false,
        }
    }

    /// So many bytes arrive as one packet, in order, and nobody reads.
    fn arrive(window: &mut ReceiveWindow, len: usize) -> bool {
        window.on_arrival(Arrival {
            len,
            kept: len,
            order: Order::InOrder,
            rcv_mss: 1000,
            advertised_mss: 1460,
        })
    }

    #[test]
    fn a_clamp_is_never_exceeded_and_a_smaller_one_lets_what_is_offered_be_used_up() {
        let clamped = Room { clamp: 20_000, ..room(65_536, 20_000) };
        let mut window = ReceiveWindow::initial(&clamped, 1000, true);
        assert_eq!((window.syn_field(), window.scale().shift()), (20_000, 0));
        let start = SeqNumber(7);
        window.on_handshake(start, true, 1000);
        for _ in 0..20 {
            arrive(&mut window, 1000);
        }
        window.on_gone(20_000, 20_000);
        assert_eq!(window.next_offer(1000), 20_000);
        window.learn(1000);
        assert_eq!(window.full(), 20_000, "though the memory is more");
        window.set_clamp(5000);
        assert_eq!(window.remaining(start), 20_000);
        window.offer(start + 16_000, 1000);
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

    #[test]
    fn one_segment_is_held_in_reserve_until_one_has_shown_what_it_costs() {
        for (mss, reserved) in [(1448, 64_088), (1460, 64_076), (30_000, 60_000)] {
            let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1460, true);
            window.on_handshake(SeqNumber(0), true, mss);
            assert_eq!(window.slow_start(), reserved, "{mss}");
        }
        let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1460, true);
        window.on_handshake(SeqNumber(0), true, 1448);
        // 160 of 256 of 131,072 bytes.
        assert_eq!(window.learn(1448), Some(81_920));
        assert_eq!(window.learn(1448), None);
    }

    #[test]
    fn the_window_grows_by_what_arrives_as_far_as_its_cost_allows() {
        for (len, order, grown) in [
            // Cheap: two segments, or twice what came.
            (9000, Order::InOrder, 18_000),
            (20_000, Order::InOrder, 40_000),
            (9000, Order::BeyondHole { grows: true }, 18_000),
            (9000, Order::BeyondHole { grows: false }, 0),
            (127, Order::InOrder, 0),
        ] {
            let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1460, true);
            window.on_handshake(SeqNumber(0), true, 1460);
            window.learn(len.max(2000));
            let before = window.slow_start();
            let arrival = Arrival { len, kept: len, order, rcv_mss: 1000, advertised_mss: 1460 };
            window.on_arrival(arrival);
            assert_eq!(window.slow_start() - before, grown, "{len} {order:?}");
        }
    }

    // Shows: 9293 MUST-39
    #[test]
    fn a_reader_of_single_bytes_opens_the_window_only_by_a_real_step() {
        let mut window = ReceiveWindow::initial(&room(60_000, 60_000), 1000, false);
        window.on_handshake(SeqNumber(0), false, 1000);
        assert_eq!(window.remaining(SeqNumber(60_000)), 0);
        // Its memory is full to the last byte.
        window.account = Account::new(120_000);
        window.account.keep(56_000, 1000);
        let used = window.account.used();
        window.account.set_limit(used);
        let mut offers = Vec::new();
        for held in (50_000..=56_000).rev() {
            let offer = window.next_offer(1000);
            if offers.last() != Some(&offer) {
                offers.push(offer);
            }
            window.on_gone(1, held);
        }
        assert_eq!(offers, [0, 4000, 5000, 6000]);
    }

    // Shows: 9293 SHLD-14, RFC9293 s3.10.7.4s
    #[test]
    fn the_right_edge_never_moves_left() {
        let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1000, true);
        let start = SeqNumber(u32::MAX - 3000);
        window.on_handshake(start, true, 1000);
        let mut edge = start + window.remaining(start);
        for step in 0..200u32 {
            let nxt = start + step * 500;
            arrive(&mut window, 500);
            if window.remaining(nxt) < 500 {
                assert!(step > 100, "{step}");
                break;
            }
            window.offer(nxt, 1000);
            let new_edge = nxt + window.remaining(nxt);
            assert!(new_edge.at_or_after(edge), "step {step}");
            edge = new_edge;
        }
    }

    // Shows: RFC7323 s2.4a
    #[test]
    fn where_edges_may_move_left_the_offer_follows_the_memory_and_the_old_edge_is_remembered() {
        let shrinking = Room { may_shrink: true, ..room(16_384, 1 << 22) };
        for scaling in [true, false] {
            let mut window = ReceiveWindow::initial(&shrinking, 1460, scaling);
            let start = SeqNumber(u32::MAX - 5);
            window.on_handshake(start, scaling, 1460);
            let edge = window.remaining(start);
            for _ in 0..4 {
                arrive(&mut window, 1000);
            }
            window.slow_start = 100_000;
            let nxt = start + 4000;
            let field = window.offer(nxt, 1000);
            if scaling {
                let unit = 1 << window.scale().shift();
                let free = (32_768 - 4 * 2304) / 2;
                assert_eq!(u32::from(field), free / unit);
                assert!(window.remaining(nxt) < edge - 4000);
            } else {
                assert!(window.remaining(nxt) >= edge - 4000);
            }
            assert!(window.max_remaining(nxt) >= edge - 4000);
            assert_eq!(window.max_remaining(start + edge + 40_000), 0);
        }
    }

    #[test]
    fn who_overflows_the_buffer_sees_it_grow_and_a_chosen_one_gives_a_closed_window() {
        for (max_memory, exceeded) in [(400_000, false), (20_000, true)] {
            let room = Room { memory: 20_000, max_memory, ..room(10_000, 10_000) };
            let mut window = ReceiveWindow::initial(&room, 1000, true);
            let start = SeqNumber(1);
            window.on_handshake(start, true, 1000);
            for _ in 0..25 {
                arrive(&mut window, 1000);
            }
            assert!(window.is_exceeded());
            window.squeeze(25_000, 1000);
            assert_eq!(window.is_exceeded(), exceeded, "{max_memory}");
            if exceeded {
                window.refuse();
                assert_eq!(window.offer(start + 1000, 1000), 0);
                assert_eq!(window.remaining(start + 1000), 0);
                assert!(window.max_remaining(start + 1000) > 0);
                window.on_gone(25_000, 25_000);
                assert_eq!(window.offer(start + 1000, 1000), 2000, "little at first");
            }
        }
    }

    #[test]
    fn short_of_memory_nothing_grows_and_a_full_buffer_offers_little() {
        let mut window = ReceiveWindow::initial(&room(65_536, 1 << 22), 1000, true);
        window.on_handshake(SeqNumber(0), true, 1000);
        let calm = window.next_offer(1000);
        window.set_short(true);
        assert!(!arrive(&mut window, 9000));
        window.on_gone(9000, 9000);
        window.grow_capacity(1 << 20);
        assert_eq!(window.next_offer(1000), calm);
        assert_eq!(window.memory(), 131_072);
        let shift = window.scale().shift();
        let little = 4000u32.div_ceil(1 << shift) << shift;
        for _ in 0..40 {
            arrive(&mut window, 1000);
        }
        assert_eq!(window.next_offer(1000), little);
        window.set_short(false);
        assert!(window.next_offer(1000) > 15_000);
        window.grow_capacity(100_000);
        assert_eq!(window.memory(), 200_000);
        window.grow_capacity(usize::MAX);
        assert_eq!(window.memory(), 262_144, "the most that it may have");
        window.learn(9000);
        assert!(arrive(&mut window, 9000));
        assert!(window.next_offer(1000) > calm);
    }
}
