//! What holds a segment back that is not full: Nagle with Minshall's refinement (RFC 9293
//! section 3.7.4), TCP_NODELAY, TCP_CORK and MSG_MORE, as Linux lets them work together.
//!
//! Owns the application's wishes. What is outstanding is asked of the send space. A segment that is
//! held with nothing in flight goes when the probe timer fires: nothing is held for ever
//! (RFC 9293 MUST-60).

/// The application's wishes about segments that are not full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    nodelay: bool,
    cork: bool,
    /// The last write had MSG_MORE, and nothing has arrived since.
    more: bool,
    /// What lies before this offset goes in any case: it waited when an option let it go.
    released: u64,
}

impl Hold {
    /// TCP_NODELAY. Switched on, it lets go what waits, even what is corked; `end` is where that
    /// ends.
    // Implements: 9293 MUST-17
    pub(crate) fn set_nodelay(&mut self, nodelay: bool, end: u64) {
        self.nodelay = nodelay;
        if nodelay {
            self.released = end;
        }
    }

    /// TCP_CORK. Switched off, what waits goes by the rules that are left.
    pub(crate) fn set_cork(&mut self, cork: bool, end: u64) {
        self.cork = cork;
        if !cork {
            self.more = false;
            if self.nodelay {
                self.released = end;
            }
        }
    }

    /// A write, with MSG_MORE or without.
    pub(crate) fn on_write(&mut self, more: bool) {
        self.more = more;
    }

    /// A segment arrived, or the timer fired: MSG_MORE was a wish for a moment.
    pub(crate) fn on_progress(&mut self) {
        self.more = false;
    }

    /// Whether a segment that is not full, ends at `end` and is the last of what was written has to
    /// wait; `small_outstanding` is Minshall's condition.
    // Implements: 9293 SHLD-7
    pub(crate) fn holds(&self, end: u64, small_outstanding: bool) -> bool {
        end > self.released && (self.cork || self.more || !self.nodelay && small_outstanding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodelay_releases_what_waits_under_a_cork_and_nothing_later() {
        let mut hold = Hold::default();
        hold.set_cork(true, 0);
        assert!(hold.holds(10, false));
        hold.set_nodelay(true, 10);
        assert!(!hold.holds(10, true));
        assert!(hold.holds(11, false), "the cork is still there");
        hold.set_cork(false, 11);
        assert!(!hold.holds(11, true));
    }

    #[test]
    fn without_a_cork_nagle_waits_for_a_small_segment_only() {
        let mut hold = Hold::default();
        assert!(!hold.holds(10, false));
        assert!(hold.holds(10, true));
        hold.on_write(true);
        assert!(hold.holds(10, false));
        hold.on_progress();
        assert!(!hold.holds(10, false));
    }
}
