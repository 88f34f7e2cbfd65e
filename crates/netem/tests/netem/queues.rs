//! Before the wire: the queue's limits, the policer, changes of the rate, CoDel on a whole link.

use towpath_netem::{CoDel, LinkConfig, Outage, Policer, RateChange};

use crate::common::{MILLISECOND, Numbered, drain, link, ms, pass};

fn rated(rate: u64) -> LinkConfig {
    LinkConfig::new().rate_bits_per_second(Some(rate))
}

#[test]
fn a_queue_of_bytes_holds_for_as_long_as_its_bytes_take() {
    // 500 kB before 100 Mbit/s are 40 ms, whatever the packets are.
    for len in [50, 100, 1_250, 1_500, 9_000] {
        let config = rated(100_000_000).queue_bytes(500_000);
        let mut link = link(config, 1);
        for number in 0..20_000 {
            link.offer(0, Numbered { number, len, flipped: Vec::new() });
        }
        let whole = 500_000 / len;
        assert_eq!(link.in_flight(), whole, "packets of {len}");
        let length = link.queue_length(0);
        assert_eq!((length.packets, length.bytes), (whole, (whole * len) as u64));
        assert_eq!(link.statistics().overflowed, 20_000 - whole as u64);
        assert_eq!(link.statistics().dropped_bytes, (20_000 - whole as u64) * len as u64);
        let last = drain(&mut link).last().map(|(at_ns, _)| *at_ns);
        assert_eq!(last, Some((whole * len) as u64 * 80), "a byte is 80 ns");
        assert_eq!(link.queue_length(40_000_000).packets, 0);
    }
}

#[test]
fn a_policer_lets_the_burst_and_then_the_rate_pass_and_delays_nothing() {
    // Packets of 100 bytes, ten times as fast as 800 kbit/s allows, after a burst of 5.
    let config = LinkConfig::new().policer(Policer::new(800_000, 500));
    let passed = pass(config, 1, 10_000, 100_000);
    assert!(passed.arrived.iter().all(|(at_ns, packet)| *at_ns == packet.number * 100_000));
    assert_eq!(passed.numbers()[..7], [0, 1, 2, 3, 4, 10, 20]);
    // 5 at first, and one for each of the 999.9 ms that 10,000 packets take.
    assert_eq!(passed.statistics.delivered, 5 + 999);
    assert_eq!(passed.statistics.policed, 10_000 - 5 - 999);
}

#[test]
fn the_rate_follows_its_schedule() {
    // 100 bytes are 1 ms, from 100 ms on 0.5 ms, from 200 ms on 4 ms.
    let config = rated(800_000)
        .rate_change(RateChange::new(ms(100), 1_600_000))
        .rate_change(RateChange::new(ms(200), 200_000));
    let passed = pass(config, 1, 325, 0);
    let at = |place: usize| passed.arrived[place].0 as f64 / MILLISECOND as f64;
    assert_eq!(
        [at(0), at(99), at(100), at(299), at(300), at(324)],
        [1.0, 100.0, 100.5, 200.0, 204.0, 300.0]
    );
}

#[test]
fn an_outage_that_holds_delays_and_drops_what_the_queue_has_no_room_for() {
    let config = rated(800_000).queue_packets(10).outage(Outage::held(ms(20), ms(100)));
    let passed = pass(config, 1, 200, MILLISECOND);
    assert_eq!(passed.statistics.lost_in_outages, 0);
    // Ten find room, and so does each that comes when one has left.
    let expected: Vec<u64> = (0..30).chain(121..200).collect();
    assert_eq!(passed.numbers(), expected);
    assert_eq!(passed.statistics.overflowed, 200 - expected.len() as u64);
    assert_eq!(passed.arrived[19].0, 20 * MILLISECOND);
    assert_eq!(passed.arrived[20].0, 121 * MILLISECOND);
}

#[test]
fn an_outage_loses_what_would_be_on_the_wire_and_nothing_that_is() {
    let config = rated(800_000).delay(ms(50)).outage(Outage::lost(ms(20), ms(100)));
    let passed = pass(config, 1, 200, MILLISECOND);
    // The n-th is on the wire at n + 1 ms; those before 20 ms are under way and arrive.
    let expected: Vec<u64> = (0..19).chain(119..200).collect();
    assert_eq!(passed.numbers(), expected);
    assert_eq!(passed.statistics.lost_in_outages, 100);
    assert_eq!(passed.statistics.dropped(), 100);
}

#[test]
fn codel_brings_the_wait_of_an_overload_down_and_tail_drop_does_not() {
    // Packets come a tenth faster than the wire takes them.
    let run = |config: LinkConfig| {
        let mut link = link(config, 1);
        let (mut waits, mut asked_in_vain) = (Vec::new(), 0);
        for number in 0..60_000_u64 {
            let now_ns = number * 900_000;
            while let Some(at_ns) = link.next_delivery_ns().filter(|&at_ns| at_ns <= now_ns) {
                match link.deliver(at_ns) {
                    Some(packet) => waits.push(at_ns - packet.number * 900_000),
                    None => asked_in_vain += 1,
                }
            }
            link.offer(now_ns, Numbered { number, len: 1_000, flipped: Vec::new() });
        }
        let s = link.statistics();
        assert_eq!(s.offered, s.delivered + s.dropped() + link.in_flight() as u64);
        assert!(asked_in_vain <= s.managed, "asked in vain {asked_in_vain} times");
        let late = &waits[waits.len() / 2..];
        (late.iter().sum::<u64>() / late.len() as u64 / MILLISECOND, s)
    };
    let (tail_wait, tail) = run(rated(8_000_000));
    let (codel_wait, codel) = run(rated(8_000_000).codel(CoDel::new()));
    println!("tail drop: {tail_wait} ms, {tail:?}; CoDel: {codel_wait} ms, {codel:?}");
    assert!(tail_wait > 950, "a thousand packets of 1 ms");
    assert_eq!(tail.managed, 0);
    assert!(codel_wait < 50, "{codel_wait} ms");
    assert_eq!(codel.overflowed, 0);
    assert!(codel.delivered * 100 > tail.delivered * 99, "and the wire stays busy");
}
