//! BBR, version 1, as Linux's congestion control of the name `bbr`
//! (draft-cardwell-iccrg-bbr-congestion-control-00, and what Linux added since: `extra_acked`, the
//! budget for quanta, the long-term bandwidth of policers).
//!
//! It models the path by two numbers, the greatest rate of delivery of ten rounds and the least
//! round-trip time of ten seconds, sends at a gain times the rate, and lets at most a gain times
//! their product into the network. Loss is no sign of congestion to it, except to a policer's.
//! Gains are in 256ths. As Linux, sizes are rounded up to whole segments where it counts in those.
//!
//! Owns the model, the window and the pacing rate. `policer` and `aggregation` are parts of the
//! model; `cycle` says when each state ends.

mod aggregation;
mod cycle;
mod policer;
#[cfg(test)]
mod tests;

use core::time::Duration;

use self::aggregation::Aggregation;
use self::cycle::{FullPipe, Mode};
use self::policer::Policer;
use super::dice::Dice;
use super::filter::WindowedMax;
use super::model::{PathModel, per_second};
use super::rate::send_quantum;
use super::{
    AckSample, CongestionEvent, CongestionKind, Controller, IdleSample, RecoveryPhase, Start,
};
use crate::instant::Instant;

/// A gain of 1.
const UNIT: u64 = 256;
/// 2 / ln 2: the least gain at which the rate doubles each round, as an unpaced slow start does.
const HIGH_GAIN: u64 = UNIT * 2885 / 1000 + 1;
/// Its inverse: drains in a round what the last round of STARTUP has queued.
const DRAIN_GAIN: u64 = UNIT * 1000 / 2885;
/// Twice the product of bandwidth and delay: room for ACKs that come late and many at once.
const WINDOW_GAIN: u64 = UNIT * 2;
/// How far below the bandwidth it sends, so that a queue drains in the long run.
const PACING_MARGIN_PERCENT: u64 = 1;
/// The rounds that the maximum of the bandwidth is of: a cycle of gains and two more.
const BANDWIDTH_ROUNDS: u64 = cycle::PHASES as u64 + 2;
/// How long the least round-trip time is believed.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);
/// Who acknowledges every other segment needs so many in flight.
const LEAST_WINDOW: u64 = 4;
/// Below 1.2 Mbit/s bursts are single segments.
const SINGLE_SEGMENT_RATE: u64 = 1_200_000 / 8;
/// Quanta beyond the product: one each in the sender's queue, in its offload and in the receiver's.
const QUANTA: u64 = 3;
/// The window without a round-trip time, in segments.
const UNKNOWN_WINDOW: u64 = 10;

/// BBR, version 1.
#[derive(Clone, Debug)]
pub struct Bbr {
    mode: Mode,
    pacing_gain: u64,
    window_gain: u64,
    pacing_rate: u64,
    has_rtt: bool,
    window: u64,
    threshold: u64,
    mss: u64,
    /// The window before recovery or PROBE_RTT made it smaller.
    prior_window: u64,
    /// Where recovery stood at the last acknowledgment.
    phase: RecoveryPhase,
    /// The first round of recovery: as much leaves as was delivered.
    conserves: bool,
    /// A time-out has marked losses that no acknowledgment has told of.
    timed_out: bool,
    rounds: u64,
    round_start: bool,
    /// The round is over when something sent after so much was delivered is acknowledged.
    round_ends_at: u64,
    bandwidth: WindowedMax,
    min_rtt: Option<Duration>,
    min_rtt_at: Instant,
    delivered_at: Instant,
    full_pipe: FullPipe,
    aggregation: Aggregation,
    policer: Policer,
    restarts: bool,
    dice: Dice,
}

impl Bbr {
    /// Begins in STARTUP with what is known of the path.
    pub fn new(start: &Start) -> Bbr {
        let mut bbr = Bbr {
            mode: Mode::Startup,
            pacing_gain: HIGH_GAIN,
            window_gain: HIGH_GAIN,
            pacing_rate: 0,
            has_rtt: start.srtt.is_some(),
            window: start.window,
            threshold: u64::MAX,
            mss: u64::from(start.mss).max(1),
            prior_window: 0,
            phase: RecoveryPhase::Open,
            conserves: false,
            timed_out: false,
            rounds: 0,
            round_start: false,
            round_ends_at: start.delivered_total,
            bandwidth: WindowedMax::default(),
            min_rtt: start.min_rtt,
            min_rtt_at: start.now,
            delivered_at: start.now,
            full_pipe: FullPipe::default(),
            aggregation: Aggregation::new(start.now),
            policer: Policer::new(start.now, start.delivered_total),
            restarts: false,
            dice: Dice::new(start.seed),
        };
        bbr.pacing_rate = bbr.initial_pacing_rate(start.srtt);
        bbr
    }

    /// The bandwidth that it believes in: the policer's, if there is one.
    fn bandwidth(&self) -> u64 {
        self.policer.bandwidth().unwrap_or(self.bandwidth.get())
    }

    fn initial_pacing_rate(&self, srtt: Option<Duration>) -> u64 {
        let rtt = srtt.unwrap_or(Duration::from_millis(1)).max(Duration::from_micros(1));
        paced(per_second(self.window, rtt), HIGH_GAIN)
    }

    /// Until the pipe is full the rate only rises: a first sample says little.
    fn set_pacing_rate(&mut self, srtt: Option<Duration>, gain: u64) {
        let rate = paced(self.bandwidth(), gain);
        if !self.has_rtt && srtt.is_some() {
            self.has_rtt = true;
            self.pacing_rate = self.initial_pacing_rate(srtt);
        }
        if self.full_pipe.reached || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    fn update_bandwidth(&mut self, sample: &AckSample, losses: u64) {
        self.round_start = false;
        let Some(bandwidth) = sample.rate.bytes_per_second() else { return };
        if sample.rate.prior_delivered >= self.round_ends_at {
            self.round_ends_at = sample.delivered_total;
            self.rounds += 1;
            self.round_start = true;
            self.conserves = false;
        }
        let in_probe_bw = matches!(self.mode, Mode::ProbeBw { .. });
        if self.policer.on_sample(sample, losses, self.round_start, in_probe_bw) {
            self.enter_probe_bw();
        }
        if !sample.rate.app_limited || bandwidth >= self.bandwidth.get() {
            self.bandwidth.update(BANDWIDTH_ROUNDS, self.rounds, bandwidth);
        }
    }

    /// The product of bandwidth and delay with a gain, in segments.
    fn product(&self, bandwidth: u64, gain: u64) -> u64 {
        let Some(min_rtt) = self.min_rtt else { return UNKNOWN_WINDOW };
        let scaled =
            u128::from(bandwidth) * min_rtt.as_nanos() * u128::from(gain) / u128::from(UNIT);
        let segments = scaled.div_ceil(u128::from(self.mss) * 1_000_000_000);
        u64::try_from(segments).unwrap_or(u64::MAX / self.mss / 4)
    }

    /// With what quanta, ACKs of every other segment and probing need beyond it.
    fn with_quanta(&self, segments: u64) -> u64 {
        let mut segments = segments.saturating_add(QUANTA * self.quantum());
        segments += segments % 2;
        if matches!(self.mode, Mode::ProbeBw { phase: 0, .. }) {
            segments += 2;
        }
        segments
    }

    /// What is to be in flight with a gain, in bytes.
    fn in_flight_target(&self, gain: u64) -> u64 {
        self.with_quanta(self.product(self.bandwidth.get(), gain)).saturating_mul(self.mss)
    }

    /// How many segments leave at once.
    fn quantum(&self) -> u64 {
        let least = u64::from(self.least_burst_segments());
        (send_quantum(self.pacing_rate) / self.mss).clamp(least, 127)
    }

    fn least_burst_segments(&self) -> u32 {
        if self.pacing_rate < SINGLE_SEGMENT_RATE { 1 } else { 2 }
    }

    fn save_window(&mut self) {
        let is_cut = self.phase.is_recovering() || self.mode.is_probe_rtt();
        self.prior_window = if is_cut { self.prior_window.max(self.window) } else { self.window };
    }

    fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }

    /// Recovery begins with as much sent as was delivered, for a round, and goes on with at most
    /// twice that; what was before comes back at its end.
    fn recover(&mut self, sample: &AckSample) {
        let in_flight = sample.in_flight_bytes.saturating_add(sample.delivered_bytes);
        self.window = self.window.saturating_sub(sample.newly_lost_bytes).max(self.mss);
        let (before, now) = (self.phase, sample.phase);
        self.phase = now;
        if now == RecoveryPhase::Recovery && before != RecoveryPhase::Recovery {
            self.conserves = true;
            self.round_ends_at = sample.delivered_total;
            self.window = in_flight;
        } else if before.is_recovering() && !now.is_recovering() {
            self.restore_window();
            self.conserves = false;
        }
        if self.conserves {
            self.window = self.window.max(in_flight);
        }
    }

    fn set_window(&mut self, sample: &AckSample) {
        let acked = sample.delivered_bytes;
        if acked > 0 {
            self.recover(sample);
            if !self.conserves {
                self.window = self.towards_target(acked, sample.delivered_total);
            }
        }
        if self.mode.is_probe_rtt() {
            self.window = self.window.min(LEAST_WINDOW * self.mss);
        }
    }

    fn towards_target(&self, acked: u64, delivered: u64) -> u64 {
        let bandwidth = self.bandwidth();
        let mut target = self.product(bandwidth, self.window_gain);
        if self.full_pipe.reached {
            target = target.saturating_add(self.aggregation.extra(bandwidth) / self.mss);
        }
        let target = self.with_quanta(target).saturating_mul(self.mss);
        let grown = self.window.saturating_add(acked);
        let window = if self.full_pipe.reached {
            grown.min(target)
        } else if self.window < target || delivered < UNKNOWN_WINDOW * self.mss {
            grown
        } else {
            self.window
        };
        window.max(LEAST_WINDOW * self.mss)
    }
}

/// The rate at which to send for a bandwidth and a gain.
fn paced(bandwidth: u64, gain: u64) -> u64 {
    let rate = u128::from(bandwidth) * u128::from(gain) / u128::from(UNIT);
    let rate = rate * u128::from(100 - PACING_MARGIN_PERCENT) / 100;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn window(&self) -> u64 {
        // What was in flight when a reduction began may be less than a segment.
        self.window.max(self.mss)
    }

    fn slow_start_threshold(&self) -> u64 {
        self.threshold
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn governs_recovery(&self) -> bool {
        true
    }

    fn holds_back(&self) -> bool {
        self.mode.is_probe_rtt()
    }

    fn least_burst(&self) -> Option<u32> {
        Some(self.least_burst_segments())
    }

    fn windows_to_buffer(&self) -> u64 {
        // It may double the window each round even in recovery.
        3
    }

    fn model(&self) -> Option<PathModel> {
        Some(PathModel {
            state: self.mode.name(),
            bandwidth: self.bandwidth(),
            min_rtt: self.min_rtt,
            pacing_gain: self.pacing_gain,
            window_gain: self.window_gain,
        })
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if sample.delivered_bytes > 0 {
            self.delivered_at = sample.now;
        }
        let mut losses = sample.newly_lost_bytes;
        if core::mem::take(&mut self.timed_out) {
            self.policer.on_timeout();
            losses = losses.max(1);
        }
        self.update_bandwidth(sample, losses);
        if sample.rate.interval.is_some() {
            let bandwidth = self.bandwidth();
            self.aggregation.on_sample(sample, self.round_start, bandwidth, self.window);
        }
        self.update_phase(sample);
        self.check_full_pipe(sample);
        self.check_drained(sample);
        self.update_min_rtt(sample);
        self.update_gains();
        self.set_pacing_rate(sample.srtt, self.pacing_gain);
        self.set_window(sample);
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        if event.kind != CongestionKind::RepeatedTimeout {
            self.save_window();
        }
        if matches!(event.kind, CongestionKind::Timeout | CongestionKind::RepeatedTimeout) {
            self.phase = RecoveryPhase::Loss;
            self.full_pipe.bandwidth = 0;
            self.timed_out = true;
            self.window = event.left_in_flight_bytes.saturating_add(self.mss);
        }
    }

    fn on_spurious(&mut self, now: Instant) {
        self.full_pipe.begin_again();
        self.policer.reset(now);
    }

    fn on_idle(&mut self, idle: &IdleSample) {
        if !idle.app_limited {
            return;
        }
        self.restarts = true;
        self.aggregation.restart(idle.now);
        match self.mode {
            // What was missing was the application, not speed: no burst into the queue.
            Mode::ProbeBw { .. } => self.set_pacing_rate(None, UNIT),
            Mode::ProbeRtt { .. } => self.check_probe_rtt_done(idle.now),
            Mode::Startup | Mode::Drain => {}
        }
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.mss = u64::from(mss).max(1);
    }
}
