//! What the calls of an application give, in every state and after every end (RFC 9293
//! section 3.10.1 to 3.10.6), as Linux's give it: a table.

mod support;

use support::{accepted, connected, ms, secs};
use towpath_engine::{
    Config, ConnectionId, Event, IcmpError, IcmpErrorKind, Readiness, SendFlags, SocketError,
    StateName,
};
use towpath_lab::packet::Packet;
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn};
use towpath_lab::single::{Setup, Single, for_each_server};
use towpath_wire::Protocol;
use towpath_wire::icmp::Quoted;

/// The results of read, read, write, write, shutdown for sending, and connect, in this order.
type Calls = [&'static str; 6];

fn name(result: Result<usize, SocketError>) -> String {
    match result {
        Ok(0) => "0".to_owned(),
        Ok(_) => "some".to_owned(),
        Err(error) => match error {
            SocketError::WouldBlock => "EAGAIN",
            SocketError::ConnectionReset => "ECONNRESET",
            SocketError::ConnectionRefused => "ECONNREFUSED",
            SocketError::ConnectionAborted => "ECONNABORTED",
            SocketError::TimedOut => "ETIMEDOUT",
            SocketError::BrokenPipe => "EPIPE",
            SocketError::NotConnected => "ENOTCONN",
            SocketError::AlreadyConnecting => "EALREADY",
            SocketError::IsConnected => "EISCONN",
            SocketError::HostUnreachable => "EHOSTUNREACH",
            _ => "?",
        }
        .to_owned(),
    }
}

fn calls(single: &mut Single, id: ConnectionId) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(name(single.try_read(id, 100)));
    }
    for _ in 0..2 {
        let flags = SendFlags::default();
        seen.push(name(single.call(|endpoint, now| endpoint.send_small(now, id, b"x", flags))));
    }
    let shut = single.call(|endpoint, now| endpoint.shutdown_send(now, id));
    seen.push(name(shut.map(|()| 0)));
    seen.push(name(single.call(|endpoint, _| endpoint.connect_again(id)).map(|()| 0)));
    seen
}

fn syn_sent(single: &mut Single) -> ConnectionId {
    let id = single.connect();
    single.take_segments();
    id
}

/// What the path reports of a packet of the engine.
fn host_unreachable(sent: &Packet) -> IcmpError {
    let quoted = Quoted {
        src: sent.ip.src,
        dst: sent.ip.dst,
        protocol: Protocol::TCP,
        src_port: sent.segment.src_port,
        dst_port: sent.segment.dst_port,
        seq: sent.segment.seq,
        total_length: 52,
    };
    let kind =
        IcmpErrorKind::NotDelivered { error: SocketError::HostUnreachable, ends_half_open: false };
    IcmpError { from: sent.ip.dst, kind, quoted }
}

fn unreachable(single: &mut Single) -> ConnectionId {
    let id = single.connect();
    let sent = single.take_packets().remove(0).1;
    let error = host_unreachable(&sent);
    single.call(|endpoint, now| endpoint.handle_icmp_error(now, error));
    id
}

fn timed_out(single: &mut Single) -> ConnectionId {
    let id = connected(single);
    single.write(id, 10);
    single.advance(secs(2000));
    single.take_segments();
    id
}

fn closing(single: &mut Single) -> ConnectionId {
    let id = connected(single);
    single.shutdown(id);
    single.inject(fin(1, 1));
    single.take_segments();
    single.expect_state(id, StateName::Closing);
    id
}

type Row = (&'static str, fn(&mut Single) -> ConnectionId, Calls);

const TABLE: [Row; 15] = [
    ("SYN-SENT", syn_sent, ["EAGAIN", "EAGAIN", "EAGAIN", "EAGAIN", "0", "ECONNRESET"]),
    ("ESTABLISHED", connected, ["EAGAIN", "EAGAIN", "some", "some", "0", "0"]),
    (
        "ESTABLISHED with data",
        |single| {
            let id = connected(single);
            single.inject(data(1, 10, 1));
            id
        },
        ["some", "EAGAIN", "some", "some", "0", "0"],
    ),
    (
        "half closed by the peer",
        |single| {
            let id = connected(single);
            single.inject(data(1, 10, 1).with_fin());
            id
        },
        ["some", "0", "some", "some", "0", "0"],
    ),
    (
        "half closed by us",
        |single| {
            let id = connected(single);
            single.shutdown(id);
            id
        },
        ["EAGAIN", "EAGAIN", "EPIPE", "EPIPE", "0", "0"],
    ),
    (
        "shut for reading, with data",
        |single| {
            let id = connected(single);
            single.inject(data(1, 10, 1));
            single.call(|endpoint, now| endpoint.shutdown_receive(now, id)).unwrap();
            id
        },
        ["some", "0", "some", "some", "0", "0"],
    ),
    ("CLOSING", closing, ["0", "0", "EPIPE", "EPIPE", "0", "0"]),
    (
        "closed by both",
        |single| {
            let id = closing(single);
            single.inject(ack(2, 2));
            id
        },
        ["0", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    (
        "refused",
        |single| {
            let id = syn_sent(single);
            single.inject(rst_ack(0, 1));
            id
        },
        ["ECONNREFUSED", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    (
        "unreachable",
        unreachable,
        ["EHOSTUNREACH", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    (
        "reset",
        |single| {
            let id = connected(single);
            single.inject(rst(1));
            id
        },
        ["ECONNRESET", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    (
        "reset with data unread",
        |single| {
            let id = connected(single);
            single.inject(data(1, 10, 1));
            single.inject(rst(11));
            id
        },
        ["some", "ECONNRESET", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    (
        "reset after the peer's FIN",
        |single| {
            let id = connected(single);
            single.inject(fin(1, 1));
            single.inject(rst(2));
            id
        },
        ["0", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
    ("timed out", timed_out, ["ETIMEDOUT", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"]),
    (
        "keep-alive unanswered",
        |single| {
            let id = connected(single);
            single.set(id, |options| {
                options.keepalive = true;
                options.keepalive_time = Some(secs(1));
                options.keepalive_interval = Some(secs(1));
                options.keepalive_probes = Some(1);
            });
            single.advance(secs(5));
            id
        },
        ["ETIMEDOUT", "0", "EPIPE", "EPIPE", "ENOTCONN", "ECONNABORTED"],
    ),
];

// Shows: 9293 MUST-12, RFC9293 s3.10.7.4g
#[test]
fn every_call_gives_what_linux_gives() {
    for ipv6 in [false, true] {
        for (phrase, walk, expected) in TABLE {
            let mut single = Single::client(Setup { ipv6, ..Setup::default() });
            let id = walk(&mut single);
            assert_eq!(calls(&mut single, id), expected, "{phrase}");
            single.take_segments();
        }
    }
}

// Shows: 9293 MUST-12
#[test]
fn the_pending_error_is_given_once_by_whichever_call_comes_first() {
    let reset = |single: &mut Single| {
        let id = connected(single);
        single.inject(rst(1));
        id
    };
    let mut single = Single::client(Setup::default());
    let id = reset(&mut single);
    let error = single.call(|endpoint, _| endpoint.take_error(id));
    assert_eq!(error, Some(SocketError::ConnectionReset));
    assert_eq!(single.call(|endpoint, _| endpoint.take_error(id)), None);
    single.read_end(id);
    let mut single = Single::client(Setup::default());
    let id = reset(&mut single);
    assert_eq!(single.try_write(id, 10), Err(SocketError::ConnectionReset));
    assert_eq!(single.try_write(id, 10), Err(SocketError::BrokenPipe));
    single.read_end(id);
}

// Shows: 9293 MUST-47, 9293 SHLD-25
#[test]
fn a_soft_error_can_be_asked_for_and_ends_nothing() {
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    single.write(id, 10);
    let sent = single.take_packets().remove(0).1;
    let error = host_unreachable(&sent);
    single.call(|endpoint, now| endpoint.handle_icmp_error(now, error));
    single.expect_state(id, StateName::Established);
    let error = single.call(|endpoint, _| endpoint.take_error(id));
    assert_eq!(error, Some(SocketError::HostUnreachable));
    assert_eq!(single.call(|endpoint, _| endpoint.take_error(id)), None);
}

#[test]
fn connect_called_again_succeeds_once() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    single.expect(syn());
    let again = |single: &mut Single| single.call(|endpoint, _| endpoint.connect_again(id));
    assert_eq!(again(&mut single), Err(SocketError::AlreadyConnecting));
    single.inject(towpath_lab::segment::syn_ack());
    single.expect(ack(1, 1));
    assert_eq!(again(&mut single), Ok(()));
    assert_eq!(again(&mut single), Err(SocketError::IsConnected));
    single.inject(rst(1));
    assert_eq!(again(&mut single), Err(SocketError::IsConnected));
}

/// How the application lets go, and what the peer sees of it.
// Shows: 9293 SHLD-3, RFC2525 2.17, 9293 MAY-1, RFC9293 s3.10.5
#[test]
fn unread_data_and_zero_linger_reset_and_a_linger_time_does_not() {
    for (linger, unread, reset) in [
        (None, false, false),
        (None, true, true),
        (Some(secs(0)), false, true),
        (Some(secs(0)), true, true),
        (Some(secs(5)), false, false),
        (Some(secs(5)), true, true),
    ] {
        for_each_server(&Config::default(), |single| {
            let id = accepted(single);
            single.set(id, |options| options.linger = linger);
            let mut next = 1;
            if unread {
                single.inject(data(1, 10, 1));
                next = 11;
                single.advance(ms(100));
                single.take_segments();
            }
            single.close(id);
            let last = if reset { rst_ack(1, next) } else { fin(1, next) };
            single.expect(last);
            let counters = single.counters();
            let zero = linger == Some(secs(0));
            assert_eq!(counters.abort_on_close, u64::from(unread));
            assert_eq!(counters.abort_on_data, u64::from(zero && !unread));
            assert_eq!(single.census().connections, usize::from(!reset));
        });
    }
}

#[test]
fn a_connection_knows_its_listener_and_one_of_our_own_has_none() {
    let mut single = Single::server(Setup::default());
    let listener = single.listen();
    single.inject(syn());
    single.inject(ack(1, 1));
    let id = single.accept(listener);
    assert_eq!(single.endpoint().listener_of(id), Some(listener));
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    assert_eq!(single.endpoint().listener_of(id), None);
}

#[test]
fn shutting_the_reading_side_wakes_who_reads_and_gives_the_end() {
    let shut = |single: &mut Single, id| {
        single.take_events();
        let result = single.call(|endpoint, now| endpoint.shutdown_receive(now, id));
        (result, single.take_events())
    };
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    assert!(!single.endpoint().readiness(id).contains(Readiness::READABLE));
    let ended = Readiness::READABLE | Readiness::READ_CLOSED;
    assert_eq!(shut(&mut single, id), (Ok(()), vec![Event::Ready(id, ended)]));
    assert!(single.endpoint().readiness(id).contains(ended));
    single.read_end(id);
    single.inject(rst(1));
    assert_eq!(shut(&mut single, id).0, Err(SocketError::NotConnected));
    // In SYN-SENT the attempt is over.
    let mut single = Single::client(Setup::default());
    let id = syn_sent(&mut single);
    assert_eq!(shut(&mut single, id).0, Ok(()));
    single.expect_state(id, StateName::Closed);
}
