//! The active open: RFC 9293 sections 3.5 and 3.10.7.3, with crossing SYNs.

mod support;

use support::{connected, ms, secs};
use towpath_engine::{
    CloseReason, Config, Event, ListenRequest, Readiness, SocketError, StateName,
};
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client};

// Shows: 9293 MUST-14, RFC7323 s3.2d, RFC7323 s2.2c
#[test]
fn an_active_open_offers_everything_and_uses_what_comes_back() {
    for_each_client(&Config::default(), |single| {
        let mss = if single.local().is_ipv4() { 1460 } else { 1440 };
        let id = single.connect();
        single.expect_state(id, StateName::SynSent);
        let (_, packet) = {
            single.advance(ms(0));
            let mut packets = single.take_packets();
            assert_eq!(packets.len(), 1);
            packets.remove(0)
        };
        let options = &packet.segment.options;
        assert_eq!(options.mss, Some(mss));
        assert!(options.sack_permitted && options.window_scale.is_some());
        assert_eq!(options.timestamps.unwrap().echo, 0, "nothing to echo yet");
        let stamp = options.timestamps.unwrap().value;
        // The window of a SYN is never scaled: 500 bytes, not 64,000.
        single.inject(syn_ack().mss(1200).sack_ok().ts(77, stamp).wscale(7).win(500));
        single.expect(ack(1, 1).some_ts());
        single.expect_state(id, StateName::Established);
        let info = single.endpoint().info(id).unwrap();
        assert_eq!((info.snd_wnd, info.snd_wscale), (500, 7));
        assert!(single.take_events().iter().any(|event| matches!(event, Event::Ready(ready, what)
                if *ready == id && what.contains(Readiness::CONNECTED))));
        assert_eq!(single.call(|endpoint, _| endpoint.take_error(id)), None);
    });
}

// Shows: RFC7323 s2.2b, I-32
#[test]
fn an_active_open_does_without_what_is_stripped_from_the_answer() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        let info = single.endpoint().info(id).unwrap();
        assert!(!info.sack && !info.timestamps);
        assert_eq!((info.snd_wscale, info.rcv_wscale, info.snd_mss), (0, 0, 1000));
    });
}

// Shows: RFC9293 s3.10.7.3c, RFC5961 s3.2b
#[test]
fn a_reset_of_our_syn_is_a_refusal() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        // Without an ACK, or with one of another SYN, it is somebody's guess.
        single.inject(rst(0));
        single.inject(rst_ack(0, 0));
        single.inject(rst_ack(0, 2));
        single.expect_state(id, StateName::SynSent);
        single.inject(rst_ack(0, 1));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::Refused));
        let error = single.call(|endpoint, _| endpoint.take_error(id));
        assert_eq!(error, Some(SocketError::ConnectionRefused));
        single.close(id);
        single.finish_empty();
    });
}

// Shows: RFC9293 s3.10.7.3a, RFC9293 s3.10.7.3e, H-63, RFC9293 s3.10.7.3b, RFC9293 s3.10.7.4t
#[test]
fn a_wrong_ack_in_syn_sent_is_reset_and_the_attempt_goes_on() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn_ack().ack(0));
        single.expect(rst(0));
        single.inject(syn_ack().ack(2));
        single.expect(rst(2));
        single.inject(ack(5, 2));
        single.expect(rst(2));
        // Neither SYN nor RST, with the right number.
        single.inject(ack(5, 1));
        single.expect_nothing();
        single.inject(fin(5, 1));
        single.expect_nothing();
        single.expect_state(id, StateName::SynSent);
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        single.expect_state(id, StateName::Established);
    });
}

// Shows: RFC6298 s2.1, RFC6298 s5.5, 9293 MUST-22, I-06, RFC8961 s4.1
#[test]
fn a_syn_is_sent_again_on_the_schedule_of_linux_and_then_given_up() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        // Four time-outs that do not count and do not double, and six that do.
        for wait in [1, 1, 1, 1, 1, 2, 4, 8, 16, 32] {
            single.expect_after(secs(wait), syn());
        }
        single.expect_silence(ms(63_990));
        single.expect_state(id, StateName::SynSent);
        single.expect_silence(ms(20));
        assert!(matches!(
            single.endpoint().close_reason(id),
            Some(CloseReason::TimedOut { retransmissions: 10 })
        ));
        let error = single.call(|endpoint, _| endpoint.take_error(id));
        assert_eq!(error, Some(SocketError::TimedOut));
        single.close(id);
        single.finish_empty();
    });
}

/// Few retries are over by the clock before all SYNs that may be were sent.
// Shows: 9293 MUST-22, I-06
#[test]
fn a_syn_is_given_up_when_its_retries_would_be_over_had_each_been_doubled() {
    for (retries, waits, last) in [(1, [1, 1].as_slice(), 1), (2, &[1, 1, 1, 1, 1], 2)] {
        for_each_client(&Config::default().tcp_syn_retries(retries), |single| {
            let id = single.connect();
            single.expect(syn());
            for wait in waits {
                single.expect_after(secs(*wait), syn());
            }
            single.expect_silence(secs(last) + ms(10));
            single.expect_state(id, StateName::Closed);
            single.close(id);
            single.finish_empty();
        });
    }
}

// Shows: RFC9293 s3.10.7.3d, 9293 MUST-10
#[test]
fn crossing_syns_open_one_connection() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_state(id, StateName::SynReceived);
        single.inject(syn_ack().mss(1000));
        single.expect_state(id, StateName::Established);
        single.take_segments();
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        single.inject(ack(1, 11));
        single.inject(data(1, 10, 11));
        single.read(id, 10);
        single.expect_within(ms(500), ack(11, 11));
    });
}

// Shows: RFC9293 s3.10.7.3d, 9293 MUST-11
#[test]
fn crossing_syns_complete_with_a_bare_ack_and_a_reset_is_a_refusal() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.expect_nothing();
        single.expect_state(id, StateName::Established);
    });
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(rst(1));
        assert_eq!(
            single.call(|endpoint, _| endpoint.take_error(id)),
            Some(SocketError::ConnectionRefused)
        );
    });
}

// Shows: 9293 MUST-42
#[test]
fn a_port_in_syn_sent_may_be_listened_on() {
    let mut single = Single::client(Setup::default());
    let id = single.connect();
    single.expect(syn());
    let local = single.local();
    let listener = single.call(|endpoint, _| endpoint.listen(ListenRequest::new(local)));
    assert!(listener.is_ok());
    single.inject(syn_ack().mss(1000));
    single.expect(ack(1, 1));
    single.expect_state(id, StateName::Established);
}

#[test]
fn a_connect_that_is_dropped_frees_its_port_and_record() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.expect(syn());
        single.close(id);
        single.finish_empty();
    });
}

// Shows: H-64, I-12
#[test]
fn a_syn_ack_that_comes_again_is_acknowledged() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.advance(secs(1));
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        // Another peer's SYN-ACK never moves the window.
        single.advance(secs(1));
        single.inject(syn_ack().seq(5_000_000).mss(1000));
        single.expect(ack(1, 1));
        single.inject(data(1, 10, 1));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.10.7.3d
#[test]
fn text_with_the_answer_to_crossing_syns_is_delivered_whole() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect();
        single.take_segments();
        single.inject(syn().mss(1000));
        single.take_segments();
        let mut answer = syn_ack().mss(1000);
        answer = answer.text(b"0123456789");
        single.inject(answer);
        let read = single.call(|endpoint, now| endpoint.receive(now, id, 100));
        assert_eq!(read.map(|it| it.to_vec()), Ok(b"0123456789".to_vec()));
        single.expect(ack(1, 11));
    });
}
