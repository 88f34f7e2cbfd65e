//! SYN cookies: a passive open of which nothing is kept (RFC 4987 section 3.6), in Linux's form.

mod support;

use support::{ms, secs};
use towpath_engine::{Config, ListenRequest, ListenerId, StateName, SynCookies};
use towpath_lab::segment::{ack, data, fin, rst, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_server};
use towpath_wire::tcp::Flags;

fn always() -> Config {
    Config::default().tcp_syncookies(SynCookies::Always)
}

/// The peer's SYN was answered with a cookie: the SYN-ACK's timestamp.
fn take_cookie(single: &mut Single) -> Option<u32> {
    let packets = single.take_packets();
    let [(_, packet)] = packets.as_slice() else {
        single.fail(&format!("expected one SYN-ACK, found {}", packets.len()));
    };
    assert_eq!(packet.segment.flags, Flags::SYN | Flags::ACK);
    single.set_iss(packet.segment.seq.0);
    packet.segment.options.timestamps.map(|timestamps| timestamps.value)
}

fn listen_with_backlog(single: &mut Single, backlog: u32) -> ListenerId {
    let request = ListenRequest::new(single.local()).backlog(backlog);
    single.listen_with(request)
}

/// Half-open connections of other peers, until the queue is full.
fn fill_syn_queue(single: &mut Single, backlog: u16) {
    let own = single.peer().port();
    for port in 0..=backlog {
        single.set_peer_port(20_000 + port);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
    }
    single.set_peer_port(own);
}

// Shows: RFC4987 s3, RFC4987 A-b, Cookie r1, Cookie r2, I-12, H-25
#[test]
fn a_full_syn_queue_answers_with_a_cookie_and_keeps_nothing() {
    for_each_server(&Config::default(), |single| {
        let listener = listen_with_backlog(single, 3);
        fill_syn_queue(single, 3);
        let before = single.census();
        assert_eq!(before.half_open, 4);
        single.inject(syn().mss(1000).sack_ok().wscale(7));
        // Without a timestamp there is no place for them.
        single.expect(syn_ack().no_sack_ok().no_wscale().no_ts());
        assert_eq!(single.census(), before, "nothing is kept");
        assert_eq!(single.counters().syn_queue_cookies, 1);
        assert_eq!(single.counters().syncookies_sent, 1);
        single.inject(ack(1, 1));
        assert_eq!(single.counters().syncookies_recv, 1);
        let id = single.accept(listener);
        single.expect_state(id, StateName::Established);
        assert_eq!(single.endpoint().info(id).unwrap().rtt, None);
        // The MSS was rounded down to one of the table: 536 of IPv4's, 536 of IPv6's.
        single.write(id, 1000);
        single.expect_all([data(1, 536, 1), data(537, 464, 1)]);
        single.inject(data(1, 10, 1001));
        single.read(id, 10);
        single.take_segments();
        single.abort(id);
        single.take_segments();
    });
}

// Shows: Cookie r2, H-26
#[test]
fn a_syn_ack_with_a_cookie_is_sent_once_for_each_syn() {
    for_each_server(&always(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_silence(secs(100));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        assert_eq!(single.census().timers, 0);
    });
}

// Shows: Linux cookie ts
#[test]
fn options_come_back_with_the_timestamp() {
    for_each_server(&always(), |single| {
        let listener = single.listen();
        single.advance(ms(77));
        for (scale, sack) in [(None, false), (Some(0), true), (Some(7), false), (Some(14), true)] {
            single.set_peer_port(single.peer().port() + 1);
            let mut first = syn().mss(1400).ts(100, 0);
            if let Some(scale) = scale {
                first = first.wscale(scale);
            }
            if sack {
                first = first.sack_ok();
            }
            single.inject(first);
            let stamp = take_cookie(single).expect("a timestamp answers a timestamp");
            single.advance(ms(5));
            single.inject(ack(1, 1).ts(105, stamp).win(100));
            let id = single.accept(listener);
            let info = single.endpoint().info(id).unwrap();
            assert!(info.timestamps);
            assert_eq!(info.sack, sack);
            assert_eq!(info.snd_wscale, scale.unwrap_or(0));
            assert_eq!(info.snd_wnd, 100 << scale.unwrap_or(0));
            assert_eq!(info.rcv_wscale > 0, scale.is_some());
            // The clock goes on from there, and the peer's timestamp is known.
            single.write(id, 10);
            let packets = single.take_packets();
            let options = packets[0].1.segment.options.timestamps.unwrap();
            assert!(options.value.wrapping_sub(stamp) < 200, "{} after {stamp}", options.value);
            assert_eq!(options.echo, 105);
        }
    });
}

// Shows: Cookie r1, Cookie r2
#[test]
fn when_the_last_ack_is_lost_the_first_data_completes_the_handshake() {
    for_each_server(&always(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1460).ts(100, 0).sack_ok().wscale(7));
        let stamp = take_cookie(single).unwrap();
        single.advance(ms(300));
        single.inject(data(1, 100, 1).ts(400, stamp).psh());
        let id = single.accept(listener);
        single.read(id, 100);
        assert!(single.endpoint().info(id).unwrap().sack);
        single.expect(ack(1, 101));
    });
}

#[test]
fn a_fin_may_complete_the_handshake_too() {
    for_each_server(&always(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1460));
        single.expect(syn_ack());
        single.inject(data(1, 100, 1).with_fin());
        let id = single.accept(listener);
        single.read_all_to_end(id, 100);
        single.expect_state(id, StateName::CloseWait);
        single.take_segments();
    });
}

// Shows: Cookie r3
#[test]
fn a_later_segment_is_not_taken_for_the_first_or_what_lies_before_it_would_be_lost() {
    for_each_server(&always(), |single| {
        single.listen();
        single.inject(syn().mss(1460));
        single.expect(syn_ack());
        for lost in 1..10 {
            single.inject(data(1 + lost, 100, 1));
            single.expect(rst(1));
        }
        assert_eq!(single.census().connections, 0);
        assert_eq!(single.counters().syncookies_failed, 9);
    });
}

// Shows: RFC4987 A-c, Linux cookie, Cookie r3
#[test]
fn a_cookie_of_the_minute_before_the_last_is_answered_with_a_reset() {
    for_each_server(&always(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        // The listener goes on sending cookies: it is not for want of these that the old one fails.
        for _ in 0..2 {
            single.advance(secs(59));
            let (own, iss) = (single.peer().port(), single.own_number(0));
            single.set_peer_port(own + 1);
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            single.set_peer_port(own);
            single.set_iss(iss.0);
        }
        single.advance(secs(2));
        single.inject(ack(1, 1));
        single.expect(rst(1));
        assert_eq!(single.counters().syncookies_failed, 1);
        assert_eq!(single.census().connections, 0);
        assert!(single.call(|endpoint, now| endpoint.accept(now, listener)).is_err());
    });
}

// Shows: Cookie r3
#[test]
fn a_cookie_comes_again() {
    for_each_server(&always(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        // While the connection is there the ACK is one of its own.
        single.inject(ack(1, 1));
        assert_eq!((single.census().connections, single.counters().syncookies_recv), (1, 1));
        single.inject(rst(1));
        single.close(id);
        assert_eq!(single.census().connections, 0);
        // Afterwards it opens another, in its two minutes: nobody remembers that it was used (as
        // Linux). Later it opens none.
        single.inject(ack(1, 1));
        assert_eq!((single.census().connections, single.counters().syncookies_recv), (1, 2));
        single.inject(rst(1));
        let id = single.accept(listener);
        single.close(id);
        single.advance(secs(121));
        single.take_segments();
        single.inject(ack(1, 1));
        single.expect(rst(1));
        assert_eq!(single.census().connections, 0);
    });
}

// Shows: RFC4987 A-b, H-27
#[test]
fn where_no_cookie_was_sent_lately_none_is_looked_at() {
    for_each_server(&Config::default(), |single| {
        listen_with_backlog(single, 3);
        single.inject(ack(1, 1));
        single.expect(rst(1));
        fill_syn_queue(single, 3);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        // Long after, the queue having emptied.
        single.advance(secs(121));
        single.take_segments();
        single.inject(ack(1, 1));
        single.expect(rst(1));
        assert_eq!(single.counters().syncookies_failed, 0);
        assert_eq!(single.census().connections, 0);
    });
}

// Shows: H-27, H-74
#[test]
fn a_right_cookie_waits_while_the_accept_queue_is_full() {
    for_each_server(&always(), |single| {
        let listener = listen_with_backlog(single, 0);
        let (first, second) = (single.peer().port(), single.peer().port() + 1);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        let iss = single.own_number(0);
        single.set_peer_port(second);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        assert_eq!(single.census().accept_queue, 1);
        single.set_peer_port(first);
        single.set_iss(iss.0);
        single.inject(ack(1, 1));
        single.expect_nothing();
        assert_eq!(single.counters().listen_overflows, 1);
        assert_eq!(single.counters().listen_drops, 1);
        assert_eq!(single.census().accept_queue, 1);
        single.accept(listener);
        single.inject(data(1, 10, 1));
        let id = single.accept(listener);
        assert_eq!(single.endpoint().peer_addr(id), Ok(single.peer()));
        single.read(id, 10);
        single.take_segments();
    });
}

#[test]
fn the_answer_to_a_cookie_counts_although_a_record_was_made_in_between() {
    for_each_server(&Config::default(), |single| {
        let listener = listen_with_backlog(single, 1);
        fill_syn_queue(single, 1);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        let cookie = single.own_number(0);
        // One of the others gives up, and the SYN comes again: now there is room for a record.
        let own = single.peer().port();
        single.set_peer_port(20_000);
        single.inject(rst(1));
        single.set_peer_port(own);
        single.advance(ms(900));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        assert_ne!(single.own_number(0), cookie);
        assert_eq!(single.census().half_open, 2);
        // But the peer had the first answer.
        single.set_iss(cookie.0);
        single.inject(ack(1, 1));
        single.expect_nothing();
        let id = single.accept(listener);
        single.expect_state(id, StateName::Established);
        assert_eq!(single.census().half_open, 1, "the record is gone");
        single.abort(id);
        single.take_segments();
    });
}

// Shows: Cookie r3
#[test]
fn options_that_were_never_agreed_to_are_not_taken_from_an_echo() {
    let config = always().tcp_sack(false);
    for_each_server(&config, |single| {
        single.listen();
        single.inject(syn().mss(1000).ts(100, 0));
        let stamp = take_cookie(single).unwrap();
        // No scaling and no SACK are the low bits 001111: 16 more says that SACK was agreed.
        single.inject(ack(1, 1).ts(101, stamp.wrapping_add(16)));
        single.expect(rst(1));
        assert_eq!(single.census().connections, 0);
        single.inject(ack(1, 1).ts(101, stamp));
        assert_eq!(single.census().connections, 1);
    });
}

#[test]
fn without_cookies_a_full_syn_queue_drops() {
    let config = Config::default().tcp_syncookies(SynCookies::Never);
    for_each_server(&config, |single| {
        listen_with_backlog(single, 3);
        fill_syn_queue(single, 3);
        single.inject(syn().mss(1000));
        single.expect_nothing();
        assert_eq!(single.counters().syn_queue_full, 1);
        assert_eq!(single.counters().listen_drops, 1);
        assert_eq!(single.counters().syncookies_sent, 0);
        assert_eq!(single.census().half_open, 4);
    });
}

// Shows: RFC4987 s3, I-12
#[test]
fn without_cookies_the_last_quarter_of_the_syn_queue_stays_free() {
    let config = Config::default().tcp_syncookies(SynCookies::Never).tcp_max_syn_backlog(16);
    let mut single = Single::server(Setup { config, ..Setup::default() });
    single.listen();
    for port in 1..=20 {
        single.set_peer_port(1000 + port);
        single.inject(syn().mss(1000));
    }
    assert_eq!(single.census().half_open, 13);
    assert_eq!(single.take_segments().len(), 13);
    assert_eq!(single.counters().listen_drops, 7);
    assert_eq!(single.counters().syn_queue_full, 0);
}

// Shows: H-74, I-12
#[test]
fn a_full_accept_queue_ignores_the_final_ack_and_lets_it_come_again() {
    for_each_server(&Config::default(), |single| {
        let listener = listen_with_backlog(single, 1);
        let peers = [1, 2, 3].map(|port| 1000 + port);
        let mut numbers = Vec::new();
        let open = |single: &mut Single, numbers: &mut Vec<u32>| {
            single.set_peer_port(peers[numbers.len()]);
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            numbers.push(single.own_number(0).0);
        };
        let complete = |single: &mut Single, numbers: &[u32], index: usize| {
            single.set_peer_port(peers[index]);
            single.set_iss(numbers[index]);
            single.inject(ack(1, 1));
        };
        open(single, &mut numbers);
        open(single, &mut numbers);
        complete(single, &numbers, 0);
        open(single, &mut numbers);
        complete(single, &numbers, 1);
        // Linux lets one more than the backlog in.
        assert_eq!(single.census().accept_queue, 2);
        complete(single, &numbers, 2);
        single.expect_nothing();
        let counters = single.counters();
        assert_eq!((counters.listen_overflows, counters.listen_drops), (1, 1));
        // A SYN finds no place either.
        single.set_peer_port(2000);
        single.inject(syn().mss(1000));
        single.expect_nothing();
        let counters = single.counters();
        assert_eq!((counters.listen_overflows, counters.listen_drops), (2, 2));
        // The SYN-ACK is sent again; the peer answers again, and now there is room.
        single.expect_after(secs(1), syn_ack());
        single.accept(listener);
        single.accept(listener);
        complete(single, &numbers, 2);
        let id = single.accept(listener);
        single.expect_state(id, StateName::Established);
        assert_eq!(single.counters().passive_opens, 3);
    });
}

// Shows: H-74
#[test]
fn a_full_accept_queue_resets_where_it_is_told_to() {
    let config = Config::default().tcp_abort_on_overflow(true);
    for_each_server(&config, |single| {
        listen_with_backlog(single, 0);
        let first = single.peer().port();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        let iss = single.own_number(0);
        single.set_peer_port(first + 1);
        fill_accept_queue(single);
        single.set_peer_port(first);
        single.set_iss(iss.0);
        single.inject(ack(1, 1));
        single.expect(rst(1));
        assert_eq!(single.census().half_open, 0);
        assert_eq!(single.counters().listen_overflows, 1);
    });
}

/// One complete connection, through a cookie if the SYN queue is full.
fn fill_accept_queue(single: &mut Single) {
    single.inject(syn().mss(1000));
    single.expect(syn_ack());
    single.inject(ack(1, 1));
    assert_eq!(single.census().accept_queue, 1);
}

// Shows: RFC4987 s3, H-25
#[test]
fn records_that_timed_out_leave_a_queue_that_is_filling() {
    let setup = Setup::default();
    let mut single = Single::server(setup.clone());
    listen_with_backlog(&mut single, 20);
    fill_syn_queue(&mut single, 14);
    // 15 of 21, and none of them young: two retransmissions instead of five, until half are gone.
    single.advance(secs(8));
    assert_eq!(single.census().half_open, 10);
    let mut calm = Single::server(setup);
    listen_with_backlog(&mut calm, 100);
    fill_syn_queue(&mut calm, 14);
    calm.advance(secs(60));
    assert_eq!(calm.census().half_open, 15);
}

// Shows: H-25, H-43
#[test]
fn who_comes_back_from_time_wait_gets_a_record_in_a_full_queue() {
    for_each_server(&Config::default(), |single| {
        let listener = listen_with_backlog(single, 1);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single.close(id);
        single.expect(fin(1, 1));
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        let old = single.own_number(2);
        fill_syn_queue(single, 1);
        single.inject(syn().seq(1000).mss(1000));
        let packets = single.take_packets();
        assert_eq!(packets[0].1.segment.seq, old + 65_537);
        assert_eq!(single.census().half_open, 3);
        assert_eq!(single.counters().syncookies_sent, 0);
    });
}

// Shows: RFC9293 s3.10.7.2a
#[test]
fn what_is_half_open_goes_with_its_listener() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.call(|endpoint, now| endpoint.close_listener(now, listener));
        // The peer's ACK belongs to nothing any more.
        single.inject(ack(1, 1));
        single.expect(rst(1));
        single.finish_empty();
    });
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.call(|endpoint, now| endpoint.close_listener(now, listener));
        single.expect_silence(secs(70));
        single.finish_empty();
    });
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.call(|endpoint, now| endpoint.close_listener(now, listener));
        // Another listens in its place, and the SYN comes again: a connection of its own.
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.accept(listener);
    });
}
