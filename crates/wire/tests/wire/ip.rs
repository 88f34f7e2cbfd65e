//! IPv4 and IPv6 headers: length checks, options, extension headers, fragments, round trips.

use crate::values::{V4, V6, hex, ip_header, packet_bytes, tcp_header_to};
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use proptest::prelude::*;
use std::net::IpAddr;
use towpath_wire::checksum::Sum;
use towpath_wire::ip::{Ecn, Fragment, HeaderChecksum, ParsedIp};
use towpath_wire::ipv6::{MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS};
use towpath_wire::{IpHeader, Malformed, Protocol};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

fn parse(packet: &[u8]) -> Result<ParsedIp, Malformed> {
    IpHeader::parse(packet, HeaderChecksum::Verify)
}

fn fix_checksum(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0xF) * 4;
    packet[10..12].fill(0);
    let checksum = Sum::new().add_bytes(&packet[..header_len]).finish();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// An IPv4 packet with these options (a multiple of 4 bytes) and a payload of 8 bytes.
fn v4_with_options(options: &[u8]) -> Vec<u8> {
    let mut packet = packet_bytes(&tcp_header_to(V4), &[7; 8]);
    packet.splice(20..20, options.iter().copied());
    packet[0] = 0x45 + (options.len() / 4) as u8;
    packet[3] += options.len() as u8;
    fix_checksum(&mut packet);
    packet
}

/// An IPv4 fragment with a payload of `len` bytes.
fn v4_fragment(offset_units: u16, more: bool, len: usize) -> Vec<u8> {
    let header = IpHeader { identification: 0xABCD, ..tcp_header_to(V4) };
    let mut packet = packet_bytes(&header, &vec![7; len]);
    let field = offset_units | if more { 0x2000 } else { 0 };
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    fix_checksum(&mut packet);
    packet
}

/// An IPv6 packet whose first next header is `first`; `body` is everything behind the IPv6 header.
fn v6_with_body(first: u8, body: &[u8]) -> Vec<u8> {
    packet_bytes(&IpHeader { protocol: Protocol(first), ..tcp_header_to(V6) }, body)
}

/// A chain of the given headers and behind it 8 bytes of TCP. A header is its kind and its bytes
/// without the next header field, which is filled in here.
fn v6_chain(headers: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (index, (_, bytes)) in headers.iter().enumerate() {
        body.push(headers.get(index + 1).map_or(6, |(kind, _)| *kind));
        body.extend(bytes);
    }
    body.extend([7; 8]);
    v6_with_body(headers.first().map_or(6, |(kind, _)| *kind), &body)
}

/// An options header of `units` times 8 bytes: padding all through.
fn options_of(units: usize) -> Vec<u8> {
    let mut bytes = vec![(units - 1) as u8];
    bytes.resize(units * 8 - 1, 0);
    bytes
}

fn options_holding(options: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(hex(options));
    assert_eq!(bytes.len() % 8, 7, "an options header is a multiple of 8 bytes");
    bytes[0] = (bytes.len() / 8) as u8;
    bytes
}

fn routing(kind: u8, segments_left: u8) -> Vec<u8> {
    vec![0, kind, segments_left, 0, 0, 0, 0]
}

fn fragment_header(field: u16) -> Vec<u8> {
    let [a, b] = field.to_be_bytes();
    vec![0, a, b, 1, 2, 3, 4]
}

#[test]
fn only_versions_four_and_six_are_read() {
    for version in 0..16u8 {
        let mut packet = packet_bytes(&tcp_header_to(if version == 6 { V6 } else { V4 }), &[]);
        packet[0] = version << 4 | packet[0] & 0xF;
        let seen = IpHeader::parse(&packet, HeaderChecksum::Trusted).map(|seen| seen.header.src);
        let expected = match version {
            4 => Ok(V4.0),
            6 => Ok(V6.0),
            _ => Err(Malformed::IpVersion),
        };
        assert_eq!(seen, expected, "version {version}");
    }
    assert_eq!(parse(&[]), Err(Malformed::Truncated));
}

#[test]
fn an_ipv4_header_must_fit_the_total_length_and_that_the_packet() {
    // Shows: RFC791 s3.1a, H-17
    for total_len in 0..80u16 {
        for words in 0..=15u8 {
            let mut packet = vec![0; 64];
            packet[..20].copy_from_slice(&packet_bytes(&tcp_header_to(V4), &[]));
            packet[0] = 0x40 | words;
            packet[2..4].copy_from_slice(&total_len.to_be_bytes());
            let header_len = u16::from(words) * 4;
            let seen = IpHeader::parse(&packet, HeaderChecksum::Trusted);
            if total_len > 64 {
                assert_eq!(seen, Err(Malformed::TotalLength), "{words} {total_len}");
            } else if header_len < 20 || header_len > total_len {
                assert_eq!(seen, Err(Malformed::HeaderLength), "{words} {total_len}");
            } else {
                let parsed = seen.expect("the lengths fit");
                let expected = usize::from(header_len)..usize::from(total_len);
                assert_eq!(parsed.payload, expected, "{words} {total_len}");
                assert_eq!(parsed.has_options, words > 5);
            }
        }
    }
}

#[test]
fn a_header_that_ends_early_is_refused() {
    // Shows: RFC791 s3.1a, RFC8200 s3
    for (addresses, header_len) in [(V4, 20), (V6, 40)] {
        let packet = packet_bytes(&tcp_header_to(addresses), &[]);
        for len in 1..header_len {
            assert_eq!(parse(&packet[..len]), Err(Malformed::Truncated), "{len} bytes");
        }
        assert!(parse(&packet).is_ok());
    }
}

#[test]
fn padding_behind_the_announced_length_is_outside_the_payload() {
    // Shows: RFC791 s3.1a
    for (addresses, header_len) in [(V4, 20), (V6, 40)] {
        let mut packet = packet_bytes(&tcp_header_to(addresses), &[7; 10]);
        packet.resize(header_len + 60, 0xEE);
        assert_eq!(parse(&packet).map(|seen| seen.payload), Ok(header_len..header_len + 10));
    }
}

#[test]
fn an_announced_length_beyond_the_packet_is_refused() {
    // Shows: RFC791 s3.1a, RFC8200 s3, H-17
    for addresses in [V4, V6] {
        let packet = packet_bytes(&tcp_header_to(addresses), &[7; 10]);
        assert_eq!(parse(&packet[..packet.len() - 1]), Err(Malformed::TotalLength));
    }
}

#[test]
fn an_ipv6_payload_length_of_zero_leaves_no_upper_layer() {
    // Shows: RFC8200 s3
    let mut packet = packet_bytes(&tcp_header_to(V6), &[7; 40]);
    packet[4..6].fill(0);
    assert_eq!(parse(&packet).map(|seen| seen.payload), Ok(40..40));
}

#[test]
fn every_flipped_bit_of_an_ipv4_header_is_noticed() {
    // Shows: RFC791 s3.1b
    let packet = v4_with_options(&[1, 1, 1, 0]);
    assert!(parse(&packet).is_ok());
    for bit in 0..24 * 8 {
        let mut flipped = packet.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&flipped).is_err(), "bit {bit}");
    }
    let mut flipped = packet;
    flipped[8] ^= 1;
    assert_eq!(parse(&flipped), Err(Malformed::HeaderChecksum));
    assert!(IpHeader::parse(&flipped, HeaderChecksum::Trusted).is_ok());
}

#[test]
fn ipv4_options_are_walked_by_their_lengths() {
    // Shows: RFC791 s3.1d, RFC1122 s3.2.1.8, H-54, 9293 MUST-50, 9293 MAY-10, 9293 MAY-11
    let refused = Err(Malformed::Ipv4Options);
    let rows: [(&str, &str, Result<bool, Malformed>); 16] = [
        ("no-operations and end", "01010100", Ok(false)),
        ("one that nobody knows", "de04abcd", Ok(false)),
        ("timestamp", "44080500 00000000", Ok(false)),
        ("record route", "07070400 00000000", Ok(false)),
        ("loose source route", "83070400 00000000", Ok(true)),
        ("strict source route", "89070400 00000000", Ok(true)),
        ("two loose source routes", "83030483 03040000", Ok(true)),
        ("source route behind another option", "01440404 00830304", Ok(true)),
        ("source route behind the end", "00830300", Ok(false)),
        ("no-operation, then a source route", "01830304", Ok(true)),
        ("length 0", "07000000", refused),
        ("length 1", "07010000", refused),
        ("length 255", "07ff0000", refused),
        ("one byte past the end", "07050000", refused),
        ("the kind is the last byte", "01010107", refused),
        ("two source routes, the second malformed", "83030483 00000000", refused),
    ];
    for (name, options, expected) in rows {
        let seen = parse(&v4_with_options(&hex(options))).map(|parsed| {
            assert!(parsed.has_options);
            parsed.source_routed
        });
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn an_ipv4_fragment_tells_its_place() {
    // Shows: RFC791 s3.2a, RFC6864 s4.1
    let place = |offset, more| Some(Fragment { offset, more, identification: 0xABCD });
    let rows = [
        ("whole", v4_fragment(0, false, 11), None),
        ("first", v4_fragment(0, true, 16), place(0, true)),
        ("middle", v4_fragment(2, true, 8), place(16, true)),
        ("last", v4_fragment(185, false, 5), place(1480, false)),
    ];
    for (name, packet, expected) in rows {
        assert_eq!(parse(&packet).map(|seen| seen.fragment), Ok(expected), "{name}");
    }
}

#[test]
fn a_fragment_that_cannot_be_is_refused() {
    // Shows: RFC791 s3.2a, RFC8200 s4.5b, H-55
    let rows: [(&str, Vec<u8>, Result<(), Malformed>); 9] = [
        ("not a multiple of 8", v4_fragment(0, true, 15), Err(Malformed::FragmentLength)),
        ("empty first", v4_fragment(0, true, 0), Err(Malformed::FragmentLength)),
        ("empty last", v4_fragment(1, false, 0), Err(Malformed::FragmentLength)),
        ("up to 65,535 with the header", v4_fragment(8188, false, 11), Ok(())),
        ("one byte beyond", v4_fragment(8188, false, 12), Err(Malformed::FragmentOffset)),
        ("ping of death", v4_fragment(8191, false, 1480), Err(Malformed::FragmentOffset)),
        ("IPv6, not a multiple of 8", v6_fragment(0, true, 9), Err(Malformed::FragmentLength)),
        ("IPv6, up to 65,535", v6_fragment(8191, false, 7), Ok(())),
        ("IPv6, one byte beyond", v6_fragment(8191, false, 8), Err(Malformed::FragmentOffset)),
    ];
    for (name, packet, expected) in rows {
        assert_eq!(parse(&packet).map(|_| ()), expected, "{name}");
    }
}

fn v6_fragment(offset_units: u16, more: bool, len: usize) -> Vec<u8> {
    let mut body = vec![6];
    body.extend(fragment_header(offset_units << 3 | u16::from(more)));
    body.extend(vec![7; len]);
    v6_with_body(FRAGMENT, &body)
}

#[test]
fn an_ipv6_fragment_ends_the_walk_and_tells_its_place() {
    // Shows: RFC8200 s4.5d
    let mut packet = v6_chain(&[
        (HOP_BY_HOP, options_of(1)),
        (FRAGMENT, fragment_header(0x0008 | 1)),
        (DESTINATION, options_of(1)),
    ]);
    let seen = parse(&packet).expect("a fragment");
    let place = Fragment { offset: 8, more: true, identification: 0x0102_0304 };
    assert_eq!(seen.fragment, Some(place));
    assert_eq!(seen.header.protocol, Protocol(DESTINATION), "what follows the fragment header");
    assert_eq!(seen.payload, 56..72);

    // The reserved bits are no part of the offset, and a whole packet behind a fragment header is
    // whole.
    packet[51] = 0b110;
    let seen = parse(&packet).expect("an atomic fragment");
    assert_eq!((seen.fragment, seen.header.protocol), (None, Protocol::TCP));
    assert_eq!(seen.payload, 64..72);
}

#[test]
fn ipv6_extension_headers_are_walked_to_the_upper_layer() {
    // Shows: RFC8200 s4a, RFC8200 s4.4
    let rows = [
        ("none", vec![], 40, false),
        ("hop by hop", vec![(HOP_BY_HOP, options_of(1))], 48, false),
        ("destination options of 24 bytes", vec![(DESTINATION, options_of(3))], 64, false),
        ("routing of unknown type, none left", vec![(ROUTING, routing(99, 0))], 48, false),
        ("routing of type 0", vec![(ROUTING, routing(0, 1))], 48, true),
        ("routing of type 0, none left", vec![(ROUTING, routing(0, 0))], 48, false),
        (
            "routing of type 0, none left behind one with a segment left",
            vec![(ROUTING, routing(0, 1)), (ROUTING, routing(0, 0))],
            56,
            true,
        ),
        (
            "all of them",
            vec![
                (HOP_BY_HOP, options_of(2)),
                (DESTINATION, options_of(1)),
                (ROUTING, routing(0, 0)),
                (FRAGMENT, fragment_header(0)),
                (DESTINATION, options_of(1)),
            ],
            88,
            false,
        ),
    ];
    for (name, chain, upper_at, source_routed) in rows {
        let seen = parse(&v6_chain(&chain)).expect(name);
        assert_eq!(seen.payload, upper_at..upper_at + 8, "{name}");
        assert_eq!(seen.header.protocol, Protocol::TCP, "{name}");
        assert_eq!(seen.source_routed, source_routed, "{name}");
        assert_eq!(seen.has_options, !chain.is_empty(), "{name}");
    }
}

#[test]
fn a_chain_that_is_too_long_or_cut_short_is_refused() {
    // Shows: H-53
    let destination = |count| vec![(DESTINATION, options_of(1)); count];
    let units = MAX_EXTENSION_BYTES / 8;
    let refused = Err(Malformed::ExtensionHeaders);
    let rows = [
        ("as many as are walked", v6_chain(&destination(MAX_EXTENSION_HEADERS)), Ok(())),
        ("one more", v6_chain(&destination(MAX_EXTENSION_HEADERS + 1)), refused),
        ("a hundred", v6_chain(&destination(100)), refused),
        ("as long as is walked", v6_chain(&[(DESTINATION, options_of(units))]), Ok(())),
        ("8 bytes longer", v6_chain(&[(DESTINATION, options_of(units + 1))]), refused),
        (
            "length 255 in a short packet",
            v6_with_body(DESTINATION, &[6, 255, 0, 0, 0, 0, 0, 0]),
            refused,
        ),
        ("length 255 in a long packet", v6_chain(&[(DESTINATION, options_of(256))]), refused),
        ("no byte of the header", v6_with_body(DESTINATION, &[]), refused),
        ("7 bytes of the header", v6_with_body(DESTINATION, &[6, 0, 0, 0, 0, 0, 0]), refused),
        ("7 bytes of a fragment header", v6_with_body(FRAGMENT, &[6, 0, 0, 0, 0, 0, 0]), refused),
        (
            "a header that names itself for ever",
            v6_with_body(DESTINATION, &[DESTINATION, 0, 0, 0, 0, 0, 0, 0].repeat(40)),
            refused,
        ),
    ];
    for (name, packet, expected) in rows {
        assert_eq!(parse(&packet).map(|_| ()), expected, "{name}");
    }
}

#[test]
fn a_hop_by_hop_header_stands_first_or_not_at_all() {
    // Shows: RFC8200 s4a
    let wrong = [
        vec![(DESTINATION, options_of(1)), (HOP_BY_HOP, options_of(1))],
        vec![(HOP_BY_HOP, options_of(1)), (HOP_BY_HOP, options_of(1))],
        vec![(FRAGMENT, fragment_header(0)), (HOP_BY_HOP, options_of(1))],
    ];
    for chain in wrong {
        assert_eq!(parse(&v6_chain(&chain)), Err(Malformed::ExtensionOrder));
    }
}

#[test]
fn an_unknown_ipv6_option_is_skipped_only_if_its_type_allows_it() {
    // Shows: RFC8200 s4.2
    let refused = Err(Malformed::ExtensionOption);
    let too_long = Err(Malformed::ExtensionHeaders);
    let rows = [
        ("Pad1 all through", "000000000000", Ok(())),
        ("PadN", "010400000000", Ok(())),
        ("PadN of nothing", "0100 01020000", Ok(())),
        ("router alert", "0502 0000 0100", Ok(())),
        ("top bits 00", "1e04 01020304", Ok(())),
        ("top bits 01", "5e04 01020304", refused),
        ("top bits 10", "9e04 01020304", refused),
        ("top bits 11", "de04 01020304", refused),
        ("jumbo payload", "c204 00010000", refused),
        ("an option past the end", "1e05 01020304", too_long),
        ("an option without a length", "0103 000000 1e", too_long),
    ];
    for (name, options, expected) in rows {
        for kind in [HOP_BY_HOP, DESTINATION] {
            let packet = v6_chain(&[(kind, options_holding(options))]);
            assert_eq!(parse(&packet).map(|_| ()), expected, "{name}");
        }
    }
}

#[test]
fn a_routing_header_of_unknown_type_with_segments_left_is_refused() {
    // Shows: RFC8200 s4.4
    for kind in 1..=255 {
        let packet = v6_chain(&[(ROUTING, routing(kind, 1))]);
        assert_eq!(parse(&packet), Err(Malformed::RoutingHeader), "type {kind}");
    }
}

#[test]
fn what_is_not_an_extension_is_the_upper_layer() {
    // Shows: RFC8200 s4b
    for protocol in
        (0..=255).filter(|kind| ![HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION].contains(kind))
    {
        let seen = parse(&v6_with_body(protocol, &[255; 8])).expect("an upper layer");
        assert_eq!((seen.header.protocol, seen.payload), (Protocol(protocol), 40..48));
    }
    let nothing = parse(&v6_with_body(59, &[])).expect("nothing follows");
    assert_eq!(nothing.header.protocol, Protocol::NO_NEXT_HEADER);
}

#[test]
fn dscp_and_ecn_do_not_touch_each_other() {
    // Shows: RFC2474/3168
    for addresses in [V4, V6] {
        for dscp in 0..64 {
            for ecn in [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce] {
                let header = IpHeader { dscp, ecn, ..tcp_header_to(addresses) };
                let packet = packet_bytes(&header, &[]);
                let tos = match addresses.0 {
                    IpAddr::V4(_) => packet[1],
                    IpAddr::V6(_) => packet[0] << 4 | packet[1] >> 4,
                };
                assert_eq!(tos, dscp << 2 | ecn.bits());
                assert_eq!(parse(&packet).map(|seen| seen.header), Ok(header));
            }
        }
    }
}

#[test]
#[should_panic(expected = "addresses of one family")]
fn addresses_of_two_families_are_a_bug_of_the_caller() {
    packet_bytes(&tcp_header_to((V4.0, V6.1)), &[]);
}

proptest! {
    #[test]
    fn a_header_comes_back_as_it_was(header in ip_header(), len in 0usize..1600) {
        // Shows: RFC791 s3.1b, RFC8200 s3
        let packet = packet_bytes(&header, &vec![7; len]);
        let header_len = header.header_len();
        prop_assert_eq!(parse(&packet), Ok(ParsedIp {
            header,
            payload: header_len..header_len + len,
            fragment: None,
            has_options: false,
            source_routed: false,
        }));
    }

    #[test]
    fn a_second_opinion_reads_the_same_fields(header in ip_header(), len in 0usize..1600) {
        // Shows: RFC791 s3.1b
        let packet = packet_bytes(&header, &vec![7; len]);
        match header.src {
            IpAddr::V4(src) => {
                let view = Ipv4Packet::new(&packet).expect("a header");
                prop_assert_eq!(view.get_source(), src);
                prop_assert_eq!(usize::from(view.get_total_length()), packet.len());
                prop_assert_eq!(view.get_ttl(), header.hop_limit);
                prop_assert_eq!(view.get_checksum(), pnet_packet::ipv4::checksum(&view));
            }
            IpAddr::V6(src) => {
                let view = Ipv6Packet::new(&packet).expect("a header");
                prop_assert_eq!(view.get_source(), src);
                prop_assert_eq!(usize::from(view.get_payload_length()), len);
                prop_assert_eq!(view.get_flow_label(), header.flow_label);
                prop_assert_eq!(view.get_hop_limit(), header.hop_limit);
            }
        }
    }
}
