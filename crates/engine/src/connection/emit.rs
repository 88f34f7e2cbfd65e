//! Everything that leaves: a ladder whose first rung that applies is taken, and the only place where
//! segments are built.

use core::net::IpAddr;

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, Options, Segment, max_sack_blocks};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

use super::negotiate::Offer;
use super::state::StateName;
use super::{Connection, Context, Reset, negotiate};
use crate::chunks::Chunks;
use crate::config::{Config, CongestionControl};
use crate::congestion::IdleSample;
use crate::congestion::usage::Sent;
use crate::ecn::option::{self as ecn_option, Fit};
use crate::ecn::{Leaving, negotiate as ecn};
use crate::endpoint::table::FourTuple;
use crate::instant::Instant;
use crate::output::{Transmit, TransmitBody};
use crate::recv::AckFields;
use crate::send::mss::TIMESTAMPS_LEN;
use crate::send::{Blocked, Plan};
use crate::timer::TimerKind;

/// The bytes of a header that options can take.
const OPTIONS_ROOM: u32 = 40;

/// Whether a segment's text leaves for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    New,
    Again,
    /// Again, but as a tail loss probe.
    Probe,
}

impl Connection {
    /// The next segment, if one is to be sent now.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Option<Transmit> {
        self.watch_path(now, context);
        self.check_controller(context);
        let transmit = self
            .emit_reset(now, context)
            .or_else(|| self.emit_syn(now, context))
            .or_else(|| self.emit_loss_probe(now, context))
            .or_else(|| self.emit_again(now, context))
            .or_else(|| self.emit_probe(now, context))
            .or_else(|| self.emit_new(now, context))
            .or_else(|| self.emit_ack(now, context))
            .or_else(|| self.emit_keep_alive(now, context));
        match &transmit {
            Some(_) => {
                self.traffic.segs_out += 1;
                context.counters.out_segs += 1;
            }
            None => {
                // What was sent no longer waits to be sent.
                self.check_room(context.config);
                self.check_persist(now);
                self.note_activity(now);
            }
        }
        transmit
    }

    // Implements: RFC9293 s3.10.5, RFC9293 s3.10.7.1c
    fn emit_reset(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        let reset = self.owed.reset.take()?;
        context.counters.out_rsts += 1;
        let segment = match reset {
            // Deviates: RFC 7323 section 3.2 asks for a timestamp here too. As Linux, none: what
            // is answered may be no segment of this connection.
            Reset::Answer(seq) => {
                Segment { options: Options::default(), ..self.segment(now, seq, Flags::RST, None) }
            }
            Reset::Active(seq) => {
                let fields = self.recv.acknowledge(0);
                // With the latest timestamp, so that the peer's PAWS does not mind (RFC 7323
                // section 3.2 SHOULD).
                let flags = Flags::RST | Flags::ACK;
                let mut segment = self.segment(now, seq, flags, Some(fields));
                let codepoint = self.stamp(&mut segment, Leaving::Bare);
                return Some(self.packet(context, segment, codepoint, Chunks::new()));
            }
        };
        Some(self.packet(context, segment, Codepoint::NotEct, Chunks::new()))
    }

    fn emit_syn(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        let syn_sent = self.syn_sent.as_ref().filter(|_| self.owed.syn)?;
        let timestamp = syn_sent.timestamp(now);
        let mss = self.user.options.advertised_mss(self.tuple.remote_ip, context.mtu);
        let offer = Offer::new(mss, self.recv.window());
        let wish = self.user.options.ecn(context.config).request;
        let (flags, ack, options) = match &syn_sent.crossed {
            None => (
                Flags::SYN | ecn::syn_flags(context.config, wish, self.syn_retransmissions()),
                SeqNumber::default(),
                negotiate::syn_options(context.config, &offer, timestamp),
            ),
            Some(agreed) => (
                Flags::SYN | Flags::ACK,
                self.recv.nxt(),
                agreed.syn_ack_options(context.config, &offer, timestamp),
            ),
        };
        self.owed.syn = false;
        if self.syn_retransmissions() > 0 {
            context.counters.retrans_segs += 1;
            self.traffic.total_retrans += 1;
        }
        self.arm_syn_timer(now, context);
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.send.iss(),
            ack,
            flags,
            window: offer.window,
            urgent: 0,
            options,
        };
        // A SYN that is lost for a queue that could have marked it costs a second.
        let control = self.user.options.congestion_control(context.config);
        let asks = segment.flags.contains(Flags::ECE) && control == CongestionControl::Dctcp;
        let codepoint = if asks { Codepoint::Ect0 } else { Codepoint::NotEct };
        Some(self.packet(context, segment, codepoint, Chunks::new()))
    }

    fn emit_again(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        let (seq, len) = self.recovery.next_missing()?;
        let mut plan = self.send.plan_again(seq, len)?;
        if !self.recovery.may_resend(self.window(), plan.len) {
            self.note_window_usage(true);
            return None;
        }
        if !self.is_paced_in(now, context.config) {
            return None;
        }
        let room = self.recovery.resend_room(self.window());
        self.send.join_burst(&mut plan, room, |most| self.recovery.missing_run(most));
        self.emit_text(now, context, plan, Sending::Again)
    }

    /// A tail loss probe: something new if the peer's window takes it, however full the congestion
    /// window is; else what was sent last.
    // Implements: RFC8985 s7.3a
    fn emit_loss_probe(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        if !std::mem::take(&mut self.owed.loss_probe) {
            return None;
        }
        let option_bytes = self.fit_options(now, context.config, u32::MAX).len;
        let new = match self.send.next_new(u64::MAX, option_bytes, 1) {
            Ok(plan) => Some(plan),
            Err(Blocked::Held) => self.send.next_despite_small_window(),
            Err(_) => None,
        };
        let transmit = if let Some(plan) = new {
            let transmit = self.emit_text(now, context, plan, Sending::New);
            self.recovery.on_probe(now, None);
            transmit
        } else {
            let (seq, len) = self.recovery.flight().last_segment()?;
            let plan = self.send.plan_again(seq, len)?;
            self.emit_text(now, context, plan, Sending::Probe)
        };
        context.counters.loss_probes += u64::from(transmit.is_some());
        self.restart_retransmission(now);
        transmit
    }

    // Implements: 9293 MUST-36
    fn emit_probe(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        if !std::mem::take(&mut self.owed.probe) {
            return None;
        }
        if let Some(plan) = self.send.next_despite_small_window() {
            return self.emit_text(now, context, plan, Sending::New);
        }
        context.counters.win_probes += 1;
        self.send.on_probe();
        Some(self.probe(now, context))
    }

    fn emit_new(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        if !self.state.may_transmit() {
            return None;
        }
        self.resume_after_idle(now, context);
        let window = self.window();
        let burst = self.largest_burst(context.config);
        let option_bytes = self.fit_options(now, context.config, u32::MAX).len;
        let next = self.send.next_new(self.recovery.room(window), option_bytes, burst);
        if next.is_err() && self.recovery.on_nothing_new() {
            return self.emit_again(now, context);
        }
        match next {
            Ok(plan) if plan.len == 0 || self.is_paced_in(now, context.config) => {
                self.emit_text(now, context, plan, Sending::New)
            }
            Err(Blocked::Congestion) => {
                self.note_window_usage(true);
                None
            }
            Ok(_) | Err(Blocked::Nothing | Blocked::Window | Blocked::Held) => None,
        }
    }

    fn emit_ack(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        if let Some((fields, flags)) = self.owed.before_mark.take().map(|owed| *owed) {
            let segment = self.segment(now, self.seq_of_bare(), Flags::ACK | flags, Some(fields));
            return Some(self.packet(context, segment, Codepoint::Ect0, Chunks::new()));
        }
        if !self.recv.policy().is_due() || !self.may_acknowledge() {
            return None;
        }
        let seq = self.seq_of_bare();
        Some(self.bare(now, context, seq, self.max_blocks()))
    }

    /// A reset of our own accord, as things stand: what has been sent is still known.
    pub(super) fn active_reset(&self) -> Reset {
        Reset::Active(self.seq_of_bare())
    }

    /// The number of what carries no text. As Linux, the unit of windows is ours, not the peer's.
    fn seq_of_bare(&self) -> SeqNumber {
        if !self.state.is_synchronized() {
            // The peer's window is not known.
            return self.send.nxt();
        }
        let unit = self.recv.is_scaled().then(|| 1 << self.recv.window().scale().shift());
        self.send.acceptable_seq(unit)
    }

    // Implements: 9293 SHLD-12
    fn emit_keep_alive(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Transmit> {
        if !std::mem::take(&mut self.owed.keep_alive) {
            return None;
        }
        context.counters.keep_alives += 1;
        Some(self.probe(now, context))
    }

    /// A segment that the peer must answer: empty, one below SND.UNA.
    fn probe(&mut self, now: Instant, context: &Context<'_>) -> Transmit {
        let seq = self.send.una() - 1;
        self.bare(now, context, seq, 0)
    }

    /// A segment without text.
    fn bare(
        &mut self,
        now: Instant,
        context: &Context<'_>,
        seq: SeqNumber,
        max_blocks: usize,
    ) -> Transmit {
        let mut fit = self.fit_options(now, context.config, u32::MAX);
        fit.blocks = fit.blocks.min(max_blocks);
        let mut segment = self.acknowledging(now, seq, Flags::ACK, fit);
        let codepoint = self.stamp(&mut segment, Leaving::Bare);
        self.packet(context, segment, codepoint, Chunks::new())
    }

    /// A segment that pays what is owed, with the options for which there is room.
    fn acknowledging(&mut self, now: Instant, seq: SeqNumber, flags: Flags, fit: Fit) -> Segment {
        let fields = self.acknowledge(fit.blocks);
        let mut segment = self.segment(now, seq, flags, Some(fields));
        if let Some(accurate) = self.ecn.accurate_mut() {
            match fit.counters {
                Some(counters) => {
                    segment.options.acc_ecn = Some(accurate.option(counters));
                    let first = segment.options.sack.first().map(|block| block.left);
                    let duplicate = first.filter(|left| left.before(segment.ack));
                    accurate.on_option_sent(now, duplicate);
                }
                None => accurate.on_option_left_out(),
            }
        }
        segment
    }

    /// Sets the ECN bits of a segment's header and returns those of its packet's.
    fn stamp(&mut self, segment: &mut Segment, leaving: Leaving) -> Codepoint {
        if !self.is_attached() && self.state.name() == StateName::TimeWait {
            // As Linux, whose record of a closed connection knows no counters.
            return self.bare_codepoint();
        }
        let (codepoint, flags) = self.ecn.stamp(leaving);
        segment.flags |= flags;
        codepoint
    }

    /// The options beyond the usual that the next segment carries, where it has room for `room`
    /// bytes of them.
    fn fit_options(&self, now: Instant, config: &Config, room: u32) -> Fit {
        let usual = if self.timestamps.is_some() { TIMESTAMPS_LEN } else { 0 };
        let blocks = self.recv.sack_blocks(self.max_blocks());
        let room = room.min(OPTIONS_ROOM - usual);
        let blocks = blocks.min((room.saturating_sub(2) / 8) as usize);
        match self.ecn.accurate().and_then(|ecn| ecn.wants_option(now, config, self.rtt.srtt())) {
            Some(required) => ecn_option::fit(required, blocks, OPTIONS_ROOM - room),
            None => Fit::of_blocks(blocks),
        }
    }

    fn emit_text(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        mut plan: Plan,
        sending: Sending,
    ) -> Option<Transmit> {
        let payload = self.send.take(&mut plan);
        if plan.sequence_len() == 0 {
            return None;
        }
        let end = plan.seq + plan.sequence_len();
        match sending {
            Sending::New => {
                self.recovery.on_sent(now, end, self.send.segment_size());
                self.arm_after_sending(now, context.config);
            }
            Sending::Again | Sending::Probe => {
                if sending == Sending::Probe {
                    self.recovery.on_probe(now, Some((plan.seq, end)));
                } else if self.recovery.on_resent(now, plan.seq, end, context.counters)
                    && !self.timers.is_armed(TimerKind::ReorderingWindow)
                {
                    self.restart_retransmission(now);
                }
                context.counters.retrans_segs += 1;
                self.traffic.total_retrans += 1;
                self.traffic.bytes_retrans += u64::from(plan.len);
            }
        }
        self.note_window_usage(self.recovery.pipe() >= self.window());
        self.traffic.bytes_sent += u64::from(plan.len);
        if plan.len > 0 {
            self.pacer.on_sent(u64::from(plan.len));
            self.traffic.data_segs_out += 1;
            self.traffic.last_data_sent = Some(now);
        }
        if !self.is_armed_for_losses() {
            self.restart_retransmission(now);
        }
        self.recv.policy_mut().on_data_sent(now);
        let mut flags = Flags::ACK;
        if plan.push {
            flags |= Flags::PSH;
        }
        if plan.fin {
            flags |= Flags::FIN;
        }
        let room = self.send.mss().effective().saturating_sub(plan.len);
        let fit = self.fit_options(now, context.config, room);
        let mut segment = self.acknowledging(now, plan.seq, flags, fit);
        let leaving = match sending {
            Sending::New if plan.len > 0 => Leaving::New,
            Sending::New => Leaving::Bare,
            Sending::Again | Sending::Probe => Leaving::Again,
        };
        let codepoint = self.stamp(&mut segment, leaving);
        Some(self.packet(context, segment, codepoint, payload))
    }

    fn note_window_usage(&mut self, limited: bool) {
        self.usage.on_sent(Sent {
            snd_una: self.send.una(),
            snd_nxt: self.send.nxt(),
            outstanding: self.recovery.flight().outstanding().bytes,
            limited,
        });
    }

    // Implements: RFC5681 s4.1
    fn resume_after_idle(&mut self, now: Instant, context: &Context<'_>) {
        let Some(since) = self.recovery.idle_since() else { return };
        if self.send.next_new(u64::MAX, 0, 1).is_err() || !self.is_paced_in(now, context.config) {
            return;
        }
        let restarts = context.config.tcp_slow_start_after_idle;
        self.congestion.controller_mut().on_idle(&IdleSample {
            now,
            idle: now - since,
            rto: self.rtt.rto(),
            restart_window: restarts.then_some(self.initial_window),
            app_limited: self.recovery.rate().is_app_limited(),
        });
    }

    fn may_acknowledge(&self) -> bool {
        !matches!(self.state.name(), StateName::SynSent | StateName::Closed)
    }

    pub(super) fn max_blocks(&self) -> usize {
        if self.sack { max_sack_blocks(self.timestamps.is_some()) } else { 0 }
    }

    /// Pays what is owed by way of acknowledgment.
    fn acknowledge(&mut self, max_blocks: usize) -> AckFields {
        let fields = self.recv.acknowledge(max_blocks);
        self.timers.stop(TimerKind::DelayedAck);
        fields
    }

    fn segment(
        &self,
        now: Instant,
        seq: SeqNumber,
        flags: Flags,
        fields: Option<AckFields>,
    ) -> Segment {
        let timestamps = self.timestamps.as_ref().map(|timestamps| timestamps.option(now));
        let (ack, window, sack) = match fields {
            Some(fields) => (fields.ack, fields.window, fields.sack),
            None => Default::default(),
        };
        let urgent = self.send.urgent_pointer(seq).filter(|_| flags.contains(Flags::ACK));
        Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq,
            ack,
            flags: if urgent.is_some() { flags | Flags::URG } else { flags },
            window,
            urgent: urgent.unwrap_or(0),
            options: Options { timestamps, sack, ..Options::default() },
        }
    }

    fn packet(
        &self,
        context: &Context<'_>,
        segment: Segment,
        codepoint: Codepoint,
        payload: Chunks,
    ) -> Transmit {
        let options = &self.user.options;
        let ttl = options.hop_limit(context.config);
        let mut transmit = packet(&self.tuple, ttl, segment, payload);
        transmit.ip.dscp = options.dscp();
        transmit.ip.ecn = codepoint;
        transmit
    }
}

/// A TCP packet from one end of a connection to the other.
pub(crate) fn packet(tuple: &FourTuple, ttl: u8, segment: Segment, payload: Chunks) -> Transmit {
    Transmit {
        ip: ip_header(tuple.local_ip, tuple.remote_ip, Protocol::TCP, ttl),
        body: TransmitBody::Tcp { segment, payload, gso_size: 0 },
    }
}

/// An IP header of ours: an atomic datagram, whose identification says nothing (RFC 6864).
pub(crate) fn ip_header(src: IpAddr, dst: IpAddr, protocol: Protocol, ttl: u8) -> IpHeader {
    IpHeader {
        src,
        dst,
        protocol,
        hop_limit: ttl,
        dscp: 0,
        ecn: Codepoint::NotEct,
        identification: 0,
        dont_fragment: true,
        flow_label: 0,
    }
}
