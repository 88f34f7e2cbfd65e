//! The fifth step: the ACK field. Send space, recovery, RTT, congestion, timers: in this order, and
//! nowhere else.

use core::time::Duration;

use towpath_wire::tcp::{Flags, Segment};

use super::arrive::Step;
use super::state::{StateName, Transition};
use super::{Connection, Context, Reset};
use crate::congestion::{AckSample, CongestionEvent, CongestionKind, RecoveryPhase};
use crate::ecn::Marked;
use crate::ecn::accurate::Echo;
use crate::error::CloseReason;
use crate::instant::Instant;
use crate::recovery::{Ack, Outcome};
use crate::send::{AckKind, WindowUpdate};
use crate::timer::TimerKind;

/// What an acknowledgment told, on its way to the congestion controller.
struct News {
    delivered_segments: u32,
    marked: Marked,
    acked_bytes: u64,
    prior_in_flight_bytes: u64,
    rtt: Option<Duration>,
    outcome: Outcome,
}

impl Connection {
    // Implements: RFC9293 s3.10.7.4j, RFC9293 s3.10.7.4k, RFC9293 s3.10.7.4l, RFC9293 s3.10.7.4m, RFC9293 s3.10.7.4o, H-09, H-34, H-35
    pub(super) fn check_ack(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        text_len: usize,
    ) -> Step {
        if !segment.flags.contains(Flags::ACK) {
            context.counters.drop_flags += 1;
            return Step::Done;
        }
        if self.state.name() == StateName::SynReceived {
            if self.send.judge(segment.ack) != AckKind::New {
                self.owed.reset = Some(Reset::Answer(segment.ack));
                return Step::Done;
            }
            self.finish_crossed_handshake(now, context, segment);
            return Step::Continue;
        }
        match self.send.judge(segment.ack) {
            AckKind::Unsent | AckKind::Ancient => {
                context.counters.drop_bad_ack += 1;
                self.challenge(now, context);
                return Step::Done;
            }
            // Its text may still be new.
            AckKind::Old => return Step::Continue,
            AckKind::Repeated => self.use_ack(now, context, segment, text_len, false),
            AckKind::New => self.use_ack(now, context, segment, text_len, true),
        }
        if self.state.name() == StateName::Closed { Step::Done } else { Step::Continue }
    }

    fn use_ack(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        segment: &Segment,
        text_len: usize,
        advanced: bool,
    ) {
        self.check_app_limited();
        // The path works, whatever was reported of it.
        self.user.soft_error = None;
        let hurry = self.ecn.on_flags(segment, text_len);
        self.hurry_ack(hurry);
        self.traffic.last_ack_received = Some(now);
        // The send space.
        let window = self.send.update_window(segment.seq, segment.ack, segment.window);
        let mut fin_acknowledged = false;
        let mut acked_bytes = 0;
        if advanced {
            let acknowledged = self.send.acknowledge(segment.ack, context.garbage);
            fin_acknowledged = acknowledged.fin;
            acked_bytes = acknowledged.bytes;
            self.traffic.bytes_acked += acked_bytes;
            self.traffic.on_progress(now);
        }
        self.send.on_answer();
        if self.send.wnd() > 0 && window == WindowUpdate::Changed {
            self.send.reset_probes();
        }
        if self.timers.is_armed(TimerKind::Persist) && self.send.is_window_limited() {
            // The wait for the next probe begins with the answer to the last, as on Linux.
            self.timers.stop(TimerKind::Persist);
        }
        // Recovery.
        let prior_in_flight_bytes = self.recovery.pipe();
        let delivered_before = self.recovery.delivered();
        let outcome = self.recovery.on_ack(
            now,
            Ack {
                ack: segment.ack,
                advanced,
                bare: text_len == 0
                    && !segment.flags.intersects(Flags::SYN | Flags::FIN)
                    && window == WindowUpdate::Unchanged,
                sack: &segment.options.sack,
                snd_nxt: self.send.nxt(),
                mss: self.send.segment_size(),
            },
        );
        // The round-trip time.
        let rtt = self.rtt_sample(now, segment, advanced, &outcome);
        if let Some(sample) = rtt {
            self.rtt.on_sample(sample);
        }
        // Congestion.
        let delivered = self.recovery.delivered().saturating_sub(delivered_before);
        let delivered_segments = u32::try_from(delivered).unwrap_or(u32::MAX);
        let marked = self.take_marks(segment, delivered_segments, &outcome);
        let news =
            News { delivered_segments, marked, acked_bytes, prior_in_flight_bytes, rtt, outcome };
        self.tell_congestion(now, context, &news);
        if advanced {
            if self.user.wants_room {
                self.grow_send_buffer(context.config);
            }
            self.check_room(context.config);
            // Timers.
            self.restart_retransmission(now);
        }
        if fin_acknowledged {
            self.on_fin_acknowledged(now, context);
        }
    }

    /// By the send time where Karn allows it, else by the timestamp's echo.
    // Implements: RFC6298 s3a, RFC7323 s4.1
    fn rtt_sample(
        &self,
        now: Instant,
        segment: &Segment,
        advanced: bool,
        outcome: &Outcome,
    ) -> Option<Duration> {
        let by_echo = || {
            let echo = segment.options.timestamps?.echo;
            self.timestamps.as_ref()?.sample(now, echo)
        };
        if !advanced {
            return None;
        }
        outcome.rtt.or_else(by_echo)
    }

    /// What the ACK tells of marks. An ACK that was overtaken tells nothing.
    // Implements: RFC3168 s6.1.2a
    fn take_marks(
        &mut self,
        segment: &Segment,
        delivered_segments: u32,
        outcome: &Outcome,
    ) -> Marked {
        let newer = match (&self.timestamps, segment.options.timestamps) {
            (Some(timestamps), Some(option)) => timestamps.is_newer(option.value),
            _ => false,
        };
        let phase = self.recovery.phase_name();
        self.ecn.marked(
            segment.flags,
            &Echo {
                option: segment.options.acc_ecn.as_ref(),
                delivered_segments,
                delivered_bytes: outcome.delivered,
                progress: outcome.delivered > 0 || newer,
                exact: self.sack || matches!(phase, RecoveryPhase::Open | RecoveryPhase::Cwr),
                mss: self.send.segment_size(),
                bytes_sent: self.traffic.bytes_sent,
            },
        )
    }

    fn tell_congestion(&mut self, now: Instant, context: &mut Context<'_>, news: &News) {
        let outcome = &news.outcome;
        let mss = self.send.segment_size();
        let rate = self.recovery.rate_sample(now, self.rtt.min());
        let paced = self.pacing_rate(context.config).is_some();
        let controller = self.congestion.controller_mut();
        let window_limited =
            self.usage.may_grow(controller.window(), controller.slow_start_threshold());
        if let Some(in_flight_bytes) = outcome.congestion {
            context.counters.fast_retrans += 1;
            let kind = CongestionKind::Loss;
            controller.on_congestion(&CongestionEvent { now, kind, in_flight_bytes, mss });
            self.ecn.on_reduced();
        } else if news.marked.congestion
            && news.prior_in_flight_bytes > 0
            && self.recovery.enter_cwr(self.send.una(), self.send.nxt())
        {
            controller.on_congestion(&CongestionEvent {
                now,
                kind: CongestionKind::Ecn,
                in_flight_bytes: news.prior_in_flight_bytes,
                mss,
            });
            self.ecn.on_reduced();
        }
        for lost in self.recovery.take_losses() {
            controller.on_lost(now, &lost);
        }
        if outcome.recovered {
            controller.on_recovered(now);
        }
        let phase = self.recovery.phase_name();
        // What ends a recovery was sent into the congestion: it is no sign that there is more room.
        let reducing =
            matches!(phase, RecoveryPhase::Recovery | RecoveryPhase::Cwr) || outcome.recovered;
        if outcome.delivered > 0 || outcome.lost > 0 {
            controller.on_ack(&AckSample {
                now,
                acked_bytes: news.acked_bytes,
                delivered_bytes: outcome.delivered,
                delivered_segments: news.delivered_segments,
                marked_segments: news.marked.segments.min(news.delivered_segments),
                newly_lost_bytes: outcome.lost,
                in_flight_bytes: self.recovery.pipe(),
                prior_in_flight_bytes: news.prior_in_flight_bytes,
                rtt: news.rtt,
                min_rtt: self.rtt.min(),
                srtt: self.rtt.srtt(),
                mss,
                window_limited,
                window_full: self.usage.was_full(),
                may_grow: window_limited && !reducing,
                paced,
                phase,
                acked_to: self.send.acked_to(),
                sent_to: self.send.sent_to(),
                delivered_total: self.recovery.rate().delivered(),
                lost_total: self.recovery.rate().lost(),
                rate,
            });
        }
        if controller.holds_back() {
            self.recovery.on_app_limited();
        }
    }

    fn on_fin_acknowledged(&mut self, now: Instant, context: &mut Context<'_>) {
        match self.state.name() {
            StateName::LastAck => self.end(context, CloseReason::Closed),
            StateName::FinWait1 | StateName::Closing => {
                self.transition(context, Transition::FinAcknowledged);
                self.timers.stop(TimerKind::Retransmission);
                let reset = Reset::Answer(self.send.nxt());
                self.check_fin_wait_2(now, context, reset);
            }
            _ => {}
        }
    }
}
