//! The state of RFC 9293 section 3.3.2, and the one place where it changes.
//!
//! The transitions are data ([`TRANSITIONS`]), so that what is not in the table cannot happen;
//! `docs/states.md` is drawn from it. LISTEN is a listener, a passive SYN-RECEIVED a half-open
//! record, TIME-WAIT (once its last ACK is sent) a record of its own: see `endpoint`. Their rows are
//! in the table too, and the record itself is what keeps to them: it exists in its state or not at
//! all.

use core::fmt;

/// A state by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateName {
    /// Waiting for connections.
    Listen,
    /// Our SYN is on its way.
    SynSent,
    /// SYNs were exchanged; ours is not acknowledged.
    SynReceived,
    /// Open in both directions.
    Established,
    /// We closed; our FIN is not acknowledged.
    FinWait1,
    /// We closed and the peer knows; it may still send.
    FinWait2,
    /// The peer closed; we may still send.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed, then we; our FIN is not acknowledged.
    LastAck,
    /// Both closed; waiting until nothing of the connection is left in the network.
    TimeWait,
    /// No connection.
    Closed,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateName::Listen => "LISTEN",
            StateName::SynSent => "SYN-SENT",
            StateName::SynReceived => "SYN-RECEIVED",
            StateName::Established => "ESTABLISHED",
            StateName::FinWait1 => "FIN-WAIT-1",
            StateName::FinWait2 => "FIN-WAIT-2",
            StateName::CloseWait => "CLOSE-WAIT",
            StateName::Closing => "CLOSING",
            StateName::LastAck => "LAST-ACK",
            StateName::TimeWait => "TIME-WAIT",
            StateName::Closed => "CLOSED",
        })
    }
}

/// What changes a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// The application connects.
    ActiveOpen,
    /// The application listens.
    PassiveOpen,
    /// A SYN arrived at a listener.
    SynArrived,
    /// A SYN without ACK arrived in SYN-SENT: simultaneous open.
    SynsCrossed,
    /// Our SYN is acknowledged and theirs has arrived.
    HandshakeDone,
    /// The application closed its sending direction.
    Close,
    /// Our FIN is acknowledged.
    FinAcknowledged,
    /// The peer's FIN is in order.
    FinReceived,
    /// A SYN that can only be of a new connection arrived in TIME-WAIT.
    Reopened,
    /// Reset, aborted, closed before the handshake, timed out, or nothing is left to do.
    End,
}

/// A row of the table of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransitionRow {
    /// The state before.
    pub from: StateName,
    /// What happens.
    pub by: Transition,
    /// The state after.
    pub to: StateName,
    /// What is sent.
    pub sends: &'static str,
}

const fn row(from: StateName, by: Transition, to: StateName, sends: &'static str) -> TransitionRow {
    TransitionRow { from, by, to, sends }
}

/// RFC 9293 figure 5: every change of state that there is.
///
/// RFC 9293 lets SYN-RECEIVED go to FIN-WAIT-1 and to CLOSE-WAIT too. Here a FIN of ours waits for
/// the handshake, so that sequence numbers are synchronized whenever one is sent, and a FIN of theirs
/// comes with the ACK that completes the handshake: both pass through ESTABLISHED. A FIN that
/// acknowledges ours goes from FIN-WAIT-1 to TIME-WAIT by way of FIN-WAIT-2.
pub const TRANSITIONS: &[TransitionRow] = {
    use StateName as S;
    use Transition as T;
    &[
        row(S::Closed, T::PassiveOpen, S::Listen, "nothing"),
        row(S::Closed, T::ActiveOpen, S::SynSent, "SYN"),
        row(S::Listen, T::SynArrived, S::SynReceived, "SYN-ACK"),
        row(S::Listen, T::End, S::Closed, "nothing"),
        row(S::SynSent, T::SynsCrossed, S::SynReceived, "SYN-ACK"),
        row(S::SynSent, T::HandshakeDone, S::Established, "ACK"),
        row(S::SynSent, T::End, S::Closed, "nothing"),
        row(S::SynReceived, T::HandshakeDone, S::Established, "nothing, or the FIN that waited"),
        row(S::SynReceived, T::End, S::Closed, "RST if it was aborted"),
        row(S::Established, T::Close, S::FinWait1, "FIN, behind what was written"),
        row(S::Established, T::FinReceived, S::CloseWait, "ACK"),
        row(S::Established, T::End, S::Closed, "RST if it was aborted"),
        row(S::FinWait1, T::FinAcknowledged, S::FinWait2, "nothing"),
        row(S::FinWait1, T::FinReceived, S::Closing, "ACK"),
        row(S::FinWait1, T::End, S::Closed, "RST if it was aborted"),
        row(S::FinWait2, T::FinReceived, S::TimeWait, "ACK"),
        row(S::FinWait2, T::End, S::Closed, "RST if it was aborted"),
        row(S::CloseWait, T::Close, S::LastAck, "FIN, behind what was written"),
        row(S::CloseWait, T::End, S::Closed, "RST if it was aborted"),
        row(S::Closing, T::FinAcknowledged, S::TimeWait, "nothing"),
        row(S::Closing, T::End, S::Closed, "RST if it was aborted and text is lost"),
        row(S::LastAck, T::FinAcknowledged, S::Closed, "nothing"),
        row(S::LastAck, T::End, S::Closed, "RST if it was aborted and text is lost"),
        row(S::TimeWait, T::Reopened, S::SynReceived, "SYN-ACK"),
        row(S::TimeWait, T::End, S::Closed, "nothing"),
        row(S::Closed, T::End, S::Closed, "nothing"),
    ]
};

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State(StateName);

impl State {
    /// An active open begins.
    pub(crate) fn active_open() -> State {
        let mut state = State(StateName::Closed);
        state.follow(Transition::ActiveOpen);
        state
    }

    /// A half-open record is complete.
    pub(crate) fn handshake_done() -> State {
        let mut state = State(StateName::SynReceived);
        state.follow(Transition::HandshakeDone);
        state
    }

    pub(crate) fn name(self) -> StateName {
        self.0
    }

    /// Follows the table. A transition that it does not have changes nothing.
    pub(crate) fn follow(&mut self, transition: Transition) -> StateName {
        match next(self.0, transition) {
            Some(next) => self.0 = next,
            None => debug_assert!(false, "{transition:?} in {}", self.0),
        }
        self.0
    }

    /// Our SYN is acknowledged: sequence numbers are synchronized.
    pub(crate) fn is_synchronized(self) -> bool {
        !matches!(self.0, StateName::SynSent | StateName::SynReceived | StateName::Closed)
    }

    /// The peer may still send text.
    pub(crate) fn may_receive(self) -> bool {
        matches!(self.0, StateName::Established | StateName::FinWait1 | StateName::FinWait2)
    }

    /// The application may still send.
    pub(crate) fn may_send(self) -> bool {
        matches!(self.0, StateName::Established | StateName::CloseWait)
    }

    /// What was written, or our FIN, may still have to be sent or sent again.
    pub(crate) fn may_transmit(self) -> bool {
        self.may_send()
            || matches!(self.0, StateName::FinWait1 | StateName::Closing | StateName::LastAck)
    }
}

fn next(from: StateName, transition: Transition) -> Option<StateName> {
    TRANSITIONS.iter().find(|row| row.from == from && row.by == transition).map(|row| row.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC9293 s3.10.7.4o, RFC9293 s3.10.7.4v, RFC9293 s3.6 case3
    #[test]
    fn the_transitions_are_figure_5() {
        let table: String = TRANSITIONS
            .iter()
            .filter(|row| row.by != Transition::End)
            .map(|row| format!("{} --{:?}--> {}\n", row.from, row.by, row.to))
            .collect();
        assert_eq!(
            table,
            "CLOSED --PassiveOpen--> LISTEN\n\
             CLOSED --ActiveOpen--> SYN-SENT\n\
             LISTEN --SynArrived--> SYN-RECEIVED\n\
             SYN-SENT --SynsCrossed--> SYN-RECEIVED\n\
             SYN-SENT --HandshakeDone--> ESTABLISHED\n\
             SYN-RECEIVED --HandshakeDone--> ESTABLISHED\n\
             ESTABLISHED --Close--> FIN-WAIT-1\n\
             ESTABLISHED --FinReceived--> CLOSE-WAIT\n\
             FIN-WAIT-1 --FinAcknowledged--> FIN-WAIT-2\n\
             FIN-WAIT-1 --FinReceived--> CLOSING\n\
             FIN-WAIT-2 --FinReceived--> TIME-WAIT\n\
             CLOSE-WAIT --Close--> LAST-ACK\n\
             CLOSING --FinAcknowledged--> TIME-WAIT\n\
             LAST-ACK --FinAcknowledged--> CLOSED\n\
             TIME-WAIT --Reopened--> SYN-RECEIVED\n"
        );
    }

    #[test]
    fn each_state_can_end_and_no_event_has_two_outcomes() {
        for row in TRANSITIONS {
            assert_eq!(next(row.from, Transition::End), Some(StateName::Closed), "{}", row.from);
            let same = TRANSITIONS.iter().filter(|it| it.from == row.from && it.by == row.by);
            assert_eq!(same.count(), 1, "{} {:?}", row.from, row.by);
        }
    }
}
