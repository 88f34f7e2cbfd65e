//! The timers of losses fire: RFC 6298 section 5, RFC 8985 sections 6.2 and 6.3, and what was too big
//! for the path.

use super::{Outcome, Recovery, Resend, RttView};
use crate::congestion::RecoveryPhase;
use crate::counters::Counters;
use crate::instant::Instant;

/// What a retransmission time-out meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout {
    /// What was outstanding.
    pub(crate) flight: u64,
    /// The window was reduced already for what is outstanding.
    pub(crate) repeated: bool,
}

impl Recovery {
    /// The retransmission timer fired. Everything that has not the least chance to be acknowledged
    /// still is taken for lost.
    // Implements: RFC6298 s5.4, RFC6582 s3.2.4, RFC8985 s6.3, RFC5682 s2.1-1, RFC6675 s5.1, RFC2018 s5.1
    pub(crate) fn on_timeout(&mut self, now: Instant, counters: &mut Counters) -> Timeout {
        let flight = self.board.outstanding().bytes;
        let was_recovering = self.phase as u8 >= RecoveryPhase::Recovery as u8;
        let sacked = self.sacked_segments();
        self.mark_lost_by_timeout(now, counters);
        let reduces = !was_recovering && self.phase != RecoveryPhase::Cwr
            || self.until <= self.board.una()
            || self.phase == RecoveryPhase::Loss && self.timeouts == 0;
        if reduces {
            self.begin_undo();
        }
        if (self.phase as u8) <= RecoveryPhase::Disorder as u8 {
            self.reordering.on_timeout(sacked);
        }
        self.frto = self.methods.frto && (!was_recovering || self.timeouts > 0);
        self.until = self.board.nxt();
        self.tlp.end();
        self.set_phase(RecoveryPhase::Loss);
        self.resend = Resend::Lost;
        self.resend_by_timer = true;
        self.timeouts = self.timeouts.saturating_add(1);
        self.first_timeout_at.get_or_insert(now);
        Timeout { flight, repeated: !reduces }
    }

    fn mark_lost_by_timeout(&mut self, now: Instant, counters: &mut Counters) {
        let una = self.board.una();
        if self.board.first().is_some_and(|first| first.sacked) {
            // What the peer reported as held it did not acknowledge when the hole was filled.
            counters.sack_reneging += 1;
            self.board.forget_sacks();
            self.reneging = true;
            counters.lost_retransmit += self.board.mark_lost_where(|_| true);
            return;
        }
        self.duplicates.clear();
        let rack = self.rack;
        counters.lost_retransmit +=
            self.board.mark_lost_where(|range| range.start == una || !rack.is_in_time(now, range));
    }

    /// The time that reordering was given is over.
    // Implements: RFC8985 s6.2-5b
    pub(crate) fn on_reordering_timeout(
        &mut self,
        now: Instant,
        view: &RttView,
        counters: &mut Counters,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let lost = self.board.rate().lost();
        self.look(now, view, counters);
        outcome.lost = self.board.rate().lost() - lost;
        if outcome.lost > 0 {
            if self.phase != RecoveryPhase::Recovery {
                self.enter_recovery(&mut outcome, counters);
                // As if an acknowledgment had told: the first retransmission goes.
                outcome.delivered = u64::from(self.mss);
            }
            self.resend = Resend::Lost;
        }
        outcome
    }

    /// Segments above `size` bytes were too big for the path: they are sent again in smaller ones. It
    /// is no sign of congestion, and neither are duplicates until all of it is acknowledged.
    pub(crate) fn on_too_big(&mut self, size: u32) {
        self.board.mark_lost_where(|range| {
            range.size > size && range.len() > u64::from(size) && !range.sacked
        });
        if self.board.lost().segments == 0 {
            return;
        }
        if self.phase != RecoveryPhase::Loss {
            self.until = self.board.nxt();
            self.undo.end();
            self.frto = false;
            self.set_phase(RecoveryPhase::Loss);
        }
        self.mss = size;
        self.resend = Resend::Lost;
    }
}
