//! The round-trip time and the retransmission time-out: RFC 6298, with Linux's floor.
//!
//! Owns SRTT, RTTVAR and the back-off. Which samples are honest (Karn) is `recovery`'s judgment;
//! what happens at expiry is the connection's.

use core::time::Duration;

use crate::config::Config;

/// RFC 6298 section 2.1: before the first sample.
pub(crate) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// RFC 6298 section 5.7: when the SYN had to be sent again and there is no sample.
pub(crate) const RTO_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// G, the clock's granularity: the engine's clock is finer than a microsecond.
const GRANULARITY: Duration = Duration::from_micros(1);

/// The estimator of one connection.
#[derive(Clone, Debug)]
pub(crate) struct RttEstimator {
    smoothed: Option<Smoothed>,
    min: Option<Duration>,
    base_rto: Duration,
    backoff: u32,
    rto_min: Duration,
    rto_max: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    srtt: Duration,
    rttvar: Duration,
}

impl RttEstimator {
    pub(crate) fn new(config: &Config) -> RttEstimator {
        RttEstimator {
            smoothed: None,
            min: None,
            base_rto: INITIAL_RTO,
            backoff: 0,
            rto_min: config.rto_min,
            rto_max: config.rto_max,
        }
    }

    /// Takes an honest sample, which also ends the back-off.
    // Implements: RFC6298 s2.2, RFC6298 s2.3, RFC6298 s4, RFC6298 s5.8
    pub(crate) fn on_sample(&mut self, sample: Duration) {
        let smoothed = match self.smoothed {
            None => Smoothed { srtt: sample, rttvar: sample / 2 },
            // RTTVAR first: it wants the SRTT of before.
            Some(Smoothed { srtt, rttvar }) => Smoothed {
                rttvar: rttvar * 3 / 4 + srtt.abs_diff(sample) / 4,
                srtt: srtt * 7 / 8 + sample / 8,
            },
        };
        self.smoothed = Some(smoothed);
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        self.backoff = 0;
        // Deviates: RFC 6298 section 2.4 rounds the RTO up to 1 s. Like Linux, the floor is on the
        // variance term, so that a jitter-free path keeps a margin of its own above SRTT.
        let variance = (smoothed.rttvar * 4).max(GRANULARITY).max(self.rto_min);
        self.base_rto = smoothed.srtt + variance;
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
        self.smoothed.map(|smoothed| smoothed.srtt)
    }

    pub(crate) fn rttvar(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| smoothed.rttvar)
    }

    pub(crate) fn min(&self) -> Option<Duration> {
        self.min
    }
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
            (ms(125), us(125_000), Duration::from_nanos(58_593_750), us(359_375)),
        ] {
            rtt.on_sample(sample);
            assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(srtt), Some(rttvar), rto));
        }
    }

    // Shows: RFC6298 s5.5, RFC6298 s2.5, RFC6298 s5.8
    #[test]
    fn time_outs_double_up_to_the_cap_and_a_sample_ends_that() {
        let mut rtt = RttEstimator::new(&Config::default());
        rtt.on_sample(ms(100));
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
        rtt.on_sample(ms(100));
        assert_eq!(rtt.rto(), ms(300));
    }

    // Shows: RFC6298 s4
    #[test]
    fn without_any_variance_the_granularity_of_the_clock_is_the_margin() {
        let mut rtt = RttEstimator::new(&Config::default().rto_min(Duration::from_nanos(1)));
        for _ in 0..200 {
            rtt.on_sample(ms(100));
        }
        assert!(rtt.rttvar().is_some_and(|rttvar| rttvar * 4 < GRANULARITY));
        assert_eq!(rtt.rto(), ms(100) + GRANULARITY);
    }

    // Shows: RFC6298 s5.7
    #[test]
    fn a_lost_syn_without_a_sample_makes_data_start_with_three_seconds() {
        let mut rtt = RttEstimator::new(&Config::default());
        rtt.on_handshake_without_sample();
        assert_eq!(rtt.rto(), Duration::from_secs(3));
        rtt.on_sample(ms(10));
        rtt.on_handshake_without_sample();
        assert_eq!(rtt.rto(), ms(210));
    }
}
