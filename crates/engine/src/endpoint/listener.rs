//! A listener: LISTEN of RFC 9293, with a bounded SYN queue and a bounded accept queue.

use std::collections::VecDeque;

use core::net::SocketAddr;

use crate::connection::options::SocketOptions;
use crate::event::ConnectionId;

/// A listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) local: SocketAddr,
    /// What accepted connections begin with.
    pub(crate) options: SocketOptions,
    /// Connections whose handshake is complete, in that order.
    pub(crate) ready: VecDeque<ConnectionId>,
    pub(crate) backlog: usize,
    /// Half-open records.
    pub(crate) half_open: usize,
    pub(crate) generation: u32,
}

impl Listener {
    /// As Linux: full when more than `backlog` wait.
    pub(crate) fn is_accept_queue_full(&self) -> bool {
        self.ready.len() > self.backlog
    }
}
