//! How large the receive buffer should be: dynamic right-sizing.
//!
//! Once a round trip, compares what the application took with what it took in the round before, and
//! asks for a buffer of twice that, so that a sender that doubles its rate is never held back by us.
//! (M. Fisk, W. Feng, "Dynamic Right-Sizing in TCP", 2001; Linux's `tcp_rcv_space_adjust`.)

use core::time::Duration;

use crate::instant::Instant;

/// The measurement of one connection.
#[derive(Debug)]
pub(crate) struct AutoTune {
    round_began: Instant,
    taken: u64,
    best: u64,
    rtt: Option<Duration>,
    last_echo: Option<u32>,
    /// When, and at which offset, the measured window began, where there are no timestamps.
    window: Option<(Instant, u64)>,
}

impl AutoTune {
    pub(crate) fn new(now: Instant, initial: u64) -> AutoTune {
        AutoTune {
            round_began: now,
            taken: 0,
            best: initial,
            rtt: None,
            last_echo: None,
            window: None,
        }
    }

    /// A round-trip time as the receiver sees it: from a timestamp echoed with data. Only the first
    /// segment with an echo says something. A shorter time is taken at its word; of a longer one,
    /// which also has what the sender waited for, an eighth, and nothing while a reader that lags
    /// behind (`drained` is false) may be what it waited for.
    pub(crate) fn on_echo(&mut self, echo: u32, sample: Duration, drained: bool) {
        if self.last_echo.replace(echo) == Some(echo) {
            return;
        }
        match self.rtt {
            Some(rtt) if sample >= rtt => {
                if drained {
                    self.rtt = Some(rtt * 7 / 8 + sample / 8);
                }
            }
            _ => self.rtt = Some(sample),
        }
    }

    /// The round-trip time as the receiver sees it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// What the application takes in a round trip, in bytes.
    pub(crate) fn best(&self) -> u64 {
        self.best
    }

    /// Without timestamps: the time in which one offered window arrives is at least a round trip.
    pub(crate) fn on_arrival(&mut self, now: Instant, next: u64, window: u32) {
        match self.window {
            Some((began, until)) if next >= until => {
                let sample = now - began;
                self.rtt = Some(self.rtt.map_or(sample, |rtt| rtt.min(sample)));
                self.window = Some((now, next + u64::from(window)));
            }
            Some(_) => {}
            None => self.window = Some((now, next + u64::from(window))),
        }
    }

    /// The application took bytes: the buffer size to grow to, if it should grow. `span` is from the
    /// first missing byte to the last that waits behind it.
    pub(crate) fn on_read(
        &mut self,
        now: Instant,
        bytes: usize,
        span: u64,
        mss: u32,
    ) -> Option<usize> {
        self.taken = self.taken.saturating_add(bytes as u64);
        let rtt = self.rtt?;
        if now - self.round_began < rtt.max(Duration::from_micros(1)) {
            return None;
        }
        let taken = std::mem::take(&mut self.taken);
        self.round_began = now;
        if taken <= self.best {
            return None;
        }
        let before = std::mem::replace(&mut self.best, taken);
        let growth = taken.saturating_mul(2).saturating_mul(taken - before) / before.max(1);
        Some(self.wanted(growth, span, mss))
    }

    /// The buffer size to grow to when data arrived beyond a hole: what waits there takes room, and
    /// the sender goes on.
    pub(crate) fn on_out_of_order(&self, span: u64, mss: u32) -> usize {
        self.wanted(0, span, mss)
    }

    /// No more than this can be taken in a round trip.
    pub(crate) fn limit(&mut self, most: u32) {
        self.best = self.best.min(u64::from(most));
    }

    /// Twice what is taken in a round trip, since it was measured a round trip ago.
    fn wanted(&self, growth: u64, span: u64, mss: u32) -> usize {
        let twice = self.best.saturating_mul(2).saturating_add(16 * u64::from(mss));
        usize::try_from(twice.saturating_add(growth).saturating_add(span)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_of_hours_overflows_nothing() {
        let mut tune = AutoTune::new(Instant::ZERO, 1);
        tune.on_echo(1, Duration::from_secs(3600), true);
        assert_eq!(tune.on_read(Instant::from_millis(1), usize::MAX, 0, 1000), None);
        let hours = Instant::ZERO + Duration::from_secs(7200);
        assert_eq!(tune.on_read(hours, usize::MAX, 0, 1000), Some(usize::MAX));
    }

    #[test]
    fn a_shorter_round_trip_counts_at_once_and_a_longer_one_by_an_eighth() {
        let ms = Duration::from_millis;
        let mut tune = AutoTune::new(Instant::ZERO, 1);
        for (echo, sample, drained, rtt) in [
            (1, 100, true, 100),
            (2, 180, true, 110),
            (2, 900, true, 110), // the same echo
            (3, 900, false, 110),
            (4, 20, false, 20),
        ] {
            tune.on_echo(echo, ms(sample), drained);
            assert_eq!(tune.rtt(), Some(ms(rtt)), "echo {echo}");
        }
    }

    #[test]
    fn without_timestamps_the_arrival_of_a_whole_window_is_a_round_trip() {
        let at = Instant::from_millis;
        let mut tune = AutoTune::new(at(0), 1);
        for (millis, next, rtt) in
            [(0, 1000, None), (30, 10_999, None), (50, 11_000, Some(50)), (70, 21_000, Some(20))]
        {
            tune.on_arrival(at(millis), next, 10_000);
            assert_eq!(tune.rtt(), rtt.map(Duration::from_millis), "{millis}");
        }
        // A longer one is the sender's pause.
        tune.on_arrival(at(900), 31_000, 10_000);
        assert_eq!(tune.rtt(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_reader_that_takes_more_each_round_trip_gets_room_for_twice_as_much() {
        let at = Instant::from_millis;
        let mut tune = AutoTune::new(at(0), 10_000);
        tune.on_echo(1, Duration::from_millis(100), true);
        assert_eq!(tune.on_read(at(50), 8000, 0, 1000), None, "within the round");
        assert_eq!(tune.on_read(at(100), 1000, 0, 1000), None, "no more than before");
        assert_eq!(tune.on_read(at(150), 15_000, 0, 1000), None);
        assert_eq!(tune.on_read(at(200), 5_000, 0, 1000), Some(2 * 20_000 + 16_000 + 40_000));
        assert_eq!(tune.on_read(at(300), 20_000, 0, 1000), None);
        assert_eq!(tune.on_out_of_order(50_000, 1000), 2 * 20_000 + 16_000 + 50_000);
    }
}
