//! Both ways of a link.

use towpath_netem::{Direction, Duplex, DuplexConfig};

use crate::common::{MILLISECOND, Numbered, SEEDS, assert_binomial};

fn duplex(line: &str, seed: u64) -> Duplex<Numbered> {
    let config: DuplexConfig = line.parse().expect(line);
    Duplex::new(config, seed).expect(line)
}

fn arrivals(link: &mut Duplex<Numbered>, direction: Direction) -> Vec<u64> {
    let next = || {
        let at_ns = link.next_delivery_ns(direction)?;
        link.deliver(at_ns, direction).map(|_| at_ns)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn each_way_has_its_own_rate_and_queue() {
    // 100 bytes are 1 ms there and 4 ms back.
    let mut link =
        duplex("there={rate=800kbit queue=5packets} back={rate=200kbit queue=3packets}", 1);
    for number in 0..10 {
        link.offer(0, Direction::There, Numbered::new(number));
        link.offer(0, Direction::Back, Numbered::new(number));
    }
    let ms = |times: &[u64]| times.iter().map(|at| at * MILLISECOND).collect::<Vec<_>>();
    assert_eq!(link.in_flight(), 8);
    assert_eq!(link.queue_length(0, Direction::There).packets, 5);
    assert_eq!(arrivals(&mut link, Direction::There), ms(&[1, 2, 3, 4, 5]));
    assert_eq!(arrivals(&mut link, Direction::Back), ms(&[4, 8, 12]));
    assert_eq!(link.statistics(Direction::There).overflowed, 5);
    assert_eq!(link.statistics(Direction::Back).overflowed, 7);
    assert!(link.is_empty());
}

#[test]
fn a_shared_medium_serves_whoever_came_first_and_each_side_fills_its_own_queue() {
    let mut link = duplex("rate=800kbit queue=3packets shared=true", 1);
    use Direction::{Back, There};
    for direction in [There, There, Back, There, There, Back] {
        link.offer(0, direction, Numbered::new(0));
    }
    // The fifth found three of its side; the sixth comes behind the four that were taken.
    let ms = |times: &[u64]| times.iter().map(|at| at * MILLISECOND).collect::<Vec<_>>();
    assert_eq!(arrivals(&mut link, There), ms(&[1, 2, 4]));
    assert_eq!(arrivals(&mut link, Back), ms(&[3, 5]));
    assert_eq!(link.statistics(There).overflowed, 1);
    // After a rest it begins anew, whoever speaks.
    link.offer(10 * MILLISECOND, Back, Numbered::new(0));
    link.offer(10 * MILLISECOND, There, Numbered::new(0));
    assert_eq!(arrivals(&mut link, There), ms(&[12]));
    assert_eq!(arrivals(&mut link, Back), ms(&[11]));
}

#[test]
fn two_ways_of_one_seed_lose_different_packets() {
    for seed in SEEDS {
        let mut link = duplex("there.loss=10% back.loss=30%", seed);
        for number in 0..10_000 {
            link.offer(number, Direction::There, Numbered::new(number));
            link.offer(number, Direction::Back, Numbered::new(number));
        }
        let lost = |direction| link.statistics(direction).lost;
        assert_binomial("there", seed, 10_000, 0.1, lost(Direction::There));
        assert_binomial("back", seed, 10_000, 0.3, lost(Direction::Back));
        let mut arrived = |direction| -> std::collections::BTreeSet<u64> {
            let next = || link.deliver(u64::MAX, direction).map(|packet| packet.number);
            std::iter::from_fn(next).collect()
        };
        let (there, back) = (arrived(Direction::There), arrived(Direction::Back));
        let both = there.intersection(&back).count() as u64;
        assert_binomial("both arrive", seed, 10_000, 0.9 * 0.7, both);
    }
}
