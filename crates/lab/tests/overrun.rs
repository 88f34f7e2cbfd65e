//! A peer that sends more than it was offered: RFC 9293 section 3.10.7.4, as Linux 6.18 does it.

mod support;

use support::{accepted, ms, secs};
use towpath_engine::{BufferSizes, Config, ConnectionId, StateName};
use towpath_lab::segment::{ack, data, fin};
use towpath_lab::single::{Single, for_each_server};

/// A receive buffer of 10,000 bytes.
fn small_buffer() -> Config {
    Config::default().tcp_rmem(BufferSizes { min: 4096, default: 20_000, max: 20_000 })
}

fn window(single: &Single, id: ConnectionId) -> u32 {
    single.endpoint().info(id).map_or(0, |info| info.rcv_wnd)
}

// Shows: H-68, RFC9293 s3.10.7.4c
#[test]
fn what_reaches_beyond_the_window_waits_until_what_came_before_is_read_and_is_then_taken_whole() {
    for_each_server(&small_buffer(), |single| {
        let id = accepted(single);
        single.inject(data(1, 4000, 1));
        single.take_segments();
        let left = window(single, id) as usize;
        assert!((1000..=6000).contains(&left), "{left}");
        // In order, beyond a hole, and wholly beyond: dropped, each with an ACK.
        for seg in [data(4001, 50_000, 1), data(5001, 50_000, 1), data(70_001, 10_000, 1)] {
            single.inject(seg);
            single.expect(ack(1, 4001));
        }
        assert_eq!(single.counters().beyond_window, 3);
        assert_eq!(single.census().receive_bytes, 4000);
        single.read(id, 4000);
        single.take_segments();
        single.inject(data(4001, 50_000, 1));
        single.expect_within(ms(201), ack(1, 54_001).win(0));
        assert_eq!(window(single, id), 0);
        // No more than that one segment: the window is closed.
        single.inject(data(54_001, 10, 1));
        single.expect(ack(1, 54_001).win(0));
        single.read(id, 50_000);
        single.take_segments();
        assert!(window(single, id) > 0);
    });
}

// Shows: RFC9293 s3.10.7.4u
#[test]
fn a_fin_is_taken_though_the_window_is_closed() {
    for_each_server(&small_buffer(), |single| {
        let id = accepted(single);
        single.inject(data(1, 30_000, 1));
        single.expect_within(ms(201), ack(1, 30_001).win(0));
        single.inject(fin(30_001, 1));
        single.expect(ack(1, 30_002).win(0));
        single.expect_state(id, StateName::CloseWait);
        assert_eq!(single.try_read(id, 100_000), Ok(30_000));
        single.read_end(id);
    });
}

// Linux drops such a segment with its ACK field.
// Shows: RFC9293 s3.10.7.4d, 9293 MUST-66
#[test]
fn the_ack_of_text_that_finds_no_room_counts() {
    for_each_server(&small_buffer(), |single| {
        let id = accepted(single);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        single.inject(data(1, 30_000, 1));
        single.take_segments();
        assert_eq!(single.census().send_bytes, 100);
        single.inject(data(30_001, 1000, 101));
        assert_eq!(single.census().send_bytes, 0);
        single.expect(ack(101, 30_001).win(0));
        single.expect_silence(secs(1));
    });
}
