//! The sender's half: the retransmission timer (RFC 6298), congestion control and fast retransmission
//! (RFC 5681, RFC 6582), and recovery with SACK (RFC 6675).

mod support;

use support::{accept_after, accept_from, accepted, many_in_flight, ms, secs};
use towpath_engine::{
    CloseReason, Config, CongestionControl, ConnectionId, SocketError, StateName,
};
use towpath_lab::segment::{ack, data, fin, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_server};

/// Sends `count` full segments that are all in flight.
/// Where the numbers of congestion avoidance show.
fn reno() -> Config {
    Config::default().tcp_congestion_control(CongestionControl::Reno)
}

fn flight(single: &mut Single, id: ConnectionId, count: u32) {
    single.write(id, count as usize * 1000);
    for segment in 0..count {
        single.expect(data(1 + segment * 1000, 1000, 1));
    }
    single.expect_nothing();
}

// Shows: RFC6298 s5.4, RFC6298 s5.5, RFC6298 s5.6, RFC6298 s2.5, RFC9293 s3.10.8b, RFC8961 s4.4
// Shows: 9293 MUST-18, 9293 MUST-19, RFC2525 2.10
#[test]
fn what_is_not_acknowledged_is_sent_again_ever_more_seldom_and_then_given_up() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        let began = single.elapsed();
        let mut wait = 200;
        let mut count = 0;
        for _ in 0..16 {
            single.expect_after(ms(wait), data(1, 1000, 1));
            wait = (wait * 2).min(120_000);
            count += 1;
        }
        // Linux: tcp_retries2 of 15 is 924.6 s, counted from the first retransmission and looked at
        // when the timer fires.
        single.expect_silence(ms(wait - 10));
        single.expect_state(id, StateName::Established);
        single.expect_silence(ms(20));
        let lasted = single.elapsed() - began;
        assert!(lasted >= secs(1044) && lasted <= secs(1045), "{lasted:?}");
        assert_eq!(
            single.endpoint().close_reason(id),
            Some(CloseReason::TimedOut { retransmissions: count })
        );
        single.read_error(id, SocketError::TimedOut);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

// Shows: RFC6298 s2.2, RFC6298 s5.1
#[test]
fn the_first_time_out_follows_from_the_round_trip_of_the_handshake() {
    // SRTT = R, 4*RTTVAR = 2*R, which is at least 200 ms as in Linux.
    for (round_trip, rto) in [(10, 210), (50, 250), (100, 300), (400, 1200)] {
        for_each_server(&Config::default(), |single| {
            let id = accept_after(single, syn().mss(1000), ms(round_trip));
            single.write(id, 1000);
            single.expect(data(1, 1000, 1));
            single.expect_after(ms(rto), data(1, 1000, 1));
        });
    }
}

// Shows: RFC6298 s5.7
#[test]
fn after_a_lost_syn_ack_the_first_time_out_is_not_below_what_karn_allows() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_after(secs(1), syn_ack());
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        // No sample without timestamps: RFC 6298 says 3 s, Linux 1 s; never 200 ms.
        let took = single.expect_within(ms(3_001), data(1, 1000, 1));
        assert!(took >= ms(990), "{took:?}");
    });
}

// Shows: RFC6298 s5.2, RFC6298 s5.3, RFC6298 s5a
#[test]
fn an_ack_of_new_data_begins_the_time_out_again_and_of_all_data_ends_it() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        flight(single, id, 2);
        single.expect_silence(ms(150));
        single.inject(ack(1, 1001));
        let info = single.endpoint().info(id).unwrap();
        let took = single.expect_within(secs(2), data(1001, 1000, 1));
        assert!(took + ms(1) >= info.rto && took <= info.rto + ms(1), "{took:?} {:?}", info.rto);
        single.inject(ack(1, 2001));
        single.expect_silence(secs(3600));
        assert_eq!(single.census().timers, 0);
    });
}

// Shows: RFC6298 s3a, RFC8961 s4.2, 9293 MUST-18
#[test]
fn without_timestamps_a_segment_that_was_sent_twice_gives_no_sample() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let before = single.endpoint().info(id).unwrap().rtt;
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        single.expect_after(ms(200), data(1, 1000, 1));
        single.advance(ms(70));
        single.inject(ack(1, 1001));
        assert_eq!(single.endpoint().info(id).unwrap().rtt, before);
    });
}

// Shows: RFC6298 s5.8, RFC8961 s4.4
#[test]
fn the_time_out_shrinks_again_when_new_data_is_acknowledged() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        single.expect_after(ms(200), data(1, 1000, 1));
        single.expect_after(ms(400), data(1, 1000, 1));
        single.inject(ack(1, 1001));
        single.write(id, 1000);
        single.expect(data(1001, 1000, 1));
        single.inject(ack(1, 2001));
        single.write(id, 1000);
        single.expect(data(2001, 1000, 1));
        single.expect_after(ms(200), data(2001, 1000, 1));
    });
}

// Shows: RFC6928 s2a, RFC6928 s2b, RFC5681 s3.1a, 9293 MUST-19, RFC2525 2.1, RFC2525 2.3
#[test]
fn the_first_flight_has_ten_segments() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 16_000);
        for segment in 0..10 {
            single.expect(data(1 + segment * 1000, 1000, 1));
        }
        single.expect_nothing();
        // Slow start: two for each that is acknowledged.
        single.inject(ack(1, 1001));
        single.expect_all([data(10_001, 1000, 1), data(11_001, 1000, 1)]);
        single.expect_nothing();
    });
}

// Shows: RFC5681 s3.1h, RFC8961 s4.3, RFC5681 s3.1g, RFC5681 s3.1i
// Shows: 9293 MUST-19, RFC2525 2.2, RFC2525 2.14
#[test]
fn after_a_time_out_one_segment_is_sent_and_the_threshold_is_half_the_flight() {
    for_each_server(&reno(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        single.expect_after(ms(200), data(1, 1000, 1));
        single.expect_nothing();
        let info = single.endpoint().info(id).unwrap();
        assert_eq!((info.snd_cwnd_bytes, info.snd_ssthresh_bytes), (1_000, 5_000));
        single.expect_after(ms(400), data(1, 1000, 1));
        assert_eq!(single.endpoint().info(id).unwrap().snd_ssthresh_bytes, 5_000);
        // Slow start from there, with what was lost first.
        single.inject(ack(1, 1001));
        single.expect_all([data(1001, 1000, 1), data(2001, 1000, 1)]);
        single.expect_nothing();
        single.inject(ack(1, 10_001));
        single.expect_silence(secs(5));
    });
}

// Shows: RFC5681 s3.2.2, RFC5681 s3.2.3, RFC5681 s2, RFC5681 s3.2.6, RFC5681 s3.2.1, RFC2525 2.8
#[test]
fn three_duplicate_acks_resend_the_first_segment_without_waiting() {
    for_each_server(&reno(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        single.inject(ack(1, 1));
        single.inject(ack(1, 1));
        single.expect_nothing();
        single.inject(ack(1, 1));
        single.expect(data(1, 1000, 1));
        single.expect_nothing();
        let info = single.endpoint().info(id).unwrap();
        assert_eq!(info.snd_ssthresh_bytes, 5_000);
        single.inject(ack(1, 10_001));
        let info = single.endpoint().info(id).unwrap();
        assert!(info.snd_cwnd_bytes <= 5_000, "{}", info.snd_cwnd_bytes);
        single.expect_silence(secs(5));
        assert_eq!(single.counters().timeouts, 0);
    });
}

// Shows: RFC5681 s2
#[test]
fn acks_that_differ_in_any_way_are_not_duplicates() {
    for_each_server(&Config::default(), |single| {
        single.set_window(50_000);
        let id = accepted(single);
        flight(single, id, 10);
        for round in 1..=6 {
            // The window changes each time.
            single.inject(ack(1, 1).win(50_000 + round));
        }
        single.expect_nothing();
        // With text.
        for round in 0..6 {
            single.inject(data(1 + round * 10, 10, 1).win(50_006));
        }
        assert!(single.take_segments().iter().all(|(_, len, _)| *len == 0));
        single.read(id, 60);
        assert_eq!(single.counters().fast_retrans, 0);
    });
}

// Shows: RFC3042 s2, RFC5681 s3.2.1
#[test]
fn the_first_duplicates_let_new_segments_out() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 16_000);
        single.advance(ms(0));
        assert_eq!(single.take_segments().len(), 10);
        single.inject(ack(1, 1));
        single.expect(data(10_001, 1000, 1));
        single.inject(ack(1, 1));
        single.expect(data(11_001, 1000, 1));
        single.inject(ack(1, 1));
        single.expect(data(1, 1000, 1));
    });
}

// Shows: RFC6582 s3.2.3b, RFC6582 s3.2.3a
#[test]
fn a_partial_ack_resends_the_next_hole_at_once() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        // The first, the fourth and the seventh are lost.
        for _ in 0..3 {
            single.inject(ack(1, 1));
        }
        single.expect(data(1, 1000, 1));
        for _ in 0..4 {
            single.inject(ack(1, 1));
        }
        single.advance(ms(50));
        single.inject(ack(1, 3001));
        single.expect(data(3001, 1000, 1));
        single.advance(ms(50));
        single.inject(ack(1, 6001));
        single.expect(data(6001, 1000, 1));
        single.inject(ack(1, 10_001));
        single.expect_silence(secs(5));
        let counters = single.counters();
        assert_eq!((counters.retrans_segs, counters.timeouts), (3, 0));
        assert_eq!(single.census().send_bytes, 0);
    });
}

// Shows: RFC6582 s3.2.2, RFC6582 s3.2.4
#[test]
fn duplicates_after_a_time_out_do_not_start_a_fast_retransmission() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        single.expect_after(ms(200), data(1, 1000, 1));
        single.inject(ack(1, 1001));
        single.take_segments();
        for _ in 0..6 {
            single.inject(ack(1, 1001));
        }
        assert_eq!(single.counters().fast_retrans, 0);
        single.take_segments();
        single.inject(ack(1, 10_001));
    });
}

// Shows: H-37, RFC5681 s3.2.4
#[test]
fn ten_thousand_duplicates_let_out_no_more_than_was_written_and_allowed() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        // Twice the window is there to be sent.
        for _ in 0..20 {
            assert_eq!(single.try_write(id, 1000), Ok(1000));
        }
        let before: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
        for _ in 0..10_000 {
            single.inject(ack(1, 1));
        }
        let after: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
        assert!(after <= 2 * before + 3_000, "{before} bytes in flight, then {after} more");
    });
}

/// A connection with SACK and ten segments in flight.
fn sack_flight(single: &mut Single) -> ConnectionId {
    let id = accept_from(single, syn().mss(1000).sack_ok());
    flight(single, id, 10);
    id
}

// Shows: RFC6675 s5b, RFC6675 s4a, RFC6675 s4c, RFC6675 s5c
#[test]
fn with_sack_only_what_is_missing_is_sent_again() {
    for_each_server(&reno(), |single| {
        let id = accept_after(single, syn().mss(1000).sack_ok(), ms(40));
        flight(single, id, 10);
        single.advance(ms(40));
        // The first and the fourth are lost.
        single.inject(ack(1, 1).sack(&[(1001, 2001)]));
        single.inject(ack(1, 1).sack(&[(1001, 3001)]));
        single.expect_nothing();
        for right in [5001, 6001, 7001, 8001, 9001, 10_001] {
            single.inject(ack(1, 1).sack(&[(4001, right), (1001, 3001)]));
        }
        let mut sent: Vec<_> =
            single.take_segments().into_iter().map(|(seq, len, _)| (seq, len)).collect();
        sent.sort_unstable();
        assert_eq!(sent, [(1, 1000), (3001, 1000)]);
        single.inject(ack(1, 3001).sack(&[(4001, 10_001)]));
        single.inject(ack(1, 10_001));
        single.expect_silence(secs(5));
        let counters = single.counters();
        assert_eq!((counters.retrans_segs, counters.timeouts), (2, 0));
        assert_eq!(single.endpoint().info(id).unwrap().snd_ssthresh_bytes, 5_000);
    });
}

// Shows: RFC6675 s4a
#[test]
fn one_ack_that_reports_enough_starts_the_recovery() {
    for_each_server(&Config::default(), |single| {
        sack_flight(single);
        single.inject(ack(1, 1).sack(&[(1001, 9001)]));
        single.expect(data(1, 1000, 1));
        single.take_segments();
    });
}

// Shows: RFC6675 s5.1, RFC2018 s5a, RFC2018 s5b, H-65
#[test]
fn a_peer_that_forgets_what_it_reported_still_gets_everything() {
    for_each_server(&Config::default(), |single| {
        sack_flight(single);
        single.inject(ack(1, 1).sack(&[(1001, 10_001)]));
        single.expect(data(1, 1000, 1));
        single.take_segments();
        // It has thrown all but the first away, and says so by its silence.
        single.inject(ack(1, 1001));
        let mut acked = 1001;
        for _ in 0..200 {
            if acked == 10_001 {
                break;
            }
            single.advance(secs(1));
            for (seq, len, _) in single.take_segments() {
                if len > 0 && seq == acked {
                    acked += len as u32;
                }
            }
            single.inject(ack(1, acked));
            for (seq, len, _) in single.take_segments() {
                if len > 0 && seq == acked {
                    acked += len as u32;
                }
            }
            single.inject(ack(1, acked));
        }
        assert_eq!(acked, 10_001);
        assert_eq!(single.census().send_bytes, 0);
        single.take_segments();
    });
}

// Shows: RFC6675 s5.2, H-16, RFC2883 s5b
#[test]
fn blocks_that_cannot_be_are_ignored() {
    for_each_server(&Config::default(), |single| {
        let id = sack_flight(single);
        for block in [
            (10_001, 20_001),
            (5_000, 4_000),
            (0x8000_0000, 0x8000_1000),
            (u32::MAX - 5_000, u32::MAX),
            (1, 0x7fff_0000),
        ] {
            for _ in 0..4 {
                single.inject(ack(1, 1).sack(&[block]));
            }
        }
        assert_eq!(single.endpoint().info(id).unwrap().sacked_bytes, 0);
        single.take_segments();
        single.inject(ack(1, 10_001));
        assert_eq!(single.census().send_bytes, 0);
    });
}

// Shows: RFC2018 s5c
#[test]
fn a_segment_that_is_reported_in_part_is_sent_again() {
    for_each_server(&Config::default(), |single| {
        sack_flight(single);
        single.inject(ack(1, 1).sack(&[(1501, 10_001)]));
        // What is missing is 1..1501; it may be cut anywhere.
        let mut resent = [false; 1500];
        for _ in 0..10 {
            for (seq, len, _) in single.take_segments() {
                for place in seq..seq + len as u32 {
                    if let Some(seen) = resent.get_mut(place as usize - 1) {
                        *seen = true;
                    }
                }
            }
            single.advance(ms(200));
        }
        assert!(resent.iter().all(|seen| *seen));
    });
}

// Shows: H-01
#[test]
fn thousands_of_sack_blocks_in_tiny_segments_are_taken() {
    let mut single = Single::server(Setup::default());
    let id = accept_from(&mut single, syn().mss(48).sack_ok().wscale(7));
    let (acked, in_flight) = many_in_flight(&mut single, id, 5_000);
    let mut blocks = 0;
    for pair in in_flight.chunks(2) {
        let (seq, len, _) = pair[pair.len() - 1];
        if len > 10 {
            single.inject(ack(1, acked).sack(&[(seq + 3, seq + 4)]));
            blocks += 1;
        }
        single.take_segments();
    }
    assert!(blocks > 2_000);
    let info = single.endpoint().info(id).unwrap();
    assert!(info.sacked_bytes <= blocks && info.unacked_bytes >= 5_000 * 48, "{info:?}");
    let end = in_flight.last().map(|(seq, len, _)| seq + *len as u32).unwrap();
    single.inject(ack(1, end));
    single.expect_state(id, StateName::Established);
}

#[test]
fn a_fin_is_resent_after_lost_text_and_the_connection_ends_well() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 2000);
        single.close(id);
        single.take_segments();
        single.expect_after(ms(200), data(1, 1000, 1));
        single.inject(ack(1, 1001));
        let sent = single.take_segments();
        assert!(sent.iter().any(|(seq, len, _)| (*seq, *len) == (1001, 1000)), "{sent:?}");
        single.inject(ack(1, 2002));
        single.inject(fin(1, 2002));
        single.expect(ack(2002, 2));
        single.finish_empty_with_listener();
    });
}

// Shows: H-36
#[test]
fn dividing_acks_does_not_grow_the_window_faster() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        let before = single.endpoint().info(id).unwrap().snd_cwnd_bytes;
        for byte in 2..=1001 {
            single.inject(ack(1, byte));
        }
        let after = single.endpoint().info(id).unwrap().snd_cwnd_bytes;
        assert!(after <= before + 1000, "{before} -> {after}");
        single.take_segments();
    });
}

// Shows: RFC5681 s3.1e, 9293 MUST-19, RFC2525 2.6
#[test]
fn in_congestion_avoidance_the_window_grows_by_a_segment_in_a_round_trip() {
    for_each_server(&reno(), |single| {
        let id = accepted(single);
        flight(single, id, 10);
        single.expect_after(ms(200), data(1, 1000, 1));
        single.inject(ack(1, 10_001));
        let mut next = 10_001;
        let mut windows = Vec::new();
        for _ in 0..40 {
            let _ = single.try_write(id, 16_000);
            let sent: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
            next += sent as u32;
            single.advance(ms(20));
            single.inject(ack(1, next));
            next += single.take_segments().iter().map(|(_, len, _)| len).sum::<usize>() as u32;
            windows.push(single.endpoint().info(id).unwrap().snd_cwnd_bytes);
        }
        let info = single.endpoint().info(id).unwrap();
        assert_eq!(info.snd_ssthresh_bytes, 5_000);
        for pair in windows.windows(2).filter(|pair| pair[0] >= 6_000) {
            assert!(pair[1] <= pair[0] + 1_100, "{windows:?}");
        }
        assert!(windows.last() > Some(&6_000), "{windows:?}");
    });
}

// Shows: RFC5681 s4.1, I-19
#[test]
fn after_a_long_silence_the_window_is_no_larger_than_the_first() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut next = 1;
        for _ in 0..6 {
            let _ = single.try_write(id, 16_000);
            next += single.take_segments().iter().map(|(_, len, _)| len).sum::<usize>() as u32;
            single.inject(ack(1, next));
            next += single.take_segments().iter().map(|(_, len, _)| len).sum::<usize>() as u32;
            single.inject(ack(1, next));
        }
        assert!(single.endpoint().info(id).unwrap().snd_cwnd_bytes > 12_000);
        single.advance(secs(60));
        single.take_segments();
        while single.try_write(id, 16_000).is_ok() {}
        let burst: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
        assert!(burst <= 10_000, "{burst} bytes after a minute of silence");
    });
}

// Shows: RFC5681 s3.2.2
#[test]
fn limited_transmit_does_not_raise_the_threshold() {
    for_each_server(&reno(), |single| {
        let id = accepted(single);
        single.write(id, 16_000);
        assert_eq!(single.take_segments().len(), 10);
        single.inject(ack(1, 1));
        single.expect(data(10_001, 1000, 1));
        single.inject(ack(1, 1));
        single.expect(data(11_001, 1000, 1));
        single.inject(ack(1, 1));
        single.expect(data(1, 1000, 1));
        // Half of the flight of ten, without what limited transmit has added.
        assert_eq!(single.endpoint().info(id).unwrap().snd_ssthresh_bytes, 5_000);
    });
}
