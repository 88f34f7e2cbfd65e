//! The seventh and eighth step: the segment's text and its FIN.

use towpath_wire::tcp::{Flags, Segment};

use super::arrive::Step;
use super::state::{StateName, Transition};
use super::{Connection, Context, Reset};
use crate::chunks::Chunks;
use crate::error::{CloseReason, SocketError};
use crate::event::Readiness;
use crate::instant::Instant;
use crate::memory::Supply;
use crate::recv::ack_policy::Owes;
use crate::recv::{Text, Verdict};
use crate::timer::TimerKind;

impl Connection {
    // Implements: RFC9293 s3.10.7.4r, RFC9293 s3.10.7.4u, RFC9293 s3.10.7.4v, RFC9293 s3.10.7.4p
    pub(super) fn take_text(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        payload: Chunks,
        gso_size: u16,
    ) -> Step {
        let fin = segment.flags.contains(Flags::FIN);
        if payload.is_empty() && !fin {
            return Step::Done;
        }
        if !self.state.may_receive() {
            // The peer has sent its FIN. A copy of what came before is answered with where we
            // stand, nonsense beyond it is ignored.
            if segment.seq.before(self.recv.nxt()) {
                let len = segment.sequence_len(payload.len());
                self.answer_duplicate(context, segment.seq, len);
            }
            return Step::Done;
        }
        let after = segment.seq + payload.len() as u32;
        if self.is_reading_over() && after.after(self.recv.nxt()) {
            // Nobody will ever read it: say so (RFC 9293 section 3.6.1, RFC 2525 section 2.17).
            context.counters.abort_on_data += 1;
            self.owed.reset = Some(Reset::Answer(segment.ack));
            self.fail(context, CloseReason::Aborted, SocketError::ConnectionReset);
            return Step::Done;
        }
        if !self.may_keep(context, segment, &payload) {
            return Step::Done;
        }
        let text_len = payload.len();
        let segment_len = if gso_size == 0 { text_len as u32 } else { u32::from(gso_size) };
        let push = segment.flags.contains(Flags::PSH);
        let around = self.surroundings(context.config);
        let text = Text { seq: segment.seq, payload, fin, push, segment_len };
        let received = self.recv.on_text(now, text, around);
        match received.verdict {
            Verdict::InOrder => {}
            Verdict::OutOfOrder => {
                context.counters.ofo_queued += 1;
                self.traffic.out_of_order += 1;
            }
            Verdict::Duplicate => {
                context.counters.dsack_sent += u64::from(around.dsack);
                if let Some(accurate) = self.ecn.accurate_mut() {
                    accurate.on_duplicate(segment.seq);
                }
            }
            Verdict::OutOfWindow => {
                context.counters.beyond_window += 1;
                context.counters.drop_no_buffer += 1;
            }
            Verdict::ZeroWindow => context.counters.zero_window_drop += 1,
            Verdict::TooManyPieces => context.counters.ofo_dropped += 1,
        }
        if received.readable > 0 {
            self.traffic.bytes_received += received.readable;
            self.traffic.last_data_received = Some(now);
            if self.recv.is_readable() {
                self.user.raise(Readiness::READABLE);
            }
            if let (Some(timestamps), Some(option)) = (&self.timestamps, segment.options.timestamps)
                && let Some(sample) = timestamps.sample(now, option.echo)
            {
                self.recv.on_echo(option.echo, sample, text_len, received.readable);
            }
        }
        if let Owes::By(deadline) = received.owes
            && deadline < self.timers.deadline(TimerKind::DelayedAck)
        {
            self.timers.arm(TimerKind::DelayedAck, deadline);
        }
        if received.fin {
            self.on_fin(context);
        }
        Step::Done
    }

    /// Whether there is memory for the segment's new text: the stack's, and the socket's own.
    fn may_keep(&mut self, context: &mut Context<'_>, segment: &Segment, payload: &Chunks) -> bool {
        let ration = if context.supply == Supply::Refused {
            let after = segment.seq + payload.len() as u32;
            if payload.is_empty() || !after.after(self.recv.nxt()) {
                return true;
            }
            self.recv.ration(segment.seq, context.garbage)
        } else if self.recv.is_out_of_memory() && self.recv.wants(segment.seq, payload.len()) {
            self.recv.squeeze(segment.seq, context.garbage)
        } else {
            return true;
        };
        context.counters.prune_called += 1;
        context.counters.ofo_pruned += u64::from(ration.pruned);
        if !ration.may_keep {
            context.counters.rcv_pruned += 1;
            if segment.seq.after(self.recv.nxt()) {
                context.counters.ofo_dropped += 1;
            } else {
                context.counters.rcv_q_drop += 1;
            }
            self.recv.policy_mut().owe_now();
        }
        ration.may_keep
    }

    /// Whether nobody will read what arrives. SHUT_RD alone does not say so, since writing goes on;
    /// with our FIN it does, as on Linux.
    fn is_reading_over(&self) -> bool {
        let ours_is_sent = matches!(self.state.name(), StateName::FinWait1 | StateName::FinWait2);
        !self.is_attached() || ours_is_sent && self.user.is_read_shut()
    }

    /// The peer's FIN is in order.
    fn on_fin(&mut self, context: &mut Context<'_>) {
        self.user.raise(Readiness::READABLE | Readiness::READ_CLOSED);
        let was_open = self.state.name() == StateName::Established;
        self.transition(context, Transition::FinReceived);
        if !was_open {
            // Both sides have said all they had to say: nothing will come that an ACK could ride on.
            self.recv.policy_mut().owe_now();
            self.timers.stop(TimerKind::FinWait2);
        }
    }
}
