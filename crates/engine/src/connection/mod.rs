//! One connection: the clerk between the owners.
//!
//! `SendSpace`, `RecvSpace`, `Recovery`, the RTT estimator and the congestion controller each own
//! their numbers and return outcomes; here they meet, and nothing is computed. The files are the
//! RFC's chapters: `arrive` lists the steps of a segment's arrival, `accept`, `ack` and `text` are
//! those steps, `handshake` is SYN-SENT and the crossing of SYNs, `emit` is everything that leaves,
//! `expire` the timers, `user` the calls of the application.

mod accept;
mod ack;
mod arrive;
pub(crate) mod emit;
mod expire;
pub(crate) mod handshake;
pub(crate) mod icmp;
pub(crate) mod negotiate;
pub(crate) mod state;
mod text;
pub(crate) mod user;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::WindowScale;

use self::handshake::SynSent;
use self::negotiate::Handshake;
use self::state::{State, StateName, Transition};
use self::user::{SocketOptions, UserSide};
use crate::config::Config;
use crate::congestion::{Congestion, initial_window};
use crate::counters::Counters;
use crate::endpoint::table::FourTuple;
use crate::error::{CloseReason, SocketError};
use crate::event::{ListenerId, Readiness};
use crate::garbage::Garbage;
use crate::info::TcpInfo;
use crate::instant::Instant;
use crate::memory::Supply;
use crate::recovery::Recovery;
use crate::recv::{RecvSpace, Surroundings};
use crate::rtt::RttEstimator;
use crate::send::SendSpace;
use crate::send::mss::{self, SendMss};
use crate::timer::{TimerKind, Timers};
use crate::timestamps::Timestamps;

/// What a connection may use of its endpoint.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) counters: &'a mut Counters,
    pub(crate) garbage: &'a mut Garbage,
    /// The link's MTU, in bytes.
    pub(crate) mtu: usize,
    /// What memory the connection gets.
    pub(crate) supply: Supply,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    tuple: FourTuple,
    state: State,
    /// The handshake's data, until it is complete.
    syn_sent: Option<Box<SynSent>>,
    send: SendSpace,
    recv: RecvSpace,
    rtt: RttEstimator,
    timestamps: Option<Timestamps>,
    sack: bool,
    recovery: Recovery,
    congestion: Congestion,
    timers: Timers,
    user: UserSide,
    owed: Owed,
    /// When the last answer to an unacceptable segment was given (RFC 5961 section 7).
    last_challenge: Option<Instant>,
    last_received: Instant,
    /// Keep-alive probes without an answer.
    keep_alive_probes: u32,
    initial_window: u64,
    traffic: Traffic,
}

/// Segments that are owed beside data and ACKs.
#[derive(Debug, Default)]
struct Owed {
    reset: Option<Reset>,
    syn: bool,
    probe: bool,
    keep_alive: bool,
}

/// A reset that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    /// Of our own accord: at SND.NXT, with an ACK.
    Active,
    /// In answer to a segment whose ACK field named this sequence number.
    Answer(SeqNumber),
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    bytes_acked: u64,
    bytes_received: u64,
    bytes_sent: u64,
    bytes_retrans: u64,
    segs_in: u64,
    segs_out: u64,
    total_retrans: u64,
}

impl Connection {
    /// An active open: SYN-SENT, with the SYN owed.
    pub(crate) fn connect(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        iss: SeqNumber,
        timestamp_offset: u32,
        options: SocketOptions,
    ) -> Connection {
        let mut connection = Connection::new(now, context, tuple, iss, options);
        connection.syn_sent = Some(Box::new(SynSent::new(now, timestamp_offset)));
        connection.owed.syn = true;
        connection
    }

    /// A passive open whose handshake is complete.
    pub(crate) fn accept(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        listener: ListenerId,
        handshake: &Handshake,
        options: SocketOptions,
    ) -> Connection {
        let mut connection = Connection::new(now, context, tuple, handshake.iss, options);
        connection.user.listener = Some(listener);
        connection.state = State::established();
        connection.establish(now, context, handshake);
        connection
    }

    fn new(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        iss: SeqNumber,
        options: SocketOptions,
    ) -> Connection {
        let config = context.config;
        let advertised = mss::advertised(tuple.remote_ip, context.mtu);
        let send_mss =
            SendMss::new(tuple.remote_ip, None, context.mtu, false, config.tcp_min_snd_mss);
        let window = initial_window(config.initial_window, send_mss.effective());
        let mut send = SendSpace::new(iss, send_mss, config.tcp_wmem.default);
        send.set_nodelay(options.nodelay);
        Connection {
            tuple,
            state: State::syn_sent(),
            syn_sent: None,
            send,
            recv: RecvSpace::new(now, config, advertised),
            rtt: RttEstimator::new(config),
            timestamps: None,
            sack: false,
            recovery: Recovery::new(iss),
            congestion: Congestion::new(
                config.tcp_congestion_control,
                window,
                send_mss.effective(),
            ),
            timers: Timers::new(),
            user: UserSide::new(options),
            owed: Owed::default(),
            last_challenge: None,
            last_received: now,
            keep_alive_probes: 0,
            initial_window: window,
            traffic: Traffic::default(),
        }
    }

    /// Sets up every owner from the handshake. The state is the caller's.
    fn establish(&mut self, now: Instant, context: &mut Context<'_>, handshake: &Handshake) {
        let config = context.config;
        let agreed = &handshake.agreed;
        let mss = SendMss::new(
            self.tuple.remote_ip,
            agreed.mss,
            context.mtu,
            agreed.timestamp.is_some(),
            config.tcp_min_snd_mss,
        );
        let scale = WindowScale::new(agreed.window_scale.unwrap_or(0));
        self.send.on_handshake(scale, handshake.window, handshake.window_seq, mss);
        self.recv.on_handshake(handshake.irs, agreed.window_scale.is_some());
        self.recovery.on_handshake(agreed.sack);
        self.sack = agreed.sack;
        self.timestamps = agreed.timestamp.map(|value| {
            Timestamps::new(handshake.timestamp_offset, value, handshake.timestamp_at)
        });
        match handshake.rtt {
            Some(sample) => self.rtt.on_sample(sample),
            None => self.rtt.on_handshake_without_sample(),
        }
        // Implements: RFC6928 s2b, RFC6928 s2c
        let segments = if handshake.retransmissions > 1 { 1 } else { config.initial_window };
        self.initial_window = initial_window(segments, mss.effective());
        self.congestion =
            Congestion::new(config.tcp_congestion_control, self.initial_window, mss.effective());
        self.grow_send_buffer(config);
        self.timers.stop(TimerKind::Retransmission);
        self.last_received = now;
        self.arm_keep_alive(now);
        context.counters.curr_estab += 1;
        self.user.raise(Readiness::CONNECTED | Readiness::WRITABLE);
    }

    pub(crate) fn tuple(&self) -> &FourTuple {
        &self.tuple
    }

    pub(crate) fn state(&self) -> StateName {
        self.state.name()
    }

    pub(crate) fn listener(&self) -> Option<ListenerId> {
        self.user.listener
    }

    /// The earliest timer.
    pub(crate) fn next_deadline(&self) -> Option<(Instant, TimerKind)> {
        self.timers.next()
    }

    /// What a TIME-WAIT record must know, once the last ACK is on its way.
    pub(crate) fn time_wait_view(&self) -> (SeqNumber, &RecvSpace, Option<Timestamps>) {
        (self.send.nxt(), &self.recv, self.timestamps)
    }

    /// The wire has nothing more to do with this connection.
    pub(crate) fn leave_wire(&mut self, context: &mut Context<'_>) {
        self.end(context, CloseReason::Closed);
    }

    /// Ends the connection: whatever waits fails with the reason's error, if it has one.
    pub(crate) fn end(&mut self, context: &mut Context<'_>, reason: CloseReason) {
        let from = self.state.name();
        if from == StateName::Closed {
            return;
        }
        if matches!(from, StateName::Established | StateName::CloseWait) {
            context.counters.curr_estab = context.counters.curr_estab.saturating_sub(1);
            if matches!(reason, CloseReason::PeerReset | CloseReason::Aborted) {
                context.counters.estab_resets += 1;
            }
        }
        if matches!(from, StateName::SynSent | StateName::SynReceived) {
            context.counters.attempt_fails += 1;
        }
        if !self.is_attached() && reason != CloseReason::Closed && self.is_undelivered() {
            context.counters.orphans_failed += 1;
        }
        self.state.follow(Transition::End);
        self.syn_sent = None;
        self.timers.stop_all();
        self.send.clear(context.garbage);
        self.recovery.clear();
        self.owed = Owed { reset: self.owed.reset, ..Owed::default() };
        self.user.on_end(reason);
    }

    fn fail(&mut self, context: &mut Context<'_>, reason: CloseReason, error: SocketError) {
        self.end(context, reason);
        self.user.error = Some(error);
    }

    /// Moves along RFC 9293's figure 5 and keeps what hangs on the state.
    fn transition(&mut self, context: &mut Context<'_>, transition: Transition) -> StateName {
        let was_open = self.state.may_send();
        let to = self.state.follow(transition);
        if was_open && !self.state.may_send() {
            context.counters.curr_estab = context.counters.curr_estab.saturating_sub(1);
        }
        to
    }

    fn surroundings(&self, config: &Config) -> Surroundings {
        Surroundings {
            rto: self.rtt.rto(),
            srtt: self.rtt.srtt(),
            sack: self.sack,
            dsack: self.sack && config.tcp_dsack,
        }
    }

    /// A send buffer of twice the congestion window keeps the pipe full while ACKs come back.
    fn grow_send_buffer(&mut self, config: &Config) {
        let sizes = config.tcp_wmem;
        let capacity = match self.user.options.send_buffer {
            Some(size) => size.clamp(sizes.min, sizes.max),
            None => {
                let wanted = self.congestion.controller().window().saturating_mul(2);
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                self.send.buffer().capacity().max(wanted).min(sizes.max)
            }
        };
        self.send.buffer_mut().set_capacity(capacity);
    }

    /// RFC 6298 section 5: armed while something is outstanding.
    // Implements: RFC6298 s5.1, RFC6298 s5.2, RFC6298 s5.3
    fn restart_retransmission(&mut self, now: Instant) {
        if self.recovery.flight().is_empty() {
            self.timers.stop(TimerKind::Retransmission);
        } else {
            self.timers.arm(TimerKind::Retransmission, now + self.rtt.rto());
        }
    }

    /// Probing is armed while only a window update can let something go.
    fn check_persist(&mut self, now: Instant) {
        if self.state.may_transmit() && self.send.is_blocked_by_window() {
            if !self.timers.is_armed(TimerKind::Persist) && !self.owed.probe {
                let interval = self.send.probe_interval(self.rtt.base_rto(), self.rtt.rto_max());
                self.timers.arm(TimerKind::Persist, now + interval);
            }
        } else {
            self.timers.stop(TimerKind::Persist);
            self.owed.probe = false;
        }
    }

    fn arm_keep_alive(&mut self, now: Instant) {
        match self.user.options.keepalive {
            Some(keep_alive) if self.state.name() != StateName::Closed => {
                self.timers.arm(TimerKind::KeepAlive, now + keep_alive.time());
            }
            _ => self.timers.stop(TimerKind::KeepAlive),
        }
    }

    pub(crate) fn info(&self) -> TcpInfo {
        let flight = self.recovery.flight();
        let controller = self.congestion.controller();
        TcpInfo {
            state: self.state.name(),
            timestamps: self.timestamps.is_some(),
            sack: self.sack,
            snd_wscale: self.send.scale().shift(),
            rcv_wscale: self.recv.window().scale().shift(),
            rto: self.rtt.rto(),
            rtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min(),
            snd_mss: self.send.mss().effective(),
            rcv_mss: self.recv.rcv_mss(),
            snd_cwnd_bytes: controller.window(),
            snd_ssthresh_bytes: controller.slow_start_threshold(),
            snd_wnd: self.send.wnd(),
            rcv_wnd: self.recv.wnd(),
            unacked_bytes: flight.outstanding(),
            sacked_bytes: flight.sacked(),
            lost_bytes: flight.missing(),
            notsent_bytes: self.send.unsent(),
            unread_bytes: self.recv.readable() as u64,
            retransmits: self.recovery.timeouts(),
            probes: self.send.probes().max(self.keep_alive_probes),
            total_retrans: self.traffic.total_retrans,
            bytes_acked: self.traffic.bytes_acked,
            bytes_received: self.traffic.bytes_received,
            bytes_sent: self.traffic.bytes_sent,
            bytes_retrans: self.traffic.bytes_retrans,
            segs_in: self.traffic.segs_in,
            segs_out: self.traffic.segs_out,
        }
    }

    /// Bytes kept for sending and for reading.
    pub(crate) fn held_bytes(&self) -> (usize, usize) {
        (self.send.buffer().len(), self.recv.held())
    }

    /// What the stack's budget counts for the connection, beside the record itself.
    pub(crate) fn charge(&self) -> usize {
        self.send.buffer().charge() + self.recv.charge()
    }

    /// How the stack's memory is.
    pub(crate) fn on_supply(&mut self, supply: Supply) {
        self.recv.on_supply(supply);
    }

    /// Whether the connection is over.
    pub(crate) fn is_over(&self) -> bool {
        self.state.name() == StateName::Closed
    }

    /// Whether a byte or a FIN that the application gave is not acknowledged yet.
    pub(crate) fn is_undelivered(&self) -> bool {
        self.state.may_transmit() && !self.send.is_delivered()
    }
}

/// How long RFC 9293's user waits: the model of Linux's `tcp_retries2`, which counts time-outs of a
/// path with the least RTO.
// Implements: 9293 SHLD-11, 9293 MUST-20
pub(crate) fn give_up_after(config: &Config, retries: u32) -> Duration {
    let linear_from =
        (config.rto_max.as_millis() / config.rto_min.as_millis().max(1)).max(1).ilog2();
    if retries <= linear_from {
        config.rto_min * ((2u32 << retries) - 1)
    } else {
        config.rto_min * ((2u32 << linear_from) - 1) + config.rto_max * (retries - linear_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: 9293 SHLD-11
    #[test]
    fn fifteen_retries_are_linuxs_924_seconds() {
        let config = Config::default();
        assert_eq!(give_up_after(&config, 15), Duration::from_millis(924_600));
        assert_eq!(give_up_after(&config, 3), Duration::from_millis(3000));
    }
}
