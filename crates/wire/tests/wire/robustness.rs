//! Bytes that nobody would send: whatever they are, `parse` answers and stays inside them.

use crate::values::{V4, V6, ip_header, packet_bytes, payload, segment, segment_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;
use towpath_wire::icmp::{ErrorKind, IcmpMessage, emit_error, reportable};
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::tcp::{ChecksumState, Options, Segment};
use towpath_wire::{IpHeader, Malformed, Protocol};

/// Reads the bytes as everything they could be. With debug assertions and overflow checks on, as in
/// every test build, a slip in arithmetic is a panic as well.
fn read_as_everything(bytes: &[u8]) {
    for verify in [HeaderChecksum::Verify, HeaderChecksum::Trusted] {
        if let Ok(parsed) = IpHeader::parse(bytes, verify) {
            let upper = bytes.get(parsed.payload).expect("the payload lies inside the packet");
            read_upper(upper, parsed.header.src, parsed.header.dst);
        }
    }
    for (src, dst) in [V4, V6] {
        read_upper(bytes, src, dst);
        for kind in [ErrorKind::ProtocolUnreachable, ErrorKind::PacketTooBig { mtu: 68 }] {
            let error = emit_error(kind, bytes, src, dst);
            assert!(IcmpMessage::parse(&error, src, dst).is_ok());
        }
    }
    Options::parse(bytes);
    let _ = reportable(ErrorKind::PortUnreachable, bytes);
    let _ = reportable(ErrorKind::ParameterProblem { code: 2, pointer: 42 }, bytes);
    let _ = towpath_wire::icmp::complaint(bytes);
}

fn read_upper(upper: &[u8], src: IpAddr, dst: IpAddr) {
    for checksum in [ChecksumState::Verify, ChecksumState::Trusted] {
        if let Ok((segment, data_at)) = Segment::parse(upper, src, dst, checksum) {
            assert!((20..=60).contains(&data_at) && data_at <= upper.len());
            // What was read can be written, printed and measured.
            assert!(segment.header_len() <= 60);
            segment_bytes(&segment, (src, dst), &upper[data_at..]);
            segment.sequence_len(upper.len() - data_at);
            assert!(!segment.display(upper.len() - data_at).to_string().is_empty());
        }
    }
    let _ = IcmpMessage::parse(upper, src, dst);
}

/// A change to a packet: bytes overwritten, inserted, cut off.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let index = any::<prop::sample::Index>;
    // Small and extreme values are what lengths trip over.
    let byte = || prop_oneof![0u8..9, Just(127), Just(128), Just(254), Just(255), any::<u8>()];
    let mutation = prop_oneof![
        4 => (index(), byte()).prop_map(|(at, value)| Mutation::Set(at, value)),
        4 => (index(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => (index(), vec(byte(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => index().prop_map(Mutation::Cut),
    ];
    vec(mutation, 1..6)
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        match mutation {
            // Headers are where the checks are: most changes go to the first 100 bytes.
            Mutation::Set(at, value) => {
                let at = at.index(bytes.len().min(100));
                bytes[at] = *value;
            }
            Mutation::Flip(at, bit) => {
                let at = at.index(bytes.len().min(100));
                bytes[at] ^= 1 << bit;
            }
            Mutation::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Mutation::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

/// A chain of IPv6 extension headers that is nearly right.
fn extension_chain() -> impl Strategy<Value = Vec<u8>> {
    let kind = || prop_oneof![Just(0u8), Just(43), Just(44), Just(60), Just(6), any::<u8>()];
    let header = (kind(), 0u8..4, vec(prop_oneof![0u8..6, any::<u8>()], 6..32)).prop_map(
        |(next, units, mut rest)| {
            rest.resize(usize::from(units) * 8 + 6, 0);
            let mut bytes = vec![next, units];
            bytes.extend(rest);
            bytes
        },
    );
    (kind(), vec(header, 0..12)).prop_map(|(first, headers)| {
        let (_, dst) = V6;
        let header = IpHeader { protocol: Protocol(first), ..crate::values::tcp_header_to(V6) };
        assert_eq!(header.dst, dst);
        packet_bytes(&header, &headers.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        // Shows: H-14, H-17, H-53, H-55
        read_as_everything(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_version_are_read_without_panic(
        mut bytes in vec(any::<u8>(), 1..200), first in prop_oneof![0x45u8..=0x4F, Just(0x60)],
    ) {
        // Shows: H-14, H-17, H-53, H-54, H-55
        bytes[0] = first;
        let len = bytes.len() as u16;
        if let (0x45.., Some(field)) = (first, bytes.get_mut(2..4)) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        read_as_everything(&bytes);
    }

    #[test]
    fn mutated_packets_are_read_without_panic(
        header in ip_header(), segment in segment(), payload in payload(), changes in mutations(),
    ) {
        // Shows: H-12, H-13, H-14, H-16, H-17, H-18, H-20
        let header = IpHeader { protocol: Protocol::TCP, ..header };
        let upper = segment_bytes(&segment, (header.src, header.dst), &payload);
        read_as_everything(&mutate(packet_bytes(&header, &upper), &changes));
        read_as_everything(&mutate(upper, &changes));
    }

    #[test]
    fn mutated_errors_are_read_without_panic(
        segment in segment(), changes in mutations(), v4: bool,
    ) {
        // Shows: H-48
        let addresses = if v4 { V4 } else { V6 };
        let upper = segment_bytes(&segment, addresses, b"");
        let packet = packet_bytes(&crate::values::tcp_header_to(addresses), &upper);
        let quote = mutate(packet, &changes);
        // Emitted with a checksum that is right, so that the quote is reached.
        let too_big = ErrorKind::PacketTooBig { mtu: 1280 };
        let error = emit_error(too_big, &quote, addresses.0, addresses.1);
        let seen = IcmpMessage::parse(&error, addresses.0, addresses.1);
        let is_too_big = matches!(seen, Ok(IcmpMessage::PacketTooBig { mtu: 1280, .. }));
        prop_assert!(is_too_big);
        read_as_everything(&mutate(error, &changes));
    }

    #[test]
    fn chains_of_extension_headers_end(packet in extension_chain(), changes in mutations()) {
        // Shows: H-53
        if let Ok(parsed) = IpHeader::parse(&packet, HeaderChecksum::Verify) {
            prop_assert!(parsed.payload.start <= 40 + 256);
            prop_assert!(parsed.payload.end == packet.len());
        }
        read_as_everything(&mutate(packet, &changes));
    }
}

#[test]
fn a_packet_cut_at_any_byte_is_refused_or_read_inside() {
    // Shows: H-17
    for addresses in [V4, V6] {
        let upper = segment_bytes(&crate::values::plain_segment(), addresses, b"payload");
        let packet = packet_bytes(&crate::values::tcp_header_to(addresses), &upper);
        for len in 0..packet.len() {
            let seen = IpHeader::parse(&packet[..len], HeaderChecksum::Verify);
            let expected = if len < packet.len() - upper.len() {
                Malformed::Truncated
            } else {
                Malformed::TotalLength
            };
            assert_eq!(seen, Err(expected), "{len} bytes");
            read_as_everything(&packet[..len]);
        }
    }
}
