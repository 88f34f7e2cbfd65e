//! The options of a socket that packets show: what is announced, how long is waited, what is held.

mod support;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{
    CloseReason, Config, Event, FinWait2, ListenRequest, QuickAck, Readiness, SendFlags,
    SocketError, SocketOptions, StateName,
};
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};

fn options(change: impl FnOnce(&mut SocketOptions)) -> SocketOptions {
    let mut options = SocketOptions::default();
    change(&mut options);
    options
}

fn listen_with(single: &mut Single, options: SocketOptions) -> towpath_engine::ListenerId {
    let request = ListenRequest::new(single.local()).options(options);
    single.listen_with(request)
}

#[test]
fn a_chosen_segment_size_bounds_what_is_announced_and_what_is_sent() {
    for_each_client(&Config::default(), |single| {
        let id = single.connect_with(options(|options| options.max_segment = Some(700)));
        single.expect(syn().mss(700));
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        single.write(id, 1400);
        single.expect_all([data(1, 700, 1), data(701, 700, 1)]);
    });
    for_each_server(&Config::default(), |single| {
        let listener = listen_with(single, options(|options| options.max_segment = Some(700)));
        single.inject(syn().mss(1000));
        single.expect(syn_ack().mss(700));
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.write(id, 700);
        single.expect(data(1, 700, 1));
        assert_eq!(single.endpoint().options(id).unwrap().max_segment, Some(700), "inherited");
    });
}

#[test]
fn a_chosen_buffer_and_a_clamp_decide_window_and_scale() {
    for (change, window, shift) in [
        (options(|options| options.receive_buffer = Some(20_000)), 18_980, 0),
        (options(|options| options.receive_buffer = Some(200_000)), 65_535, 2),
        (options(|options| options.window_clamp = Some(30_000)), 29_200, 0),
        (options(|_| {}), 64_240, 10),
    ] {
        let mut single = Single::client(Setup::default());
        single.connect_with(change);
        single.expect(syn().win(window).wscale(shift));
    }
    // With timestamps segments are smaller, and so are the units of the window.
    let mut single = Single::server(Setup::default());
    let listener = single.listen();
    single.inject(syn().mss(1460).ts(1, 0));
    single.expect(syn_ack().win(65_160));
    let _ = listener;
}

#[test]
fn a_window_clamp_holds_for_every_later_offer() {
    let mut single = Single::server(Setup::default());
    let id = accept_from(&mut single, syn().mss(1000).wscale(7));
    single.set(id, |options| options.window_clamp = Some(20_000));
    // What was offered is used up first, slowly: each offer is rounded up to the window's scale.
    for segment in 0..200 {
        single.inject(data(1 + segment * 1000, 1000, 1));
        while single.try_read(id, usize::MAX).is_ok() {}
    }
    single.advance(ms(300));
    let last = single.take_packets().pop().unwrap().1;
    let window = u32::from(last.segment.window) << 10;
    assert!((19_000..=20_480).contains(&window), "{window}");
}

// Shows: RFC1122 s3.2.1.7
#[test]
fn type_of_service_and_time_to_live_are_on_every_packet() {
    for_each_server(&Config::default(), |single| {
        let wish = options(|options| {
            options.set_by_name("IP_TOS", 0x2b).unwrap();
            options.ttl = Some(9);
        });
        let listener = listen_with(single, wish);
        single.inject(syn().mss(1000));
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.write(id, 10);
        single.inject(ack(1, 11));
        single.close(id);
        let packets = single.take_packets();
        assert_eq!(packets.len(), 3);
        for (_, packet) in packets {
            assert_eq!((packet.ip.dscp, packet.ip.ecn.bits(), packet.ip.hop_limit), (10, 0, 9));
        }
    });
}

// Shows: 9293 MUST-22, 9293 MUST-21
#[test]
fn a_syn_is_sent_again_as_often_as_the_socket_says() {
    let config = Config::default().tcp_syn_linear_timeouts(0);
    for_each_client(&config, |single| {
        let id = single.connect_with(options(|options| options.syn_retries = Some(2)));
        single.expect(syn());
        single.expect_after(secs(1), syn());
        single.expect_after(secs(2), syn());
        single.advance(secs(4));
        assert_eq!(
            single.endpoint().close_reason(id),
            Some(CloseReason::TimedOut { retransmissions: 2 })
        );
    });
}

// Shows: 9293 MUST-21, RFC9293 s3.10.8a
#[test]
fn a_user_timeout_ends_a_connection_whose_data_nobody_acknowledges() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.user_timeout = Some(secs(5)));
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        single.expect_after(ms(201), data(1, 100, 1));
        // Counted from the first time-out, and the last one comes for it.
        single.advance(ms(4_980));
        single.expect_state(id, StateName::Established);
        single.advance(ms(40));
        single.take_segments();
        single.expect_state(id, StateName::Closed);
        single.read_error(id, SocketError::TimedOut);
    });
}

// Shows: 9293 MUST-21
#[test]
fn a_user_timeout_ends_a_connection_whose_window_stays_closed_though_the_peer_answers() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.user_timeout = Some(secs(3)));
        single.inject(ack(1, 1).win(0));
        single.write(id, 100);
        let began = single.elapsed();
        while single.endpoint().state(id) == Some(StateName::Established) {
            assert!(single.elapsed() - began < secs(60));
            single.advance(ms(10));
            if !single.take_segments().is_empty() {
                single.inject(ack(1, 1).win(0));
            }
        }
        let took = single.elapsed() - began;
        // From the first probe, a fifth of a second after the window closed.
        assert!((ms(3_150)..ms(3_300)).contains(&took), "{took:?}");
    });
}

// Shows: 9293 MUST-21
#[test]
fn a_user_timeout_replaces_the_count_of_keep_alive_probes() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| {
            options.keepalive = true;
            options.keepalive_time = Some(secs(10));
            options.keepalive_interval = Some(secs(10));
            options.keepalive_probes = Some(100);
            options.user_timeout = Some(secs(35));
        });
        for _ in 0..3 {
            single.expect_after(secs(10), ack(0, 1));
        }
        single.expect_after(secs(10), rst_ack(1, 1));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::KeepAlive { probes: 3 }));
    });
}

// Shows: 9293 MUST-24, 9293 MUST-27
#[test]
fn keep_alive_numbers_stay_while_it_is_off() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.keepalive_time = Some(secs(30)));
        single.expect_silence(secs(100));
        single.set(id, |options| options.keepalive = true);
        // Idle for longer already: probed at once, as by a Linux whose timer is set anew.
        single.expect_within(secs(30), ack(0, 1));
        single.inject(ack(1, 1));
        single.set(id, |options| options.keepalive = false);
        single.expect_silence(secs(100));
        assert_eq!(single.endpoint().options(id).unwrap().keepalive_time, Some(secs(30)));
    });
}

#[test]
fn a_listener_that_defers_accepts_when_data_comes() {
    for_each_server(&Config::default(), |single| {
        let listener = listen_with(single, options(|options| options.defer_accept = Some(secs(5))));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.expect_silence(ms(1_500));
        assert_eq!(single.census().accept_queue, 0);
        assert_eq!(single.counters().defer_accept_drops, 1);
        single.inject(data(1, 10, 1));
        let id = single.accept(listener);
        single.read(id, 10);
        single.expect(ack(1, 11));
    });
}

#[test]
fn a_deferring_listener_asks_once_more_and_then_accepts_a_bare_ack() {
    for_each_server(&Config::default(), |single| {
        // 5 s are three time-outs: 1, 3 and 7 s.
        let listener = listen_with(single, options(|options| options.defer_accept = Some(secs(5))));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.expect_after(secs(7), syn_ack());
        assert_eq!(single.census().accept_queue, 0);
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.expect_state(id, StateName::Established);
    });
}

// Shows: H-45
#[test]
fn an_orphan_waits_for_the_peers_fin_as_long_as_the_socket_says() {
    for (wish, waits) in [(FinWait2::Default, 60), (FinWait2::For(secs(7)), 7)] {
        for_each_server(&Config::default(), |single| {
            let id = accepted(single);
            single.set(id, |options| options.fin_wait_2 = wish);
            single.close(id);
            single.expect(fin(1, 1));
            single.inject(ack(1, 2));
            single.expect_silence(secs(waits) - ms(10));
            assert_eq!(single.census().connections, 1);
            single.expect_silence(ms(20));
            assert_eq!(single.census().connections, 0);
        });
    }
}

#[test]
fn an_orphan_that_is_not_to_wait_resets_the_peer() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.fin_wait_2 = FinWait2::NotAtAll);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        single.expect(rst(2));
        assert_eq!(single.counters().abort_on_linger, 1);
        single.finish_empty_with_listener();
    });
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.fin_wait_2 = FinWait2::NotAtAll);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        single.close(id);
        single.expect(rst_ack(2, 1));
    });
}

#[test]
fn a_blocking_close_waits_until_all_is_acknowledged() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.linger = Some(secs(5)));
        single.write(id, 100);
        single.close(id);
        single.expect_all([data(1, 100, 1), fin(101, 1)]);
        assert!(single.endpoint().is_lingering(id));
        single.inject(ack(1, 101));
        assert!(single.endpoint().is_lingering(id));
        single.inject(ack(1, 102));
        assert!(!single.endpoint().is_lingering(id));
    });
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 100);
        single.close(id);
        single.expect_all([data(1, 100, 1), fin(101, 1)]);
        assert!(!single.endpoint().is_lingering(id), "without linger nobody waits");
    });
}

/// MSG_EOR: the next write begins a batch of its own.
fn record() -> SendFlags {
    let mut flags = SendFlags::default();
    flags.end_of_record = true;
    flags
}

#[test]
fn no_more_than_the_unsent_limit_may_be_written_ahead() {
    for config in [Config::default(), Config::default().tcp_notsent_lowat(4000)] {
        for_each_server(&config, |single| {
            let id = accepted(single);
            if config == Config::default() {
                single.set(id, |options| options.notsent_lowat = Some(4000));
            }
            single.inject(ack(1, 1).win(0));
            // What is begun below the limit is one batch, which is filled: writes that are none take
            // up to it.
            for _ in 0..4 {
                assert_eq!(single.try_write_with(id, 1000, record()), Ok(1000));
            }
            assert_eq!(single.try_write(id, 1), Err(SocketError::WouldBlock));
            let writable = |single: &Single| {
                let readiness = single.endpoint().readiness(id);
                readiness.contains(towpath_engine::Readiness::WRITABLE)
            };
            assert!(!writable(single));
            single.take_events();
            // Half of it must have left before a writer is woken.
            single.inject(ack(1, 1).win(2000));
            assert_eq!(single.take_segments().len(), 2);
            assert!(!writable(single) && single.take_events().is_empty());
            single.inject(ack(1, 1).win(3000));
            assert!(writable(single));
            let events = single.take_events();
            assert_eq!(
                events,
                [towpath_engine::Event::Ready(id, towpath_engine::Readiness::WRITABLE)]
            );
            single.take_segments();
        });
    }
}

#[test]
fn a_reader_is_woken_at_its_low_water_mark() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.rcvlowat = 1500);
        single.take_events();
        let readable = |single: &Single| {
            single.endpoint().readiness(id).contains(towpath_engine::Readiness::READABLE)
        };
        single.inject(data(1, 1000, 1));
        assert!(!readable(single) && single.take_events().is_empty());
        single.inject(data(1001, 500, 1));
        assert!(readable(single) && single.take_events().len() == 1);
        single.read(id, 1500);
        assert!(!readable(single));
        // A call for what is there does not wait for the mark.
        single.inject(data(1501, 100, 1));
        single.read(id, 100);
        single.inject(data(1601, 100, 1));
        assert!(!readable(single));
        single.take_events();
        single.set(id, |options| options.rcvlowat = 50);
        assert!(readable(single) && single.take_events().len() == 1);
        single.take_segments();
    });
}

// Shows: 9293 SHLD-18
#[test]
fn quick_acknowledgment_is_switched_off_and_on() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.call(|endpoint, now| endpoint.set_quick_ack(now, id, QuickAck::Off)).unwrap();
        assert!(!single.endpoint().options(id).unwrap().quickack);
        single.inject(data(1, 10, 1));
        single.expect_silence(ms(39));
        single.call(|endpoint, now| endpoint.set_quick_ack(now, id, QuickAck::On)).unwrap();
        single.expect(ack(1, 11));
        assert!(single.endpoint().options(id).unwrap().quickack);
        single.inject(data(11, 10, 1));
        single.expect(ack(1, 21));
        single.call(|endpoint, now| endpoint.set_quick_ack(now, id, QuickAck::Once)).unwrap();
        single.expect_nothing();
    });
}

#[test]
fn who_waits_to_write_after_the_limit_of_unsent_bytes_was_lowered_is_told_of_room() {
    for_each_server(&Config::default(), |single| {
        single.set_window(2000);
        let id = accepted(single);
        single.write(id, 6000);
        assert_eq!(single.take_segments().len(), 2);
        let writable =
            |single: &Single| single.endpoint().readiness(id).contains(Readiness::WRITABLE);
        assert!(writable(single));
        single.set(id, |options| options.notsent_lowat = Some(4000));
        assert!(!writable(single));
        single.take_events();
        single.inject(ack(1, 2001).win(3000));
        assert_eq!(single.take_segments().len(), 3);
        assert!(writable(single));
        assert_eq!(single.take_events(), [Event::Ready(id, Readiness::WRITABLE)]);
    });
}

#[test]
fn who_filled_the_buffer_exactly_by_small_writes_is_told_of_room() {
    for_each_server(&Config::default(), |single| {
        single.set_window(2000);
        let id = accepted(single);
        single.set(id, |options| options.send_buffer = Some(2560));
        let writable =
            |single: &Single| single.endpoint().readiness(id).contains(Readiness::WRITABLE);
        let mut written = 0;
        while writable(single) {
            let flags = SendFlags::default();
            let sent = single.call(|endpoint, now| endpoint.send_small(now, id, &[1; 512], flags));
            assert_eq!(sent, Ok(512), "nobody is turned away");
            written += 1;
        }
        assert_eq!(written, 3);
        single.take_events();
        for _ in 0..2 {
            let sent = single.take_segments();
            let end = sent.iter().map(|(seq, len, _)| seq + *len as u32).max().unwrap();
            single.inject(ack(1, end).win(5000));
        }
        assert_eq!(single.take_events(), [Event::Ready(id, Readiness::WRITABLE)]);
        single.take_segments();
    });
}
