//! What of the application's writes is seen on the wire: PSH, records, and what is held back.

mod support;

use support::{accepted, ms, secs};
use towpath_engine::{Config, SendFlags, StateName};
use towpath_lab::segment::{ack, data};
use towpath_lab::single::for_each_server;

fn more() -> SendFlags {
    let mut flags = SendFlags::default();
    flags.more = true;
    flags
}

fn record() -> SendFlags {
    let mut flags = SendFlags::default();
    flags.end_of_record = true;
    flags
}

// Shows: 9293 MUST-61, 9293 SHLD-27
#[test]
fn the_last_segment_of_a_write_carries_psh_also_when_it_is_sent_again() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 2500);
        let all =
            [data(1, 1000, 1).no_psh(), data(1001, 1000, 1).no_psh(), data(2001, 500, 1).psh()];
        single.expect_all(all.clone());
        single.advance(ms(250));
        single.expect(data(1, 1000, 1).no_psh());
        single.inject(ack(1, 1001));
        single.expect_all(all.into_iter().skip(1));
    });
}

// Shows: 9293 MUST-61
#[test]
fn full_segments_that_end_a_write_carry_psh_and_what_waits_is_merged() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1).psh());
        single.inject(ack(1, 1001).win(0));
        for _ in 0..3 {
            single.write(id, 600);
        }
        single.inject(ack(1, 1001).win(5000));
        single.expect_all([data(1001, 1000, 1).no_psh(), data(2001, 800, 1).psh()]);
    });
}

#[test]
fn a_long_write_is_pushed_after_half_of_the_largest_window() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.send_buffer = Some(100_000));
        single.inject(ack(1, 1));
        single.write(id, 70_000);
        let mut pushed = Vec::new();
        let mut acked = 1;
        while acked < 70_001 {
            for (seq, len, flags) in single.take_segments() {
                acked = seq + len as u32;
                if flags.contains(towpath_wire::tcp::Flags::PSH) {
                    pushed.push(acked - 1);
                }
            }
            single.inject(ack(1, acked));
        }
        // The largest window was the SYN's: half of it is 32,767, and a batch is 32 segments. The
        // first was continued after ten of them had left. The other marks end bursts: half of the
        // congestion window each, as long as the round trip takes no time.
        assert_eq!(pushed, [5000, 10_000, 20_000, 30_000, 42_000, 50_000, 70_000]);
    });
}

// Shows: 9293 MUST-60
#[test]
fn a_cork_holds_what_is_not_full_until_it_is_pulled_or_a_time_out_has_passed() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.cork = true);
        single.write(id, 1300);
        single.expect(data(1, 1000, 1).no_psh());
        single.inject(ack(1, 1001));
        single.expect_silence(ms(190));
        single.set(id, |options| options.cork = false);
        single.expect(data(1001, 300, 1).psh());
        single.inject(ack(1, 1301));
        single.set(id, |options| options.cork = true);
        single.write(id, 100);
        single.expect_after(ms(200), data(1301, 100, 1).psh());
        single.inject(ack(1, 1401));
        // That was no probe: the next wait is as short.
        single.write(id, 100);
        single.expect_after(ms(200), data(1401, 100, 1).psh());
        single.inject(ack(1, 1501));
        single.expect_silence(secs(10));
        assert_eq!(single.counters().win_probes, 0);
    });
}

// Shows: 9293 MUST-17
#[test]
fn nodelay_set_later_pushes_what_waits_even_under_a_cork() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        single.write(id, 10);
        single.expect_nothing();
        single.set(id, |options| options.nodelay = true);
        single.expect(data(11, 10, 1).psh());
        single.set(id, |options| {
            options.cork = true;
            options.nodelay = false;
        });
        single.write(id, 10);
        single.expect_nothing();
        single.set(id, |options| options.nodelay = true);
        single.expect(data(21, 10, 1).psh());
        single.write(id, 10);
        single.expect_nothing();
        single.set(id, |options| options.cork = false);
        single.expect(data(31, 10, 1).psh());
    });
}

#[test]
fn more_to_come_holds_a_segment_until_the_rest_is_written() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.nodelay = true);
        single.write_with(id, 300, more());
        single.expect_silence(ms(190));
        single.write(id, 300);
        single.expect(data(1, 600, 1).psh());
        single.write_with(id, 1200, more());
        single.expect(data(601, 1000, 1).no_psh());
        // As Linux: the wish is forgotten with the next segment of the peer.
        single.inject(ack(1, 1601));
        single.expect(data(1601, 200, 1).no_psh());
        single.inject(ack(1, 1801));
        single.write_with(id, 100, more());
        single.expect_after(ms(200), data(1801, 100, 1));
    });
}

#[test]
fn a_close_lets_go_what_a_cork_holds() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.set(id, |options| options.cork = true);
        single.write(id, 300);
        single.expect_nothing();
        single.shutdown(id);
        single.expect(data(1, 300, 1).psh().with_fin());
        single.expect_state(id, StateName::FinWait1);
        single.inject(ack(1, 302));
    });
}

#[test]
fn nothing_written_later_shares_a_segment_with_a_record_that_has_ended() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(ack(1, 1).win(0));
        single.write_with(id, 400, record());
        single.write_with(id, 1400, record());
        single.write(id, 300);
        single.inject(ack(1, 1).win(5000));
        let all = [data(1, 400, 1).psh(), data(401, 1000, 1).no_psh(), data(1401, 400, 1).psh()];
        single.expect_all(all);
        // The last is an ordinary small one: Nagle holds it.
        single.expect_nothing();
        single.advance(ms(250));
        single.expect(data(1, 400, 1).psh());
        single.inject(ack(1, 401).win(5000));
        single.expect_all([data(401, 1000, 1).no_psh(), data(1401, 400, 1).psh()]);
        single.inject(ack(1, 1801).win(5000));
        single.expect(data(1801, 300, 1).psh());
    });
}
