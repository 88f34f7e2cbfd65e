//! A segment arrives: RFC 9293 section 3.10.7.4, its steps in its order.

use towpath_wire::tcp::{Flags, Segment};

use super::state::StateName;
use super::{Connection, Context};
use crate::ecn::Hurry;
use crate::endpoint::Arrival;
use crate::event::Readiness;
use crate::instant::Instant;

/// Whether the next step follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next step.
    Continue,
    /// The segment is done with.
    Done,
}

impl Connection {
    /// Takes a segment of this connection. Nothing is sent here: what is owed is noted.
    pub(crate) fn handle_segment(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        arrival: Arrival,
    ) {
        self.send.on_arrival();
        let segments = u64::from(arrival.segment_count());
        self.traffic.segs_in += segments;
        if !arrival.payload.is_empty() {
            self.traffic.data_segs_in += segments;
        }
        match self.state.name() {
            StateName::Closed => {}
            StateName::SynSent => self.arrive_in_syn_sent(now, context, arrival),
            _ => {
                let _ = self.arrive_otherwise(now, context, arrival);
            }
        }
        self.check_persist(now);
    }

    /// The eight steps.
    fn arrive_otherwise(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        arrival: Arrival,
    ) -> Step {
        let segments = arrival.segment_count();
        let Arrival { ip, mut segment, payload, gso_size, .. } = arrival;
        let text_len = payload.len();
        let is = |step: Step| step == Step::Done;

        // First, the sequence number (and before it PAWS, RFC 7323 section 5.3).
        if is(self.check_sequence(now, context, &segment, text_len)) {
            return Step::Done;
        }
        // Second, the RST bit (RFC 5961 section 3).
        if is(self.check_reset(now, context, &segment)) {
            return Step::Done;
        }
        // Third, security and precedence: none today.
        // Fourth, the SYN bit (RFC 5961 section 4).
        if is(self.check_syn(now, context, &segment, ip.ecn)) {
            return Step::Done;
        }
        let hurry = self.ecn.on_segment(ip.ecn, segments, text_len as u32);
        self.hurry_ack(hurry);
        // Fifth, the ACK field.
        if is(self.check_ack(now, context, &segment, text_len)) {
            return Step::Done;
        }
        if segment.flags.contains(Flags::SYN) {
            // The SYN-ACK of crossing SYNs: its text begins behind the SYN.
            segment.flags = segment.flags.without(Flags::SYN);
            segment.seq += 1;
        }
        self.note_timestamp(now, &segment);
        self.on_alive(now);
        // Sixth, the URG bit.
        self.check_urgent(&segment);
        // Seventh, the text, and eighth, the FIN.
        if !payload.is_empty() {
            if self.recv.policy().is_pending()
                && let Some(flags) = self.ecn.before_change(ip.ecn)
            {
                let fields = self.recv.acknowledge(self.max_blocks());
                self.owed.before_mark = Some(Box::new((fields, flags)));
            }
            let hurry = self.ecn.on_text(ip.ecn);
            self.hurry_ack(hurry);
        }
        self.take_text(now, context, &segment, payload, gso_size)
    }

    /// ECN wants the peer to hear of something soon.
    pub(super) fn hurry_ack(&mut self, hurry: Hurry) {
        match hurry {
            Hurry::None => {}
            Hurry::Now => self.recv.policy_mut().hurry(),
            Hurry::Quick => self.recv.policy_mut().be_quick_for_marks(),
        }
    }

    /// Where urgent data ends is told to the application, which reads it in line.
    // Implements: RFC9293 s3.10.7.4q, 9293 MUST-32, 9293 MUST-66, RFC9293 s3.10.7.4d
    fn check_urgent(&mut self, segment: &Segment) {
        if segment.flags.contains(Flags::URG)
            && self.state.may_receive()
            && self.recv.on_urgent_pointer(segment.seq, segment.urgent)
        {
            self.user.raise(Readiness::URGENT);
        }
    }

    /// The peer was heard.
    fn on_alive(&mut self, now: Instant) {
        self.last_received = now;
        self.keep_alive_probes = 0;
    }
}
