//! How much may be in flight: the plug for congestion control.
//!
//! A controller owns its window and its threshold and nothing else; it is told what happened and
//! says how much. What was lost and what to resend is `recovery`'s. Everything is in bytes of
//! payload; a window is never below one segment.

pub(crate) mod rate;
mod reno;
pub(crate) mod usage;

use core::fmt;
use core::time::Duration;

pub use reno::Reno;

use crate::config::CongestionControl;
use crate::instant::Instant;

/// A congestion controller of one connection.
///
/// Only [`window`](Controller::window), [`on_ack`](Controller::on_ack) and
/// [`on_congestion`](Controller::on_congestion) must be written. A controller gets samples and
/// returns numbers: it has no handle to the stack, and a wrong number can slow its own connection
/// but not break the protocol.
pub trait Controller: fmt::Debug + Send {
    /// The name that `tcp_congestion_control` and `ss` show.
    fn name(&self) -> &'static str;

    /// The congestion window, in bytes.
    fn window(&self) -> u64;

    /// The slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    fn slow_start_threshold(&self) -> u64 {
        u64::MAX
    }

    /// Bytes were newly acknowledged outside loss recovery.
    fn on_ack(&mut self, sample: &AckSample);

    /// Congestion was detected, once for each event of recovery.
    fn on_congestion(&mut self, event: &CongestionEvent);

    /// Loss recovery ended with everything of the window delivered.
    fn on_recovered(&mut self, _now: Instant) {}

    /// Sending resumes after `idle` without anything outstanding.
    fn on_idle(&mut self, _idle: &IdleSample) {}

    /// The segment size changed, in bytes.
    fn on_mss_change(&mut self, _mss: u32) {}
}

/// What an acknowledgment told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AckSample {
    pub(crate) now: Instant,
    pub(crate) acked_bytes: u64,
    pub(crate) in_flight_bytes: u64,
    pub(crate) rtt: Option<Duration>,
    pub(crate) mss: u32,
    pub(crate) window_limited: bool,
}

impl AckSample {
    /// When the acknowledgment arrived.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// Bytes newly acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked_bytes
    }
    /// Bytes in flight after the acknowledgment.
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }
    /// The round-trip time that this acknowledgment measured, if it did.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
    /// The sender's segment size, in bytes.
    pub fn mss(&self) -> u32 {
        self.mss
    }
    /// Whether the congestion window was what held sending back.
    pub fn is_window_limited(&self) -> bool {
        self.window_limited
    }
}

/// Congestion.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    pub(crate) now: Instant,
    pub(crate) kind: CongestionKind,
    pub(crate) in_flight_bytes: u64,
    pub(crate) mss: u32,
}

impl CongestionEvent {
    /// When it was detected.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// How it was detected.
    pub fn kind(&self) -> CongestionKind {
        self.kind
    }
    /// FlightSize of RFC 5681: bytes outstanding when it was detected.
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }
    /// The sender's segment size, in bytes.
    pub fn mss(&self) -> u32 {
        self.mss
    }
}

/// How congestion was detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionKind {
    /// A segment is lost while later ones arrive.
    Loss,
    /// The retransmission timer fired, for the first time for this segment.
    Timeout,
    /// The retransmission timer fired again for the same segment.
    RepeatedTimeout,
}

/// Sending resumes after a pause.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IdleSample {
    pub(crate) idle: Duration,
    pub(crate) rto: Duration,
    pub(crate) initial_window: u64,
}

impl IdleSample {
    /// How long nothing was sent.
    pub fn idle(&self) -> Duration {
        self.idle
    }
    /// The retransmission time-out.
    pub fn rto(&self) -> Duration {
        self.rto
    }
    /// The initial window, in bytes.
    pub fn initial_window(&self) -> u64 {
        self.initial_window
    }
}

/// The controller of a connection: a built-in one without indirection.
#[derive(Debug)]
pub(crate) enum Congestion {
    Reno(Reno),
}

impl Congestion {
    pub(crate) fn new(choice: CongestionControl, initial_window: u64, mss: u32) -> Congestion {
        match choice {
            CongestionControl::Reno => Congestion::Reno(Reno::new(initial_window, mss)),
        }
    }

    pub(crate) fn controller(&self) -> &dyn Controller {
        match self {
            Congestion::Reno(reno) => reno,
        }
    }

    pub(crate) fn controller_mut(&mut self) -> &mut dyn Controller {
        match self {
            Congestion::Reno(reno) => reno,
        }
    }
}

/// RFC 6928's upper bound has a byte limit; Linux's, and ours, is ten segments at any MSS.
pub(crate) fn initial_window(segments: u32, mss: u32) -> u64 {
    u64::from(segments) * u64::from(mss)
}
