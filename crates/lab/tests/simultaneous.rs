//! Both sides at once: crossing SYNs (RFC 9293 figure 8) and crossing FINs (figure 13), with what
//! gets lost, comes twice, or comes with text on the way.

mod support;

use support::{accepted, connected, ms, secs};
use towpath_engine::{CloseReason, Config, ConnectionId, SocketError, StateName};
use towpath_lab::segment::{ack, data, fin, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};

/// Both SYNs are on their way; ours was answered by none.
fn crossed(single: &mut Single) -> ConnectionId {
    let id = single.connect();
    single.expect(syn());
    single.inject(syn().mss(1000));
    single.expect(syn_ack().mss(if single.local().is_ipv4() { 1460 } else { 1440 }));
    single.expect_state(id, StateName::SynReceived);
    id
}

// Shows: RFC9293 s3.10.7.3d, 9293 MUST-10
#[test]
fn when_our_syn_ack_is_lost_the_peer_s_syn_again_is_answered_and_ours_goes_again() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        // The peer heard neither of our SYNs.
        single.inject(syn().mss(1000));
        single.expect(ack(1, 1));
        single.expect_after(secs(1), syn_ack());
        single.inject(ack(1, 1));
        single.expect_state(id, StateName::Established);
    });
}

// Shows: 9293 MUST-22
#[test]
fn after_crossing_syns_each_time_out_is_twice_the_last_and_six_end_the_attempt() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        for wait in [1, 2, 4, 8, 16, 32] {
            single.expect_after(secs(wait), syn_ack());
        }
        single.expect_silence(ms(63_999));
        single.expect_state(id, StateName::SynReceived);
        single.expect_silence(ms(1));
        let found = single.call(|endpoint, _| endpoint.take_error(id));
        assert_eq!(found, Some(SocketError::TimedOut));
    });
}

// Shows: 9293 MUST-22
#[test]
fn time_outs_before_the_syns_crossed_count_and_do_not_double() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.expect_after(secs(1), syn());
        single.expect_after(secs(1), syn());
        single.advance(ms(500));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_after(ms(500), syn_ack());
        for wait in [2, 4, 8] {
            single.expect_after(secs(wait), syn_ack());
        }
        single.expect_silence(secs(16));
        let found = single.call(|endpoint, _| endpoint.take_error(id));
        assert_eq!(found, Some(SocketError::TimedOut));
    });
}

// Shows: RFC9293 s3.10.7.4h, RFC9293 A.2
#[test]
fn a_syn_ack_that_comes_again_after_crossing_syns_is_acknowledged_once() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        single.inject(syn_ack().mss(1000));
        single.expect_state(id, StateName::Established);
        // The peer did not hear our SYN-ACK and waits for it in SYN-RECEIVED.
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        single.inject(syn_ack().mss(1000));
        single.expect_nothing();
        single.expect_state(id, StateName::Established);
    });
}

// Shows: RFC9293 s3.10.7.4h, H-64
#[test]
fn a_syn_ack_with_another_number_than_the_syn_that_crossed_is_challenged() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        single.inject(syn_ack().seq(50).mss(1000));
        single.expect(ack(1, 1));
        single.expect_state(id, StateName::SynReceived);
        single.inject(syn_ack().mss(1000));
        single.expect_state(id, StateName::Established);
    });
}

// Shows: RFC9293 s3.10.7.4k
#[test]
fn text_sent_at_once_after_the_peer_s_side_is_open_opens_ours_and_is_delivered() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        single.inject(data(1, 300, 1));
        single.expect_state(id, StateName::Established);
        single.read(id, 300);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.10.7.2b, RFC9293 s3.10.7.3d
#[test]
fn text_with_a_crossing_syn_is_not_taken_and_comes_again() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn().mss(1000).len(100));
        single.expect(syn_ack().ack(1));
        single.inject(syn_ack().mss(1000));
        single.expect_state(id, StateName::Established);
        single.inject(data(1, 100, 1));
        single.read(id, 100);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.10.7.4v, RFC9293 s3.10.7.4t
#[test]
fn a_fin_with_a_crossing_syn_waits_for_the_handshake() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn().mss(1000).with_fin());
        single.expect(syn_ack().ack(1));
        single.expect_state(id, StateName::SynReceived);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        single.expect_state(id, StateName::CloseWait);
        single.read_end(id);
    });
}

// Shows: RFC9293 s3.10.4
#[test]
fn a_close_between_crossing_syns_sends_its_fin_when_they_have_met() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        single.shutdown(id);
        single.expect_nothing();
        single.inject(syn_ack().mss(1000));
        single.expect(fin(1, 1));
        single.expect_state(id, StateName::FinWait1);
        // And the peer closed in the same breath.
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        single.inject(ack(2, 2));
        single.expect_state(id, StateName::Closed);
        assert_eq!(single.census().time_wait, 1);
    });
}

// Shows: RFC9293 s3.10.7.4k, RFC9293 s3.10.7.4f
#[test]
fn between_crossing_syns_a_wrong_ack_is_reset_and_a_reset_in_the_window_is_challenged() {
    for_each_client(&Config::default(), |single| {
        let id = crossed(single);
        single.inject(ack(1, 2));
        single.expect(towpath_lab::segment::rst(2));
        single.inject(towpath_lab::segment::rst(100));
        single.expect(ack(1, 1));
        single.expect_state(id, StateName::SynReceived);
        single.inject(rst_ack(1, 1));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::Refused));
        single.read_error(id, SocketError::ConnectionRefused);
    });
}

// Shows: RFC7323 s3.2b, RFC7323 s5.3R1
#[test]
fn timestamps_hold_from_the_crossing_on() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn().some_ts());
        single.inject(syn().mss(1000).ts(500, 0));
        single.expect(syn_ack().some_ts());
        // A challenge has the option too, and echoes the SYN's.
        single.inject(syn().seq(50).ts(501, 0));
        let answers = single.take_packets();
        let echoes: Vec<_> =
            answers.iter().map(|(_, it)| it.segment.options.timestamps.map(|it| it.echo)).collect();
        assert_eq!(echoes, [Some(500)]);
        // Old by its timestamp: not the end of the handshake.
        single.inject(data(1, 10, 1).ts(400, 0));
        single.expect_state(id, StateName::SynReceived);
        single.take_segments();
        single.inject(ack(1, 1).ts(502, 0));
        single.expect_state(id, StateName::Established);
    });
}

// Shows: 9293 MUST-22
#[test]
fn crossing_syns_that_never_meet_are_given_up() {
    let mut single = Single::client(Setup::default());
    let id = crossed(&mut single);
    single.advance(secs(400));
    single.expect_state(id, StateName::Closed);
    assert!(single.take_segments().len() >= 6);
    single.read_error(id, SocketError::TimedOut);
    single.close(id);
    single.finish_empty();
}

/// FIN-WAIT-1: our FIN is on its way.
fn fin_sent(single: &mut Single, id: ConnectionId) {
    single.shutdown(id);
    single.expect(fin(1, 1));
}

// Shows: RFC9293 s3.6 case3, RFC9293 s3.10.7.4o
#[test]
fn crossing_fins_that_get_lost_are_sent_again_and_both_acknowledged() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        fin_sent(single, id);
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        single.expect_state(id, StateName::Closing);
        // Our ACK was lost: the peer's FIN again. So was our FIN: it goes again, with its number.
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        single.expect_after(ms(200), fin(1, 2));
        single.inject(ack(2, 2));
        assert_eq!(single.census().time_wait, 1);
        // The last ACK got lost in turn.
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
    });
}

// Shows: RFC9293 s3.6 case3, RFC9293 s3.10.7.4u
#[test]
fn text_with_both_crossing_fins_is_delivered_before_the_ends() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.write(id, 300);
        single.expect(data(1, 300, 1));
        single.shutdown(id);
        single.expect(fin(301, 1));
        single.inject(data(1, 200, 1).with_fin());
        single.expect(ack(302, 202));
        single.expect_state(id, StateName::Closing);
        // Part of what is outstanding: our FIN is not.
        single.inject(ack(202, 301));
        single.expect_state(id, StateName::Closing);
        single.inject(ack(202, 302));
        assert_eq!(single.census().time_wait, 1);
        assert_eq!(single.try_read(id, 1000), Ok(200));
        single.read_end(id);
    });
}

// Shows: RFC9293 s3.6 case3, RFC9293 s3.10.7.4u
#[test]
fn a_crossing_fin_beyond_a_hole_closes_when_the_hole_is_filled() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        fin_sent(single, id);
        single.inject(data(101, 100, 1).with_fin());
        single.expect(ack(2, 1));
        single.expect_state(id, StateName::FinWait1);
        single.inject(data(1, 100, 2));
        single.expect(ack(2, 202));
        assert_eq!(single.census().time_wait, 1);
        assert_eq!(single.try_read(id, 1000), Ok(200));
        single.read_end(id);
    });
}
