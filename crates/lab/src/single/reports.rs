//! ICMP errors about the engine's segments, as a router on the way or the peer's host sends them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use towpath_wire::checksum::{Sum, pseudo_header};
use towpath_wire::ip::Ecn;
use towpath_wire::{IpHeader, Protocol};

use super::Single;

/// An ICMP error: the fields of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The four bytes behind the checksum.
    pub rest: [u8; 4],
}

impl Report {
    /// A report of this type and code.
    pub fn new(kind: u8, code: u8) -> Report {
        Report { kind, code, rest: [0; 4] }
    }

    /// "Fragmentation needed" or "packet too big" of a router whose next link carries `mtu`.
    pub fn too_big(ipv6: bool, mtu: u32) -> Report {
        if ipv6 {
            return Report { kind: 2, code: 0, rest: mtu.to_be_bytes() };
        }
        let [_, _, high, low] = mtu.to_be_bytes();
        Report { kind: 3, code: 4, rest: [0, 0, high, low] }
    }
}

impl Single {
    /// A router reports about the engine's segment with the number `seq`, relative as always.
    pub fn report(&mut self, report: Report, seq: u32) {
        let bytes = self.report_bytes(report, seq);
        self.inject_bytes(&bytes);
    }

    /// The packet of such a report, to be changed before it is injected.
    pub fn report_bytes(&self, report: Report, seq: u32) -> Bytes {
        let ipv4 = self.local().is_ipv4();
        let ours = IpHeader {
            src: self.local().ip(),
            dst: self.peer().ip(),
            protocol: Protocol::TCP,
            hop_limit: 60,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        };
        // The least that a router quotes: the IP header, and eight bytes.
        let mut quoted = vec![0; ours.header_len() + 8];
        ours.emit(1480, &mut quoted);
        let at = ours.header_len();
        quoted[at..at + 2].copy_from_slice(&self.local().port().to_be_bytes());
        quoted[at + 2..at + 4].copy_from_slice(&self.peer().port().to_be_bytes());
        quoted[at + 4..at + 8].copy_from_slice(&self.own_number(seq).0.to_be_bytes());
        let router = IpHeader {
            src: if ipv4 {
                IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254))
            } else {
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe))
            },
            dst: self.local().ip(),
            protocol: if ipv4 { Protocol::ICMP } else { Protocol::ICMPV6 },
            ..ours
        };
        let mut message = vec![report.kind, report.code, 0, 0];
        message.extend_from_slice(&report.rest);
        message.extend_from_slice(&quoted);
        let sum = if ipv4 {
            Sum::new()
        } else {
            pseudo_header(router.src, router.dst, Protocol::ICMPV6, message.len() as u32)
        };
        let sum = sum.add_bytes(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0; router.header_len()];
        router.emit(message.len(), &mut packet);
        packet.extend_from_slice(&message);
        packet.into()
    }
}
