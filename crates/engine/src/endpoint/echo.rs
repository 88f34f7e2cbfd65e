//! Answers to echo requests, so many a second.

use core::time::Duration;

use bytes::Bytes;
use towpath_wire::IpHeader;

use crate::connection::emit;
use crate::instant::Instant;
use crate::output::{Transmit, TransmitBody};

/// How many answers have left in the present second.
#[derive(Debug, Default)]
pub(crate) struct EchoLimit {
    second_began: Instant,
    answered: u32,
}

impl EchoLimit {
    /// Whether one more answer may leave.
    pub(crate) fn admit(&mut self, now: Instant, per_second: u32) -> bool {
        if now - self.second_began >= Duration::from_secs(1) {
            self.second_began = now;
            self.answered = 0;
        }
        let admitted = self.answered < per_second;
        self.answered += u32::from(admitted);
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
        let mut limit = EchoLimit::default();
        let admitted = |limit: &mut EchoLimit, millis| {
            (0..5).filter(|_| limit.admit(Instant::from_millis(millis), 3)).count()
        };
        assert_eq!(admitted(&mut limit, 10), 3);
        assert_eq!(admitted(&mut limit, 999), 0);
        assert_eq!(admitted(&mut limit, 1000), 3);
    }
}
