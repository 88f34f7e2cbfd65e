//! Whether the congestion window is used: a window that nobody fills says nothing about the path,
//! and does not grow (RFC 7661 section 1; Linux's cwnd validation).
//!
//! Owns, for the present window of data, whether sending was held back, and how much was outstanding
//! at most. In slow start a window of which more than half was used may grow all the same: whoever
//! answers in bursts never fills it.

use towpath_wire::SeqNumber;

/// How far one connection uses its congestion window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowUsage {
    /// The window was the limit.
    limited: bool,
    /// The most that was outstanding, in bytes, while it was not.
    most: u64,
    /// The present window of data ends here.
    until: SeqNumber,
}

/// What is known when a segment has left, or could not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) snd_una: SeqNumber,
    pub(crate) snd_nxt: SeqNumber,
    /// Bytes sent and not acknowledged.
    pub(crate) outstanding: u64,
    /// The window is full, or has no room for what waits.
    pub(crate) limited: bool,
}

impl WindowUsage {
    pub(crate) fn new(iss: SeqNumber) -> WindowUsage {
        WindowUsage { limited: false, most: 0, until: iss }
    }

    /// A segment left, or the window held it back. The strongest sign in a window of data counts.
    pub(crate) fn on_sent(&mut self, sent: Sent) {
        let new_window = sent.snd_una.at_or_after(self.until);
        if new_window || sent.limited || !self.limited && sent.outstanding > self.most {
            self.limited = sent.limited;
            self.most = sent.outstanding;
            self.until = sent.snd_nxt;
        }
    }

    /// Whether the window was full at some time in the present window of data.
    pub(crate) fn was_full(&self) -> bool {
        self.limited
    }

    /// Whether acknowledgments may make `window` grow.
    pub(crate) fn may_grow(&self, window: u64, slow_start_threshold: u64) -> bool {
        self.limited || window < slow_start_threshold && window < self.most.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISS: SeqNumber = SeqNumber(u32::MAX - 2000);

    fn sent(una: u32, nxt: u32, limited: bool) -> Sent {
        let outstanding = u64::from(nxt - una);
        Sent { snd_una: ISS + una, snd_nxt: ISS + nxt, outstanding, limited }
    }

    #[test]
    fn a_window_that_held_something_back_grows_until_its_data_is_acknowledged() {
        let mut usage = WindowUsage::new(ISS);
        usage.on_sent(sent(0, 10_000, true));
        assert!(usage.may_grow(10_000, 5000));
        usage.on_sent(sent(5000, 11_000, false));
        assert!(usage.may_grow(10_000, 5000), "a weaker sign in the same window of data");
        usage.on_sent(sent(10_000, 11_000, false));
        assert!(!usage.may_grow(10_000, 5000));
    }

    #[test]
    fn in_slow_start_half_a_window_is_enough() {
        let mut usage = WindowUsage::new(ISS);
        usage.on_sent(sent(0, 6000, false));
        assert!(usage.may_grow(10_000, u64::MAX));
        assert!(!usage.may_grow(12_000, u64::MAX), "twice what was outstanding is the limit");
        assert!(!usage.may_grow(10_000, 10_000), "nor outside slow start");
    }
}
