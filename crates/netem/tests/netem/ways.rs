//! The way: jitter, changes of the route, reordering by positions.

use std::collections::BTreeSet;

use towpath_netem::{Jitter, LinkConfig, RouteChange};

use crate::common::{MILLISECOND, Numbered, SEEDS, link, ms, pass};

fn overtaken(numbers: &[u64]) -> usize {
    numbers.windows(2).filter(|pair| pair[1] < pair[0]).count()
}

#[test]
fn jitter_reorders_unless_it_keeps_the_order() {
    let config = LinkConfig::new().delay(ms(20));
    for seed in SEEDS {
        for jitter in [Jitter::uniform(ms(5)), Jitter::normal(ms(5)).correlation(0.3)] {
            let free = pass(config.clone().jitter(jitter), seed, 5_000, MILLISECOND);
            assert!(overtaken(&free.numbers()) > 1_000, "seed {seed}");
            let kept = pass(config.clone().jitter(jitter.keep_order()), seed, 5_000, MILLISECOND);
            assert_eq!(kept.numbers(), (0..5_000).collect::<Vec<u64>>(), "seed {seed}");
            // Who keeps the order arrives when the latest of those before does, and not later.
            let mut own: Vec<u64> = vec![0; 5_000];
            for (at_ns, packet) in &free.arrived {
                own[packet.number as usize] = *at_ns;
            }
            let mut latest = 0;
            for (at_ns, packet) in &kept.arrived {
                latest = latest.max(own[packet.number as usize]);
                assert_eq!(*at_ns, latest, "seed {seed}, packet {}", packet.number);
            }
        }
    }
}

#[test]
fn jitter_stays_within_its_spread_and_a_packet_never_travels_backwards() {
    let travels = |config: LinkConfig| -> Vec<u64> {
        let passed = pass(config, 42, 50_000, 1);
        passed.arrived.iter().map(|(at_ns, packet)| at_ns - packet.number).collect()
    };
    let wide = travels(LinkConfig::new().delay(ms(20)).jitter(Jitter::uniform(ms(5))));
    assert!(wide.iter().all(|travel| (15_000_000..=25_000_000).contains(travel)));
    assert!(wide.iter().any(|travel| *travel < 15_010_000));
    assert!(wide.iter().any(|travel| *travel > 24_990_000));
    let clipped = travels(LinkConfig::new().delay(ms(1)).jitter(Jitter::uniform(ms(3))));
    let at_once = clipped.iter().filter(|travel| **travel == 0).count();
    assert!(at_once.abs_diff(50_000 / 3) < 600, "a third would be early: {at_once}");
}

#[test]
fn a_recorded_seed_has_the_same_jitter_for_ever() {
    let travels = |jitter| -> Vec<u64> {
        let passed = pass(LinkConfig::new().delay(ms(10)).jitter(jitter), 42, 4, 100 * MILLISECOND);
        passed.arrived.iter().map(|(at_ns, p)| at_ns - p.number * 100 * MILLISECOND).collect()
    };
    assert_eq!(travels(Jitter::uniform(ms(5))), RECORDED_UNIFORM);
    assert_eq!(travels(Jitter::normal(ms(1))), RECORDED_NORMAL);
}

/// Worked out from SplitMix64 apart from this crate. A change of these numbers breaks every seed that anybody has written down.
const RECORDED_UNIFORM: [u64; 4] = [10_239_920, 10_584_152, 14_454_581, 14_870_557];
const RECORDED_NORMAL: [u64; 4] = [9_256_925, 11_283_492, 10_217_028, 9_826_314];

#[test]
fn a_shorter_route_overtakes_the_longer_one_and_a_longer_one_leaves_a_gap() {
    let config = LinkConfig::new()
        .delay(ms(10))
        .route_change(RouteChange::new(ms(100), ms(50)))
        .route_change(RouteChange::new(ms(200), ms(10)));
    let passed = pass(config.clone(), 1, 300, MILLISECOND);
    for (at_ns, packet) in &passed.arrived {
        let delay = if (100..200).contains(&packet.number) { 50 } else { 10 };
        assert_eq!(*at_ns, (packet.number + delay) * MILLISECOND, "packet {}", packet.number);
    }
    let before_the_jump: Vec<u64> = (0..161).collect();
    assert_eq!(passed.numbers()[..161], before_the_jump, "a jump up reorders nothing");
    // From 210 ms on packets of both routes arrive in turn, until the longer is empty at 249 ms.
    let numbers = passed.numbers();
    let late: BTreeSet<u64> = (0..300)
        .filter(|place| numbers[..*place].iter().any(|other| *other > numbers[*place]))
        .map(|place| numbers[place])
        .collect();
    assert_eq!(late, (161..200).collect(), "each is overtaken");
    // An order that jitter has to keep is that of one route.
    let kept = pass(config.jitter(Jitter::uniform(ms(0)).keep_order()), 1, 300, MILLISECOND);
    assert_eq!(kept.numbers(), numbers);
}

#[test]
fn a_packet_is_overtaken_by_as_many_as_were_told() {
    let config = LinkConfig::new().delay(ms(5)).reorder_packets([3, 8, 9]).reorder_positions(2);
    let passed = pass(config, 1, 15, MILLISECOND);
    assert_eq!(passed.numbers(), [0, 1, 3, 4, 2, 5, 6, 9, 10, 7, 8, 11, 12, 13, 14]);
    let third = &passed.arrived[4];
    assert_eq!(third.0, 9 * MILLISECOND, "right behind the second that passed it");
    assert_eq!(passed.statistics.reordered, 3);
}

#[test]
fn who_is_not_overtaken_goes_on_when_the_gap_is_over() {
    let config = LinkConfig::new().delay(ms(5)).reorder_every(2).reorder_positions(3);
    let mut short = link(config.clone().reorder_gap(ms(20)), 1);
    let mut long = link(config, 1);
    for link in [&mut short, &mut long] {
        link.offer(0, Numbered::new(1));
        link.offer(0, Numbered::new(2));
        assert_eq!(link.deliver(5 * MILLISECOND).map(|packet| packet.number), Some(1));
        assert_eq!(link.in_flight(), 1);
    }
    assert_eq!(short.next_delivery_ns(), Some(25 * MILLISECOND));
    assert_eq!(short.deliver(25 * MILLISECOND - 1), None);
    assert_eq!(short.deliver(25 * MILLISECOND).map(|packet| packet.number), Some(2));
    assert_eq!(long.next_delivery_ns(), Some(1_005 * MILLISECOND), "a second when none is set");
}

#[test]
fn a_packet_held_on_the_old_route_does_not_hide_one_on_the_new() {
    // Both are held until their gap is over; the second leaves on a much shorter way.
    let config = LinkConfig::new()
        .delay(ms(500))
        .route_change(RouteChange::new(ms(105), ms(1)))
        .reorder_packets(1..=2)
        .reorder_positions(5)
        .reorder_gap(ms(100));
    let mut link = link(config, 1);
    link.offer(0, Numbered::new(1));
    link.offer(10 * MILLISECOND, Numbered::new(2));
    assert_eq!(link.next_delivery_ns(), Some(111 * MILLISECOND));
    assert_eq!(link.deliver(111 * MILLISECOND).map(|packet| packet.number), Some(2));
    assert_eq!(link.next_delivery_ns(), Some(600 * MILLISECOND));
}
