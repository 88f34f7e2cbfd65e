//! The passive open: RFC 9293 section 3.5, and sections 3.10.7.1 and 3.10.7.2 for what arrives
//! where there is no connection yet.

mod support;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{Config, ListenRequest, SocketError, StateName};
use towpath_lab::segment::{ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{PORT, Setup, Single, for_each_server};
use towpath_wire::tcp::Flags;

// Shows: H-33, RFC9293 s3.4a, RFC9293 s3.10.7.2b, 9293 SHLD-5, 9293 MUST-14, RFC7323 s2.2a
// Shows: RFC7323 A, RFC2525 2.18
#[test]
fn a_passive_open_mirrors_the_options_that_it_was_offered() {
    for_each_server(&Config::default(), |single| {
        let mss = if single.local().is_ipv4() { 1460 } else { 1440 };
        let listener = single.listen();
        single.inject(syn().mss(1400).sack_ok().ts(100, 0).wscale(7));
        single.expect(syn_ack().mss(mss).sack_ok().some_ts().some_wscale());
        single.inject(ack(1, 1).ts(101, 0));
        let id = single.accept(listener);
        single.expect_state(id, StateName::Established);
        let info = single.endpoint().info(id).unwrap();
        assert!(info.sack && info.timestamps);
        assert_eq!(info.snd_wscale, 7);
        // Timestamps take 12 bytes of each segment.
        assert_eq!(info.snd_mss, 1400 - 12);
    });
}

// Shows: RFC7323 s2.2a, RFC7323 s2.2b, RFC7323 s3.2a, RFC2018 s3b
#[test]
fn options_that_were_not_offered_are_not_answered() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000));
        let info = single.endpoint().info(id).unwrap();
        assert!(!info.sack && !info.timestamps);
        assert_eq!((info.snd_wscale, info.rcv_wscale), (0, 0));
    });
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack().no_wscale().no_sack_ok().no_ts());
    });
    let off = Config::default().tcp_sack(false).tcp_timestamps(false).tcp_window_scaling(false);
    for_each_server(&off, |single| {
        single.listen();
        single.inject(syn().mss(1000).sack_ok().ts(1, 0).wscale(3));
        single.expect(syn_ack().no_wscale().no_sack_ok().no_ts());
    });
}

// Shows: 9293 MUST-15
#[test]
fn without_an_mss_option_the_default_of_the_family_is_assumed() {
    for_each_server(&Config::default(), |single| {
        let mss = if single.local().is_ipv4() { 536 } else { 1220 };
        let id = accept_from(single, syn());
        single.write(id, 3000);
        single.expect(data(1, mss, 1));
        single.take_segments();
    });
}

// Shows: H-03, H-15, I-38
#[test]
fn a_tiny_mss_is_raised_to_the_floor() {
    for mss in [1, 8, 47, 48] {
        for_each_server(&Config::default(), |single| {
            let id = accept_from(single, syn().mss(mss));
            single.write(id, 480);
            single.expect(data(1, 48, 1));
            single.take_segments();
        });
    }
}

// Shows: 9293 MUST-22, I-07
#[test]
fn a_syn_ack_is_sent_again_five_times_and_then_forgotten() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        for wait in [1, 2, 4, 8, 16] {
            single.expect_after(secs(wait), syn_ack());
        }
        single.expect_silence(ms(31_900));
        assert_eq!(single.census().half_open, 1);
        single.expect_silence(ms(200));
        assert_eq!((single.census().half_open, single.census().timers), (0, 0));
    });
}

// Shows: RFC9293 s3.10.7.4i
#[test]
fn the_same_syn_again_is_answered_with_the_same_number() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.advance(ms(600));
        let number = single.own_number(0);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        assert_eq!(single.own_number(0), number);
        assert_eq!(single.census().half_open, 1);
        single.inject(ack(1, 1));
        single.accept(listener);
    });
}

// Shows: RFC9293 s3.10.7.4k
#[test]
fn a_wrong_ack_of_the_syn_ack_is_reset_and_the_record_stays() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 2));
        single.expect(rst(2));
        single.inject(ack(1, 0));
        single.expect(rst(0));
        single.inject(ack(1, 1));
        single.expect_nothing();
        single.accept(listener);
    });
}

// Shows: RFC9293 s3.10.7.4f, 9293 MUST-11, H-26
#[test]
fn a_reset_of_a_half_open_connection_is_silent_and_final() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        // In the window but not its left edge: challenged, not believed.
        single.inject(rst(100));
        let answers = single.take_segments();
        assert!(answers.iter().all(|(_, _, flags)| *flags == Flags::ACK), "{answers:?}");
        assert_eq!(single.census().half_open, 1);
        single.inject(rst(1));
        single.expect_silence(secs(100));
        assert_eq!(single.census().half_open, 0);
    });
}

// Shows: RFC9293 s3.10.7.2b, H-30
#[test]
fn text_with_the_syn_is_not_acknowledged_and_text_with_the_final_ack_is_delivered() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000).len(50));
        single.expect(syn_ack().ack(1));
        single.inject(data(1, 50, 1));
        let id = single.accept(listener);
        single.read(id, 50);
        single.expect_within(ms(500), ack(1, 51));
    });
}

// Shows: RFC9293 s3.10.7.4v
#[test]
fn a_fin_with_the_final_ack_is_taken() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(data(1, 5, 1).with_fin());
        single.expect_within(ms(41), ack(1, 7));
        let id = single.accept(listener);
        single.expect_state(id, StateName::CloseWait);
        assert_eq!(single.try_read(id, 100), Ok(5));
        single.read_end(id);
    });
}

// Shows: RFC9293 s3.10.7.2a, H-29, H-63, RFC9293 s3.10.7.4t
#[test]
fn a_listener_answers_an_ack_with_a_reset_and_ignores_the_rest() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(rst(5));
        single.inject(rst_ack(5, 6));
        single.expect_nothing();
        single.inject(ack(5, 500));
        single.expect(rst(500));
        single.inject(syn_ack().ack(500));
        single.expect(rst(500));
        single.inject(fin(5, 500));
        single.expect(rst(500));
        single.inject(data(5, 10, 1).flags(Flags::empty()));
        single.inject(data(5, 10, 1).flags(Flags::FIN));
        single.inject(data(5, 0, 1).flags(Flags::SYN | Flags::FIN));
        single.expect_nothing();
        assert_eq!(single.census().half_open, 0);
    });
}

// Shows: RFC9293 s3.10.7.1a, RFC9293 s3.10.7.1b, RFC9293 s3.10.7.1c, I-23, RFC9293 s3.10.7.4t
// Shows: RFC4443 s3.1
#[test]
fn a_closed_port_answers_by_the_book() {
    for_each_server(&Config::default(), |single| {
        // The reply's number is zero, not relative to any initial number.
        let zero = |single: &Single| 0_u32.wrapping_sub(single.own_number(0).0);
        single.inject(rst(5));
        single.inject(rst_ack(5, 9));
        single.expect_nothing();
        let number = zero(single);
        single.inject(syn().seq(99));
        single.expect(rst_ack(number, 100));
        single.inject(data(100, 10, 0).flags(Flags::SYN | Flags::FIN));
        single.expect(rst_ack(number, 112));
        single.inject(data(100, 10, 0).flags(Flags::PSH));
        single.expect(rst_ack(number, 110));
        single.inject(ack(100, 500));
        single.expect(rst(500));
        single.inject(data(100, 10, 500).with_fin());
        single.expect(rst(500));
        assert_eq!(single.counters().out_rsts, 5);
    });
}

// Shows: 9293 MUST-41
#[test]
fn a_second_listener_on_the_same_port_is_refused() {
    let mut single = Single::server(Setup::default());
    single.listen();
    let local = single.local();
    let again = single.call(|endpoint, _| endpoint.listen(ListenRequest::new(local)));
    assert_eq!(again, Err(SocketError::AddressInUse));
    let any = core::net::SocketAddr::new(core::net::Ipv4Addr::UNSPECIFIED.into(), PORT);
    let again = single.call(|endpoint, _| endpoint.listen(ListenRequest::new(any)));
    assert_eq!(again, Err(SocketError::AddressInUse));
    // The first is undisturbed.
    single.inject(syn().mss(1000));
    single.expect(syn_ack());
}

#[test]
fn closing_the_listener_resets_who_was_not_accepted() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.call(|endpoint, now| endpoint.close_listener(now, listener));
        single.expect_all([rst_ack(1, 1)]);
        single.finish_empty();
    });
}

// Shows: RFC9293 s3.1b, RFC9293 s3.1c
#[test]
fn without_ecn_no_bit_of_it_comes_back() {
    let mut config = Config::default();
    config.set_by_name("tcp_ecn", "0").expect("Linux's value");
    for_each_server(&config, |single| {
        let listener = single.listen();
        let every = Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE | Flags::URG | Flags::PSH;
        single.inject(syn().mss(1000).flags(every));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        single.accept(listener);
    });
}

#[test]
fn an_accepted_connection_says_whose_it_is() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        assert_eq!(single.endpoint().local_addr(id), Ok(single.local()));
        assert_eq!(single.endpoint().peer_addr(id), Ok(single.peer()));
    });
}

// Shows: 9293 SHLD-14, RFC7323 s2.3b
#[test]
fn a_challenge_of_a_half_open_connection_does_not_move_the_window_s_edge_left() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000).wscale(7));
        single.expect(syn_ack().some_wscale());
        single.advance(secs(1));
        single.take_segments();
        single.inject(syn().seq(5_000).mss(1000).wscale(7));
        single.expect(ack(1, 1));
        // Nor does the SYN-ACK, when it goes again.
        single.advance(secs(3));
        single.expect(syn_ack().some_wscale());
    });
}

// Shows: RFC5961 s7, H-26
#[test]
fn a_half_open_connection_is_not_a_mirror_for_challenges() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        let mut answers = 0;
        for at in 0..100 {
            single.inject(ack(100_000 + at, 1));
            answers += single.take_segments().len();
        }
        assert!(answers <= 2, "{answers} challenges at one instant");
    });
}

// Shows: H-26
#[test]
fn a_syn_repeated_a_hundred_times_at_one_instant_is_not_answered_a_hundred_times() {
    for_each_server(&Config::default(), |single| {
        single.listen();
        let mut answers = 0;
        for _ in 0..100 {
            single.inject(syn().mss(1000));
            answers += single.take_segments().len();
        }
        assert!(answers <= 2, "{answers} SYN-ACKs at one instant");
    });
}

// Shows: RFC6298 s3a
#[test]
fn a_syn_ack_that_was_sent_twice_gives_no_round_trip_time_without_an_echo() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.advance(ms(900));
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.advance(ms(10));
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        assert_eq!(single.endpoint().info(id).unwrap().rtt, None);
    });
}
