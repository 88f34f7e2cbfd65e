//! Answers to echo requests, so many a second.

use core::time::Duration;

use bytes::Bytes;
use towpath_wire::IpHeader;

use crate::connection::emit;
use crate::instant::Instant;
use crate::output::{Transmit, TransmitBody};

/// How many answers may leave in the present second.
#[derive(Debug)]
pub(crate) struct EchoLimit {
    per_second: u32,
    second_began: Instant,
    left: u32,
}

impl EchoLimit {
    pub(crate) fn new(per_second: u32) -> EchoLimit {
        EchoLimit { per_second, second_began: Instant::ZERO, left: per_second }
    }

    /// Whether one more answer may leave.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        if now - self.second_began >= Duration::from_secs(1) {
            self.second_began = now;
            self.left = self.per_second;
        }
        let admitted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admitted
    }
}

/// The answer: same identifier, number and data, from the address that was asked.
pub(crate) fn reply(request: &IpHeader, ttl: u8, ident: u16, seq: u16, data: Bytes) -> Transmit {
    // As Linux: an IPv4 echo asks about a class of service, too.
    let dscp = if request.src.is_ipv4() { request.dscp } else { 0 };
    Transmit {
        ip: IpHeader { dscp, ..emit::ip_header(request.dst, request.src, request.protocol, ttl) },
        body: TransmitBody::EchoReply { ident, seq, data },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        let mut limit = EchoLimit::new(3);
        let admitted = |limit: &mut EchoLimit, millis| {
            (0..5).filter(|_| limit.admit(Instant::from_millis(millis))).count()
        };
        assert_eq!(admitted(&mut limit, 10), 3);
        assert_eq!(admitted(&mut limit, 999), 0);
        assert_eq!(admitted(&mut limit, 1000), 3);
    }
}
