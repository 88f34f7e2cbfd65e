//! Classic ECN: RFC 3168 section 6.1, and its echo as DCTCP wants it: RFC 8257 section 3.2.

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::Flags;

use super::{Hurry, Leaving};

/// Classic ECN of one connection.
#[derive(Debug, Default)]
pub(crate) struct Classic {
    /// A mark arrived, and the peer has not said yet that it slowed down: every ACK echoes it. With
    /// DCTCP: what arrived last was marked.
    echoes: bool,
    /// The echo follows each mark (DCTCP).
    every_mark: bool,
    /// The next new data says that we slowed down.
    owes_reduced: bool,
    /// Something arrived that can be marked: what cannot is likely sent again.
    seen: bool,
    delivered_ce: u32,
}

impl Classic {
    pub(super) fn new(every_mark: bool) -> Classic {
        Classic { every_mark, ..Classic::default() }
    }

    /// The flags of an ACK of what arrived before text of this codepoint, if they change with it.
    // Implements: RFC8257 s3.2
    pub(super) fn before_change(&self, codepoint: Codepoint) -> Option<Flags> {
        let changes = self.every_mark && (codepoint == Codepoint::Ce) != self.echoes;
        changes.then(|| if self.echoes { Flags::ECE } else { Flags::empty() })
    }

    // Implements: RFC3168 s6.1.3, RFC8257 s3.2
    pub(super) fn on_text(&mut self, codepoint: Codepoint) -> Hurry {
        if self.every_mark {
            self.seen |= codepoint != Codepoint::NotEct;
            let marked = codepoint == Codepoint::Ce;
            let changed = std::mem::replace(&mut self.echoes, marked) != marked;
            return if changed { Hurry::Now } else { Hurry::None };
        }
        match codepoint {
            // As Linux: it is a retransmission, whose sender waits for every ACK.
            Codepoint::NotEct if self.seen => Hurry::Quick,
            Codepoint::NotEct => Hurry::None,
            Codepoint::Ect0 | Codepoint::Ect1 => {
                self.seen = true;
                Hurry::None
            }
            Codepoint::Ce => {
                self.seen = true;
                // The sender's window may be very small: it is not made to wait.
                let first = !std::mem::replace(&mut self.echoes, true);
                if first { Hurry::Quick } else { Hurry::None }
            }
        }
    }

    /// The peer says that it slowed down. Before the mark of the very segment is looked at.
    pub(super) fn on_reduced(&mut self, has_data: bool) -> Hurry {
        self.echoes &= self.every_mark;
        // Its window may be a single segment now.
        if has_data { Hurry::Now } else { Hurry::None }
    }

    pub(super) fn count(&mut self, told: bool, delivered: u32) {
        if told {
            self.delivered_ce = self.delivered_ce.wrapping_add(delivered);
        }
    }

    pub(super) fn is_seen(&self) -> bool {
        self.seen
    }

    pub(super) fn delivered_ce(&self) -> u32 {
        self.delivered_ce
    }

    pub(super) fn owe_reduced(&mut self) {
        self.owes_reduced = true;
    }

    pub(super) fn owe_nothing(&mut self) {
        self.owes_reduced = false;
    }

    // Implements: RFC3168 s6.1.1d, RFC3168 s6.1.2b, RFC3168 s6.1.3, RFC3168 s6.1.6, RFC8257 s3.6
    pub(super) fn stamp(&mut self, leaving: Leaving) -> (Codepoint, Flags) {
        let mut flags = if self.echoes { Flags::ECE } else { Flags::empty() };
        if leaving != Leaving::New {
            let codepoint = if self.every_mark { Codepoint::Ect0 } else { Codepoint::NotEct };
            return (codepoint, flags);
        }
        if std::mem::take(&mut self.owes_reduced) {
            flags |= Flags::CWR;
        }
        (Codepoint::Ect0, flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC3168 s6.1.3
    #[test]
    fn a_mark_is_echoed_until_the_peer_has_slowed_down_and_a_new_one_again() {
        let mut classic = Classic::default();
        assert_eq!(classic.on_text(Codepoint::Ce), Hurry::Quick);
        assert_eq!(classic.stamp(Leaving::Bare).1, Flags::ECE);
        assert_eq!(classic.stamp(Leaving::New).1, Flags::ECE);
        assert_eq!(classic.on_text(Codepoint::Ce), Hurry::None);
        // The segment that says so is marked itself: CWR first, then the mark.
        assert_eq!(classic.on_reduced(true), Hurry::Now);
        assert_eq!(classic.on_text(Codepoint::Ce), Hurry::Quick);
        assert_eq!(classic.stamp(Leaving::Bare).1, Flags::ECE);
        classic.on_reduced(false);
        assert_eq!(classic.stamp(Leaving::Bare).1, Flags::empty());
    }

    // Shows: RFC8257 s3.2, RFC8257 s3.6
    #[test]
    fn with_dctcp_the_echo_follows_the_marks_and_everything_can_be_marked() {
        let mut classic = Classic::new(true);
        assert_eq!(classic.before_change(Codepoint::Ect0), None);
        assert_eq!(classic.before_change(Codepoint::Ce), Some(Flags::empty()));
        assert_eq!(classic.on_text(Codepoint::Ce), Hurry::Now);
        assert_eq!(classic.stamp(Leaving::Bare), (Codepoint::Ect0, Flags::ECE));
        classic.on_reduced(false);
        assert_eq!(classic.stamp(Leaving::Again), (Codepoint::Ect0, Flags::ECE));
        assert_eq!(classic.on_text(Codepoint::Ce), Hurry::None);
        assert_eq!(classic.before_change(Codepoint::Ect0), Some(Flags::ECE));
        assert_eq!(classic.on_text(Codepoint::Ect0), Hurry::Now);
        assert_eq!(classic.stamp(Leaving::Bare), (Codepoint::Ect0, Flags::empty()));
    }

    // Shows: RFC3168 s6.1.1d, RFC3168 s6.1.2b
    #[test]
    fn only_new_data_can_be_marked_and_says_that_the_window_was_reduced() {
        let mut classic = Classic::default();
        classic.owe_reduced();
        assert_eq!(classic.stamp(Leaving::Again), (Codepoint::NotEct, Flags::empty()));
        assert_eq!(classic.stamp(Leaving::Bare), (Codepoint::NotEct, Flags::empty()));
        assert_eq!(classic.stamp(Leaving::New), (Codepoint::Ect0, Flags::CWR));
        assert_eq!(classic.stamp(Leaving::New), (Codepoint::Ect0, Flags::empty()));
    }
}
