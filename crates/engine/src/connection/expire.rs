//! A connection's timers fire.

use super::state::StateName;
use super::{Connection, Context, give_up_after};
use crate::config::Config;
use crate::congestion::CongestionKind;
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;
use crate::timer::TimerKind;

impl Connection {
    /// Does what every due timer asks for. Nothing is sent here: what is owed is noted.
    pub(crate) fn handle_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        while let Some(kind) = self.timers.take_due(now) {
            match kind {
                TimerKind::Retransmission if self.syn_sent.is_some() => {
                    self.on_syn_timeout(now, context);
                }
                TimerKind::Retransmission => self.on_retransmission_timeout(now, context),
                TimerKind::ReorderingWindow => self.on_reordering_timeout(now, context),
                TimerKind::LossProbe => self.on_loss_probe_timeout(now),
                TimerKind::DelayedAck => {
                    context.counters.delayed_acks += 1;
                    let rto = self.rtt.rto();
                    self.recv.policy_mut().on_delay_expired(rto);
                }
                TimerKind::Persist => self.on_persist_timeout(now, context),
                TimerKind::KeepAlive => self.on_keep_alive_timeout(now, context),
                TimerKind::FinWait2 => self.end(context, CloseReason::Closed),
                // It is looked for what may leave whenever a timer has fired.
                TimerKind::Pacing | TimerKind::TimeWait | TimerKind::SynAck => {}
            }
        }
    }

    // Implements: RFC6298 s5.4, RFC6298 s5.5, RFC6298 s5.6, RFC8961 s4.3, RFC9293 s3.10.8b
    fn on_retransmission_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.recovery.flight().is_empty() {
            return;
        }
        if self.has_given_up(now, context) {
            context.counters.abort_on_timeout += 1;
            let retransmissions = self.recovery.timeouts();
            let error = self.user.soft_error.unwrap_or(SocketError::TimedOut);
            self.fail(context, CloseReason::TimedOut { retransmissions }, error);
            return;
        }
        context.counters.timeouts += 1;
        self.traffic.on_timeout(now);
        let timeout = self.recovery.on_timeout(now, context.counters);
        let kind = if timeout.repeated {
            CongestionKind::RepeatedTimeout
        } else {
            CongestionKind::Timeout
        };
        self.on_congestion(now, kind, timeout.flight);
        self.tell_losses(now);
        self.pacer.let_pass(u64::from(self.send.segment_size()));
        self.rtt.on_timeout();
        self.restart_retransmission(now);
    }

    /// R2 of RFC 9293 section 3.8.3 has passed since the first time-out.
    // Implements: 9293 MUST-20, 9293 SHLD-17, 9293 MUST-35
    fn has_given_up(&self, now: Instant, context: &Context<'_>) -> bool {
        let Some(first) = self.recovery.first_timeout_at() else { return false };
        if let Some(left) = self.patience(now, first) {
            return left.is_zero();
        }
        if self.send.wnd() == 0
            && self.is_attached()
            && now - self.last_received < self.rtt.rto_max() * 2
        {
            // The peer answers, and only its window keeps what it has not taken back.
            return false;
        }
        let config = context.config;
        let retries =
            if self.is_attached() { config.tcp_retries2 } else { config.orphan_retries() };
        now - first >= give_up_after(config, config.rto_min, retries)
    }

    // Implements: 9293 MUST-36, 9293 MUST-37, H-39, H-40
    fn on_persist_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        if !self.send.waits_for_timer() {
            return;
        }
        if self.send.is_held_back() {
            // Nothing is wrong with the peer: what was held back goes without full segments.
            self.owed.probe = true;
            return;
        }
        let since = *self.probing_since.get_or_insert(now);
        let impatient = self.patience(now, since).is_some_and(|left| left.is_zero());
        let config = context.config;
        let unanswered = self.send.unanswered_probes();
        let limit = if self.is_attached() { config.tcp_retries2 } else { config.orphan_retries() };
        if impatient || unanswered >= limit || self.has_waited_enough(config) {
            context.counters.abort_on_timeout += 1;
            let retransmissions = self.send.probes();
            let error = self.user.soft_error.unwrap_or(SocketError::TimedOut);
            self.fail(context, CloseReason::TimedOut { retransmissions }, error);
            return;
        }
        self.owed.probe = true;
    }

    /// While somebody holds the connection only silence ends it. An orphan is not kept for ever by a
    /// peer that answers and takes nothing: once probes are as far apart as they get, those that were
    /// answered count as well.
    fn has_waited_enough(&self, config: &Config) -> bool {
        let most = self.rtt.rto_max();
        let slow = self.send.probe_interval(self.rtt.base_rto(), most) >= most;
        let limit = if self.user.soft_error.is_some() { 0 } else { config.tcp_orphan_retries };
        !self.is_attached() && slow && self.send.probes() >= limit
    }

    // Implements: 9293 MUST-24, 9293 MUST-26, 9293 MUST-27, 9293 MUST-29
    fn on_keep_alive_timeout(&mut self, now: Instant, context: &mut Context<'_>) {
        let Some(keep_alive) = self.user.options.keep_alive(context.config) else { return };
        if matches!(self.state.name(), StateName::Closed | StateName::SynSent) {
            return;
        }
        if self.send.is_outstanding() || self.send.unsent() > 0 {
            // What is outstanding asks the peer already, by its own rules.
            self.timers.arm(TimerKind::KeepAlive, now + keep_alive.time);
            return;
        }
        let due = self.last_received + keep_alive.time;
        if due > now {
            self.timers.arm(TimerKind::KeepAlive, due);
            return;
        }
        // The user's time-out rules where it is set, but lets at least one probe go unanswered.
        let given_up = match self.patience(now, self.last_received) {
            Some(left) => left.is_zero() && self.keep_alive_probes > 0,
            None => self.keep_alive_probes >= keep_alive.probes,
        };
        if given_up {
            let probes = self.keep_alive_probes;
            self.owed.reset = Some(self.active_reset());
            self.fail(context, CloseReason::KeepAlive { probes }, SocketError::TimedOut);
            return;
        }
        self.keep_alive_probes += 1;
        self.owed.keep_alive = true;
        self.timers.arm(TimerKind::KeepAlive, now + keep_alive.interval);
    }
}
