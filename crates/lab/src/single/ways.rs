//! Ways into each state of RFC 9293 section 3.3.2, for scripts that try one event in all of them.
//!
//! In the synchronized states each side has first sent 100 bytes, which were acknowledged (and read),
//! so that there are old numbers. The engine's next segment, text in ESTABLISHED and CLOSE-WAIT, a
//! FIN where it has closed, is on its way in every state but FIN-WAIT-2 and TIME-WAIT, so that there
//! is something new to acknowledge.

use towpath_engine::{ConnectionId, ListenerId, StateName};

use super::{Setup, Single};
use crate::segment::{ack, data, fin, syn};

/// A way into a state, and the numbers that it leads to, relative to the initial ones.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Which way, where a state has two.
    pub name: &'static str,
    /// Where it leads.
    pub state: StateName,
    /// SND.UNA.
    pub una: u32,
    /// SND.NXT.
    pub nxt: u32,
    /// RCV.NXT.
    pub rcv_nxt: u32,
    make: fn(Setup) -> Single,
    walk: fn(&mut Single) -> Walked,
}

/// What a way has opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    /// The application's connection.
    pub connection: Option<ConnectionId>,
    /// The application's listener.
    pub listener: Option<ListenerId>,
}

/// A way into every state; SYN-RECEIVED twice: passive, and by crossing SYNs.
pub const WAYS: [Way; 12] = [
    way("CLOSED", StateName::Closed, (0, 0, 1), Single::server, |_| Walked::default()),
    way("LISTEN", StateName::Listen, (0, 0, 1), Single::server, |single| Walked {
        listener: Some(single.listen()),
        connection: None,
    }),
    way("SYN-SENT", StateName::SynSent, (0, 1, 1), Single::client, |single| {
        let connection = single.connect();
        single.expect(syn());
        Walked { connection: Some(connection), listener: None }
    }),
    way("SYN-RECEIVED", StateName::SynReceived, (0, 1, 1), Single::server, |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.take_segments();
        Walked { connection: None, listener: Some(listener) }
    }),
    way("SYN-RECEIVED by crossing", StateName::SynReceived, (0, 1, 1), Single::client, |single| {
        let connection = single.connect();
        single.inject(syn().mss(1000));
        single.take_segments();
        Walked { connection: Some(connection), listener: None }
    }),
    way("ESTABLISHED", StateName::Established, (101, 201, 101), Single::server, |single| {
        let walked = open(single);
        if let Some(id) = walked.connection {
            single.write(id, 100);
        }
        single.take_segments();
        walked
    }),
    way("FIN-WAIT-1", StateName::FinWait1, (101, 102, 101), Single::server, closed_by_us),
    way("FIN-WAIT-2", StateName::FinWait2, (102, 102, 101), Single::server, |single| {
        let walked = closed_by_us(single);
        single.inject(ack(101, 102));
        walked
    }),
    way("CLOSE-WAIT", StateName::CloseWait, (101, 201, 102), Single::server, |single| {
        let walked = open(single);
        single.inject(fin(101, 101));
        if let Some(id) = walked.connection {
            single.write(id, 100);
        }
        single.take_segments();
        walked
    }),
    way("CLOSING", StateName::Closing, (101, 102, 102), Single::server, |single| {
        let walked = closed_by_us(single);
        single.inject(fin(101, 101));
        single.take_segments();
        walked
    }),
    way("LAST-ACK", StateName::LastAck, (101, 102, 102), Single::server, |single| {
        let walked = open(single);
        single.inject(fin(101, 101));
        if let Some(id) = walked.connection {
            single.shutdown(id);
        }
        single.take_segments();
        walked
    }),
    way("TIME-WAIT", StateName::TimeWait, (102, 102, 102), Single::server, |single| {
        let walked = closed_by_us(single);
        single.inject(fin(101, 102));
        single.take_segments();
        walked
    }),
];

const fn way(
    name: &'static str,
    state: StateName,
    (una, nxt, rcv_nxt): (u32, u32, u32),
    make: fn(Setup) -> Single,
    walk: fn(&mut Single) -> Walked,
) -> Way {
    Way { name, state, una, nxt, rcv_nxt, make, walk }
}

impl Way {
    /// Goes this way. Nothing that the engine sent on it is left to be looked at.
    pub fn go(&self, setup: Setup) -> (Single, Walked) {
        let mut single = (self.make)(setup);
        let walked = (self.walk)(&mut single);
        single.expect_nothing();
        let state = single.state_of(walked);
        assert_eq!(state, self.state, "the way to {}", self.name);
        (single, walked)
    }
}

impl Single {
    /// The state that what was opened is in. A connection that waits to be accepted counts; a
    /// listener counts as LISTEN while nothing that it opened is there.
    pub fn state_of(&mut self, walked: Walked) -> StateName {
        let mut connection = walked.connection;
        if connection.is_none()
            && let Some(listener) = walked.listener
        {
            connection = self
                .call(|endpoint, now| endpoint.accept(now, listener))
                .ok()
                .map(|(connection, _)| connection);
        }
        let census = self.census();
        let of_connection = connection.and_then(|id| self.endpoint().state(id));
        match of_connection {
            Some(state) if state != StateName::Closed => state,
            _ if census.time_wait > 0 => StateName::TimeWait,
            _ if census.half_open > 0 => StateName::SynReceived,
            _ if connection.is_none() && census.listeners > 0 => StateName::Listen,
            _ => StateName::Closed,
        }
    }
}

/// ESTABLISHED, with 100 bytes behind each side.
fn open(single: &mut Single) -> Walked {
    let listener = single.listen();
    single.inject(syn().mss(1000));
    single.take_segments();
    single.inject(ack(1, 1));
    let id = single.accept(listener);
    single.write(id, 100);
    single.inject(data(1, 100, 101));
    single.read(id, 100);
    single.take_segments();
    Walked { connection: Some(id), listener: Some(listener) }
}

/// FIN-WAIT-1, with 100 bytes behind each side.
fn closed_by_us(single: &mut Single) -> Walked {
    let walked = open(single);
    if let Some(id) = walked.connection {
        single.shutdown(id);
    }
    single.take_segments();
    walked
}
