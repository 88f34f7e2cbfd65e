//! Keep-alive: RFC 9293 section 3.8.4.

mod support;

use support::{accepted, ms, secs};
use towpath_engine::{
    CloseReason, Config, ConnectionId, KeepAlive, SocketError, SocketOptions, StateName,
};
use towpath_lab::segment::{ack, data};
use towpath_lab::single::{Setup, Single, for_each_server};

fn switch_on(single: &mut Single, id: ConnectionId) {
    let mut options = SocketOptions::default();
    options.set_keep_alive(Some(KeepAlive { time: secs(60), interval: secs(10), probes: 5 }));
    single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
}

// Shows: 9293 MUST-25
#[test]
fn an_idle_connection_is_silent_by_default() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.expect_silence(secs(3 * 24 * 3600));
        single.expect_state(id, StateName::Established);
        assert_eq!(single.census().timers, 0);
    });
}

// Shows: 9293 MUST-24, 9293 MUST-27, 9293 MUST-29, 9293 SHLD-12, 9293 MAY-5
#[test]
fn an_idle_peer_is_probed_and_given_up_after_the_last_probe() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        switch_on(single, id);
        single.expect_after(secs(60), ack(0, 1));
        for _ in 0..4 {
            single.expect_after(secs(10), ack(0, 1));
            single.expect_state(id, StateName::Established);
        }
        single.expect_silence(ms(9_990));
        single.expect_state(id, StateName::Established);
        single.advance(ms(20));
        single.take_segments();
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::KeepAlive { probes: 5 }));
        single.read_error(id, SocketError::TimedOut);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

// Shows: 9293 MUST-28, RFC2525 2.9, RFC2525 2.11
#[test]
fn by_default_it_begins_after_two_hours_and_nine_unanswered_probes_end_it() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut options = SocketOptions::default();
        options.keepalive = true;
        single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
        single.expect_after(secs(7200), ack(0, 1));
        for _ in 1..9 {
            single.expect_after(secs(75), ack(0, 1));
        }
        single.expect_silence(ms(74_990));
        single.expect_state(id, StateName::Established);
        single.advance(ms(20));
        single.take_segments();
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::KeepAlive { probes: 9 }));
        single.read_error(id, SocketError::TimedOut);
    });
}

// Shows: 9293 MUST-29
#[test]
fn an_answer_begins_the_wait_again() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        switch_on(single, id);
        for _ in 0..20 {
            single.expect_after(secs(60), ack(0, 1));
            single.expect_after(secs(10), ack(0, 1));
            single.inject(ack(1, 1));
        }
        single.expect_state(id, StateName::Established);
        // Text counts as a sign of life too.
        single.expect_silence(secs(50));
        single.inject(data(1, 10, 1));
        single.read(id, 10);
        single.expect(ack(1, 11));
        single.expect_after(secs(60), ack(0, 11));
    });
}

// Shows: 9293 MUST-26
#[test]
fn while_data_is_outstanding_the_retransmission_timer_rules() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        switch_on(single, id);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        single.advance(secs(300));
        let sent = single.take_segments();
        assert!(sent.iter().all(|(seq, len, _)| (*seq, *len) == (1, 100)), "{sent:?}");
        single.expect_state(id, StateName::Established);
    });
}

// Shows: 9293 MUST-24
#[test]
fn switched_off_it_stops() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        switch_on(single, id);
        single.expect_after(secs(60), ack(0, 1));
        let off = SocketOptions::default();
        single.call(|endpoint, now| endpoint.set_options(now, id, off)).unwrap();
        single.expect_silence(secs(3600));
        single.expect_state(id, StateName::Established);
    });
}

// Shows: 9293 MUST-27
#[test]
fn a_keep_alive_time_of_zero_does_not_hang() {
    let (done, finished) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut single = Single::server(Setup::default());
        let id = accepted(&mut single);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        let mut options = SocketOptions::default();
        options.set_keep_alive(Some(KeepAlive { time: ms(0), interval: ms(0), probes: u32::MAX }));
        let _ = single.call(|endpoint, now| endpoint.set_options(now, id, options));
        single.advance(ms(1));
        single.take_segments();
        let _ = done.send(());
    });
    assert!(finished.recv_timeout(secs(10)).is_ok(), "the engine does not come back");
}
