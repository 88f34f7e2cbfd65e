//! ICMP errors about our segments: which are believed (RFC 5927), and what they do.

mod support;

use support::{connected, ms, secs};
use towpath_engine::{CloseReason, Config, SocketError, StateName};
use towpath_lab::segment::{ack, data, rst, syn, syn_ack};
use towpath_lab::single::{Report, Setup, Single, for_each_client, for_each_server};
use towpath_wire::checksum::Sum;

/// Linux's errno for each code of "destination unreachable" and the other errors.
const ERRORS_V4: [(u8, u8, SocketError); 18] = [
    (3, 0, SocketError::NetworkUnreachable),
    (3, 1, SocketError::HostUnreachable),
    (3, 2, SocketError::ProtocolUnreachable),
    (3, 3, SocketError::ConnectionRefused),
    (3, 5, SocketError::NotSupported),
    (3, 6, SocketError::NetworkUnreachable),
    (3, 7, SocketError::HostDown),
    (3, 8, SocketError::NotOnNetwork),
    (3, 9, SocketError::NetworkUnreachable),
    (3, 10, SocketError::HostUnreachable),
    (3, 11, SocketError::NetworkUnreachable),
    (3, 12, SocketError::HostUnreachable),
    (3, 13, SocketError::HostUnreachable),
    (3, 14, SocketError::HostUnreachable),
    (3, 15, SocketError::HostUnreachable),
    (11, 0, SocketError::HostUnreachable),
    (11, 1, SocketError::HostUnreachable),
    (12, 0, SocketError::Protocol),
];

const ERRORS_V6: [(u8, u8, SocketError); 10] = [
    (1, 0, SocketError::NetworkUnreachable),
    (1, 1, SocketError::AccessDenied),
    (1, 2, SocketError::HostUnreachable),
    (1, 3, SocketError::HostUnreachable),
    (1, 4, SocketError::ConnectionRefused),
    (1, 5, SocketError::AccessDenied),
    (1, 6, SocketError::AccessDenied),
    (3, 0, SocketError::HostUnreachable),
    (4, 0, SocketError::Protocol),
    (4, 1, SocketError::Protocol),
];

/// What asks for nothing: source quench, redirect, codes that nobody knows.
const SILENT_V4: [(u8, u8); 4] = [(4, 0), (5, 1), (3, 16), (3, 200)];

fn errors(ipv6: bool) -> &'static [(u8, u8, SocketError)] {
    if ipv6 { &ERRORS_V6 } else { &ERRORS_V4 }
}

// Shows: 9293 SHLD-26
#[test]
fn a_connect_that_is_reported_as_undelivered_fails_at_once_with_the_errno_of_linux() {
    for ipv6 in [false, true] {
        for &(kind, code, error) in errors(ipv6) {
            for crossed in [false, true] {
                let mut single = Single::client(Setup { ipv6, ..Setup::default() });
                let id = single.connect();
                single.expect(syn());
                if crossed {
                    single.inject(syn().mss(1000));
                    single.expect(syn_ack());
                }
                single.report(Report::new(kind, code), 0);
                let found = single.call(|endpoint, _| endpoint.take_error(id));
                assert_eq!(found, Some(error), "type {kind} code {code} ipv6 {ipv6}");
                let reason = single.endpoint().close_reason(id);
                assert!(matches!(reason, Some(CloseReason::Icmp { .. })), "{reason:?}");
                single.close(id);
                single.finish_empty();
            }
        }
    }
}

// Shows: RFC1122 s3.2.1.3b
#[test]
fn a_report_from_an_address_that_no_sender_has_is_dropped() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    single.expect(syn());
    let liars = [[10, 0, 0, 1], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]];
    for (dropped, liar) in liars.into_iter().enumerate() {
        let mut bytes = single.report_bytes(Report::new(3, 1), 0).to_vec();
        bytes[12..16].copy_from_slice(&liar);
        bytes[10..12].fill(0);
        let sum = Sum::new().add_bytes(&bytes[..20]).finish();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        single.inject_bytes(&bytes.into());
        single.expect_state(id, StateName::SynSent);
        assert_eq!(single.counters().drop_martian, dropped as u64 + 1);
    }
    single.report(Report::new(3, 1), 0);
    single.expect_state(id, StateName::Closed);
}

// Shows: RFC6633, RFC5927 s6
#[test]
fn source_quench_and_unknown_codes_do_nothing_at_all() {
    for open in [false, true] {
        let mut single = Single::client(Setup::default());
        let id = if open {
            connected(&mut single)
        } else {
            let id = single.connect();
            single.expect(syn());
            id
        };
        let before = (single.endpoint().state(id), single.endpoint().info(id));
        for (kind, code) in SILENT_V4 {
            single.report(Report::new(kind, code), u32::from(open));
        }
        assert_eq!((single.endpoint().state(id), single.endpoint().info(id)), before);
        single.expect_nothing();
    }
}

// Shows: 9293 MUST-54, 9293 MUST-55, 9293 MUST-56, RFC5927 s4.1, RFC5927 s5.2, H-47, RFC1122 s4.2.3.9, RFC5927 s6
#[test]
fn reports_about_an_open_connection_do_not_end_it() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        for (kind, code, _) in errors(single.local().is_ipv6()) {
            for seq in [0, 1, 50, 101, 102, 5_000_000] {
                single.report(Report::new(*kind, *code), seq);
                single.expect_state(id, StateName::Established);
                single.expect_nothing();
            }
        }
        single.inject(ack(1, 101));
        single.inject(data(1, 10, 101));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: RFC5927 s4.1
#[test]
fn a_report_about_a_segment_that_was_never_sent_is_ignored_and_counted() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        let port_unreachable = if single.local().is_ipv4() { (3, 3) } else { (1, 4) };
        for seq in [1, 2, 0x8000_0000, u32::MAX] {
            single.report(Report::new(port_unreachable.0, port_unreachable.1), seq);
            single.expect_state(id, StateName::SynSent);
        }
        assert_eq!(single.counters().out_of_window_icmps, 4);
        assert_eq!(single.counters().icmp_no_socket, 0);
        single.abort(id);
        single.report(Report::new(port_unreachable.0, port_unreachable.1), 0);
        assert_eq!(single.counters().icmp_no_socket, 1);
    });
}

// Shows: 9293 MUST-47, 9293 SHLD-25
#[test]
fn a_soft_report_is_the_error_when_the_connection_times_out() {
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    single.write(id, 100);
    single.expect(data(1, 100, 1));
    single.report(Report::new(3, 1), 1);
    single.advance(secs(3600));
    single.take_segments();
    single.read_error(id, SocketError::HostUnreachable);
}

// Shows: 9293 MUST-47, 9293 SHLD-25
#[test]
fn a_soft_report_is_forgotten_when_the_peer_is_heard_again() {
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    single.write(id, 100);
    single.expect(data(1, 100, 1));
    single.report(Report::new(3, 1), 1);
    single.inject(ack(1, 101));
    single.write(id, 100);
    single.advance(secs(3600));
    single.take_segments();
    single.read_error(id, SocketError::TimedOut);
}

// Shows: RFC5927 s4.1, H-26
#[test]
fn a_syn_ack_that_cannot_be_delivered_is_given_up_if_the_report_quotes_its_number() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        let host_unreachable =
            if single.local().is_ipv4() { Report::new(3, 1) } else { Report::new(1, 1) };
        single.report(host_unreachable, 1);
        single.report(host_unreachable, 0x8000_0000);
        assert_eq!((single.census().half_open, single.counters().out_of_window_icmps), (1, 2));
        // What a filter says in passing is not enough in IPv4.
        if single.local().is_ipv4() {
            single.report(Report::new(3, 3), 0);
            single.report(Report::new(3, 13), 0);
            assert_eq!(single.census().half_open, 1);
        }
        single.report(host_unreachable, 0);
        assert_eq!(single.census().half_open, 0);
        single.advance(secs(10));
        single.expect_nothing();
        // The listener does not mind.
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
    });
}

// Shows: RFC5927 s4.1, H-44
#[test]
fn reports_about_a_connection_in_time_wait_do_nothing() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.shutdown(id);
        single.take_segments();
        single.inject(towpath_lab::segment::fin(1, 2));
        single.take_segments();
        for (kind, code, _) in errors(single.local().is_ipv6()) {
            for seq in [1, 2] {
                single.report(Report::new(*kind, *code), seq);
            }
        }
        assert_eq!(single.census().time_wait, 1);
        single.expect_nothing();
    });
}

// Shows: H-48, RFC4443 s2.4a
#[test]
fn a_report_that_quotes_too_little_or_another_report_is_ignored() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    single.expect(syn());
    let whole = single.report_bytes(Report::new(3, 3), 0);
    // Seven of the eight bytes, with lengths and checksums that fit.
    let refit = |mut bytes: Vec<u8>| {
        let len = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&len);
        for range in [10..12, 22..24] {
            bytes[range].fill(0);
        }
        let sum = towpath_wire::checksum::Sum::new().add_bytes(&bytes[..20]).finish();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let sum = towpath_wire::checksum::Sum::new().add_bytes(&bytes[20..]).finish();
        bytes[22..24].copy_from_slice(&sum.to_be_bytes());
        bytes::Bytes::from(bytes)
    };
    single.inject_bytes(&refit(whole[..whole.len() - 1].to_vec()));
    // The quoted packet is an ICMP message, whose bytes may say anything.
    let mut of_icmp = whole.to_vec();
    of_icmp[20 + 8 + 9] = 1;
    single.inject_bytes(&refit(of_icmp));
    single.expect_state(id, StateName::SynSent);
    single.inject_bytes(&refit(whole.to_vec()));
    single.expect_state(id, StateName::Closed);
}

// RFC 9293 figure 9: the peer still has a connection of before.
// Shows: RFC9293 s3.10.7.3a, RFC9293 s3.5.1
#[test]
fn an_ack_of_the_connection_before_is_reset_and_the_syn_goes_again_at_once() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(ack(5000, 9000));
        single.expect(rst(9000));
        single.expect_after(ms(2), syn());
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        single.expect_state(id, StateName::Established);
    });
    // Only the first time, or the two would answer each other for ever.
    let mut single = Single::client(Setup::default());
    single.connect();
    single.expect(syn());
    single.inject(ack(5000, 9000));
    single.expect(rst(9000));
    single.expect_after(ms(2), syn());
    single.inject(ack(5000, 9000));
    single.expect(rst(9000));
    single.expect_silence(ms(900));
}

// Shows: RFC7323 s3.2d
#[test]
fn an_answer_that_echoes_none_of_our_timestamps_is_reset() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    let sent = single.take_packets();
    let ours = sent.first().and_then(|(_, it)| it.segment.options.timestamps).map(|it| it.value);
    let ours = ours.expect("our SYN has a timestamp");
    single.advance(ms(10));
    for echo in [ours.wrapping_sub(1), ours.wrapping_add(11), ours.wrapping_add(1 << 31)] {
        single.inject(syn_ack().mss(1000).ts(7, echo));
        single.expect(rst(1));
        single.expect_state(id, StateName::SynSent);
    }
    assert_eq!(single.counters().paws_active, 3);
    single.inject(syn_ack().mss(1000).ts(7, ours));
    single.expect(ack(1, 1));
    single.expect_state(id, StateName::Established);
}
