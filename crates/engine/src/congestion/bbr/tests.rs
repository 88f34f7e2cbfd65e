//! BBR version 1 by numbers for given samples, and in a closed loop over a simulated path.

use super::*;
use crate::congestion::RateSample;
use crate::congestion::samples::{sample, start};
use crate::congestion::simulated::{MSS, Path};

const RTT: Duration = Duration::from_millis(40);

fn begin() -> Bbr {
    Bbr::new(&Start { srtt: Some(RTT), min_rtt: Some(RTT), ..start(10 * MSS) })
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// 12.5 MB/s, 40 ms, a queue of one product: 500 segments each.
fn path() -> Path<Bbr> {
    Path::new(begin(), 12_500_000, RTT, 500_000)
}

/// An acknowledgment that delivers `bytes` after a round trip at `rate`, the first of its round.
fn round(bbr: &mut Bbr, now: Instant, rate: u64) {
    let delivered_total = bbr.round_ends_at + 10 * MSS;
    bbr.on_ack(&AckSample {
        now,
        delivered_bytes: MSS,
        acked_bytes: MSS,
        in_flight_bytes: 100 * MSS,
        prior_in_flight_bytes: 101 * MSS,
        srtt: Some(RTT),
        delivered_total,
        rate: RateSample {
            prior_delivered: bbr.round_ends_at,
            delivered: rate / 25,
            interval: Some(RTT),
            any: true,
            rtt: Some(RTT),
            ..RateSample::default()
        },
        ..sample()
    });
}

#[test]
fn gains_are_linuxs() {
    assert_eq!((HIGH_GAIN, DRAIN_GAIN, WINDOW_GAIN), (739, 88, 512));
    // 10 segments in 40 ms are 250 kB/s; times 739/256, less 1 %.
    assert_eq!(begin().pacing_rate(), Some(714_462));
    // Without a round-trip time it counts as a millisecond.
    assert_eq!(Bbr::new(&start(10 * MSS)).pacing_rate(), Some(28_578_515));
}

#[test]
fn the_window_goes_to_a_gain_times_the_product_and_what_quanta_need() {
    let mut bbr = begin();
    for index in 0..5 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    assert_eq!(bbr.mode.name(), "PROBE_BW");
    // 12.5 MB/s for 40 ms are 500 segments.
    assert_eq!(bbr.product(12_500_000, UNIT), 500);
    assert_eq!(bbr.product(12_500_001, UNIT), 501, "rounded up");
    bbr.mode = Mode::ProbeBw { phase: 2, since: at(160) };
    bbr.update_gains();
    bbr.set_pacing_rate(None, bbr.pacing_gain);
    assert_eq!(bbr.pacing_rate, 12_375_000);
    // A quantum is 12375000 / 1024 / 1000 = 12 segments; three more of them, made even.
    assert_eq!(bbr.quantum(), 12);
    assert_eq!(bbr.in_flight_target(WINDOW_GAIN), 1_036_000);
    bbr.mode = Mode::ProbeBw { phase: 0, since: at(160) };
    bbr.update_gains();
    bbr.set_pacing_rate(None, bbr.pacing_gain);
    assert_eq!(bbr.pacing_rate, 15_468_750);
    // Quanta of 15 and, while probing, two segments more.
    assert_eq!(bbr.in_flight_target(WINDOW_GAIN), (1000 + 45 + 1 + 2) * MSS);
    bbr.window = 2_000_000;
    round(&mut bbr, at(200), 12_500_000);
    assert_eq!(bbr.window % (2 * MSS), 0);
    assert!((1_036_000..=1_100_000).contains(&bbr.window), "snaps down to it: {}", bbr.window);
}

#[test]
fn the_pipe_is_full_after_three_rounds_that_grew_less_than_a_quarter() {
    let mut bbr = begin();
    for (index, (rate, mode)) in [
        (1_000_000, "STARTUP"),
        (1_250_000, "STARTUP"),
        (1_300_000, "STARTUP"),
        (1_562_475, "STARTUP"),
        (1_562_475, "DRAIN"),
    ]
    .into_iter()
    .enumerate()
    {
        round(&mut bbr, at(40 * index as u64), rate);
        assert_eq!(bbr.mode.name(), mode, "round {index}");
    }
    assert_eq!((bbr.pacing_gain, bbr.window_gain), (DRAIN_GAIN, HIGH_GAIN));
    // The threshold is what is in flight when nothing is queued: 63 segments and three quanta of
    // four, made even.
    assert_eq!(bbr.slow_start_threshold(), (63 + 12 + 1) * MSS);
}

#[test]
fn a_cycle_has_one_phase_above_one_below_and_six_at_the_bandwidth() {
    let mut path = path();
    path.run(at(2000), |_| {});
    let mut gains: Vec<(u64, Instant)> = Vec::new();
    path.run(at(4000), |path| {
        let gain = path.controller.pacing_gain;
        if gains.last().is_none_or(|(last, _)| *last != gain) {
            gains.push((gain, path.now));
        }
    });
    let cycles: Vec<_> = gains.windows(4).filter(|window| window[0].0 == 320).collect();
    assert!(cycles.len() >= 4, "{gains:?}");
    for cycle in cycles {
        assert_eq!([cycle[1].0, cycle[2].0, cycle[3].0], [192, 256, 320]);
        let ms = |index: usize| (cycle[index + 1].1 - cycle[index].1).as_millis();
        assert!((40..=90).contains(&ms(0)), "more, until it is in flight: {} ms", ms(0));
        assert!(ms(1) <= 45, "less, until that is gone: {} ms", ms(1));
        assert!((240..=255).contains(&ms(2)), "six round trips: {} ms", ms(2));
    }
}

#[test]
fn the_first_phase_is_random_and_never_the_draining_one() {
    let mut seen = [0; cycle::PHASES];
    for seed in 0..700 {
        let mut bbr = Bbr::new(&Start { seed, ..start(10 * MSS) });
        bbr.enter_probe_bw();
        let Mode::ProbeBw { phase, .. } = bbr.mode else { panic!("{:?}", bbr.mode) };
        seen[phase] += 1;
    }
    assert_eq!(seen[1], 0);
    assert!(seen.iter().enumerate().all(|(phase, count)| phase == 1 || *count > 70), "{seen:?}");
}

#[test]
fn the_bandwidth_is_the_greatest_of_ten_rounds() {
    let mut bbr = begin();
    round(&mut bbr, at(0), 12_500_000);
    for index in 1..=10 {
        round(&mut bbr, at(40 * index), 5_000_000 + index);
        assert_eq!(bbr.bandwidth(), 12_500_000, "{index} rounds later");
    }
    round(&mut bbr, at(440), 4_000_000);
    // The rate of a whole number of bytes in 40 ms.
    assert_eq!(bbr.bandwidth(), 5_000_000);
}

#[test]
fn startup_finds_the_bandwidth_and_drains_what_it_has_queued() {
    let mut path = path();
    let (mut full_at, mut drained_at) = (None, None);
    path.run(at(1500), |path| match path.controller.mode {
        Mode::Startup => {}
        Mode::Drain => _ = full_at.get_or_insert(path.now),
        _ => _ = drained_at.get_or_insert((path.now, path.in_flight)),
    });
    let (drained_at, in_flight) = drained_at.expect("it reaches PROBE_BW");
    // Doubling from 10 to 500 segments takes six rounds, and to see that it is all three more, with
    // a queue that makes them twice as long.
    assert!(full_at.is_some_and(|full_at| full_at <= at(700)), "{full_at:?}");
    assert!(drained_at <= at(800), "{drained_at:?}");
    assert!(in_flight <= path.product() + 40 * MSS, "{in_flight}");
    let bandwidth = path.controller.bandwidth();
    assert!((12_375_000..=12_500_000).contains(&bandwidth), "{bandwidth}");
}

#[test]
fn the_rate_stays_and_the_queue_is_short() {
    let mut path = path();
    path.run(at(2000), |_| {});
    (path.longest_queue, path.dropped) = (Duration::ZERO, 0);
    let before = path.delivered;
    path.run(at(9000), |_| {});
    assert!(path.share(before, at(2000)) >= 97, "{} %", path.share(before, at(2000)));
    assert!(path.longest_queue < Duration::from_millis(15), "{:?}", path.longest_queue);
    assert_eq!(path.dropped, 0);
}

#[test]
fn every_ten_seconds_it_makes_room_to_see_the_delay() {
    let mut path = path();
    let mut probes: Vec<(Instant, Instant)> = Vec::new();
    let mut least = u64::MAX;
    path.run(at(35_000), |path| {
        if path.controller.mode.is_probe_rtt() {
            least = least.min(path.in_flight);
            match probes.last_mut() {
                Some((_, end)) if path.now - *end < RTT * 2 => *end = path.now,
                _ => probes.push((path.now, path.now)),
            }
        }
    });
    assert_eq!(probes.len(), 3, "{probes:?}");
    assert!(least <= 4 * MSS);
    for (begin, end) in &probes {
        let time = (*end - *begin).as_millis();
        assert!((200..=330).contains(&time), "{time} ms");
    }
    for pair in probes.windows(2) {
        let distance = (pair[1].0 - pair[0].1).as_millis();
        assert!((10_000..=10_100).contains(&distance), "{distance} ms");
    }
}

#[test]
fn five_percent_of_loss_do_not_slow_it() {
    let mut path = path();
    path.loss_per_mille = 50;
    path.run(at(2000), |_| {});
    let before = path.delivered;
    path.run(at(9000), |_| {});
    assert!(path.share(before, at(2000)) >= 90, "{} %", path.share(before, at(2000)));
}

#[test]
fn a_path_that_becomes_slower_is_followed_within_ten_rounds_and_a_faster_one_within_seconds() {
    let mut path = path();
    path.run(at(3000), |_| {});
    path.bytes_per_second = 5_000_000;
    path.run(at(5000), |_| {});
    let bandwidth = path.controller.bandwidth();
    assert!((4_900_000..=5_050_000).contains(&bandwidth), "{bandwidth}");
    path.bytes_per_second = 12_500_000;
    path.run(at(8000), |_| {});
    let bandwidth = path.controller.bandwidth();
    assert!(bandwidth >= 12_000_000, "{bandwidth}");
}

#[test]
fn the_first_round_of_recovery_sends_what_is_delivered_and_its_end_restores_the_window() {
    let mut bbr = begin();
    for index in 0..5 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    bbr.window = 600 * MSS;
    let now = at(200);
    let ack = |phase, delivered, lost, in_flight| AckSample {
        now,
        delivered_bytes: delivered * MSS,
        newly_lost_bytes: lost * MSS,
        in_flight_bytes: in_flight * MSS,
        delivered_total: 1_000_000,
        phase,
        rate: RateSample { prior_delivered: 1, any: true, ..RateSample::default() },
        ..sample()
    };
    bbr.round_ends_at = 1_000_000;
    bbr.on_congestion(&CongestionEvent {
        now,
        kind: CongestionKind::Loss,
        in_flight_bytes: 600 * MSS,
        left_in_flight_bytes: 0,
        mss: MSS as u32,
    });
    bbr.on_ack(&ack(RecoveryPhase::Recovery, 1, 3, 496));
    assert_eq!(bbr.window(), 497 * MSS, "what is in flight and what was delivered");
    bbr.on_ack(&ack(RecoveryPhase::Recovery, 2, 0, 495));
    assert_eq!(bbr.window(), 497 * MSS);
    bbr.on_ack(&ack(RecoveryPhase::Open, 2, 0, 400));
    assert_eq!(bbr.window(), 602 * MSS, "and grows on from there");
}

#[test]
fn after_a_time_out_the_window_doubles_from_one_segment_and_comes_back_at_the_end() {
    let mut bbr = begin();
    for index in 0..5 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    bbr.window = 600 * MSS;
    bbr.on_congestion(&CongestionEvent {
        now: at(500),
        kind: CongestionKind::Timeout,
        in_flight_bytes: 600 * MSS,
        left_in_flight_bytes: 0,
        mss: MSS as u32,
    });
    assert_eq!(bbr.window(), MSS);
    let ack = |phase| AckSample {
        now: at(540),
        delivered_bytes: MSS,
        in_flight_bytes: 0,
        phase,
        delivered_total: 1_000_000,
        ..sample()
    };
    bbr.on_ack(&ack(RecoveryPhase::Loss));
    assert_eq!(bbr.window(), 4 * MSS, "never below four");
    bbr.on_ack(&ack(RecoveryPhase::Loss));
    assert_eq!(bbr.window(), 5 * MSS);
    bbr.on_ack(&ack(RecoveryPhase::Open));
    assert_eq!(bbr.window(), 601 * MSS);
}

/// A bucket of 100 kB that earns 1 MB/s before a path of 12.5 MB/s, as acknowledgments of rounds.
#[test]
fn two_lossy_intervals_of_one_rate_are_a_policer_and_its_rate_is_used_for_48_rounds() {
    let mut bbr = begin();
    for index in 0..5 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    assert_eq!(bbr.policer.bandwidth(), None);
    let (mut now, mut delivered, mut lost) = (at(200), bbr.round_ends_at, 0);
    let mut step = |bbr: &mut Bbr| {
        now += RTT;
        delivered += 40 * MSS;
        lost += 20 * MSS;
        bbr.on_ack(&AckSample {
            now,
            delivered_bytes: 40 * MSS,
            newly_lost_bytes: 20 * MSS,
            in_flight_bytes: 100 * MSS,
            delivered_total: delivered,
            lost_total: lost,
            rate: RateSample {
                prior_delivered: bbr.round_ends_at,
                delivered: 40 * MSS,
                interval: Some(RTT),
                any: true,
                ..RateSample::default()
            },
            ..sample()
        });
    };
    // The first loss begins an interval, the rounds of it make the first, as many the second.
    let mut rounds = 0;
    while bbr.policer.bandwidth().is_none() {
        step(&mut bbr);
        rounds += 1;
        assert!(rounds < 20, "no policer is seen");
    }
    assert_eq!(rounds, 8);
    assert_eq!(bbr.policer.bandwidth(), Some(1_000_000));
    assert_eq!((bbr.bandwidth(), bbr.pacing_gain), (1_000_000, UNIT));
    let mut used = 0;
    while bbr.policer.bandwidth().is_some() {
        step(&mut bbr);
        used += 1;
        assert!(used < 100, "it is used for ever");
    }
    assert_eq!(used, 48);
}

#[test]
fn after_a_pause_of_the_application_it_sends_at_the_bandwidth_and_probes_no_delay() {
    let mut bbr = begin();
    for index in 0..6 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    bbr.mode = Mode::ProbeBw { phase: 0, since: at(160) };
    bbr.update_gains();
    let idle = IdleSample {
        now: at(60_000),
        idle: Duration::from_secs(59),
        rto: RTT,
        restart_window: Some(10 * MSS),
        app_limited: true,
    };
    let window = bbr.window();
    bbr.on_idle(&idle);
    assert_eq!(bbr.pacing_rate(), Some(12_375_000));
    assert_eq!(bbr.window(), window);
    round(&mut bbr, at(60_040), 12_500_000);
    assert_eq!(bbr.mode.name(), "PROBE_BW", "the pause has emptied the queue");
    round(&mut bbr, at(71_000), 12_500_000);
    assert_eq!(bbr.mode.name(), "PROBE_RTT");
}

#[test]
fn acks_that_come_many_at_once_make_the_window_larger() {
    let mut bbr = begin();
    for index in 0..6 {
        round(&mut bbr, at(40 * index), 12_500_000);
    }
    assert!(bbr.full_pipe.reached);
    // 200 segments are acknowledged at once, where 12.5 MB/s explain none.
    bbr.window = 600 * MSS;
    let now = at(240);
    bbr.on_ack(&AckSample {
        now,
        delivered_bytes: 200 * MSS,
        in_flight_bytes: 400 * MSS,
        delivered_total: bbr.round_ends_at + 200 * MSS,
        rate: RateSample {
            prior_delivered: bbr.round_ends_at - 1,
            delivered: 500 * MSS,
            interval: Some(RTT),
            any: true,
            ..RateSample::default()
        },
        ..sample()
    });
    assert_eq!(bbr.aggregation.extra(12_500_000), 200 * MSS);
    assert_eq!(bbr.aggregation.extra(1_000_000), 100 * MSS, "at most what 100 ms deliver");
}
