//! Passive connections in SYN-RECEIVED, which are small records: what completes them, what does not,
//! what ends them, and what is counted.

mod support;

use support::{ms, secs};
use towpath_engine::{Config, ListenRequest, SocketOptions, SynCookies};
use towpath_lab::segment::{ack, rst, syn, syn_ack};
use towpath_lab::single::{Single, for_each_server};

/// The timestamp of the SYN-ACK that is there.
fn take_stamp(single: &mut Single) -> u32 {
    let packets = single.take_packets();
    let [(_, packet)] = packets.as_slice() else {
        single.fail(&format!("expected one SYN-ACK, found {}", packets.len()));
    };
    single.set_iss(packet.segment.seq.0);
    packet.segment.options.timestamps.expect("a timestamp answers a timestamp").value
}

#[test]
fn a_final_ack_that_echoes_none_of_our_timestamps_is_challenged() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.advance(ms(50));
        single.inject(syn().mss(1000).ts(100, 0));
        let first = take_stamp(single);
        single.advance(ms(400));
        single.inject(ack(1, 1).ts(101, first.wrapping_add(401)));
        single.expect(ack(1, 1));
        single.inject(ack(1, 1).ts(101, first.wrapping_sub(1)));
        // Counted whether or not it is answered.
        single.expect_nothing();
        assert_eq!(single.counters().ts_ecr_rejected, 2);
        assert_eq!(single.census().half_open, 1);
        // The challenge had a stamp of its own, which may come back.
        single.inject(ack(1, 1).ts(102, first.wrapping_add(400)));
        single.accept(listener);
        assert_eq!(single.counters().ts_ecr_rejected, 2);
        single.take_segments();
    });
}

#[test]
fn an_echo_of_zero_is_no_echo_and_completes_the_handshake() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.advance(ms(50));
        single.inject(syn().mss(1000).ts(100, 0));
        take_stamp(single);
        single.inject(ack(1, 1).ts(101, 0));
        single.accept(listener);
        single.take_segments();
    });
}

// Shows: RFC7323 s5.3R1
#[test]
fn an_out_of_date_final_ack_is_challenged_and_counted() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000).ts(100, 0));
        let stamp = take_stamp(single);
        single.inject(ack(1, 1).ts(99, stamp));
        single.expect(ack(1, 1));
        assert_eq!(single.counters().paws_estab, 1);
        assert_eq!(single.census().half_open, 1);
        // Counted whether or not it is answered.
        single.inject(ack(1, 1).ts(98, stamp));
        single.expect_nothing();
        assert_eq!(single.counters().paws_estab, 2);
        assert_eq!(single.counters().ack_skipped_syn_recv, 1);
    });
}

// Shows: RFC9293 s3.10.7.4f
#[test]
fn a_reset_ends_a_half_open_connection_and_is_counted() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(rst(2));
        single.expect(ack(1, 1));
        assert_eq!(single.counters().embryonic_rsts, 0);
        single.inject(rst(1));
        assert_eq!(single.census().half_open, 0);
        assert_eq!(single.counters().embryonic_rsts, 1);
    });
}

#[test]
fn a_reset_for_want_of_room_is_counted_as_one_of_a_half_open_connection() {
    for_each_server(&Config::default().tcp_abort_on_overflow(true), |single| {
        let request = ListenRequest::new(single.local()).backlog(1);
        single.listen_with(request);
        let open = |single: &mut Single, port| {
            single.set_peer_port(port);
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            single.own_number(0).0
        };
        let own = single.peer().port();
        let iss = open(single, own);
        // The accept queue takes one more than its backlog.
        for port in [own + 1, own + 2] {
            open(single, port);
            single.inject(ack(1, 1));
        }
        single.set_peer_port(own);
        single.set_iss(iss);
        single.inject(ack(1, 1));
        single.expect(rst(1));
        assert_eq!(single.counters().embryonic_rsts, 1);
        assert_eq!(single.census().half_open, 0);
    });
}

#[test]
fn the_scale_that_the_syn_ack_promised_holds_whatever_becomes_of_the_listener_s_options() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000).wscale(7));
        let packets = single.take_packets();
        let offered = packets[0].1.segment.clone();
        single.set_iss(offered.seq.0);
        let mut options = SocketOptions::default();
        options.receive_buffer = Some(10_000);
        single.call(|endpoint, _| endpoint.set_listener_options(listener, options)).unwrap();
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        let info = single.info(id);
        assert_eq!(Some(info.rcv_wscale), offered.options.window_scale);
        // Nor does the window's right edge move left.
        assert!(
            info.rcv_wnd >= u32::from(offered.window),
            "{} then {}",
            offered.window,
            info.rcv_wnd
        );
    });
}

// Shows: H-26
#[test]
fn a_listener_that_names_the_syns_to_send_again_sends_so_many_syn_acks_again() {
    for_each_server(&Config::default(), |single| {
        let mut options = SocketOptions::default();
        options.syn_retries = Some(2);
        let request = ListenRequest::new(single.local()).options(options);
        single.listen_with(request);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_after(secs(1), syn_ack());
        single.expect_after(secs(2), syn_ack());
        single.expect_silence(secs(100));
        assert_eq!(single.census().half_open, 0);
    });
}

#[test]
fn the_class_of_the_syn_is_that_of_the_connection_where_it_is_reflected() {
    const SYN: u8 = 10;
    const LAST_ACK: u8 = 20;
    for (reflect, cookies, answer, later) in [
        (false, SynCookies::WhenFull, 0, 0),
        (true, SynCookies::WhenFull, SYN, SYN),
        (true, SynCookies::Always, SYN, LAST_ACK),
    ] {
        let config = Config::default().tcp_reflect_tos(reflect).tcp_syncookies(cookies);
        for_each_server(&config, |single| {
            let listener = single.listen();
            let mut packet = single.packet(&syn().mss(1000));
            packet.ip.dscp = SYN;
            single.inject_packet(packet);
            let sent = single.take_packets();
            assert_eq!(sent[0].1.ip.dscp, answer);
            single.set_iss(sent[0].1.segment.seq.0);
            let mut packet = single.packet(&ack(1, 1));
            packet.ip.dscp = LAST_ACK;
            single.inject_packet(packet);
            let id = single.accept(listener);
            single.write(id, 10);
            assert_eq!(single.take_packets()[0].1.ip.dscp, later);
        });
    }
}

#[test]
fn a_syn_ack_that_goes_again_counts_as_sent_again_and_not_as_sent() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        // Because the SYN came again, and because nothing came.
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.expect_after(secs(1), syn_ack());
        let counters = single.counters();
        assert_eq!((counters.out_segs, counters.retrans_segs), (1, 2));
    });
}

#[test]
fn what_a_limit_of_connections_keeps_out_is_no_overflow_of_the_accept_queue() {
    for_each_server(&Config::default().max_connections(1), |single| {
        single.listen();
        let own = single.peer().port();
        let mut numbers = Vec::new();
        for port in [own, own + 1] {
            single.set_peer_port(port);
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            numbers.push(single.own_number(0).0);
        }
        for (port, iss) in [own, own + 1].into_iter().zip(numbers) {
            single.set_peer_port(port);
            single.set_iss(iss);
            single.inject(ack(1, 1));
        }
        let counters = single.counters();
        assert_eq!((counters.listen_overflows, counters.listen_drops), (0, 1));
        assert_eq!(counters.drop_limit, 1);
        assert_eq!(single.census().half_open, 1);
    });
}

#[test]
fn a_reset_for_which_there_is_no_room_is_not_counted_as_sent() {
    for_each_server(&Config::default(), |single| {
        single.inject_batch((0..300).map(|_| ack(1, 1)));
        let sent = single.take_segments().len() as u64;
        assert!(sent < 300);
        let counters = single.counters();
        assert_eq!(
            (counters.out_rsts, counters.out_segs, counters.drop_limit),
            (sent, sent, 300 - sent)
        );
    });
}
