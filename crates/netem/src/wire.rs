//! The wire behind a queue: when a packet that is given to it now will be on it.
//!
//! Its rate is a schedule: what the settings say from when on, and nothing at all during an outage
//! that holds packets. Packets are sent one after another; the moment at which the wire falls idle
//! is kept exactly, so that rounding does not add up over a busy period.

use crate::config::{LinkConfig, OutageFate};
use crate::delay::nanos;

const BITS_PER_BYTE: u128 = 8;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A wire of finite or infinite rate.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// In order of time; the first begins at 0.
    speeds: Vec<SpeedFrom>,
    idle_at: Moment,
}

#[derive(Clone, Copy, Debug)]
struct SpeedFrom {
    from_ns: u64,
    speed: Speed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    Infinite,
    BitsPerSecond(u64),
    Still,
}

/// A moment and the speed that is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    at_ns: u64,
    /// The part of a nanosecond behind that, in units of 1/rate.
    fraction: u64,
    /// The place in the schedule.
    place: usize,
}

/// When a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// The first bit leaves.
    pub(crate) begins_ns: u64,
    /// The last bit is on the wire.
    pub(crate) ends_ns: u64,
}

impl Wire {
    pub(crate) fn new(config: &LinkConfig) -> Self {
        Self { speeds: schedule(config), idle_at: Moment { at_ns: 0, fraction: 0, place: 0 } }
    }

    /// Sends a packet that is there at `now_ns`, behind all that were given before.
    pub(crate) fn send(&mut self, now_ns: u64, len_bytes: usize) -> Sending {
        let (sending, idle_at) = self.look_ahead(now_ns, len_bytes);
        self.idle_at = idle_at;
        sending
    }

    /// When [`send`](Self::send) would send a packet.
    pub(crate) fn would_send(&self, now_ns: u64, len_bytes: usize) -> Sending {
        self.look_ahead(now_ns, len_bytes).0
    }

    fn look_ahead(&self, now_ns: u64, len_bytes: usize) -> (Sending, Moment) {
        let mut at = self.ready(now_ns);
        let begins_ns = at.rounded_up_ns();
        // Nanoseconds times rate: below 2^64 * 8 * 10^9, so it fits with room to spare.
        let mut work = len_bytes as u128 * BITS_PER_BYTE * NANOS_PER_SECOND;
        loop {
            let next_ns = self.next_change_ns(at.place);
            match self.speed(at.place) {
                Speed::Infinite => break,
                Speed::Still => {}
                Speed::BitsPerSecond(rate) => {
                    let rate = u128::from(rate);
                    let total = work.saturating_add(u128::from(at.fraction));
                    let until_change =
                        next_ns.map(|next_ns| u128::from(next_ns.saturating_sub(at.at_ns)) * rate);
                    if until_change.is_none_or(|room| total < room) {
                        let whole = u64::try_from(total / rate).unwrap_or(u64::MAX);
                        at.at_ns = at.at_ns.saturating_add(whole);
                        at.fraction = (total % rate) as u64;
                        break;
                    }
                    work = total - until_change.unwrap_or(total);
                }
            }
            let Some(next_ns) = next_ns else { break };
            at = Moment { at_ns: next_ns, fraction: 0, place: at.place + 1 };
            if work == 0 {
                break;
            }
        }
        (Sending { begins_ns, ends_ns: at.rounded_up_ns() }, at)
    }

    /// When the wire can take the first bit of a packet that is there at `now_ns`.
    fn ready(&self, now_ns: u64) -> Moment {
        let mut at = self.idle_at;
        if at.at_ns < now_ns {
            at = Moment { at_ns: now_ns, fraction: 0, place: at.place };
        }
        while let Some(next_ns) = self.next_change_ns(at.place) {
            if next_ns > at.at_ns && self.speed(at.place) != Speed::Still {
                break;
            }
            at.place += 1;
            if next_ns > at.at_ns {
                at = Moment { at_ns: next_ns, fraction: 0, place: at.place };
            }
        }
        at
    }

    fn speed(&self, place: usize) -> Speed {
        self.speeds.get(place).map_or(Speed::Infinite, |speed| speed.speed)
    }

    fn next_change_ns(&self, place: usize) -> Option<u64> {
        self.speeds.get(place + 1).map(|speed| speed.from_ns)
    }
}

impl Moment {
    /// What is done between two nanoseconds is done at the later one.
    fn rounded_up_ns(self) -> u64 {
        self.at_ns.saturating_add(u64::from(self.fraction > 0))
    }
}

fn schedule(config: &LinkConfig) -> Vec<SpeedFrom> {
    let held: Vec<(u64, u64)> = config
        .outages
        .iter()
        .filter(|outage| outage.fate == OutageFate::Held)
        .map(|outage| (nanos(outage.at), nanos(outage.at.saturating_add(outage.lasts))))
        .collect();
    let mut times: Vec<u64> = config.rates.iter().map(|change| nanos(change.at)).collect();
    times.extend(held.iter().flat_map(|&(from, to)| [from, to]));
    times.push(0);
    times.sort_unstable();
    times.dedup();
    // Both are in order of time, and outages do not overlap.
    let speed_at = |at_ns: u64| {
        let begun = held.partition_point(|&(from, _)| from <= at_ns);
        if begun.checked_sub(1).and_then(|at| held.get(at)).is_some_and(|&(_, to)| at_ns < to) {
            return Speed::Still;
        }
        let changes = config.rates.partition_point(|change| nanos(change.at) <= at_ns);
        let changed = changes.checked_sub(1).and_then(|at| config.rates.get(at));
        let rate = changed.map(|change| change.bits_per_second).or(config.rate_bits_per_second);
        rate.map_or(Speed::Infinite, Speed::BitsPerSecond)
    };
    times.into_iter().map(|from_ns| SpeedFrom { from_ns, speed: speed_at(from_ns) }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Outage, RateChange};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn wire(config: LinkConfig) -> Wire {
        config.validate().expect("a link");
        Wire::new(&config)
    }

    fn rated(rate: u64) -> LinkConfig {
        LinkConfig::new().rate_bits_per_second(Some(rate))
    }

    #[test]
    fn packets_leave_back_to_back_at_the_rate() {
        let mut wire = wire(rated(100_000_000));
        // 1500 bytes at 100 Mbit/s are 120 microseconds.
        let sending = |begins_ns, ends_ns| Sending { begins_ns, ends_ns };
        assert_eq!(wire.send(1_000, 1500), sending(1_000, 121_000));
        assert_eq!(wire.send(1_000, 1500), sending(121_000, 241_000));
        assert_eq!(wire.would_send(50_000, 750), sending(241_000, 301_000));
        assert_eq!(wire.send(50_000, 750), sending(241_000, 301_000));
        // The wire has been idle since: the next one starts when it comes.
        assert_eq!(wire.send(400_000, 1500), sending(400_000, 520_000));
    }

    #[test]
    fn rounding_does_not_add_up_over_a_busy_period() {
        // One byte at 3 bit/s takes 2 2/3 seconds, which no count of nanoseconds is.
        let mut wire = wire(rated(3));
        for n in 1..=3_000_u64 {
            let exact = u128::from(n) * 8 * NANOS_PER_SECOND;
            let rounded_up = exact.div_ceil(3) as u64;
            assert_eq!(wire.send(0, 1).ends_ns, rounded_up, "byte {n}");
        }
        assert_eq!(wire.send(0, 0).ends_ns, 8_000 * NANOS_PER_SECOND as u64);
    }

    #[test]
    fn a_change_of_the_rate_also_changes_what_is_half_sent() {
        // 1,000 bytes at 8 Mbit/s are 1 ms; at 10 ms the rate halves, at 20 ms it is ten times.
        let config = rated(8_000_000)
            .rate_change(RateChange::new(ms(10), 4_000_000))
            .rate_change(RateChange::new(ms(20), 80_000_000));
        let mut wire = wire(config);
        assert_eq!(wire.send(0, 1_000).ends_ns, 1_000_000);
        assert_eq!(wire.send(9_500_000, 1_000).ends_ns, 11_000_000, "half at each rate");
        assert_eq!(wire.send(9_500_000, 1_000).ends_ns, 13_000_000);
        // 3.5 ms of the next 5,000 bytes go by at 4 Mbit/s and are 3,500 bytes of 7 ms ...
        assert_eq!(wire.send(13_000_000, 5_000).ends_ns, 20_150_000, "... and the rest is fast");
        assert_eq!(wire.send(0, 1_000).ends_ns, 20_250_000);
    }

    #[test]
    fn an_exact_end_at_a_change_belongs_to_the_rate_before() {
        let config = rated(8_000_000).rate_change(RateChange::new(ms(1), 8));
        let mut wire = wire(config);
        assert_eq!(wire.send(0, 1_000).ends_ns, 1_000_000);
        assert_eq!(wire.send(0, 1).ends_ns, 1_001_000_000);
    }

    #[test]
    fn a_part_of_a_nanosecond_does_not_pass_into_another_rate() {
        // Two bytes at 3 bit/s: the first ends between two nanoseconds, of the second one bit is
        // left at 5 s, which at 8 bit/s is an eighth of a second and nothing more.
        let mut wire = wire(rated(3).rate_change(RateChange::new(ms(5_000), 8)));
        assert_eq!(wire.send(0, 1).ends_ns, 2_666_666_667);
        assert_eq!(wire.send(0, 1).ends_ns, 5_125_000_000);
    }

    #[test]
    fn a_long_packet_passes_over_a_whole_schedule() {
        // 1 byte a millisecond, 2 in the next, and so on: 1 + 2 + ... + 99 in 99 ms.
        let mut config = rated(8_000);
        for n in 1..100 {
            config = config.rate_change(RateChange::new(ms(n), (n + 1) * 8_000));
        }
        assert_eq!(wire(config).send(0, 4_950).ends_ns, 99_000_000);
    }

    #[test]
    fn an_outage_that_holds_stops_the_wire_where_it_is() {
        let config = rated(8_000_000).outage(Outage::held(ms(10), ms(5)));
        let mut wire = wire(config);
        assert_eq!(wire.send(9_250_000, 1_000).ends_ns, 15_250_000, "a quarter was left");
        assert_eq!(
            wire.send(11_000_000, 1_000),
            Sending { begins_ns: 15_250_000, ends_ns: 16_250_000 }
        );
        let mut wire = self::wire(LinkConfig::new().outage(Outage::held(ms(10), ms(5))));
        assert_eq!(wire.send(9_999_999, 1_000).ends_ns, 9_999_999);
        assert_eq!(wire.send(10_000_000, 1_000).ends_ns, 15_000_000);
        assert_eq!(wire.send(12_000_000, 1_000).ends_ns, 15_000_000, "an infinite rate after it");
        assert_eq!(wire.send(16_000_000, 1_000).ends_ns, 16_000_000);
    }

    #[test]
    fn a_rate_that_changes_during_an_outage_holds_after_it() {
        let config = rated(8_000_000)
            .rate_change(RateChange::new(ms(12), 80_000_000))
            .outage(Outage::held(ms(10), ms(5)));
        assert_eq!(wire(config).send(11_000_000, 1_000).ends_ns, 15_100_000);
    }

    #[test]
    fn the_end_of_time_is_reached_without_overflow() {
        let mut wire = wire(rated(1));
        assert_eq!(wire.send(u64::MAX - 1, usize::MAX).ends_ns, u64::MAX);
        assert_eq!(wire.send(u64::MAX - 1, usize::MAX).ends_ns, u64::MAX);
    }
}
