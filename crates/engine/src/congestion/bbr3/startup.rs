//! Startup (section 5.3.1): twice the rate each round, until it delivers no more or loses too much.

use super::{Bbr3, State};
use crate::congestion::{AckSample, RecoveryPhase};

/// Section 2.5, StartupPacingGain: 4 ln 2, the least at which the rate doubles each round.
pub(super) const PACING_GAIN: u64 = 277;
/// BBRStartupFullLossCnt: so many holes in a round are more than a burst of bad luck.
const FULL_LOSS_HOLES: u32 = 6;
/// The pipe is full after so many rounds...
const FULL_ROUNDS: u32 = 3;
/// ...that delivered less than this more, in percent.
const FULL_GROWTH: u64 = 125;

/// Whether sending faster still delivers more (section 5.3.1.2).
#[derive(Clone, Debug, Default)]
pub(super) struct FullPipe {
    bandwidth: u64,
    rounds: u32,
    /// BBR.full_bw_now: not any more, since it was last looked.
    pub(super) now: bool,
    /// BBR.full_bw_reached: there was such a time.
    pub(super) reached: bool,
}

impl FullPipe {
    /// ResetFullBW, with the rate to begin with.
    pub(super) fn reset(&mut self, bandwidth: u64) {
        *self = FullPipe { bandwidth, reached: self.reached, ..FullPipe::default() };
    }

    /// CheckFullBWReached.
    // Implements: BBR3 startup-bw
    pub(super) fn check(&mut self, sample: &AckSample, round_start: bool) {
        if self.now || !round_start || sample.rate.app_limited {
            return;
        }
        let rate = sample.rate.bytes_per_second().unwrap_or(0);
        if rate >= super::percent(self.bandwidth, FULL_GROWTH) {
            self.reset(rate);
            return;
        }
        self.rounds += 1;
        self.now = self.rounds >= FULL_ROUNDS;
        self.reached |= self.now;
    }
}

impl Bbr3 {
    /// EnterStartup.
    pub(super) fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    /// CheckStartupDone.
    pub(super) fn check_startup_done(&mut self, sample: &AckSample) {
        if self.state != State::Startup {
            return;
        }
        if !self.full_pipe.reached && self.is_startup_loss_high(sample) {
            self.leave_startup();
        }
        if self.full_pipe.reached {
            self.enter_drain();
        }
    }

    /// Congestion ends Startup: what was delivered of late is safe.
    pub(super) fn leave_startup(&mut self) {
        self.undo.state = Some(State::Startup);
        self.full_pipe.reached = true;
        let product = self.path.product(self.path.max_bandwidth.get()).unwrap_or(0);
        self.path.inflight_longterm = Some(product.max(self.path.inflight_latest()));
    }

    /// CheckStartupHighLoss (section 5.3.1.3), at the end of a round with losses.
    // Implements: BBR3 startup-loss
    fn is_startup_loss_high(&self, sample: &AckSample) -> bool {
        if sample.phase != RecoveryPhase::Recovery {
            return false;
        }
        if !self.sack {
            return self.path.is_loss_in_round;
        }
        self.path.loss_round_start
            && self.path.holes_in_round >= FULL_LOSS_HOLES
            && self.is_too_much(sample.rate.lost, sample.rate.tx_in_flight)
    }
}
