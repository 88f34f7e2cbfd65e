//! The ICMP errors that we send: RFC 792, RFC 1122 section 3.2.2, RFC 4443 section 2.4.
//!
//! Owns their bytes, and which packets no host may answer with one. How many are sent is the
//! stack's to limit, and only it knows whether a packet came as a link-layer broadcast or to a
//! subnet's broadcast address.

use super::{HEADER_LEN, v4, v6, write};
use crate::ip::{HeaderChecksum, IpHeader, MIN_MTU_V6, Protocol};
use crate::ipv6::Purpose;
use crate::{ipv4, ipv6};
use std::net::{IpAddr, Ipv4Addr};

/// The longest ICMPv4 error, its IP header included: what RFC 1812 section 4.3.2.3 allows to quote
/// and every host can take.
pub const MAX_ERROR_V4: usize = 576;

/// The errors that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody listens on the (UDP) port.
    PortUnreachable,
    /// The upper protocol is not spoken here. In IPv6 a parameter problem that points at its
    /// number.
    ProtocolUnreachable,
    /// The packet does not fit the next link.
    PacketTooBig {
        /// What fits; IPv4 has 16 bits for it.
        mtu: u32,
    },
    /// The hop limit ran out.
    TimeExceeded,
    /// Fragments did not arrive in time.
    ReassemblyTimeExceeded,
    /// A field is wrong.
    ParameterProblem {
        /// What is wrong.
        code: u8,
        /// Where in the packet, in bytes; IPv4 has 8 bits for it.
        pointer: u32,
    },
}

/// The ICMP error for `original_packet` (from its IP header on), without an IP header of its own.
///
/// Quotes as much of the packet as fits 576 bytes (IPv4) or 1280 bytes (IPv6) with both headers.
/// The family is that of `src`, our address, and `dst`, the sender of the packet. Ask
/// [`reportable`] first.
// Implements: RFC791 s3.1c, RFC8200 s4b, RFC4443 s2.4a
pub fn emit_error(kind: ErrorKind, original_packet: &[u8], src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let (kind, code, word, longest) = match dst {
        IpAddr::V4(_) => {
            let (kind, code, word) = error_fields_v4(kind);
            (kind, code, word, MAX_ERROR_V4 - ipv4::HEADER_LEN)
        }
        IpAddr::V6(_) => {
            let (kind, code, word) = error_fields_v6(kind, original_packet);
            (kind, code, word.to_be_bytes(), MIN_MTU_V6 - ipv6::HEADER_LEN)
        }
    };
    let quote_len = original_packet.len().min(longest - HEADER_LEN);
    let mut message = vec![0; HEADER_LEN + quote_len];
    write(kind, code, word, &original_packet[..quote_len], src, dst, &mut message);
    message
}

/// The header of `original_packet`, if a host may answer it with this error at all.
///
/// It may not if the packet is an ICMP error itself, a fragment other than the first, comes from an
/// address that is not one host's, or goes to many. Two errors may answer an IPv6 multicast: "packet
/// too big", and the parameter problem of code 2 if the option type that it points at asks for it
/// with the top bits 10. An IPv6 packet may be reported that no receiver acts on, because of an
/// option or a routing header; one whose upper protocol cannot be found is not answered.
// Implements: RFC1122 s3.2.2, RFC4443 s2.4a, RFC8200 s4.2
pub fn reportable(kind: ErrorKind, original_packet: &[u8]) -> Option<IpHeader> {
    let original = match original_packet.first().map(|first| first >> 4) {
        Some(6) => ipv6::parse(original_packet, Purpose::Report),
        _ => IpHeader::parse(original_packet, HeaderChecksum::Trusted),
    };
    let original = original.ok()?;
    let IpHeader { src, dst, protocol, .. } = original.header;
    let later_fragment = original.fragment.is_some_and(|fragment| fragment.offset != 0);
    let many_may_be_answered = dst.is_ipv6()
        && match kind {
            ErrorKind::PacketTooBig { .. } => true,
            ErrorKind::ParameterProblem { code: v6::UNRECOGNIZED_OPTION, pointer } => {
                reports_even_to_many(original_packet, pointer)
            }
            _ => false,
        };
    let icmp_type = || original_packet.get(original.payload.start).copied();
    let about_an_error = match protocol {
        Protocol::ICMP => icmp_type() != Some(v4::ECHO_REQUEST),
        Protocol::ICMPV6 => {
            icmp_type().is_none_or(|kind| kind < v6::FIRST_INFORMATIONAL || kind == v6::REDIRECT)
        }
        _ => false,
    };
    let answered = !later_fragment
        && !about_an_error
        && is_one_host(src)
        && (!is_many_hosts(dst) || many_may_be_answered);
    answered.then_some(original.header)
}

/// Whether the IPv6 option type at `pointer` demands a report wherever the packet goes (RFC 8200
/// section 4.2, RFC 4443 section 2.4 e.3); the top bits 11 demand one only if it goes to one host.
fn reports_even_to_many(packet: &[u8], pointer: u32) -> bool {
    let option = usize::try_from(pointer).ok().and_then(|at| packet.get(at));
    option.is_some_and(|kind| kind >> 6 == 0b10)
}

fn is_one_host(src: IpAddr) -> bool {
    // RFC 1122 section 3.2.2: not zero, loopback, broadcast, multicast or class E.
    let reserved = match src {
        IpAddr::V4(src) => src.octets()[0] == 0 || src.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    };
    !(reserved || src.is_unspecified() || src.is_loopback() || src.is_multicast())
}

fn is_many_hosts(dst: IpAddr) -> bool {
    dst.is_multicast() || dst == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn error_fields_v4(kind: ErrorKind) -> (u8, u8, [u8; 4]) {
    match kind {
        ErrorKind::PortUnreachable => (v4::UNREACHABLE, 3, [0; 4]),
        ErrorKind::ProtocolUnreachable => (v4::UNREACHABLE, 2, [0; 4]),
        ErrorKind::PacketTooBig { mtu } => {
            let [a, b] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
            (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, [0, 0, a, b])
        }
        ErrorKind::TimeExceeded => (v4::TIME_EXCEEDED, 0, [0; 4]),
        ErrorKind::ReassemblyTimeExceeded => (v4::TIME_EXCEEDED, 1, [0; 4]),
        ErrorKind::ParameterProblem { code, pointer } => {
            let pointer = u8::try_from(pointer).unwrap_or(u8::MAX);
            (v4::PARAMETER_PROBLEM, code, [pointer, 0, 0, 0])
        }
    }
}

fn error_fields_v6(kind: ErrorKind, original_packet: &[u8]) -> (u8, u8, u32) {
    match kind {
        ErrorKind::PortUnreachable => (v6::UNREACHABLE, 4, 0),
        ErrorKind::ProtocolUnreachable => {
            let pointer = ipv6::upper_protocol_at(original_packet);
            (v6::PARAMETER_PROBLEM, v6::UNRECOGNIZED_NEXT_HEADER, pointer as u32)
        }
        ErrorKind::PacketTooBig { mtu } => (v6::PACKET_TOO_BIG, 0, mtu),
        ErrorKind::TimeExceeded => (v6::TIME_EXCEEDED, 0, 0),
        ErrorKind::ReassemblyTimeExceeded => (v6::TIME_EXCEEDED, 1, 0),
        ErrorKind::ParameterProblem { code, pointer } => (v6::PARAMETER_PROBLEM, code, pointer),
    }
}
