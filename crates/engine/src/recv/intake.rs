//! A segment's text goes in: trimmed to the window, put in its place, and answered
//! (RFC 9293 section 3.10.7.4, steps seven and eight).

use arrayvec::ArrayVec;
use bytes::Bytes;
use towpath_wire::SeqNumber;

use super::ack_policy::Owes;
use super::assembler::Placed;
use super::window::{Arrival, Order};
use super::{RecvSpace, Surroundings};
use crate::chunks::Chunks;
use crate::instant::Instant;

/// What became of a segment's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes that can newly be read.
    pub(crate) readable: u64,
    /// The peer's FIN is now in order.
    pub(crate) fin: bool,
    /// The ACK that is owed.
    pub(crate) owes: Owes,
    /// Why nothing, or not all, was kept.
    pub(crate) verdict: Verdict,
}

/// Why text was kept or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    InOrder,
    OutOfOrder,
    Duplicate,
    /// It lies beyond the window, in whole or in part.
    OutOfWindow,
    /// The window is closed, though nothing waits to be read.
    ZeroWindow,
    TooManyPieces,
}

/// The text and FIN of an acceptable segment.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) seq: SeqNumber,
    pub(crate) payload: Chunks,
    pub(crate) fin: bool,
    pub(crate) push: bool,
    /// The size of the segments that it arrived as, if several were joined.
    pub(crate) segment_len: u32,
}

impl RecvSpace {
    /// Takes the text and FIN of an acceptable segment.
    // Implements: RFC9293 s3.10.7.4c, RFC9293 s3.10.7.4u, 9293 SHLD-31, H-68
    pub(crate) fn on_text(&mut self, now: Instant, text: Text, around: Surroundings) -> Received {
        let Text { seq, payload, fin, push, segment_len } = text;
        let len = payload.len() as u64;
        let segment_len = segment_len.min(payload.len() as u32);
        let next = self.assembler.next();
        let signed = i64::from(seq.signed_distance_from(self.seq(next)));
        let below = signed.min(0).unsigned_abs();
        let start = next + signed.max(0).unsigned_abs();
        let end = start + len.saturating_sub(below);
        let edge = next + u64::from(self.wnd());

        let after = seq + payload.len() as u32 + u32::from(fin);
        if after.at_or_before(self.nxt()) {
            return self.on_duplicate(now, next.checked_sub(below), below.min(len), around);
        }
        if let Some(verdict) = self.judge(start, end, len > below) {
            self.policy.enter_quick_mode(self.window_segments());
            self.policy.owe_now();
            if verdict == Verdict::ZeroWindow {
                self.report_repeated(next, below, len, around);
            }
            return Received::dropped(verdict);
        }
        self.report_repeated(next, below, len, around);
        if fin {
            self.fin_at = Some(end);
        }
        self.measure(payload.len(), segment_len, push, fin);
        let had_hole = self.assembler.has_hole();
        if start > next {
            if len == 0 {
                // A FIN beyond a hole: remembered, and answered so that the hole is filled.
                self.policy.owe_now();
                return Received::dropped(Verdict::OutOfOrder);
            }
            return self.on_out_of_order(now, start, end, payload, around);
        }
        if let Some((from, to)) = self.sack.overlap(start, end)
            && around.dsack
        {
            // It repeats what waited behind the hole that it fills.
            self.sack.on_duplicate(from, to);
        }
        let held = self.held();
        let readable = self.append(start, below, end, payload);
        self.sack.on_advance(self.assembler.next());
        if readable > 0 {
            self.policy.on_advance();
            let arrival = self.arrival(len as usize, held, Order::InOrder);
            if self.window.on_arrival(arrival) {
                self.policy.on_window_growth();
            }
            self.tune.on_arrival(now, self.assembler.next(), self.wnd());
            self.policy.on_data(now, around.rto, self.window_segments());
        }
        let fin_now = self.fin_at == Some(self.assembler.next()) && !self.fin_received;
        if fin_now {
            self.fin_received = true;
            self.policy.on_fin();
            // All has arrived, and what repeats it says nothing that its sender could use.
            self.sack.finish();
            if edge == next {
                // The window is closed: its sender may take the FIN for a probe and wait.
                self.policy.owe_now();
            }
        }
        let more_than_one = self.is_more_than_one_unacknowledged();
        if self.unacknowledged() > self.rcv_mss && self.window.is_filling() {
            self.policy.stop_quick();
        }
        let owes = self.policy.decide(now, more_than_one, had_hole, around.ack_due, around.srtt);
        Received { readable, fin: fin_now, owes, verdict: Verdict::InOrder }
    }

    fn on_duplicate(
        &mut self,
        now: Instant,
        start: Option<u64>,
        len: u64,
        around: Surroundings,
    ) -> Received {
        // What lies before the stream's first byte is no repetition of one.
        if len > 0
            && around.dsack
            && let Some(start) = start
        {
            self.sack.on_duplicate(start, (start + len).min(self.assembler.next()));
        }
        self.policy.enter_quick_mode(self.window_segments());
        let blocks = self.sack.report(4);
        let owes = self.policy.owe_duplicate(now, blocks, false, None);
        Received { readable: 0, fin: false, owes, verdict: Verdict::Duplicate }
    }

    fn on_out_of_order(
        &mut self,
        now: Instant,
        start: u64,
        end: u64,
        payload: Chunks,
        around: Surroundings,
    ) -> Received {
        let mut verdict = Verdict::Duplicate;
        let len = payload.len();
        let held = self.held();
        if around.sack && self.sack.crowds_out(start, end) {
            let sack = &mut self.sack;
            self.policy.release_compressed(|| sack.report(4));
        }
        if let Some((from, to)) = self.sack.overlap(start, end) {
            if around.dsack {
                self.sack.on_duplicate(from, to);
            } else {
                self.sack.on_repeated(from, to);
            }
        }
        let mut offset = start;
        for mut chunk in payload {
            let keep = end.saturating_sub(offset).min(chunk.len() as u64);
            chunk.truncate(keep as usize);
            if chunk.is_empty() {
                break;
            }
            let chunk_end = offset + keep;
            match self.assembler.place(offset, chunk, self.max_waiting) {
                Placed::OutOfOrder => {
                    self.sack.on_out_of_order(offset, chunk_end);
                    verdict = Verdict::OutOfOrder;
                }
                Placed::TooMany => {
                    verdict = Verdict::TooManyPieces;
                    break;
                }
                Placed::Duplicate | Placed::InOrder(_) => {}
            }
            offset = chunk_end;
        }
        if verdict == Verdict::OutOfOrder {
            let arrival = self.arrival(len, held, Order::BeyondHole { grows: around.sack });
            self.make_room_beyond_hole(arrival);
        }
        let compress = around.sack && !self.sack.owes_duplicate();
        let blocks = if around.sack { self.sack.report(4) } else { ArrayVec::new() };
        let owes = self.policy.owe_duplicate(now, blocks, compress, around.srtt);
        Received { readable: 0, fin: false, owes, verdict }
    }

    /// What waits behind a hole takes room that its sender counts on: with SACK the offered window
    /// grows as with data in order, and the buffer grows by it, if somebody reads from it.
    fn make_room_beyond_hole(&mut self, arrival: Arrival) {
        if self.window.on_arrival(arrival) {
            self.policy.on_window_growth();
        }
        if self.accepted {
            let span = self.sack.highest().saturating_sub(self.assembler.next());
            self.window.grow_capacity(self.tune.on_out_of_order(span, self.advertised_mss()));
        }
    }

    /// Of a packet with `len` bytes so much was kept as more is held now than the `before`.
    fn arrival(&self, len: usize, before: usize, order: Order) -> Arrival {
        Arrival {
            len,
            kept: self.held().saturating_sub(before),
            order,
            rcv_mss: self.rcv_mss,
            advertised_mss: self.advertised_mss(),
        }
    }

    /// Whether text or a FIN at `[start, end)` is turned away.
    ///
    /// As Linux 6.18, a segment that reaches beyond the window is taken whole or not at all: whole if
    /// nothing waits to be read, so that a peer which overshoots makes progress. Its numbers begin
    /// inside the window, so what is held stays below the window and one segment. How far the window
    /// reaches, a peer may know of any that was offered; where it begins to be closed, of the last. A
    /// FIN may stand on the edge: it takes no room, and its sender would repeat it for ever.
    fn judge(&self, start: u64, end: u64, has_text: bool) -> Option<Verdict> {
        let nxt = self.nxt();
        let next = self.assembler.next();
        let edge = next + u64::from(self.window.remaining(nxt));
        let limit = next + u64::from(self.window.max_remaining(nxt));
        let overruns = end > limit.max(edge) && self.assembler.readable() > 0;
        if has_text && overruns || start > edge {
            Some(Verdict::OutOfWindow)
        } else if has_text && start == edge {
            let closed = start == next;
            Some(if closed { Verdict::ZeroWindow } else { Verdict::OutOfWindow })
        } else {
            None
        }
    }

    /// Whether the text at `seq` would be taken if there is memory for it.
    pub(crate) fn wants(&self, seq: SeqNumber, len: usize) -> bool {
        let signed = i64::from(seq.signed_distance_from(self.nxt()));
        let next = self.assembler.next();
        let start = next + signed.max(0).unsigned_abs();
        let below = signed.min(0).unsigned_abs();
        let has_text = len as u64 > below;
        has_text && self.judge(start, start + len as u64 - below, has_text).is_none()
    }

    /// Of `len` bytes the first `below` came before.
    fn report_repeated(&mut self, next: u64, below: u64, len: u64, around: Surroundings) {
        if below > 0
            && len > 0
            && around.dsack
            && let Some(from) = next.checked_sub(below)
        {
            self.sack.on_duplicate(from, (from + len).min(next));
        }
    }

    /// Appends what lies in `[start, end)`; the payload begins `skip` bytes before `start`.
    fn append(&mut self, start: u64, skip: u64, end: u64, payload: Chunks) -> u64 {
        let mut skip = skip as usize;
        let mut offset = start;
        let mut readable = 0;
        for chunk in payload {
            let from = skip.min(chunk.len());
            skip -= from;
            let room = end.saturating_sub(offset);
            let to = (chunk.len() as u64).min(from as u64 + room) as usize;
            let piece: Bytes = chunk.slice(from..to);
            if piece.is_empty() {
                continue;
            }
            let piece_end = offset + piece.len() as u64;
            if let Placed::InOrder(bytes) = self.assembler.place(offset, piece, self.max_waiting) {
                readable += bytes;
            }
            offset = piece_end;
        }
        readable
    }
}

impl Received {
    fn dropped(verdict: Verdict) -> Received {
        Received { readable: 0, fin: false, owes: Owes::Now, verdict }
    }
}
