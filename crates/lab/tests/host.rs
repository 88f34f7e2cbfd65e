//! What concerns the host rather than one connection: addresses that nobody may use, ports, and the
//! loopback.

mod support;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use support::{accepted, connected, ms, secs};
use towpath_engine::{Config, ConnectRequest, ListenRequest, SendFlags, SocketError, StateName};
use towpath_lab::segment::{ack, data, fin, syn, syn_ack};
use towpath_lab::single::{OURS, PORT, Setup, Single, THEIRS, for_each_client, for_each_server};

// Shows: 9293 MUST-57, 9293 MUST-63, RFC1122 s3.2.1.3b, RFC1122 s3.2.1.3c, H-28, H-57, H-58
// Shows: RFC1122 s4.2.3.10
#[test]
fn packets_from_and_to_impossible_addresses_are_met_with_silence() {
    let v4 = [
        ("10.0.0.2", "10.0.0.255"),
        ("10.0.0.2", "10.0.0.0"),
        ("10.0.0.2", "255.255.255.255"),
        ("10.0.0.2", "224.0.0.1"),
        ("10.0.0.2", "127.0.0.1"),
        ("10.0.0.2", "0.0.0.0"),
        ("10.0.0.2", "10.0.0.77"),
        ("224.0.0.1", "10.0.0.1"),
        ("255.255.255.255", "10.0.0.1"),
        ("10.0.0.255", "10.0.0.1"),
        ("0.0.0.0", "10.0.0.1"),
        ("127.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("0.1.2.3", "10.0.0.1"),
    ];
    let v6 = [
        ("2001:db8::2", "ff02::1"),
        ("2001:db8::2", "::1"),
        ("2001:db8::2", "::"),
        ("2001:db8::2", "2001:db8::77"),
        ("ff02::1", "2001:db8::1"),
        ("::", "2001:db8::1"),
        ("::1", "2001:db8::1"),
        ("::ffff:10.0.0.2", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ];
    for (ipv6, rows) in [(false, &v4[..]), (true, &v6[..])] {
        for (src, dst) in rows {
            let mut single = Single::server(Setup { ipv6, ..Setup::default() });
            single.listen();
            for seg in [syn().mss(1000), ack(5, 9), fin(3, 4)] {
                let mut packet = single.packet(&seg);
                packet.ip.src = src.parse().unwrap();
                packet.ip.dst = dst.parse().unwrap();
                single.inject_packet(packet);
                assert_eq!(single.take_packets(), [], "{src} > {dst}");
                assert_eq!(single.census().half_open, 0, "{src} > {dst}");
            }
        }
    }
}

// Shows: 9293 MUST-46
#[test]
fn connects_to_impossible_addresses_are_refused() {
    let mut single = Single::server(Setup::default());
    for remote in ["255.255.255.255:80", "224.0.0.1:80", "10.0.0.255:80", "8.8.8.8:80"] {
        let request = ConnectRequest::new(remote.parse().unwrap());
        let made = single.call(|endpoint, now| endpoint.connect(now, request));
        assert_eq!(made, Err(SocketError::NetworkUnreachable), "{remote}");
    }
    let request =
        ConnectRequest::new("10.0.0.2:80".parse().unwrap()).local("10.0.0.9:0".parse().unwrap());
    let made = single.call(|endpoint, now| endpoint.connect(now, request));
    assert_eq!(made, Err(SocketError::AddressNotAvailable));
    assert_eq!(single.census(), towpath_engine::Census::default());
}

// Shows: H-75, RFC6056 s3.3b
#[test]
fn when_all_ports_to_one_destination_are_taken_a_connect_fails() {
    let config = Config::default().ip_local_port_range((40_000, 40_009));
    let mut single = Single::client(Setup { config, ..Setup::default() });
    let remote: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let mut ports = std::collections::BTreeSet::new();
    let mut ids = Vec::new();
    for _ in 0..10 {
        let id = single
            .call(|endpoint, now| endpoint.connect(now, ConnectRequest::new(remote)))
            .unwrap();
        ports.insert(single.endpoint().local_addr(id).unwrap().port());
        ids.push(id);
    }
    assert_eq!(ports.into_iter().collect::<Vec<_>>(), (40_000..=40_009).collect::<Vec<_>>());
    let full = single.call(|endpoint, now| endpoint.connect(now, ConnectRequest::new(remote)));
    assert_eq!(full, Err(SocketError::AddressNotAvailable));
    // To another destination the ports are free, since no listener and no equal pair is in the way.
    let other: SocketAddr = "10.0.0.3:80".parse().unwrap();
    let made = single.call(|endpoint, now| endpoint.connect(now, ConnectRequest::new(other)));
    assert!(made.is_ok(), "{made:?}");
    ids.push(made.unwrap());
    for id in ids {
        single.abort(id);
    }
    single.take_packets();
    single.finish_empty();
}

// Shows: RFC6056 s3.3b
#[test]
fn the_same_pair_of_ends_cannot_connect_twice() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    single.expect(syn());
    let request = ConnectRequest::new(single.peer()).local(single.local());
    let twice = single.call(|endpoint, now| endpoint.connect(now, request));
    assert_eq!(twice, Err(SocketError::AddressInUse));
    single.expect_state(id, StateName::SynSent);
}

// Shows: RFC6056 s3.5
#[test]
fn a_socket_bound_to_port_zero_gets_a_port_that_cannot_be_told_beforehand() {
    // A listener has its port at once, when no destination is known yet.
    let mut listening = std::collections::BTreeSet::new();
    let mut apart = 0;
    for seed in 0..32 {
        let mut single = Single::server(Setup { seed, ..Setup::default() });
        let any = SocketAddr::new(single.local().ip(), 0);
        let mut bind = || {
            let listener = single.listen_with(ListenRequest::new(any));
            single.endpoint().listener_address(listener).unwrap().port()
        };
        let (first, second) = (bind(), bind());
        assert!((32_768..=60_999).contains(&first) && first != second, "{first}, {second}");
        apart += usize::from(second != first + 1);
        listening.insert(first);
    }
    assert!(listening.len() > 28 && apart > 16, "{listening:?}, {apart} of 32 not in a row");
    // Who binds and then connects gets it at the connect, by its destination.
    let mut single = Single::client(Setup::default());
    let any = SocketAddr::new(single.local().ip(), 0);
    let mut ports = Vec::new();
    for host in 2..34 {
        let remote = SocketAddr::from(([10, 0, 0, host], 80));
        let request = ConnectRequest::new(remote).local(any);
        let id = single.call(|endpoint, now| endpoint.connect(now, request)).unwrap();
        ports.push(i32::from(single.endpoint().local_addr(id).unwrap().port()));
    }
    let near = ports.windows(2).filter(|pair| (pair[1] - pair[0]).abs() < 100).count();
    assert!(near < 4, "{ports:?}");
}

#[test]
fn a_connection_to_the_host_s_own_address_works_through_the_loopback() {
    for address in ["127.0.0.1", "10.0.0.1"] {
        let mut single = Single::server(Setup::default());
        let here: IpAddr = address.parse().unwrap();
        let service = SocketAddr::new(here, PORT);
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        let listener = single.listen_with(ListenRequest::new(any));
        let client = single
            .call(|endpoint, now| endpoint.connect(now, ConnectRequest::new(service)))
            .unwrap();
        single.expect_state(client, StateName::Established);
        let (server, _) = single.call(|endpoint, now| endpoint.accept(now, listener)).unwrap();
        single.expect_state(server, StateName::Established);
        // Both ways, as far as the buffers go, until a megabyte has passed each way.
        let mut moved = [(client, server, 0_u64, 0_u64), (server, client, 0, 0)];
        for _ in 0..10_000 {
            for (from, to, sent, read) in &mut moved {
                let pattern = if *from == client { OURS } else { THEIRS };
                if *sent < 1_000_000 {
                    let text = pattern.bytes(*sent, (1_000_000 - *sent).min(8_000) as usize);
                    *sent += single
                        .call(|endpoint, now| {
                            let room = endpoint.reserve_send(*from, text.len())?;
                            endpoint.commit_send(
                                now,
                                *from,
                                room,
                                text.slice(..room),
                                SendFlags::default(),
                            )?;
                            Ok::<u64, SocketError>(room as u64)
                        })
                        .unwrap_or(0);
                }
                if let Ok(chunks) = single.call(|endpoint, now| endpoint.receive(now, *to, 50_000))
                {
                    assert_eq!(pattern.first_difference(*read, &chunks.to_vec()), None);
                    *read += chunks.len() as u64;
                }
            }
            single.advance(ms(1));
            if moved.iter().all(|(.., read)| *read == 1_000_000) {
                break;
            }
        }
        assert!(moved.iter().all(|(.., read)| *read == 1_000_000), "{moved:?}");
        single.close(client);
        let end = single.call(|endpoint, now| endpoint.receive(now, server, 10)).unwrap();
        assert!(end.is_empty());
        single.close(server);
        single.call(|endpoint, now| endpoint.close_listener(now, listener));
        single.finish_empty();
    }
}

#[test]
fn a_connect_to_a_closed_port_of_the_host_itself_is_refused() {
    let mut single = Single::client(Setup::default());
    let id = single
        .call(|endpoint, now| {
            endpoint.connect(now, ConnectRequest::new("127.0.0.1:9".parse().unwrap()))
        })
        .unwrap();
    let error = single.call(|endpoint, _| endpoint.take_error(id));
    assert_eq!(error, Some(SocketError::ConnectionRefused));
    single.close(id);
    single.finish_empty();
}

#[test]
fn abort_all_leaves_nothing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set_peer_port(50_000);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.call(|endpoint, now| {
            endpoint.abort_all(now, towpath_engine::CloseReason::Shutdown);
        });
        single.take_packets();
        single.read_error(id, SocketError::ConnectionAborted);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

// Shows: H-73
#[test]
fn a_clock_that_stands_still_or_jumps_a_month_does_no_harm() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        single.advance(ms(0));
        single.inject(ack(1, 101));
        single.advance(secs(30 * 24 * 3600));
        single.write(id, 100);
        single.expect(data(101, 100, 1));
        single.inject(ack(1, 201));
        single.expect_silence(secs(3600));
    });
}
