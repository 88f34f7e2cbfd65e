//! Blind attacks and unacceptable segments: RFC 5961, RFC 9293 section 3.10.7.4, and every set of
//! flags in every state.

mod support;

use support::{accepted, connected, ms, secs};
use towpath_engine::{CloseReason, Config, ConnectionId, SendFlags, SocketError, StateName};
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_client, for_each_server};
use towpath_wire::tcp::Flags;

// Shows: RFC5961 s3.2, RFC9293 s3.10.7.4e, H-07, H-78
#[test]
fn a_reset_is_believed_at_the_left_edge_challenged_inside_and_ignored_outside() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        // Far outside, and one below the window.
        for outside in [0_u32, 1_000_000, 0x8000_0001] {
            single.inject(rst(outside));
            single.expect_nothing();
        }
        single.inject(rst(2));
        single.expect(ack(1, 1));
        single.advance(secs(1));
        single.inject(rst_ack(60_000, 1));
        single.expect(ack(1, 1));
        single.expect_state(id, StateName::Established);
        single.inject(rst(1));
        single.expect_nothing();
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
        single.read_error(id, SocketError::ConnectionReset);
        single.close(id);
        single.finish_empty_with_listener();
    });
}

// Shows: 9293 SHLD-2, H-31
#[test]
fn a_reset_with_text_resets_and_the_text_is_not_delivered() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 20, 1).flags(Flags::RST));
        single.read_error(id, SocketError::ConnectionReset);
        single.expect_nothing();
    });
}

// As Linux 6.18: the peer's stream, once whole, is not taken back; only writing has failed.
// Shows: 9293 MUST-12
#[test]
fn after_the_peers_fin_a_reset_leaves_the_end_of_the_stream_and_breaks_the_pipe() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(fin(1, 1).text(b"last words"));
        single.take_segments();
        single.inject(rst(12));
        let read = |single: &mut Single| {
            single.call(|endpoint, now| endpoint.receive(now, id, 100)).map(|it| it.to_vec())
        };
        assert_eq!(read(single), Ok(b"last words".to_vec()));
        assert_eq!(read(single), Ok(Vec::new()));
        let write =
            single.call(|endpoint, now| endpoint.send_small(now, id, b"x", SendFlags::default()));
        assert_eq!(write, Err(SocketError::BrokenPipe));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
    });
}

// Shows: 9293 MUST-12
#[test]
fn a_reset_in_last_ack_is_no_orderly_end() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.take_segments();
        single.write(id, 500);
        single.shutdown(id);
        single.take_segments();
        single.expect_state(id, StateName::LastAck);
        single.inject(rst(2));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
    });
}

// As Linux: what has left once may have arrived, what never left is thrown away for certain.
// Shows: 9293 SHLD-3, RFC9293 s3.10.5
#[test]
fn an_abort_in_last_ack_resets_only_if_something_never_left() {
    for (window, reset_at) in [(499, Some(1)), (500, Some(501)), (501, None), (20_000, None)] {
        for_each_server(&Config::default(), |single| {
            let id = accepted(single);
            single.inject(data(1, 10, 1));
            single.read(id, 10);
            single.inject(fin(11, 1).win(window));
            single.take_segments();
            single.write(id, 500);
            single.shutdown(id);
            single.take_segments();
            single.call(|endpoint, now| endpoint.abort(now, id));
            match reset_at {
                Some(seq) => single.expect(rst_ack(seq, 12)),
                None => single.expect_nothing(),
            }
        });
    }
}

type Walk = fn(&mut Single) -> ConnectionId;

/// Ways into each synchronized state, with what the engine's next number and ACK then are.
const STATES: [(StateName, u32, u32, Walk); 6] = [
    (StateName::Established, 1, 1, accepted),
    (StateName::FinWait1, 2, 1, |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        id
    }),
    (StateName::FinWait2, 2, 1, |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.inject(ack(1, 2));
        id
    }),
    (StateName::CloseWait, 1, 2, |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        id
    }),
    (StateName::Closing, 2, 2, |single| {
        let id = accepted(single);
        single.shutdown(id);
        single.expect(fin(1, 1));
        single.inject(fin(1, 1));
        single.expect(ack(2, 2));
        id
    }),
    (StateName::LastAck, 2, 2, |single| {
        let id = accepted(single);
        single.inject(fin(1, 1));
        single.expect(ack(1, 2));
        single.shutdown(id);
        single.expect(fin(1, 2));
        id
    }),
];

// Shows: RFC5961 s4.2, RFC9293 s3.10.7.4h, H-08, H-64
#[test]
fn a_syn_in_a_synchronized_state_is_challenged_whatever_its_number() {
    for (state, next, acked, walk) in STATES {
        for_each_server(&Config::default(), |single| {
            let id = walk(single);
            for seq in [0, acked, acked + 100, 2_000_000_000] {
                // The time between two challenges of one connection.
                single.advance(ms(501));
                single.take_segments();
                single.inject(syn().seq(seq).mss(1000));
                single.expect(ack(next, acked));
                single.expect_state(id, state);
            }
        });
    }
}

// Shows: RFC9293 s3.10.7.4g, 9293 MUST-12
#[test]
fn an_exact_reset_ends_every_state() {
    for (state, _, acked, walk) in STATES {
        for_each_server(&Config::default(), |single| {
            let id = walk(single);
            single.expect_state(id, state);
            single.inject(rst(acked));
            single.expect_state(id, StateName::Closed);
            single.close(id);
            single.finish_empty_with_listener();
        });
    }
}

// Shows: RFC5961 s7, H-07, I-14
#[test]
fn challenges_are_limited_for_each_connection() {
    let mut single = Single::server(Setup::default());
    let id = accepted(&mut single);
    let mut answers = 0;
    for round in 0..1000_u32 {
        single.inject(rst(2 + round * 10));
        single.advance(ms(1));
        answers += single.take_segments().len();
    }
    // One at once, and one for each half second.
    assert!((1..=3).contains(&answers), "{answers} challenges in a second");
    single.expect_state(id, StateName::Established);
}

// Shows: RFC9293 s3.10.7.4b, RFC9293 s3.10.7.4a
#[test]
fn what_lies_outside_the_window_is_answered_with_an_ack_and_dropped() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 10, 1));
        single.read(id, 10);
        single.take_segments();
        single.advance(secs(1));
        single.take_segments();
        // All of it is old.
        single.inject(data(1, 10, 1));
        single.expect(ack(1, 11));
        single.advance(secs(1));
        // Far beyond.
        single.inject(data(1_000_000, 10, 1));
        single.expect(ack(1, 11));
        single.read(id, 0);
        assert_eq!(single.census().receive_bytes, 0);
    });
}

// Shows: RFC9293 s3.10.7.4c, H-32
#[test]
fn what_straddles_the_left_edge_is_delivered_once() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1));
        single.inject(data(51, 100, 1));
        single.read(id, 150);
        single.inject(data(101, 100, 1).with_fin());
        assert_eq!(single.try_read(id, 1000), Ok(50));
        single.read_end(id);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.10.7.4j
#[test]
fn a_segment_without_ack_is_dropped() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        for flags in [Flags::empty(), Flags::PSH, Flags::FIN, Flags::URG | Flags::PSH] {
            single.inject(data(1, 10, 1).flags(flags));
            single.expect_nothing();
        }
        single.read(id, 0);
        single.expect_state(id, StateName::Established);
    });
}

// Shows: RFC9293 s3.10.7.4l, H-34, H-35
#[test]
fn an_ack_of_what_was_not_sent_is_answered_and_frees_nothing() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        single.advance(ms(1));
        single.inject(data(1, 10, 1002));
        single.expect(ack(1001, 1));
        single.read(id, 0);
        assert_eq!(single.census().send_bytes, 1000);
        single.expect_after(ms(199), data(1, 1000, 1));
    });
}

// Shows: RFC5961 s5.2, 9293 MAY-12, H-09
#[test]
fn text_with_an_ack_far_below_is_dropped_with_an_ack() {
    for_each_server(&Config::default(), |single| {
        // The peer never offers more than 2000 bytes.
        single.set_window(2000);
        let id = accepted(single);
        // Before our first byte there was nothing to acknowledge.
        single.inject(data(1, 10, 0));
        single.expect(ack(1, 1));
        single.read(id, 0);
        for sent in 0..3 {
            single.write(id, 1000);
            single.take_segments();
            single.inject(ack(1, 1001 + sent * 1000));
        }
        single.advance(ms(500));
        single.inject(data(1, 10, 3001 - 2001));
        single.expect(ack(3001, 1));
        single.read(id, 0);
        // Just inside that, it is an old ACK and the text counts.
        single.inject(data(1, 10, 3001 - 2000));
        single.read(id, 10);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.10.7.4m
#[test]
fn an_old_ack_does_not_keep_text_from_being_delivered() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.expect(data(1, 1000, 1));
        single.inject(ack(1, 1001));
        single.inject(data(1, 10, 500));
        single.read(id, 10);
        assert_eq!(single.census().send_bytes, 0);
        single.take_segments();
    });
}

// Shows: RFC9293 s3.5.1, 9293 MUST-12
#[test]
fn a_peer_that_has_forgotten_us_resets_with_our_ack_number() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        single.write(id, 100);
        single.expect(data(1, 100, 1));
        single.inject(rst(1));
        single.expect_nothing();
        single.read_error(id, SocketError::ConnectionReset);
    });
}

// Shows: RFC9293 s3.5.2a
#[test]
fn a_storm_of_resets_is_never_answered_with_resets() {
    let mut single = Single::server(Setup::default());
    single.listen();
    for port in 1..=100 {
        single.set_peer_port(port);
        for seg in [rst(0), rst_ack(7, 9), rst(1).flags(Flags::RST | Flags::SYN)] {
            single.inject(seg);
            single.expect_nothing();
        }
    }
}

// Shows: H-29, H-31, H-12
#[test]
fn no_set_of_flags_in_any_state_panics_or_breaks_an_invariant() {
    let walks: Vec<(&str, Walk)> = [("SYN-SENT", SYN_SENT), ("crossed SYNs", CROSSED)]
        .into_iter()
        .chain(STATES.iter().map(|(_, _, _, walk)| ("synchronized", *walk)))
        .collect();
    for (name, walk) in walks {
        let client = name != "synchronized";
        for bits in 0..512 {
            for (seq, ack_number) in [(0, 0), (1, 1), (2, 2), (1, 2), (500, 1), (1 << 31, 1 << 31)]
            {
                for len in [0, 1, 100] {
                    let setup = Setup { iss: u32::MAX, irs: u32::MAX, ..Setup::default() };
                    let mut single =
                        if client { Single::client(setup) } else { Single::server(setup) };
                    let id = walk(&mut single);
                    let flags = Flags::from_bits_truncate(bits);
                    let seg = data(seq, len, ack_number).flags(flags);
                    single.inject(if bits & 1 == 0 {
                        seg.clone().urg(65_535).flags(flags)
                    } else {
                        seg
                    });
                    single.advance(secs(5));
                    single.abort(id);
                    single.advance(secs(200));
                    assert_eq!(single.census().connections, 0, "{name} {flags}");
                }
            }
        }
    }
}

const SYN_SENT: Walk = |single| {
    let id = single.connect();
    single.expect(syn());
    id
};

const CROSSED: Walk = |single| {
    let id = single.connect();
    single.expect(syn());
    single.inject(syn().mss(1000));
    single.expect(syn_ack());
    id
};

// Shows: H-29, H-31
#[test]
fn no_set_of_flags_at_a_listener_a_half_open_or_a_time_wait_record_panics() {
    for bits in 0..512 {
        let flags = Flags::from_bits_truncate(bits);
        for stage in 0..3 {
            for (seq, ack_number) in [(0, 0), (1, 1), (2, 2), (1, 2), (500, 1), (1 << 31, 1 << 31)]
            {
                for len in [0, 1, 100] {
                    let mut single = Single::server(Setup { iss: u32::MAX, ..Setup::default() });
                    let listener = single.listen();
                    if stage > 0 {
                        single.inject(syn().mss(1000));
                    }
                    if stage > 1 {
                        single.inject(ack(1, 1));
                        let id = single.accept(listener);
                        single.close(id);
                        single.inject(fin(1, 2));
                        assert_eq!(single.census().time_wait, 1);
                    }
                    single.inject(data(seq, len, ack_number).flags(flags));
                    single.advance(secs(5));
                    single.call(|endpoint, now| endpoint.close_listener(now, listener));
                    single.advance(secs(200));
                    let census = single.census();
                    assert_eq!((census.half_open, census.time_wait), (0, 0), "{flags}");
                    assert_eq!(census.timers, 0, "{flags} {census:?}");
                }
            }
        }
    }
}

// Shows: RFC9293 s3.10.7.4l, H-11
#[test]
fn two_sides_that_disagree_do_not_storm() {
    let mut single = Single::server(Setup::default());
    let id = accepted(&mut single);
    // A hijacked peer answers each ACK of ours with one that we cannot accept.
    let mut sent = 0;
    single.inject(ack(1, 5_000));
    for _ in 0..1_000 {
        let answers = single.take_segments().len();
        sent += answers;
        if answers > 0 {
            single.inject(ack(1, 5_000));
        } else {
            single.advance(ms(10));
            single.inject(ack(1, 5_000));
        }
    }
    // Ten seconds at two in a second, and the first.
    assert!(sent <= 22, "{sent} ACKs in ten seconds");
    single.expect_state(id, StateName::Established);
}

// Shows: 9293 MUST-66, RFC9293 s3.10.7.4d
#[test]
fn with_a_closed_window_resets_and_acks_still_count() {
    let config = Config::default();
    for_each_server(&config, |single| {
        let id = accepted(single);
        single.write(id, 10);
        single.expect(data(1, 10, 1));
        // Fill the window without reading.
        let mut next = 1;
        loop {
            let info = single.endpoint().info(id).unwrap();
            let len = (info.rcv_wnd as usize).min(1000);
            if len == 0 {
                break;
            }
            single.inject(data(next, len, 1));
            next += len as u32;
            single.advance(ms(250));
            assert!(next < 100_000_000);
        }
        single.take_segments();
        single.inject(data(next, 100, 11));
        assert_eq!(single.census().send_bytes, 0, "the ACK of a refused segment counts");
        single.take_segments();
        single.inject(rst(next));
        assert_eq!(single.endpoint().close_reason(id), Some(CloseReason::PeerReset));
    });
}
