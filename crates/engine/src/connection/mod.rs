//! One connection: the clerk between the owners.
//!
//! `SendSpace`, `RecvSpace`, `Recovery`, the RTT estimator and the congestion controller each own
//! their numbers and return outcomes; here they meet, and nothing is computed. The files are the
//! RFC's chapters: `arrive` lists the steps of a segment's arrival, `accept`, `ack` and `text` are
//! those steps, `handshake` is SYN-SENT and the crossing of SYNs, `emit` is everything that leaves,
//! `expire` the timers, `user` the calls of the application.

mod accept;
mod ack;
pub(crate) mod adjust;
mod answers;
mod arrive;
pub(crate) mod chronograph;
pub(crate) mod emit;
mod expire;
pub(crate) mod handshake;
pub(crate) mod icmp;
mod losses;
mod measure;
pub(crate) mod negotiate;
pub(crate) mod options;
mod pace;
mod sockopt;
pub(crate) mod state;
mod text;
pub(crate) mod user;
mod write;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, WindowScale};

use self::answers::Answers;
use self::handshake::SynSent;
use self::measure::Traffic;
use self::negotiate::Handshake;
use self::options::SocketOptions;
use self::state::{State, StateName, Transition};
use self::user::UserSide;
use crate::config::Config;
use crate::congestion::pacing::Pacer;
use crate::congestion::usage::WindowUsage;
use crate::congestion::{Congestion, Start, initial_window};
use crate::counters::Counters;
use crate::ecn::Ecn;
use crate::ecn::accurate::Accurate;
use crate::endpoint::path_mtu::{PathMtu, PathMtus};
use crate::endpoint::table::FourTuple;
use crate::error::{CloseReason, SocketError};
use crate::event::{ListenerId, Readiness};
use crate::garbage::Garbage;
use crate::instant::Instant;
use crate::memory::Supply;
use crate::recovery::Recovery;
use crate::recv::room::Room;
use crate::recv::{AckFields, RecvSpace, Surroundings};
use crate::rtt::{RttEstimator, RttSample};
use crate::send::SendSpace;
use crate::send::mss::SendMss;
use crate::timer::{TimerKind, Timers};
use crate::timestamps::Timestamps;

/// Linux's SOCK_MIN_SNDBUF on 64-bit machines: the least send buffer that an application gets.
const LEAST_SEND_BUFFER: usize = 4608;
/// What Linux counts around the payload of a segment when it sizes a send buffer: headers and the
/// list of fragments, and, where that is rounded up, the record of the packet.
const SEGMENT_OVERHEAD: u64 = 640;
const SEGMENT_RECORD: u64 = 256;
/// Segments for which a send buffer is made at least: the initial window.
const INITIAL_SEGMENTS: u64 = 10;

/// What a connection may use of its endpoint.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) counters: &'a mut Counters,
    pub(crate) garbage: &'a mut Garbage,
    pub(crate) paths: &'a mut PathMtus,
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
    path_mtu: PathMtu,
    recv: RecvSpace,
    rtt: RttEstimator,
    timestamps: Option<Timestamps>,
    sack: bool,
    ecn: Ecn,
    recovery: Recovery,
    congestion: Congestion,
    usage: WindowUsage,
    pacer: Pacer,
    /// Of which the congestion control's randomness is made.
    seed: u64,
    timers: Timers,
    user: UserSide,
    owed: Owed,
    answers: Answers,
    last_received: Instant,
    /// When the window was first probed since it closed.
    probing_since: Option<Instant>,
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
    /// A tail loss probe.
    loss_probe: bool,
    keep_alive: bool,
    /// An ACK of what arrived before the mark did, with the ECN flags of then.
    before_mark: Option<Box<(AckFields, Flags)>>,
}

/// A reset that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    /// Of our own accord: at the number of what carries no text, with an ACK.
    Active(SeqNumber),
    /// In answer to a segment whose ACK field named this sequence number.
    Answer(SeqNumber),
}

impl Connection {
    /// An active open: SYN-SENT, with the SYN owed.
    pub(crate) fn connect(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        iss: SeqNumber,
        (timestamp_offset, seed): (u32, u64),
        options: SocketOptions,
    ) -> Connection {
        let mut connection = Connection::new(now, context, tuple, (iss, seed), options, false);
        connection.syn_sent = Some(Box::new(SynSent::new(now, timestamp_offset)));
        connection.owed.syn = true;
        connection.recv.on_accept();
        connection
    }

    /// A passive open whose handshake is complete.
    pub(crate) fn accept(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        listener: ListenerId,
        (handshake, seed): (&Handshake, u64),
        options: SocketOptions,
    ) -> Connection {
        let timestamps = handshake.agreed.timestamp.is_some();
        let numbers = (handshake.iss, seed);
        let mut connection = Connection::new(now, context, tuple, numbers, options, timestamps);
        connection.user.listener = Some(listener);
        // Its SYN arrived before there was a connection to count it.
        connection.traffic.segs_in = 1;
        connection.state = State::handshake_done();
        connection.establish(now, context, handshake);
        connection
    }

    fn new(
        now: Instant,
        context: &mut Context<'_>,
        tuple: FourTuple,
        (iss, seed): (SeqNumber, u64),
        options: SocketOptions,
        timestamps: bool,
    ) -> Connection {
        let config = context.config;
        let advertised = options.advertised_mss(tuple.remote_ip, context.mtu);
        let room = Room::new(config, &options);
        let offered = negotiate::receive_window(config, &room, advertised, timestamps);
        let path_mtu = context.paths.lookup(now, tuple.remote_ip, context.mtu);
        let send_mss =
            SendMss::new(tuple.remote_ip, None, None, path_mtu.mtu, false, config.tcp_min_snd_mss);
        let window = initial_window(config.initial_window, send_mss.effective());
        let mut send = SendSpace::new(iss, send_mss, config.tcp_wmem.default);
        send.set_nodelay(options.nodelay);
        send.set_cork(options.cork);
        let mut recv = RecvSpace::new(now, config, &room, offered, advertised);
        recv.policy_mut().set_interactive(!options.quickack);
        recv.set_low_water(options.rcvlowat);
        Connection {
            tuple,
            state: State::active_open(),
            syn_sent: None,
            send,
            path_mtu,
            recv,
            rtt: RttEstimator::new(config),
            timestamps: None,
            sack: false,
            ecn: Ecn::default(),
            recovery: Recovery::new(iss, config),
            congestion: Congestion::new(
                options.congestion_control(config),
                config,
                &Start {
                    now,
                    window,
                    slow_start_threshold: u64::MAX,
                    mss: send_mss.effective(),
                    alternative_backoff: config.abe,
                    srtt: None,
                    min_rtt: None,
                    sack: false,
                    delivered_total: 0,
                    seed,
                },
            ),
            usage: WindowUsage::new(iss),
            pacer: Pacer::default(),
            seed,
            timers: Timers::new(),
            user: UserSide::new(options),
            owed: Owed::default(),
            answers: Answers::new(iss),
            last_received: now,
            probing_since: None,
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
            self.user.options.max_segment,
            self.path_mtu.mtu,
            agreed.timestamp.is_some(),
            config.tcp_min_snd_mss,
        );
        let scale = WindowScale::new(agreed.window_scale.unwrap_or(0));
        self.send.on_handshake(scale, handshake.window, handshake.window_seq, mss);
        if let Some(offer) = &handshake.promised {
            self.recv.on_promise(offer.shift, offer.window);
        }
        self.recv.on_handshake(handshake.irs, agreed.window_scale.is_some(), agreed.options_len());
        self.recovery.on_handshake(agreed.sack);
        self.sack = agreed.sack;
        self.timestamps = agreed.timestamp.map(|value| {
            Timestamps::new(handshake.timestamp_offset, value, handshake.timestamp_at)
        });
        match handshake.rtt {
            Some(sample) => self.rtt.on_sample(now, &RttSample::of_handshake(sample)),
            None => self.rtt.on_handshake_without_sample(),
        }
        // Implements: RFC6928 s2b, RFC6928 s2c
        let segments = if handshake.retransmissions > 1 { 1 } else { config.initial_window };
        self.initial_window = initial_window(segments, mss.effective());
        self.choose_congestion_control(now, config, self.initial_window, u64::MAX);
        self.ecn = Ecn::new(handshake.ecn, self.congestion.controller().wants_every_mark());
        self.grow_send_buffer(config);
        self.timers.stop(TimerKind::Retransmission);
        self.last_received = now;
        self.traffic.last_data_received = Some(now);
        self.traffic.on_progress(now);
        self.traffic.last_ack_received = Some(now);
        self.arm_keep_alive(now, config);
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

    /// The ECN bits of a segment without data.
    pub(crate) fn bare_codepoint(&self) -> Codepoint {
        self.ecn.accurate().map_or(Codepoint::NotEct, Accurate::codepoint)
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
            ack_due: self
                .timers
                .is_armed(TimerKind::DelayedAck)
                .then(|| self.timers.deadline(TimerKind::DelayedAck)),
            sack: self.sack,
            dsack: self.sack && config.tcp_dsack,
        }
    }

    /// A send buffer of twice the congestion window, or what the controller asks for, keeps the pipe
    /// full while ACKs come back. As on Linux, each segment is counted with what lies around it.
    fn grow_send_buffer(&mut self, config: &Config) {
        let sizes = config.tcp_wmem;
        let capacity = match self.user.options.send_buffer {
            Some(size) => size.saturating_mul(2).clamp(LEAST_SEND_BUFFER, sizes.max),
            None => {
                let size = u64::from(self.send.segment_size()).max(1);
                let segments = self.window().div_ceil(size).max(INITIAL_SEGMENTS);
                let each = (size + SEGMENT_OVERHEAD).next_power_of_two() + SEGMENT_RECORD;
                let windows = self.congestion.controller().windows_to_buffer();
                let wanted = segments.saturating_mul(windows.saturating_mul(each));
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                self.send.buffer().capacity().max(wanted).min(sizes.max)
            }
        };
        self.send.buffer_mut().set_capacity(capacity);
    }

    /// RFC 6298 section 5: armed while something is outstanding.
    fn restart_retransmission(&mut self, now: Instant) {
        if self.recovery.flight().is_empty() {
            self.timers.stop_for_losses();
        } else {
            let mut wait = self.rtt.rto();
            if let Some(first) = self.recovery.first_timeout_at()
                && let Some(left) = self.patience(now, first)
            {
                wait = wait.min(left.max(Duration::from_millis(1)));
            }
            self.timers.arm_for_losses(TimerKind::Retransmission, now + wait);
        }
    }

    /// Probing is armed while only a window update can let something go.
    fn check_persist(&mut self, now: Instant) {
        if self.state.may_transmit() && self.send.waits_for_timer() {
            if !self.timers.is_armed(TimerKind::Persist) && !self.owed.probe {
                let mut interval =
                    self.send.probe_interval(self.rtt.base_rto(), self.rtt.rto_max());
                if let Some(since) = self.probing_since
                    && let Some(left) = self.patience(now, since)
                {
                    interval = interval.min(left.max(Duration::from_millis(1)));
                }
                self.timers.arm(TimerKind::Persist, now + interval);
            }
        } else {
            self.probing_since = None;
            self.timers.stop(TimerKind::Persist);
            self.owed.probe = false;
        }
    }

    /// Keep-alive counts from when the peer was last heard.
    fn arm_keep_alive(&mut self, now: Instant, config: &Config) {
        match self.user.options.keep_alive(config) {
            Some(keep_alive) if self.state.name() != StateName::Closed => {
                let due = (self.last_received + keep_alive.time).max(now);
                self.timers.arm(TimerKind::KeepAlive, due);
            }
            _ => self.timers.stop(TimerKind::KeepAlive),
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

/// How long RFC 9293's user waits: the model of Linux's retries, which counts time-outs that begin
/// with `base` and are doubled.
// Implements: 9293 SHLD-11, 9293 MUST-20
pub(crate) fn give_up_after(config: &Config, base: Duration, retries: u32) -> Duration {
    let linear_from = (config.rto_max.as_millis() / base.as_millis().max(1)).max(1).ilog2();
    if retries <= linear_from {
        base * ((2u32 << retries) - 1)
    } else {
        base * ((2u32 << linear_from) - 1) + config.rto_max * (retries - linear_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: 9293 SHLD-11
    #[test]
    fn fifteen_retries_are_linuxs_924_seconds() {
        let config = Config::default();
        assert_eq!(give_up_after(&config, config.rto_min, 15), Duration::from_millis(924_600));
        assert_eq!(give_up_after(&config, config.rto_min, 3), Duration::from_millis(3000));
    }
}
