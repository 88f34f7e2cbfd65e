//! SYN-SENT, and SYN-RECEIVED by crossing SYNs (RFC 9293 sections 3.5 and 3.10.7.3). A passive
//! SYN-RECEIVED is no connection yet: see `endpoint::syn_received`.

use core::time::Duration;

use towpath_wire::tcp::{Flags, Segment, WindowScale};

use super::negotiate::{Agreed, Handshake};
use super::state::Transition;
use super::{Connection, Context, Reset, give_up_after};
use crate::config::Config;
use crate::ecn::negotiate::{self, Agreement};
use crate::endpoint::Arrival;
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;
use crate::rtt::{INITIAL_RTO, backed_off};
use crate::send::AckKind;
use crate::timer::TimerKind;
use crate::timestamps::{self, Timestamps};

/// A timer that is overdue by the application's wish fires as soon as a clock of Linux ticks.
const SOONEST: Duration = Duration::from_millis(1);
/// Linux's least time-out: two ticks of its clock.
const SOON: Duration = Duration::from_millis(2);

/// The data of an active open until it is complete.
#[derive(Debug)]
pub(crate) struct SynSent {
    pub(super) timestamp_offset: u32,
    first_sent_at: Instant,
    retransmissions: u32,
    /// The peer's SYN, if it crossed ours.
    pub(super) crossed: Option<Agreed>,
    crossed_at: Instant,
    /// How often our SYN had been sent again by then.
    crossed_after: u32,
}

impl SynSent {
    pub(crate) fn new(now: Instant, timestamp_offset: u32) -> SynSent {
        SynSent {
            timestamp_offset,
            first_sent_at: now,
            retransmissions: 0,
            crossed: None,
            crossed_at: now,
            crossed_after: 0,
        }
    }

    /// How many of the time-outs so far are not doubled: in SYN-SENT the first ones, after the SYNs
    /// have crossed none.
    fn linear_timeouts(&self, config: &Config) -> u32 {
        match self.crossed {
            Some(_) => self.crossed_after.min(config.tcp_syn_linear_timeouts),
            None => config.tcp_syn_linear_timeouts,
        }
    }

    /// The value of our timestamp clock.
    pub(super) fn timestamp(&self, now: Instant) -> u32 {
        timestamps::clock(now, self.timestamp_offset)
    }
}

impl Connection {
    // Implements: RFC9293 s3.10.7.3a, RFC9293 s3.10.7.3b, RFC9293 s3.10.7.3c, RFC9293 s3.10.7.3d, RFC9293 s3.10.7.3e, 9293 MUST-10
    pub(super) fn arrive_in_syn_sent(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        arrival: Arrival,
    ) {
        let segment = &arrival.segment;
        let ack = segment.flags.contains(Flags::ACK);
        let reset = segment.flags.contains(Flags::RST);
        if ack && self.send.judge(segment.ack) != AckKind::New {
            context.counters.drop_bad_ack += 1;
            if !reset {
                self.owed.reset = Some(Reset::Answer(segment.ack));
            }
            self.hurry_syn(now);
            return;
        }
        if ack && !self.is_echo_of_ours(now, segment) {
            // As Linux: an answer to what this attempt has not sent.
            context.counters.paws_active += 1;
            if !reset {
                self.owed.reset = Some(Reset::Answer(segment.ack));
            }
            return;
        }
        if reset {
            // Judged by its ACK: there is no RCV.NXT yet to judge its sequence number by.
            if ack {
                self.fail(context, CloseReason::Refused, SocketError::ConnectionRefused);
            }
            return;
        }
        if !segment.flags.contains(Flags::SYN) {
            context.counters.drop_flags += 1;
            return;
        }
        let agreed = Agreed::new(context.config, &segment.options);
        if ack {
            let ecn = negotiate::on_syn_ack(
                context.config,
                self.user.options.ecn(context.config).request,
                segment.flags,
                arrival.ip.ecn,
                segment.options.acc_ecn.as_ref(),
            );
            self.finish_handshake(now, context, segment, agreed, ecn);
            // A SYN-ACK may bring text; the rest of the arrival sees an acceptable segment.
            let mut rest = arrival;
            rest.segment.flags = rest.segment.flags.without(Flags::SYN);
            rest.segment.seq += 1;
            let Arrival { segment, payload, gso_size, .. } = rest;
            let _ = self.take_text(now, context, &segment, payload, gso_size);
        } else {
            self.cross(now, context, segment, agreed);
        }
    }

    /// A peer that still has the connection of before answers our first SYN with an ACK of that
    /// (RFC 9293 figure 9), and our reset frees it: as Linux, the SYN does not wait a second to try
    /// again.
    fn hurry_syn(&mut self, now: Instant) {
        if self.syn_sent.as_ref().is_some_and(|syn_sent| syn_sent.retransmissions == 0) {
            self.timers.arm(TimerKind::Retransmission, now + SOON);
        }
    }

    /// Whether the timestamp that comes back, if one does, is one that our SYNs carried.
    fn is_echo_of_ours(&self, now: Instant, segment: &Segment) -> bool {
        let (Some(syn_sent), Some(option)) = (&self.syn_sent, segment.options.timestamps) else {
            return true;
        };
        let first = timestamps::clock(syn_sent.first_sent_at, syn_sent.timestamp_offset);
        let range = syn_sent.timestamp(now).wrapping_sub(first);
        option.echo == 0 || option.echo.wrapping_sub(first) <= range
    }

    fn finish_handshake(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        agreed: Agreed,
        ecn: Agreement,
    ) {
        let Some(syn_sent) = self.syn_sent.take() else { return };
        let offset = syn_sent.timestamp_offset;
        let rtt = if syn_sent.retransmissions == 0 {
            Some(now - syn_sent.first_sent_at)
        } else {
            let timestamps = Timestamps::new(offset, 0, now);
            segment.options.timestamps.and_then(|option| timestamps.sample(now, option.echo))
        };
        self.transition(context, Transition::HandshakeDone);
        let handshake = Handshake {
            iss: self.send.iss(),
            irs: segment.seq,
            // RFC 7323 section 2.2: never scaled in a SYN.
            window: u32::from(segment.window),
            window_seq: segment.seq,
            agreed,
            timestamp_offset: offset,
            timestamp_at: now,
            rtt,
            retransmissions: syn_sent.retransmissions,
            ecn,
            promised: None,
        };
        self.establish(now, context, &handshake);
        self.recv.policy_mut().owe_now();
    }

    /// A SYN crossed ours: answer it with our SYN again, and an ACK.
    fn cross(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        agreed: Agreed,
    ) {
        let Some(syn_sent) = &mut self.syn_sent else { return };
        syn_sent.crossed = Some(agreed);
        syn_sent.crossed_at = now;
        syn_sent.crossed_after = syn_sent.retransmissions;
        let offset = syn_sent.timestamp_offset;
        self.transition(context, Transition::SynsCrossed);
        self.recv.on_handshake(segment.seq, agreed.window_scale.is_some(), agreed.options_len());
        // Judged and echoed from here on.
        self.timestamps = agreed.timestamp.map(|value| Timestamps::new(offset, value, now));
        self.owed.syn = true;
    }

    /// The ACK of our SYN arrives after a crossing.
    pub(super) fn finish_crossed_handshake(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
    ) {
        let Some(syn_sent) = self.syn_sent.take() else { return };
        let Some(agreed) = syn_sent.crossed else { return };
        self.transition(context, Transition::HandshakeDone);
        let scaled = !segment.flags.contains(Flags::SYN);
        let scale = WindowScale::new(agreed.window_scale.filter(|_| scaled).unwrap_or(0));
        let handshake = Handshake {
            iss: self.send.iss(),
            irs: self.recv.irs(),
            window: scale.scale_up(segment.window),
            window_seq: segment.seq,
            agreed,
            timestamp_offset: syn_sent.timestamp_offset,
            timestamp_at: syn_sent.crossed_at,
            rtt: (syn_sent.retransmissions == 0).then(|| now - syn_sent.first_sent_at),
            retransmissions: syn_sent.retransmissions,
            // SYNs that cross agree on nothing: neither side answered the other's wish.
            ecn: Agreement::Off,
            promised: None,
        };
        self.establish(now, context, &handshake);
        if self.send.is_fin_queued() {
            // Closed while the SYNs were crossing.
            self.transition(context, Transition::Close);
        }
    }

    /// Nothing answered our SYN in time. As in Linux the attempt ends when as many SYNs were sent
    /// as may be, when the user's time is over, or, where the user named none, when the retries
    /// would be over had each time-out been doubled.
    // Implements: 9293 MUST-22
    pub(super) fn on_syn_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        let Some(syn_sent) = &mut self.syn_sent else { return };
        let config = context.config;
        let options = &self.user.options;
        let retries = options.syn_retries.unwrap_or(config.tcp_syn_retries);
        let limit =
            options.user_timeout().unwrap_or_else(|| give_up_after(config, INITIAL_RTO, retries));
        let retransmissions = syn_sent.retransmissions;
        let is_late = retransmissions > 0 && now - syn_sent.first_sent_at >= limit;
        // As Linux, of which the linear time-outs of SYN-SENT give nothing to SYN-RECEIVED.
        let more = if syn_sent.crossed.is_some() { 0 } else { config.tcp_syn_linear_timeouts };
        if is_late || retransmissions >= retries.saturating_add(more) {
            let error = self.user.soft_error.unwrap_or(SocketError::TimedOut);
            self.fail(context, CloseReason::TimedOut { retransmissions }, error);
            return;
        }
        syn_sent.retransmissions += 1;
        self.traffic.on_timeout(now);
        self.owed.syn = true;
        context.counters.timeouts += 1;
    }

    /// The SYN left: when to send it again. The first time-outs are not doubled (Linux's
    /// `tcp_syn_linear_timeouts`), as long as the peer is not heard.
    pub(super) fn arm_syn_timer(&mut self, now: Instant, context: &Context<'_>) {
        let Some(syn_sent) = &self.syn_sent else { return };
        if syn_sent.crossed.is_some() && self.timers.is_armed(TimerKind::Retransmission) {
            // The answer to the peer's SYN: as Linux, ours goes again when it would have.
            return;
        }
        let linear = syn_sent.linear_timeouts(context.config);
        let doublings = syn_sent.retransmissions.saturating_sub(linear);
        let rto = backed_off(INITIAL_RTO, doublings, context.config.rto_max);
        let mut deadline = now + rto;
        if let Some(limit) = self.user.options.user_timeout()
            && syn_sent.retransmissions > 0
        {
            deadline = deadline.min((syn_sent.first_sent_at + limit).max(now + SOONEST));
        }
        self.timers.arm(TimerKind::Retransmission, deadline);
    }

    /// How often our SYN was sent again.
    pub(super) fn syn_retransmissions(&self) -> u32 {
        self.syn_sent.as_ref().map_or(0, |syn_sent| syn_sent.retransmissions)
    }
}
