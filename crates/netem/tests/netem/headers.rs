//! Stages that read and change IP headers: marks, judged by our parser and by smoltcp's, and pure
//! acknowledgments.

use bytes::Bytes;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
use towpath_netem::{AckCompression, CoDel, Link, LinkConfig, Payload, StepMarking, Threshold};
use towpath_wire::IpHeader;
use towpath_wire::ip::{Ecn, HeaderChecksum};
use towpath_wire::tcp::{ChecksumState, Flags, Segment};

use crate::common::{MILLISECOND, SEEDS, assert_binomial, ms};
use crate::packets::{VERSIONS, Version, addresses, data, header, packet, pure_ack};

/// One packet is sent, the next finds it there and is to be marked.
fn marking(others_dropped: bool) -> LinkConfig {
    let marking = StepMarking::above(Threshold::Packets(0));
    let marking = if others_dropped { marking.drop_others() } else { marking };
    LinkConfig::new().rate_bits_per_second(Some(1_000_000)).step_marking(marking)
}

fn through<P: Payload>(config: &LinkConfig, packets: Vec<P>) -> (Vec<P>, Link<P>) {
    let mut link = Link::new(config.clone(), 1).expect("a link");
    for packet in packets {
        link.offer(0, packet);
    }
    let arrived = std::iter::from_fn(|| link.deliver(u64::MAX)).collect();
    (arrived, link)
}

/// The ECN field as smoltcp sees it, in a packet that it finds in order.
fn ecn_of_smoltcp(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).expect("smoltcp reads it");
            assert!(packet.verify_checksum(), "smoltcp finds the checksum right");
            assert_eq!(packet.dscp(), 0b10_1110);
            packet.ecn()
        }
        _ => {
            let packet = Ipv6Packet::new_checked(packet).expect("smoltcp reads it");
            assert_eq!(packet.traffic_class() >> 2, 0b10_1110);
            assert_eq!(packet.flow_label(), 0xabcde);
            packet.traffic_class() & 3
        }
    }
}

#[test]
fn a_mark_changes_the_ecn_field_and_the_checksum_and_nothing_else() {
    for version in VERSIONS {
        for ecn in [Ecn::Ect0, Ecn::Ect1] {
            // Lengths in plenty, so that the checksum carries in every way.
            for len in (0..1_400).step_by(7) {
                let original = Bytes::from(data(version, ecn, len));
                let kept = original.clone();
                let (arrived, link) = through(&marking(false), vec![original.clone(), original]);
                assert_eq!(link.statistics().marked, 1);
                assert_eq!(arrived[0], kept, "the first found nothing waiting");
                let marked = &arrived[1];
                assert_eq!(kept[1] | if version == Version::V4 { 3 } else { 0x30 }, marked[1]);
                let parsed = IpHeader::parse(marked, HeaderChecksum::Verify).expect("it parses");
                assert_eq!(parsed.header, IpHeader { ecn: Ecn::Ce, ..header(version, ecn) });
                let (src, dst) = addresses(version);
                Segment::parse(&marked[parsed.payload], src, dst, ChecksumState::Verify)
                    .expect("the segment is untouched");
                assert_eq!(ecn_of_smoltcp(marked), 3, "{version:?} {ecn:?} {len}");
            }
        }
    }
}

#[test]
fn only_what_is_ecn_capable_is_marked_and_the_rest_passes_or_is_dropped() {
    for version in VERSIONS {
        let packets = || {
            let ecns = [Ecn::NotEct, Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];
            ecns.map(|ecn| data(version, ecn, 100)).to_vec()
        };
        let ecns = |arrived: &[Vec<u8>]| -> Vec<u8> {
            arrived.iter().map(|packet| ecn_of_smoltcp(packet)).collect()
        };
        let (arrived, link) = through(&marking(false), packets());
        assert_eq!(ecns(&arrived), [0, 0, 3, 3, 3]);
        assert_eq!((link.statistics().marked, link.statistics().managed), (2, 0));
        let (arrived, link) = through(&marking(true), packets());
        assert_eq!(ecns(&arrived), [0, 3, 3, 3], "the first was alone");
        assert_eq!((link.statistics().marked, link.statistics().managed), (2, 1));
    }
    let foreign = vec![vec![0x15; 40], vec![0x15; 40], vec![], vec![0x45; 12]];
    let (arrived, link) = through(&marking(false), foreign.clone());
    assert_eq!(arrived, foreign, "what is not IP is left alone");
    assert_eq!(link.statistics().marked, 0);
}

#[test]
fn marks_begin_just_above_each_kind_of_threshold() {
    // 1,000 bytes and 1 ms each.
    let len = 1_000 - 40 - 4;
    for (threshold, first_marked) in [
        (Threshold::Packets(3), 5),
        (Threshold::Bytes(3_000), 5),
        (Threshold::Bytes(2_999), 4),
        (Threshold::Wait(ms(3)), 5),
        (Threshold::Wait(ms(3) - ms(1) / 1_000_000), 4),
    ] {
        let config = LinkConfig::new()
            .rate_bits_per_second(Some(8_000_000))
            .step_marking(StepMarking::above(threshold));
        let packets = vec![data(Version::V4, Ecn::Ect0, len); 10];
        assert_eq!(packets[0].len(), 1_000);
        let (arrived, _) = through(&config, packets);
        let first = arrived.iter().position(|packet| ecn_of_smoltcp(packet) == 3);
        assert_eq!(first, Some(first_marked - 1), "{threshold:?}");
        assert!(arrived[first_marked..].iter().all(|packet| ecn_of_smoltcp(packet) == 3));
    }
}

#[test]
fn codel_marks_by_the_same_law_by_which_it_drops() {
    let config = |codel| LinkConfig::new().rate_bits_per_second(Some(8_000_000)).codel(codel);
    let packets = |ecn| vec![data(Version::V6, ecn, 1_000 - 60 - 4); 600];
    let (marked, link) = through(&config(CoDel::new().mark()), packets(Ecn::Ect0));
    let places: Vec<usize> = (0..600).filter(|at| ecn_of_smoltcp(&marked[*at]) == 3).collect();
    // A packet a millisecond: at 105 ms, 100 ms later, 100 / sqrt(2) after that...
    assert_eq!(places[..5], [105, 205, 276, 334, 384]);
    assert_eq!(link.statistics().marked, places.len() as u64);
    assert_eq!(link.statistics().managed, 0);
    for (codel, ecn) in [(CoDel::new(), Ecn::Ect0), (CoDel::new().mark(), Ecn::NotEct)] {
        let (arrived, link) = through(&config(codel), packets(ecn));
        assert_eq!(link.statistics().managed, 600 - arrived.len() as u64);
        assert_eq!(link.statistics().marked, 0);
        // A dropped packet takes no time on the wire, so the queue is shorter by its length.
        assert!(link.statistics().managed.abs_diff(places.len() as u64) <= 2, "{link:?}");
    }
}

#[test]
fn pure_acknowledgments_are_told_from_everything_else() {
    let everyone_of_them = LinkConfig::new().ack_loss(1.0);
    let lost =
        |packet: Vec<u8>| through(&everyone_of_them, vec![packet]).1.statistics().lost_acks == 1;
    for version in VERSIONS {
        let of = |flags, len| packet(version, Ecn::NotEct, flags, 2, len);
        assert!(lost(pure_ack(version, 1)), "with an option");
        assert!(lost(pure_ack(version, 2)), "without");
        assert!(lost(packet(version, Ecn::Ect0, Flags::ACK | Flags::ECE, 2, 0)));
        for (what, packet) in [
            ("text", of(Flags::ACK, 1)),
            ("FIN", of(Flags::ACK | Flags::FIN, 0)),
            ("SYN", of(Flags::ACK | Flags::SYN, 0)),
            ("RST", of(Flags::ACK | Flags::RST, 0)),
            ("no ACK", of(Flags::PSH, 0)),
        ] {
            assert!(!lost(packet), "{what}");
        }
        let mut other = pure_ack(version, 2);
        other[if version == Version::V4 { 9 } else { 6 }] = 17;
        assert!(!lost(other), "another protocol");
        for len in 0..pure_ack(version, 2).len() - 6 {
            // The last six bytes of a header are behind its flags.
            assert!(!lost(pure_ack(version, 2)[..len].to_vec()), "cut to {len}");
        }
    }
    let mut fragment = pure_ack(Version::V4, 2);
    fragment[6] |= 0x20;
    assert!(!lost(fragment), "a fragment");
    assert!(!lost(vec![0xff; 100]));
}

#[test]
fn acknowledgments_are_lost_as_often_as_told_and_data_never() {
    for seed in SEEDS {
        let mut link = Link::new(LinkConfig::new().ack_loss(0.2), seed).expect("a link");
        let (ack, text) = (pure_ack(Version::V4, 1), data(Version::V4, Ecn::NotEct, 9));
        for n in 0..20_000 {
            link.offer(n, if n % 2 == 0 { ack.clone() } else { text.clone() });
        }
        let statistics = link.statistics();
        assert_binomial("acks", seed, 10_000, 0.2, statistics.lost_acks);
        assert_eq!(statistics.dropped(), statistics.lost_acks);
    }
}

/// Offers each packet at its time, and says when each arrives, by its length.
fn timed(config: LinkConfig, packets: &[(u64, Vec<u8>)]) -> Vec<(u64, usize)> {
    let mut link: Link<Vec<u8>> = Link::new(config, 1).expect("a link");
    let mut arrived = Vec::new();
    for at_ns in packets.iter().map(|packet| packet.0).chain([u64::MAX]) {
        while let Some(due_ns) = link.next_delivery_ns().filter(|due_ns| *due_ns <= at_ns) {
            arrived.push((due_ns, link.deliver(due_ns).expect("one is due").len()));
        }
        for packet in packets.iter().filter(|packet| packet.0 == at_ns) {
            link.offer(at_ns, packet.1.clone());
        }
    }
    assert!(link.is_empty());
    arrived
}

#[test]
fn acknowledgments_are_held_and_go_on_together() {
    let compression = AckCompression::new(ms(10)).count(3);
    let config = LinkConfig::new().delay(ms(5)).ack_compression(compression);
    let (ack, text) = (pure_ack(Version::V4, 2), data(Version::V4, Ecn::NotEct, 60 - 44));
    let at = |millis: u64, packet: &Vec<u8>| (millis * MILLISECOND, packet.clone());
    let arrived = timed(
        config,
        &[
            at(0, &ack),
            at(4, &text),
            at(9, &ack),
            at(10, &ack), // comes when the bunch of two is going
            at(12, &ack),
            at(13, &ack), // makes three
            at(50, &ack), // is alone and waits
        ],
    );
    let expected = [(9, 60), (15, 40), (15, 40), (18, 40), (18, 40), (18, 40), (65, 40)];
    assert_eq!(arrived, expected.map(|(millis, len)| (millis * MILLISECOND, len)));
}
