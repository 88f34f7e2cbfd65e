//! What the engine tells its driver: facts that an application may be waiting for.

use core::ops::{BitOr, BitOrAssign};

/// Names one connection of an endpoint. Never reused for another: it carries a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// The slot: small, dense, reused after [`Event::Released`]; for tables beside the endpoint.
    pub fn slot(self) -> usize {
        self.index as usize
    }
}

/// Names one listener of an endpoint. Never reused for another: it carries a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ListenerId {
    /// The slot: small, dense, reused after the listener is closed.
    pub fn slot(self) -> usize {
        self.index as usize
    }
}

/// What a connection is ready for: a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const EMPTY: Readiness = Readiness(0);
    /// A read returns bytes, the end of the stream, or an error.
    pub const READABLE: Readiness = Readiness(1);
    /// A write takes bytes or fails.
    pub const WRITABLE: Readiness = Readiness(2);
    /// The peer has sent FIN, or reading is over for another reason.
    pub const READ_CLOSED: Readiness = Readiness(4);
    /// Writing is over.
    pub const WRITE_CLOSED: Readiness = Readiness(8);
    /// An error is pending.
    pub const ERROR: Readiness = Readiness(16);
    /// The handshake is complete, or it failed.
    pub const CONNECTED: Readiness = Readiness(32);
    /// The peer says that urgent data is on its way or there, or that there is more of it.
    pub const URGENT: Readiness = Readiness(64);

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    fn bitor(self, rhs: Readiness) -> Readiness {
        Readiness(self.0 | rhs.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, rhs: Readiness) {
        self.0 |= rhs.0;
    }
}

impl core::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        const NAMES: [(Readiness, &str); 7] = [
            (Readiness::READABLE, "readable"),
            (Readiness::WRITABLE, "writable"),
            (Readiness::READ_CLOSED, "read-closed"),
            (Readiness::WRITE_CLOSED, "write-closed"),
            (Readiness::ERROR, "error"),
            (Readiness::CONNECTED, "connected"),
            (Readiness::URGENT, "urgent"),
        ];
        f.debug_set()
            .entries(NAMES.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name))
            .finish()
    }
}

/// A fact that an application may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// These became ready since the last event for this connection: wake who waits for any.
    Ready(ConnectionId, Readiness),
    /// A connection waits in this listener's accept queue.
    Incoming(ListenerId),
    /// The record of a closed connection is gone; its slot will be used again.
    Released(ConnectionId),
}
