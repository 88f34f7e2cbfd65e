//! How much may be in flight: the plug for congestion control.
//!
//! A controller owns its window and its threshold and nothing else; it is told what happened and
//! says how much. What was lost and what to resend is `recovery`'s. Everything is in bytes of
//! payload; a window is never below one segment.

mod bbr;
mod bbr3;
mod cubic;
mod custom;
mod dctcp;
mod dice;
mod filter;
mod hystart;
mod model;
pub(crate) mod pacing;
pub(crate) mod rate;
pub(crate) mod rate_sample;
mod reno;
#[cfg(test)]
mod simulated;
pub(crate) mod usage;
mod window;

use core::fmt;
use core::time::Duration;

pub use bbr::Bbr;
pub use bbr3::Bbr3;
pub use cubic::Cubic;
pub use custom::CustomControl;
use custom::Fenced;
pub use dctcp::Dctcp;
pub use hystart::HyStart;
pub use model::PathModel;
pub use rate_sample::{LostRange, RateSample};
pub use reno::Reno;

use crate::config::{Config, CongestionControl};
pub use crate::instant::Instant;

/// A congestion controller of one connection.
///
/// Only [`name`](Controller::name), [`window`](Controller::window) and
/// [`on_ack`](Controller::on_ack) must be written. A controller gets samples and returns numbers: it
/// has no handle to the stack, and a wrong number can slow its own connection but not break the
/// protocol.
///
/// The order of calls for one arriving acknowledgment: `on_spurious`, `on_congestion`, `on_lost`,
/// `on_recovered`, each if it applies, then `on_ack`.
pub trait Controller: fmt::Debug + Send {
    /// The name that `tcp_congestion_control` and `ss` show.
    fn name(&self) -> &'static str;

    /// The congestion window, in bytes.
    fn window(&self) -> u64;

    /// The slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    fn slow_start_threshold(&self) -> u64 {
        u64::MAX
    }

    /// How fast to send, in bytes per second of packets' payload; `None` leaves it to the
    /// acknowledgments, or to the stack's own rate where pacing was asked for.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// Whether [`window`](Controller::window) holds in loss recovery too. Else the stack brings
    /// down what is in flight to the new window by proportional rate reduction (RFC 9937).
    fn governs_recovery(&self) -> bool {
        false
    }

    /// Whether less is sent than the path would take, on purpose, so that what is measured of the
    /// rate of delivery now says nothing of the path.
    fn holds_back(&self) -> bool {
        false
    }

    /// The least number of segments that leave as one burst; `None` is `tcp_min_tso_segs`.
    fn least_burst(&self) -> Option<u32> {
        None
    }

    /// How many windows the send buffer is to hold, where it grows by itself.
    fn windows_to_buffer(&self) -> u64 {
        2
    }

    /// What it believes of the path, for those who look on.
    fn model(&self) -> Option<PathModel> {
        None
    }

    /// Whether it answers each mark by itself, as DCTCP does: then ECN is asked for and accepted
    /// whatever `tcp_ecn` says, everything that leaves can be marked, and marks are echoed one by
    /// one.
    fn wants_every_mark(&self) -> bool {
        false
    }

    /// An acknowledgment told of something delivered or lost. The window may grow only where
    /// [`AckSample::may_grow`] says so, unless the controller
    /// [governs recovery](Controller::governs_recovery).
    fn on_ack(&mut self, sample: &AckSample);

    /// Congestion was detected, once for each event of recovery: the window and the threshold of
    /// after it are to be set.
    fn on_congestion(&mut self, _event: &CongestionEvent) {}

    /// A range was taken for lost: one call for each, the first of them if there are very many.
    fn on_lost(&mut self, _now: Instant, _lost: &LostRange) {}

    /// The last congestion was none (Eifel, D-SACK, F-RTO): the window and the threshold of before
    /// it are to be restored.
    fn on_spurious(&mut self, _now: Instant) {}

    /// Loss recovery ended with everything of the window delivered.
    fn on_recovered(&mut self, _now: Instant) {}

    /// Sending resumes with nothing outstanding.
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
    pub(crate) delivered_bytes: u64,
    pub(crate) delivered_segments: u32,
    pub(crate) marked_segments: u32,
    pub(crate) newly_lost_bytes: u64,
    pub(crate) in_flight_bytes: u64,
    pub(crate) prior_in_flight_bytes: u64,
    pub(crate) rtt: Option<Duration>,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    pub(crate) mss: u32,
    pub(crate) window_limited: bool,
    pub(crate) window_full: bool,
    pub(crate) may_grow: bool,
    pub(crate) paced: bool,
    pub(crate) phase: RecoveryPhase,
    pub(crate) acked_to: u64,
    pub(crate) sent_to: u64,
    pub(crate) delivered_total: u64,
    pub(crate) lost_total: u64,
    pub(crate) rate: RateSample,
}

impl AckSample {
    /// When the acknowledgment arrived.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// Bytes newly acknowledged cumulatively.
    pub fn acked_bytes(&self) -> u64 {
        self.acked_bytes
    }
    /// Bytes that are known to be delivered since the last sample, by ACK or by SACK.
    pub fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }
    /// Segments that are known to be delivered since the last sample.
    pub fn delivered_segments(&self) -> u32 {
        self.delivered_segments
    }
    /// Of those, how many the network marked (ECN).
    pub fn marked_segments(&self) -> u32 {
        self.marked_segments
    }
    /// Bytes newly taken for lost.
    pub fn newly_lost_bytes(&self) -> u64 {
        self.newly_lost_bytes
    }
    /// Bytes in flight after the acknowledgment.
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }
    /// Bytes in flight before the acknowledgment.
    pub fn prior_in_flight_bytes(&self) -> u64 {
        self.prior_in_flight_bytes
    }
    /// The round-trip time that this acknowledgment measured, if it did.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
    /// The least round-trip time of late, as the stack filters it.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt
    }
    /// The smoothed round-trip time.
    pub fn srtt(&self) -> Option<Duration> {
        self.srtt
    }
    /// The sender's segment size, in bytes.
    pub fn mss(&self) -> u32 {
        self.mss
    }
    /// Whether the congestion window was what held sending back.
    pub fn is_window_limited(&self) -> bool {
        self.window_limited
    }
    /// Whether the window was full at some time in the present window of data.
    pub fn is_window_full(&self) -> bool {
        self.window_full
    }
    /// Whether the window may grow by it: it was used, the stack is not reducing it, and something
    /// was acknowledged in order (in any order where the network reorders much).
    pub fn may_grow(&self) -> bool {
        self.may_grow
    }
    /// Whether segments leave spread over the round trip.
    pub fn is_paced(&self) -> bool {
        self.paced
    }
    /// Where loss recovery stands after it.
    pub fn phase(&self) -> RecoveryPhase {
        self.phase
    }
    /// Payload bytes acknowledged cumulatively since the beginning.
    pub fn acked_to(&self) -> u64 {
        self.acked_to
    }
    /// Payload bytes sent since the beginning. A round is over when
    /// [`acked_to`](AckSample::acked_to) reaches what this was at its start.
    pub fn sent_to(&self) -> u64 {
        self.sent_to
    }
    /// Bytes delivered since the beginning, by ACK or by SACK.
    pub fn delivered_total_bytes(&self) -> u64 {
        self.delivered_total
    }
    /// Bytes taken for lost since the beginning.
    pub fn lost_total_bytes(&self) -> u64 {
        self.lost_total
    }
    /// How fast the path delivered.
    pub fn rate(&self) -> &RateSample {
        &self.rate
    }
}

/// Where loss recovery stands, in Linux's words (`tcpi_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryPhase {
    /// Nothing is known to be missing.
    Open = 0,
    /// Something arrived beyond a hole, or twice: lost or late.
    Disorder = 1,
    /// The window is being reduced for a reason that is no loss: ECN.
    Cwr = 2,
    /// Fast recovery.
    Recovery = 3,
    /// After a retransmission time-out.
    Loss = 4,
}

impl RecoveryPhase {
    /// Whether losses are being repaired.
    pub fn is_recovering(self) -> bool {
        matches!(self, RecoveryPhase::Recovery | RecoveryPhase::Loss)
    }
}

/// Congestion.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    pub(crate) now: Instant,
    pub(crate) kind: CongestionKind,
    pub(crate) in_flight_bytes: u64,
    pub(crate) left_in_flight_bytes: u64,
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
    /// Of that, what is still taken to be in the network, now that what is lost is known.
    pub fn left_in_flight_bytes(&self) -> u64 {
        self.left_in_flight_bytes
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
    /// The network has marked segments instead of dropping them (RFC 3168, RFC 9768).
    Ecn,
    /// The retransmission timer fired, for the first time for this segment.
    Timeout,
    /// The retransmission timer fired again for the same segment, or in a recovery: the window was
    /// reduced already for what is outstanding.
    RepeatedTimeout,
}

/// Sending resumes after a pause with nothing outstanding.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IdleSample {
    pub(crate) now: Instant,
    pub(crate) idle: Duration,
    pub(crate) rto: Duration,
    pub(crate) restart_window: Option<u64>,
    pub(crate) app_limited: bool,
}

impl IdleSample {
    /// When sending resumes.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// How long nothing was sent.
    pub fn idle(&self) -> Duration {
        self.idle
    }
    /// The retransmission time-out.
    pub fn rto(&self) -> Duration {
        self.rto
    }
    /// The window, in bytes, that a pause longer than the RTO leaves at least; `None` if a pause is
    /// not to make the window smaller (`tcp_slow_start_after_idle`).
    pub fn restart_window(&self) -> Option<u64> {
        self.restart_window
    }
    /// Whether it was the application that had nothing to send.
    pub fn is_app_limited(&self) -> bool {
        self.app_limited
    }
}

/// What a controller begins with: the initial window, or what another one had when this one takes
/// over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Start {
    pub(crate) now: Instant,
    pub(crate) window: u64,
    pub(crate) slow_start_threshold: u64,
    pub(crate) mss: u32,
    pub(crate) alternative_backoff: bool,
    pub(crate) srtt: Option<Duration>,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) sack: bool,
    pub(crate) delivered_total: u64,
    pub(crate) seed: u64,
}

impl Start {
    /// When it begins.
    pub fn now(&self) -> Instant {
        self.now
    }
    /// Whether marks reduce the window by less than losses do (RFC 8511).
    pub fn has_alternative_backoff(&self) -> bool {
        self.alternative_backoff
    }
    /// The smoothed round-trip time, if one was measured.
    pub fn srtt(&self) -> Option<Duration> {
        self.srtt
    }
    /// The least round-trip time, if one was measured.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt
    }
    /// Whether the peer reports what arrives out of order, so that more than one loss a round trip
    /// is seen.
    pub fn has_sack(&self) -> bool {
        self.sack
    }
    /// Bytes delivered so far.
    pub fn delivered_total_bytes(&self) -> u64 {
        self.delivered_total
    }
    /// A number of this connection's own, from the stack's seed: the beginning of whatever
    /// randomness the controller uses, so that runs replay.
    pub fn seed(&self) -> u64 {
        self.seed
    }
    /// The congestion window, in bytes.
    pub fn window(&self) -> u64 {
        self.window
    }
    /// The slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    pub fn slow_start_threshold(&self) -> u64 {
        self.slow_start_threshold
    }
    /// The sender's segment size, in bytes.
    pub fn mss(&self) -> u32 {
        self.mss
    }
}

/// The controller of a connection.
#[derive(Debug)]
pub(crate) enum Congestion {
    Cubic(Box<Cubic>),
    Dctcp(Dctcp),
    Reno(Reno),
    Bbr(Box<Bbr>),
    Bbr3(Box<Bbr3>),
    Custom(Box<Fenced>),
}

impl Congestion {
    pub(crate) fn new(choice: CongestionControl, config: &Config, start: &Start) -> Congestion {
        match choice {
            CongestionControl::Cubic => {
                Congestion::Cubic(Box::new(Cubic::new(start, config.hystart)))
            }
            CongestionControl::Dctcp => Congestion::Dctcp(Dctcp::new(start)),
            CongestionControl::Reno => Congestion::Reno(Reno::new(start)),
            CongestionControl::Bbr => Congestion::Bbr(Box::new(Bbr::new(start))),
            CongestionControl::Bbr3 => Congestion::Bbr3(Box::new(Bbr3::new(start))),
            CongestionControl::Custom(custom) => {
                Congestion::Custom(Box::new(Fenced::new(custom, start)))
            }
        }
    }

    /// Whether a user's own controller has panicked: its connection is to end.
    pub(crate) fn has_panicked(&self) -> bool {
        matches!(self, Congestion::Custom(fenced) if fenced.has_panicked())
    }

    pub(crate) fn controller(&self) -> &dyn Controller {
        match self {
            Congestion::Cubic(cubic) => cubic.as_ref(),
            Congestion::Dctcp(dctcp) => dctcp,
            Congestion::Reno(reno) => reno,
            Congestion::Bbr(bbr) => bbr.as_ref(),
            Congestion::Bbr3(bbr3) => bbr3.as_ref(),
            Congestion::Custom(fenced) => fenced.as_ref(),
        }
    }

    pub(crate) fn controller_mut(&mut self) -> &mut dyn Controller {
        match self {
            Congestion::Cubic(cubic) => cubic.as_mut(),
            Congestion::Dctcp(dctcp) => dctcp,
            Congestion::Reno(reno) => reno,
            Congestion::Bbr(bbr) => bbr.as_mut(),
            Congestion::Bbr3(bbr3) => bbr3.as_mut(),
            Congestion::Custom(fenced) => fenced.as_mut(),
        }
    }
}

/// RFC 6928's upper bound has a byte limit; Linux's, and ours, is ten segments at any MSS.
pub(crate) fn initial_window(segments: u32, mss: u32) -> u64 {
    u64::from(segments) * u64::from(mss)
}

/// Samples for the tests of controllers.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// Slow start from `window` bytes in segments of 1000.
    pub(crate) fn start(window: u64) -> Start {
        Start {
            now: Instant::ZERO,
            window,
            slow_start_threshold: u64::MAX,
            mss: 1000,
            alternative_backoff: false,
            srtt: None,
            min_rtt: None,
            sack: true,
            delivered_total: 0,
            seed: 1,
        }
    }

    /// An acknowledgment in the open phase that lets the window grow, of nothing yet.
    pub(crate) fn sample() -> AckSample {
        AckSample {
            now: Instant::ZERO,
            acked_bytes: 0,
            delivered_bytes: 0,
            delivered_segments: 0,
            marked_segments: 0,
            newly_lost_bytes: 0,
            in_flight_bytes: 0,
            prior_in_flight_bytes: 0,
            rtt: None,
            min_rtt: None,
            srtt: None,
            mss: 1000,
            window_limited: true,
            window_full: true,
            may_grow: true,
            paced: false,
            phase: RecoveryPhase::Open,
            acked_to: 0,
            sent_to: 0,
            delivered_total: 0,
            lost_total: 0,
            rate: RateSample::default(),
        }
    }
}
