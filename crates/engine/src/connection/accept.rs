//! Whether a segment is of this connection's present: sequence number, timestamps, RST and SYN, by
//! RFC 9293 section 3.10.7.4, RFC 7323 section 5.3 and RFC 5961.

use towpath_wire::SeqNumber;
use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, Segment};

use super::arrive::Step;
use super::state::StateName;
use super::{Connection, Context};
use crate::counters::Counters;
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;
use crate::recv::Placement;

/// Linux's bound on how far a repeated ACK's timestamp may lie behind, in RTOs: the fastest clock that
/// it knows ticks 1200 times a second.
const REPLAY_TICKS_PER_SECOND: u128 = 1200;

impl Connection {
    /// First: the sequence number, and before it PAWS. Neither judges a reset, whose number has to
    /// be exact in any case, and a SYN is never in place, whatever its number.
    // Implements: RFC9293 s3.10.7.4a, RFC9293 s3.10.7.4b, RFC7323 s5.3R1, RFC7323 s5.3R2, RFC7323 s5.2
    pub(super) fn check_sequence(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        text_len: usize,
    ) -> Step {
        if segment.flags.contains(Flags::RST) {
            return Step::Continue;
        }
        let syn = segment.flags.contains(Flags::SYN);
        let len = segment.sequence_len(text_len);
        if self.is_out_of_date(now, segment, len) {
            if syn {
                self.challenge_syn(now, context);
            } else if len == 0 && segment.seq.before(self.recv.nxt()) {
                // Deviates: RFC 7323 section 5.3 R1 answers each. As Linux, an ACK that a later one
                // overtook is no reason to answer: the later one said more.
                context.counters.paws_old_ack += 1;
            } else {
                context.counters.paws_estab += 1;
                let skipped = |counters: &mut Counters| counters.ack_skipped_paws += 1;
                self.answer_unacceptable(now, context, segment, text_len, skipped);
            }
            return Step::Done;
        }
        if syn || self.recv.placement(segment.seq, len) == Placement::Inside {
            return Step::Continue;
        }
        context.counters.drop_out_of_window += 1;
        if self.recv.placement(segment.seq, len) == Placement::Beyond {
            context.counters.beyond_window += 1;
        }
        let orphan = self.state.name() == StateName::FinWait2 && !self.is_attached();
        let skipped = move |counters: &mut Counters| {
            if orphan {
                counters.ack_skipped_fin_wait_2 += 1;
            } else {
                counters.ack_skipped_seq += 1;
            }
        };
        self.answer_unacceptable(now, context, segment, text_len, skipped);
        Step::Done
    }

    /// PAWS, but for a plain repetition of the last ACK that is not much older: packets of one flow
    /// overtake each other, and it tells nothing that could do harm.
    fn is_out_of_date(&self, now: Instant, segment: &Segment, len: u32) -> bool {
        // Deviates: RFC 7323 section 3.2 drops a segment without the option. As Linux: some peers
        // and middleboxes leave it out, and sequence numbers still protect.
        let (Some(timestamps), Some(option)) = (&self.timestamps, segment.options.timestamps)
        else {
            return false;
        };
        if !timestamps.is_out_of_date(now, option.value) {
            return false;
        }
        let repeated = len == 0
            && segment.flags.contains(Flags::ACK)
            && segment.seq == self.recv.nxt()
            && segment.ack == self.send.una()
            && !self.send.may_update_window(segment.seq, segment.ack, segment.window);
        let behind = timestamps.recent().wrapping_sub(option.value);
        let replay = self.rtt.rto().as_millis() * REPLAY_TICKS_PER_SECOND / 1000;
        !(repeated && u128::from(behind) <= replay)
    }

    /// Sequence number, flags and ACK are acceptable: the timestamp may be believed.
    ///
    /// Deviates: RFC 7323 section 5.3 does this before the ACK field is judged (R3). As Linux, not
    /// earlier, or one forged segment with a far timestamp would shut the peer out.
    // Implements: H-22
    pub(super) fn note_timestamp(&mut self, now: Instant, segment: &Segment) {
        if let (Some(timestamps), Some(option)) = (&mut self.timestamps, segment.options.timestamps)
        {
            let last_ack_sent = self.recv.last_ack_sent();
            timestamps.on_segment(now, option.value, segment.seq, last_ack_sent);
        }
    }

    /// Second: a reset counts only at RCV.NXT exactly; elsewhere in the window it is asked back.
    ///
    /// Two other numbers are as good, as on Linux: the right edge of what SACK reports, which is what
    /// a peer that has forgotten RCV.NXT can still read off our ACK; and, behind the peer's FIN, the
    /// FIN's own, since some peers do not count it.
    // Implements: RFC9293 s3.10.7.4e, RFC9293 s3.10.7.4f, RFC9293 s3.10.7.4g, RFC5961 s3.2, 9293 SHLD-2, 9293 MUST-66, H-07
    pub(super) fn check_reset(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
    ) -> Step {
        if !segment.flags.contains(Flags::RST) {
            return Step::Continue;
        }
        let exact = segment.seq == self.recv.nxt()
            || self.recv.is_fin_received() && segment.seq + 1 == self.recv.nxt()
            || self.sack && self.recv.highest_reported() == Some(segment.seq);
        if !exact {
            if self.recv.is_in_window(segment.seq) {
                self.challenge(now, context);
            } else {
                context.counters.drop_out_of_window += 1;
            }
            return Step::Done;
        }
        let reason = match self.state.name() {
            StateName::SynReceived => CloseReason::Refused,
            StateName::CloseWait => {
                // All that the peer had to say was read or can be: only writing has failed.
                self.fail(context, CloseReason::PeerReset, SocketError::BrokenPipe);
                return Step::Done;
            }
            // RFC 1337: a reset must not cut TIME-WAIT short.
            StateName::TimeWait => return Step::Done,
            _ => CloseReason::PeerReset,
        };
        self.end(context, reason);
        Step::Done
    }

    /// Fourth: a SYN is never accepted and never answered with a reset; if the peer did restart, its
    /// answer to our ACK says so.
    // Implements: RFC9293 s3.10.7.4h, RFC5961 s4.2, H-08, H-64
    pub(super) fn check_syn(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        codepoint: Codepoint,
    ) -> Step {
        if !segment.flags.contains(Flags::SYN) {
            return Step::Continue;
        }
        if self.state.name() == StateName::SynReceived
            && segment.flags.contains(Flags::ACK)
            && segment.seq == self.recv.irs()
        {
            // Crossing SYNs: the peer's SYN-ACK completes the handshake by its ACK.
            return Step::Continue;
        }
        if let Some(accurate) = self.ecn.accurate_mut() {
            accurate.on_syn_again(codepoint, segment.options.acc_ecn.as_ref());
        }
        self.challenge_syn(now, context);
        Step::Done
    }

    fn challenge_syn(&mut self, now: Instant, context: &mut Context<'_>) {
        context.counters.syn_challenge += 1;
        self.challenge(now, context);
    }

    /// A challenge ACK (RFC 5961), at most so often.
    // Implements: RFC5961 s7, H-06, H-11
    pub(super) fn challenge(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.answers.may_challenge(now, context.config) {
            context.counters.challenge_acks += 1;
            self.recv.policy_mut().owe_now();
        } else {
            context.counters.ack_skipped_challenge += 1;
        }
    }

    /// The ACK that answers an unacceptable segment. Data is always answered: its sender waits for
    /// it. What is empty may come from a peer that answers us in turn, so it is limited.
    fn answer_unacceptable(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        text_len: usize,
        skipped: impl FnOnce(&mut Counters),
    ) {
        if segment.sequence_len(text_len) == 0 {
            if self.answers.may_answer(now, context.config) {
                self.recv.policy_mut().owe_now();
            } else {
                skipped(context.counters);
            }
            return;
        }
        self.answer_duplicate(context, segment.seq, segment.sequence_len(text_len));
    }

    /// The ACK that answers sequence numbers of which nothing is kept. Where they came before, our
    /// ACKs are lost or late: the next ones do not wait (Linux's `tcp_send_dupack`).
    pub(super) fn answer_duplicate(&mut self, context: &Context<'_>, seq: SeqNumber, len: u32) {
        let around = self.surroundings(context.config);
        self.recv.report_duplicate(seq, len, around);
        self.recv.policy_mut().owe_now();
    }
}
