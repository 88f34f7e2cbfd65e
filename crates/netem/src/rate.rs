//! The bottleneck: a queue of bounded length before a wire of finite rate.
//!
//! Packets leave in the order in which they came, so the moment at which a packet's last bit is on
//! the wire is known when it arrives. The stage keeps those moments and no packets.

use std::collections::VecDeque;

use crate::config::LinkConfig;

const BITS_PER_BYTE: u128 = 8;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What happens to a packet that reaches the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Its last bit is on the wire at this time.
    Departs { at_ns: u64 },
    /// The queue is full.
    Overflow,
}

/// A tail-drop queue and the wire behind it.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    rate_bits_per_second: Option<u64>,
    queue_packets: usize,
    /// When each packet that waits or is being put on the wire will be on it, in order.
    departures_ns: VecDeque<u64>,
    /// When the wire falls idle...
    idle_at_ns: u64,
    /// ...and the part of a nanosecond behind that, in units of 1/rate, so that rounding does not
    /// add up over a busy period.
    idle_at_fraction: u64,
}

impl Bottleneck {
    pub(crate) fn new(config: &LinkConfig) -> Self {
        Self {
            rate_bits_per_second: config.rate_bits_per_second,
            queue_packets: config.get_queue_packets().unwrap_or(usize::MAX),
            departures_ns: VecDeque::new(),
            idle_at_ns: 0,
            idle_at_fraction: 0,
        }
    }

    pub(crate) fn admit(&mut self, now_ns: u64, len_bytes: usize) -> Admission {
        let Some(rate) = self.rate_bits_per_second else {
            return Admission::Departs { at_ns: now_ns };
        };
        while self.departures_ns.front().is_some_and(|&at_ns| at_ns <= now_ns) {
            self.departures_ns.pop_front();
        }
        if self.departures_ns.len() >= self.queue_packets {
            return Admission::Overflow;
        }
        if self.idle_at_ns < now_ns {
            self.idle_at_ns = now_ns;
            self.idle_at_fraction = 0;
        }
        // Nanoseconds times rate: below 2^64 * 8 * 10^9, so it fits with room to spare.
        let work = len_bytes as u128 * BITS_PER_BYTE * NANOS_PER_SECOND
            + u128::from(self.idle_at_fraction);
        let whole = u64::try_from(work / u128::from(rate)).unwrap_or(u64::MAX);
        self.idle_at_ns = self.idle_at_ns.saturating_add(whole);
        self.idle_at_fraction = (work % u128::from(rate)) as u64;
        // A packet that is done between two nanoseconds is there at the later one.
        let at_ns = self.idle_at_ns.saturating_add(u64::from(self.idle_at_fraction > 0));
        self.departures_ns.push_back(at_ns);
        Admission::Departs { at_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bottleneck(rate: u64, queue: usize) -> Bottleneck {
        Bottleneck::new(&LinkConfig::new().rate_bits_per_second(Some(rate)).queue_packets(queue))
    }

    fn departs(at_ns: u64) -> Admission {
        Admission::Departs { at_ns }
    }

    #[test]
    fn packets_leave_back_to_back_at_the_rate() {
        let mut wire = bottleneck(100_000_000, 10);
        // 1500 bytes at 100 Mbit/s are 120 microseconds.
        assert_eq!(wire.admit(1_000, 1500), departs(121_000));
        assert_eq!(wire.admit(1_000, 1500), departs(241_000));
        assert_eq!(wire.admit(50_000, 750), departs(301_000));
        // The wire has been idle since: the next one starts when it comes.
        assert_eq!(wire.admit(400_000, 1500), departs(520_000));
    }

    #[test]
    fn rounding_does_not_add_up_over_a_busy_period() {
        // One byte at 3 bit/s takes 2 2/3 seconds, which no count of nanoseconds is.
        let mut wire = bottleneck(3, usize::MAX);
        for n in 1..=3_000_u64 {
            let exact = u128::from(n) * 8 * NANOS_PER_SECOND;
            let rounded_up = exact.div_ceil(3) as u64;
            assert_eq!(wire.admit(0, 1), departs(rounded_up), "byte {n}");
        }
        assert_eq!(wire.admit(0, 0), departs(8_000 * NANOS_PER_SECOND as u64));
    }

    #[test]
    fn a_queue_drops_the_packet_that_finds_it_full_and_takes_the_next_when_one_has_left() {
        let mut wire = bottleneck(8_000_000_000, 2); // a byte a nanosecond
        assert_eq!(wire.admit(0, 100), departs(100));
        assert_eq!(wire.admit(0, 100), departs(200));
        assert_eq!(wire.admit(0, 100), Admission::Overflow);
        assert_eq!(wire.admit(99, 100), Admission::Overflow);
        assert_eq!(wire.admit(100, 100), departs(300));
        assert_eq!(wire.admit(100, 100), Admission::Overflow);
    }

    #[test]
    fn without_a_rate_packets_leave_as_they_come() {
        let mut wire = Bottleneck::new(&LinkConfig::new().queue_packets(1));
        for now_ns in [5, 5, 5, u64::MAX] {
            assert_eq!(wire.admit(now_ns, 1500), departs(now_ns));
        }
    }

    #[test]
    fn the_end_of_time_is_reached_without_overflow() {
        let mut wire = bottleneck(1, 10);
        assert_eq!(wire.admit(u64::MAX - 1, usize::MAX), departs(u64::MAX));
        assert_eq!(wire.admit(u64::MAX - 1, usize::MAX), departs(u64::MAX));
    }
}
