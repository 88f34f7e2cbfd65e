//! The model of the path (section 5.5): bandwidth, round trips, aggregation of ACKs, and the bounds
//! that losses set, for short and for long.

use core::time::Duration;

use super::{BETA_PERCENT, Bbr3, MIN_PIPE_SEGMENTS, State, percent};
use crate::congestion::filter::WindowedMax;
use crate::congestion::model::product;
use crate::congestion::{AckSample, RateSample, Start};
use crate::instant::Instant;

/// Section 2.12, ExtraAckedFilterLen, in rounds.
const AGGREGATION_ROUNDS: u64 = 10;

/// What is known of the path. A bound of `None` is infinite.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// BBR.bw: the lesser of `max_bandwidth` and its short-term bound.
    pub(super) bandwidth: u64,
    pub(super) max_bandwidth: CycleMax,
    pub(super) bandwidth_shortterm: Option<u64>,
    pub(super) inflight_shortterm: Option<u64>,
    pub(super) inflight_longterm: Option<u64>,
    pub(super) min_rtt: Option<Duration>,
    pub(super) min_rtt_at: Instant,
    /// The greatest rate and volume delivered in the present round of losses.
    bandwidth_latest: u64,
    inflight_latest: u64,
    pub(super) round_count: u64,
    pub(super) round_start: bool,
    pub(super) round_ends_at: u64,
    pub(super) loss_round_ends_at: u64,
    pub(super) loss_round_start: bool,
    pub(super) is_loss_in_round: bool,
    /// Holes that do not touch, of this round.
    pub(super) holes_in_round: u32,
    aggregation: WindowedMax,
    pub(super) extra_acked: u64,
    epoch_start: Instant,
    epoch_acked: u64,
    pub(super) delivered_total: u64,
}

impl Path {
    pub(super) fn new(start: &Start) -> Path {
        Path {
            bandwidth: 0,
            max_bandwidth: CycleMax::default(),
            bandwidth_shortterm: None,
            inflight_shortterm: None,
            inflight_longterm: None,
            min_rtt: start.srtt,
            min_rtt_at: start.now,
            bandwidth_latest: 0,
            inflight_latest: 0,
            round_count: 0,
            round_start: false,
            round_ends_at: start.delivered_total,
            loss_round_ends_at: start.delivered_total,
            loss_round_start: false,
            is_loss_in_round: false,
            holes_in_round: 0,
            aggregation: WindowedMax::default(),
            extra_acked: 0,
            epoch_start: start.now,
            epoch_acked: 0,
            delivered_total: start.delivered_total,
        }
    }

    /// UpdateLatestDeliverySignals, UpdateRound and UpdateMaxBw. Whether a round begins.
    // Implements: BBR3 round, BBR3 maxbw
    pub(super) fn on_delivery(&mut self, sample: &AckSample) -> bool {
        let rate = sample.rate.bytes_per_second().unwrap_or(0);
        self.delivered_total = sample.delivered_total;
        self.bandwidth_latest = self.bandwidth_latest.max(self.shown_by(&sample.rate));
        self.inflight_latest = self.inflight_latest.max(sample.rate.delivered);
        self.loss_round_start = sample.rate.prior_delivered >= self.loss_round_ends_at;
        if self.loss_round_start {
            self.loss_round_ends_at = sample.delivered_total;
        }
        self.round_start = sample.rate.prior_delivered >= self.round_ends_at;
        if self.round_start {
            self.start_round();
            self.round_count += 1;
        }
        if rate > 0 && (rate >= self.max_bandwidth.get() || !sample.rate.app_limited) {
            self.max_bandwidth.update(rate);
        }
        self.round_start
    }

    /// StartRound.
    pub(super) fn start_round(&mut self) {
        self.round_ends_at = self.delivered_total;
    }

    /// The volume delivered within the last round.
    pub(super) fn inflight_latest(&self) -> u64 {
        self.inflight_latest
    }

    /// UpdateACKAggregation (section 5.5.9).
    // Implements: BBR3 extra
    pub(super) fn update_aggregation(
        &mut self,
        sample: &AckSample,
        window: u64,
        full_bandwidth_reached: bool,
    ) {
        let mut expected = product(self.bandwidth, sample.now - self.epoch_start);
        if self.epoch_acked <= expected {
            self.restart_aggregation(sample.now);
            expected = 0;
        }
        self.epoch_acked += sample.delivered_bytes;
        let extra = self.epoch_acked.saturating_sub(expected).min(window);
        let rounds = if full_bandwidth_reached { AGGREGATION_ROUNDS } else { 1 };
        self.extra_acked = self.aggregation.update(rounds, self.round_count, extra);
    }

    pub(super) fn restart_aggregation(&mut self, now: Instant) {
        self.epoch_start = now;
        self.epoch_acked = 0;
    }

    /// What UpdateCongestionSignals does last.
    pub(super) fn end_loss_round(&mut self) {
        if self.loss_round_start {
            self.is_loss_in_round = false;
            self.holes_in_round = 0;
        }
    }

    /// AdvanceLatestDeliverySignals and BoundBWForModel.
    pub(super) fn advance(&mut self, sample: &AckSample) {
        if self.loss_round_start {
            self.bandwidth_latest = self.shown_by(&sample.rate);
            self.inflight_latest = sample.rate.delivered;
        }
        let max = self.max_bandwidth.get();
        self.bandwidth = self.bandwidth_shortterm.map_or(max, |bound| bound.min(max));
    }

    /// The bandwidth that a sample shows.
    // Deviates: the draft's code takes every sample at its word. One that the sender limited measures
    // the margin of the pace, the gain of Drain or ProbeBW_DOWN and the window of ProbeRTT: a single
    // loss in the round after any of these would cut the bandwidth by as much until the next probe.
    // Of such a sample counts what of its flight was lost, so that, as section 5.3.3.8.3 says of
    // the response, a round with X % of loss takes X % off the rate.
    // Implements: BBR3 shortterm
    fn shown_by(&self, rate: &RateSample) -> u64 {
        let Some(measured) = rate.bytes_per_second() else { return 0 };
        if !rate.sender_limited {
            return measured;
        }
        let sent = u128::from(rate.delivered) + u128::from(rate.lost);
        let share = u128::from(self.bandwidth) * u128::from(rate.delivered) / sent.max(1);
        measured.max(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// ResetCongestionSignals.
    pub(super) fn reset_signals(&mut self) {
        self.is_loss_in_round = false;
        self.bandwidth_latest = 0;
        self.inflight_latest = 0;
    }

    /// ResetShortTermModel.
    pub(super) fn reset_shortterm(&mut self) {
        self.bandwidth_shortterm = None;
        self.inflight_shortterm = None;
    }

    /// The product of a bandwidth and the least round-trip time, once there is one.
    pub(super) fn product(&self, bandwidth: u64) -> Option<u64> {
        self.min_rtt.map(|rtt| product(bandwidth, rtt))
    }
}

/// The maximum of this cycle of probing and of the one before (section 5.5.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CycleMax {
    this: u64,
    before: u64,
}

impl CycleMax {
    pub(super) fn get(&self) -> u64 {
        self.this.max(self.before)
    }

    pub(super) fn update(&mut self, value: u64) {
        self.this = self.this.max(value);
    }

    /// AdvanceMaxBwFilter. A cycle without a sample is none.
    pub(super) fn advance(&mut self) {
        if self.this > 0 {
            *self = CycleMax { this: 0, before: self.this };
        }
    }
}

impl Bbr3 {
    /// AdaptLowerBoundsFromCongestion (section 5.5.10.3): once a round, if it had losses and was no
    /// probe, down to what it delivered, at most by 30 %.
    // Implements: BBR3 shortterm
    pub(super) fn adapt_lower_bounds(&mut self) {
        let window = self.window;
        let path = &mut self.path;
        if !path.loss_round_start || self.state.accelerates() || !path.is_loss_in_round {
            return;
        }
        let bandwidth = path.bandwidth_shortterm.unwrap_or(path.max_bandwidth.get());
        let inflight = path.inflight_shortterm.unwrap_or(window);
        path.bandwidth_shortterm =
            Some(path.bandwidth_latest.max(percent(bandwidth, BETA_PERCENT)));
        path.inflight_shortterm = Some(path.inflight_latest.max(percent(inflight, BETA_PERCENT)));
    }

    /// TargetInflight: the product, unless congestion has cut the window below it.
    pub(super) fn target_inflight(&self) -> u64 {
        self.path.product(self.path.bandwidth).unwrap_or(u64::MAX).min(self.window)
    }

    /// BDPMultiple.
    pub(super) fn product_multiple(&self, bandwidth: u64, gain: u64) -> u64 {
        self.path.product(bandwidth).map_or(self.initial_window, |product| percent(product, gain))
    }

    /// QuantizationBudget (section 5.5.8.1): three quanta, and what probing adds.
    pub(super) fn with_quanta(&self, inflight: u64) -> u64 {
        let inflight = inflight.max(3 * self.send_quantum()).max(self.least_window());
        if self.state == State::ProbeBwUp { inflight + 2 * self.mss } else { inflight }
    }

    /// Inflight.
    pub(super) fn inflight(&self, bandwidth: u64, gain: u64) -> u64 {
        self.with_quanta(self.product_multiple(bandwidth, gain))
    }

    pub(super) fn least_window(&self) -> u64 {
        MIN_PIPE_SEGMENTS * self.mss
    }
}
