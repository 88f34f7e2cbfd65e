//! IP packets, made by our codec.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use towpath_wire::ip::Ecn;
use towpath_wire::tcp::{ChecksumEmit, Flags, Options, Segment};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::V4, Version::V6];

pub(crate) fn addresses(version: Version) -> (IpAddr, IpAddr) {
    match version {
        Version::V4 => (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into()),
        Version::V6 => {
            let address = |last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into();
            (address(1), address(2))
        }
    }
}

pub(crate) fn header(version: Version, ecn: Ecn) -> IpHeader {
    let (src, dst) = addresses(version);
    IpHeader {
        src,
        dst,
        protocol: Protocol::TCP,
        hop_limit: 64,
        dscp: 0b10_1110,
        ecn,
        identification: if version == Version::V4 { 0x1234 } else { 0 },
        dont_fragment: true,
        flow_label: if version == Version::V6 { 0xabcde } else { 0 },
    }
}

/// A segment with timestamps if there is room in what `seq` says, and text of a given length.
pub(crate) fn packet(version: Version, ecn: Ecn, flags: Flags, seq: u32, len: usize) -> Vec<u8> {
    let segment = Segment {
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNumber(seq),
        ack: SeqNumber(9),
        flags,
        window: 502,
        urgent: 0,
        options: Options { window_scale: (seq % 2 == 1).then_some(7), ..Options::default() },
    };
    let payload = vec![0x5a; len];
    let ip = header(version, ecn);
    let (ip_len, tcp_len) = (ip.header_len(), segment.header_len());
    let mut packet = vec![0; ip_len + tcp_len];
    ip.emit(tcp_len + len, &mut packet);
    let text = payload.as_slice();
    segment.emit(ip.src, ip.dst, [text], len, ChecksumEmit::Full, &mut packet[ip_len..]);
    packet.extend_from_slice(text);
    packet
}

pub(crate) fn pure_ack(version: Version, seq: u32) -> Vec<u8> {
    packet(version, Ecn::NotEct, Flags::ACK, seq, 0)
}

pub(crate) fn data(version: Version, ecn: Ecn, len: usize) -> Vec<u8> {
    packet(version, ecn, Flags::ACK | Flags::PSH, 1, len)
}
