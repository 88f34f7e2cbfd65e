//! RACK: what left before something that arrived, and is overdue, is lost (RFC 8985 section 6).
//!
//! Owns the time and the end of the newest segment known to have arrived, its round trip, and the
//! reordering window. The ranges are the scoreboard's.

use core::time::Duration;

use super::scoreboard::Scoreboard;
use super::slab::Range;
use crate::instant::Instant;

/// RFC 8985 section 6.2 step 4: for how many recoveries a reordering window that D-SACKs made wide
/// stays so.
const PERSISTENCE: u8 = 16;
/// Linux's bound on the steps of the window.
const MAX_STEPS: u32 = 255;

/// The state of RACK in one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rack {
    /// The newest segment that arrived: when it left, and where it ends.
    sent_at: Instant,
    end: u64,
    rtt: Duration,
    /// Something arrived since the last look.
    advanced: bool,
    /// A D-SACK that reordering may explain arrived.
    dsack_seen: bool,
    steps: u32,
    persist: u8,
    /// What was delivered when the window last grew: once a round trip is enough.
    grown_at: u64,
}

/// What a look for losses found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Something is newly taken for lost.
    pub(crate) lost: bool,
    /// Segments sent again that are lost again.
    pub(crate) lost_again: u64,
    /// How long until all that is overdue has had its time.
    pub(crate) wait: Option<Duration>,
}

impl Rack {
    pub(crate) fn new() -> Rack {
        Rack {
            sent_at: Instant::ZERO,
            end: 0,
            rtt: Duration::ZERO,
            advanced: false,
            dsack_seen: false,
            steps: 1,
            persist: 0,
            grown_at: 0,
        }
    }

    /// A range arrived.
    // Implements: RFC8985 s6.2-2a, RFC8985 s6.2-2b
    pub(crate) fn on_delivered(&mut self, now: Instant, range: &Range, min_rtt: Option<Duration>) {
        let rtt = now.saturating_since(range.sent_at);
        if range.ever_resent && min_rtt.is_some_and(|min_rtt| rtt < min_rtt) {
            // Too soon to be what was sent again: it is not known which copy arrived.
            return;
        }
        self.advanced = true;
        self.rtt = rtt;
        if (self.sent_at, self.end) < (range.sent_at, range.end) {
            (self.sent_at, self.end) = (range.sent_at, range.end);
        }
    }

    /// A D-SACK reported something that reordering may have made us send again.
    pub(crate) fn on_dsack(&mut self) {
        self.dsack_seen = true;
    }

    /// What was taken for lost is not: look again.
    pub(crate) fn look_again(&mut self) {
        self.advanced = true;
    }

    /// An acknowledgment was taken: `prior_delivered` is what was delivered when the newest of what
    /// it delivers left, `delivered` what is now.
    // Implements: RFC8985 s6.2-4c
    pub(crate) fn adapt(&mut self, prior_delivered: u64, delivered: u64) {
        if prior_delivered < self.grown_at {
            self.dsack_seen = false;
        }
        if self.dsack_seen {
            self.steps = (self.steps + 1).min(MAX_STEPS);
            self.dsack_seen = false;
            self.grown_at = delivered;
            self.persist = PERSISTENCE;
        } else if self.persist == 0 {
            self.steps = 1;
        }
    }

    /// A recovery ended that was necessary.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
    }

    /// A recovery was not necessary, as D-SACKs tell.
    pub(crate) fn on_undone_by_dsack(&mut self) {
        self.persist = (self.persist + 1).min(PERSISTENCE);
    }

    /// A fraction of the least round trip, at most SRTT.
    // Implements: RFC8985 s6.2-4b
    pub(crate) fn window(&self, min_rtt: Option<Duration>, srtt: Option<Duration>) -> Duration {
        let window = min_rtt.unwrap_or_default() / 4 * self.steps;
        srtt.map_or(window, |srtt| window.min(srtt))
    }

    /// Whether there is reason to look for losses; asking takes the reason away.
    pub(crate) fn take_advanced(&mut self) -> bool {
        core::mem::take(&mut self.advanced)
    }

    /// Takes for lost what left before the newest that arrived and had `window` more than a round
    /// trip.
    ///
    /// What left later has later to wait, so that the look ends at the first that is still in time:
    /// each range costs once for each time that it left.
    // Implements: RFC8985 s6.2-5a, RFC8985 s6.2-5b, RFC8985 s6.2-5c
    pub(crate) fn detect(&self, now: Instant, board: &mut Scoreboard, window: Duration) -> Found {
        let mut found = Found::default();
        let allowed = self.rtt + window;
        let Some(last) = board.order().pass(self.sent_at, self.end) else { return found };
        let mut last_left = board.range(last).sent_at;
        loop {
            let Some(slot) = board.order().oldest() else { return found };
            let range = *board.range(slot);
            if !range.left_before(self.sent_at, self.end) {
                return found;
            }
            let waited = now.saturating_since(range.sent_at);
            if waited < allowed {
                last_left = last_left.max(range.sent_at);
                found.wait = Some(allowed.saturating_sub(now.saturating_since(last_left)));
                return found;
            }
            if board.mark_lost(slot) {
                found.lost = true;
                found.lost_again += if range.resent { u64::from(range.segments) } else { 0 };
            } else {
                board.order().unlist(slot);
            }
        }
    }

    /// How long a range has left, which may be nothing, without a reordering window.
    pub(crate) fn is_in_time(&self, now: Instant, range: &Range) -> bool {
        now.saturating_since(range.sent_at) < self.rtt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    // Shows: RFC8985 s6.2-4b
    #[test]
    fn the_window_is_a_quarter_of_the_least_round_trip_and_at_most_srtt() {
        let mut rack = Rack::new();
        assert_eq!(rack.window(Some(ms(40)), Some(ms(100))), ms(10));
        for step in 2..20 {
            rack.on_dsack();
            rack.adapt(step, step);
            assert_eq!(rack.window(Some(ms(40)), Some(ms(100))), ms(10 * step).min(ms(100)));
        }
    }

    // Shows: RFC8985 s6.2-4c
    #[test]
    fn the_window_grows_once_a_round_trip_and_shrinks_after_16_recoveries() {
        let mut rack = Rack::new();
        rack.on_dsack();
        rack.adapt(10, 20);
        assert_eq!(rack.steps, 2);
        rack.on_dsack();
        rack.adapt(19, 25);
        assert_eq!(rack.steps, 2, "what arrived left before the window had grown");
        for _ in 0..PERSISTENCE {
            assert_eq!(rack.steps, 2);
            rack.on_recovered();
            rack.adapt(30, 30);
        }
        assert_eq!(rack.steps, 1);
    }
}
