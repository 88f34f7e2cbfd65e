//! BBR, version 3: draft-ietf-ccwg-bbr-06 (6 July 2026). Section numbers here are that revision's.
//!
//! As version 1 it models the path by its bandwidth and its least round-trip time. In addition it
//! bounds what is in flight by what the path was seen to take without losing more than 2 % of it,
//! for long (what probing found) and for short (what the last rounds delivered).
//!
//! Owns the state, the window and the pacing rate; one state a file, and `path` is the model that they
//! share. The names are the draft's. Where it is silent on ECN but for that a mark is congestion
//! (section 3.7), a mark counts as a loss that was too much for a probe.

mod control;
mod drain;
mod path;
mod probe_bw;
mod probe_rtt;
mod startup;
#[cfg(test)]
mod tests;

use core::time::Duration;

use self::path::Path;
use self::probe_bw::Probing;
use self::probe_rtt::ProbeRttClock;
use self::startup::FullPipe;
use super::dice::Dice;
use super::model::PathModel;
use super::{
    AckSample, CongestionEvent, CongestionKind, Controller, IdleSample, LostRange, RecoveryPhase,
    Start,
};
use crate::instant::Instant;

/// A gain of 1; gains are in percent.
const UNIT: u64 = 100;
/// Section 2.6, DefaultCwndGain: the least at which the rate doubles each round.
const DEFAULT_WINDOW_GAIN: u64 = 200;
// Implements: BBR3 consts
/// Section 2.8, LossThresh: the greatest rate of loss that is tolerated while probing, 2 %.
const LOSS_PERCENT: u64 = 2;
/// Section 2.8, Beta: the least that a round with losses leaves, 0.7.
const BETA_PERCENT: u64 = 70;
/// Section 2.8, Headroom: what is left of the long-term bound to others, 0.15.
const HEADROOM_PERCENT: u64 = 15;
/// Section 2.8, MinPipeCwnd, in segments.
const MIN_PIPE_SEGMENTS: u64 = 4;

/// What BBR is doing (section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Startup => "Startup",
            State::Drain => "Drain",
            State::ProbeBwDown => "ProbeBW_DOWN",
            State::ProbeBwCruise => "ProbeBW_CRUISE",
            State::ProbeBwRefill => "ProbeBW_REFILL",
            State::ProbeBwUp => "ProbeBW_UP",
            State::ProbeRtt => "ProbeRTT",
        }
    }

    fn is_probe_bw(self) -> bool {
        matches!(
            self,
            State::ProbeBwDown | State::ProbeBwCruise | State::ProbeBwRefill | State::ProbeBwUp
        )
    }

    /// IsProbingBW: more is sent than is known to be delivered.
    fn accelerates(self) -> bool {
        matches!(self, State::Startup | State::ProbeBwRefill | State::ProbeBwUp)
    }

    /// The gains of the rate and of the window, in percent (table of section 5.6.1).
    // Implements: BBR3 s4.states, BBR3 gains, BBR3 gotcha
    fn gains(self) -> (u64, u64) {
        match self {
            State::Startup => (startup::PACING_GAIN, DEFAULT_WINDOW_GAIN),
            State::Drain => (drain::PACING_GAIN, DEFAULT_WINDOW_GAIN),
            State::ProbeBwDown => (probe_bw::DOWN_GAIN, DEFAULT_WINDOW_GAIN),
            State::ProbeBwCruise | State::ProbeBwRefill => (UNIT, DEFAULT_WINDOW_GAIN),
            State::ProbeBwUp => (probe_bw::UP_GAIN, probe_bw::UP_WINDOW_GAIN),
            State::ProbeRtt => (UNIT, probe_rtt::WINDOW_GAIN),
        }
    }
}

/// BBR, version 3.
#[derive(Clone, Debug)]
pub struct Bbr3 {
    state: State,
    path: Path,
    full_pipe: FullPipe,
    probing: Probing,
    probe_rtt: ProbeRttClock,
    drain_start_round: u64,
    pacing_rate: u64,
    has_rtt: bool,
    window: u64,
    initial_window: u64,
    /// The window before recovery or ProbeRTT made it smaller.
    prior_window: u64,
    phase: RecoveryPhase,
    /// Whether more than one loss a round trip is seen.
    sack: bool,
    mss: u64,
    idle_restart: bool,
    undo: Undo,
    dice: Dice,
}

/// What a loss changed (section 2.15).
#[derive(Clone, Copy, Debug, Default)]
struct Undo {
    state: Option<State>,
    bandwidth_shortterm: Option<u64>,
    inflight_shortterm: Option<u64>,
    inflight_longterm: Option<u64>,
}

impl Bbr3 {
    /// Begins in Startup with what is known of the path (section 5.2.1).
    pub fn new(start: &Start) -> Bbr3 {
        let mut bbr = Bbr3 {
            state: State::Startup,
            path: Path::new(start),
            full_pipe: FullPipe::default(),
            probing: Probing::new(start.now),
            probe_rtt: ProbeRttClock::new(start.now),
            drain_start_round: 0,
            pacing_rate: 0,
            has_rtt: start.srtt.is_some(),
            window: start.window,
            initial_window: start.window,
            prior_window: 0,
            phase: RecoveryPhase::Open,
            sack: start.sack,
            mss: u64::from(start.mss).max(1),
            idle_restart: false,
            undo: Undo::default(),
            dice: Dice::new(start.seed),
        };
        bbr.pacing_rate = bbr.initial_pacing_rate(start.srtt);
        bbr
    }

    fn in_recovery(&self) -> bool {
        self.phase.is_recovering()
    }

    /// IsInflightTooHigh: more was lost of what was in flight than is tolerated.
    fn is_too_much(&self, lost: u64, in_flight: u64) -> bool {
        lost * UNIT > in_flight.saturating_mul(LOSS_PERCENT) || lost > 0 && !self.sack
    }

    /// SaveStateUponLoss.
    fn save_state(&mut self) {
        self.save_window();
        self.undo = Undo {
            state: None,
            bandwidth_shortterm: self.path.bandwidth_shortterm,
            inflight_shortterm: self.path.inflight_shortterm,
            inflight_longterm: self.path.inflight_longterm,
        };
    }

    /// The network has marked what it might have dropped.
    fn on_mark(&mut self, now: Instant) {
        self.note_loss(self.path.delivered_total);
        if self.state == State::Startup {
            self.leave_startup();
        } else if self.probing.is_probe_sample {
            self.handle_too_much(now, self.target_inflight(), false);
        }
    }

    /// NoteLoss.
    // Deviates: the draft's code saves the state at the first loss of each round, and would then know
    // no more what was before the episode. As its section 5.5.11.1 says, and Linux's version 3 does,
    // it is saved when an episode of recovery begins.
    fn note_loss(&mut self, delivered_total: u64) {
        if !self.path.is_loss_in_round {
            self.path.loss_round_ends_at = delivered_total;
        }
        self.path.is_loss_in_round = true;
    }
}

impl Controller for Bbr3 {
    fn name(&self) -> &'static str {
        "bbr3"
    }

    fn window(&self) -> u64 {
        // What was in flight when a reduction began may be less than a segment.
        self.window.max(self.mss)
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn governs_recovery(&self) -> bool {
        true
    }

    fn holds_back(&self) -> bool {
        self.state == State::ProbeRtt
    }

    fn windows_to_buffer(&self) -> u64 {
        3
    }

    fn model(&self) -> Option<PathModel> {
        let (pacing, window) = self.state.gains();
        Some(PathModel {
            state: self.state.name(),
            bandwidth: self.path.bandwidth,
            min_rtt: self.path.min_rtt,
            pacing_gain: pacing * 256 / UNIT,
            window_gain: window * 256 / UNIT,
        })
    }

    /// UpdateModelAndState and UpdateControlParameters, in the order of section 5.2.3.
    fn on_ack(&mut self, sample: &AckSample) {
        let before = self.phase;
        self.phase = sample.phase;
        if before.is_recovering() && !self.in_recovery() {
            self.restore_window();
        }
        if sample.rate.any {
            let rounds = self.path.on_delivery(sample);
            self.probing.rounds_since_up += u64::from(rounds);
            self.adapt_lower_bounds();
            self.path.update_aggregation(sample, self.window, self.full_pipe.reached);
            self.full_pipe.check(sample, self.path.round_start);
            self.check_startup_done(sample);
            self.path.end_loss_round();
            self.check_drain_done(sample);
            self.update_probe_bw(sample);
            self.update_min_rtt(sample);
            self.check_probe_rtt(sample);
            self.path.advance(sample);
        }
        self.set_pacing_rate(sample.srtt);
        self.set_window(sample);
    }

    /// OnEnterFastRecovery and OnEnterRTO (section 5.6.4.4); marks.
    // Implements: BBR3 rto, BBR3 ecn
    fn on_congestion(&mut self, event: &CongestionEvent) {
        if event.kind != CongestionKind::RepeatedTimeout {
            self.save_state();
        }
        if event.kind == CongestionKind::Ecn {
            self.on_mark(event.now);
        }
        if matches!(event.kind, CongestionKind::Timeout | CongestionKind::RepeatedTimeout) {
            self.phase = RecoveryPhase::Loss;
            self.window = event.left_in_flight_bytes.saturating_add(self.mss);
        }
    }

    /// HandleLostPacket (section 5.5.10.2).
    fn on_lost(&mut self, now: Instant, lost: &LostRange) {
        self.note_loss(lost.delivered_total);
        if !lost.adjoins {
            self.path.holes_in_round += 1;
        }
        if self.probing.is_probe_sample && self.is_too_much(lost.lost, lost.tx_in_flight) {
            let in_flight = in_flight_at_loss(lost);
            self.handle_too_much(now, in_flight, lost.app_limited);
        }
    }

    /// HandleSpuriousLossDetection (section 5.5.11.2).
    // Implements: BBR3 undo
    fn on_spurious(&mut self, _now: Instant) {
        self.restore_window();
        self.path.is_loss_in_round = false;
        self.full_pipe.reset(0);
        let Undo { state, bandwidth_shortterm, inflight_shortterm, inflight_longterm } = self.undo;
        self.path.bandwidth_shortterm = looser(self.path.bandwidth_shortterm, bandwidth_shortterm);
        self.path.inflight_shortterm = looser(self.path.inflight_shortterm, inflight_shortterm);
        self.path.inflight_longterm = looser(self.path.inflight_longterm, inflight_longterm);
        match state {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_pipe.reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(State::ProbeBwUp) if !matches!(self.state, State::ProbeBwUp | State::ProbeRtt) => {
                self.start_refill();
            }
            _ => {}
        }
        self.undo.state = None;
    }

    /// HandleRestartFromIdle (section 5.4.1).
    // Implements: BBR3 idle
    fn on_idle(&mut self, idle: &IdleSample) {
        if !idle.app_limited {
            return;
        }
        self.idle_restart = true;
        self.path.restart_aggregation(idle.now);
        if self.state.is_probe_bw() {
            self.set_pacing_rate_with_gain(UNIT);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(idle.now);
        }
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.mss = u64::from(mss).max(1);
    }
}

/// The looser of two bounds; `None` bounds nothing.
fn looser(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

/// InflightAtLoss: how much was in flight where losses went beyond what is tolerated, which may be
/// in the middle of the range.
// Implements: BBR3 lossprefix
fn in_flight_at_loss(lost: &LostRange) -> u64 {
    let in_flight = lost.tx_in_flight.saturating_sub(lost.bytes);
    let lost_before = lost.lost.saturating_sub(lost.bytes);
    let tolerated = in_flight.saturating_mul(LOSS_PERCENT);
    let prefix = tolerated.saturating_sub(lost_before * UNIT) / (UNIT - LOSS_PERCENT);
    in_flight.saturating_add(prefix)
}

/// So many percent of it.
fn percent(value: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(percent) / u128::from(UNIT)).unwrap_or(u64::MAX)
}

/// Whether more than `time` has passed since.
fn has_elapsed(now: Instant, since: Instant, time: Duration) -> bool {
    now - since > time
}
