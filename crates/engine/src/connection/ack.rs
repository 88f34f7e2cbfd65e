//! The fifth step: the ACK field. Send space, recovery, RTT, congestion, timers: in this order, and
//! nowhere else.

use core::time::Duration;

use towpath_wire::tcp::{Flags, Segment};

use super::arrive::Step;
use super::state::{StateName, Transition};
use super::{Connection, Context, Reset};
use crate::config::Config;
use crate::congestion::{AckSample, CongestionKind, RecoveryPhase};
use crate::ecn::Marked;
use crate::ecn::accurate::Echo;
use crate::error::CloseReason;
use crate::instant::Instant;
use crate::recovery::{Ack, Outcome, Taken};
use crate::rtt::RttSample;
use crate::send::{AckKind, WindowUpdate};
use crate::timer::TimerKind;

/// What an acknowledgment told, on its way to the congestion controller.
struct News {
    delivered_segments: u32,
    marked: Marked,
    acked_bytes: u64,
    prior_in_flight_bytes: u64,
    prior_outstanding_bytes: u64,
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
            AckKind::Old => {
                // Its text may still be new, and so may what it reports.
                self.use_old_ack(now, context, segment);
                return Step::Continue;
            }
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
        let prior_outstanding_bytes = self.recovery.flight().outstanding().bytes;
        let delivered_before = self.recovery.delivered();
        let bare = text_len == 0
            && !segment.flags.intersects(Flags::SYN | Flags::FIN)
            && window == WindowUpdate::Unchanged;
        let ack = self.recoverys_ack(segment, advanced, bare);
        let taken = self.recovery.take(now, &ack, &self.rtt_view(), context.counters);
        // The round-trip time.
        let rtt = self.take_rtt(now, segment, &taken);
        // Recovery again: what is lost, by that time.
        let view = self.rtt_view();
        let outcome = self.recovery.judge(now, &ack, &taken, &view, context.counters);
        if outcome.spurious_timeout {
            self.rtt.end_backoff();
        }
        self.follow_reordering(now, context.config);
        // Congestion.
        let delivered = self.recovery.delivered().saturating_sub(delivered_before);
        let delivered_segments = u32::try_from(delivered).unwrap_or(u32::MAX);
        let marked = self.take_marks(segment, delivered_segments, &outcome);
        let news = News {
            delivered_segments,
            marked,
            acked_bytes,
            prior_in_flight_bytes,
            prior_outstanding_bytes,
            rtt,
            outcome,
        };
        self.tell_congestion(now, context.config, &news);
        if advanced {
            if self.user.wants_room {
                self.grow_send_buffer(context.config);
            }
            self.check_room(context.config);
        }
        // Timers.
        self.follow_timer_wish(now, context.config, &outcome);
        if fin_acknowledged {
            self.on_fin_acknowledged(now, context);
        }
    }

    /// An ACK that a later one overtook: only what it reports may be news.
    fn use_old_ack(&mut self, now: Instant, context: &mut Context<'_>, segment: &Segment) {
        if segment.options.sack.is_empty() {
            return;
        }
        let prior_in_flight_bytes = self.recovery.pipe();
        let prior_outstanding_bytes = self.recovery.flight().outstanding().bytes;
        let delivered_before = self.recovery.delivered();
        let ack = self.recoverys_ack(segment, false, false);
        let view = self.rtt_view();
        let taken = self.recovery.take(now, &ack, &view, context.counters);
        let outcome = self.recovery.judge(now, &ack, &taken, &view, context.counters);
        let delivered = self.recovery.delivered().saturating_sub(delivered_before);
        let news = News {
            delivered_segments: u32::try_from(delivered).unwrap_or(u32::MAX),
            marked: Marked::default(),
            acked_bytes: 0,
            prior_in_flight_bytes,
            prior_outstanding_bytes,
            rtt: None,
            outcome,
        };
        self.tell_congestion(now, context.config, &news);
        self.follow_timer_wish(now, context.config, &outcome);
    }

    fn recoverys_ack<'a>(&self, segment: &'a Segment, advanced: bool, bare: bool) -> Ack<'a> {
        let echo = || self.timestamps.as_ref()?.echo(segment.options.timestamps?.echo);
        Ack {
            ack: segment.ack,
            advanced,
            bare,
            sack: &segment.options.sack,
            echo: echo(),
            snd_nxt: self.send.nxt(),
            mss: self.send.segment_size(),
            max_window: self.send.max_wnd(),
            may_send_new: self.send.may_send_beyond(),
        }
    }

    /// A network that reorders gets timestamps that PAWS does not punish it by.
    fn follow_reordering(&mut self, now: Instant, config: &Config) {
        if config.coarse_timestamps
            && self.recovery.reorderings_seen() > 0
            && let (Some(timestamps), Some(min_rtt)) = (&mut self.timestamps, self.rtt.min())
        {
            timestamps.on_reordering(now, min_rtt);
        }
    }

    /// By the send time where Karn allows it, else by the timestamp's echo.
    // Implements: RFC6298 s3a, RFC7323 s4.1
    fn take_rtt(&mut self, now: Instant, segment: &Segment, taken: &Taken) -> Option<Duration> {
        let by_echo = || {
            let echo = segment.options.timestamps?.echo;
            self.timestamps.as_ref()?.sample(now, echo).filter(|_| taken.is_progress())
        };
        let rtt = taken.rtt.or_else(by_echo)?;
        let last = taken.last_rtt.unwrap_or(rtt);
        self.rtt.on_sample(
            now,
            &RttSample {
                rtt,
                last,
                maybe_delayed: taken.maybe_delayed,
                acked_to: self.send.acked_to(),
                sent_to: self.send.sent_to(),
            },
        );
        Some(last)
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
        let phase = self.recovery.phase();
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

    fn tell_congestion(&mut self, now: Instant, config: &Config, news: &News) {
        let outcome = &news.outcome;
        let mss = self.send.segment_size();
        let rate = self.recovery.rate_sample(now, self.rtt.min());
        if outcome.spurious {
            self.congestion.controller_mut().on_spurious(now);
            self.ecn.on_reduction_undone();
        }
        for _ in 0..outcome.congestion {
            self.on_congestion(now, CongestionKind::Loss, news.prior_outstanding_bytes);
        }
        if news.marked.congestion && news.prior_in_flight_bytes > 0 && self.recovery.enter_cwr() {
            self.on_congestion(now, CongestionKind::Ecn, news.prior_in_flight_bytes);
        }
        self.tell_losses(now);
        self.recovery.reduce(outcome);
        let paced = self.pacing_rate(config).is_some();
        let controller = self.congestion.controller_mut();
        if outcome.recovered {
            controller.on_recovered(now);
        }
        let window_limited =
            self.usage.may_grow(controller.window(), controller.slow_start_threshold());
        let phase = self.recovery.phase();
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
                may_grow: window_limited && outcome.may_grow && !self.recovery.is_reducing(),
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
                self.timers.stop_for_losses();
                let reset = Reset::Answer(self.send.nxt());
                self.check_fin_wait_2(now, context, reset);
            }
            _ => {}
        }
    }
}
