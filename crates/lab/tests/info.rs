//! `TcpInfo`: what a connection shows of itself, with exact numbers.

mod support;

use support::{accept_after, accepted, ms, secs};
use towpath_engine::{Config, RecoveryPhase, TcpInfo};
use towpath_lab::segment::{ack, data, syn};
use towpath_lab::single::{Setup, Single, for_each_server};

#[test]
fn a_new_connection_shows_what_was_agreed() {
    let mut single = Single::server(Setup::default());
    let id = accept_after(&mut single, syn().mss(1400).sack_ok().ts(1, 0).wscale(7), ms(100));
    let info = single.info(id);
    assert!(info.timestamps && info.sack && info.window_scaling);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (7, 10));
    assert_eq!((info.snd_mss, info.advmss, info.pmtu), (1388, 1448, 1500));
    assert_eq!((info.rtt, info.rttvar), (Some(ms(100)), Some(ms(50))));
    assert_eq!((info.rto, info.backoff), (ms(300), 0));
    assert_eq!((info.snd_cwnd_segments, info.snd_ssthresh_bytes), (10, u64::MAX));
    assert_eq!(info.phase, RecoveryPhase::Open);
    assert_eq!((info.segs_in, info.data_segs_in, info.delivered_segments), (2, 0, 1));
    assert_eq!((info.rcv_ssthresh, info.rcv_space), (64_088, 14_480));
    assert_eq!(info.chronograph.busy_time(single.now()), ms(0));
}

#[test]
fn segments_are_counted_by_what_became_of_them() {
    for_each_server(&Config::default(), |single| {
        let id = accept_after(single, syn().mss(1000).sack_ok(), ms(40));
        single.write(id, 5000);
        single.take_segments();
        single.advance(ms(40));
        let counts = |info: &TcpInfo| {
            [
                info.unacked_segments,
                info.sacked_segments,
                info.lost_segments,
                info.retrans_segments,
                info.delivered_segments,
            ]
        };
        assert_eq!(counts(&single.info(id)), [5, 0, 0, 0, 1]);
        assert_eq!(single.info(id).data_segs_out, 5);
        single.inject(ack(1, 1).sack(&[(1001, 2001)]));
        let info = single.info(id);
        assert_eq!(counts(&info), [5, 1, 0, 0, 2]);
        assert_eq!(info.phase, RecoveryPhase::Disorder);
        single.inject(ack(1, 1).sack(&[(1001, 5001)]));
        single.expect(data(1, 1000, 1));
        let info = single.info(id);
        assert_eq!(counts(&info), [5, 4, 1, 1, 5]);
        assert_eq!(info.phase, RecoveryPhase::Recovery);
        assert_eq!((info.total_retrans, info.bytes_retrans, info.bytes_sent), (1, 1000, 6000));
        single.inject(ack(1, 5001).sack(&[(1, 1001)]));
        let info = single.info(id);
        // As Linux, what arrived twice was delivered twice.
        assert_eq!(counts(&info), [0, 0, 0, 0, 7]);
        assert_eq!((info.dsack_dups, info.bytes_acked), (1, 5000));
        assert_eq!(info.phase, RecoveryPhase::Open);
    });
}

#[test]
fn time_outs_are_counted_in_runs_with_their_time() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 100);
        single.advance(ms(200 + 400 + 100));
        let info = single.info(id);
        assert_eq!((info.total_rto, info.total_rto_recoveries), (2, 1));
        assert_eq!((info.retransmits, info.backoff), (2, 2));
        assert_eq!(info.phase, RecoveryPhase::Loss);
        let took = info.total_rto_time(single.now());
        assert!(took.abs_diff(ms(500)) <= ms(1), "{took:?}");
        single.inject(ack(1, 101));
        single.advance(secs(5));
        let info = single.info(id);
        assert!(info.total_rto_time(single.now()).abs_diff(ms(500)) <= ms(1));
        // No honest sample yet: the doubling stays (Karn).
        assert_eq!((info.retransmits, info.backoff), (0, 2));
        single.write(id, 100);
        single.advance(secs(2));
        assert_eq!(single.info(id).total_rto_recoveries, 2);
        single.take_segments();
    });
}

#[test]
fn the_sender_says_what_held_it_back() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let seen = |single: &Single| {
            let chronograph = single.info(id).chronograph;
            let now = single.now();
            [
                chronograph.busy_time(now),
                chronograph.window_limited(now),
                chronograph.buffer_limited(now),
            ]
        };
        single.set_window(2000);
        single.inject(ack(1, 1));
        single.advance(secs(1));
        assert_eq!(seen(single), [ms(0); 3], "idle");
        single.write(id, 1000);
        single.advance(ms(10));
        single.inject(ack(1, 1001));
        single.advance(secs(1));
        assert_eq!(seen(single), [ms(10), ms(0), ms(0)], "an acknowledgment was on its way");
        single.write(id, 4000);
        single.advance(ms(20));
        assert_eq!(seen(single), [ms(30), ms(20), ms(0)], "the window takes half of it");
        single.inject(ack(1, 3001));
        single.advance(ms(5));
        assert_eq!(seen(single), [ms(35), ms(20), ms(0)]);
        single.inject(ack(1, 5001));
        single.set(id, |options| options.send_buffer = Some(2048));
        single.set_window(60_000);
        single.inject(ack(1, 5001));
        // A batch that is begun is filled, however small the buffer is.
        assert_eq!(single.try_write(id, 8000), Ok(8000));
        assert!(single.try_write(id, 100).is_err());
        single.inject(ack(1, 5001));
        single.advance(ms(30));
        assert_eq!(seen(single), [ms(65), ms(20), ms(30)], "the buffer is too small");
        single.inject(ack(1, 13_001));
        single.advance(secs(1));
        assert_eq!(seen(single), [ms(65), ms(20), ms(30)]);
        single.take_segments();
    });
}

#[test]
fn the_last_events_are_remembered_by_their_time() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let start = single.now();
        single.advance(ms(10));
        single.inject(data(1, 100, 1));
        single.advance(ms(10));
        single.write(id, 10);
        single.advance(ms(10));
        single.inject(ack(101, 11));
        single.inject(data(201, 100, 11));
        let info = single.info(id);
        assert_eq!(info.last_data_recv_at, Some(start + ms(10)));
        assert_eq!(info.last_data_sent_at, Some(start + ms(20)));
        assert_eq!(info.last_ack_recv_at, Some(start + ms(30)));
        assert_eq!((info.rcv_ooopack, info.data_segs_in, info.bytes_received), (1, 2, 100));
        single.take_segments();
    });
}
