//! BBR version 3 by numbers from its draft, and in a closed loop over a simulated path.

use super::*;
use crate::congestion::RateSample;
use crate::congestion::samples::{sample, start};
use crate::congestion::simulated::{MSS, Path as Simulated};

const RTT: Duration = Duration::from_millis(40);

fn begin() -> Bbr3 {
    Bbr3::new(&Start { srtt: Some(RTT), min_rtt: Some(RTT), ..start(10 * MSS) })
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// 12.5 MB/s, 40 ms, a queue of one product: 500 segments each.
fn simulated() -> Simulated<Bbr3> {
    Simulated::new(begin(), 12_500_000, RTT, 500_000)
}

/// Acknowledges a segment of a new round.
fn round(bbr: &mut Bbr3, now: Instant, rate: u64) -> AckSample {
    round_with(bbr, now, rate, 400)
}

/// The same with so many segments in flight.
fn round_with(bbr: &mut Bbr3, now: Instant, rate: u64, in_flight: u64) -> AckSample {
    let ack = AckSample {
        now,
        delivered_bytes: MSS,
        acked_bytes: MSS,
        in_flight_bytes: in_flight * MSS,
        prior_in_flight_bytes: 401 * MSS,
        srtt: Some(RTT),
        delivered_total: bbr.path.round_ends_at + 10 * MSS,
        rate: RateSample {
            prior_delivered: bbr.path.round_ends_at,
            delivered: rate / 25,
            interval: Some(RTT),
            tx_in_flight: 400 * MSS,
            any: true,
            rtt: Some(RTT),
            ..RateSample::default()
        },
        ..sample()
    };
    bbr.on_ack(&ack);
    ack
}

/// One that has filled the pipe of 12.5 MB/s and drained it.
fn cruising() -> Bbr3 {
    let mut bbr = begin();
    for index in 0..5 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    assert_eq!(bbr.state, State::ProbeBwCruise);
    bbr.window = 600 * MSS;
    bbr
}

fn lost(bytes: u64, lost: u64, tx_in_flight: u64) -> LostRange {
    LostRange { bytes, tx_in_flight, lost, app_limited: false, adjoins: false, delivered_total: 0 }
}

// Shows: BBR3 gains, BBR3 gotcha, BBR3 consts, BBR3 probertt-int
#[test]
fn the_numbers_are_the_drafts() {
    use State::*;
    let gains = [Startup, Drain, ProbeBwDown, ProbeBwCruise, ProbeBwRefill, ProbeBwUp, ProbeRtt]
        .map(State::gains);
    assert_eq!(
        gains,
        [(277, 200), (50, 200), (90, 200), (100, 200), (100, 200), (125, 225), (100, 50)]
    );
    assert_eq!((LOSS_PERCENT, BETA_PERCENT, HEADROOM_PERCENT), (2, 70, 15));
    assert_eq!(probe_rtt::INTERVAL, Duration::from_secs(5));
    // 10 segments in 40 ms are 250 kB/s.
    assert_eq!(begin().pacing_rate(), Some(692_500));
}

// Shows: BBR3 pacing, BBR3 quantum, BBR3 cwnd
#[test]
fn rate_quantum_and_window_follow_from_bandwidth_and_delay() {
    let mut bbr = cruising();
    assert_eq!(bbr.pacing_rate(), Some(12_375_000));
    assert_eq!(bbr.send_quantum(), 12_375);
    assert_eq!(bbr.inflight(12_500_000, UNIT), 500_000);
    assert_eq!(bbr.probe_rtt_window(), 250_000);
    bbr.window = 2_000_000;
    bbr.path.extra_acked = 0;
    round(&mut bbr, at(200), 12_500_000);
    assert_eq!(bbr.window(), 1_000_000 + bbr.path.extra_acked);
    bbr.state = State::ProbeBwUp;
    assert_eq!(bbr.inflight(12_500_000, UNIT), 502_000);
    // What is small is still three quanta, at least four segments.
    assert_eq!(bbr.inflight(1000, UNIT), 3 * 12_375 + 2 * MSS);
}

// Shows: BBR3 lossprefix
#[test]
fn the_threshold_of_loss_is_found_within_a_burst() {
    // 100 segments before it, 1 of them lost: the second lost of 102 is beyond 2 %.
    assert_eq!(in_flight_at_loss(&lost(10_000, 11_000, 110_000)), 100_000 + 1_020);
    assert_eq!(in_flight_at_loss(&lost(10_000, 10_000, 10_000)), 0);
    // More was lost before than is tolerated: nothing of this burst fits.
    assert_eq!(in_flight_at_loss(&lost(1000, 9_000, 110_000)), 109_000);
}

// Shows: BBR3 shortterm
#[test]
fn a_round_with_losses_lowers_the_short_term_bounds_to_what_it_delivered_or_by_thirty_percent() {
    let mut bbr = cruising();
    let mut ack = round(&mut bbr, at(200), 12_500_000);
    let mut loss = lost(MSS, MSS, 500 * MSS);
    loss.delivered_total = ack.delivered_total;
    bbr.on_lost(at(200), &loss);
    let window = bbr.window();
    ack = round(&mut bbr, at(240), 12_000_000);
    assert_eq!(bbr.path.bandwidth_shortterm, Some(12_500_000), "the best of the round");
    assert_eq!(bbr.path.inflight_shortterm, Some((window * 7 / 10).max(500 * MSS)));
    loss.delivered_total = ack.delivered_total;
    bbr.on_lost(at(240), &loss);
    round(&mut bbr, at(280), 5_000_000);
    assert_eq!(bbr.path.bandwidth_shortterm, Some(12_000_000));
    bbr.on_lost(at(280), &loss);
    round(&mut bbr, at(320), 5_000_000);
    assert_eq!(bbr.path.bandwidth_shortterm, Some(8_400_000), "0.7 of before");
    assert_eq!(bbr.pacing_rate(), Some(8_316_000));
}

/// A lossy round of which `delivered` of 500 segments arrived, and the bandwidth believed in after it.
fn after_loss(bbr: &mut Bbr3, delivered: u64, interval: Duration, sender_limited: bool) -> u64 {
    let mut ack = round(bbr, at(200), 12_375_000);
    let loss = lost(MSS, MSS, 500 * MSS);
    bbr.on_lost(at(200), &LostRange { delivered_total: ack.delivered_total, ..loss });
    ack.now = at(240);
    ack.delivered_total += 100 * MSS;
    ack.rate.prior_delivered = bbr.path.loss_round_ends_at;
    (ack.rate.delivered, ack.rate.lost) = (delivered * MSS, (500 - delivered) * MSS);
    (ack.rate.interval, ack.rate.sender_limited) = (Some(interval), sender_limited);
    // What arrived before the loss says nothing here.
    bbr.path.reset_signals();
    bbr.on_lost(at(200), &LostRange { delivered_total: ack.rate.prior_delivered, ..loss });
    bbr.on_ack(&ack);
    bbr.path.bandwidth
}

// Shows: BBR3 shortterm
#[test]
fn a_round_that_the_sender_limited_costs_its_losses_and_one_that_the_path_limited_its_rate() {
    let ms = Duration::from_millis;
    // 495 of 500 in 50 ms, as when half of the window is sent after ProbeRTT: 1 % of 12.5 MB/s.
    assert_eq!(after_loss(&mut cruising(), 495, ms(50), true), 12_375_000);
    assert_eq!(after_loss(&mut cruising(), 500, ms(50), true), 12_500_000);
    // 9.9 MB/s, though they had been sent faster.
    assert_eq!(after_loss(&mut cruising(), 495, ms(50), false), 9_900_000);
    // And never below 0.7, whoever was slow.
    assert_eq!(after_loss(&mut cruising(), 100, ms(50), true), 8_750_000);
    assert_eq!(after_loss(&mut cruising(), 100, ms(50), false), 8_750_000);
}

// Shows: BBR3 toohigh, BBR3 up-exit, BBR3 undo
#[test]
fn a_probe_that_loses_two_percent_sets_the_long_term_bound_and_ends() {
    let mut bbr = cruising();
    bbr.state = State::ProbeBwUp;
    bbr.probing.is_probe_sample = true;
    bbr.on_congestion(&CongestionEvent {
        now: at(200),
        kind: CongestionKind::Loss,
        in_flight_bytes: 600 * MSS,
        left_in_flight_bytes: 0,
        mss: MSS as u32,
    });
    bbr.on_lost(at(200), &lost(MSS, 12 * MSS, 600 * MSS));
    assert_eq!((bbr.state, bbr.path.inflight_longterm), (State::ProbeBwUp, None), "2 % are fine");
    bbr.on_lost(at(200), &lost(MSS, 13 * MSS, 600 * MSS));
    assert_eq!(bbr.state, State::ProbeBwDown);
    // 599 segments before it, of which 12 were lost: 11.98 are tolerated.
    assert_eq!(bbr.path.inflight_longterm, Some(599 * MSS));
    assert_eq!(bbr.inflight_with_headroom(), Some(599 * MSS - 599 * MSS * 15 / 100));
    bbr.on_lost(at(200), &lost(MSS, 300 * MSS, 300 * MSS));
    assert_eq!(bbr.path.inflight_longterm, Some(599 * MSS), "once a probe");
    assert_eq!(bbr.undo.state, Some(State::ProbeBwUp));
    bbr.on_spurious(at(210));
    assert_eq!((bbr.state, bbr.path.inflight_longterm), (State::ProbeBwRefill, None));
}

// Shows: BBR3 toohigh
#[test]
fn the_long_term_bound_never_falls_below_beta_of_what_is_aimed_at() {
    let mut bbr = cruising();
    bbr.probing.is_probe_sample = true;
    bbr.on_lost(at(200), &lost(MSS, 10 * MSS, 20 * MSS));
    assert_eq!(bbr.path.inflight_longterm, Some(350 * MSS));
}

// Shows: BBR3 up-growth
#[test]
fn the_bound_is_raised_by_twice_as_many_segments_each_round() {
    let mut bbr = cruising();
    bbr.window = 400 * MSS;
    bbr.path.inflight_longterm = Some(400 * MSS);
    bbr.probing.rounds_since_up = 0;
    let mut prices = Vec::new();
    for _ in 0..4 {
        bbr.raise_slope();
        prices.push(bbr.probing.acked_per_segment);
    }
    assert_eq!(prices, [400, 200, 100, 50].map(|segments| Some(segments * MSS)));
    bbr.probing.acked_per_segment = Some(2 * MSS);
    bbr.state = State::ProbeBwUp;
    let ack = AckSample { delivered_bytes: 5 * MSS, window_full: true, ..sample() };
    bbr.path.round_start = false;
    bbr.raise_long_term(&ack);
    assert_eq!(bbr.path.inflight_longterm, Some(402 * MSS));
    assert_eq!(bbr.probing.up_acked, MSS);
    bbr.raise_long_term(&AckSample { window_full: false, ..ack });
    assert_eq!(bbr.path.inflight_longterm, Some(402 * MSS), "a bound that is not used stays");
}

// Shows: BBR3 startup-bw, BBR3 drain
#[test]
fn startup_finds_the_bandwidth_and_drains_what_it_has_queued() {
    let mut path = simulated();
    let (mut full_at, mut drained_at) = (None, None);
    path.run(at(1500), |path| match path.controller.state {
        State::Startup => {}
        State::Drain => _ = full_at.get_or_insert(path.now),
        _ => _ = drained_at.get_or_insert((path.now, path.in_flight)),
    });
    let (drained_at, in_flight) = drained_at.expect("it reaches ProbeBW");
    assert!(full_at.is_some_and(|full_at| full_at <= at(700)), "{full_at:?}");
    assert!(drained_at <= at(800), "{drained_at:?}");
    assert!(in_flight <= path.product() + 2 * MSS, "{in_flight}");
    let bandwidth = path.controller.path.bandwidth;
    assert!((12_375_000..=12_500_000).contains(&bandwidth), "{bandwidth}");
}

// Shows: BBR3 wait
#[test]
fn the_rate_stays_and_probes_come_after_two_to_three_seconds() {
    let mut path = simulated();
    path.run(at(2000), |_| {});
    (path.longest_queue, path.dropped) = (Duration::ZERO, 0);
    let before = path.delivered;
    let mut probes: Vec<Instant> = Vec::new();
    let mut last = State::Drain;
    path.run(at(22_000), |path| {
        if path.controller.state == State::ProbeBwUp && last != State::ProbeBwUp {
            probes.push(path.now);
        }
        last = path.controller.state;
    });
    assert!(path.share(before, at(2000)) >= 95, "{} %", path.share(before, at(2000)));
    assert_eq!(path.dropped, 0);
    assert!(probes.len() >= 4, "{probes:?}");
    for pair in probes.windows(2) {
        let distance = (pair[1] - pair[0]).as_millis();
        // ProbeRTT comes in between after five seconds, and the wait begins again.
        assert!((2000..=5500).contains(&distance), "{distance} ms, {probes:?}");
    }
}

// Shows: BBR3 wait
#[test]
fn a_probe_waits_as_many_rounds_as_reno_would_and_at_most_63_or_two_to_three_seconds() {
    for (segments, rounds) in [(20, 20), (63, 63), (500, 63)] {
        let mut bbr = cruising();
        bbr.start_down(at(1000));
        bbr.window = segments * MSS;
        bbr.probing.rounds_since_up = rounds - 1;
        assert!(!bbr.is_time_to_probe(at(1040)), "{segments}");
        bbr.probing.rounds_since_up = rounds;
        assert!(bbr.is_time_to_probe(at(1040)), "{segments}");
    }
    let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
    for seed in 0..1000 {
        let mut bbr = cruising();
        bbr.dice = Dice::new(seed);
        bbr.start_down(at(1000));
        assert!(bbr.probing.rounds_since_up <= 1);
        least = least.min(bbr.probing.wait);
        most = most.max(bbr.probing.wait);
        bbr.probing.rounds_since_up = 0;
        let due = at(1000) + bbr.probing.wait;
        assert!(!bbr.is_time_to_probe(due));
        assert!(bbr.is_time_to_probe(due + Duration::from_nanos(1)));
    }
    let ms = Duration::from_millis;
    assert!((ms(2000)..ms(2010)).contains(&least), "{least:?}");
    assert!((ms(2990)..ms(3000)).contains(&most), "{most:?}");
}

// Shows: BBR3 minrtt, BBR3 probertt, BBR3 probertt-int
#[test]
fn every_five_seconds_it_halves_what_is_in_flight_to_see_the_delay() {
    let mut path = simulated();
    let mut probes: Vec<(Instant, Instant)> = Vec::new();
    let mut least = u64::MAX;
    path.run(at(22_000), |path| {
        if path.controller.state == State::ProbeRtt {
            least = least.min(path.in_flight);
            match probes.last_mut() {
                Some((_, end)) if path.now - *end < RTT * 2 => *end = path.now,
                _ => probes.push((path.now, path.now)),
            }
        }
    });
    assert!((3..=4).contains(&probes.len()), "{probes:?}");
    assert!((230 * MSS..=251 * MSS).contains(&least), "{least}");
    for (begin, end) in &probes {
        let time = (*end - *begin).as_millis();
        assert!((200..=330).contains(&time), "{time} ms");
    }
}

#[test]
fn losses_below_two_percent_are_borne_and_those_above_slow_it() {
    let share = |loss_per_mille| {
        let mut path = simulated();
        path.loss_per_mille = loss_per_mille;
        path.run(at(3000), |_| {});
        let before = path.delivered;
        path.run(at(23_000), |_| {});
        path.share(before, at(3000))
    };
    let (clean, little, more, much) = (share(0), share(1), share(5), share(50));
    assert!(clean >= 95, "{clean} %");
    // Each round with a loss costs that loss until the next probe: 63 of them at 0.1 % are 6 %.
    assert!((clean - 3..=clean).contains(&little), "{little} %");
    assert!((85..clean).contains(&more), "{more} %");
    assert!(much <= 60, "{much} %");
}

#[test]
fn a_short_queue_sets_a_bound_that_fits_it_and_loses_little() {
    let mut path = Simulated::new(begin(), 12_500_000, RTT, 60_000);
    path.run(at(3000), |_| {});
    let before = (path.delivered, path.dropped);
    path.run(at(23_000), |_| {});
    let sent = (path.delivered - before.0) / MSS;
    let dropped = path.dropped - before.1;
    assert!(path.share(before.0, at(3000)) >= 90, "{} %", path.share(before.0, at(3000)));
    assert!(dropped * 100 < sent, "{dropped} of {sent}");
    let bound = path.controller.path.inflight_longterm.expect("it lost something");
    assert!((450 * MSS..=620 * MSS).contains(&bound), "{bound}");
}

// Shows: BBR3 undo, BBR3 startup-loss
#[test]
fn a_spurious_end_of_startup_is_taken_back() {
    let mut bbr = begin();
    round(&mut bbr, at(0), 1_000_000);
    let mut loss = lost(MSS, MSS, 40 * MSS);
    for _ in 0..6 {
        loss.delivered_total = bbr.path.round_ends_at;
        bbr.on_lost(at(10), &loss);
    }
    let ack = AckSample {
        now: at(40),
        delivered_bytes: MSS,
        in_flight_bytes: 400 * MSS,
        phase: RecoveryPhase::Recovery,
        delivered_total: bbr.path.round_ends_at + 10 * MSS,
        rate: RateSample {
            prior_delivered: bbr.path.round_ends_at,
            delivered: 80 * MSS,
            interval: Some(RTT),
            tx_in_flight: 40 * MSS,
            lost: MSS,
            any: true,
            ..RateSample::default()
        },
        ..sample()
    };
    bbr.on_ack(&ack);
    assert_eq!(bbr.state, State::Drain);
    assert_eq!(bbr.path.inflight_longterm, Some(80 * MSS));
    bbr.on_spurious(at(50));
    assert_eq!((bbr.state, bbr.full_pipe.reached), (State::Startup, false));
    assert_eq!(bbr.path.inflight_longterm, None);
}

// Shows: BBR3 s4.states, BBR3 refill
#[test]
fn a_cycle_goes_down_cruises_refills_for_one_round_and_goes_up() {
    let mut path = simulated();
    let mut seen: Vec<(State, u64)> = Vec::new();
    path.run(at(20_000), |path| {
        let bbr = &path.controller;
        if seen.last().is_none_or(|(state, _)| *state != bbr.state) {
            seen.push((bbr.state, bbr.path.round_count));
        }
    });
    use State::*;
    assert_eq!([seen[0].0, seen[1].0], [Startup, Drain]);
    for pair in seen[1..].windows(2) {
        let ((before, began), (after, ended)) = (pair[0], pair[1]);
        let fits = match before {
            Drain => matches!(after, ProbeBwDown | ProbeBwCruise),
            ProbeBwDown => matches!(after, ProbeBwCruise | ProbeRtt),
            ProbeBwCruise => matches!(after, ProbeBwRefill | ProbeRtt),
            ProbeBwRefill => after == ProbeBwUp && ended == began + 1 || after == ProbeRtt,
            ProbeBwUp => matches!(after, ProbeBwDown | ProbeRtt),
            ProbeRtt => after == ProbeBwCruise,
            Startup => false,
        };
        assert!(fits, "{before:?} in round {began}, {after:?} in {ended}");
    }
    for state in [ProbeBwDown, ProbeBwCruise, ProbeBwRefill, ProbeBwUp, ProbeRtt] {
        assert!(seen.iter().filter(|(seen, _)| *seen == state).count() >= 3, "{state:?}");
    }
}

// Shows: BBR3 startup-loss
#[test]
fn five_holes_in_a_round_are_borne_in_startup_and_without_sack_one_is_too_many() {
    for (sack, holes, state) in
        [(true, 5, State::Startup), (true, 6, State::Drain), (false, 1, State::Drain)]
    {
        let mut bbr = Bbr3 { sack, ..begin() };
        let ack = round(&mut bbr, at(0), 1_000_000);
        let mut loss = lost(MSS, MSS, 40 * MSS);
        loss.delivered_total = ack.delivered_total;
        for _ in 0..holes {
            bbr.on_lost(at(10), &loss);
            // What adjoins is the same hole.
            bbr.on_lost(at(10), &LostRange { adjoins: true, ..loss });
        }
        let mut rate = ack.rate;
        rate.prior_delivered = bbr.path.round_ends_at;
        (rate.lost, rate.tx_in_flight) = (MSS, 40 * MSS);
        bbr.on_ack(&AckSample {
            phase: RecoveryPhase::Recovery,
            delivered_total: ack.delivered_total + 20 * MSS,
            in_flight_bytes: 900 * MSS,
            rate,
            ..ack
        });
        assert_eq!(bbr.state, state, "{holes} holes, SACK {sack}");
    }
}

// Shows: BBR3 drain
#[test]
fn drain_ends_after_three_rounds_even_if_the_queue_does_not() {
    let mut bbr = begin();
    let mut rounds = Vec::new();
    for index in 0..10 {
        round_with(&mut bbr, at(40 * index), 12_500_000, 900);
        if bbr.state == State::Drain {
            rounds.push(bbr.path.round_count);
        }
    }
    assert_eq!(rounds.len(), 4, "the one it begins in and three: {rounds:?}");
    assert_eq!(bbr.state, State::ProbeBwDown);
}

// Shows: BBR3 down
#[test]
fn down_lasts_until_the_queue_is_empty_and_others_find_room() {
    let mut bbr = cruising();
    bbr.start_down(at(200));
    bbr.path.inflight_longterm = Some(450 * MSS);
    round_with(&mut bbr, at(240), 12_500_000, 501);
    assert_eq!(bbr.state, State::ProbeBwDown);
    round_with(&mut bbr, at(280), 12_500_000, 400);
    assert_eq!(bbr.state, State::ProbeBwDown, "15 % of 450 are left to others");
    round_with(&mut bbr, at(320), 12_500_000, 382);
    assert_eq!(bbr.state, State::ProbeBwCruise);
}

// Shows: BBR3 precaution
#[test]
fn after_a_probe_too_high_the_next_stops_at_its_bound_and_if_that_was_safe_another_follows() {
    let mut bbr = cruising();
    bbr.probing.too_high = true;
    bbr.path.inflight_longterm = Some(550 * MSS);
    bbr.start_refill();
    round_with(&mut bbr, at(240), 12_500_000, 500);
    assert_eq!(bbr.state, State::ProbeBwUp);
    round_with(&mut bbr, at(280), 12_500_000, 550);
    assert_eq!((bbr.state, bbr.probing.precautionary), (State::ProbeBwDown, true));
    round_with(&mut bbr, at(320), 12_500_000, 540);
    assert_eq!(bbr.state, State::ProbeBwRefill, "its feedback was good");
}

// Shows: BBR3 maxbw, BBR3 round
#[test]
fn samples_of_an_application_that_sends_less_do_not_lower_the_bandwidth_and_cycles_do() {
    let mut max = path::CycleMax::default();
    let mut bbr = cruising();
    let mut ack = round(&mut bbr, at(200), 12_500_000);
    let rounds = bbr.path.round_count;
    ack.rate.app_limited = true;
    ack.rate.delivered /= 2;
    bbr.on_ack(&ack);
    assert_eq!(bbr.path.round_count, rounds, "sent before the round began");
    bbr.path.max_bandwidth.advance();
    bbr.path.max_bandwidth.advance();
    assert_eq!(bbr.path.max_bandwidth.get(), 12_500_000, "a cycle without a sample is none");
    max.update(9);
    max.advance();
    max.update(5);
    assert_eq!(max.get(), 9);
    max.advance();
    assert_eq!(max.get(), 5);
}

// Shows: BBR3 extra
#[test]
fn acks_that_come_many_at_once_make_the_window_larger() {
    let mut bbr = cruising();
    let mut ack = round(&mut bbr, at(200), 12_500_000);
    ack.delivered_bytes = 200 * MSS;
    bbr.window = 1_000_000;
    bbr.on_ack(&ack);
    assert!(bbr.path.extra_acked >= 200 * MSS, "{}", bbr.path.extra_acked);
    assert_eq!(bbr.window(), 1_000_000 + bbr.path.extra_acked.min(200 * MSS));
}

// Shows: BBR3 idle
#[test]
fn after_a_pause_of_the_application_it_sends_at_the_bandwidth_and_probes_no_delay() {
    let mut bbr = cruising();
    bbr.state = State::ProbeBwUp;
    let window = bbr.window();
    bbr.on_idle(&IdleSample {
        now: at(6000),
        idle: Duration::from_secs(6),
        rto: RTT,
        restart_window: Some(10 * MSS),
        app_limited: true,
    });
    assert_eq!((bbr.pacing_rate(), bbr.window()), (Some(12_375_000), window));
    round(&mut bbr, at(6040), 12_500_000);
    assert_ne!(bbr.state, State::ProbeRtt, "the pause has emptied the queue");
    round(&mut bbr, at(11_100), 12_500_000);
    assert_eq!(bbr.state, State::ProbeRtt);
}

// Shows: BBR3 rto
#[test]
fn a_time_out_leaves_one_segment_and_the_end_of_recovery_restores_the_window() {
    let mut bbr = cruising();
    bbr.on_congestion(&CongestionEvent {
        now: at(200),
        kind: CongestionKind::Timeout,
        in_flight_bytes: 600 * MSS,
        left_in_flight_bytes: 0,
        mss: MSS as u32,
    });
    assert_eq!((bbr.window(), bbr.prior_window), (MSS, 600 * MSS));
    let ack = AckSample { now: at(240), delivered_bytes: MSS, ..sample() };
    bbr.on_ack(&AckSample { phase: RecoveryPhase::Loss, ..ack });
    assert_eq!(bbr.window(), 4 * MSS);
    bbr.on_ack(&ack);
    assert_eq!(bbr.window(), 601 * MSS);
}

// Shows: BBR3 ecn
#[test]
fn a_mark_is_congestion() {
    let mark = |bbr: &mut Bbr3, now| {
        bbr.on_congestion(&CongestionEvent {
            now,
            kind: CongestionKind::Ecn,
            in_flight_bytes: 600 * MSS,
            left_in_flight_bytes: 0,
            mss: MSS as u32,
        });
    };
    let mut bbr = begin();
    round(&mut bbr, at(0), 1_000_000);
    mark(&mut bbr, at(10));
    round(&mut bbr, at(40), 1_000_000);
    assert_ne!(bbr.state, State::Startup);
    let mut bbr = cruising();
    mark(&mut bbr, at(200));
    round(&mut bbr, at(240), 12_500_000);
    assert!(bbr.path.bandwidth_shortterm.is_some());
    bbr.state = State::ProbeBwUp;
    bbr.probing.is_probe_sample = true;
    mark(&mut bbr, at(280));
    assert_eq!(bbr.state, State::ProbeBwDown);
    assert!(bbr.path.inflight_longterm.is_some());
}
