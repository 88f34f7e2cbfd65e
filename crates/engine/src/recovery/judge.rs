//! What follows from an acknowledgment: the phases, and who leaves which (Linux's state machine).
//!
//! Second of two steps; the first is [`take`](super::take).

use core::time::Duration;

use super::{Ack, Recovery, Resend, RttView, Taken};
use crate::congestion::RecoveryPhase;
use crate::counters::Counters;
use crate::instant::Instant;

/// What an acknowledgment, or a timer, meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Congestion, that many times: the controller is to be told, and the reduction begun.
    pub(crate) congestion: u32,
    /// The last congestion was none.
    pub(crate) spurious: bool,
    /// A time-out was spurious: the back-off ends.
    pub(crate) spurious_timeout: bool,
    /// A recovery ended.
    pub(crate) recovered: bool,
    pub(crate) timer: TimerWish,
    /// SND.UNA moved.
    pub(crate) advanced: bool,
    /// The window may grow by it, as far as recovery goes.
    pub(crate) may_grow: bool,
    /// Bytes newly known to be delivered, and newly taken for lost.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
}

/// What is to become of the timer of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimerWish {
    /// Nothing.
    #[default]
    Keep,
    /// A probe, or else a retransmission, is due from now on.
    Restart,
    /// Look for losses again after so long.
    Reordering(Duration),
    /// The peer seems to have dropped what it reported: so long to show that it has not.
    Reneging(Duration),
}

impl Recovery {
    /// What follows from what `take` took.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        taken: &Taken,
        view: &RttView,
        counters: &mut Counters,
    ) -> Outcome {
        self.mss = ack.mss;
        let mut outcome = Outcome { advanced: ack.advanced, ..Outcome::default() };
        if self.resend == Resend::Nothing {
            self.resend = Resend::Lost;
        }
        if taken.had_outstanding {
            if taken.acked || taken.newer_than_oldest {
                outcome.timer = TimerWish::Restart;
            }
            self.adapt_window();
        }
        if self.tlp.is_probing() && self.take_answer_to_probe(ack, taken) {
            // Implements: RFC8985 s7.4.2
            counters.loss_probe_recovery += 1;
            outcome.congestion += 1;
            self.until = self.board.nxt();
            self.keep_open();
        }
        let duplicate =
            taken.had_outstanding && !ack.advanced && ack.bare && !taken.acked && !taken.dsack;
        let dubious = !taken.acked && ack.bare || taken.sacked || self.phase != RecoveryPhase::Open;
        if taken.had_outstanding && dubious || taken.dsack {
            self.judge_dubious(now, ack, taken, view, duplicate, &mut outcome, counters);
        }
        outcome.delivered = self.board.rate().delivered().saturating_sub(taken.prior_delivered);
        outcome.lost = self.board.rate().lost() - taken.prior_lost;
        let progress = taken.acked || self.reordering.is_high() && taken.sacked;
        outcome.may_grow = progress && !self.is_reducing();
        outcome
    }

    fn adapt_window(&mut self) {
        if self.methods.static_window {
            return;
        }
        if let Some(prior) = self.board.rate().newest_prior_delivered() {
            self.rack.adapt(prior, self.board.rate().delivered());
        }
    }

    /// The acknowledgment is unusual, or the phase is not Open.
    #[expect(clippy::too_many_arguments)]
    fn judge_dubious(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        taken: &Taken,
        view: &RttView,
        duplicate: bool,
        outcome: &mut Outcome,
        counters: &mut Counters,
    ) {
        // In all phases: does the peer take back what it reported?
        if taken.reneging && ack.advanced {
            // Implements: RFC2018 s8
            let patience = view.srtt.unwrap_or_default() / 2;
            outcome.timer = TimerWish::Reneging(patience.max(Duration::from_millis(10)));
            self.resend = Resend::Nothing;
            return;
        }
        // Whether the phase is over.
        if self.phase == RecoveryPhase::Open {
            self.undo.forget_resent();
        } else if self.board.una() >= self.until {
            match self.phase {
                // The peer hears of the reduction with something beyond it.
                RecoveryPhase::Cwr if self.board.una() > self.until => {
                    self.set_phase(RecoveryPhase::Open);
                    outcome.recovered = true;
                }
                RecoveryPhase::Recovery => {
                    self.duplicates.clear();
                    if self.try_undo_whole(ack, outcome, counters) {
                        return;
                    }
                    outcome.recovered = true;
                }
                _ => {}
            }
        }
        match self.phase {
            RecoveryPhase::Recovery => {
                if !ack.advanced {
                    self.take_duplicate(duplicate, ack.mss, counters);
                } else if self.try_undo_partial(ack, taken, outcome, counters) {
                    self.resend = Resend::Nothing;
                    return;
                }
                if self.try_undo_by_dsack(outcome, counters) {
                    self.try_to_open();
                }
                self.find_losses(now, ack, view, outcome, counters);
                if self.phase != RecoveryPhase::Recovery && self.has_lost() {
                    self.enter_recovery(outcome, counters);
                }
                return;
            }
            RecoveryPhase::Loss => {
                self.judge_loss(ack, taken, duplicate, outcome, counters);
                let lost_again = self.find_losses(now, ack, view, outcome, counters);
                if self.phase != RecoveryPhase::Open && !lost_again {
                    return;
                }
            }
            _ => {}
        }
        if !self.sack {
            if ack.advanced {
                self.duplicates.clear();
            }
            self.take_duplicate(duplicate, ack.mss, counters);
        }
        if matches!(self.phase, RecoveryPhase::Open | RecoveryPhase::Disorder) {
            self.try_undo_by_dsack(outcome, counters);
        }
        self.find_losses(now, ack, view, outcome, counters);
        if self.has_lost() {
            self.enter_recovery(outcome, counters);
        } else {
            self.try_to_open();
        }
    }

    /// In Loss: is the loss repaired, was it none (F-RTO), or does more have to be sent again?
    // Implements: RFC5682 s2.1-2, RFC5682 s2.1-3, RFC5682 s3
    fn judge_loss(
        &mut self,
        ack: &Ack<'_>,
        taken: &Taken,
        duplicate: bool,
        outcome: &mut Outcome,
        counters: &mut Counters,
    ) {
        let recovered = self.board.una() >= self.until;
        if ack.advanced && self.may_undo(ack) {
            self.undo_loss(false, outcome, counters);
            return;
        }
        if self.frto {
            if taken.original_arrived {
                self.undo_loss(true, outcome, counters);
                return;
            }
            if self.board.nxt() > self.until {
                if taken.sacked || duplicate {
                    // What is new arrived, and what was lost did not.
                    self.frto = false;
                }
            } else if ack.advanced && !recovered {
                self.until = self.board.nxt();
                if ack.may_send_new {
                    self.resend = Resend::NewFirst;
                    return;
                }
                self.frto = false;
            }
        }
        if recovered {
            if !self.try_undo_whole(ack, outcome, counters) {
                outcome.recovered = true;
            }
            return;
        }
        if !self.sack {
            if self.board.nxt() > self.until && duplicate {
                self.take_duplicate(true, ack.mss, counters);
            } else if ack.advanced {
                self.duplicates.clear();
            }
        }
        self.resend = Resend::Lost;
    }

    /// A duplicate acknowledgment without SACK.
    fn take_duplicate(&mut self, duplicate: bool, mss: u32, counters: &mut Counters) {
        if self.sack || !duplicate || self.board.is_empty() {
            return;
        }
        let Recovery { board, duplicates, reordering, .. } = self;
        let surplus = duplicates.add(board, reordering, mss);
        counters.reno_reorder += u64::from(surplus);
    }

    /// Looks for losses, each by the method of the connection. Returns whether something that was
    /// sent again is lost again.
    // Implements: RFC8985 s6.2-4a, RFC6582 s3.2.3b, RFC5681 s3.2.3
    pub(super) fn find_losses(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        view: &RttView,
        outcome: &mut Outcome,
        counters: &mut Counters,
    ) -> bool {
        if self.board.is_empty() {
            return false;
        }
        if !self.sack {
            let enough = (self.phase as u8) < RecoveryPhase::Recovery as u8
                && self.duplicates.segments() >= u64::from(self.reordering.degree());
            if enough || self.phase == RecoveryPhase::Recovery && ack.advanced {
                self.board.mark_first_lost();
            }
            return false;
        }
        if !self.methods.rack {
            let degree = u64::from(self.reordering.degree());
            let threshold = degree.saturating_sub(1) * u64::from(ack.mss);
            self.board.mark_lost_below_sacks(threshold, degree);
            return false;
        }
        if !self.rack.take_advanced() {
            return false;
        }
        let (lost_again, wait) = self.look(now, view, counters);
        if let Some(wait) = wait {
            outcome.timer = TimerWish::Reordering(wait + super::tlp::LEAST_TIMEOUT);
        }
        lost_again
    }

    /// RACK looks. Returns whether something that was sent again is lost again, and how long to wait
    /// for what is late.
    pub(super) fn look(
        &mut self,
        now: Instant,
        view: &RttView,
        counters: &mut Counters,
    ) -> (bool, Option<Duration>) {
        let window = self.reordering_window(view);
        let found = self.rack.detect(now, &mut self.board, window);
        counters.lost_retransmit += found.lost_again;
        (found.lost_again > 0, found.wait)
    }

    /// None where reordering was never seen and a loss is likely.
    fn reordering_window(&self, view: &RttView) -> Duration {
        if !self.reordering.is_seen() {
            let enough = !self.methods.no_threshold
                && self.board.sacked().segments >= u64::from(self.reordering.degree());
            if self.phase as u8 >= RecoveryPhase::Recovery as u8 || enough {
                return Duration::ZERO;
            }
        }
        self.rack.window(view.min, view.srtt)
    }

    fn has_lost(&self) -> bool {
        self.board.lost().segments > 0
    }

    /// Something is lost: fast recovery begins.
    // Implements: RFC6675 s5b, RFC6582 s3.2.2, RFC9937 s6a
    pub(super) fn enter_recovery(&mut self, outcome: &mut Outcome, counters: &mut Counters) {
        if !self.is_resent_outstanding() {
            self.undo.forget_resent();
        }
        if self.sack {
            counters.sack_recovery += 1;
        } else {
            counters.reno_recovery += 1;
        }
        self.begin_undo();
        if self.phase == RecoveryPhase::Cwr {
            // That reduction goes on, and its reason was no loss.
            self.undo.forbid();
        } else {
            self.until = self.board.nxt();
            self.tlp.end();
            outcome.congestion += 1;
        }
        self.set_phase(RecoveryPhase::Recovery);
        self.resend = Resend::Lost;
    }

    pub(super) fn begin_undo(&mut self) {
        let probe = u64::from(self.tlp.is_resent());
        self.undo.begin(self.board.una(), self.board.resent().segments + probe);
    }

    /// Whether something that was sent again may be outstanding.
    fn is_resent_outstanding(&self) -> bool {
        self.board.resent().segments > 0
            || self.board.first().is_some_and(|first| first.ever_resent)
    }

    fn try_to_open(&mut self) {
        if !self.is_resent_outstanding() {
            self.undo.forget_resent();
        }
        if self.phase != RecoveryPhase::Cwr {
            self.keep_open();
        }
    }

    /// Open, or Disorder if something is missing.
    fn keep_open(&mut self) {
        let disordered =
            self.sacked_segments() > 0 || self.has_lost() || self.is_resent_outstanding();
        let phase = if disordered { RecoveryPhase::Disorder } else { RecoveryPhase::Open };
        if self.phase != phase {
            self.set_phase(phase);
            self.until = self.board.nxt();
        }
    }

    /// Nothing that arrived can answer a retransmission, or all of them are known to have been in
    /// vain.
    fn may_undo(&self, ack: &Ack<'_>) -> bool {
        self.undo.marker().is_some() && (self.undo.is_all_reported() || self.is_delayed(ack))
    }

    fn is_delayed(&self, ack: &Ack<'_>) -> bool {
        // Without SACK what was sent again is forgotten where the phase ends.
        let none_resent = self.sack || self.board.una() < self.until;
        self.undo.is_delayed(ack.echo, none_resent)
    }

    fn undo_reduction(&mut self, outcome: &mut Outcome) {
        outcome.spurious |= self.undo.may_restore();
        self.undo.end();
        self.rack.look_again();
    }

    /// The phase ends: was it necessary? Returns whether the phase is kept, without SACK, until
    /// something beyond its end is acknowledged: duplicates of what was sent again would else begin
    /// the next one (RFC 6582 section 4).
    // Implements: RFC3522 s3.2b, RFC4015 s3.2-9
    fn try_undo_whole(
        &mut self,
        ack: &Ack<'_>,
        outcome: &mut Outcome,
        counters: &mut Counters,
    ) -> bool {
        if self.may_undo(ack) {
            self.undo_reduction(outcome);
            if self.phase == RecoveryPhase::Loss {
                counters.loss_undo += 1;
            } else {
                counters.full_undo += 1;
            }
        } else {
            self.rack.on_recovered();
        }
        if self.is_kept() {
            return true;
        }
        self.set_phase(RecoveryPhase::Open);
        self.reneging = false;
        false
    }

    fn is_kept(&mut self) -> bool {
        if self.sack || self.board.una() != self.until {
            return false;
        }
        if !self.is_resent_outstanding() {
            self.undo.forget_resent();
        }
        true
    }

    /// Part of the way: the hole was filled by what was late. Returns whether nothing more is to be
    /// taken for lost, or sent again, for now.
    fn try_undo_partial(
        &mut self,
        ack: &Ack<'_>,
        taken: &Taken,
        outcome: &mut Outcome,
        counters: &mut Counters,
    ) -> bool {
        if self.undo.marker().is_none() || !self.is_delayed(ack) {
            return false;
        }
        let highest = self.board.highest_sacked();
        if taken.prior_una < highest {
            self.reordering.on_distance(highest - taken.prior_una, ack.mss);
            counters.ts_reorder += 1;
        }
        if self.board.resent().segments > 0 {
            return true;
        }
        if !self.is_resent_outstanding() {
            self.undo.forget_resent();
        }
        self.board.unmark_lost();
        self.undo_reduction(outcome);
        counters.partial_undo += 1;
        self.keep_open();
        false
    }

    /// All that was sent again had arrived before.
    // Implements: RFC3708
    fn try_undo_by_dsack(&mut self, outcome: &mut Outcome, counters: &mut Counters) -> bool {
        if !self.undo.is_all_reported() {
            return false;
        }
        self.rack.on_undone_by_dsack();
        self.undo_reduction(outcome);
        counters.dsack_undo += 1;
        true
    }

    /// The time-out was spurious: what is outstanding is not lost, only late.
    // Implements: RFC4015 s3.2-8, RFC4015 s3.2-9
    fn undo_loss(&mut self, by_frto: bool, outcome: &mut Outcome, counters: &mut Counters) {
        self.board.unmark_lost();
        self.undo_reduction(outcome);
        counters.loss_undo += 1;
        counters.spurious_rtos += u64::from(by_frto);
        self.timeouts = 0;
        outcome.spurious_timeout = true;
        if self.is_kept() {
            return;
        }
        if by_frto || self.sack {
            self.set_phase(RecoveryPhase::Open);
            self.reneging = false;
        }
    }
}
