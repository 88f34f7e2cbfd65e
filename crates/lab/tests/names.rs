//! Names that are in use: TIME-WAIT and what may follow it, listeners, ports that are kept.

mod support;

use core::net::SocketAddr;

use support::secs;
use towpath_engine::{
    Config, ConnectRequest, ConnectionId, ListenRequest, ListenerId, SocketError,
};
use towpath_lab::segment::{Seg, ack, data, fin, rst, syn, syn_ack};
use towpath_lab::single::{Setup, Single};

/// One more connection of the peer, with a port of its own. What it said is out of the way.
fn another(single: &mut Single, listener: ListenerId, first: Seg) -> (ConnectionId, u16, u32) {
    let port = single.peer().port() + 1;
    single.set_peer_port(port);
    single.inject(first);
    single.expect(syn_ack());
    single.inject(ack(1, 1));
    (single.accept(listener), port, single.own_number(0).0)
}

/// A connection whose peer closed last, which is in TIME-WAIT.
fn into_time_wait(single: &mut Single, stamped: bool) {
    let stamp = |seg: Seg, value| match stamped {
        true => seg.ts(value, 0),
        false => seg,
    };
    let id = single.connect();
    single.expect(syn());
    single.inject(stamp(syn_ack().mss(1000), 100));
    single.expect(ack(1, 1));
    single.close(id);
    single.expect(fin(1, 1));
    single.inject(stamp(fin(1, 2), 101));
    single.expect(ack(2, 2));
    assert_eq!(single.census().time_wait, 1);
}

// Shows: RFC6191 s3, RFC6056 s3.3b
#[test]
fn a_connect_from_a_given_port_in_time_wait_asks_for_reuse_and_timestamps() {
    for stamped in [true, false] {
        let mut single = Single::client(Setup::default());
        into_time_wait(&mut single, stamped);
        let end = single.own_number(2);
        let request = ConnectRequest::new(single.peer()).local(single.local());
        let made = single.call(|endpoint, now| endpoint.connect(now, request));
        assert_eq!(made, Err(SocketError::AddressInUse));
        let made = single.call(|endpoint, now| endpoint.connect(now, request.reuse_address(true)));
        if !stamped {
            assert_eq!(made, Err(SocketError::AddressInUse));
            continue;
        }
        assert!(made.is_ok());
        single.expect(syn());
        // Beyond all that the old connection sent.
        assert_eq!(single.own_number(0), end + 65_537);
        assert_eq!(single.census().time_wait, 0);
        assert_eq!(single.counters().time_wait_recycled, 1);
    }
}

// Shows: 9293 MUST-41
#[test]
fn a_listener_s_name_conflicts_with_listeners_and_without_reuse_with_connections() {
    let mut single = Single::server(Setup::default());
    let listener = single.listen();
    let (id, ..) = another(&mut single, listener, syn().mss(1000));
    single.call(|endpoint, now| endpoint.close_listener(now, listener));
    let listen = |single: &mut Single, name: &str, reuse: bool| {
        let request = ListenRequest::new(name.parse().unwrap()).reuse_address(reuse);
        let made = single.call(|endpoint, _| endpoint.listen(request));
        if let Ok(listener) = made {
            single.call(|endpoint, now| endpoint.close_listener(now, listener));
        }
        made.map(|_| ())
    };
    let in_use = Err(SocketError::AddressInUse);
    let check = |single: &mut Single| {
        for (name, plain) in [
            ("10.0.0.1:80", in_use),
            ("0.0.0.0:80", in_use),
            ("127.0.0.1:80", Ok(())),
            ("10.0.0.1:81", Ok(())),
            ("[::]:80", Ok(())),
        ] {
            assert_eq!(listen(single, name, false), plain, "{name}");
            assert_eq!(listen(single, name, true), Ok(()), "{name}");
        }
    };
    check(&mut single);
    // In TIME-WAIT as well.
    single.close(id);
    single.expect(fin(1, 1));
    single.inject(fin(1, 2));
    single.expect(ack(2, 2));
    check(&mut single);
    single.advance(secs(61));
    assert_eq!(listen(&mut single, "10.0.0.1:80", false), Ok(()));
    // Among listeners reuse changes nothing; IPv4 and IPv6 are apart.
    let any: ListenRequest = ListenRequest::new("0.0.0.0:80".parse().unwrap());
    single.call(|endpoint, _| endpoint.listen(any)).unwrap();
    for reuse in [false, true] {
        assert_eq!(listen(&mut single, "10.0.0.1:80", reuse), in_use);
        assert_eq!(listen(&mut single, "127.0.0.1:80", reuse), in_use);
        assert_eq!(listen(&mut single, "[::]:80", reuse), Ok(()));
    }
}

// Shows: RFC6056 s3.2, RFC6056 s3.5
#[test]
fn reserved_ports_are_given_and_not_chosen() {
    let mut config = Config::default().ip_local_port_range((40_000, 40_003));
    config.set_by_name("ip_local_reserved_ports", "40000-40001,40003").unwrap();
    let mut single = Single::client(Setup { config, ..Setup::default() });
    let remote = single.peer();
    let connect = |single: &mut Single, request| {
        let id = single.call(|endpoint, now| endpoint.connect(now, request))?;
        Ok(single.endpoint().local_addr(id).unwrap().port())
    };
    assert_eq!(connect(&mut single, ConnectRequest::new(remote)), Ok(40_002));
    let full = Err(SocketError::AddressNotAvailable);
    assert_eq!(connect(&mut single, ConnectRequest::new(remote)), full);
    let given = ConnectRequest::new(remote).local(SocketAddr::new(single.local().ip(), 40_001));
    assert_eq!(connect(&mut single, given), Ok(40_001));
    let zero = ListenRequest::new(SocketAddr::new(single.local().ip(), 0));
    let made = single.call(|endpoint, _| endpoint.listen(zero));
    assert_eq!(made, Err(SocketError::AddressInUse));
    single.take_segments();
}

// Shows: RFC1337 s3, H-44
#[test]
fn a_reset_ends_time_wait_only_where_rfc_1337_is_off() {
    for (on, left) in [(true, 1), (false, 0)] {
        let config = Config::default().tcp_rfc1337(on);
        let mut single = Single::client(Setup { config, ..Setup::default() });
        into_time_wait(&mut single, true);
        // Out of place, or out of date, it never does.
        single.inject(rst(3).ts(102, 0));
        single.inject(rst(1).ts(102, 0));
        single.inject(rst(2).ts(99, 0));
        assert_eq!(single.census().time_wait, 1);
        single.inject(rst(2).ts(102, 0));
        assert_eq!(single.census().time_wait, left);
        assert_eq!(single.counters().time_wait_reset, 1 - left as u64);
        single.expect_nothing();
    }
}

// Shows: RFC7323 s5.3R1
#[test]
fn what_is_out_of_date_in_time_wait_is_counted() {
    let mut single = Single::client(Setup::default());
    into_time_wait(&mut single, true);
    single.inject(data(1, 1, 2).ts(99, 0));
    single.expect(ack(2, 2));
    assert_eq!(single.counters().paws_time_wait, 1);
    single.inject(data(1, 1, 2).ts(101, 0));
    single.expect(ack(2, 2));
    assert_eq!(single.counters().paws_time_wait, 1);
}

// Shows: RFC1337 s2, H-44
#[test]
fn old_data_in_time_wait_is_acknowledged_each_time_and_old_acks_are_not() {
    let mut single = Single::client(Setup::default());
    into_time_wait(&mut single, true);
    for _ in 0..5 {
        single.inject(data(1, 1, 2).ts(101, 0));
        single.expect(ack(2, 2));
    }
    let mut answers = 0;
    for _ in 0..5 {
        single.inject(ack(500, 2).ts(101, 0));
        answers += single.take_segments().len();
    }
    assert!(answers <= 1, "{answers}");
    assert_eq!(single.census().time_wait, 1);
}

// Shows: RFC9293 s3.10.7.4p
#[test]
fn a_new_syn_in_time_wait_is_acknowledged_where_nobody_listens() {
    let mut single = Single::client(Setup::default());
    into_time_wait(&mut single, false);
    single.inject(syn().seq(5000).mss(1000));
    single.expect(ack(2, 2));
    assert_eq!(single.census().time_wait, 1);
}
