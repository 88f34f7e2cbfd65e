//! Proportional rate reduction: how the window goes down to what congestion control says, with the
//! acknowledgments as the clock (RFC 9937, which replaces RFC 6937).
//!
//! Owns what was delivered and sent since the reduction began. Counted in bytes; what may be sent
//! above the pipe while it is too full comes in whole segments, as Linux counts.

/// One reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prr {
    /// The window to end with, and the one before (RecoverFS).
    threshold: u64,
    before: u64,
    delivered: u64,
    out: u64,
    window: u64,
}

/// An acknowledgment during the reduction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// Bytes newly known to be delivered, and newly taken for lost.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// SND.UNA moved.
    pub(crate) advanced: bool,
    /// What is in flight now.
    pub(crate) pipe: u64,
    pub(crate) mss: u64,
}

impl Prr {
    /// The window was `before` bytes and is to become `threshold`.
    // Implements: RFC9937 s6a
    pub(crate) fn new(before: u64, threshold: u64) -> Prr {
        Prr { threshold, before: before.max(1), delivered: 0, out: 0, window: before }
    }

    /// What may be in flight.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// So much was sent, new or again.
    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.out += bytes;
    }

    // Implements: RFC9937 s6c, RFC9937 s6d, RFC9937 s6e, RFC9937 s6f, RFC9937 s6g, RFC9937 s6h
    pub(crate) fn on_ack(&mut self, ack: &Delivery) {
        if ack.delivered == 0 {
            return;
        }
        self.delivered += ack.delivered;
        let mss = ack.mss.max(1);
        let mut allowed = if ack.pipe > self.threshold {
            // Proportional: in whole segments, rounded up.
            let target = u128::from(self.delivered) * u128::from(self.threshold);
            let target = target.div_ceil(u128::from(self.before));
            let target = u64::try_from(target).unwrap_or(u64::MAX).next_multiple_of(mss);
            target.saturating_sub(self.out)
        } else {
            // Conservation, or slow start where the last acknowledgment told of no more loss.
            let mut allowed = self.delivered.saturating_sub(self.out).max(ack.delivered);
            if ack.advanced && ack.lost == 0 {
                allowed += mss;
            }
            allowed.min(self.threshold - ack.pipe)
        };
        if self.out == 0 {
            // The first retransmission goes at once.
            allowed = allowed.max(mss);
        }
        self.window = ack.pipe + allowed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1000;

    fn ack(prr: &mut Prr, pipe: u64, delivered: u64, lost: u64, advanced: bool) -> u64 {
        prr.on_ack(&Delivery { delivered, lost, advanced, pipe, mss: MSS });
        let allowed = prr.window() - pipe;
        prr.on_sent(allowed / MSS * MSS);
        allowed / MSS
    }

    // Shows: RFC9937 s6c, RFC9937 s6f
    #[test]
    fn one_loss_of_20_with_cubic_sends_seven_for_each_ten_delivered() {
        // 20 in flight, one lost: each ACK delivers one and takes one from the pipe.
        let mut prr = Prr::new(20_000, 14_000);
        let mut pipe = 18_000;
        let mut sent = Vec::new();
        for _ in 0..10 {
            let now = ack(&mut prr, pipe, 1000, 0, false);
            sent.push(now);
            pipe = pipe + now * MSS - 1000;
        }
        assert_eq!(sent, [1, 1, 1, 0, 1, 1, 0, 1, 1, 0]);
    }

    // Shows: RFC9937 s6d, RFC9937 s6e
    #[test]
    fn below_the_threshold_it_conserves_while_losses_go_on_and_grows_by_one_a_good_ack() {
        let mut prr = Prr::new(20_000, 10_000);
        assert_eq!(ack(&mut prr, 3000, 1000, 16_000, false), 1);
        assert_eq!(ack(&mut prr, 3000, 1000, 1000, true), 1, "more was lost: conservation");
        assert_eq!(ack(&mut prr, 3000, 1000, 0, true), 2, "and none: slow start");
        assert_eq!(ack(&mut prr, 3000, 1000, 0, false), 1);
        assert_eq!(ack(&mut prr, 9500, 3000, 0, true), 0, "never above the threshold");
    }

    #[test]
    fn acknowledgments_of_single_bytes_buy_no_segments() {
        let mut prr = Prr::new(20_000, 10_000);
        ack(&mut prr, 3000, 1000, 16_000, false);
        let sent: u64 = (0..900).map(|_| ack(&mut prr, 3000, 1, 1, false)).sum();
        assert_eq!(sent, 0);
    }
}
