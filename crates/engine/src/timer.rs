//! The timers of one connection: lazy deadlines, one number each.
//!
//! Arming, moving and stopping a timer writes one number and touches nothing else; the endpoint's
//! wheel holds at most one entry a connection and puts it back when it fires early.

use crate::instant::Instant;

/// Why a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// The oldest outstanding segment is not acknowledged (RFC 6298); the SYN's too.
    Retransmission,
    /// Something is late, and may be so by reordering alone: lost by now (RFC 8985 section 6.2).
    ReorderingWindow,
    /// The last segments are not acknowledged: ask the peer (RFC 8985 section 7).
    LossProbe,
    /// An acknowledgment was put off long enough (RFC 9293 section 3.8.6.3).
    DelayedAck,
    /// The peer's window is closed: probe it (RFC 9293 section 3.8.6.1).
    Persist,
    /// What may be sent waits for its turn, so that segments leave spread over the round trip.
    Pacing,
    /// Nothing was heard for long: ask (RFC 9293 section 3.8.4).
    KeepAlive,
    /// The peer of a closed socket has not sent its FIN.
    FinWait2,
    /// A closed connection's record may go.
    TimeWait,
    /// A half-open passive connection: send the SYN-ACK again, or give up.
    SynAck,
}

const KINDS: [TimerKind; 8] = [
    TimerKind::Retransmission,
    TimerKind::ReorderingWindow,
    TimerKind::LossProbe,
    TimerKind::DelayedAck,
    TimerKind::Persist,
    TimerKind::Pacing,
    TimerKind::KeepAlive,
    TimerKind::FinWait2,
];

/// The deadlines of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    deadlines: [Instant; KINDS.len()],
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { deadlines: [Instant::FAR_FUTURE; KINDS.len()] }
    }

    pub(crate) fn arm(&mut self, kind: TimerKind, deadline: Instant) {
        if let Some(slot) = position(kind) {
            self.deadlines[slot] = deadline;
        }
    }

    pub(crate) fn stop(&mut self, kind: TimerKind) {
        self.arm(kind, Instant::FAR_FUTURE);
    }

    /// Arms one of the three timers of losses, of which one runs at a time (RFC 8985 section 8).
    // Implements: RFC8985 s8
    pub(crate) fn arm_for_losses(&mut self, kind: TimerKind, deadline: Instant) {
        self.stop_for_losses();
        self.arm(kind, deadline);
    }

    /// Stops whichever of them runs.
    pub(crate) fn stop_for_losses(&mut self) {
        for kind in [TimerKind::Retransmission, TimerKind::ReorderingWindow, TimerKind::LossProbe] {
            self.stop(kind);
        }
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Timers::new();
    }

    pub(crate) fn is_armed(&self, kind: TimerKind) -> bool {
        self.deadline(kind) != Instant::FAR_FUTURE
    }

    pub(crate) fn deadline(&self, kind: TimerKind) -> Instant {
        position(kind).map_or(Instant::FAR_FUTURE, |slot| self.deadlines[slot])
    }

    /// The earliest deadline, if any timer is armed.
    pub(crate) fn next(&self) -> Option<(Instant, TimerKind)> {
        let (slot, deadline) =
            self.deadlines.iter().enumerate().min_by_key(|(_, deadline)| **deadline)?;
        (*deadline != Instant::FAR_FUTURE).then_some((*deadline, KINDS[slot]))
    }

    /// Takes one timer that is due at `now`, stopping it.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TimerKind> {
        let (deadline, kind) = self.next()?;
        if deadline > now {
            return None;
        }
        self.stop(kind);
        Some(kind)
    }
}

fn position(kind: TimerKind) -> Option<usize> {
    KINDS.iter().position(|candidate| *candidate == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_out_in_order_and_once() {
        let mut timers = Timers::new();
        timers.arm(TimerKind::Retransmission, Instant::from_millis(20));
        timers.arm(TimerKind::DelayedAck, Instant::from_millis(10));
        timers.arm(TimerKind::KeepAlive, Instant::from_millis(30));
        assert_eq!(timers.next(), Some((Instant::from_millis(10), TimerKind::DelayedAck)));
        assert_eq!(timers.take_due(Instant::from_millis(9)), None);
        assert_eq!(timers.take_due(Instant::from_millis(25)), Some(TimerKind::DelayedAck));
        assert_eq!(timers.take_due(Instant::from_millis(25)), Some(TimerKind::Retransmission));
        assert_eq!(timers.take_due(Instant::from_millis(25)), None);
    }
}
