//! Agreement with smoltcp's codecs, on what we write, on what it writes, and on bytes that neither
//! would write.
//!
//! Where the two differ, on purpose:
//!
//! | input | smoltcp 0.14 | here |
//! |---|---|---|
//! | TCP option with an illegal or a wrong length | refuses the segment | passes over the option |
//! | SYN, FIN and RST in one segment | refuses the segment | a value; the state machine judges it |
//! | window scale above 14 | 14 | raw in the option, 14 in `WindowScale` |
//! | fourth SACK block | dropped | kept |
//! | SACK block that does not go forward | kept | passed over |
//! | MSS of zero | kept | counts as absent |
//! | IPv4 fragment | refused (without its reassembly) | told by its place |
//! | IPv4 option with an illegal length | not looked at | refuses the packet |
//! | IPv6 extension headers | one at a time, by the caller | walked, bounded |
//! | ICMPv4 quote cut short | refuses the message | read if 8 bytes of transport are there |
//! | ICMP echo with a code | refuses the message | an echo |

use crate::values::{
    V4, V6, addresses, ip_header, packet_bytes, payload, sack_block, segment, segment_bytes,
    segment_with, tcp_header_to,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire as smol;
use std::net::IpAddr;
use towpath_wire::icmp::{ErrorKind, IcmpMessage, UnreachableCode, emit_error};
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::tcp::{ChecksumState, Flags, Options, Segment, Timestamps};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

fn smol_address(address: IpAddr) -> smol::IpAddress {
    smol::IpAddress::from(address)
}

fn smol_parse(bytes: &[u8], (src, dst): (IpAddr, IpAddr)) -> Option<smol::TcpRepr<'_>> {
    let packet = smol::TcpPacket::new_checked(bytes).ok()?;
    let caps = ChecksumCapabilities::default();
    smol::TcpRepr::parse(&packet, &smol_address(src), &smol_address(dst), &caps).ok()
}

/// SYN, FIN and RST exclude each other for smoltcp.
fn has_flags_of_smoltcp(flags: Flags) -> bool {
    let count = [Flags::SYN, Flags::FIN, Flags::RST];
    count.iter().filter(|flag| flags.contains(**flag)).count() <= 1
}

fn assert_same(ours: &Segment, data_at: usize, bytes: &[u8], theirs: &smol::TcpRepr<'_>) {
    assert_eq!(ours.src_port, theirs.src_port);
    assert_eq!(ours.dst_port, theirs.dst_port);
    assert_eq!(ours.seq.0, theirs.seq_number.0 as u32);
    let ack = ours.flags.contains(Flags::ACK).then_some(ours.ack.0);
    assert_eq!(ack, theirs.ack_number.map(|ack| ack.0 as u32));
    assert_eq!(ours.window, theirs.window_len);
    let control = match theirs.control {
        smol::TcpControl::None => Flags::empty(),
        smol::TcpControl::Psh => Flags::PSH,
        smol::TcpControl::Syn => Flags::SYN,
        smol::TcpControl::Fin => Flags::FIN,
        smol::TcpControl::Rst => Flags::RST,
    };
    assert!(ours.flags.contains(control), "{} {control}", ours.flags);

    let options = &ours.options;
    assert_eq!(options.mss, theirs.max_seg_size.filter(|mss| *mss != 0));
    assert_eq!(options.window_scale.map(|shift| shift.min(14)), theirs.window_scale);
    assert_eq!(options.sack_permitted, theirs.sack_permitted);
    let stamps = options.timestamps.map(|stamps| (stamps.value, stamps.echo));
    assert_eq!(stamps, theirs.timestamp.map(|stamps| (stamps.tsval, stamps.tsecr)));
    let forward = |(left, right): &(u32, u32)| SeqNumber(*right).after(SeqNumber(*left));
    let their_blocks: Vec<_> = theirs.sack_ranges.into_iter().flatten().filter(forward).collect();
    let our_blocks: Vec<_> =
        options.sack.iter().map(|block| (block.left.0, block.right.0)).collect();
    assert!(our_blocks.starts_with(&their_blocks), "{our_blocks:?} {their_blocks:?}");
    assert!(our_blocks.len() <= their_blocks.len() + 1, "only a fourth block is ours alone");
    assert_eq!(&bytes[data_at..], theirs.payload);
}

/// What smoltcp writes; it has no four SACK blocks, and does not send them with SACK-permitted or
/// without ACK.
fn smol_segment() -> impl Strategy<Value = (smol::TcpRepr<'static>, Vec<u8>)> {
    let control = prop_oneof![
        Just(smol::TcpControl::None),
        Just(smol::TcpControl::Psh),
        Just(smol::TcpControl::Syn),
        Just(smol::TcpControl::Fin),
        Just(smol::TcpControl::Rst),
    ];
    let options = (
        option::of(1u16..),
        option::of(0u8..=14),
        any::<bool>(),
        option::of(any::<(u32, u32)>()),
        vec(sack_block(), 0..=2),
    );
    ((1u16.., 1u16..), control, any::<(i32, Option<i32>, u16)>(), options, payload()).prop_map(
        |((src_port, dst_port), control, (seq, ack, window_len), options, payload)| {
            let (max_seg_size, window_scale, sack_permitted, timestamp, sack) = options;
            let mut sack_ranges = [None; 3];
            if !sack_permitted && ack.is_some() {
                for (range, block) in sack_ranges.iter_mut().zip(&sack) {
                    *range = Some((block.left.0, block.right.0));
                }
            }
            let repr = smol::TcpRepr {
                src_port,
                dst_port,
                control,
                seq_number: smol::TcpSeqNumber(seq),
                ack_number: ack.map(smol::TcpSeqNumber),
                window_len,
                window_scale,
                max_seg_size,
                sack_permitted,
                sack_ranges,
                timestamp: timestamp
                    .map(|(tsval, tsecr)| smol::TcpTimestampRepr::new(tsval, tsecr)),
                payload: &[],
            };
            (repr, payload)
        },
    )
}

/// Options written by hand, one after the other, some with a wrong length.
fn loose_options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(vec![1]),
        Just(vec![0]),
        Just(vec![2, 4, 5, 180]),
        any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        Just(vec![4, 2]),
        vec(any::<u8>(), 8).prop_map(|stamps| [vec![8, 10], stamps].concat()),
        vec(any::<u8>(), 8).prop_map(|block| [vec![5, 10], block].concat()),
        vec(any::<u8>(), 16).prop_map(|blocks| [vec![5, 18], blocks].concat()),
        (any::<u8>(), 0u8..12, vec(any::<u8>(), 0..10)).prop_map(|(kind, length, data)| [
            vec![kind, length],
            data
        ]
        .concat()),
    ];
    vec(option, 0..6).prop_map(|options| {
        let mut bytes = options.concat();
        bytes.truncate(40);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    })
}

proptest! {
    #[test]
    fn smoltcp_reads_what_we_write(
        segment in segment(), addresses in addresses(), payload in payload(),
    ) {
        // Shows: 9293 MUST-2, 9293 MUST-68, RFC8200 s8.1
        prop_assume!(has_flags_of_smoltcp(segment.flags));
        let bytes = segment_bytes(&segment, addresses, &payload);
        let theirs = smol_parse(&bytes, addresses).expect("smoltcp takes what we write");
        assert_same(&segment, segment.header_len(), &bytes, &theirs);
    }

    #[test]
    fn we_read_what_smoltcp_writes(
        (repr, payload) in smol_segment(), (src, dst) in addresses(),
    ) {
        // Shows: 9293 MUST-3, 9293 MUST-64, 9293 MUST-69
        prop_assume!(repr.header_len() <= 60);
        let repr = smol::TcpRepr { payload: &payload, ..repr };
        let mut bytes = vec![0xA5; repr.buffer_len()];
        let mut packet = smol::TcpPacket::new_unchecked(&mut bytes);
        let caps = ChecksumCapabilities::default();
        repr.emit(&mut packet, &smol_address(src), &smol_address(dst), &caps);
        let seen = Segment::parse(&bytes, src, dst, ChecksumState::Verify);
        let (segment, data_at) = seen.expect("we take what smoltcp writes");
        assert_same(&segment, data_at, &bytes, &repr);
    }

    #[test]
    fn both_judge_options_of_any_kind_alike(
        segment in segment_with(Just(Options::default())), options in loose_options(),
        addresses in addresses(),
    ) {
        // Shows: 9293 MUST-6, 9293 MUST-7, H-14, H-16
        prop_assume!(has_flags_of_smoltcp(segment.flags));
        let (src, dst) = addresses;
        let mut bytes = segment_bytes(&segment, addresses, b"");
        bytes[12] += ((options.len() / 4) << 4) as u8;
        bytes.extend(&options);
        smol::TcpPacket::new_unchecked(&mut bytes)
            .fill_checksum(&smol_address(src), &smol_address(dst));

        let seen = Segment::parse(&bytes, src, dst, ChecksumState::Verify);
        let (ours, data_at) = seen.expect("options do not refuse a segment");
        let (_, report) = Options::parse_with_report(&options);
        match smol_parse(&bytes, addresses) {
            Some(theirs) => {
                prop_assert!(!report.truncated);
                // A known option with a good length and a value that we pass over does not stop
                // smoltcp.
                if report.invalid == 0 {
                    assert_same(&ours, data_at, &bytes, &theirs);
                }
            }
            None => prop_assert!(report.truncated || report.invalid > 0, "{report:?}"),
        }
    }

    #[test]
    fn both_refuse_the_same_broken_segments(
        segment in segment(), payload in payload(), addresses in addresses(),
        at: prop::sample::Index, value: u8, cut in option::of(any::<prop::sample::Index>()),
    ) {
        // Shows: 9293 MUST-3, RFC9293 s3.1a, H-17, H-18
        let (src, dst) = addresses;
        let mut bytes = segment_bytes(&segment, addresses, &payload);
        let at = at.index(bytes.len().min(20));
        bytes[at] = value;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let ours = Segment::parse(&bytes, src, dst, ChecksumState::Verify);
        match (ours, smol_parse(&bytes, addresses)) {
            (Ok((ours, data_at)), Some(theirs)) => assert_same(&ours, data_at, &bytes, &theirs),
            (Ok((ours, _)), None) => prop_assert!(!has_flags_of_smoltcp(ours.flags)),
            (Err(why), Some(theirs)) => prop_assert!(false, "{why}: smoltcp has {theirs:?}"),
            (Err(_), None) => {}
        }
    }

    #[test]
    fn both_read_ip_headers_alike(header in ip_header(), payload in payload()) {
        // Shows: RFC791 s3.1a, RFC791 s3.1b, RFC8200 s3
        let packet = packet_bytes(&header, &payload);
        match (header.src, header.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let view = smol::Ipv4Packet::new_checked(packet.as_slice()).expect("our header");
                let repr = smol::Ipv4Repr::parse(&view, &ChecksumCapabilities::default());
                let repr = repr.expect("our header");
                prop_assert_eq!((repr.src_addr, repr.dst_addr), (src, dst));
                prop_assert_eq!(u8::from(repr.next_header), header.protocol.0);
                prop_assert_eq!(repr.hop_limit, header.hop_limit);
                prop_assert_eq!(repr.payload_len, payload.len());
                prop_assert_eq!((view.dscp(), view.ecn()), (header.dscp, header.ecn.bits()));
                prop_assert_eq!(view.ident(), header.identification);
                prop_assert_eq!(view.dont_frag(), header.dont_fragment);
                prop_assert!(!view.more_frags() && view.frag_offset() == 0);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let view = smol::Ipv6Packet::new_checked(packet.as_slice()).expect("our header");
                let repr = smol::Ipv6Repr::parse(&view).expect("our header");
                prop_assert_eq!((repr.src_addr, repr.dst_addr), (src, dst));
                prop_assert_eq!(u8::from(repr.next_header), header.protocol.0);
                prop_assert_eq!(repr.hop_limit, header.hop_limit);
                prop_assert_eq!(repr.payload_len, payload.len());
                prop_assert_eq!(view.traffic_class(), header.dscp << 2 | header.ecn.bits());
                prop_assert_eq!(view.flow_label(), header.flow_label);
            }
            _ => prop_assert!(false, "addresses of one family"),
        }
    }

    #[test]
    fn both_refuse_the_same_broken_ipv4_headers(
        header in ip_header(), at in 0usize..20, value: u8,
        cut in option::of(any::<prop::sample::Index>()), fix_checksum: bool,
    ) {
        // Shows: RFC791 s3.1a, RFC791 s3.1b, H-17
        prop_assume!(header.src.is_ipv4());
        // No-operations: legal as options if the header grows over them.
        let mut packet = packet_bytes(&header, &[1; 64]);
        packet[at] = value;
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        if fix_checksum && smol::Ipv4Packet::new_checked(&packet).is_ok() {
            smol::Ipv4Packet::new_unchecked(&mut packet).fill_checksum();
        }
        let theirs = smol::Ipv4Packet::new_checked(packet.as_slice()).ok().and_then(|view| {
            smol::Ipv4Repr::parse(&view, &ChecksumCapabilities::default()).ok()
        });
        // A version of 6 is a different packet for us and an error for smoltcp's IPv4.
        prop_assume!(packet.first().is_none_or(|first| first >> 4 != 6));
        match (IpHeader::parse(&packet, HeaderChecksum::Verify), theirs) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!(ours.payload.len(), theirs.payload_len);
                prop_assert_eq!(ours.header.hop_limit, theirs.hop_limit);
                prop_assert_eq!(ours.fragment, None);
            }
            (Ok(ours), None) => prop_assert!(ours.fragment.is_some()),
            (Err(why), Some(theirs)) => prop_assert!(false, "{why}: smoltcp has {theirs:?}"),
            (Err(_), None) => {}
        }
    }

    #[test]
    fn echoes_of_each_are_read_by_the_other(ident: u16, seq: u16, data in payload()) {
        // Shows: RFC792 echo, RFC4443 cksum
        let caps = ChecksumCapabilities::default();
        let data = data.as_slice();
        let ours = IcmpMessage::EchoRequest { ident, seq, data };

        let theirs = smol::Icmpv4Repr::EchoRequest { ident, seq_no: seq, data };
        let mut bytes = vec![0; ours.emit_len()];
        ours.emit(V4.0, V4.1, &mut bytes);
        let view = smol::Icmpv4Packet::new_checked(bytes.as_slice()).expect("our echo");
        prop_assert_eq!(smol::Icmpv4Repr::parse(&view, &caps).expect("our echo"), theirs);
        let mut bytes = vec![0; theirs.buffer_len()];
        theirs.emit(&mut smol::Icmpv4Packet::new_unchecked(&mut bytes), &caps);
        prop_assert_eq!(IcmpMessage::parse(&bytes, V4.0, V4.1), Ok(ours));

        let (IpAddr::V6(src), IpAddr::V6(dst)) = V6 else { unreachable!("V6 is a pair of v6") };
        let theirs = smol::Icmpv6Repr::EchoRequest { ident, seq_no: seq, data };
        let mut bytes = vec![0; ours.emit_len()];
        ours.emit(V6.0, V6.1, &mut bytes);
        let view = smol::Icmpv6Packet::new_checked(bytes.as_slice()).expect("our echo");
        let seen = smol::Icmpv6Repr::parse(&src, &dst, &view, &caps).expect("our echo");
        prop_assert_eq!(seen, theirs);
        let mut bytes = vec![0; theirs.buffer_len()];
        theirs.emit(&src, &dst, &mut smol::Icmpv6Packet::new_unchecked(&mut bytes), &caps);
        prop_assert_eq!(IcmpMessage::parse(&bytes, V6.0, V6.1), Ok(ours));
    }

    #[test]
    fn smoltcp_reads_our_errors(segment in segment(), mtu in 1280u32..100_000) {
        // Shows: RFC4443 s2.4a, RFC4443 cksum
        let caps = ChecksumCapabilities::default();
        let packet = packet_bytes(&tcp_header_to(V4), &segment_bytes(&segment, V4, b"data"));
        let bytes = emit_error(ErrorKind::PortUnreachable, &packet, V4.1, V4.0);
        let view = smol::Icmpv4Packet::new_checked(bytes.as_slice()).expect("our error");
        let repr = smol::Icmpv4Repr::parse(&view, &caps).expect("our error");
        let smol::Icmpv4Repr::DstUnreachable { reason, header, data } = repr else {
            panic!("an unreachable port, not {repr:?}");
        };
        prop_assert_eq!(reason, smol::Icmpv4DstUnreachable::PortUnreachable);
        prop_assert_eq!((IpAddr::V4(header.src_addr), IpAddr::V4(header.dst_addr)), V4);
        prop_assert_eq!(data, &packet[20..]);

        let (IpAddr::V6(src), IpAddr::V6(dst)) = V6 else { unreachable!("V6 is a pair of v6") };
        let packet = packet_bytes(&tcp_header_to(V6), &segment_bytes(&segment, V6, b"data"));
        let bytes = emit_error(ErrorKind::PacketTooBig { mtu }, &packet, V6.1, V6.0);
        let view = smol::Icmpv6Packet::new_checked(bytes.as_slice()).expect("our error");
        let repr = smol::Icmpv6Repr::parse(&dst, &src, &view, &caps).expect("our error");
        let smol::Icmpv6Repr::PktTooBig { mtu: seen, header, data } = repr else {
            panic!("a packet too big, not {repr:?}");
        };
        prop_assert_eq!((seen, header.src_addr, header.dst_addr), (mtu, src, dst));
        prop_assert_eq!(data, &packet[40..]);
    }

    #[test]
    fn we_read_errors_of_smoltcp(segment in segment()) {
        // Shows: H-48
        let caps = ChecksumCapabilities::default();
        let (IpAddr::V4(src), IpAddr::V4(dst)) = V4 else { unreachable!("V4 is a pair of v4") };
        let data = segment_bytes(&segment, V4, b"");
        let header = smol::Ipv4Repr {
            src_addr: src,
            dst_addr: dst,
            next_header: smol::IpProtocol::Tcp,
            payload_len: data.len(),
            hop_limit: 60,
        };
        let repr = smol::Icmpv4Repr::DstUnreachable {
            reason: smol::Icmpv4DstUnreachable::HostUnreachable,
            header,
            data: &data,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut smol::Icmpv4Packet::new_unchecked(&mut bytes), &caps);
        let seen = IcmpMessage::parse(&bytes, V4.1, V4.0);
        let Ok(IcmpMessage::Unreachable { code, quoted: Some(quoted) }) = seen else {
            panic!("an unreachable host, not {seen:?}");
        };
        prop_assert_eq!(code, UnreachableCode::Host);
        prop_assert_eq!((quoted.src, quoted.dst, quoted.protocol), (V4.0, V4.1, Protocol::TCP));
        prop_assert_eq!((quoted.src_port, quoted.dst_port), (segment.src_port, segment.dst_port));
        prop_assert_eq!((quoted.seq, quoted.total_length), (segment.seq, 20 + data.len()));
    }
}

#[test]
fn a_timestamp_in_the_middle_of_words_is_read_by_both() {
    // Shows: 9293 MUST-64
    let options = [1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0];
    let expected = Some(Timestamps { value: 1, echo: 2 });
    assert_eq!(Options::parse(&options).timestamps, expected);
    let rest = smol::TcpOption::parse(&options).expect("a no-operation").0;
    let seen = smol::TcpOption::parse(rest).expect("timestamps").1;
    assert_eq!(seen, smol::TcpOption::TimeStamp { tsval: 1, tsecr: 2 });
}
