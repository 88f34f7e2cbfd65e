//! A listener: LISTEN of RFC 9293, with a bounded SYN queue and a bounded accept queue.

use std::collections::VecDeque;

use core::net::SocketAddr;

use crate::connection::options::SocketOptions;
use crate::event::ConnectionId;
use crate::instant::Instant;

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
    /// Of those, the ones whose SYN-ACK has not timed out.
    pub(crate) young: usize,
    /// When a SYN was last answered with a cookie.
    pub(crate) cookie_sent: Option<Instant>,
    pub(crate) generation: u32,
}

impl Listener {
    /// As Linux: full when more than `backlog` wait.
    pub(crate) fn is_accept_queue_full(&self) -> bool {
        self.ready.len() > self.backlog
    }
    /// As Linux: the backlog bounds both queues, each takes one more.
    pub(crate) fn is_syn_queue_full(&self) -> bool {
        self.half_open > self.backlog
    }

    /// How often a SYN-ACK is sent again. When records fill the queue, the old ones make room for
    /// the young: Linux's rule, which keeps half of the queue for those that have not timed out.
    // Implements: RFC4987 s3
    pub(crate) fn synack_retries(&self, most: u32) -> u32 {
        let mut retries = most;
        if self.half_open * 2 > self.backlog.max(8) {
            let mut young = self.young * 2;
            while retries > 2 && self.half_open >= young {
                retries -= 1;
                young *= 2;
            }
        }
        retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: RFC4987 s3
    #[test]
    fn old_records_are_given_up_earlier_the_fewer_young_ones_there_are() {
        let mut listener = Listener {
            local: "192.0.2.1:80".parse().unwrap(),
            options: SocketOptions::default(),
            ready: VecDeque::new(),
            backlog: 100,
            half_open: 0,
            young: 0,
            cookie_sent: None,
            generation: 0,
        };
        for (half_open, young, retries) in [
            (50, 0, 5),
            (51, 0, 2),
            (51, 51, 5),
            (80, 41, 5),
            (80, 40, 4),
            (80, 20, 3),
            (80, 10, 2),
            (80, 1, 2),
        ] {
            (listener.half_open, listener.young) = (half_open, young);
            assert_eq!(listener.synack_retries(5), retries, "{half_open} {young}");
            assert_eq!(listener.synack_retries(1), 1);
        }
    }
}
