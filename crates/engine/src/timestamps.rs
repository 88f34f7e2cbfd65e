//! RFC 7323's timestamps on one connection: what is echoed, and PAWS.
//!
//! Owns TS.Recent, Last.ACK.sent's part in it, and our clock: its offset and its tick, which is a
//! millisecond (section 5.4 allows up to a second) until the network is seen to reorder.
//!
//! PAWS takes a segment that the network holds back for an old duplicate when a retransmission that
//! fills the receiver's hole overtakes it: the retransmission has the later timestamp. At 100 Mbit/s
//! with one segment in twenty 5 ms late each retransmission costs two others, and these two
//! more: one lost segment ends in a window a sixth of what it was. With a tick that is as long as
//! the round trip both have mostly the same timestamp. The tick is never longer than the least round
//! trip, so that a retransmission still has another value than the original, as RFC 3522 needs.

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::Timestamps as TimestampsOption;

use crate::instant::Instant;

/// RFC 7323 section 5.5: TS.Recent says nothing after 24 days.
const RECENT_EXPIRES: Duration = Duration::from_secs(24 * 24 * 3600);

/// Linux's TCP_PAWS_WINDOW: how many ticks a segment may lie behind and still be taken. A peer whose
/// processors read its clock at the same time may send in the other order.
const OVERTAKEN: u32 = 1;

/// In milliseconds: a fraction of a second, which RFC 7323 section 5.4 allows at most.
const LONGEST_TICK: u16 = 512;

/// The timestamps of a connection that negotiated them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamps {
    clock: Clock,
    recent: u32,
    recent_at: Instant,
}

/// Our clock on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    offset: u32,
    /// A tick is so many milliseconds, less one: a power of two, less one.
    tick_mask: u16,
    /// What it showed when the ticks became longer, which is where one begins: it never goes back.
    longer_since: u32,
}

impl Clock {
    fn at(self, now: Instant) -> u32 {
        let past = clock(now, self.offset).wrapping_sub(self.longer_since);
        self.longer_since.wrapping_add(past & !u32::from(self.tick_mask))
    }
}

impl Timestamps {
    pub(crate) fn new(offset: u32, recent: u32, now: Instant) -> Timestamps {
        let clock = Clock { offset, tick_mask: 0, longer_since: 0 };
        Timestamps { clock, recent, recent_at: now }
    }

    /// The network reorders: from now on a tick is the greatest power of two of milliseconds that is
    /// not above the least round trip.
    // Implements: RFC7323 s5.4
    pub(crate) fn on_reordering(&mut self, now: Instant, min_rtt: Duration) {
        if self.clock.tick_mask > 0 {
            return;
        }
        let millis = u16::try_from(min_rtt.as_millis()).unwrap_or(u16::MAX).min(LONGEST_TICK);
        if millis < 2 {
            return;
        }
        self.clock = Clock {
            tick_mask: (1 << millis.ilog2()) - 1,
            longer_since: self.clock.at(now),
            ..self.clock
        };
    }

    /// What an outgoing segment carries.
    pub(crate) fn option(&self, now: Instant) -> TimestampsOption {
        TimestampsOption { value: self.clock.at(now), echo: self.recent }
    }

    /// PAWS, RFC 7323 section 5.3 R1: whether a segment with this TSval is an old duplicate.
    ///
    /// Deviates: a TS.Recent of zero judges nothing. As Linux: some hosts put zero into their SYN and
    /// their clock into what follows, half of whose values would count as old.
    // Implements: RFC7323 s5.3R1, RFC7323 s5.5
    pub(crate) fn is_old(&self, now: Instant, value: u32) -> bool {
        (value.wrapping_sub(self.recent) as i32) < 0
            && self.recent != 0
            && now - self.recent_at < RECENT_EXPIRES
    }

    /// The same for a segment of an open connection.
    ///
    /// Deviates: RFC 7323 lets none be older. As Linux, one tick is not old yet.
    pub(crate) fn is_out_of_date(&self, now: Instant, value: u32) -> bool {
        self.is_old(now, value.wrapping_add(OVERTAKEN))
    }

    /// RFC 7323 section 4.3: TS.Recent follows the segment that begins at or before the last
    /// acknowledgment sent, so that a delayed ACK echoes the earliest segment it acknowledges.
    // Implements: RFC7323 s4.3
    pub(crate) fn on_segment(
        &mut self,
        now: Instant,
        value: u32,
        seq: SeqNumber,
        last_ack_sent: SeqNumber,
    ) {
        if !self.is_old(now, value) && seq.at_or_before(last_ack_sent) {
            self.recent = value;
            self.recent_at = now;
        }
    }

    /// The time since the segment that this echo answers, if the echo can be one of ours and the
    /// clock tells milliseconds.
    pub(crate) fn sample(&self, now: Instant, echo: u32) -> Option<Duration> {
        if self.clock.tick_mask > 0 {
            return None;
        }
        let elapsed = self.clock.at(now).wrapping_sub(echo);
        // An echo from our future, or from further back than any segment lives, is not ours.
        (echo != 0 && elapsed < 1 << 22).then(|| Duration::from_millis(u64::from(elapsed).max(1)))
    }

    /// Whether a segment with this TSval left after the one that is echoed.
    pub(crate) fn is_newer(&self, value: u32) -> bool {
        (value.wrapping_sub(self.recent) as i32) > 0
    }

    /// What a segment echoes, if it does.
    pub(crate) fn echo(&self, value: u32) -> Option<Echo> {
        (value != 0).then_some(Echo { value, clock: self.clock })
    }

    pub(crate) fn recent(&self) -> u32 {
        self.recent
    }
}

/// A timestamp of ours that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    value: u32,
    clock: Clock,
}

impl Echo {
    /// Whether what it answers left before `instant`. Within one tick of the clock it is not known,
    /// and the answer is no.
    // Implements: RFC3522 s3.2
    pub(crate) fn is_before(&self, instant: Instant) -> bool {
        (self.value.wrapping_sub(self.clock.at(instant)) as i32) < 0
    }
}

/// Our clock: milliseconds, from an offset that differs by connection.
pub(crate) fn clock(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    // Shows: RFC7323 s4.3
    #[test]
    fn the_echo_is_of_the_earliest_unacknowledged_segment_and_ignores_what_lies_beyond_a_hole() {
        let mut timestamps = Timestamps::new(0, 1, at(0));
        let acked = SeqNumber(100);
        timestamps.on_segment(at(1), 10, SeqNumber(100), acked);
        assert_eq!(timestamps.recent(), 10);
        // The next in order, but the ACK for 100 is still delayed: A keeps its echo.
        timestamps.on_segment(at(2), 11, SeqNumber(200), acked);
        assert_eq!(timestamps.recent(), 10);
        // Beyond a hole.
        timestamps.on_segment(at(3), 12, SeqNumber(500), acked);
        assert_eq!(timestamps.recent(), 10);
        // The hole is filled.
        timestamps.on_segment(at(4), 13, SeqNumber(300), SeqNumber(300));
        assert_eq!(timestamps.recent(), 13);
    }

    // Shows: RFC7323 s5.3R1, RFC7323 s5.5, H-23
    #[test]
    fn older_values_are_old_until_24_days_have_passed() {
        let timestamps = Timestamps::new(0, 5, at(0));
        assert!(timestamps.is_old(at(1), 4));
        assert!(!timestamps.is_old(at(1), 5));
        assert!(timestamps.is_old(at(1), 5u32.wrapping_sub(1 << 30)));
        assert!(!timestamps.is_old(at(1), 6));
        assert!(!timestamps.is_out_of_date(at(1), 4));
        assert!(timestamps.is_out_of_date(at(1), 3));
        let days_25 = Instant::ZERO + Duration::from_secs(25 * 24 * 3600);
        assert!(!timestamps.is_old(days_25, 4));
    }

    // Shows: RFC7323 s5.3R1
    #[test]
    fn a_recent_value_of_zero_judges_nothing() {
        let mut timestamps = Timestamps::new(0, 0, at(0));
        let far = 3_000_000_000;
        assert!(!timestamps.is_old(at(1), far));
        timestamps.on_segment(at(1), far, SeqNumber(1), SeqNumber(1));
        assert_eq!(timestamps.recent(), far);
        assert!(timestamps.is_old(at(2), far - 1));
    }

    #[test]
    fn echoes_that_cannot_be_ours_give_no_sample() {
        let timestamps = Timestamps::new(1000, 0, at(0));
        assert_eq!(timestamps.sample(at(50), 1020), Some(Duration::from_millis(30)));
        assert_eq!(timestamps.sample(at(50), 1051), None);
        assert_eq!(timestamps.sample(at(50), 0), None);
    }

    // Shows: RFC7323 s5.4, RFC3522 s3.2
    #[test]
    fn a_network_that_reorders_gets_ticks_as_long_as_its_round_trip() {
        let mut timestamps = Timestamps::new(u32::MAX - 1050, 7, at(0));
        let fine = |millis: u64| (u32::MAX - 1050).wrapping_add(millis as u32);
        let value = |timestamps: &Timestamps, millis| timestamps.option(at(millis)).value;
        assert_eq!(value(&timestamps, 1003), fine(1003));
        timestamps.on_reordering(at(1003), Duration::from_millis(40));
        // Ticks of 32 ms from here on, past the wrap too.
        for (millis, begins) in [(1003, 1003), (1034, 1003), (1035, 1035), (1066, 1035)] {
            assert_eq!(value(&timestamps, millis), fine(begins), "{millis}");
        }
        // What left 31 ms later is not told from the original, what left a round trip later is.
        let echo = timestamps.echo(value(&timestamps, 1035)).unwrap();
        assert!(!echo.is_before(at(1066)) && echo.is_before(at(1075)));
        // What left with the short ticks is never told wrongly.
        assert!(!timestamps.echo(fine(1000)).unwrap().is_before(at(1000)));
        // Such a clock measures nothing.
        assert_eq!(timestamps.sample(at(1080), fine(1035)), None);
        // The first finding stands.
        timestamps.on_reordering(at(2000), Duration::from_millis(200));
        assert_eq!(value(&timestamps, 1066), fine(1035));
    }

    #[test]
    fn a_path_of_less_than_two_milliseconds_keeps_its_ticks_and_a_long_one_gets_half_a_second() {
        let mut timestamps = Timestamps::new(0, 7, at(0));
        timestamps.on_reordering(at(100), Duration::from_micros(1900));
        assert_eq!(timestamps.option(at(101)).value, 101);
        timestamps.on_reordering(at(100), Duration::from_secs(70_000));
        assert_eq!(timestamps.option(at(611)).value, 100);
        assert_eq!(timestamps.option(at(612)).value, 612);
    }
}
