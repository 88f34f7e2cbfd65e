//! The round-trip time and the retransmission time-out: RFC 6298, with Linux's floor and memory.
//!
//! Owns SRTT, RTTVAR, the least round trip and the back-off. Which samples are honest (Karn) is `recovery`'s judgment;
//! what happens at expiry is the connection's.

use core::time::Duration;

use crate::config::Config;
use crate::instant::Instant;

/// RFC 6298 section 2.1: before the first sample.
pub(crate) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// RFC 6298 section 5.7: when the SYN had to be sent again and there is no sample.
pub(crate) const RTO_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// G, the clock's granularity: the engine's clock is finer than a microsecond.
const GRANULARITY: Duration = Duration::from_micros(1);
/// The tick of Linux's clock, of which there are mostly 1000 a second.
const LINUX_TICK: Duration = Duration::from_millis(1);

/// The estimator of one connection.
#[derive(Clone, Debug)]
pub(crate) struct RttEstimator {
    smoothed: Option<Smoothed>,
    min: MinRtt,
    base_rto: Duration,
    backoff: u32,
    rto_min: Duration,
    rto_max: Duration,
}

/// Linux's form of RFC 6298's variables, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Smoothed {
    /// Eight times SRTT.
    srtt_8: u64,
    /// Four times the mean deviation: RTTVAR before the floor.
    mdev_4: u64,
    /// The greatest of them in the present round trip.
    mdev_max_4: u64,
    /// What the RTO lies above SRTT.
    rttvar_4: u64,
    /// The present round trip ends here, in bytes sent.
    round_end: u64,
}

/// A measured round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttSample {
    /// Of the first segment that the acknowledgment tells of.
    pub(crate) rtt: Duration,
    /// Of the last.
    pub(crate) last: Duration,
    /// The peer may have waited with its acknowledgment.
    pub(crate) maybe_delayed: bool,
    /// Bytes acknowledged, and sent, since the beginning.
    pub(crate) acked_to: u64,
    pub(crate) sent_to: u64,
}

impl RttSample {
    /// The first one of a connection.
    pub(crate) fn of_handshake(rtt: Duration) -> RttSample {
        RttSample { rtt, last: rtt, maybe_delayed: false, acked_to: 0, sent_to: 0 }
    }
}

impl RttEstimator {
    pub(crate) fn new(config: &Config) -> RttEstimator {
        RttEstimator {
            smoothed: None,
            min: MinRtt::new(config.tcp_min_rtt_wlen),
            base_rto: INITIAL_RTO,
            backoff: 0,
            rto_min: config.rto_min,
            rto_max: config.rto_max,
        }
    }

    /// Takes an honest sample, which also ends the back-off.
    // Implements: RFC6298 s2.2, RFC6298 s2.3, RFC6298 s4, RFC6298 s5.8
    pub(crate) fn on_sample(&mut self, now: Instant, sample: &RttSample) {
        if !sample.maybe_delayed || self.min.get().is_none_or(|min| sample.last <= min) {
            // As Linux: a clock that did not move tells of less than a tick, not of no time.
            let last = if sample.last.is_zero() { LINUX_TICK } else { sample.last };
            self.min.on_sample(now, last);
        }
        let floor = micros(self.rto_min.max(GRANULARITY));
        let smoothed = match self.smoothed {
            None => Smoothed::first(micros(sample.rtt), floor, sample.sent_to),
            Some(smoothed) => smoothed.next(sample, floor),
        };
        self.smoothed = Some(smoothed);
        self.backoff = 0;
        // Deviates: RFC 6298 section 2.4 rounds the RTO up to 1 s. Like Linux, the floor is on the
        // variance term, so that a jitter-free path keeps a margin of its own above SRTT.
        self.base_rto = Duration::from_micros((smoothed.srtt_8 >> 3) + smoothed.rttvar_4);
    }

    /// The SYN was sent again and gave no sample: data starts with 3 s.
    // Implements: RFC6298 s5.7
    pub(crate) fn on_handshake_without_sample(&mut self) {
        if self.smoothed.is_none() && self.base_rto < RTO_AFTER_SYN_LOSS {
            self.base_rto = RTO_AFTER_SYN_LOSS;
        }
    }

    /// A retransmission time-out: the next one takes twice as long.
    // Implements: RFC6298 s5.5
    pub(crate) fn on_timeout(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The time-outs were spurious.
    pub(crate) fn end_backoff(&mut self) {
        self.backoff = 0;
    }

    /// Doublings of the time-out.
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// The time-out now, back-off included.
    pub(crate) fn rto(&self) -> Duration {
        backed_off(self.base_rto, self.backoff, self.rto_max)
    }

    /// The time-out without back-off.
    pub(crate) fn base_rto(&self) -> Duration {
        self.base_rto.min(self.rto_max)
    }

    pub(crate) fn rto_max(&self) -> Duration {
        self.rto_max
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| Duration::from_micros(smoothed.srtt_8 >> 3))
    }

    pub(crate) fn rttvar(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| Duration::from_micros(smoothed.mdev_4 >> 2))
    }

    /// The least of the last minutes.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.min.get()
    }
}

impl Smoothed {
    fn first(rtt: u64, floor: u64, sent_to: u64) -> Smoothed {
        let mdev_4 = rtt * 2;
        let rttvar_4 = mdev_4.max(floor);
        Smoothed {
            srtt_8: (rtt * 8).max(1),
            mdev_4,
            mdev_max_4: rttvar_4,
            rttvar_4,
            round_end: sent_to,
        }
    }

    /// The deviation first: it wants the SRTT of before.
    ///
    /// Deviates: RFC 6298 takes each sample's deviation as it is. As Linux, one from a round trip
    /// that got shorter counts less, since it would make the RTO longer; the greatest deviation of a
    /// round trip counts at once, and what was needed before fades by a quarter a round trip: many
    /// samples in one round trip neither hide a late one nor forget it.
    fn next(self, sample: &RttSample, floor: u64) -> Smoothed {
        let mut next = self;
        let (rtt, srtt) = (micros(sample.rtt), self.srtt_8 >> 3);
        next.srtt_8 = (self.srtt_8 + rtt - srtt.min(self.srtt_8)).max(1);
        let (error, kept) = (srtt.abs_diff(rtt), self.mdev_4 >> 2);
        let rise =
            if rtt < srtt { error.saturating_sub(kept) >> 3 } else { error.saturating_sub(kept) };
        next.mdev_4 = self.mdev_4 + rise - kept.saturating_sub(error);
        if next.mdev_4 > next.mdev_max_4 {
            next.mdev_max_4 = next.mdev_4;
            next.rttvar_4 = next.rttvar_4.max(next.mdev_max_4);
        }
        if sample.acked_to > self.round_end {
            next.rttvar_4 -= next.rttvar_4.saturating_sub(next.mdev_max_4) >> 2;
            next.round_end = sample.sent_to;
            next.mdev_max_4 = floor;
        }
        next
    }
}

/// The least of the samples in a sliding window of time, by three of them: the least, the least since
/// that one, and the least since the second.
#[derive(Clone, Copy, Debug)]
struct MinRtt {
    window: Duration,
    best: Option<[(Instant, Duration); 3]>,
}

impl MinRtt {
    fn new(window: Duration) -> MinRtt {
        MinRtt { window, best: None }
    }

    fn get(&self) -> Option<Duration> {
        self.best.map(|best| best[0].1)
    }

    // Implements: RFC8985 s6.2-1
    fn on_sample(&mut self, now: Instant, rtt: Duration) {
        let new = (now, rtt);
        let best = match self.best {
            Some(best) if rtt > best[0].1 && now.saturating_since(best[2].0) <= self.window => best,
            _ => {
                self.best = Some([new; 3]);
                return;
            }
        };
        let [mut first, mut second, mut third] = best;
        if rtt <= second.1 {
            (second, third) = (new, new);
        } else if rtt <= third.1 {
            third = new;
        }
        let age = now.saturating_since(first.0);
        if age > self.window {
            (first, second, third) = (second, third, new);
            if now.saturating_since(first.0) > self.window {
                (first, second) = (second, third);
            }
        } else if second.0 == first.0 && age > self.window / 4 {
            // A quarter of the window passed without a second: the newest is the best that there is.
            (second, third) = (new, new);
        } else if third.0 == second.0 && age > self.window / 2 {
            third = new;
        }
        self.best = Some([first, second, third]);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(1 << 40)
}

/// `base` doubled `times` times, at most `max`.
pub(crate) fn backed_off(base: Duration, times: u32, max: Duration) -> Duration {
    let factor = 1u32.checked_shl(times).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn take(rtt: &mut RttEstimator, sample: Duration) {
        rtt.on_sample(Instant::ZERO, &RttSample::of_handshake(sample));
    }

    // Shows: RFC6298 s2.1, RFC6298 s2.2, RFC6298 s2.3
    #[test]
    fn a_sequence_of_samples_gives_the_rfcs_numbers() {
        let mut rtt = RttEstimator::new(&Config::default());
        assert_eq!(rtt.rto(), ms(1000));
        let us = Duration::from_micros;
        for (sample, srtt, rttvar, rto) in [
            (ms(100), us(100_000), us(50_000), us(300_000)),
            (ms(100), us(100_000), us(37_500), us(300_000)), // 4*37.5 is below the floor of 200
            (ms(300), us(125_000), us(78_125), us(437_500)),
            (ms(125), us(125_000), us(58_593), us(437_500)), // in the round trip of the 300
        ] {
            take(&mut rtt, sample);
            assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(srtt), Some(rttvar), rto));
        }
    }

    // Shows: RFC6298 s5.5, RFC6298 s2.5, RFC6298 s5.8
    #[test]
    fn time_outs_double_up_to_the_cap_and_a_sample_ends_that() {
        let mut rtt = RttEstimator::new(&Config::default());
        take(&mut rtt, ms(100));
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(rtt.rto().as_millis());
            rtt.on_timeout();
        }
        assert_eq!(
            seen,
            [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 120_000, 120_000]
        );
        for _ in 0..100 {
            rtt.on_timeout();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(120));
        take(&mut rtt, ms(100));
        assert_eq!(rtt.rto(), ms(300));
    }

    // Shows: RFC6298 s4
    #[test]
    fn without_any_variance_the_granularity_of_the_clock_is_the_margin() {
        let mut rtt = RttEstimator::new(&Config::default().rto_min(Duration::from_nanos(1)));
        for round in 0..200 {
            let sample =
                RttSample { acked_to: round, sent_to: round, ..RttSample::of_handshake(ms(100)) };
            rtt.on_sample(Instant::ZERO, &sample);
        }
        assert!(rtt.rttvar().is_some_and(|rttvar| rttvar * 4 < Duration::from_micros(4)));
        let margin = rtt.rto() - ms(100);
        assert!(margin >= GRANULARITY && margin < Duration::from_micros(10), "{margin:?}");
    }

    // Shows: RFC6298 s5.7
    #[test]
    fn a_lost_syn_without_a_sample_makes_data_start_with_three_seconds() {
        let mut rtt = RttEstimator::new(&Config::default());
        rtt.on_handshake_without_sample();
        assert_eq!(rtt.rto(), Duration::from_secs(3));
        take(&mut rtt, ms(10));
        rtt.on_handshake_without_sample();
        assert_eq!(rtt.rto(), ms(210));
    }

    #[test]
    fn a_late_sample_fades_by_a_quarter_a_round_trip() {
        let mut rtt = RttEstimator::new(&Config::default());
        take(&mut rtt, ms(100));
        take(&mut rtt, ms(500));
        let mut above = Vec::new();
        for round in 1..=8u64 {
            let (acked_to, sent_to) = (round * 1000, round * 1000);
            let rtt_now = rtt.srtt().unwrap_or_default();
            let sample = RttSample { acked_to, sent_to, ..RttSample::of_handshake(rtt_now) };
            rtt.on_sample(Instant::ZERO, &sample);
            above.push((rtt.rto() - rtt_now).as_millis());
        }
        assert_eq!(above, [550, 489, 425, 369, 326, 295, 271, 253]);
    }

    // Shows: RFC8985 s6.2-1
    #[test]
    fn the_least_round_trip_is_of_the_last_five_minutes() {
        let mut rtt = RttEstimator::new(&Config::default());
        let mut at = |seconds: u64, millis: u64, maybe_delayed: bool| {
            let sample = RttSample { maybe_delayed, ..RttSample::of_handshake(ms(millis)) };
            rtt.on_sample(Instant::ZERO + Duration::from_secs(seconds), &sample);
            rtt.min()
        };
        assert_eq!(at(0, 10, false), Some(ms(10)));
        assert_eq!(at(1, 50, false), Some(ms(10)));
        for seconds in 2..=300 {
            assert_eq!(at(seconds, 40, false), Some(ms(10)));
        }
        assert_eq!(at(301, 60, true), Some(ms(10)), "a delayed one says nothing");
        assert_eq!(at(301, 60, false), Some(ms(40)));
        assert_eq!(at(302, 5, false), Some(ms(5)));
    }
}
