//! The sending side of a connection: SND.UNA, SND.NXT, SND.WND and what lies between them
//! (RFC 9293 sections 3.3.1 and 3.8.6.2.1).
//!
//! Owns the send sequence variables, the buffer, the FIN's place and the rules on when a small
//! segment may go (Nagle with Minshall's refinement, silly-window avoidance). Not here: how much may
//! be in flight (`congestion`), what was lost (`recovery`), and when timers fire (`connection`).

mod again;
pub(crate) mod buffer;
mod hold;
pub(crate) mod marks;
pub(crate) mod mss;
mod plan;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::WindowScale;

use self::again::AgainBurst;
use self::buffer::SendBuffer;
use self::hold::Hold;
use self::marks::{Load, Marks, SendFlags, Standing};
use self::mss::SendMss;
pub(crate) use self::plan::{Blocked, Plan};
use crate::chunks::Chunks;
use crate::garbage::Garbage;
use crate::rtt::backed_off;

/// Where the FIN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    /// The application still sends.
    Open,
    /// It follows the last byte of the buffer.
    Queued,
    /// It was sent and takes a sequence number.
    Sent,
}

/// What an acknowledgment number means to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    /// Below SND.UNA by more than the largest window: not from this connection's present.
    Ancient,
    /// Below SND.UNA.
    Old,
    /// SND.UNA itself.
    Repeated,
    /// Something new.
    New,
    /// Of what was never sent.
    Unsent,
}

/// What an acknowledgment freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Payload bytes.
    pub(crate) bytes: u64,
    /// Our FIN among them.
    pub(crate) fin: bool,
}

/// What a window field changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowUpdate {
    /// Nothing: the segment is older than the one that set the window, or the value is the same.
    Unchanged,
    /// The window.
    Changed,
}

/// What congestion control lets go when a write comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// What the congestion window leaves, in bytes.
    pub(crate) room: u64,
    /// Segments that leave as one burst, at most.
    pub(crate) burst: u32,
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct SendSpace {
    iss: SeqNumber,
    una: SeqNumber,
    nxt: SeqNumber,
    wnd: u32,
    wl1: SeqNumber,
    max_wnd: u32,
    scale: WindowScale,
    buffer: SendBuffer,
    fin: Fin,
    mss: SendMss,
    hold: Hold,
    marks: Marks,
    /// Where urgent data ends, until it is acknowledged.
    urgent: Option<SeqNumber>,
    /// Segments that are still to leave of the burst that has begun.
    burst: u32,
    again: AgainBurst,
    /// The end of the last segment sent that was less than full (Minshall).
    small_end: SeqNumber,
    /// Zero-window probes since the window closed.
    probes: u32,
    /// Of those, since the peer last answered.
    unanswered: u32,
}

impl SendSpace {
    pub(crate) fn new(iss: SeqNumber, mss: SendMss, capacity: usize) -> SendSpace {
        SendSpace {
            iss,
            una: iss,
            nxt: iss + 1,
            wnd: 0,
            wl1: iss,
            max_wnd: 0,
            scale: WindowScale::new(0),
            buffer: SendBuffer::new(capacity),
            fin: Fin::Open,
            mss,
            hold: Hold::default(),
            marks: Marks::default(),
            urgent: None,
            burst: 0,
            again: AgainBurst::default(),
            small_end: iss,
            probes: 0,
            unanswered: 0,
        }
    }

    /// The handshake is complete: our SYN is acknowledged and the peer's window is known.
    pub(crate) fn on_handshake(
        &mut self,
        scale: WindowScale,
        wnd: u32,
        peer_seq: SeqNumber,
        mss: SendMss,
    ) {
        self.una = self.iss + 1;
        self.scale = scale;
        self.wnd = wnd;
        self.max_wnd = wnd;
        self.wl1 = peer_seq;
        self.mss = mss;
        self.small_end = self.una;
    }

    pub(crate) fn iss(&self) -> SeqNumber {
        self.iss
    }
    pub(crate) fn una(&self) -> SeqNumber {
        self.una
    }
    pub(crate) fn nxt(&self) -> SeqNumber {
        self.nxt
    }
    /// Bytes acknowledged since the beginning.
    pub(crate) fn acked_to(&self) -> u64 {
        self.buffer.start()
    }
    /// Bytes sent since the beginning.
    pub(crate) fn sent_to(&self) -> u64 {
        self.offset_of_next()
    }
    pub(crate) fn wnd(&self) -> u32 {
        self.wnd
    }

    /// The number of a segment without text: SND.NXT, but where the peer's window has shrunk below
    /// that, its right edge, since the peer would drop what lies beyond (Linux's
    /// `tcp_acceptable_seq`). Less than one `unit` of a scaled window is no shrinking: it may come of
    /// rounding.
    // Implements: RFC7323 s2.4c
    pub(crate) fn acceptable_seq(&self, unit: Option<u32>) -> SeqNumber {
        let edge = self.una + self.wnd;
        let is_rounding = |unit| self.nxt.distance_from(edge) < unit;
        if self.nxt.at_or_before(edge) || unit.is_some_and(is_rounding) { self.nxt } else { edge }
    }
    /// The largest window that the peer ever offered.
    pub(crate) fn max_wnd(&self) -> u32 {
        self.max_wnd
    }
    /// Whether something new waits that the peer's window takes.
    pub(crate) fn may_send_beyond(&self) -> bool {
        self.unsent() > 0 && self.window_room() > 0
    }
    pub(crate) fn scale(&self) -> WindowScale {
        self.scale
    }
    pub(crate) fn buffer(&self) -> &SendBuffer {
        &self.buffer
    }
    pub(crate) fn buffer_mut(&mut self) -> &mut SendBuffer {
        &mut self.buffer
    }
    pub(crate) fn mss(&self) -> &SendMss {
        &self.mss
    }
    pub(crate) fn set_nodelay(&mut self, nodelay: bool) {
        self.hold.set_nodelay(nodelay, self.buffer.end());
    }
    pub(crate) fn set_cork(&mut self, cork: bool) {
        self.hold.set_cork(cork, self.buffer.end());
    }
    /// A segment of the peer arrived.
    pub(crate) fn on_arrival(&mut self) {
        self.hold.on_progress();
    }

    /// `len` bytes were appended to the buffer.
    pub(crate) fn on_written(&mut self, len: usize, flags: SendFlags, allowed: Allowed) {
        let standing = self.standing(allowed);
        let end = self.buffer.end();
        self.marks.on_write(end - len as u64, len as u64, flags, standing);
        self.hold.on_write(flags.more);
        if flags.urgent && len > 0 {
            // Implements: 9293 MUST-62, 9293 MUST-30, 9293 MUST-31
            self.urgent = Some(self.nxt + self.unsent() as u32);
        }
    }

    fn standing(&self, allowed: Allowed) -> Standing {
        let segment = u64::from(self.segment_size());
        let room = allowed.room.min(u64::from(self.window_room()));
        let sent_to = self.offset_of_next();
        Standing {
            segment,
            max_window: u64::from(self.max_wnd),
            sent_to,
            may_go_to: sent_to + room / segment.max(1) * segment,
            burst: u64::from(allowed.burst) * segment,
        }
    }

    /// Charges up to `wanted` bytes for a write, as many as the buffer and the limit of what waits to
    /// be sent allow.
    pub(crate) fn reserve(&mut self, wanted: usize, unsent_limit: u32, allowed: Allowed) -> usize {
        let held = self.buffer.charge() as u64;
        let load = Load {
            start: self.buffer.start() + held,
            held,
            capacity: self.buffer.capacity() as u64,
            unsent_limit: u64::from(unsent_limit),
        };
        let granted = self.marks.grant(wanted as u64, load, self.standing(allowed));
        let granted = usize::try_from(granted).unwrap_or(usize::MAX);
        self.buffer.reserve(granted);
        granted
    }

    /// What may still be held, with what lies around the bytes counted, as SO_SNDBUF counts it.
    pub(crate) fn room(&self) -> usize {
        let overhead = usize::try_from(self.marks.overhead()).unwrap_or(usize::MAX);
        self.buffer.room().saturating_sub(overhead)
    }

    /// The URG flag's pointer for a segment at `seq`, if it has to point at urgent data.
    pub(crate) fn urgent_pointer(&self, seq: SeqNumber) -> Option<u16> {
        let end = self.urgent.filter(|end| seq.before(*end))?;
        // Too far for the field: as far as it can say.
        Some(u16::try_from(end.distance_from(seq)).unwrap_or(u16::MAX))
    }

    /// The path carries packets of at most `mtu` bytes.
    pub(crate) fn set_path_mtu(&mut self, mtu: u32) {
        self.mss.set_path_mtu(mtu);
    }

    /// The payload of a full segment now, in bytes.
    pub(crate) fn segment_size(&self) -> u32 {
        self.mss.bounded_by_window(self.max_wnd)
    }

    /// Whether anything sent is not acknowledged.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.una != self.nxt
    }

    /// Bytes written and not yet sent.
    pub(crate) fn unsent(&self) -> u64 {
        self.buffer.end() - self.offset_of_next()
    }

    /// Bytes that were written and not acknowledged; the FIN counts as one.
    pub(crate) fn unacknowledged(&self) -> u64 {
        let fin_acknowledged = self.fin == Fin::Sent && !self.is_outstanding();
        let fin = self.fin != Fin::Open && !fin_acknowledged;
        self.buffer.len() as u64 + u64::from(fin)
    }

    /// Whether all that was written, and the FIN if there is one, is acknowledged.
    pub(crate) fn is_delivered(&self) -> bool {
        !self.is_outstanding() && self.unsent() == 0 && self.fin != Fin::Queued
    }

    /// The application is done: a FIN follows what is buffered. Only the first call counts.
    pub(crate) fn queue_fin(&mut self) {
        if self.fin == Fin::Open {
            self.fin = Fin::Queued;
        }
    }

    /// Whether text or the FIN waits to be sent for the first time.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent() > 0 || self.fin == Fin::Queued
    }

    pub(crate) fn is_fin_queued(&self) -> bool {
        self.fin != Fin::Open
    }

    /// What `ack` means here (RFC 9293 section 3.10.7.4, RFC 5961 section 5.2).
    // Implements: RFC9293 s3.10.7.4l, RFC9293 s3.10.7.4m, RFC5961 s5.2, RFC5961 s5.2b
    pub(crate) fn judge(&self, ack: SeqNumber) -> AckKind {
        if ack.after(self.nxt) {
            AckKind::Unsent
        } else if ack == self.una {
            AckKind::Repeated
        } else if ack.after(self.una) {
            AckKind::New
        } else if u64::from(self.una.distance_from(ack))
            > u64::from(self.max_wnd).min(self.acknowledged_numbers())
        {
            // As Linux, also what lies before our first byte: nobody could ever acknowledge that.
            AckKind::Ancient
        } else {
            AckKind::Old
        }
    }

    /// How many of our sequence numbers behind the SYN are acknowledged.
    fn acknowledged_numbers(&self) -> u64 {
        let fin = self.fin == Fin::Sent && !self.is_outstanding();
        self.buffer.start() + u64::from(fin)
    }

    /// Takes an acknowledgment that `judge` called new.
    pub(crate) fn acknowledge(&mut self, ack: SeqNumber, garbage: &mut Garbage) -> Acknowledged {
        debug_assert!(ack.after(self.una) && ack.at_or_before(self.nxt));
        let before = self.buffer.start();
        let fin = self.fin == Fin::Sent && ack == self.nxt;
        let offset = before.max(self.offset(ack).min(self.buffer.end()));
        self.una = ack;
        self.buffer.forget_below(offset, garbage);
        if self.small_end.before(ack) {
            self.small_end = ack;
        }
        self.marks.forget_below(offset);
        self.urgent = self.urgent.filter(|end| end.after(ack));
        Acknowledged { bytes: offset - before, fin }
    }

    /// Whether a segment with these numbers says something newer of the window.
    pub(crate) fn may_update_window(&self, seq: SeqNumber, ack: SeqNumber, field: u16) -> bool {
        let wnd = self.scale.scale_up(field);
        // Deviates: RFC 9293 asks for a later number first, and so keeps the window of a segment that
        // overtook this one, which an ACK that moves SND.UNA would carry beyond the edge that was
        // offered. As Linux, what acknowledges more says more. Of two segments with equal numbers,
        // which cannot be told apart if the network swapped them, the larger window counts; or none
        // at all.
        let newer = self.una.before(ack)
            || self.wl1.before(seq)
            || self.wl1 == seq && (wnd > self.wnd || wnd == 0);
        newer && ack.at_or_after(self.una) && ack.at_or_before(self.nxt)
    }

    /// Takes the window field of an acceptable segment.
    // Implements: RFC9293 s3.10.7.4n, 9293 MUST-1, 9293 REC-1, 9293 MUST-34
    pub(crate) fn update_window(
        &mut self,
        seq: SeqNumber,
        ack: SeqNumber,
        field: u16,
    ) -> WindowUpdate {
        if !self.may_update_window(seq, ack, field) {
            return WindowUpdate::Unchanged;
        }
        let wnd = self.scale.scale_up(field);
        self.wl1 = seq;
        if wnd == self.wnd {
            return WindowUpdate::Unchanged;
        }
        self.wnd = wnd;
        self.max_wnd = self.max_wnd.max(wnd);
        WindowUpdate::Changed
    }

    /// A planned segment is being sent: moves SND.NXT if it is new, and returns its payload. The
    /// plan's length shrinks to what one segment can carry.
    pub(crate) fn take(&mut self, plan: &mut Plan) -> Chunks {
        let from = self.offset(plan.seq);
        let chunks = self.buffer.slice(from, plan.len as usize);
        if (chunks.len() as u32) < plan.len {
            plan.len = chunks.len() as u32;
            plan.fin = false;
            plan.push = self.marks.is_pushed(from, from + u64::from(plan.len));
        }
        let end = plan.seq + plan.sequence_len();
        if end.after(self.nxt) {
            if plan.burst <= 1 && plan.len > 0 {
                self.marks.on_burst(from + u64::from(plan.len));
            }
            self.burst = plan.burst.saturating_sub(1);
            if plan.len < plan.full && plan.len > 0 {
                self.small_end = end;
            }
            if plan.fin {
                self.fin = Fin::Sent;
            }
            self.nxt = end;
        }
        chunks
    }

    /// Whether something waits that only the peer's window, the application or a timer can free:
    /// nothing is in flight whose acknowledgment would bring the news.
    pub(crate) fn waits_for_timer(&self) -> bool {
        !self.is_outstanding()
            && matches!(self.next_new(u64::MAX, 0, 1), Err(Blocked::Window | Blocked::Held))
    }

    /// Whether the peer's window is what holds the next segment back.
    pub(crate) fn is_window_limited(&self) -> bool {
        matches!(self.next_new(u64::MAX, 0, 1), Err(Blocked::Window))
    }

    /// Whether the application's wish is all that holds the next segment back.
    pub(crate) fn is_held_back(&self) -> bool {
        matches!(self.next_new(u64::MAX, 0, 1), Err(Blocked::Held))
    }

    /// How long until the window is probed: one RTO, doubling.
    // Implements: 9293 SHLD-29, 9293 SHLD-30
    pub(crate) fn probe_interval(&self, rto: Duration, max: Duration) -> Duration {
        backed_off(rto, self.probes, max)
    }

    pub(crate) fn on_probe(&mut self) {
        self.probes = self.probes.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// The peer acknowledged something acceptable: it lives.
    pub(crate) fn on_answer(&mut self) {
        self.unanswered = 0;
    }

    pub(crate) fn unanswered_probes(&self) -> u32 {
        self.unanswered
    }

    pub(crate) fn probes(&self) -> u32 {
        self.probes
    }

    /// The window opened.
    pub(crate) fn reset_probes(&mut self) {
        self.probes = 0;
    }

    /// Forgets what is buffered: the connection is over.
    pub(crate) fn clear(&mut self, garbage: &mut Garbage) {
        self.buffer.clear(garbage);
        self.marks.forget_below(u64::MAX);
        self.urgent = None;
        self.una = self.nxt;
    }

    /// RFC 9293's usable window: SND.UNA + SND.WND - SND.NXT, zero when the peer shrank it.
    fn window_room(&self) -> u32 {
        self.wnd.saturating_sub(self.nxt.distance_from(self.una))
    }

    /// The stream offset of the byte at `seq`.
    fn offset(&self, seq: SeqNumber) -> u64 {
        // Counted from SND.UNA, whose byte is the first in the buffer.
        let distance = seq.signed_distance_from(self.una);
        self.buffer.start().saturating_add_signed(i64::from(distance))
    }

    /// The stream offset of the next new byte; the FIN is not a byte.
    fn offset_of_next(&self) -> u64 {
        self.offset(self.nxt).min(self.buffer.end())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const ISS: SeqNumber = SeqNumber(u32::MAX - 1000);

    fn space(wnd: u32) -> SendSpace {
        let mss = SendMss::new("192.0.2.1".parse().unwrap(), Some(1000), None, 1500, false, 48);
        let mut send = SendSpace::new(ISS, mss, 1 << 20);
        send.on_handshake(WindowScale::new(0), wnd, SeqNumber(1), mss);
        send
    }

    fn write(send: &mut SendSpace, len: usize) {
        send.buffer_mut().append(Bytes::from(vec![7; len]));
        let allowed = Allowed { room: u64::MAX, burst: u32::MAX };
        send.on_written(len, SendFlags::default(), allowed);
    }

    fn send_next(send: &mut SendSpace) -> Result<(u32, bool, bool), Blocked> {
        let mut plan = send.next_new(u64::MAX, 0, 1)?;
        send.take(&mut plan);
        Ok((plan.len, plan.push, plan.fin))
    }

    // Shows: 9293 SHLD-28, 9293 MUST-61, RFC9293 s3.10.4
    #[test]
    fn full_segments_go_first_and_the_last_carries_push_and_fin() {
        let mut send = space(60_000);
        write(&mut send, 2500);
        send.queue_fin();
        assert_eq!(send_next(&mut send), Ok((1000, false, false)));
        assert_eq!(send_next(&mut send), Ok((1000, false, false)));
        assert_eq!(send_next(&mut send), Ok((500, true, true)));
        assert_eq!(send_next(&mut send), Err(Blocked::Nothing));
        assert_eq!(send.nxt(), ISS + 1 + 2500 + 1);
        let acknowledged = send.acknowledge(send.nxt(), &mut Garbage::default());
        assert_eq!(acknowledged, Acknowledged { bytes: 2500, fin: true });
        assert!(send.is_delivered());
    }

    #[test]
    fn what_carries_no_text_stands_on_the_edge_of_a_shrunk_window() {
        let mut send = space(4000);
        write(&mut send, 4000);
        while send_next(&mut send).is_ok() {}
        for (wnd, unit, seq) in [
            (4000, None, 4001),
            (3999, None, 4000),
            (0, None, 1),
            (3999, Some(1), 4000),
            (3999, Some(2), 4001),
            (2977, Some(1024), 4001),
            (2976, Some(1024), 2977),
        ] {
            send.wnd = wnd;
            assert_eq!(send.acceptable_seq(unit), ISS + seq, "{wnd} {unit:?}");
        }
    }

    #[test]
    fn the_last_segment_of_a_burst_carries_push() {
        let mut send = space(60_000);
        write(&mut send, 20_000);
        let mut pushed = Vec::new();
        for room in (3000..=7000).rev().step_by(1000) {
            let mut plan = send.next_new(room, 0, 2).expect("there is room");
            send.take(&mut plan);
            pushed.push(plan.push);
        }
        assert_eq!(pushed, [false, true, false, true, false]);
        // Of what goes again, a burst is what is missing of one, where the window takes it.
        for (first, missing, room, pushed) in [
            (0, 5000, 10, [false, true, false, true, false]),
            (0, 5000, 1, [false; 5]),
            (1000, 4000, 10, [false, false, true, false, false]),
            (0, 1000, 10, [false, false, false, true, false]),
        ] {
            for (segment, pushed) in pushed.into_iter().take(5 - first / 1000).enumerate() {
                let at = (first + 1000 * segment) as u64;
                let mut plan = send.plan_again(ISS + 1 + at as u32, 1000).unwrap();
                let missing = if segment == 0 { missing } else { 5000 - at };
                send.join_burst(&mut plan, room, |most| missing.min(most));
                assert_eq!(plan.push, pushed, "{first} {room}, again {segment}");
            }
        }
        // A burst of one segment is none.
        let mut send = space(60_000);
        write(&mut send, 20_000);
        for _ in 0..3 {
            let mut plan = send.next_new(1000, 0, 10).expect("there is room");
            send.take(&mut plan);
            assert!(!plan.push);
        }
    }

    // Shows: 9293 SHLD-7, 9293 MUST-17
    #[test]
    fn a_second_small_segment_waits_for_the_first_unless_nodelay() {
        let mut send = space(60_000);
        write(&mut send, 10);
        assert_eq!(send_next(&mut send), Ok((10, true, false)));
        write(&mut send, 10);
        assert_eq!(send_next(&mut send), Err(Blocked::Held));
        send.set_nodelay(true);
        assert_eq!(send_next(&mut send), Ok((10, true, false)));
    }

    #[test]
    fn after_full_segments_a_small_one_goes_at_once() {
        // Minshall: only a small segment in flight holds the next small one back.
        let mut send = space(60_000);
        write(&mut send, 1000);
        assert_eq!(send_next(&mut send), Ok((1000, true, false)));
        write(&mut send, 10);
        assert_eq!(send_next(&mut send), Ok((10, true, false)));
        write(&mut send, 10);
        assert_eq!(send_next(&mut send), Err(Blocked::Held));
    }

    // Shows: 9293 MUST-34, 9293 SHLD-15, 9293 MUST-1
    #[test]
    fn a_shrunk_window_stops_new_data_and_breaks_nothing() {
        let mut send = space(3000);
        write(&mut send, 5000);
        for _ in 0..3 {
            assert_eq!(send_next(&mut send).map(|(len, ..)| len), Ok(1000));
        }
        assert_eq!(send_next(&mut send), Err(Blocked::Window));
        let una = send.una();
        assert_eq!(send.update_window(SeqNumber(2), una, 1000), WindowUpdate::Changed);
        assert_eq!(send_next(&mut send), Err(Blocked::Window));
        // The oldest is sent again in any case; what lies beyond the edge is not.
        assert_eq!(send.plan_again(una, 1000).map(|plan| plan.len), Some(1000));
        assert_eq!(send.plan_again(una + 1000, 1000), None);
        assert_eq!(send.update_window(SeqNumber(3), una, 0x8000), WindowUpdate::Changed);
        assert_eq!(send.wnd(), 0x8000);
    }

    #[test]
    fn an_overtaken_segment_that_acknowledges_more_brings_its_window() {
        let mut send = space(3000);
        write(&mut send, 2000);
        while send_next(&mut send).is_ok() {}
        let una = send.una();
        // The peer's later segment arrived first, and still acknowledges nothing.
        send.update_window(SeqNumber(5000), una, 3000);
        send.update_window(SeqNumber(4000), una + 1000, 1000);
        assert_eq!(send.wnd(), 1000, "the edge stays where it was offered");
        send.update_window(SeqNumber(3000), una, 2000);
        assert_eq!(send.wnd(), 1000, "an older number that acknowledges no more says nothing");
    }

    #[test]
    fn what_ends_on_the_edge_of_a_shrunk_window_is_sent_again_and_a_byte_more_is_not() {
        for (window, again) in [(2000, true), (1999, false)] {
            let mut send = space(3000);
            write(&mut send, 3000);
            while send_next(&mut send).is_ok() {}
            let una = send.una();
            send.update_window(SeqNumber(2), una, window);
            assert_eq!(send.plan_again(una + 1000, 1000).is_some(), again, "{window}");
        }
    }

    #[test]
    fn delivered_is_what_was_written_and_the_fin_once_all_of_it_is_acknowledged() {
        let mut send = space(3000);
        assert!(send.is_delivered(), "nothing was written");
        write(&mut send, 1000);
        assert!(!send.is_delivered(), "unsent");
        send_next(&mut send).unwrap();
        assert!(!send.is_delivered(), "outstanding");
        let garbage = &mut Garbage::default();
        send.acknowledge(send.nxt(), garbage);
        assert!(send.is_delivered());
        send.queue_fin();
        assert!(!send.is_delivered(), "the FIN is to be sent");
        send_next(&mut send).unwrap();
        assert!(!send.is_delivered(), "the FIN is outstanding");
        send.acknowledge(send.nxt(), garbage);
        assert!(send.is_delivered());
    }

    // Shows: RFC9293 s3.10.7.4n
    #[test]
    fn what_acknowledges_something_new_brings_its_window_though_its_text_is_old() {
        let mut send = space(5000);
        write(&mut send, 10_000);
        for _ in 0..5 {
            send_next(&mut send).unwrap();
        }
        let una = send.una();
        // Beyond a hole; then what fills the hole, sent later, with less room in the window.
        send.update_window(SeqNumber(9000), una, 5000);
        assert_eq!(send.update_window(SeqNumber(5), una + 3000, 2500), WindowUpdate::Changed);
        send.acknowledge(una + 3000, &mut Garbage::default());
        assert_eq!(send_next(&mut send), Err(Blocked::Window));
    }

    // Shows: RFC9293 s3.10.7.4n
    #[test]
    fn only_a_newer_segment_changes_the_window() {
        let mut send = space(3000);
        let una = send.una();
        assert_eq!(send.update_window(SeqNumber(0), una, 10), WindowUpdate::Unchanged);
        assert_eq!(send.update_window(SeqNumber(1), una, 500), WindowUpdate::Unchanged);
        assert_eq!(send.update_window(SeqNumber(1), una, 4000), WindowUpdate::Changed);
        assert_eq!(send.update_window(SeqNumber(1), una, 0), WindowUpdate::Changed);
        assert_eq!(send.update_window(SeqNumber(2), una, 500), WindowUpdate::Changed);
        assert_eq!(send.update_window(SeqNumber(9), una - 1, 10), WindowUpdate::Unchanged);
        assert_eq!(send.wnd(), 500);
    }

    // Shows: RFC9293 s3.10.7.4l, RFC9293 s3.10.7.4m
    #[test]
    fn acknowledgment_numbers_are_judged_across_the_wrap() {
        let mut send = space(3000);
        write(&mut send, 2000);
        let first = send.una();
        while send_next(&mut send).is_ok() {}
        assert_eq!(send.judge(first), AckKind::Repeated);
        assert_eq!(send.judge(first + 2000), AckKind::New);
        assert_eq!(send.judge(first + 2001), AckKind::Unsent);
        send.acknowledge(first + 1500, &mut Garbage::default());
        assert_eq!(send.judge(first), AckKind::Old);
        assert_eq!(send.judge(first - 2000), AckKind::Ancient);
        assert_eq!(send.buffer().len(), 500);
    }

    // Shows: 9293 SHLD-29, 9293 SHLD-30
    #[test]
    fn probes_back_off_to_the_cap() {
        let mut send = space(0);
        write(&mut send, 10);
        assert!(send.waits_for_timer());
        let (rto, max) = (Duration::from_millis(300), Duration::from_secs(1));
        let mut gaps = Vec::new();
        for _ in 0..4 {
            gaps.push(send.probe_interval(rto, max).as_millis());
            send.on_probe();
        }
        assert_eq!(gaps, [300, 600, 1000, 1000]);
    }
}
