//! The TCP header: checks, checksum, round trips and the printed form.

use crate::values::{V4, V6, addresses, hex, payload, plain_segment, segment, segment_bytes};
use pnet_packet::tcp::TcpPacket;
use proptest::prelude::*;
use std::net::IpAddr;
use towpath_wire::tcp::{
    ChecksumEmit, ChecksumState, Flags, Options, Segment, Timestamps, options::MAX_LEN,
};
use towpath_wire::{Malformed, SeqNumber};

fn parse(bytes: &[u8], (src, dst): (IpAddr, IpAddr)) -> Result<(Segment, usize), Malformed> {
    Segment::parse(bytes, src, dst, ChecksumState::Verify)
}

fn parse_trusted(bytes: &[u8]) -> Result<(Segment, usize), Malformed> {
    Segment::parse(bytes, V4.0, V4.1, ChecksumState::Trusted)
}

#[test]
fn a_header_that_ends_early_is_refused() {
    // Shows: H-17
    let bytes = segment_bytes(&plain_segment(), V4, b"");
    for len in 0..20 {
        assert_eq!(parse_trusted(&bytes[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
    assert!(parse_trusted(&bytes).is_ok());
}

#[test]
fn a_data_offset_below_five_or_beyond_the_segment_is_refused() {
    // Shows: RFC9293 s3.1a, H-18, H-17
    for len in [20, 21, 23, 24, 32, 59, 60, 80] {
        for offset in 0..=15u8 {
            let mut bytes = segment_bytes(&plain_segment(), V4, b"");
            bytes.resize(len, 1);
            bytes[12] = offset << 4;
            let fits = offset >= 5 && usize::from(offset) * 4 <= len;
            let expected =
                if fits { Ok(usize::from(offset) * 4) } else { Err(Malformed::DataOffset) };
            let seen = parse_trusted(&bytes).map(|(_, data_at)| data_at);
            assert_eq!(seen, expected, "offset {offset} in {len} bytes");
        }
    }
}

#[test]
fn a_port_of_zero_is_refused() {
    for (name, src_port, dst_port) in [("source", 0, 80), ("destination", 80, 0), ("both", 0, 0)] {
        let segment = Segment { src_port, dst_port, ..plain_segment() };
        let bytes = segment_bytes(&segment, V4, b"");
        assert_eq!(parse(&bytes, V4), Err(Malformed::ZeroPort), "{name}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    // Shows: 9293 MUST-3, H-56
    let options =
        Options { timestamps: Some(Timestamps { value: 77, echo: 66 }), ..Options::default() };
    let segment = Segment { options, ..plain_segment() };
    for (addresses, payload) in [(V4, b"even".as_slice()), (V4, b"odd"), (V6, b""), (V6, b"o")] {
        let bytes = segment_bytes(&segment, addresses, payload);
        assert!(parse(&bytes, addresses).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A data offset can be wrong before the checksum is looked at.
            let refused = parse(&flipped, addresses);
            let expected = [Malformed::Checksum, Malformed::DataOffset];
            assert!(refused.is_err_and(|why| expected.contains(&why)), "bit {bit}");
        }
    }
}

#[test]
fn the_checksum_covers_the_addresses_and_the_length() {
    // Shows: 9293 MUST-2, 9293 MUST-3, RFC8200 s8.1
    let bytes = segment_bytes(&plain_segment(), V6, b"");
    assert_eq!(parse(&bytes, (V6.0, V6.0)), Err(Malformed::Checksum));
    let mut longer = bytes.clone();
    longer.extend([0, 0]);
    assert_eq!(parse(&longer, V6), Err(Malformed::Checksum), "two zero bytes more");
    assert!(parse(&bytes, V6).is_ok());
}

#[test]
fn a_checksum_of_zero_is_accepted_in_both_of_its_forms() {
    // Shows: H-56
    let bytes = (0..=u16::MAX)
        .map(|window| segment_bytes(&Segment { window, ..plain_segment() }, V4, b""))
        .find(|bytes| bytes[16..18] == [0, 0])
        .expect("one of all windows gives a checksum of zero");
    assert!(parse(&bytes, V4).is_ok());
    let mut negative_zero = bytes;
    negative_zero[16..18].copy_from_slice(&[0xFF, 0xFF]);
    assert!(parse(&negative_zero, V4).is_ok());
}

#[test]
fn a_trusted_checksum_is_not_looked_at() {
    let mut bytes = segment_bytes(&plain_segment(), V4, b"data");
    bytes[16] ^= 0x55;
    assert_eq!(parse(&bytes, V4), Err(Malformed::Checksum));
    assert_eq!(parse_trusted(&bytes), Ok((plain_segment(), 20)));
}

#[test]
fn a_partial_checksum_becomes_the_full_one_when_the_device_adds_the_rest() {
    for (src, dst) in [V4, V6] {
        let (segment, payload) = (plain_segment(), b"seven b".as_slice());
        let mut partial = vec![0; segment.header_len()];
        segment.emit(src, dst, [], payload.len(), ChecksumEmit::Partial, &mut partial);
        partial.extend_from_slice(payload);
        // What a device does with NEEDS_CSUM: sums from the TCP header on, with the field in place.
        let completed = !smoltcp::wire::checksum::data(&partial);
        partial[16..18].copy_from_slice(&completed.to_be_bytes());
        assert_eq!(partial, segment_bytes(&segment, (src, dst), payload));
    }
}

#[test]
fn reserved_bits_are_ignored_and_sent_as_zero() {
    // Shows: RFC9293 s3.1b, RFC9293 s3.1c
    let syn = Segment { flags: Flags::SYN, ack: SeqNumber(0), ..plain_segment() };
    let mut bytes = segment_bytes(&syn, V4, b"");
    assert_eq!(bytes[12], 0x50);
    bytes[12] |= 0x0E;
    let (seen, _) = parse_trusted(&bytes).expect("reserved bits are no reason to refuse");
    assert_eq!(seen, syn);
    assert_eq!(segment_bytes(&seen, V4, b"")[12], 0x50);
}

#[test]
fn the_flag_of_accurate_ecn_stands_in_the_bit_below_the_reserved_ones() {
    // Shows: RFC9768 s3.1.1a
    let flags = Flags::SYN | Flags::AE | Flags::CWR | Flags::ECE;
    let segment = Segment { flags, ack: SeqNumber(0), ..plain_segment() };
    let bytes = segment_bytes(&segment, V4, b"");
    assert_eq!(bytes[12..14], [0x51, 0xC2]);
    assert_eq!(parse(&bytes, V4), Ok((segment, 20)));
}

#[test]
fn numbers_without_their_flag_are_zero() {
    // Shows: H-12
    let segment = Segment { flags: Flags::RST, urgent: 9, ..plain_segment() };
    let mut bytes = segment_bytes(&segment, V4, b"");
    assert_eq!(bytes[8..12], [0; 4], "no acknowledgement number leaves without ACK");
    assert_eq!(bytes[18..20], [0; 2], "no urgent pointer leaves without URG");
    bytes[8..12].fill(7);
    bytes[18..20].fill(7);
    let (seen, _) = parse_trusted(&bytes).expect("garbage in unused fields is legal");
    assert_eq!((seen.ack, seen.urgent), (SeqNumber(0), 0));
}

#[test]
fn any_urgent_pointer_is_only_a_number() {
    // Shows: H-12, H-13
    for urgent in [0, 1, 2, 65_535] {
        for flags in [Flags::URG | Flags::ACK, Flags::URG | Flags::SYN, Flags::URG | Flags::FIN] {
            let segment = Segment { flags, urgent, ack: SeqNumber(0), ..plain_segment() };
            let bytes = segment_bytes(&segment, V4, b"x");
            assert_eq!(parse(&bytes, V4), Ok((segment, 20)));
        }
    }
}

#[test]
fn options_are_read_in_a_segment_of_any_kind() {
    // Shows: 9293 MUST-5
    let timestamps = Some(Timestamps { value: 5, echo: 6 });
    for flags in [Flags::SYN, Flags::ACK, Flags::FIN | Flags::ACK, Flags::RST, Flags::empty()] {
        for payload in [b"".as_slice(), b"data"] {
            let options = Options { timestamps, ..Options::default() };
            let segment = Segment { flags, ack: SeqNumber(0), options, ..plain_segment() };
            let bytes = segment_bytes(&segment, V4, payload);
            assert_eq!(parse(&bytes, V4), Ok((segment, 32)));
        }
    }
}

#[test]
fn an_illegal_option_does_not_refuse_the_segment() {
    // Shows: 9293 MUST-7
    let options = Options { mss: Some(1460), window_scale: Some(7), ..Options::default() };
    let segment = Segment { flags: Flags::SYN, ack: SeqNumber(0), options, ..plain_segment() };
    let mut bytes = segment_bytes(&segment, V4, b"");
    assert_eq!(bytes[20..], hex("0204 05b4 01 0303 07"));
    bytes[26] = 0;
    let (seen, data_at) = parse_trusted(&bytes).expect("the segment stands");
    assert_eq!((seen.options.mss, seen.options.window_scale, data_at), (Some(1460), None, 28));
}

#[test]
fn syn_and_fin_take_one_sequence_number_each() {
    let rows = [
        (Flags::ACK, 0, 0),
        (Flags::ACK, 10, 10),
        (Flags::SYN, 0, 1),
        (Flags::SYN, 100, 101),
        (Flags::FIN | Flags::ACK, 0, 1),
        (Flags::SYN | Flags::FIN, 10, 12),
        (Flags::RST, 0, 0),
    ];
    for (flags, payload_len, expected) in rows {
        let segment = Segment { flags, ..plain_segment() };
        assert_eq!(segment.sequence_len(payload_len), expected, "{flags} with {payload_len}");
    }
}

#[test]
fn a_segment_prints_as_in_tcpdump() {
    let syn = Segment {
        flags: Flags::SYN,
        options: Options { mss: Some(1460), window_scale: Some(7), ..Options::default() },
        ..plain_segment()
    };
    let rows = [
        (syn, 0, "Flags [S], seq 1000, win 502, options [mss 1460,nop,wscale 7], length 0"),
        (plain_segment(), 0, "Flags [.], ack 2000, win 502, length 0"),
        (plain_segment(), 5, "Flags [.], seq 1000:1005, ack 2000, win 502, length 5"),
        (
            Segment { flags: Flags::FIN | Flags::ACK, ..plain_segment() },
            0,
            "Flags [F.], seq 1000, ack 2000, win 502, length 0",
        ),
        (
            Segment { flags: Flags::RST, ..plain_segment() },
            0,
            "Flags [R], seq 1000, win 502, length 0",
        ),
        (
            Segment { flags: Flags::URG | Flags::ACK, urgent: 3, ..plain_segment() },
            4,
            "Flags [.U], seq 1000:1004, ack 2000, win 502, urg 3, length 4",
        ),
        (
            Segment { seq: SeqNumber(u32::MAX), ..plain_segment() },
            2,
            "Flags [.], seq 4294967295:1, ack 2000, win 502, length 2",
        ),
    ];
    for (segment, payload_len, text) in rows {
        assert_eq!(segment.display(payload_len).to_string(), text);
    }
}

proptest! {
    #[test]
    fn a_segment_comes_back_as_it_was(
        segment in segment(), addresses in addresses(), payload in payload(),
    ) {
        // Shows: 9293 MUST-2, 9293 MUST-3, H-33
        let bytes = segment_bytes(&segment, addresses, &payload);
        let header_len = segment.header_len();
        prop_assert_eq!(bytes.len(), header_len + payload.len());
        prop_assert_eq!(parse(&bytes, addresses), Ok((segment, header_len)));
        prop_assert_eq!(&bytes[header_len..], payload.as_slice());
    }

    #[test]
    fn the_payload_may_come_in_pieces(
        segment in segment(), (src, dst) in addresses(), payload in payload(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        // Shows: 9293 MUST-2
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &payload[ends[0]..ends[1]]);
        let mut header = vec![0; segment.header_len()];
        segment.emit(src, dst, pieces, payload.len(), ChecksumEmit::Full, &mut header);
        prop_assert!(segment_bytes(&segment, (src, dst), &payload).starts_with(&header));
    }

    #[test]
    fn a_second_opinion_reads_the_same_fields(segment in segment(), payload in payload()) {
        let bytes = segment_bytes(&segment, V4, &payload);
        let view = TcpPacket::new(&bytes).expect("a header");
        prop_assert_eq!(view.get_source(), segment.src_port);
        prop_assert_eq!(view.get_destination(), segment.dst_port);
        prop_assert_eq!(view.get_sequence(), segment.seq.0);
        prop_assert_eq!(view.get_acknowledgement(), segment.ack.0);
        prop_assert_eq!(view.get_window(), segment.window);
        prop_assert_eq!(view.get_urgent_ptr(), segment.urgent);
        prop_assert_eq!(view.get_options_raw(), &bytes[20..segment.header_len()]);
        prop_assert!(view.get_options_raw().len() <= MAX_LEN);
        // pnet sums even lengths right.
        let (IpAddr::V4(src), IpAddr::V4(dst)) = V4 else { unreachable!("V4 is a pair of v4") };
        if bytes.len().is_multiple_of(2) {
            let checksum = pnet_packet::tcp::ipv4_checksum(&view, &src, &dst);
            prop_assert_eq!(view.get_checksum(), checksum);
        }
    }
}
