//! ICMP and ICMPv6: echo, the errors that arrive with a quote of ours, the errors that we send.

use crate::values::{
    V4, V6, hex, packet_bytes, payload, plain_segment, segment_bytes, tcp_header_to,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use towpath_wire::checksum::{Sum, pseudo_header};
use towpath_wire::icmp::{
    ErrorKind, IcmpMessage, MAX_ERROR_V4, Quoted, UnreachableCode, complaint, emit_error,
    reportable,
};
use towpath_wire::ip::{HeaderChecksum, MIN_MTU_V6};
use towpath_wire::{IpHeader, Malformed, Protocol, SeqNumber};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

type Addresses = (IpAddr, IpAddr);

/// A message with its checksum: type, code, the four bytes behind the checksum, and the rest.
fn message((src, dst): Addresses, kind: u8, code: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(word);
    bytes.extend(rest);
    let before = match dst {
        IpAddr::V4(_) => Sum::new(),
        IpAddr::V6(_) => pseudo_header(src, dst, Protocol::ICMPV6, bytes.len() as u32),
    };
    let checksum = before.add_bytes(&bytes).finish();
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn our_packet(addresses: Addresses) -> Vec<u8> {
    packet_bytes(&tcp_header_to(addresses), &segment_bytes(&plain_segment(), addresses, &[7; 1000]))
}

fn our_quote((src, dst): Addresses) -> Option<Quoted> {
    Some(Quoted {
        src,
        dst,
        protocol: Protocol::TCP,
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNumber(1000),
        total_length: our_packet((src, dst)).len(),
    })
}

#[test]
fn errors_of_both_families_name_their_reason_and_the_packet() {
    // Shows: RFC1191 s3
    let unreachable = |code, quoted| IcmpMessage::Unreachable { code, quoted };
    let (v4, v6) = (our_quote(V4), our_quote(V6));
    let mut rows = vec![
        (V4, 3, 0, 0, unreachable(UnreachableCode::Net, v4)),
        (V4, 3, 1, 0, unreachable(UnreachableCode::Host, v4)),
        (V4, 3, 2, 0, unreachable(UnreachableCode::Protocol, v4)),
        (V4, 3, 3, 0, unreachable(UnreachableCode::Port, v4)),
        (V4, 3, 5, 0, unreachable(UnreachableCode::SourceRouteFailed, v4)),
        (V4, 3, 9, 0, unreachable(UnreachableCode::NetProhibited, v4)),
        (V4, 3, 10, 0, unreachable(UnreachableCode::HostProhibited, v4)),
        (V4, 3, 13, 0, unreachable(UnreachableCode::AdminProhibited, v4)),
        (V4, 3, 7, 0, unreachable(UnreachableCode::Other(7), v4)),
        (V6, 1, 0, 0, unreachable(UnreachableCode::NoRoute, v6)),
        (V6, 1, 1, 0, unreachable(UnreachableCode::AdminProhibited, v6)),
        (V6, 1, 2, 0, unreachable(UnreachableCode::BeyondScope, v6)),
        (V6, 1, 3, 0, unreachable(UnreachableCode::AddressUnreachable, v6)),
        (V6, 1, 4, 0, unreachable(UnreachableCode::Port, v6)),
        (V6, 1, 5, 0, unreachable(UnreachableCode::SourcePolicy, v6)),
        (V6, 1, 6, 0, unreachable(UnreachableCode::RejectRoute, v6)),
        (V6, 1, 7, 0, unreachable(UnreachableCode::Other(7), v6)),
        (V4, 3, 4, 1300, IcmpMessage::PacketTooBig { mtu: 1300, quoted: v4 }),
        (V4, 3, 4, 0, IcmpMessage::PacketTooBig { mtu: 0, quoted: v4 }),
        // The half of the word that is unused in IPv4 is no part of the MTU.
        (V4, 3, 4, 0x0102_0514, IcmpMessage::PacketTooBig { mtu: 0x514, quoted: v4 }),
        (V6, 2, 0, 0x0102_0514, IcmpMessage::PacketTooBig { mtu: 0x0102_0514, quoted: v6 }),
        (V4, 11, 0, 0, IcmpMessage::TimeExceeded { code: 0, quoted: v4 }),
        (V6, 3, 1, 0, IcmpMessage::TimeExceeded { code: 1, quoted: v6 }),
        (V6, 4, 1, 40, IcmpMessage::ParameterProblem { code: 1, pointer: 40, quoted: v6 }),
    ];
    let pointer = u32::from_be_bytes([20, 0, 0, 0]);
    rows.push((
        V4,
        12,
        0,
        pointer,
        IcmpMessage::ParameterProblem { code: 0, pointer: 20, quoted: v4 },
    ));
    for (addresses, kind, code, word, expected) in rows {
        // From a router to us.
        let (router, us) = (addresses.1, addresses.0);
        let quote = &our_packet(addresses)[..500];
        let bytes = message((router, us), kind, code, u32::to_be_bytes(word), quote);
        assert_eq!(IcmpMessage::parse(&bytes, router, us), Ok(expected), "type {kind} code {code}");
    }
}

#[test]
fn deprecated_and_unknown_types_are_only_named() {
    // Shows: RFC6633, RFC6918, RFC4443 s2.2, RFC1122 s3.2.2.7
    for (addresses, known) in
        [(V4, [0, 3, 8, 11, 12].as_slice()), (V6, [1, 2, 3, 4, 128, 129].as_slice())]
    {
        for kind in (0..=255u8).filter(|kind| !known.contains(kind)) {
            let bytes = message(addresses, kind, 9, [1; 4], &[1; 60]);
            let seen = IcmpMessage::parse(&bytes, addresses.0, addresses.1);
            assert_eq!(seen, Ok(IcmpMessage::Other { kind, code: 9 }));
        }
    }
}

#[test]
fn a_message_that_is_too_short_is_refused() {
    for addresses in [V4, V6] {
        let bytes = message(addresses, 8, 0, [0; 4], &[]);
        for len in 0..8 {
            let seen = IcmpMessage::parse(&bytes[..len], addresses.0, addresses.1);
            assert_eq!(seen, Err(Malformed::IcmpLength), "{len} bytes");
        }
        assert!(IcmpMessage::parse(&bytes, addresses.0, addresses.1).is_ok());
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    // Shows: RFC4443 cksum
    for addresses in [V4, V6] {
        let bytes = message(addresses, 128, 0, [1, 2, 3, 4], b"odd");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let seen = IcmpMessage::parse(&flipped, addresses.0, addresses.1);
            assert_eq!(seen, Err(Malformed::Checksum), "bit {bit}");
        }
    }
    let bytes = message(V6, 128, 0, [1, 2, 3, 4], b"odd");
    assert_eq!(
        IcmpMessage::parse(&bytes, V6.0, V6.0),
        Err(Malformed::Checksum),
        "the pseudo-header is in the sum of ICMPv6"
    );
}

#[test]
fn a_quote_needs_eight_bytes_of_transport() {
    // Shows: H-48
    for (addresses, header_len) in [(V4, 20), (V6, 40)] {
        let (src, dst) = addresses;
        let kind = if src.is_ipv4() { 11 } else { 3 };
        for len in 0..header_len + 30 {
            let bytes = message(addresses, kind, 0, [0; 4], &our_packet(addresses)[..len]);
            let expected = if len < header_len + 8 { None } else { our_quote(addresses) };
            assert_eq!(
                IcmpMessage::parse(&bytes, src, dst),
                Ok(IcmpMessage::TimeExceeded { code: 0, quoted: expected }),
                "{len} bytes"
            );
        }
    }
}

#[test]
fn a_forged_quote_is_none() {
    // Shows: H-48
    let v4 = |at: usize, value: u8| {
        let mut packet = our_packet(V4);
        packet[at] = value;
        (V4, 11, packet)
    };
    let mut wrong_version = our_packet(V6);
    wrong_version[0] = 0x40;
    let mut in_pieces = our_packet(V6);
    in_pieces[6] = 44;
    in_pieces[40..48].copy_from_slice(&[6, 0, 0, 1, 0, 0, 0, 0]);
    let mut endless = our_packet(V6);
    endless[6] = 60;
    endless[40..48].copy_from_slice(&[60, 255, 0, 0, 0, 0, 0, 0]);
    let rows = [
        ("IPv4 of another version", v4(0, 0x65)),
        ("IPv4 header below 20 bytes", v4(0, 0x44)),
        ("IPv4 first fragment", v4(6, 0x20)),
        ("IPv4 later fragment", v4(7, 1)),
        ("IPv6 of another version", (V6, 3, wrong_version)),
        ("IPv6 fragment", (V6, 3, in_pieces)),
        ("IPv6 extension header past the end", (V6, 3, endless)),
        ("an IPv6 packet in ICMPv4", (V4, 11, our_packet(V6))),
        ("an IPv4 packet in ICMPv6", (V6, 3, our_packet(V4))),
    ];
    for (name, (addresses, kind, quote)) in rows {
        let bytes = message(addresses, kind, 0, [0; 4], &quote);
        assert_eq!(
            IcmpMessage::parse(&bytes, addresses.0, addresses.1),
            Ok(IcmpMessage::TimeExceeded { code: 0, quoted: None }),
            "{name}"
        );
    }
}

#[test]
fn a_quote_is_read_behind_options_and_extension_headers() {
    let mut with_options = our_packet(V4);
    with_options.splice(20..20, [1, 1, 1, 1]);
    with_options[0] = 0x46;
    let mut with_extension = our_packet(V6);
    with_extension.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    with_extension[6] = 60;
    for (addresses, kind, quote) in [(V4, 11, with_options), (V6, 3, with_extension)] {
        let bytes = message(addresses, kind, 0, [0; 4], &quote);
        assert_eq!(
            IcmpMessage::parse(&bytes, addresses.0, addresses.1),
            Ok(IcmpMessage::TimeExceeded { code: 0, quoted: our_quote(addresses) }),
        );
    }
}

#[test]
fn the_errors_that_we_send_carry_their_fields() {
    // Shows: RFC791 s3.1c, RFC8200 s4b
    // The packet came from a peer to us; the error goes back.
    let both = [
        (ErrorKind::PortUnreachable, "0303", "00000000", "0104", "00000000"),
        (ErrorKind::ProtocolUnreachable, "0302", "00000000", "0401", "00000006"),
        (ErrorKind::PacketTooBig { mtu: 1400 }, "0304", "00000578", "0200", "00000578"),
        (ErrorKind::PacketTooBig { mtu: 70_000 }, "0304", "0000ffff", "0200", "00011170"),
        (ErrorKind::TimeExceeded, "0b00", "00000000", "0300", "00000000"),
        (ErrorKind::ReassemblyTimeExceeded, "0b01", "00000000", "0301", "00000000"),
        (
            ErrorKind::ParameterProblem { code: 2, pointer: 41 },
            "0c02",
            "29000000",
            "0402",
            "00000029",
        ),
    ];
    for (kind, v4_type, v4_word, v6_type, v6_word) in both {
        for (addresses, expected, word) in [(V4, v4_type, v4_word), (V6, v6_type, v6_word)] {
            let (peer, us) = addresses;
            let bytes = emit_error(kind, &our_packet(addresses), us, peer);
            assert_eq!(bytes[..2], hex(expected), "{kind:?}");
            assert_eq!(bytes[4..8], hex(word), "{kind:?}");
            assert!(IcmpMessage::parse(&bytes, us, peer).is_ok(), "{kind:?} has its checksum");
        }
    }
}

#[test]
fn an_unrecognized_next_header_is_pointed_at_behind_extension_headers() {
    // Shows: RFC8200 s4b
    let mut packet = our_packet(V6);
    packet.splice(40..40, [200, 0, 1, 4, 0, 0, 0, 0]);
    let payload_len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    packet[6] = 60;
    let bytes = emit_error(ErrorKind::ProtocolUnreachable, &packet, V6.1, V6.0);
    assert_eq!(bytes[4..8], [0, 0, 0, 40]);
}

#[test]
fn an_error_quotes_as_much_as_fits() {
    // Shows: RFC4443 s2.4a, RFC1122 s3.2.2b
    for (addresses, header_len, longest) in [(V4, 20, MAX_ERROR_V4), (V6, 40, MIN_MTU_V6)] {
        let (peer, us) = addresses;
        for len in [header_len, header_len + 20, 500, 548, 549, 1232, 1233, 1500, 60_000] {
            let mut packet = our_packet(addresses);
            packet.resize(len, 7);
            let bytes = emit_error(ErrorKind::PortUnreachable, &packet, us, peer);
            let expected = len.min(longest - header_len - 8);
            assert_eq!(bytes[8..], packet[..expected], "{len} bytes");
        }
    }
}

#[test]
fn our_errors_are_read_by_ourselves() {
    for addresses in [V4, V6] {
        let (peer, us) = addresses;
        let kind = ErrorKind::PacketTooBig { mtu: 1280 };
        let bytes = emit_error(kind, &our_packet(addresses), us, peer);
        let expected = IcmpMessage::PacketTooBig { mtu: 1280, quoted: our_quote(addresses) };
        assert_eq!(IcmpMessage::parse(&bytes, us, peer), Ok(expected));
    }
}

#[test]
fn some_packets_are_never_answered_with_an_error() {
    // Shows: RFC4443 s2.4a, RFC1122 s3.2.2
    let v4 = |src: [u8; 4], dst: [u8; 4]| {
        tcp_header_to((IpAddr::V4(Ipv4Addr::from(src)), IpAddr::V4(Ipv4Addr::from(dst))))
    };
    let v6 = |src: &str, dst: &str| {
        let address = |text: &str| IpAddr::V6(text.parse::<Ipv6Addr>().expect("an address"));
        tcp_header_to((address(src), address(dst)))
    };
    let icmp = |addresses, protocol, kind| {
        let header = IpHeader { protocol, ..tcp_header_to(addresses) };
        packet_bytes(&header, &[kind, 0, 0, 0, 0, 0, 0, 0])
    };
    let tcp = |header: IpHeader| packet_bytes(&header, &[7; 20]);
    let peer = [10, 0, 0, 1];
    let mut first_piece = packet_bytes(&tcp_header_to(V4), &[7; 24]);
    first_piece[6] = 0x20;
    let mut later_piece = first_piece.clone();
    later_piece[7] = 3;

    let port = ErrorKind::PortUnreachable;
    let too_big = ErrorKind::PacketTooBig { mtu: 1280 };
    let option = ErrorKind::ParameterProblem { code: 2, pointer: 42 };
    let rows = [
        ("a plain packet", port, tcp(tcp_header_to(V4)), true),
        ("a plain IPv6 packet", port, tcp(tcp_header_to(V6)), true),
        ("the first fragment", port, first_piece, true),
        ("a later fragment", port, later_piece, false),
        ("an echo request", port, icmp(V4, Protocol::ICMP, 8), true),
        ("an ICMP error", port, icmp(V4, Protocol::ICMP, 3), false),
        ("an ICMP redirect", port, icmp(V4, Protocol::ICMP, 5), false),
        ("an ICMPv6 echo request", port, icmp(V6, Protocol::ICMPV6, 128), true),
        ("an ICMPv6 error", port, icmp(V6, Protocol::ICMPV6, 1), false),
        ("an unknown ICMPv6 error", port, icmp(V6, Protocol::ICMPV6, 127), false),
        ("an ICMPv6 redirect", port, icmp(V6, Protocol::ICMPV6, 137), false),
        ("to a multicast group", port, tcp(v4(peer, [224, 0, 0, 1])), false),
        ("too big for a multicast group, IPv4", too_big, tcp(v4(peer, [224, 0, 0, 1])), false),
        ("to broadcast", port, tcp(v4(peer, [255; 4])), false),
        ("from zero", port, tcp(v4([0; 4], peer)), false),
        ("from net zero", port, tcp(v4([0, 1, 2, 3], peer)), false),
        ("from loopback", port, tcp(v4([127, 0, 0, 1], peer)), false),
        ("from a multicast group", port, tcp(v4([224, 0, 0, 1], peer)), false),
        ("from class E", port, tcp(v4([240, 0, 0, 1], peer)), false),
        ("from broadcast", port, tcp(v4([255; 4], peer)), false),
        ("to an IPv6 group", port, tcp(v6("2001:db8::1", "ff02::1")), false),
        ("too big for an IPv6 group", too_big, tcp(v6("2001:db8::1", "ff02::1")), true),
        (
            "an option that is none, to an IPv6 group",
            option,
            tcp(v6("2001:db8::1", "ff02::1")),
            false,
        ),
        ("too big, from nowhere", too_big, tcp(v6("::", "ff02::1")), false),
        ("from an IPv6 group", port, tcp(v6("ff02::1", "2001:db8::1")), false),
        ("garbage", port, vec![0; 40], false),
        ("nothing", port, vec![], false),
    ];
    for (name, kind, packet, expected) in rows {
        assert_eq!(reportable(kind, &packet).is_some(), expected, "{name}");
    }
}

#[test]
fn an_unknown_option_to_a_group_is_reported_if_its_type_asks_for_it() {
    // Shows: RFC8200 s4.2, RFC4443 s2.4a
    let one = V6.1;
    let many = IpAddr::V6("ff02::1".parse().expect("an address"));
    let option = |pointer| ErrorKind::ParameterProblem { code: 2, pointer };
    // Where the option's type stands.
    let at = 42;
    for (kind, to_many) in [(0x9e, true), (0xbf, true), (0xde, false)] {
        for first in [HOP_BY_HOP, DESTINATION] {
            for (dst, expected) in [(one, true), (many, to_many)] {
                let about = |upper, rest: &[u8]| {
                    let header =
                        IpHeader { protocol: Protocol(first), ..tcp_header_to((V6.0, dst)) };
                    let extension = [upper, 0, kind, 4, 1, 2, 3, 4];
                    packet_bytes(&header, &[&extension, rest].concat())
                };
                let packet = about(6, &[7; 20]);
                assert_eq!(complaint(&packet), Some(option(at)));
                let name = format!("option {kind:#x} behind {first} to {dst}");
                assert_eq!(reportable(option(at), &packet).is_some(), expected, "{name}");

                let to_a_group = dst == many;
                // What the pointer names decides: here a length, payload, and nothing twice.
                for pointer in [at + 1, at + 20, 1 << 20, u32::MAX] {
                    let seen = reportable(option(pointer), &packet).is_some();
                    assert_eq!(seen, !to_a_group, "{name}, pointer {pointer}");
                }
                // Code 1 has no such leave, nor has an error about an error.
                let code_1 = ErrorKind::ParameterProblem { code: 1, pointer: at };
                assert_eq!(reportable(code_1, &packet).is_some(), !to_a_group, "{name}");
                assert!(
                    reportable(option(at), &about(58, &[1, 0, 0, 0, 0, 0, 0, 0])).is_none(),
                    "{name}"
                );
                assert!(
                    reportable(option(at), &about(HOP_BY_HOP, &[])).is_none(),
                    "{name}: cut short"
                );
            }
        }
    }
}

#[test]
fn what_makes_an_ipv6_packet_unfit_to_receive_does_not_hide_what_it_is() {
    // Shows: RFC8200 s4.4, RFC8200 s4a
    let parameter = |code, pointer| ErrorKind::ParameterProblem { code, pointer };
    let with = |first, body: &[u8]| {
        packet_bytes(&IpHeader { protocol: Protocol(first), ..tcp_header_to(V6) }, body)
    };
    let tcp = [7; 8];
    let rows = [
        (
            "an unknown routing type with segments left",
            parameter(0, 42),
            with(ROUTING, &[&[6, 0, 99, 1, 0, 0, 0, 0], &tcp[..]].concat()),
            true,
        ),
        (
            "the same before an ICMPv6 error",
            parameter(0, 42),
            with(ROUTING, &[58, 0, 99, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
            false,
        ),
        (
            "hop by hop in the wrong place",
            parameter(1, 40),
            with(
                DESTINATION,
                &[&[0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0], &tcp[..]].concat(),
            ),
            true,
        ),
        (
            "a first fragment of 9 bytes",
            parameter(0, 4),
            with(FRAGMENT, &[6, 0, 0, 1, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7]),
            true,
        ),
        (
            "a later fragment of 9 bytes",
            parameter(0, 4),
            with(FRAGMENT, &[6, 0, 0, 9, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7]),
            false,
        ),
    ];
    for (name, kind, packet, expected) in rows {
        assert!(IpHeader::parse(&packet, HeaderChecksum::Verify).is_err(), "{name}");
        assert_eq!(complaint(&packet), Some(kind), "{name}");
        assert_eq!(reportable(kind, &packet).is_some(), expected, "{name}");
    }
}

#[test]
fn only_echo_is_emitted_from_a_message() {
    let error = IcmpMessage::TimeExceeded { code: 0, quoted: None };
    let mut buffer = [0xA5; 8];
    error.emit(V4.0, V4.1, &mut buffer);
    assert_eq!((error.emit_len(), buffer), (0, [0xA5; 8]));
}

proptest! {
    #[test]
    fn an_echo_comes_back_as_it_was(
        ident: u16, seq: u16, data in payload(), v4: bool, reply: bool,
    ) {
        // Shows: RFC792 echo, RFC4443 cksum
        let (src, dst) = if v4 { V4 } else { V6 };
        let data = data.as_slice();
        let echo = if reply {
            IcmpMessage::EchoReply { ident, seq, data }
        } else {
            IcmpMessage::EchoRequest { ident, seq, data }
        };
        let mut bytes = vec![0xA5; echo.emit_len()];
        echo.emit(src, dst, &mut bytes);
        prop_assert_eq!(IcmpMessage::parse(&bytes, src, dst), Ok(echo));
        if v4 && bytes.len().is_multiple_of(2) {
            let view = pnet_packet::icmp::IcmpPacket::new(&bytes).expect("a header");
            prop_assert_eq!(view.get_checksum(), pnet_packet::icmp::checksum(&view));
        }
    }
}

#[test]
fn a_host_complains_of_udp_and_of_protocols_that_it_does_not_speak() {
    // Shows: RFC791 s3.1c, RFC4443 s3.1, RFC8200 s4b
    let with = |addresses, protocol, body: &[u8]| {
        packet_bytes(&IpHeader { protocol: Protocol(protocol), ..tcp_header_to(addresses) }, body)
    };
    let port = Some(ErrorKind::PortUnreachable);
    let protocol = Some(ErrorKind::ProtocolUnreachable);
    let udp = |addresses: (IpAddr, IpAddr), len: u8| {
        let mut datagram = [0, 53, 1, 0, 0, len, 0, 0, b'h', b'i'];
        let sum = towpath_wire::checksum::pseudo_header(
            addresses.0,
            addresses.1,
            Protocol::UDP,
            len.into(),
        );
        let sum = sum.add_bytes(&datagram[..usize::from(len).min(10)]).finish();
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        datagram
    };
    let damaged = |addresses| {
        let mut datagram = udp(addresses, 10);
        datagram[9] ^= 1;
        datagram
    };
    let unsummed = [0, 53, 1, 0, 0, 10, 0, 0, b'h', b'i'];
    let rows = [
        ("UDP", with(V4, 17, &udp(V4, 10)), port),
        ("UDP with padding", with(V4, 17, &udp(V4, 9)), port),
        ("UDP, IPv6", with(V6, 17, &udp(V6, 10)), port),
        ("UDP without checksum", with(V4, 17, &unsummed), port),
        ("UDP without checksum, IPv6", with(V6, 17, &unsummed), None),
        ("damaged UDP", with(V4, 17, &damaged(V4)), None),
        ("damaged UDP, IPv6", with(V6, 17, &damaged(V6)), None),
        ("UDP that is too long", with(V4, 17, &udp(V4, 11)), None),
        ("UDP that is too short", with(V4, 17, &udp(V4, 7)), None),
        ("half a UDP header", with(V4, 17, &[0; 4]), None),
        ("SCTP", with(V4, 132, &[7; 20]), protocol),
        ("SCTP, IPv6", with(V6, 132, &[7; 20]), protocol),
        ("ICMPv6 in IPv4", with(V4, 58, &[128, 0, 0, 0, 0, 0, 0, 0]), protocol),
        ("ICMP in IPv6", with(V6, 1, &[8, 0, 0, 0, 0, 0, 0, 0]), protocol),
        ("TCP", with(V4, 6, &[7; 20]), None),
        ("ICMP", with(V4, 1, &[8, 0, 0, 0, 0, 0, 0, 0]), None),
        ("ICMPv6", with(V6, 58, &[128, 0, 0, 0, 0, 0, 0, 0]), None),
        ("no next header", with(V6, 59, &[]), None),
        ("an option to be dropped in silence", with(V6, 60, &[6, 0, 0x5e, 4, 0, 0, 0, 0]), None),
        ("a cut extension header", with(V6, 60, &[6, 3, 1, 4, 0, 0, 0, 0]), None),
        ("garbage", vec![0; 40], None),
    ];
    for (name, packet, expected) in rows {
        assert_eq!(complaint(&packet), expected, "{name}");
    }
    let route = [&[6, 0, 0, 1, 0, 0, 0, 0][..], &[7; 20]].concat();
    let pointed = Some(ErrorKind::ParameterProblem { code: 0, pointer: 42 });
    assert_eq!(complaint(&with(V6, ROUTING, &route)), pointed, "a routing header of type 0");
}
