//! Whether a segment is of this connection's present: sequence number, timestamps, RST and SYN, by
//! RFC 9293 section 3.10.7.4, RFC 7323 section 5.3 and RFC 5961.

use towpath_wire::tcp::{Flags, Segment};

use super::arrive::Step;
use super::state::StateName;
use super::{Connection, Context};
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;
use crate::recv::Placement;

impl Connection {
    /// First: the sequence number.
    // Implements: RFC9293 s3.10.7.4a, RFC9293 s3.10.7.4b, RFC7323 s5.3R1, RFC7323 s5.3R2, RFC7323 s5.2
    pub(super) fn check_sequence(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        text_len: usize,
    ) -> Step {
        let reset = segment.flags.contains(Flags::RST);
        let old = match (&self.timestamps, segment.options.timestamps) {
            (Some(timestamps), Some(option)) => timestamps.is_old(now, option.value),
            // Deviates: RFC 7323 section 3.2 drops a segment without the option. As Linux: some
            // peers and middleboxes leave it out, and sequence numbers still protect.
            _ => false,
        };
        if old && !reset {
            context.counters.paws_estab += 1;
            // Deviates: RFC 7323 section 5.3 R1 answers each. As Linux, an ACK that a later one
            // overtook is no reason to answer: the later one said more.
            if segment.sequence_len(text_len) > 0 {
                self.answer_unacceptable(now, context, segment, text_len);
            }
            return Step::Done;
        }
        let len = segment.sequence_len(text_len);
        if self.recv.placement(segment.seq, len) != Placement::Inside {
            context.counters.drop_out_of_window += 1;
            if !reset {
                self.answer_unacceptable(now, context, segment, text_len);
            }
            return Step::Done;
        }
        Step::Continue
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
    // Implements: RFC9293 s3.10.7.4e, RFC9293 s3.10.7.4f, RFC9293 s3.10.7.4g, 9293 SHLD-2, 9293 MUST-66, H-07
    pub(super) fn check_reset(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
    ) -> Step {
        if !segment.flags.contains(Flags::RST) {
            return Step::Continue;
        }
        if segment.seq != self.recv.nxt() {
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
    // Implements: RFC9293 s3.10.7.4h, H-08, H-64
    pub(super) fn check_syn(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
    ) -> Step {
        if !segment.flags.contains(Flags::SYN) {
            return Step::Continue;
        }
        if self.state.name() == StateName::SynReceived && segment.flags.contains(Flags::ACK) {
            // Crossing SYNs: the peer's SYN-ACK completes the handshake by its ACK.
            return Step::Continue;
        }
        self.challenge(now, context);
        Step::Done
    }

    /// A challenge ACK (RFC 5961), at most so often.
    // Implements: H-06, H-11
    pub(super) fn challenge(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.may_answer(now, context) {
            context.counters.challenge_acks += 1;
            self.recv.policy_mut().owe_now();
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
    ) {
        let len = segment.sequence_len(text_len);
        if segment.flags.contains(Flags::SYN) || len == 0 {
            if self.may_answer(now, context) {
                self.recv.policy_mut().owe_now();
            }
            return;
        }
        let around = self.surroundings(context.config);
        self.recv.report_duplicate(segment.seq, text_len as u32, around);
        self.recv.policy_mut().owe_now();
    }

    fn may_answer(&mut self, now: Instant, context: &Context<'_>) -> bool {
        let allowed = self
            .last_challenge
            .is_none_or(|last| now - last >= context.config.tcp_invalid_ratelimit);
        if allowed {
            self.last_challenge = Some(now);
        }
        allowed
    }
}
