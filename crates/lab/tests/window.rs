//! Flow control: the peer's window (zero-window probes, silly windows, Nagle, scaling, shrinking) and
//! our own. RFC 9293 sections 3.8.6 and 3.7.4, RFC 7323 section 2.

mod support;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{Config, Event, Readiness, SocketOptions, StateName};
use towpath_lab::segment::{ack, data, fin, syn};
use towpath_lab::single::{Setup, Single, for_each_server};

// Shows: 9293 MUST-36, 9293 SHLD-29, 9293 SHLD-30
#[test]
fn a_closed_window_is_probed_after_one_rto_and_then_ever_more_seldom() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 1000);
        let mut wait = ms(200);
        for _ in 0..6 {
            let took = single.expect_within(wait + ms(50), ack(0, 1));
            assert!(took + ms(50) >= wait, "{took:?}, expected {wait:?}");
            wait *= 2;
        }
    });
}

// Shows: 9293 MUST-37, RFC1122 s4.2.2.17, RFC9293 s3.10.7.4n
#[test]
fn a_closed_window_is_probed_for_an_hour_while_the_peer_answers_and_then_the_data_goes() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 1000);
        let mut probes = 0;
        while single.elapsed() < secs(3_600) {
            // Never rarer than the greatest RTO.
            single.expect_within(secs(121), ack(0, 1));
            single.inject(ack(1, 1).win(0));
            probes += 1;
        }
        assert!(probes > 30, "{probes}");
        single.expect_state(id, StateName::Established);
        single.inject(ack(1, 1).win(5_000));
        single.expect(data(1, 1000, 1).psh());
        single.inject(ack(1, 1001).win(5_000));
        single.expect_silence(secs(3_600));
    });
}

// Shows: 9293 MUST-35, H-39
#[test]
fn probes_that_nobody_answers_end_the_connection() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 1000);
        single.advance(secs(3_600));
        single.take_segments();
        single.expect_state(id, StateName::Closed);
        assert_eq!(
            single.call(|endpoint, _| endpoint.take_error(id)),
            Some(towpath_engine::SocketError::TimedOut)
        );
    });
}

// Shows: 9293 MUST-34, 9293 MUST-35, 9293 SHLD-15, 9293 SHLD-16, RFC7323 s2.4c
#[test]
fn a_window_that_shrinks_over_data_in_flight_stops_new_data_only() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 8000);
        for segment in 0..8 {
            single.expect(data(1 + segment * 1000, 1000, 1));
        }
        single.write(id, 2000);
        single.take_segments();
        // Two arrived, and the window now ends inside what is in flight.
        single.inject(ack(1, 2001).win(3000));
        single.expect_nothing();
        // Nothing new is sent beyond the edge; what was lost inside it is sent again.
        single.expect_within(secs(2), data(2001, 1000, 1));
        single.inject(ack(1, 10_001).win(0));
        single.write(id, 10);
        single.expect_within(secs(2), ack(10_000, 1));
    });
}

// Shows: RFC9293 s3.10.7.4n
#[test]
fn an_old_segment_does_not_change_the_window() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1).win(50_000));
        single.inject(data(101, 100, 1).win(40_000));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 40_000);
        single.inject(data(1, 100, 1).win(1));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 40_000);
        single.inject(ack(201, 1).win(39_000));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 39_000);
        single.take_segments();
    });
}

// Shows: 9293 MUST-1, 9293 REC-1
#[test]
fn a_window_is_unsigned_and_as_large_as_its_scale_makes_it() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000).wscale(14));
        single.inject(ack(1, 1).win(0xffff));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 0xffff << 14);
    });
    // A scale above 14 counts as 14.
    for_each_server(&Config::default(), |single| {
        single.set_window(1);
        let id = accept_from(single, syn().mss(1000).wscale(255));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 1 << 14);
    });
}

// Shows: RFC7323 s2.2d
#[test]
fn a_scale_in_a_segment_that_is_no_syn_is_ignored() {
    for_each_server(&Config::default(), |single| {
        single.set_window(50);
        let id = accept_from(single, syn().mss(1000).wscale(2));
        single.inject(ack(1, 1).win(100).wscale(9));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 400);
    });
}

// Shows: 9293 MUST-38, H-41, H-42
#[test]
fn a_peer_that_opens_its_window_by_bytes_is_not_sent_crumbs() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 3000);
        // Ten bytes at a time: below the segment, and below half the largest window.
        let mut window = 0;
        while window < 900 {
            window += 10;
            single.inject(ack(1, 1).win(window));
            let crumbs: Vec<_> =
                single.take_segments().into_iter().filter(|(_, len, _)| *len > 0).collect();
            assert!(crumbs.is_empty(), "at a window of {window}: {crumbs:?}");
        }
        single.inject(ack(1, 1).win(1000));
        single.expect(data(1, 1000, 1));
        single.inject(ack(1, 1001).win(1000));
        single.expect(data(1001, 1000, 1));
    });
}

// Shows: 9293 MUST-38, H-42
#[test]
fn a_window_that_stays_small_is_used_in_the_end() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 3000);
        single.inject(ack(1, 1).win(3));
        single.advance(secs(2));
        let sent: Vec<_> =
            single.take_segments().into_iter().filter(|(_, len, _)| *len > 0).collect();
        assert_eq!(sent.first().map(|(seq, len, _)| (*seq, *len)), Some((1, 3)), "{sent:?}");
    });
}

// Shows: I-31
#[test]
fn a_peer_whose_largest_window_is_below_a_segment_gets_half_of_it_at_once() {
    for_each_server(&Config::default(), |single| {
        single.set_window(600);
        let listener = single.listen();
        single.inject(syn().mss(1000).win(600));
        single.expect(towpath_lab::segment::syn_ack());
        single.inject(ack(1, 1).win(600));
        let id = single.accept(listener);
        single.write(id, 3000);
        let sent: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
        assert!((300..=600).contains(&sent), "{sent} bytes in a window of 600");
    });
}

// Shows: 9293 SHLD-7, 9293 MUST-17, 9293 MUST-60, 9293 SHLD-27
#[test]
fn a_small_write_waits_for_the_ack_of_the_one_before_unless_told_not_to() {
    for nodelay in [false, true] {
        for_each_server(&Config::default(), |single| {
            let id = accepted(single);
            let mut options = SocketOptions::default();
            options.nodelay = nodelay;
            single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
            single.write(id, 10);
            single.expect(data(1, 10, 1).psh());
            single.write(id, 20);
            if nodelay {
                single.expect(data(11, 20, 1).psh());
                return;
            }
            single.write(id, 30);
            single.expect_nothing();
            single.inject(ack(1, 11));
            // Both at once: Nagle collects.
            single.expect(data(11, 50, 1).psh());
        });
    }
}

#[test]
fn switching_nagle_off_lets_go_what_it_held() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        single.write(id, 20);
        single.expect_nothing();
        let mut options = SocketOptions::default();
        options.nodelay = true;
        single.call(|endpoint, now| endpoint.set_options(now, id, options)).unwrap();
        single.expect(data(11, 20, 1));
    });
}

// Shows: 9293 SHLD-28, 9293 MUST-61, RFC1122 s4.2.2.2
#[test]
fn full_segments_go_at_once_and_the_last_one_pushes() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 3500);
        single.expect_all([data(1, 1000, 1).no_psh(), data(1001, 1000, 1).no_psh()]);
        single.expect(data(2001, 1000, 1));
        // Linux holds a small segment back only behind another small one (Minshall).
        single.expect(data(3001, 500, 1).psh());
        single.write(id, 500);
        single.expect_nothing();
        single.inject(ack(1, 3501));
        single.expect(data(3501, 500, 1).psh());
    });
}

/// Sends full segments that nobody reads until the window is closed; the next number.
fn fill(single: &mut Single, id: towpath_engine::ConnectionId) -> u32 {
    let mut next = 1;
    while let len @ 1.. = (single.endpoint().info(id).unwrap().rcv_wnd as usize).min(1000) {
        single.inject(data(next, len, 1));
        next += len as u32;
        assert!(next < 50_000_000, "the window never closes");
    }
    single.advance(secs(1));
    single.take_segments();
    next
}

// Shows: 9293 MUST-39, 9293 MAY-8, 9293 SHLD-14
#[test]
fn a_reader_that_takes_crumbs_opens_the_window_by_segments() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = fill(single, id);
        // A probe is answered with the window closed.
        single.inject(ack(0, 1));
        single.expect(ack(1, next).win(0));
        // The reader takes a byte at a time: silence, then at least a segment.
        let mut read = 0;
        let opened = loop {
            assert_eq!(single.try_read(id, 1), Ok(1));
            read += 1;
            if let Some((_, packet)) = single.take_packets().pop() {
                break packet.segment.window;
            }
            assert!(read < 100_000, "the window never opens");
        };
        assert!(opened >= 1000, "a window of {opened} bytes was offered after {read}");
        assert!(read >= 1000, "opened after {read} bytes");
    });
}

// Shows: I-16, H-68
#[test]
fn a_probe_with_a_byte_in_a_closed_window_is_refused_and_answered() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = fill(single, id);
        let held = single.census().receive_bytes;
        for _ in 0..3 {
            single.advance(secs(1));
            single.inject(data(next, 1, 1));
            single.expect(ack(1, next).win(0));
        }
        // More than the window ever was is not taken either.
        single.advance(secs(1));
        for beyond in 0..20 {
            single.inject(data(next + beyond * 1000, 1000, 1));
        }
        assert_eq!(single.census().receive_bytes, held);
        single.take_segments();
    });
}

#[test]
fn reading_everything_reopens_the_window_at_once() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let next = fill(single, id);
        while single.try_read(id, 65_536).is_ok() {}
        let packets = single.take_packets();
        let last = &packets.last().expect("a window update").1.segment;
        assert!(last.window >= 1000 && last.ack != last.seq);
        single.inject(data(next, 1000, 1));
        single.read(id, 1000);
        single.take_segments();
    });
}

// Shows: RFC7323 s2.3b, H-68
#[test]
fn what_the_engine_holds_stays_below_its_buffer_however_large_the_window_grows() {
    let rmem = towpath_engine::BufferSizes { min: 4096, default: 16_384, max: 65_536 };
    let config = Config::default().tcp_rmem(rmem);
    for_each_server(&config, |single| {
        let id = accept_from(single, syn().mss(1000).wscale(7));
        let next = fill(single, id);
        assert!(single.census().receive_bytes <= 65_536, "{}", single.census().receive_bytes);
        assert!(next > 4096);
    });
}

// Shows: RFC9293 s3.10.4, 9293 MUST-36
#[test]
fn a_fin_behind_a_closed_window_arrives_in_the_end() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 100);
        single.close(id);
        single.expect_within(ms(300), ack(0, 1));
        single.inject(ack(1, 1).win(1000));
        let sent = single.take_segments();
        assert_eq!(sent.iter().map(|(_, len, _)| len).sum::<usize>(), 100, "{sent:?}");
        single.inject(fin(1, 102));
        single.expect(ack(102, 2));
        single.finish_empty_with_listener();
    });
}

// Shows: 9293 SHLD-17, RFC9293 A.2
#[test]
fn with_both_windows_closed_the_probes_of_both_sides_are_answered() {
    let mut single = Single::server(Setup::default());
    let id = accepted(&mut single);
    let next = fill(&mut single, id);
    single.inject(ack(next, 1).win(0));
    single.write(id, 100);
    single.expect_within(ms(300), ack(0, next).win(0));
    single.inject(ack(next - 1, 1).win(0));
    single.expect(ack(1, next).win(0));
    single.inject(ack(next, 1).win(1000));
    single.expect(data(1, 100, next));
}

// Shows: H-39, H-40
#[test]
fn an_orphan_that_a_closed_window_holds_is_given_up() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write(id, 1000);
        single.close(id);
        let mut probes = 0;
        while single.elapsed() < secs(3 * 3_600) && single.census().connections > 0 {
            single.advance(ms(50));
            if !single.take_segments().is_empty() {
                probes += 1;
                single.inject(ack(1, 1).win(0));
            }
        }
        // 0.2 s, doubled for each, is more than two minutes after the tenth.
        assert_eq!((probes, single.census().connections), (10, 0));
    });
}

// Shows: H-39, H-40
#[test]
fn an_orphan_before_a_closed_window_is_given_up_sooner_where_nobody_answers() {
    for (retries, sent) in [(0, 8), (3, 3)] {
        let config = Config::default().tcp_orphan_retries(retries);
        for_each_server(&config, |single| {
            let id = accepted(single);
            single.inject(ack(1, 1).win(0));
            single.write(id, 1000);
            single.close(id);
            let mut probes = 0;
            while single.elapsed() < secs(600) && single.census().connections > 0 {
                single.advance(ms(50));
                probes += single.take_segments().len();
            }
            assert_eq!((probes, single.census().connections), (sent, 0));
        });
    }
}

// Shows: RFC9293 s3.10.7.4n, H-33
#[test]
fn of_two_window_updates_that_overtake_each_other_the_larger_counts() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.inject(ack(1, 1).win(50_000));
        // The older one arrives last: Linux keeps the larger of two with equal numbers.
        single.inject(ack(1, 1).win(100));
        assert_eq!(single.endpoint().info(id).unwrap().snd_wnd, 50_000);
    });
}

#[test]
fn a_buffer_that_is_full_is_not_writable_and_says_when_it_is_again() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        // Exactly full: nobody was turned away.
        assert!(single.try_write(id, 1 << 20).unwrap() > 0);
        single.take_segments();
        let writable =
            |single: &Single| single.endpoint().readiness(id).contains(Readiness::WRITABLE);
        assert!(!writable(single), "a write would be refused");
        let all = single.endpoint().info(id).unwrap().notsent_bytes as u32;
        single.take_events();
        single.inject(ack(1, 1).win(60_000));
        let sent = single.take_segments();
        assert!(!sent.is_empty() && all > 1000);
        let end = sent.iter().map(|(seq, len, _)| seq + *len as u32).max().unwrap();
        single.inject(ack(1, end).win(60_000));
        assert!(writable(single));
        let events = single.take_events();
        assert_eq!(events, [Event::Ready(id, Readiness::WRITABLE)]);
        assert!(single.try_write(id, 10_000).is_ok());
        single.take_segments();
    });
}
