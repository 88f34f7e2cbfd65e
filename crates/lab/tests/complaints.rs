//! What a host says to packets that it does not take: RFC 1122 section 3.2.2, RFC 4443 section 2.4,
//! RFC 8200 section 4.

mod support;

use core::net::IpAddr;

use bytes::Bytes;
use support::{ms, secs};
use towpath_engine::Config;
use towpath_lab::segment::{ack, rst, syn};
use towpath_lab::single::{Setup, Single};
use towpath_wire::checksum::pseudo_header;
use towpath_wire::icmp::{IcmpMessage, UnreachableCode};
use towpath_wire::ip::{Ecn, HeaderChecksum};
use towpath_wire::{IpHeader, Protocol};

fn single(ipv6: bool, config: Config) -> Single {
    Single::server(Setup { ipv6, config, ..Setup::default() })
}

fn packet(src: IpAddr, dst: IpAddr, protocol: Protocol, body: &[u8]) -> Bytes {
    let ip = IpHeader {
        src,
        dst,
        protocol,
        hop_limit: 64,
        dscp: 0b10_1110,
        ecn: Ecn::NotEct,
        identification: 0,
        dont_fragment: true,
        flow_label: 0,
    };
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(body.len(), &mut bytes);
    bytes.extend_from_slice(body);
    bytes.into()
}

fn udp(src: IpAddr, dst: IpAddr) -> Bytes {
    let mut datagram = vec![0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let sum = pseudo_header(src, dst, Protocol::UDP, 12).add_bytes(&datagram).finish();
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    packet(src, dst, Protocol::UDP, &datagram)
}

/// The one packet that is not TCP, and what it says.
fn said(single: &mut Single, check: impl FnOnce(&IpHeader, IcmpMessage<'_>)) {
    single.expect_nothing();
    let others = single.take_others();
    let [bytes] = others.as_slice() else { panic!("one ICMP error, not {}", others.len()) };
    let parsed = IpHeader::parse(bytes, HeaderChecksum::Verify).expect("an IP packet");
    let ip = parsed.header;
    let message = IcmpMessage::parse(&bytes[parsed.payload], ip.src, ip.dst).expect("ICMP");
    check(&ip, message);
}

// Shows: RFC791 s3.1c, RFC4443 s3.1, RFC8200 s4b
#[test]
fn udp_meets_port_unreachable_and_another_protocol_its_own_error() {
    for ipv6 in [false, true] {
        let mut single = single(ipv6, Config::default());
        let (peer, own) = (single.peer().ip(), single.local().ip());
        single.inject_bytes(&udp(peer, own));
        said(&mut single, |ip, message| {
            assert_eq!((ip.src, ip.dst), (own, peer));
            let IcmpMessage::Unreachable { code: UnreachableCode::Port, quoted } = message else {
                panic!("{message:?}")
            };
            let quoted = quoted.expect("enough is quoted");
            assert_eq!((quoted.src, quoted.dst, quoted.dst_port), (peer, own, 53));
            // Internetwork control, in packets that routers may cut, of an ICMP that never sends
            // again.
            if !ipv6 {
                assert_eq!((ip.dscp, ip.dont_fragment), (0b11_0110, false));
            }
        });
        single.inject_bytes(&packet(peer, own, Protocol(132), &[7; 20]));
        said(&mut single, |_, message| match message {
            IcmpMessage::Unreachable { code: UnreachableCode::Protocol, .. } if !ipv6 => {}
            IcmpMessage::ParameterProblem { code: 1, pointer: 6, .. } if ipv6 => {}
            other => panic!("{other:?}"),
        });
        let counters = single.counters();
        let counted = (counters.icmp_out_dest_unreachs, counters.icmp_out_parm_probs);
        assert_eq!(counted, if ipv6 { (1, 1) } else { (2, 0) });
    }
}

// Shows: RFC8200 s4.2, RFC8200 s4.4, RFC8200 s4a
#[test]
fn an_extension_header_that_is_refused_is_pointed_at() {
    let mut single = single(true, Config::default());
    let (peer, own) = (single.peer().ip(), single.local().ip());
    let group: IpAddr = "ff02::1".parse().expect("an address");
    let option = |kind| [&[6, 0, kind, 4, 0, 0, 0, 0][..], &[7; 20]].concat();
    let route = [&[6, 0, 99, 1, 0, 0, 0, 0][..], &[7; 20]].concat();
    for (dst, first, body, expected) in [
        (own, 60, option(0x9e), Some((2, 42))),
        (own, 60, option(0xde), Some((2, 42))),
        (own, 60, option(0x5e), None),
        (own, 43, route, Some((0, 42))),
        // Two bits ask for an answer even from a group, the others do not.
        (group, 60, option(0x9e), Some((2, 42))),
        (group, 60, option(0xde), None),
    ] {
        single.inject_bytes(&packet(peer, dst, Protocol(first), &body));
        let Some((code, pointer)) = expected else {
            assert!(single.take_others().is_empty());
            continue;
        };
        said(&mut single, |ip, message| {
            assert_eq!((ip.src, ip.dst), (own, peer));
            match message {
                IcmpMessage::ParameterProblem { code: found, pointer: at, .. } => {
                    assert_eq!((found, at), (code, pointer));
                }
                other => panic!("{other:?}"),
            }
        });
    }
}

// Shows: RFC1122 s3.2.2, RFC4443 s2.4a, RFC1122 s3.2.1.3c
#[test]
fn what_was_for_many_or_not_for_us_or_from_nobody_gets_no_answer() {
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let mut single_v4 = single(false, Config::default());
    for (src, dst) in [
        ("10.0.0.2", "10.0.0.255"),
        ("10.0.0.2", "255.255.255.255"),
        ("10.0.0.2", "224.0.0.1"),
        ("10.0.0.2", "10.0.0.9"),
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "10.0.0.1"),
        ("127.0.0.1", "10.0.0.1"),
        ("224.0.0.1", "10.0.0.1"),
        ("240.0.0.1", "10.0.0.1"),
        ("10.0.0.255", "10.0.0.1"),
        ("255.255.255.255", "10.0.0.1"),
    ] {
        single_v4.inject_bytes(&udp(ip(src), ip(dst)));
        assert!(single_v4.take_others().is_empty(), "{src} to {dst}");
    }
    // A fragment, also the first, and an error of unknown type.
    let whole = udp(ip("10.0.0.2"), ip("10.0.0.1"));
    let mut fragment = whole[..28].to_vec();
    fragment[2..4].copy_from_slice(&28u16.to_be_bytes());
    fragment[6..8].copy_from_slice(&[0x20, 0]);
    fragment[10..12].fill(0);
    let sum = towpath_wire::checksum::Sum::new().add_bytes(&fragment[..20]).finish();
    fragment[10..12].copy_from_slice(&sum.to_be_bytes());
    single_v4.inject_bytes(&fragment.into());
    single_v4.inject_bytes(&packet(ip("10.0.0.2"), ip("10.0.0.1"), Protocol::ICMP, &[3; 40]));
    assert!(single_v4.take_others().is_empty());

    let mut single_v6 = single(true, Config::default());
    for (src, dst) in [
        ("2001:db8::2", "ff02::1"),
        ("2001:db8::2", "2001:db8::9"),
        ("::", "2001:db8::1"),
        ("::1", "2001:db8::1"),
        ("ff02::1", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        single_v6.inject_bytes(&udp(ip(src), ip(dst)));
        assert!(single_v6.take_others().is_empty(), "{src} to {dst}");
    }
}

// Shows: RFC1122 icmp-rate, RFC4443 s2.4f
#[test]
fn a_flood_of_datagrams_is_not_mirrored() {
    for ipv6 in [false, true] {
        let mut single = single(ipv6, Config::default());
        let (peer, own) = (single.peer().ip(), single.local().ip());
        let mut answers = 0;
        for _ in 0..1000 {
            single.inject_bytes(&udp(peer, own));
            answers += single.take_others().len();
            single.advance(ms(5));
        }
        // Six at once, and one in each of the five seconds.
        assert!((10..=11).contains(&answers), "{answers}");
        assert_eq!(single.counters().icmp_rate_limit_host, 1000 - answers as u64);
    }
    let config = Config::default()
        .icmp_ratelimit(core::time::Duration::ZERO)
        .icmp_msgs_per_sec(10)
        .icmp_msgs_burst(5);
    let mut single = single(false, config);
    let (peer, own) = (single.peer().ip(), single.local().ip());
    for _ in 0..100 {
        single.inject_bytes(&udp(peer, own));
    }
    let at_once = single.take_others().len();
    assert!((2..=50).contains(&at_once), "{at_once}");
    assert_eq!(single.counters().icmp_rate_limit_global, 100 - at_once as u64);
    single.advance(secs(1));
    single.inject_bytes(&udp(peer, own));
    assert_eq!(single.take_others().len(), 1);
}

// Shows: RFC1122 s3.2.2.6, RFC4443 s4.2, RFC792 echo
#[test]
fn an_echo_to_one_host_is_answered_in_its_class_and_one_to_many_is_not() {
    for ipv6 in [false, true] {
        let mut single = single(ipv6, Config::default().echo_replies_per_second(5));
        let (peer, own) = (single.peer().ip(), single.local().ip());
        let protocol = if ipv6 { Protocol::ICMPV6 } else { Protocol::ICMP };
        let echo = |dst: IpAddr| {
            let message = IcmpMessage::EchoRequest { ident: 7, seq: 8, data: b"are you there?" };
            let mut body = vec![0; message.emit_len()];
            message.emit(peer, dst, &mut body);
            packet(peer, dst, protocol, &body)
        };
        single.inject_bytes(&echo(own));
        said(&mut single, |ip, message| {
            assert_eq!((ip.src, ip.dst), (own, peer));
            assert_eq!(ip.dscp, if ipv6 { 0 } else { 0b10_1110 });
            let answer = IcmpMessage::EchoReply { ident: 7, seq: 8, data: b"are you there?" };
            assert_eq!(message, answer);
        });
        let many: &[&str] =
            if ipv6 { &["ff02::1"] } else { &["10.0.0.255", "255.255.255.255", "224.0.0.1"] };
        for dst in many {
            single.inject_bytes(&echo(dst.parse().expect("an address")));
            assert!(single.take_others().is_empty(), "{dst}");
        }
        for _ in 0..10 {
            single.inject_bytes(&echo(own));
        }
        assert_eq!(single.take_others().len(), 4, "five in a second");
    }
}

// Shows: RFC1122 s3.2.2.6
#[test]
fn the_limit_of_echo_replies_can_be_changed_while_the_stack_runs() {
    let mut single = single(false, Config::default().echo_replies_per_second(5));
    let (peer, own) = (single.peer().ip(), single.local().ip());
    let message = IcmpMessage::EchoRequest { ident: 7, seq: 8, data: b"are you there?" };
    let mut body = vec![0; message.emit_len()];
    message.emit(peer, own, &mut body);
    let echo = packet(peer, own, Protocol::ICMP, &body);
    let wider = Config::default().echo_replies_per_second(8);
    single.call(|endpoint, _| endpoint.set_config(wider)).unwrap();
    single.advance(secs(2));
    for _ in 0..10 {
        single.inject_bytes(&echo);
    }
    assert_eq!(single.take_others().len(), 8);
}

// Shows: RFC2474/3168
#[test]
fn a_reset_of_no_connection_travels_in_the_class_of_what_it_answers() {
    let mut single = single(false, Config::default());
    for seg in [syn(), ack(1, 9)] {
        let mut packet = single.packet(&seg);
        packet.ip.dscp = 0b10_1110;
        packet.ip.ecn = Ecn::Ce;
        single.inject_packet(packet);
    }
    let sent = single.take_packets();
    assert_eq!(sent.len(), 2);
    for (_, packet) in sent {
        assert_eq!((packet.ip.dscp, packet.ip.ecn), (0b10_1110, Ecn::NotEct));
    }
    single.inject(rst(1));
    single.expect_nothing();
}
