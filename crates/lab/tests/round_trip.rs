//! Round-trip times, and the clock of the timestamps that they are told from: RFC 6298 section 3,
//! RFC 7323 sections 4.1, 5.4 and 7.1.

mod support;

use core::time::Duration;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{Config, ConnectRequest};
use towpath_lab::segment::{ack, data, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};

// Shows: RFC6298 s3b
#[test]
fn every_round_trip_gives_a_sample_with_and_without_timestamps() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut acked = 1;
        for round in 1..=40 {
            let before = single.endpoint().info(id).unwrap().rtt;
            single.write(id, 3000);
            single.take_segments();
            // Each takes longer than the one before: a sample moves the average.
            single.advance(ms(2 * round));
            acked += 3000;
            single.inject(ack(1, acked));
            let after = single.endpoint().info(id).unwrap().rtt;
            assert!(after > before, "round {round}: {before:?}, {after:?}");
        }
    });
}

/// The timestamp of the only packet sent now.
fn stamp(single: &mut Single) -> u32 {
    let mut packets = single.take_packets();
    assert_eq!(packets.len(), 1, "{packets:?}");
    packets.remove(0).1.segment.options.timestamps.expect("it is stamped").value
}

// Shows: RFC7323 s4.1
#[test]
fn an_echo_gives_a_sample_only_in_an_ack_of_new_data() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1012).ts(100, 0));
        let began = single.endpoint().info(id).unwrap().rtt;
        single.write(id, 100);
        let sent = stamp(single);
        single.advance(ms(70));
        // Neither a duplicate ACK nor text from the peer acknowledges anything new.
        single.inject(ack(1, 1).ts(101, sent));
        single.inject(data(1, 10, 1).ts(102, sent));
        single.read(id, 10);
        assert_eq!(single.endpoint().info(id).unwrap().rtt, began);
        single.inject(ack(11, 101).ts(103, sent));
        assert_ne!(single.endpoint().info(id).unwrap().rtt, began);
        single.take_segments();
    });
}

// Shows: RFC7323 s5.4
#[test]
fn the_clock_of_timestamps_ticks_once_in_a_millisecond() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1012).ts(100, 0));
        single.write(id, 10);
        let mut last = stamp(single);
        for (wait, acked) in [(ms(1), 11), (ms(40), 21), (ms(150), 31), (ms(199), 41)] {
            single.advance(wait);
            single.inject(ack(1, acked).ts(100 + acked, last));
            single.write(id, 10);
            let next = stamp(single);
            assert_eq!(u128::from(next.wrapping_sub(last)), wait.as_millis());
            last = next;
        }
        single.inject(ack(1, 51).ts(200, last));
    });
}

// Shows: RFC7323 s7.1
#[test]
fn the_clocks_of_two_connections_begin_apart() {
    let mut single = Single::client(Setup::default());
    let mut stamps = Vec::new();
    for _ in 0..64 {
        let request = ConnectRequest::new(single.peer());
        single.call(|endpoint, now| endpoint.connect(now, request)).unwrap();
        stamps.push(stamp(&mut single));
    }
    stamps.sort_unstable();
    let gaps: Vec<u32> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // One common clock would have no gaps; a counter of connections would have only small ones.
    assert!(gaps.iter().filter(|gap| **gap > 1_000_000).count() > 50, "{gaps:?}");
}

// Shows: RFC2525 2.7
#[test]
fn on_a_path_of_two_and_a_half_seconds_only_the_syn_is_sent_in_vain() {
    for_each_client(&Config::default(), |single| {
        let round_trip = Duration::from_millis(2500);
        let id = single.connect();
        let first = {
            single.expect(syn());
            single.expect_after(secs(1), syn());
            single.expect_after(secs(1), syn());
            single.elapsed()
        };
        assert_eq!(first, secs(2));
        single.advance(round_trip - first);
        single.inject(syn_ack().mss(1000));
        single.expect(ack(1, 1));
        let mut acked = 1;
        for _ in 0..20 {
            single.write(id, 1000);
            single.expect(data(acked, 1000, 1));
            single.expect_silence(round_trip);
            acked += 1000;
            single.inject(ack(1, acked));
        }
        assert_eq!(single.counters().retrans_segs, 2);
    });
}
