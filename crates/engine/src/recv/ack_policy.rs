//! When an acknowledgment is sent: delayed ACKs (RFC 9293 section 3.8.6.3), quick ones at the start
//! and around losses, as Linux times them.
//!
//! Owns what is owed and how long the next delay is. An owed ACK is a count, not a flag: each
//! out-of-order segment owes one of its own, since a sender without SACK counts them.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::instant::Instant;
use crate::recv::sack::Block;

/// Linux's TCP_ATO_MIN and TCP_DELACK_MIN.
const DELAY_MIN: Duration = Duration::from_millis(40);
/// Linux's TCP_DELACK_MAX; RFC 9293 MUST-40 allows 500 ms.
const DELAY_MAX: Duration = Duration::from_millis(200);
/// Linux's bound for a delay that is not between request and answer.
const DELAY_LIMIT: Duration = Duration::from_millis(500);
/// Segments acknowledged at once while a connection begins (Linux's TCP_MAX_QUICKACKS).
const MAX_QUICK: u32 = 16;
/// Beyond this, ACKs of out-of-order segments are put into one (Linux's TCP_FASTRETRANS_THRESH).
const UNCOMPRESSED: u32 = 3;
/// How long compressed ACKs may wait (Linux's tcp_comp_sack_delay_ns).
const COMPRESSED_DELAY: Duration = Duration::from_millis(1);
/// Nor longer than this part of the round-trip time, as Linux.
const COMPRESSED_SHARE: u32 = 20;
/// ACKs that may wait to be emitted.
const MAX_OWED: usize = 8;

/// The SACK blocks of one owed ACK.
pub(crate) type Blocks = ArrayVec<Block, 4>;

/// What the arrival of a segment owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owes {
    /// An ACK now.
    Now,
    /// An ACK not later than this.
    By(Instant),
}

/// The acknowledgment policy of one connection.
#[derive(Debug)]
pub(crate) struct AckPolicy {
    /// ACKs of out-of-order segments and duplicates, each with its blocks.
    owed: ArrayVec<Blocks, MAX_OWED>,
    /// An ACK is due at once.
    now: bool,
    /// What is owed next, or is pending, is not to be delayed.
    hurried: bool,
    /// Something in order is not acknowledged yet.
    pending: bool,
    /// What was pending ended a write of the peer, once or twice: it had PSH or was small.
    pushed: u8,
    delay: Duration,
    quick: u32,
    /// The application answers what it reads: ACKs ride on the answers.
    interactive: bool,
    last_data_received: Option<Instant>,
    duplicates: u32,
    compressed: u32,
    max_compressed: u32,
}

impl AckPolicy {
    pub(crate) fn new(max_compressed: u32) -> AckPolicy {
        AckPolicy {
            owed: ArrayVec::new(),
            now: false,
            hurried: false,
            pending: false,
            pushed: 0,
            delay: Duration::ZERO,
            quick: 0,
            interactive: false,
            last_data_received: None,
            duplicates: 0,
            compressed: 0,
            max_compressed,
        }
    }

    /// Data arrived in order: adapts the delay to the gap between arrivals.
    pub(crate) fn on_data(&mut self, now: Instant, rto: Duration, window_segments: u32) {
        self.pending = true;
        match self.last_data_received {
            None => {
                self.be_quick(window_segments);
                self.delay = DELAY_MIN;
            }
            Some(last) => {
                let gap = now - last;
                if gap <= DELAY_MIN / 2 {
                    self.delay = self.delay / 2 + DELAY_MIN / 2;
                } else if gap < self.delay {
                    self.delay = (self.delay / 2 + gap).min(rto).min(DELAY_MAX);
                } else if gap > rto {
                    // The sender paused: it may be in slow start again.
                    self.be_quick(window_segments);
                }
            }
        }
        self.last_data_received = Some(now);
    }

    /// A segment in order ended a write of the peer, as far as can be seen: it may wait for an answer
    /// before it sends more.
    pub(crate) fn on_pushed(&mut self) {
        self.pushed = self.pushed.saturating_add(1);
    }

    /// As `on_pushed`, but only the first of such segments says something new: full ones end many
    /// writes.
    pub(crate) fn on_pushed_once(&mut self) {
        self.pushed = self.pushed.max(1);
    }

    /// The peer's FIN is in order: what the application still has to say to it can carry the ACK.
    pub(crate) fn on_fin(&mut self) {
        self.pending = true;
        self.interactive = true;
    }

    /// The application answers what it reads, or says that it does (Linux's pingpong mode).
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    pub(crate) fn set_interactive(&mut self, interactive: bool) {
        self.interactive = interactive;
    }

    /// The delay that the next ACK would have, if nothing hurries it (Linux's `ato`).
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// Whether something in order is not acknowledged yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Decides about an ACK for what is in order. `more_than_one` says that more than one full
    /// segment is unacknowledged and the window can grow with the ACK; `filled_hole` that data waited
    /// behind one; `pending` is when the ACK is due that is delayed already.
    // Implements: 9293 SHLD-18, 9293 SHLD-19, 9293 MUST-40, RFC5681 s4.2b
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        more_than_one: bool,
        filled_hole: bool,
        pending: Option<Instant>,
        srtt: Option<Duration>,
    ) -> Owes {
        self.pending = true;
        let delay = self.delay_now(srtt);
        if delay.is_zero() {
            // Nothing was ever received: a FIN alone.
            self.now = true;
            return Owes::Now;
        }
        // A timer that is about to fire is not worth the wait.
        let about_to_fire = pending.is_some_and(|deadline| deadline <= now + delay / 4);
        if more_than_one || filled_hole || self.is_quick() || self.hurried || about_to_fire {
            self.now = true;
            return Owes::Now;
        }
        Owes::By(now + delay)
    }

    /// An out-of-order segment or a duplicate owes an ACK of its own, with these blocks; beyond a
    /// few, several share one (with SACK only: without, a sender counts them).
    // Implements: RFC5681 s4.2a
    pub(crate) fn owe_duplicate(
        &mut self,
        now: Instant,
        blocks: Blocks,
        compress: bool,
        srtt: Option<Duration>,
    ) -> Owes {
        self.duplicates = self.duplicates.saturating_add(1);
        let compress = compress && !self.hurried;
        if compress && self.duplicates > UNCOMPRESSED && self.compressed < self.max_compressed {
            self.compressed += 1;
            self.pending = true;
            let share = srtt.map_or(COMPRESSED_DELAY, |srtt| srtt / COMPRESSED_SHARE);
            return Owes::By(now + share.min(COMPRESSED_DELAY));
        }
        self.compressed = 0;
        if self.owed.is_full() {
            self.owed.remove(0);
        }
        self.owed.push(blocks);
        Owes::Now
    }

    /// The compressed ACK, if there is one, leaves now with these blocks: the next would not report
    /// all of them.
    pub(crate) fn release_compressed(&mut self, blocks: impl FnOnce() -> Blocks) {
        if std::mem::take(&mut self.compressed) > 0 && !self.owed.is_full() {
            self.owed.push(blocks());
        }
    }

    /// What waited behind holes is gone: owed ACKs do not report it.
    pub(crate) fn forget_blocks(&mut self) {
        self.owed.iter_mut().for_each(Blocks::clear);
    }

    /// RCV.NXT moved: ACKs owed for holes below are out of date, one cumulative ACK says more.
    pub(crate) fn on_advance(&mut self) {
        if !self.owed.is_empty() {
            self.owed.clear();
            self.now = true;
        }
        self.duplicates = 0;
        self.compressed = 0;
    }

    /// An ACK must go at once, whatever the policy: a FIN, a challenge, a window that opened.
    pub(crate) fn owe_now(&mut self) {
        self.now = true;
    }

    /// The sender seems to have lost something or to start: acknowledge the next segments at once.
    pub(crate) fn be_quick(&mut self, window_segments: u32) {
        let wanted = (window_segments / 2).clamp(2, MAX_QUICK);
        self.quick = self.quick.max(wanted);
    }

    /// The window offered grows: the sender should hear of it with the next ACK already.
    pub(crate) fn on_window_growth(&mut self) {
        self.quick |= 1;
    }

    /// The buffer fills: ACKs that only open the window by a little help nobody.
    pub(crate) fn stop_quick(&mut self) {
        self.quick = 0;
    }

    /// As `be_quick`, and the conversation is no longer taken for question and answer.
    pub(crate) fn enter_quick_mode(&mut self, window_segments: u32) {
        self.be_quick(window_segments);
        self.interactive = false;
        self.delay = DELAY_MIN;
    }

    /// The peer is to hear soon of what is pending, or of what arrives next.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
        self.now |= self.pending;
    }

    /// A mark, or what cannot be marked, arrived: its sender may have a very small window.
    pub(crate) fn be_quick_for_marks(&mut self) {
        self.quick = self.quick.max(2);
        self.interactive = false;
        self.delay = DELAY_MIN;
    }

    /// The delayed-ACK timer fired.
    pub(crate) fn on_delay_expired(&mut self, rto: Duration) {
        if !self.pending {
            return;
        }
        if self.compressed > 0 {
            // The timer was for compressed ACKs: it says nothing about the application.
            self.compressed = 0;
        } else if self.interactive {
            self.interactive = false;
            self.delay = DELAY_MIN;
        } else {
            self.delay = (self.delay * 2).min(rto).min(DELAY_MAX);
        }
        self.now = true;
    }

    /// The application read: whether an ACK should go now that there is room.
    pub(crate) fn wants_ack_after_read(&self, more_than_one: bool, drained: bool) -> bool {
        self.pending
            && (more_than_one
                || drained && (self.pushed > 1 || self.pushed == 1 && !self.interactive))
    }

    /// Whether an ACK is due now.
    pub(crate) fn is_due(&self) -> bool {
        self.now || !self.owed.is_empty()
    }

    /// The blocks of the next owed ACK, if one has blocks of its own.
    /// How many blocks the next owed ACK reports, if one is owed.
    pub(crate) fn owed_blocks(&self) -> Option<usize> {
        self.owed.first().map(|blocks| blocks.len())
    }

    pub(crate) fn take_owed(&mut self) -> Option<Blocks> {
        (!self.owed.is_empty()).then(|| self.owed.remove(0))
    }

    /// A segment with an ACK left: everything in order is acknowledged.
    pub(crate) fn on_ack_sent(&mut self) {
        self.now = false;
        self.hurried = false;
        self.pending = false;
        self.pushed = 0;
        if self.quick > 0 {
            self.quick -= 1;
            if self.quick == 0 {
                self.delay = DELAY_MIN;
            }
        }
    }

    /// A segment with data left: an answer soon after a question means a dialogue.
    pub(crate) fn on_data_sent(&mut self, now: Instant) {
        if self.last_data_received.is_some_and(|last| now - last < self.delay) {
            self.interactive = true;
        }
    }

    fn is_quick(&self) -> bool {
        self.quick > 0 && !self.interactive
    }

    fn delay_now(&self, srtt: Option<Duration>) -> Duration {
        if self.delay <= DELAY_MIN {
            return self.delay;
        }
        let mut limit = if self.interactive || self.pushed > 0 { DELAY_MAX } else { DELAY_LIMIT };
        if let Some(srtt) = srtt {
            limit = limit.min(srtt.max(DELAY_MIN));
        }
        self.delay.min(limit).min(DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_millis(300);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn arrive(policy: &mut AckPolicy, millis: u64) -> Owes {
        policy.on_data(at(millis), RTO, 40);
        policy.decide(at(millis), false, false, None, None)
    }

    // Shows: 9293 SHLD-18, 9293 MUST-40
    #[test]
    fn the_first_segments_are_acknowledged_at_once_and_later_ones_by_the_delay() {
        let mut policy = AckPolicy::new(44);
        for segment in 0..16 {
            assert_eq!(arrive(&mut policy, segment), Owes::Now, "segment {segment}");
            policy.on_ack_sent();
        }
        assert_eq!(arrive(&mut policy, 20), Owes::By(at(60)));
    }

    /// The delay of an ACK after segments that came in these gaps, in milliseconds.
    fn delay_after(gaps: &[u64], srtt: Option<u64>) -> Option<u128> {
        let mut policy = AckPolicy::new(44);
        let mut now = 0;
        policy.on_data(at(now), Duration::from_secs(1), 40);
        policy.stop_quick();
        for gap in gaps {
            now += gap;
            policy.on_data(at(now), Duration::from_secs(1), 40);
        }
        match policy.decide(at(now), false, false, None, srtt.map(Duration::from_millis)) {
            Owes::By(due) => Some((due - at(now)).as_millis()),
            Owes::Now => None,
        }
    }

    // Shows: 9293 MUST-40
    #[test]
    fn the_delay_follows_the_gaps_and_is_from_40_to_200_ms_and_no_round_trip_too_long() {
        for (gaps, srtt, delay) in [
            (&[][..], None, 40),
            (&[30], None, 50),
            (&[30, 49], None, 74),
            (&[30, 49, 73], None, 110),
            (&[30, 49, 73], Some(60), 60),
            (&[30, 49, 73], Some(10), 40),
            (&[30, 49, 73, 109, 163, 200], None, 200),
            (&[30, 10], None, 45),
        ] {
            assert_eq!(delay_after(gaps, srtt), Some(delay), "{gaps:?} {srtt:?}");
        }
    }

    #[test]
    fn quick_acks_are_used_up_one_by_one() {
        let mut policy = AckPolicy::new(44);
        policy.on_data(at(0), RTO, 6);
        let mut quick = 0;
        while policy.decide(at(0), false, false, None, None) == Owes::Now {
            policy.on_ack_sent();
            quick += 1;
        }
        assert_eq!(quick, 3, "half of the window's segments");
    }

    // Shows: 9293 SHLD-19
    #[test]
    fn more_than_one_full_segment_is_acknowledged_at_once() {
        let mut policy = AckPolicy::new(44);
        policy.on_data(at(0), RTO, 1);
        assert_eq!(policy.decide(at(0), true, false, None, None), Owes::Now);
        assert!(policy.is_due());
    }

    #[test]
    fn in_a_dialogue_acknowledgments_wait_for_the_answer() {
        let mut policy = AckPolicy::new(44);
        assert_eq!(arrive(&mut policy, 0), Owes::Now);
        policy.on_ack_sent();
        policy.on_data_sent(at(1));
        assert_eq!(arrive(&mut policy, 2), Owes::By(at(42)));
    }

    // Shows: RFC5681 s4.2a
    #[test]
    fn each_out_of_order_segment_owes_an_ack_and_a_filled_hole_makes_them_one() {
        let mut policy = AckPolicy::new(44);
        for _ in 0..3 {
            assert_eq!(policy.owe_duplicate(at(0), Blocks::new(), true, None), Owes::Now);
        }
        assert_eq!(
            policy.owe_duplicate(at(0), Blocks::new(), true, None),
            Owes::By(Instant::from_millis(1))
        );
        let mut emitted = 0;
        while policy.take_owed().is_some() {
            emitted += 1;
        }
        assert_eq!(emitted, 3);
        policy.owe_duplicate(at(0), Blocks::new(), false, None);
        policy.on_advance();
        assert!(policy.take_owed().is_none());
        assert!(policy.is_due());
    }
}
