//! Classic ECN: RFC 3168 section 6.1.

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::Flags;

use super::{Hurry, Leaving};

/// Classic ECN of one connection.
#[derive(Debug, Default)]
pub(crate) struct Classic {
    /// A mark arrived, and the peer has not said yet that it slowed down: every ACK echoes it.
    echoes: bool,
    /// The next new data says that we slowed down.
    owes_reduced: bool,
    /// Something arrived that can be marked: what cannot is likely sent again.
    seen: bool,
    delivered_ce: u32,
}

impl Classic {
    // Implements: RFC3168 s6.1.3
    pub(super) fn on_text(&mut self, codepoint: Codepoint) -> Hurry {
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
        self.echoes = false;
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

    // Implements: RFC3168 s6.1.1d, RFC3168 s6.1.2b, RFC3168 s6.1.3, RFC3168 s6.1.6
    pub(super) fn stamp(&mut self, leaving: Leaving) -> (Codepoint, Flags) {
        let mut flags = if self.echoes { Flags::ECE } else { Flags::empty() };
        if leaving != Leaving::New {
            return (Codepoint::NotEct, flags);
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
