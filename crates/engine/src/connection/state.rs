//! The state of RFC 9293 section 3.3.2, and the one place where it changes.
//!
//! LISTEN is a listener, a passive SYN-RECEIVED a half-open record, TIME-WAIT (once its last ACK is
//! sent) a record of its own: see `endpoint`. The transitions are data, so that what is not in the
//! table cannot happen.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
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
    /// Reset, aborted, timed out, or nothing is left to do.
    End,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State(StateName);

impl State {
    /// An active open begins.
    pub(crate) fn syn_sent() -> State {
        State(StateName::SynSent)
    }

    /// A passive open is complete.
    pub(crate) fn established() -> State {
        State(StateName::Established)
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

/// RFC 9293 figure 5, for the states that a connection has.
fn next(from: StateName, transition: Transition) -> Option<StateName> {
    use StateName as S;
    use Transition as T;
    Some(match (from, transition) {
        (S::Closed, T::End) => S::Closed,
        (S::SynSent, T::SynsCrossed) => S::SynReceived,
        (S::SynSent | S::SynReceived, T::HandshakeDone) => S::Established,
        // RFC 9293 lets SYN-RECEIVED go to FIN-WAIT-1 too. Here its FIN waits for the handshake, so
        // that sequence numbers are synchronized whenever a FIN is sent.
        (S::Established, T::Close) => S::FinWait1,
        (S::CloseWait, T::Close) => S::LastAck,
        (S::FinWait1, T::FinAcknowledged) => S::FinWait2,
        (S::Closing, T::FinAcknowledged) => S::TimeWait,
        (S::LastAck, T::FinAcknowledged) => S::Closed,
        (S::Established, T::FinReceived) => S::CloseWait,
        (S::FinWait1, T::FinReceived) => S::Closing,
        (S::FinWait2, T::FinReceived) => S::TimeWait,
        (_, T::End) => S::Closed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [StateName; 10] = [
        StateName::SynSent,
        StateName::SynReceived,
        StateName::Established,
        StateName::FinWait1,
        StateName::FinWait2,
        StateName::CloseWait,
        StateName::Closing,
        StateName::LastAck,
        StateName::TimeWait,
        StateName::Closed,
    ];

    // Shows: RFC9293 s3.10.7.4o, RFC9293 s3.10.7.4v, RFC9293 s3.6 case3
    #[test]
    fn the_transitions_are_figure_5() {
        let transitions = [
            Transition::SynsCrossed,
            Transition::HandshakeDone,
            Transition::Close,
            Transition::FinAcknowledged,
            Transition::FinReceived,
        ];
        let mut table = String::new();
        for from in STATES {
            for transition in transitions {
                if let Some(to) = next(from, transition) {
                    table.push_str(&format!("{from} --{transition:?}--> {to}\n"));
                }
            }
            assert_eq!(next(from, Transition::End), Some(StateName::Closed));
        }
        assert_eq!(
            table,
            "SYN-SENT --SynsCrossed--> SYN-RECEIVED\n\
             SYN-SENT --HandshakeDone--> ESTABLISHED\n\
             SYN-RECEIVED --HandshakeDone--> ESTABLISHED\n\
             ESTABLISHED --Close--> FIN-WAIT-1\n\
             ESTABLISHED --FinReceived--> CLOSE-WAIT\n\
             FIN-WAIT-1 --FinAcknowledged--> FIN-WAIT-2\n\
             FIN-WAIT-1 --FinReceived--> CLOSING\n\
             FIN-WAIT-2 --FinReceived--> TIME-WAIT\n\
             CLOSE-WAIT --Close--> LAST-ACK\n\
             CLOSING --FinAcknowledged--> TIME-WAIT\n\
             LAST-ACK --FinAcknowledged--> CLOSED\n"
        );
    }
}
