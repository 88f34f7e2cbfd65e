//! What a stranger who cannot see the connection may try (RFC 5961), and how often he is answered.

mod support;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{CloseReason, Config, SocketError, StateName};
use towpath_lab::segment::{ack, data, fin, rst, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_server};

// Shows: RFC5961 s3.2, RFC9293 s3.10.7.4e, H-07
#[test]
fn with_text_beyond_holes_a_reset_at_its_end_counts_too() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).sack_ok());
        single.inject(data(2001, 1000, 1));
        single.inject(data(5001, 500, 1));
        single.take_segments();
        // Neither the right edge of a lower piece nor a left edge will do.
        for seq in [3001, 5001, 5500, 5502] {
            single.inject(rst(seq));
            single.expect_state(id, StateName::Established);
        }
        single.inject(rst(5501));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
        single.take_segments();
    });
}

// Shows: RFC5961 s3.2, RFC9293 s3.10.7.4e
#[test]
fn behind_the_peer_s_fin_a_reset_that_does_not_count_the_fin_counts() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1));
        single.read(id, 100);
        single.take_segments();
        // Without a FIN it is just old.
        single.inject(rst(100));
        single.expect_state(id, StateName::Established);
        single.inject(fin(101, 1));
        single.expect_within(ms(41), ack(1, 102));
        single.inject(rst(100));
        single.expect_state(id, StateName::CloseWait);
        single.inject(rst(101));
        single.expect_nothing();
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
    });
}

// Shows: RFC5961 s7, H-06, H-08, I-14
#[test]
fn a_flood_of_syns_is_challenged_twice_a_second_and_all_of_it_is_counted() {
    let mut single = Single::server(Setup::default());
    let id = accepted(&mut single);
    let mut answers = 0;
    for round in 0..2000_u32 {
        single.inject(syn().seq(round * 1000));
        single.advance(ms(1));
        answers += single.take_segments().len();
    }
    assert_eq!(answers, 4);
    let counters = single.counters();
    assert_eq!(counters.syn_challenge, 2000);
    assert_eq!((counters.challenge_acks, counters.ack_skipped_challenge), (4, 1996));
    single.expect_state(id, StateName::Established);
}

// The side channel of CVE-2016-5696: his own connection tells a stranger what happened on another's.
// Shows: RFC5961 s7, RFC5961 err4772, H-06
#[test]
fn a_flood_on_one_connection_takes_no_challenge_from_another() {
    for limit in [100, Config::NO_CHALLENGE_ACK_LIMIT] {
        let config = Config::default()
            .tcp_challenge_ack_limit(limit)
            .tcp_invalid_ratelimit(core::time::Duration::ZERO);
        let mut single = Single::server(Setup { config, ..Setup::default() });
        let listener = single.listen();
        let open = |single: &mut Single, port| {
            single.set_peer_port(port);
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            single.inject(ack(1, 1));
            single.accept(listener);
            single.own_number(0)
        };
        open(&mut single, 1000);
        open(&mut single, 2000);
        single.set_peer_port(1000);
        let mut on_his = 0;
        for _ in 0..1000 {
            single.inject(rst(100));
            on_his += single.take_segments().len();
        }
        if limit == 100 {
            assert!((50..=150).contains(&on_his), "{on_his}");
        }
        single.set_peer_port(2000);
        let mut on_mine = 0;
        for _ in 0..40 {
            single.inject(rst(100));
            on_mine += single.take_segments().len();
        }
        assert_eq!(on_mine, 40);
    }
}

// Shows: H-11, RFC5961 s5.2
#[test]
fn empty_segments_out_of_the_window_are_answered_twice_a_second_and_text_always() {
    let mut single = Single::server(Setup::default());
    let id = accepted(&mut single);
    for _ in 0..100 {
        single.inject(ack(3_000_000, 1));
        single.advance(ms(5));
    }
    assert_eq!(single.take_segments().len(), 1);
    assert_eq!(single.counters().ack_skipped_seq, 99);
    assert_eq!(single.counters().beyond_window, 100);
    for _ in 0..10 {
        single.inject(data(3_000_000, 10, 1));
    }
    assert_eq!(single.take_segments().len(), 10);
    single.expect_state(id, StateName::Established);
}

// Shows: H-11, RFC5961 s7
#[test]
fn with_the_limit_switched_off_each_is_answered() {
    let config = Config::default().tcp_invalid_ratelimit(core::time::Duration::ZERO);
    let mut single = Single::server(Setup { config, ..Setup::default() });
    accepted(&mut single);
    for _ in 0..10 {
        single.inject(ack(3_000_000, 1));
        single.inject(rst(100));
    }
    assert_eq!(single.take_segments().len(), 20);
}

// Shows: RFC7323 s5.3R1, RFC7323 s5.2, H-22
#[test]
fn an_out_of_date_segment_is_answered_by_what_it_is() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000).ts(10_000, 0));
        single.expect(syn_ack().some_ts());
        single.inject(ack(1, 1).ts(10_001, 0));
        let id = single.accept(listener);
        single.inject(data(1, 100, 1).ts(20_000, 0));
        single.read(id, 100);
        single.take_segments();
        // Text is answered.
        single.inject(data(101, 100, 1).ts(5_000, 0));
        single.expect(ack(1, 101));
        single.read(id, 0);
        // An ACK that a later one overtook is not, and neither does harm.
        single.inject(ack(1, 1).ts(5_000, 0));
        single.expect_nothing();
        // The last ACK once more, not much older: taken, in silence.
        single.inject(ack(101, 1).ts(20_000, 0));
        single.inject(ack(101, 1).ts(19_900, 0));
        single.expect_nothing();
        // Much older: answered, but not each time.
        single.inject(ack(101, 1).ts(5_000, 0));
        single.expect(ack(1, 101));
        single.inject(ack(101, 1).ts(5_000, 0));
        single.expect_nothing();
        single.advance(secs(1));
        // A SYN is challenged.
        single.inject(syn().seq(500).ts(5_000, 0));
        single.expect(ack(1, 101));
        let counters = single.counters();
        assert_eq!((counters.paws_old_ack, counters.paws_estab), (1, 3));
        assert_eq!((counters.ack_skipped_paws, counters.syn_challenge), (1, 1));
        // A reset is not judged by its timestamp.
        single.inject(rst(101).ts(5_000, 0));
        single.read_error(id, SocketError::ConnectionReset);
    });
}

// Shows: RFC7323 s5.5, H-23
#[test]
fn after_more_than_24_days_of_silence_an_older_timestamp_is_taken() {
    for (days, taken) in [(23, 0), (25, 100)] {
        let mut single = Single::server(Setup::default());
        let listener = single.listen();
        single.inject(syn().mss(1000).ts(10_000, 0));
        single.expect(syn_ack().some_ts());
        single.inject(ack(1, 1).ts(10_001, 0));
        let id = single.accept(listener);
        single.advance(secs(days * 24 * 3600));
        single.inject(data(1, 100, 1).ts(9_000, 0));
        single.read(id, taken);
    }
}

// Shows: RFC7323 s4.3, RFC7323 s5.2, H-22
#[test]
fn only_an_acceptable_segment_that_begins_in_place_sets_what_is_echoed() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000).sack_ok().ts(10_000, 0));
        single.expect(syn_ack().some_ts());
        single.inject(ack(1, 1).ts(10_001, 0));
        let id = single.accept(listener);
        let echo = |single: &mut Single| {
            let packets = single.take_packets();
            packets.last().and_then(|(_, it)| it.segment.options.timestamps).map(|it| it.echo)
        };
        // An ACK of what was never sent, with a far timestamp.
        single.inject(data(1, 10, 5_000).ts(2_000_000, 0));
        assert_eq!(echo(single), Some(10_001));
        // Beyond a hole.
        single.inject(data(101, 100, 1).ts(10_050, 0));
        assert_eq!(echo(single), Some(10_001));
        // Without the option, in place: taken, and what is echoed stays.
        single.inject(data(1, 50, 1));
        assert_eq!(echo(single), Some(10_001));
        single.inject(data(51, 50, 1).ts(10_060, 0));
        assert_eq!(echo(single), Some(10_060));
        single.read(id, 200);
    });
}
