//! The receiving side of a connection: RCV.NXT, RCV.WND and the bytes between arrival and read
//! (RFC 9293 sections 3.3.1, 3.10.7.4 and 3.8.6.2.2).
//!
//! Owns the receive sequence variables, reassembly, the offered window, what SACK reports, and what
//! is owed to the peer by way of acknowledgment. Not here: whether the state may receive, resets and
//! timestamps (`connection`).

mod account;
pub(crate) mod ack_policy;
pub(crate) mod assembler;
pub(crate) mod autotune;
mod intake;
mod ration;
pub(crate) mod room;
pub(crate) mod sack;
mod urgent;
pub(crate) mod window;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::{SackBlock, SackBlocks};

use self::ack_policy::AckPolicy;
use self::assembler::Assembler;
use self::autotune::AutoTune;
pub(crate) use self::intake::{Text, Verdict};
use self::room::Room;
use self::sack::{Block, SackReporter};
use self::urgent::UrgentMark;
use self::window::ReceiveWindow;
use crate::chunks::Chunks;
use crate::config::Config;
use crate::garbage::Garbage;
use crate::instant::Instant;

/// Linux's TCP_MSS_DEFAULT: the first guess at the size of arriving segments.
const RCV_MSS_GUESS: u32 = 536;
/// Linux's TCP_MIN_MSS: the smallest segment that can be a full one.
const LEAST_RCV_MSS: u32 = 88;

/// Segments that a sender's first round trip brings (RFC 6928): an application that takes more in one
/// wants a larger buffer.
const FIRST_ROUND: u32 = 10;

/// How a segment's numbers lie to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It may carry something new.
    Inside,
    /// All of it lies before what was acknowledged.
    Before,
    /// It begins beyond the window.
    Beyond,
}

/// What the receiver must know of the rest of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) rto: Duration,
    pub(crate) srtt: Option<Duration>,
    /// When the ACK is due that is delayed already.
    pub(crate) ack_due: Option<Instant>,
    pub(crate) sack: bool,
    pub(crate) dsack: bool,
}

/// The acknowledgment fields of an outgoing segment.
#[derive(Clone, Debug)]
pub(crate) struct AckFields {
    pub(crate) ack: SeqNumber,
    pub(crate) window: u16,
    pub(crate) sack: SackBlocks,
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct RecvSpace {
    irs: SeqNumber,
    assembler: Assembler,
    window: ReceiveWindow,
    sack: SackReporter,
    policy: AckPolicy,
    tune: AutoTune,
    /// The offset of the peer's FIN, once seen.
    fin_at: Option<u64>,
    fin_received: bool,
    /// The size of the segments that arrive, estimated (Linux's `rcv_mss`).
    rcv_mss: u32,
    /// The size of the last segment if it was smaller, but may be all that the peer's path carries.
    last_small_segment: u32,
    /// What our SYN asked for, and what of it options take.
    asked_mss: u32,
    options_len: u32,
    max_waiting: usize,
    max_capacity: usize,
    /// With fewer bytes than this the application is not woken (SO_RCVLOWAT).
    low_water: usize,
    scaled: bool,
    /// An application has the socket: what is buffered may grow.
    accepted: bool,
    urgent: UrgentMark,
}

impl RecvSpace {
    /// `window` is what our SYN offers.
    pub(crate) fn new(
        now: Instant,
        config: &Config,
        room: &Room,
        window: ReceiveWindow,
        advertised_mss: u16,
    ) -> RecvSpace {
        RecvSpace {
            irs: SeqNumber::default(),
            assembler: Assembler::default(),
            tune: AutoTune::new(
                now,
                u64::from(window.syn_field())
                    .min(u64::from(advertised_mss) * u64::from(FIRST_ROUND)),
            ),
            window,
            sack: SackReporter::default(),
            policy: AckPolicy::new(config.tcp_comp_sack_nr),
            fin_at: None,
            fin_received: false,
            rcv_mss: RCV_MSS_GUESS.min(u32::from(advertised_mss)).max(LEAST_RCV_MSS),
            last_small_segment: 0,
            asked_mss: u32::from(advertised_mss),
            options_len: 0,
            max_waiting: config.max_out_of_order,
            max_capacity: room.max_memory / 2,
            low_water: 1,
            scaled: false,
            accepted: false,
            urgent: UrgentMark::default(),
        }
    }

    /// The SYN-ACK offered this window, and this shift for all later ones.
    pub(crate) fn on_promise(&mut self, shift: u8, window: u16) {
        self.window.on_promise(shift, window);
    }

    /// An application has the socket.
    pub(crate) fn on_accept(&mut self) {
        self.accepted = true;
    }

    /// The peer's initial sequence number is known. Each segment carries so many bytes of options.
    pub(crate) fn on_handshake(&mut self, irs: SeqNumber, scaling: bool, options_len: u32) {
        self.irs = irs;
        self.scaled = scaling;
        self.options_len = options_len;
        self.window.on_handshake(irs + 1, scaling, self.advertised_mss());
        let first_round = self.advertised_mss().saturating_mul(FIRST_ROUND);
        self.tune.limit(first_round.min(self.window.slow_start()));
    }

    /// RCV.NXT.
    pub(crate) fn nxt(&self) -> SeqNumber {
        self.seq(self.assembler.next()) + u32::from(self.fin_received)
    }

    /// What is left of RCV.WND as last offered.
    pub(crate) fn wnd(&self) -> u32 {
        self.window.remaining(self.nxt())
    }

    pub(crate) fn irs(&self) -> SeqNumber {
        self.irs
    }

    pub(crate) fn window(&self) -> &ReceiveWindow {
        &self.window
    }

    /// The last acknowledgment number that was sent.
    pub(crate) fn last_ack_sent(&self) -> SeqNumber {
        self.window.last_ack_sent()
    }

    pub(crate) fn policy(&self) -> &AckPolicy {
        &self.policy
    }

    pub(crate) fn policy_mut(&mut self) -> &mut AckPolicy {
        &mut self.policy
    }

    pub(crate) fn rcv_mss(&self) -> u32 {
        self.rcv_mss
    }

    /// The round-trip time as the receiver sees it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.tune.rtt()
    }

    /// What the application takes in a round trip, in bytes.
    pub(crate) fn space(&self) -> u64 {
        self.tune.best()
    }

    /// Both sides scale their windows.
    pub(crate) fn is_scaled(&self) -> bool {
        self.scaled
    }

    /// The payload of the segments that we ask the peer for, in bytes.
    pub(crate) fn advertised_mss(&self) -> u32 {
        self.asked_mss.saturating_sub(self.options_len).max(1)
    }

    /// Bytes that can be read.
    pub(crate) fn readable(&self) -> usize {
        self.assembler.readable()
    }

    /// Whether a reader that waits for the low-water mark is to be woken: so much is there, or the
    /// window has no room for the rest of it.
    pub(crate) fn is_readable(&self) -> bool {
        let readable = self.readable();
        readable > 0 && (readable >= self.low_water || self.wnd() <= self.rcv_mss)
    }

    /// SO_RCVLOWAT, at most half of what the largest buffer takes.
    pub(crate) fn set_low_water(&mut self, bytes: usize) {
        self.low_water = bytes.clamp(1, self.max_capacity.max(1));
    }

    /// Bytes kept, in order or not.
    pub(crate) fn held(&self) -> usize {
        self.assembler.readable() + self.assembler.waiting()
    }

    /// Whether the peer's FIN is in order: nothing follows what can be read.
    pub(crate) fn is_fin_received(&self) -> bool {
        self.fin_received
    }

    /// Where a segment of `len` sequence numbers lies.
    ///
    /// RFC 9293's table, a little wider at its edges, as Linux: the left edge is the last
    /// acknowledgment sent, since a peer that has not seen a later one still counts from there, and
    /// an empty segment may stand on the right edge. Both only let an ACK be used; text is trimmed to
    /// the window in any case.
    // Implements: RFC9293 s3.10.7.4a, RFC9293 A.2, RFC7323 s2.4a
    pub(crate) fn placement(&self, seq: SeqNumber, len: u32) -> Placement {
        let nxt = self.nxt();
        if (seq + len).before(self.window.last_ack_sent()) {
            Placement::Before
        } else if seq.after(nxt + self.window.max_remaining(nxt)) {
            Placement::Beyond
        } else {
            Placement::Inside
        }
    }

    /// The right edge of what arrived beyond a hole: the highest number that SACK reports.
    pub(crate) fn highest_reported(&self) -> Option<SeqNumber> {
        self.assembler.highest().map(|offset| self.seq(offset))
    }

    /// Whether `seq` is strictly inside the window: for resets, which RFC 5961 judges harder.
    pub(crate) fn is_in_window(&self, seq: SeqNumber) -> bool {
        let nxt = self.nxt();
        let wnd = self.window.max_remaining(nxt);
        seq == nxt || seq.within(nxt, nxt + wnd)
    }

    /// A segment that carries nothing new, or lies out of the window, owes an ACK, with a D-SACK
    /// where it repeats bytes.
    pub(crate) fn report_duplicate(&mut self, seq: SeqNumber, len: u32, around: Surroundings) {
        let nxt = self.nxt();
        if len == 0 || !seq.before(nxt) {
            return;
        }
        self.policy.enter_quick_mode(self.window_segments());
        // The FIN is a number like any other.
        let next = self.assembler.next() + u64::from(self.fin_received);
        if around.dsack
            && let Some(from) = next.checked_sub(u64::from(nxt.distance_from(seq)))
        {
            self.sack.on_duplicate(from, (from + u64::from(len)).min(next));
        }
    }

    /// The application takes up to `max` bytes. Whether an ACK should tell the peer of the room.
    pub(crate) fn read(&mut self, now: Instant, max: usize) -> Chunks {
        let max = self.urgent.limit(self.read_to(), max);
        let held = self.held();
        let chunks = self.assembler.take(max);
        if chunks.is_empty() {
            return chunks;
        }
        self.window.on_gone(chunks.len(), held);
        self.urgent.on_read(self.read_to());
        let span = self.sack.highest().saturating_sub(self.assembler.next());
        if let Some(capacity) = self.tune.on_read(now, chunks.len(), span, self.advertised_mss()) {
            self.window.grow_capacity(capacity);
        }
        if !self.fin_received {
            let drained = self.assembler.readable() == 0;
            let more_than_one = self.unacknowledged() > self.rcv_mss;
            if self.policy.wants_ack_after_read(more_than_one, drained) || self.window_doubles() {
                self.policy.owe_now();
            }
        }
        chunks
    }

    pub(crate) fn peek(&self, max: usize) -> Chunks {
        self.assembler.peek(self.urgent.limit(self.read_to(), max))
    }

    /// The fields of an outgoing segment with ACK; what was owed is thereby paid.
    pub(crate) fn acknowledge(&mut self, max_blocks: usize) -> AckFields {
        let nxt = self.nxt();
        if self.window.is_filling() {
            self.policy.stop_quick();
        }
        let window = self.window.offer(nxt, self.rcv_mss);
        let blocks = match self.policy.take_owed() {
            Some(blocks) => blocks,
            None => self.sack.report(max_blocks),
        };
        let sack = blocks.into_iter().take(max_blocks).map(|block| self.to_wire(block)).collect();
        self.policy.on_ack_sent();
        AckFields { ack: nxt, window, sack }
    }

    /// How many SACK blocks the next segment is to report, if it has room for `max_blocks`.
    pub(crate) fn sack_blocks(&self, max_blocks: usize) -> usize {
        self.policy.owed_blocks().unwrap_or(self.sack.pending()).min(max_blocks)
    }

    /// A segment brought `text_len` bytes, of them `readable` new ones in order, and echoed a
    /// timestamp of ours.
    pub(crate) fn on_echo(&mut self, echo: u32, sample: Duration, text_len: usize, readable: u64) {
        // A small one may have waited for its application.
        if text_len >= self.rcv_mss as usize {
            self.tune.on_echo(echo, sample, self.readable() as u64 <= readable);
        }
    }

    /// The application chose another buffer or clamp.
    pub(crate) fn set_room(&mut self, room: &Room) {
        self.max_capacity = room.max_memory / 2;
        self.window.set_room(room);
    }

    /// Nobody will read any more.
    pub(crate) fn clear(&mut self, garbage: &mut Garbage) {
        self.window.on_gone(self.held(), self.held());
        garbage.add_reassembly(self.assembler.clear());
        self.sack.clear();
    }

    /// Adapts the estimate of the peer's segment size, and notes where one of its writes seems to
    /// end: in a segment that is less than full, or full and pushed.
    fn measure(&mut self, len: usize, segment_len: u32, push: bool, fin: bool) {
        if segment_len == 0 {
            return;
        }
        let last = core::mem::take(&mut self.last_small_segment);
        if segment_len >= self.rcv_mss {
            if segment_len != self.rcv_mss
                && let Some(most) = self.window.learn(len)
            {
                self.tune.limit(most);
            }
            self.rcv_mss = segment_len.min(self.advertised_mss().max(RCV_MSS_GUESS));
            if push {
                self.policy.on_pushed_once();
            }
            return;
        }
        let may_be_full =
            segment_len >= RCV_MSS_GUESS || segment_len >= LEAST_RCV_MSS && !push && !fin;
        if may_be_full {
            // Two alike, and no write ends there: the peer's segments are of this size.
            self.last_small_segment = segment_len;
            if last == segment_len {
                self.rcv_mss = segment_len;
                return;
            }
        }
        self.policy.on_pushed();
    }

    /// Bytes received since the last ACK.
    fn unacknowledged(&self) -> u32 {
        self.nxt().distance_from(self.window.last_ack_sent())
    }

    /// Linux's rule for an ACK at once: more than one full segment, and room to offer more.
    fn is_more_than_one_unacknowledged(&self) -> bool {
        if self.unacknowledged() <= self.rcv_mss {
            return false;
        }
        // A reader that waits for more will not open the window: the ACK must go without it. Where
        // less can be offered than before, it goes when something was read.
        let offer = self.window.next_offer(self.rcv_mss);
        self.readable() < self.low_water || offer >= self.window.offered()
    }

    /// Whether the window that could be offered is at least twice what is left of the last one.
    // Implements: 9293 MUST-39
    fn window_doubles(&self) -> bool {
        let nxt = self.nxt();
        let remaining = self.window.remaining(nxt);
        if remaining > self.window.full() / 2 {
            return false;
        }
        let next = self.window.next_offer(self.rcv_mss);
        next > 0 && next >= remaining.saturating_mul(2)
    }

    fn window_segments(&self) -> u32 {
        self.wnd() / self.rcv_mss.max(1)
    }

    fn seq(&self, offset: u64) -> SeqNumber {
        self.irs + 1 + offset as u32
    }

    fn to_wire(&self, block: Block) -> SackBlock {
        SackBlock { left: self.seq(block.0), right: self.seq(block.1) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::ack_policy::Owes;
    use super::intake::Received;
    use super::*;
    use crate::connection::options::SocketOptions;

    const IRS: SeqNumber = SeqNumber(u32::MAX - 100);
    const AROUND: Surroundings = Surroundings {
        rto: Duration::from_millis(300),
        srtt: None,
        ack_due: None,
        sack: true,
        dsack: true,
    };

    fn space() -> RecvSpace {
        let config = Config::default();
        let room = Room::new(&config, &SocketOptions::default());
        let window = ReceiveWindow::initial(&room, 1460, true);
        let mut recv = RecvSpace::new(Instant::ZERO, &config, &room, window, 1460);
        recv.on_handshake(IRS, true, 0);
        recv
    }

    fn text(recv: &mut RecvSpace, offset: i64, data: &'static [u8], fin: bool) -> Received {
        let seq = if offset >= 0 {
            IRS + 1 + offset as u32
        } else {
            IRS + 1 - offset.unsigned_abs() as u32
        };
        let payload = Chunks::from(Bytes::from_static(data));
        give(recv, Text { seq, payload, fin, push: true, segment_len: data.len() as u32 })
    }

    fn give(recv: &mut RecvSpace, text: Text) -> Received {
        recv.on_text(Instant::ZERO, text, AROUND)
    }

    fn read(recv: &mut RecvSpace) -> Vec<u8> {
        recv.read(Instant::ZERO, usize::MAX).to_vec()
    }

    // Shows: RFC9293 s3.10.7.4u, H-33
    #[test]
    fn a_fin_ends_the_stream_only_when_all_before_it_has_arrived() {
        let mut recv = space();
        assert!(!text(&mut recv, 3, b"def", true).fin);
        assert!(!recv.is_fin_received());
        let received = text(&mut recv, 0, b"abc", false);
        assert!(received.fin);
        assert_eq!(received.readable, 6);
        assert_eq!(recv.nxt(), IRS + 1 + 6 + 1);
        assert_eq!(read(&mut recv), b"abcdef");
    }

    // Shows: RFC9293 s3.10.7.4c, RFC2883 s4c
    #[test]
    fn a_segment_across_rcv_nxt_gives_only_its_new_bytes_and_a_d_sack() {
        let mut recv = space();
        text(&mut recv, 0, b"abcd", false);
        recv.acknowledge(3);
        let received = text(&mut recv, 2, b"XXef", false);
        assert_eq!(received.readable, 2);
        assert_eq!(read(&mut recv), b"abcdef");
        let ack = recv.acknowledge(3);
        let block = SackBlock { left: IRS + 1 + 2, right: IRS + 1 + 4 };
        assert_eq!(ack.sack.as_slice(), [block]);
        assert!(recv.acknowledge(3).sack.is_empty());
    }

    // Shows: RFC2883 s4a
    #[test]
    fn a_whole_duplicate_is_acknowledged_at_once_with_a_d_sack() {
        let mut recv = space();
        text(&mut recv, 0, b"abcd", false);
        recv.acknowledge(3);
        let received = text(&mut recv, 0, b"abcd", false);
        assert_eq!((received.readable, received.verdict), (0, Verdict::Duplicate));
        let ack = recv.acknowledge(3);
        assert_eq!(ack.sack.as_slice(), [SackBlock { left: IRS + 1, right: IRS + 5 }]);
    }

    #[test]
    fn the_next_acks_blocks_are_known_before_it_leaves() {
        let mut recv = space();
        assert_eq!(recv.sack_blocks(3), 0);
        for (hole, blocks) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
            text(&mut recv, 10 * hole, b"x", false);
            let known = recv.sack_blocks(3);
            let ack = recv.acknowledge(3);
            assert_eq!((known, ack.sack.len()), (blocks, blocks), "{hole}");
        }
        assert_eq!(recv.sack_blocks(0), 0);
    }

    #[test]
    fn the_peers_segment_size_is_a_size_that_comes_twice_without_the_end_of_a_write() {
        for (len, push, fin, estimate) in [
            (200, false, false, 200),
            (200, true, false, 536),
            (200, false, true, 536),
            (87, false, false, 536),
            (88, false, false, 88),
        ] {
            let mut recv = space();
            recv.measure(len as usize, len, push, fin);
            assert_eq!(recv.rcv_mss(), 536, "once is nothing");
            recv.measure(len as usize, len, push, fin);
            assert_eq!(recv.rcv_mss(), estimate, "{len} {push} {fin}");
        }
        // From the guess on, also at the end of a write.
        let mut recv = space();
        recv.measure(1000, 1000, false, false);
        for _ in 0..2 {
            recv.measure(536, 536, true, false);
        }
        assert_eq!(recv.rcv_mss(), 536);
    }

    #[test]
    fn acks_of_holes_are_put_together_from_the_fourth_on_but_never_one_with_a_d_sack() {
        let mut recv = space();
        let mut owes = Vec::new();
        for hole in 1..=4 {
            owes.push(text(&mut recv, 10 * hole, b"xy", false).owes);
        }
        owes.push(text(&mut recv, 40, b"xy", false).owes);
        let now = Owes::Now;
        assert_eq!(owes, [now, now, now, Owes::By(Instant::from_millis(1)), now]);
    }

    // Shows: H-68
    #[test]
    fn what_reaches_beyond_the_window_is_taken_whole_only_while_nothing_waits_to_be_read() {
        let mut recv = space();
        let wnd = recv.wnd();
        let large = || Chunks::from(Bytes::from(vec![1u8; 100_000]));
        let give_at = |recv: &mut RecvSpace, offset: u32, payload: Chunks, fin: bool| {
            let text = Text { seq: IRS + 1 + offset, payload, fin, push: false, segment_len: 1460 };
            let received = give(recv, text);
            (received.readable, received.verdict, received.fin)
        };
        let byte = || Chunks::from(Bytes::from_static(b"x"));
        assert_eq!(give_at(&mut recv, wnd, byte(), false), (0, Verdict::OutOfWindow, false));
        assert_eq!(give_at(&mut recv, 0, byte(), false).0, 1);
        assert_eq!(give_at(&mut recv, 1, large(), true), (0, Verdict::OutOfWindow, false));
        assert_eq!(recv.read(Instant::ZERO, 10).len(), 1);
        assert_eq!(give_at(&mut recv, 1, large(), true), (100_000, Verdict::InOrder, true));
        assert_eq!(recv.held(), 100_000);
        assert_eq!(recv.wnd(), 0);
    }

    #[test]
    fn a_fin_alone_is_taken_even_when_the_window_is_closed() {
        let mut recv = space();
        let wnd = recv.wnd() as usize;
        let payload = Chunks::from(Bytes::from(vec![1u8; wnd]));
        give(&mut recv, Text { seq: IRS + 1, payload, fin: false, push: false, segment_len: 1460 });
        assert_eq!(recv.wnd(), 0);
        assert!(text(&mut recv, wnd as i64, b"", true).fin);
    }

    // Shows: RFC9293 s3.10.7.4a
    #[test]
    fn segments_are_placed_at_both_edges_of_the_window() {
        let mut recv = space();
        text(&mut recv, 0, b"abcd", false);
        recv.acknowledge(3);
        let nxt = recv.nxt();
        let wnd = recv.wnd();
        for (seq, len, placement) in [
            (nxt - 4, 3, Placement::Before),
            (nxt - 4, 4, Placement::Inside),
            (nxt, 0, Placement::Inside),
            (nxt + wnd, 0, Placement::Inside),
            (nxt + wnd + 1, 0, Placement::Beyond),
            (nxt + wnd + 1, 10, Placement::Beyond),
        ] {
            assert_eq!(recv.placement(seq, len), placement, "{seq:?} {len}");
        }
        assert!(recv.is_in_window(nxt) && recv.is_in_window(nxt + wnd - 1));
        assert!(!recv.is_in_window(nxt + wnd) && !recv.is_in_window(nxt - 1));
    }
}
