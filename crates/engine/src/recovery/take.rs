//! What an acknowledgment says: which ranges arrived, how long that took, which arrived twice.
//!
//! First of two steps, so that the round-trip estimator learns between them what the second
//! ([`judge`](super::judge)) goes by.

use core::time::Duration;

use towpath_wire::tcp::SackBlock;

use super::scoreboard::Sum;
use super::slab::Range;
use super::tlp::Answer;
use super::{Ack, Recovery, RttView};
use crate::congestion::RecoveryPhase;
use crate::counters::Counters;
use crate::instant::Instant;

/// A SACK option has no more blocks.
const MAX_BLOCKS: usize = 4;

/// What an acknowledgment said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// A round-trip time for the estimator, if Karn allows one without timestamps.
    pub(crate) rtt: Option<Duration>,
    /// The same of the last segment that arrived: the least of any delayed acknowledgment.
    pub(crate) last_rtt: Option<Duration>,
    /// The peer may have delayed its acknowledgment of a lone segment that was not full.
    pub(crate) maybe_delayed: bool,
    /// Segments acknowledged cumulatively.
    acked_segments: u64,
    /// Something was acknowledged cumulatively.
    pub(super) acked: bool,
    /// Something new was reported.
    pub(super) sacked: bool,
    /// Something arrived twice, as reported.
    pub(super) dsack: bool,
    /// A probe arrived twice, as reported.
    pub(super) dsack_of_probe: bool,
    /// Something sent once, before the phase began, arrived.
    pub(super) original_arrived: bool,
    /// The oldest that is left was reported before: the peer dropped it.
    pub(super) reneging: bool,
    /// The round trip is of something that left after the oldest last did.
    pub(super) newer_than_oldest: bool,
    /// What was outstanding, acknowledged, delivered and lost before.
    pub(super) had_outstanding: bool,
    pub(super) prior_una: u64,
    pub(super) prior_delivered: u64,
    pub(super) prior_lost: u64,
}

/// The times at which what arrived had left, first and last in the order of numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Times {
    fn note(&mut self, sent_at: Instant) {
        self.first.get_or_insert(sent_at);
        self.last = Some(sent_at);
    }
}

impl Taken {
    /// Whether something was acknowledged cumulatively.
    pub(crate) fn is_progress(&self) -> bool {
        self.acked
    }
}

impl Recovery {
    /// Takes an acceptable acknowledgment, or the reports of one that a later one overtook.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        view: &RttView,
        counters: &mut Counters,
    ) -> Taken {
        let mut taken = Taken {
            had_outstanding: !self.board.is_empty(),
            prior_una: self.board.una(),
            prior_delivered: self.board.rate().delivered(),
            prior_lost: self.board.rate().lost(),
            ..Taken::default()
        };
        if ack.advanced {
            self.timeouts = 0;
            self.first_timeout_at = None;
        }
        let prior_highest = if self.sack { self.board.highest_sacked() } else { self.board.una() };
        let had_reports = self.sacked_segments() > 0;
        let sacked = self.take_reports(now, ack, view, &mut taken, counters);
        let acked = if ack.advanced {
            self.take_advance(now, ack, view, prior_highest, &mut taken, counters)
        } else {
            Times::default()
        };
        taken.reneging = self.board.first().is_some_and(|first| first.sacked);
        let since = |at: Option<Instant>| at.map(|at| now.saturating_since(at));
        taken.rtt = since(acked.first).or(since(sacked.first));
        taken.last_rtt = since(sacked.last).or(since(acked.last));
        let advance = self.board.una() - taken.prior_una;
        taken.maybe_delayed = acked.first.is_some()
            && taken.acked_segments == 1
            && !had_reports
            && advance < u64::from(ack.mss)
            && sacked.first.is_none();
        taken.newer_than_oldest = sacked
            .first
            .is_some_and(|sent_at| self.board.first().is_some_and(|first| sent_at < first.sent_at));
        taken
    }

    /// The SACK option.
    fn take_reports(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        view: &RttView,
        taken: &mut Taken,
        counters: &mut Counters,
    ) -> Times {
        let mut times = Times::default();
        if !self.sack || ack.sack.is_empty() {
            return times;
        }
        let duplicate = self.find_duplicate(ack, taken, counters);
        let una = self.board.una();
        let mut reordered = u64::MAX;
        if let Some((left, right)) = duplicate
            && right > una
            && self.board.on_duplicate(left.max(una), right)
        {
            self.undo.on_dsack(right, (right - left).div_ceil(u64::from(ack.mss.max(1))).max(1));
            reordered = left;
        }
        let Recovery { board, rack, until, .. } = self;
        let mut highest = board.highest_sacked();
        for (left, right) in valid_blocks(ack, board, duplicate.is_some()).into_iter().flatten() {
            board.on_sack(left, right, |range| {
                taken.sacked = true;
                rack.on_delivered(now, range, view.min);
                if !range.ever_resent {
                    if range.start < highest {
                        reordered = reordered.min(range.start);
                    }
                    taken.original_arrived |= range.end <= *until;
                    times.note(range.sent_at);
                }
                highest = highest.max(range.end);
            });
        }
        if self.phase != RecoveryPhase::Loss || self.undo.marker().is_some() {
            self.note_reordering(reordered, ack.mss, counters);
        }
        times
    }

    /// RFC 2883 section 5: a first block at or below this ACK, or within the second, reports a
    /// duplicate. Beyond what was ever sent again it is not believed.
    // Implements: RFC2883 s5, RFC2883 s5b
    fn find_duplicate(
        &mut self,
        ack: &Ack<'_>,
        taken: &mut Taken,
        counters: &mut Counters,
    ) -> Option<(u64, u64)> {
        let first = *ack.sack.first()?;
        if first.left.before(ack.ack) {
            counters.dsack_recv += 1;
        } else if ack.sack.get(1).is_some_and(|second| {
            first.left.at_or_after(second.left) && first.right.at_or_before(second.right)
        }) {
            counters.dsack_ofo_recv += 1;
        } else {
            return None;
        }
        let (left, right) = (self.board.offset(first.left), self.board.offset(first.right));
        let len = right.saturating_sub(left);
        let segments = len.div_ceil(u64::from(ack.mss.max(1))).max(1);
        if len == 0 || len > u64::from(ack.max_window) {
            counters.dsack_ignored_dubious += 1;
            return None;
        }
        let of_probe = len <= u64::from(ack.mss) && self.tlp.ends_at(right);
        self.dsacks += segments;
        if self.dsacks > self.resent_total {
            counters.dsack_ignored_dubious += 1;
            return None;
        }
        counters.dsack_recv_segs += segments;
        taken.dsack = true;
        taken.dsack_of_probe = of_probe;
        if self.reordering.is_seen() && !of_probe {
            self.rack.on_dsack();
        }
        self.board.on_delivered(Sum { bytes: len, segments });
        if right <= self.board.una() {
            self.undo.on_dsack(right, segments);
        }
        Some((left, right))
    }

    /// The cumulative acknowledgment.
    fn take_advance(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        view: &RttView,
        prior_highest: u64,
        taken: &mut Taken,
        counters: &mut Counters,
    ) -> Times {
        let mut times = Times::default();
        let (mut resent, mut segments, mut reordered) = (false, 0, u64::MAX);
        let Recovery { board, rack, until, sack, .. } = self;
        board.acknowledge(ack.ack, |range: &Range| {
            segments += u64::from(range.segments);
            if range.ever_resent {
                resent = true;
            } else if !range.sacked {
                times.note(range.sent_at);
                reordered = reordered.min(range.start);
                taken.original_arrived |= range.end <= *until;
            }
            // An echo from before it was sent again is of the first copy, whose time is not known.
            let is_other_copy =
                range.ever_resent && ack.echo.is_some_and(|echo| echo.is_before(range.sent_at));
            if *sack && !range.sacked && !is_other_copy {
                rack.on_delivered(now, range, view.min);
            }
        });
        taken.acked = segments > 0;
        taken.acked_segments = segments;
        if resent {
            // Implements: RFC6298 s3a
            times = Times::default();
        }
        if self.sack {
            if reordered < prior_highest {
                self.note_reordering(reordered, ack.mss, counters);
            }
        } else if segments > 0 {
            // Without reports it is not known which copy made the progress.
            taken.original_arrived &= !resent;
            let Recovery { board, duplicates, reordering, .. } = self;
            let surplus = duplicates.take_off(board, reordering, segments, ack.mss);
            counters.reno_reorder += u64::from(surplus);
        }
        times
    }

    /// Something sent once that begins at `low` arrived after something higher.
    pub(super) fn note_reordering(&mut self, low: u64, mss: u32, counters: &mut Counters) {
        let highest = self.board.highest_sacked();
        if low < highest {
            self.reordering.on_distance(highest - low, mss);
            counters.sack_reorder += 1;
        }
    }

    /// What the answer says of the probe that is on its way. Returns whether that repaired a loss.
    pub(super) fn take_answer_to_probe(&mut self, ack: &Ack<'_>, taken: &Taken) -> bool {
        self.tlp.on_ack(&Answer {
            ack: self.board.offset(ack.ack),
            dsack: taken.dsack_of_probe,
            duplicate: !ack.advanced && ack.bare && !taken.acked && !taken.sacked,
        })
    }
}

/// The blocks that may be believed, lowest first: what lies above the acknowledgment, and was sent.
// Implements: RFC6675 s5.2, H-16
fn valid_blocks(
    ack: &Ack<'_>,
    board: &super::Scoreboard,
    first_is_duplicate: bool,
) -> [Option<(u64, u64)>; MAX_BLOCKS] {
    let valid = |block: &SackBlock| {
        if !block.left.before(block.right) || block.right.after(ack.snd_nxt) {
            return None;
        }
        let (left, right) = (board.offset(block.left), board.offset(block.right));
        (block.left.after(ack.ack) && left > board.una()).then_some((left, right))
    };
    let mut blocks = [None; MAX_BLOCKS];
    let skip = usize::from(first_is_duplicate);
    for (place, block) in blocks.iter_mut().zip(ack.sack.iter().skip(skip)) {
        *place = valid(block);
    }
    blocks.sort_by_key(|block| block.map_or(u64::MAX, |(left, _)| left));
    blocks
}
