//! The receiver's half: when an ACK is sent (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2), what
//! SACK and D-SACK blocks it has (RFC 2018, RFC 2883), and timestamps (RFC 7323).

mod support;

use support::{accept_from, accepted, connected, ms, secs};
use towpath_engine::{BufferSizes, Config, ConnectionId, StateName};
use towpath_lab::segment::{Seg, ack, data, fin, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};

/// A connection that offered SACK and nothing else.
fn with_sack(single: &mut Single) -> ConnectionId {
    accept_from(single, syn().mss(1000).sack_ok())
}

/// A buffer that can offer as much again while a few segments are unread. Where it cannot, the ACK goes
/// when they are read.
fn ample() -> Config {
    Config::default().tcp_rmem(BufferSizes { min: 4096, default: 400_000, max: 6_000_000 })
}

/// Sends and reads so much that the engine leaves its first phase, in which it acknowledges each
/// segment; the next number. A pause would bring that phase back.
fn warm_up(single: &mut Single, id: ConnectionId) -> u32 {
    let mut next = 1;
    for _ in 0..40 {
        single.inject(data(next, 1000, 1));
        next += 1000;
        single.advance(ms(10));
    }
    single.read(id, 40_000);
    // The window grows to its limit: each step is told at once.
    for _ in 0..4 {
        single.inject(data(next, 200, 1).psh());
        single.read(id, 200);
        next += 200;
        single.advance(ms(10));
    }
    single.take_segments();
    next
}

// Shows: 9293 SHLD-18, 9293 MUST-40
#[test]
fn a_single_segment_is_acknowledged_late_but_within_half_a_second() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = warm_up(single, id);
        single.inject(data(next, 1000, 1));
        single.expect_nothing();
        let took = single.expect_within(ms(499), ack(1, next + 1000));
        assert!(took >= ms(10), "{took:?}");
        single.expect_silence(secs(5));
    });
}

// Shows: 9293 SHLD-19, RFC5681 s4.2c, RFC2525 2.13
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    for_each_server(&ample(), |single| {
        let id = accepted(single);
        let mut next = warm_up(single, id);
        for _ in 0..10 {
            single.inject(data(next, 1000, 1));
            single.expect_nothing();
            single.inject(data(next + 1000, 1000, 1));
            next += 2000;
            single.expect(ack(1, next));
            single.read(id, 2000);
            single.expect_nothing();
        }
    });
}

// Shows: 9293 MUST-58, 9293 MUST-59
#[test]
fn a_batch_is_acknowledged_once() {
    for_each_server(&ample(), |single| {
        let id = accepted(single);
        let next = warm_up(single, id);
        single.inject_batch((0..10).map(|at| data(next + at * 1000, 1000, 1)));
        single.expect(ack(1, next + 10_000));
        single.read(id, 10_000);
        single.take_segments();
    });
}

#[test]
fn an_ack_rides_on_data_that_leaves_anyway() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = warm_up(single, id);
        // The first answer makes a dialogue of it.
        single.inject(data(next, 500, 1));
        single.write(id, 100);
        single.read(id, 500);
        single.take_segments();
        single.inject(ack(next + 500, 101));
        single.inject(data(next + 500, 500, 101).psh());
        single.read(id, 500);
        single.expect_nothing();
        single.write(id, 100);
        single.expect(data(101, 100, next + 1000));
        single.inject(ack(next + 1000, 201));
        single.expect_silence(secs(5));
    });
}

// Shows: 9293 SHLD-18, 9293 MUST-40
#[test]
fn the_ack_of_a_fin_waits_for_what_the_application_still_has_to_say() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.read(id, 1000);
        single.inject(fin(1001, 1));
        single.expect_nothing();
        let took = single.expect_within(ms(41), ack(1, 1002));
        assert!(took >= ms(39), "{took:?}");
    });
}

#[test]
fn a_fin_on_a_connection_without_data_is_acknowledged_at_once() {
    for_each_server(&Config::default(), |single| {
        accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
    });
}

#[test]
fn a_delayed_ack_that_is_about_to_leave_leaves_with_the_next_segment() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = warm_up(single, id);
        single.inject(data(next, 300, 1).psh());
        single.expect_nothing();
        let delay = single.expect_within(ms(499), ack(1, next + 300));
        single.advance(ms(20));
        single.inject(data(next + 300, 100, 1).psh());
        single.expect_nothing();
        single.advance(delay - delay / 8);
        single.expect_nothing();
        single.inject(data(next + 400, 100, 1).psh());
        single.expect(ack(1, next + 500));
    });
}

#[test]
fn reading_all_that_a_small_segment_brought_acknowledges_it() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = warm_up(single, id);
        single.inject(data(next, 300, 1).psh());
        single.expect_nothing();
        single.read(id, 300);
        single.expect(ack(1, next + 300));
        // A full segment ends no write unless it is pushed.
        single.inject(data(next + 300, 1000, 1));
        single.expect_nothing();
        single.read(id, 1000);
        single.expect_nothing();
        single.take_segments();
    });
}

// Shows: RFC1122 s4.2.2.20
#[test]
fn an_acceptable_ack_is_never_acknowledged() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        for _ in 0..10 {
            single.inject(ack(1, 1));
            single.expect_silence(ms(500));
        }
        single.expect_state(id, StateName::Established);
    });
}

// Shows: RFC5681 s4.2a, RFC5681 s4.2b, RFC2018 s3b, 9293 SHLD-31, RFC2525 2.5
#[test]
fn a_hole_is_reported_at_once_and_filled_at_once() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1001, 1000, 1));
        single.expect(ack(1, 1));
        single.inject(data(2001, 1000, 1));
        single.expect(ack(1, 1));
        single.read(id, 0);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 3001));
        single.read(id, 3000);
    });
}

// Shows: RFC2018 s4b, RFC2018 s4c, RFC2018 s4d, RFC2018 s3a
#[test]
fn sack_blocks_come_most_recent_first() {
    for_each_server(&Config::default(), |single| {
        let id = with_sack(single);
        single.inject(data(2001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(2001, 3001)]));
        single.inject(data(4001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(4001, 5001), (2001, 3001)]));
        single.inject(data(6001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(6001, 7001), (4001, 5001), (2001, 3001)]));
        single.advance(ms(20));
        // The one that grows comes first.
        single.inject(data(3001, 500, 1));
        single.expect_within(ms(5), ack(1, 1).sack(&[(2001, 3501), (6001, 7001), (4001, 5001)]));
        single.advance(ms(20));
        // Joined, they are one.
        single.inject(data(3501, 500, 1));
        single.expect_within(ms(5), ack(1, 1).sack(&[(2001, 5001), (6001, 7001)]));
        single.advance(ms(20));
        single.inject(data(1, 2000, 1));
        single.expect(ack(1, 5001).sack(&[(6001, 7001)]));
        single.inject(data(5001, 1000, 1));
        single.expect(ack(1, 7001));
        single.read(id, 7000);
    });
}

// Shows: RFC2018 s3a
#[test]
fn four_blocks_fit_and_three_with_timestamps() {
    for (stamps, fit) in [(false, 4), (true, 3)] {
        let mut single = Single::server(Setup::default());
        let stamped = |seg: Seg| if stamps { seg.ts(500, 0) } else { seg };
        let listener = single.listen();
        single.inject(stamped(syn().mss(1000).sack_ok()));
        single.expect(syn_ack());
        single.inject(stamped(ack(1, 1)));
        single.accept(listener);
        for hole in 1..=6 {
            single.inject(stamped(data(hole * 2000 + 1, 1000, 1)));
            single.advance(ms(20));
        }
        let (_, last) = single.take_packets().pop().expect("an ACK");
        assert_eq!(last.segment.options.sack.len(), fit);
    }
}

// Shows: RFC2018 s4a
#[test]
fn data_that_leaves_while_there_is_a_hole_carries_the_blocks() {
    for_each_server(&Config::default(), |single| {
        let id = with_sack(single);
        single.inject(data(1001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(1001, 2001)]));
        single.write(id, 10);
        single.expect(data(1, 10, 1).sack(&[(1001, 2001)]));
    });
}

// Shows: RFC2883 s4a
#[test]
fn a_duplicate_below_the_ack_is_reported_once() {
    for_each_server(&Config::default(), |single| {
        let id = with_sack(single);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.advance(secs(1));
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001).sack(&[(1, 1001)]));
        single.advance(secs(1));
        single.inject(data(2001, 1000, 1));
        single.expect(ack(1, 1001).sack(&[(2001, 3001)]));
        single.read(id, 1000);
    });
}

// Shows: RFC2883 s4b
#[test]
fn a_duplicate_beyond_a_hole_is_reported_before_the_block_that_holds_it() {
    for_each_server(&Config::default(), |single| {
        with_sack(single);
        single.inject(data(1001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(1001, 2001)]));
        single.inject(data(2001, 1000, 1));
        single.expect(ack(1, 1).sack(&[(1001, 3001)]));
        single.advance(ms(20));
        single.inject(data(2001, 500, 1));
        single.expect_within(ms(5), ack(1, 1).sack(&[(2001, 2501), (1001, 3001)]));
    });
}

// Shows: RFC2883 s4c
#[test]
fn of_a_partial_duplicate_the_old_part_is_reported() {
    for_each_server(&Config::default(), |single| {
        let id = with_sack(single);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.advance(secs(1));
        single.inject(data(501, 1000, 1));
        single.expect(ack(1, 1501).sack(&[(501, 1001)]));
        single.read(id, 1500);
    });
}

// Shows: 9293 MUST-64, RFC2018 s2
#[test]
fn without_dsack_duplicates_are_acknowledged_plainly() {
    for_each_server(&Config::default().tcp_dsack(false), |single| {
        with_sack(single);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.advance(secs(1));
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
    });
}

// Shows: H-32
#[test]
fn of_bytes_that_contradict_each_other_those_that_came_first_count() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(11, 10, 1));
        // The same place with other bytes, before and after the hole is filled.
        single.inject(data(11, 10, 1).text(b"##########"));
        single.inject(data(1, 15, 1));
        single.read(id, 20);
        single.inject(data(1, 20, 1).text(b"####################"));
        single.read(id, 0);
        single.take_segments();
    });
}

// Shows: H-04, H-69, H-70, H-02
#[test]
fn a_flood_of_one_byte_segments_beyond_a_hole_is_bounded() {
    let mut single = Single::server(Setup::default());
    let id = with_sack(&mut single);
    let begin = std::time::Instant::now();
    let count = 30_000_u32;
    for at in 0..count {
        single.inject(data(3 + 2 * (at % 30_000), 1, 1));
        if at % 100 == 0 {
            single.take_segments();
        }
    }
    single.take_segments();
    assert!(begin.elapsed() < secs(20), "{:?} for {count} segments", begin.elapsed());
    assert!(single.census().receive_bytes <= 65_536 * 4, "{:?}", single.census());
    single.expect_state(id, StateName::Established);
}

// Shows: RFC7323 s3.2b
#[test]
fn a_stamp_is_in_every_segment_once_agreed_and_echoes_the_last() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000).ts(1_000, 0));
        single.expect(syn_ack().some_ts());
        single.inject(ack(1, 1).ts(1_005, 0));
        let id = single.accept(listener);
        single.inject(data(1, 10, 1).ts(1_010, 0));
        single.read(id, 10);
        let (_, packet) = single.take_packets().pop().expect("an ACK");
        assert_eq!(packet.segment.options.timestamps.unwrap().echo, 1_010);
        single.write(id, 10);
        let (_, packet) = single.take_packets().pop().expect("data");
        assert_eq!(packet.segment.options.timestamps.unwrap().echo, 1_010);
    });
}

// Shows: RFC7323 s4.3
#[test]
fn the_stamp_that_is_echoed_is_that_of_the_segment_at_the_left_edge() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from_stamped(single, 100);
        let echo = |single: &mut Single| {
            let (_, packet) = single.take_packets().pop().expect("an ACK");
            packet.segment.options.timestamps.unwrap().echo
        };
        single.inject(data(1, 100, 1).ts(110, 0));
        assert_eq!(echo(single), 110);
        // Beyond a hole: not the stamp that is echoed.
        single.inject(data(201, 100, 1).ts(120, 0));
        assert_eq!(echo(single), 110);
        single.inject(data(101, 100, 1).ts(130, 0));
        assert_eq!(echo(single), 130);
        single.read(id, 300);
    });
}

fn accept_from_stamped(single: &mut Single, stamp: u32) -> ConnectionId {
    let listener = single.listen();
    single.inject(syn().mss(1000).ts(stamp, 0));
    single.expect(syn_ack().some_ts());
    single.inject(ack(1, 1).ts(stamp, 0));
    single.accept(listener)
}

// Shows: RFC7323 s5.3R1
#[test]
fn an_old_stamp_is_acknowledged_and_dropped() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from_stamped(single, 1_000);
        single.inject(data(1, 10, 1).ts(2_000, 0));
        single.read(id, 10);
        single.take_segments();
        single.advance(secs(1));
        single.take_segments();
        single.inject(data(11, 10, 1).ts(1_998, 0));
        single.expect(ack(1, 11).some_ts());
        single.read(id, 0);
        assert_eq!(single.counters().paws_estab, 1);
        single.inject(data(11, 10, 1).ts(2_000, 0));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: RFC7323 s5.2
#[test]
fn a_reset_with_an_old_stamp_resets() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from_stamped(single, 1_000);
        single.inject(towpath_lab::segment::rst(1).ts(1, 0));
        single.expect_state(id, StateName::Closed);
        single.expect_nothing();
    });
}

// Shows: RFC7323 s5.5, H-23
#[test]
fn after_twenty_five_days_an_old_stamp_is_no_longer_old() {
    let mut single = Single::server(Setup::default());
    let id = accept_from_stamped(&mut single, 1_000);
    single.inject(data(1, 10, 1).ts(2_000, 0));
    single.read(id, 10);
    single.advance(secs(25 * 24 * 3600));
    single.take_segments();
    single.inject(data(11, 10, 1).ts(1_000, 0));
    single.read(id, 10);
    single.take_segments();
}

// Shows: H-22, RFC7323 s5.3R2
#[test]
fn a_stamp_far_ahead_outside_the_window_changes_nothing() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from_stamped(single, 1_000);
        single.inject(data(1 << 30, 10, 1).ts(1_000 + (1 << 30), 0));
        single.take_segments();
        // In the window, but with an ACK of what was never sent.
        single.inject(data(1, 10, 1 << 20).ts(1_000 + (1 << 30), 0));
        single.take_segments();
        single.inject(data(1, 10, 1).ts(1_001, 0));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: RFC7323 s3.2e
#[test]
fn a_stamp_that_was_not_agreed_is_ignored() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.inject(data(1, 10, 1).ts(5, 5));
        single.inject(data(11, 10, 1).ts(4, 5));
        single.read(id, 20);
        for (_, packet) in single.take_packets() {
            assert_eq!(packet.segment.options.timestamps, None);
        }
    });
}

// Shows: H-71, I-11
#[test]
fn a_keep_alive_probe_is_answered_and_delivers_nothing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(0, 1));
        single.expect(ack(1, 1));
        single.advance(secs(1));
        single.inject(data(0, 1, 1).text(b"#"));
        single.expect(ack(1, 1));
        single.read(id, 0);
    });
}

// Shows: H-71, RFC2883 s4a
#[test]
fn a_garbage_byte_below_the_first_is_not_reported_as_an_empty_block() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).sack_ok());
        single.inject(data(0, 1, 1).text(b"#"));
        for (_, packet) in single.take_packets() {
            for block in &packet.segment.options.sack {
                assert!(block.left.before(block.right), "an empty block");
            }
        }
        single.read(id, 0);
    });
}

// Shows: RFC2883 s4a
#[test]
fn text_from_before_the_syn_is_not_reported_as_a_duplicate_of_other_bytes() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).sack_ok());
        for part in 0..3 {
            single.inject(data(1 + part * 1000, 1000, 1));
        }
        single.read(id, 3000);
        single.advance(secs(1));
        single.take_segments();
        single.inject(data(1_u32.wrapping_sub(5_000), 1000, 1));
        for (_, packet) in single.take_packets() {
            let first = packet.segment.options.sack.first();
            assert!(
                first.is_none_or(|block| block.right.before(packet.segment.ack - 3000)),
                "bytes 1..1001 did not come twice: {first:?}"
            );
        }
    });
}

// Shows: RFC2883 s4a
#[test]
fn text_far_below_what_is_acknowledged_is_answered_with_a_d_sack() {
    for_each_server(&Config::default(), |single| {
        let id = with_sack(single);
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        single.read(id, 1000);
        single.inject(data(1, 500, 1));
        single.expect(ack(1, 1001).sack(&[(1, 501)]));
    });
}

#[test]
fn text_that_is_looked_at_stays_and_in_pieces() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        for at in 0..3 {
            single.inject(data(1 + at * 100, 100, 1));
        }
        single.take_segments();
        for max in [1, 100, 101, 300, 1000] {
            let seen = single.call(|endpoint, _| endpoint.peek(id, max)).unwrap();
            assert_eq!(seen.len(), max.min(300), "{max}");
        }
        single.read(id, 300);
    });
}
