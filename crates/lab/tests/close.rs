//! Closing a connection: RFC 9293 section 3.6, TIME-WAIT (sections 3.6.1, 3.10.7.4; RFC 6191), and
//! what Linux's close(2) does to a connection.

mod support;

use support::{accept_from, accepted, connected, ms, secs};
use towpath_engine::{CloseReason, Config, SocketError, SocketOptions, StateName};
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};

// Shows: RFC9293 s3.10.7.4o, RFC9293 s3.10.7.4v, 9293 MUST-12, RFC2525 2.15
#[test]
fn four_segments_close_from_our_side() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.expect_state(id, StateName::FinWait1);
        single.inject(ack(1, 2));
        single.expect_state(id, StateName::FinWait2);
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        single.read_end(id);
        single.close(id);
        assert_eq!(single.census().time_wait, 1);
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.10.7.4v, RFC9293 s3.10.4
#[test]
fn four_segments_close_from_the_peer_s_side() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        single.expect_state(id, StateName::CloseWait);
        single.read_end(id);
        single.close(id);
        single.expect(fin(1, 2));
        single.inject(ack(2, 2));
        assert_eq!(single.census().connections, 0);
        assert_eq!(single.census().time_wait, 0);
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.6 case3, RFC9293 s3.10.7.4o
#[test]
fn crossing_fins_end_in_time_wait() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        single.expect_state(id, StateName::Closing);
        single.inject(ack(2, 2));
        single.expect_nothing();
        assert_eq!(single.census().time_wait, 1);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.10.7.4v
#[test]
fn a_fin_that_acknowledges_ours_skips_closing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        assert_eq!((single.census().time_wait, single.census().connections), (1, 0));
        single.finish_empty_with_listener();
    });
}

#[test]
fn after_our_half_close_the_peer_may_still_send() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 500);
        single.expect(data(1, 500, 1));
        single.shutdown(id);
        single.expect(fin(501, 1));
        single.inject(ack(1, 502));
        assert_eq!(single.try_write(id, 1), Err(SocketError::BrokenPipe));
        for round in 0..10 {
            single.inject(data(1 + round * 1000, 1000, 502));
            single.read(id, 1000);
        }
        single.advance(ms(300));
        single.take_segments();
        single.inject(fin(10_001, 502));
        single.expect(ack(502, 10_002));
        single.read_end(id);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

#[test]
fn after_the_peer_s_half_close_we_may_still_send() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1).with_fin());
        single.expect_within(ms(41), ack(1, 102));
        assert_eq!(single.try_read(id, 1000), Ok(100));
        single.read_end(id);
        for round in 0..5 {
            single.write(id, 1000);
            single.expect(data(1 + round * 1000, 1000, 102));
            single.inject(ack(102, 1001 + round * 1000));
        }
        single.close(id);
        single.expect(fin(5001, 102));
        single.inject(ack(102, 5002));
        single.finish_empty_with_listener();
    });
}

#[test]
fn an_old_ack_with_a_fin_that_our_own_crossed_is_taken() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        // The ACK of our FIN overtakes the peer's FIN, which was sent before it.
        single.inject(ack(2, 2));
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        assert_eq!(single.census().time_wait, 1);
    });
}

#[test]
fn a_fin_that_repeats_text_is_acknowledged_without_a_d_sack() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).sack_ok());
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.read(id, 1000);
        single.inject(data(1, 1000, 1).with_fin());
        single.expect_within(ms(41), ack(1, 1002).sack(&[]));
    });
}

#[test]
fn a_fin_before_a_closed_window_is_acknowledged_at_once() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut next = 1;
        while single.endpoint().info(id).unwrap().rcv_wnd > 0 {
            let len = 1000.min(single.endpoint().info(id).unwrap().rcv_wnd);
            single.inject(data(next, len as usize, 1));
            next += len;
            single.advance(ms(300));
        }
        single.take_segments();
        single.inject(fin(next, 1));
        single.expect(ack(1, next + 1).win(0));
    });
}

// Shows: RFC9293 s3.10.4, 9293 MUST-61
#[test]
fn what_was_written_goes_out_before_the_fin() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 2500);
        single.close(id);
        single.expect_all([data(1, 1000, 1), data(1001, 1000, 1)]);
        // The rest may carry the FIN or be followed by it, at once or when Nagle lets it go.
        single.inject(ack(1, 2001));
        let mut fin_at = None;
        for (seq, len, flags) in single.take_segments() {
            if flags.contains(towpath_wire::tcp::Flags::FIN) {
                fin_at = Some(seq + len as u32);
            }
        }
        assert_eq!(fin_at, Some(2501));
        single.inject(fin(1, 2502));
        single.expect(ack(2502, 2));
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.10.4b
#[test]
fn shutting_twice_sends_one_fin() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.shutdown(id);
        single.close(id);
        single.expect_nothing();
        single.inject(ack(1, 2));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        single.finish_empty_with_listener();
    });
}

/// Closes first and ends in TIME-WAIT.
fn into_time_wait(single: &mut Single) {
    let id = accepted(single);
    single.close(id);
    single.expect(fin(1, 1));
    single.inject(ack(1, 2));
    single.inject(fin(1, 2));
    single.expect(ack(2, 2));
    assert_eq!(single.census().time_wait, 1);
}

// Shows: 9293 MUST-13
#[test]
fn time_wait_lasts_a_minute_or_as_long_as_it_is_told() {
    for (config, lasts) in [
        (Config::default(), secs(60)),
        (Config::default().time_wait(secs(2 * 60)), secs(120)),
        (Config::default().time_wait(secs(4 * 60)), secs(240)),
    ] {
        for_each_server(&config, |single| {
            into_time_wait(single);
            single.expect_silence(lasts - ms(10));
            assert_eq!(single.census().time_wait, 1);
            single.expect_silence(ms(20));
            assert_eq!(single.census().time_wait, 0);
        });
    }
}

// Shows: RFC9293 s3.10.7.4p
#[test]
fn a_fin_that_comes_again_in_time_wait_is_acknowledged_and_the_wait_begins_again() {
    for_each_server(&Config::default(), |single| {
        into_time_wait(single);
        single.expect_silence(secs(59));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        single.expect_silence(secs(59));
        assert_eq!(single.census().time_wait, 1);
        single.expect_silence(secs(2));
        assert_eq!(single.census().time_wait, 0);
    });
}

// Shows: RFC1337 s2, RFC1337 s3, H-44
#[test]
fn old_segments_do_not_kill_time_wait() {
    for_each_server(&Config::default(), |single| {
        into_time_wait(single);
        single.advance(secs(1));
        single.inject(rst(2));
        single.expect_nothing();
        single.inject(rst(1));
        single.expect_nothing();
        single.inject(data(1, 1, 2).seq(1));
        single.expect(ack(2, 2));
        assert_eq!(single.census().time_wait, 1);
    });
}

// Shows: 9293 MAY-2, RFC1122 s4.2.2.13, RFC6191 s2b, RFC6191 s3, I-10
#[test]
fn a_newer_syn_opens_a_connection_out_of_time_wait() {
    for_each_server(&Config::default(), |single| {
        into_time_wait(single);
        single.advance(secs(5));
        let old_next = single.own_number(2);
        let newer = single.packet(&syn().seq(100).mss(1000));
        single.set_irs(newer.segment.seq.0);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        assert!(single.own_number(0).after(old_next), "the new numbers are above the old");
        assert_eq!(single.census().time_wait, 0);
        single.inject(ack(1, 1));
        single.inject(data(1, 10, 1));
        assert_eq!(single.census().accept_queue, 1);
        single.take_segments();
    });
}

// Shows: RFC1337 s2, RFC6191 s2b
#[test]
fn an_older_syn_does_not_open_a_connection_out_of_time_wait() {
    for_each_server(&Config::default(), |single| {
        into_time_wait(single);
        single.advance(secs(5));
        single.inject(syn().mss(1000));
        for (_, _, flags) in single.take_segments() {
            assert_eq!(flags, towpath_wire::tcp::Flags::ACK);
        }
        assert_eq!((single.census().time_wait, single.census().half_open), (1, 0));
    });
}

// Shows: RFC6191 s2a
#[test]
fn with_timestamps_a_newer_stamp_opens_a_connection_out_of_time_wait() {
    for (stamp, opens) in [(5_000_u32, true), (900, false)] {
        for_each_server(&Config::default(), |single| {
            let id = accept_from(single, syn().mss(1000).ts(1_000, 0));
            single.close(id);
            single.expect(fin(1, 1).some_ts());
            single.inject(ack(1, 2).ts(1_001, 0));
            single.inject(fin(1, 2).ts(1_002, 0));
            single.expect(ack(2, 2).some_ts());
            single.advance(secs(5));
            // Its number is older: the stamp alone decides.
            single.inject(syn().mss(1000).ts(stamp, 0));
            assert_eq!(single.census().half_open, usize::from(opens), "stamp {stamp}");
            single.take_segments();
        });
    }
}

// Shows: 9293 SHLD-3
#[test]
fn closing_with_unread_bytes_resets() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        single.inject(data(1, 100, 11));
        single.take_segments();
        single.close(id);
        single.expect(rst_ack(11, 101));
        single.finish_empty_with_listener();
        assert_eq!(single.counters().abort_on_close, 1);
    });
}

#[test]
fn closing_with_everything_read_does_not_reset() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1));
        single.read(id, 100);
        single.take_segments();
        single.close(id);
        single.expect(fin(1, 101));
        single.inject(fin(101, 2));
        single.expect(ack(2, 102));
        single.finish_empty_with_listener();
    });
}

#[test]
fn zero_linger_resets_at_close() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut options = SocketOptions::default();
        options.linger = Some(std::time::Duration::ZERO);
        single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        single.close(id);
        single.expect(rst_ack(11, 1));
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.10.5, I-35
#[test]
fn an_abort_resets_in_every_state_that_has_something_to_say() {
    type Walk = fn(&mut Single, towpath_engine::ConnectionId);
    let walks: [(&str, u32, u32, Walk); 4] = [
        ("ESTABLISHED", 1, 1, |_, _| {}),
        ("FIN-WAIT-1", 2, 1, |single, id| {
            single.shutdown(id);
            single.expect(fin(1, 1));
        }),
        ("FIN-WAIT-2", 2, 1, |single, id| {
            single.shutdown(id);
            single.expect(fin(1, 1));
            single.inject(ack(1, 2));
        }),
        ("CLOSE-WAIT", 1, 2, |single, _| {
            single.inject(fin(1, 1));
            single.expect(ack(1, 2));
        }),
    ];
    for (name, seq, ack_number, walk) in walks {
        for_each_server(&Config::default(), |single| {
            let id = accepted(single);
            walk(single, id);
            assert_eq!(single.endpoint().state(id).unwrap().to_string(), name);
            single.abort(id);
            single.expect(rst_ack(seq, ack_number));
            single.finish_empty_with_listener();
        });
    }
}

#[test]
fn an_abort_after_both_fins_says_nothing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        single.shutdown(id);
        single.expect(fin(1, 2));
        single.expect_state(id, StateName::LastAck);
        single.abort(id);
        single.finish_empty_with_listener();
    });
}

// Shows: H-45, I-09
#[test]
fn an_orphan_waits_a_minute_for_the_peer_s_fin() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        assert_eq!(single.census().connections, 1);
        single.expect_silence(secs(59));
        assert_eq!(single.census().connections, 1);
        single.expect_silence(secs(2));
        assert_eq!(single.census().connections, 0);
    });
}

#[test]
fn a_half_closed_socket_that_is_still_held_waits_for_ever() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        single.expect_silence(secs(3 * 3600));
        single.expect_state(id, StateName::FinWait2);
        single.inject(data(1, 10, 2));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: 9293 SHLD-3, RFC2525 2.16
#[test]
fn data_for_a_closed_socket_is_reset() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        single.inject(data(1, 10, 2));
        let answers = single.take_segments();
        assert_eq!(answers.len(), 1);
        assert!(answers[0].2.contains(towpath_wire::tcp::Flags::RST), "{answers:?}");
        assert_eq!(answers[0].0, 2);
        single.finish_empty_with_listener();
    });
}

// Shows: RFC9293 s3.10.7.4r
#[test]
fn text_behind_the_peer_s_fin_is_not_delivered() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        single.advance(secs(1));
        single.inject(data(2, 10, 1));
        single.take_segments();
        single.read_end(id);
        single.expect_state(id, StateName::CloseWait);
    });
}

// Shows: RFC9293 s3.10.7.4u
#[test]
fn a_fin_out_of_order_waits_for_what_is_missing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(101, 100, 1).with_fin());
        single.expect(ack(1, 1));
        single.read(id, 0);
        single.expect_state(id, StateName::Established);
        single.inject(data(1, 100, 1));
        single.expect(ack(1, 202));
        assert_eq!(single.try_read(id, 1000), Ok(200));
        single.read_end(id);
        single.expect_state(id, StateName::CloseWait);
    });
}

#[test]
fn a_lost_fin_is_sent_again() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.close(id);
        single.expect(fin(1, 1));
        single.expect_after(ms(200), fin(1, 1));
        single.expect_after(ms(400), fin(1, 1));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        single.finish_empty_with_listener();
    });
}

// Shows: H-40, I-09
#[test]
fn an_orphan_whose_fin_is_never_acknowledged_is_given_up() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.close(id);
        single.expect(fin(1, 1));
        single.advance(secs(600));
        let sent = single.take_segments().len();
        assert!((7..=9).contains(&sent), "{sent} retransmissions");
        assert_eq!(single.census().connections, 0);
    });
}

#[test]
fn a_write_after_the_peer_has_reset_fails_with_the_reset_and_then_with_a_broken_pipe() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.inject(rst(1));
        assert_eq!(single.try_write(id, 1), Err(SocketError::ConnectionReset));
        assert_eq!(single.try_write(id, 1), Err(SocketError::BrokenPipe));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
        single.close(id);
        single.finish_empty();
    });
}

#[test]
fn two_time_waits_more_than_are_allowed_are_not_kept() {
    let config = Config::default().tcp_max_tw_buckets(1);
    let mut single = Single::server(Setup { config, ..Setup::default() });
    let listener = single.listen();
    for port in 1..=3 {
        single.set_peer_port(1000 + port);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
    }
    assert_eq!(single.census().time_wait, 1);
    assert_eq!(single.counters().time_wait_overflow, 2);
    single.finish_empty_with_listener();
}

// Shows: 9293 SHLD-14, RFC7323 s2.3b
#[test]
fn an_ack_in_time_wait_does_not_move_the_window_s_edge_left() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).wscale(7));
        single.inject(data(1, 100, 1));
        single.read(id, 100);
        single.take_segments();
        single.close(id);
        single.expect(fin(1, 101));
        single.inject(fin(101, 2));
        single.expect(ack(2, 102));
        single.advance(secs(1));
        single.inject(fin(101, 2));
        single.expect(ack(2, 102));
    });
}
