//! What holds of every packet that a connection sends, from its SYN to its last ACK: where it comes
//! from, how far it may go, how large it is, and what it never carries. RFC 9293 sections 3.7.1 and
//! 3.8.5, RFC 1122 section 3.2.1.

mod support;

use core::net::{IpAddr, SocketAddr};

use support::{ms, secs};
use towpath_engine::{Config, ConnectRequest, ConnectionId, KeepAlive, SocketOptions};
use towpath_lab::packet::Packet;
use towpath_lab::segment::{ack, data, fin, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client};
use towpath_wire::ip::Ecn;
use towpath_wire::tcp::Flags;

/// Everything that is sent in a life with a SYN, text, a retransmission, a probe of a closed window,
/// keep-alives, an answer to an old segment, and a close.
fn life(single: &mut Single, options: SocketOptions) -> Vec<Packet> {
    let id = single.connect_with(options);
    single.inject(syn_ack().mss(1000));
    live_on(single, id)
}

fn live_on(single: &mut Single, id: ConnectionId) -> Vec<Packet> {
    single.write(id, 2500);
    single.advance(ms(300));
    single.inject(ack(1, 2501).win(0));
    single.write(id, 10);
    single.advance(secs(1));
    single.inject(ack(1, 2501));
    single.inject(ack(1, 2511));
    single.inject(data(1, 1000, 2511));
    single.inject(data(2001, 1000, 2511));
    single.inject(data(1, 1000, 2511));
    single.inject(data(1001, 1000, 2511));
    single.read(id, 3000);
    single.advance(secs(60));
    single.inject(ack(3001, 2511));
    single.close(id);
    single.inject(fin(3001, 2512));
    let packets: Vec<Packet> =
        single.take_packets().into_iter().map(|(_, packet)| packet).collect();
    assert!(packets.len() > 10, "{packets:#?}");
    packets
}

fn keep_alive() -> SocketOptions {
    let mut options = SocketOptions::default();
    options.set_keep_alive(Some(KeepAlive { time: secs(10), interval: secs(10), probes: 50 }));
    options
}

// Shows: 9293 MUST-65, 9293 SHLD-13
#[test]
fn only_a_syn_announces_a_segment_size_and_nothing_is_urgent() {
    for_each_client(&Config::default(), |single| {
        for packet in life(single, keep_alive()) {
            let segment = &packet.segment;
            let is_syn = segment.flags.contains(Flags::SYN);
            assert_eq!(segment.options.mss.is_some(), is_syn, "{packet:?}");
            assert!(!segment.flags.contains(Flags::URG) && segment.urgent == 0, "{packet:?}");
        }
    });
}

// Shows: 9293 MUST-43, 9293 MUST-45, RFC1122 s3.2.1.3
#[test]
fn the_address_that_a_connection_was_opened_from_is_that_of_all_its_packets() {
    for ipv6 in [false, true] {
        for chosen in [false, true] {
            let mut single = Single::client(Setup { ipv6, ..Setup::default() });
            let (other, prefix_len): (IpAddr, u8) = if ipv6 {
                ("2001:db8::9".parse().unwrap(), 64)
            } else {
                ("10.0.0.9".parse().unwrap(), 24)
            };
            let first = single.local().ip();
            single.call(|endpoint, _| endpoint.add_address(other, prefix_len)).unwrap();
            let mut request = ConnectRequest::new(single.peer()).options(keep_alive());
            if chosen {
                request = request.local(SocketAddr::new(other, 0));
            }
            single.call(|endpoint, now| endpoint.connect(now, request)).unwrap();
            let expected = if chosen { other } else { first };
            // Nobody answers, the address that was not chosen goes on, and the SYN comes again.
            single.advance(secs(5));
            let packets = single.take_packets();
            assert!(packets.len() > 3, "{packets:?}");
            for (_, packet) in packets {
                assert_eq!(packet.ip.src, expected, "{packet:?}");
            }
        }
        // A life long, with an address more appearing in its middle.
        let mut single = Single::client(Setup { ipv6, ..Setup::default() });
        let first = single.local().ip();
        let id = single.connect_with(keep_alive());
        single.inject(syn_ack().mss(1000));
        let other: IpAddr = if ipv6 { "2001:db8::" } else { "10.0.0.0" }.parse().unwrap();
        let lower = match other {
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) + 8).into()),
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) + 8).into()),
        };
        let prefix_len = if ipv6 { 64 } else { 24 };
        single.call(|endpoint, _| endpoint.add_address(lower, prefix_len)).unwrap();
        for packet in live_on(&mut single, id) {
            assert_eq!(packet.ip.src, first, "{packet:?}");
        }
    }
}

// Shows: 9293 MUST-49, RFC1122 s3.2.1.7
#[test]
fn every_packet_has_the_configured_time_to_live_or_the_sockets_own() {
    for (configured, own, expected) in
        [(None, None, 64), (Some(5), None, 5), (None, Some(1), 1), (Some(5), Some(255), 255)]
    {
        let config =
            configured.map_or_else(Config::default, |ttl| Config::default().ip_default_ttl(ttl));
        for_each_client(&config, |single| {
            let mut options = keep_alive();
            options.ttl = own;
            for packet in life(single, options) {
                assert_eq!(packet.ip.hop_limit, expected, "{packet:?}");
            }
        });
    }
    assert!(Config::default().ip_default_ttl(0).validate().is_err());
}

// Shows: 9293 MUST-48, 9293 SHLD-21, 9293 SHLD-22
#[test]
fn every_packet_has_the_code_point_that_the_socket_has_at_that_time() {
    for_each_client(&Config::default(), |single| {
        let mut options = keep_alive();
        // Expedited forwarding. The two lowest bits belong to ECN.
        options.tos = 46 << 2 | 3;
        for packet in life(single, options) {
            assert_eq!((packet.ip.dscp, packet.ip.ecn), (46, Ecn::NotEct), "{packet:?}");
        }
    });
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.inject(syn_ack().mss(1000));
        let before = single.take_packets();
        let mut options = SocketOptions::default();
        options.tos = 10 << 2;
        single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
        single.write(id, 100);
        let after = single.take_packets();
        assert!(before.len() == 2 && before.iter().all(|(_, packet)| packet.ip.dscp == 0));
        assert!(after.len() == 1 && after[0].1.ip.dscp == 10, "{after:?}");
    });
}

// Shows: RFC1122 s3.2.1.7
#[test]
fn what_arrives_on_its_last_hop_is_taken() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.take_packets();
        single.inject(syn_ack().mss(1000));
        single.take_packets();
        for hop_limit in [1, 0] {
            let mut packet = single.packet(&data(1, 10, 1));
            packet.ip.hop_limit = hop_limit;
            if hop_limit == 0 {
                packet.segment.seq += 10;
            }
            single.inject_packet(packet);
            single.call(|endpoint, now| endpoint.receive(now, id, 10)).expect("ten bytes");
        }
        single.take_packets();
    });
}

// Shows: 9293 SHLD-6, RFC6691 s2, RFC1122 s3.3.3, RFC8200 s8.3, RFC6864 s4.3
#[test]
fn the_size_that_a_syn_announces_is_the_devices_and_no_packet_is_larger() {
    for (ipv6, mtu) in [(false, 576), (false, 1500), (false, 9000), (true, 1280), (true, 9000)] {
        let mut single = Single::client(Setup { ipv6, mtu, ..Setup::default() });
        let id = single.connect();
        let headers = if ipv6 { 60 } else { 40 };
        let syn = single.take_packets().remove(0).1;
        // Never less for the options that segments carry: the sender of them subtracts those.
        assert_eq!(syn.segment.options.mss, Some((mtu - headers) as u16), "{syn:?}");
        single.inject(syn_ack().mss(60_000).ts(1, 0));
        single.write(id, 10_000);
        let packets = single.take_packets();
        let longest = packets.iter().map(|(_, packet)| packet.to_bytes().len()).max();
        assert_eq!(longest, Some(mtu), "full segments, and none that would be cut");
        assert!(packets.iter().all(|(_, packet)| packet.ip.dont_fragment));
    }
}
