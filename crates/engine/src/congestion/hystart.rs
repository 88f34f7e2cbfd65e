//! Leaving the first slow start before the queue overflows, by the delay that it makes: HyStart++
//! (RFC 9406), HyStart as Linux's CUBIC has it, and HyStart++ with the signs of both.
//!
//! RFC 9406 alone cannot spare a queue of one bandwidth-delay product: its signal is the least round
//! trip of a round, which is that of its first segments. It rises once the window has filled the
//! path, and by then the window of the next round is twice the path and grows for five rounds more.
//! A train of ACKs that is as long as half of the round trip tells so a round earlier; and a delay
//! that is far above the least needs no five rounds to be believed.
//!
//! Owns the rounds and their round-trip times; the window is the controller's. Rounds are counted in
//! stream offsets: one ends when what was sent at its start is acknowledged.

use core::time::Duration;

use super::AckSample;
use crate::instant::Instant;

/// RFC 9406 section 4.3.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u64 = 4;
const CSS_ROUNDS: u32 = 5;

/// Linux's HyStart does not look at smaller windows, in segments.
const LOW_WINDOW: u64 = 16;
/// A delay that has grown by so many thresholds is no jitter.
const CERTAIN: u32 = 2;
/// Acknowledgments that follow each other so closely belong to one train.
const TRAIN_SPACING: Duration = Duration::from_millis(2);
/// What one packet of segmentation offload can hold, in bytes.
const LARGEST_OFFLOAD: u64 = 65_536;

/// How slow start is left without a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HyStart {
    /// Only by a loss.
    Off,
    /// HyStart++ of RFC 9406: slower growth while the delay has grown, and back if it falls.
    PlusPlus,
    /// HyStart++ that grows slower also when a train of ACKs is long, and that leaves slow start at
    /// once when a train is as long as the round trip or a whole round was late by twice the threshold.
    #[default]
    Guarded,
    /// Linux's HyStart: congestion avoidance at once, when trains of ACKs are as long as half of the
    /// least round trip (`train`), or when the delay has grown (`delay`).
    Linux {
        /// Looks at trains of ACKs.
        train: bool,
        /// Looks at the delay.
        delay: bool,
    },
}

/// What slow start is to do with an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Grow by so many bytes.
    Grow(u64),
    /// Slow start is over.
    Leave,
}

/// The detection of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    choice: HyStart,
    /// Of the ACKs that follow each other closely (in Linux's form of a round's), the first.
    train_start: Instant,
    /// The round ends when this is acknowledged.
    round_end: u64,
    round_min: Option<Duration>,
    last_round_min: Option<Duration>,
    samples: u32,
    /// Conservative slow start: the least round trip when it began, and its rounds.
    conservative: Option<(Duration, u32)>,
    /// The least round trip of all (Linux's form).
    delay_min: Option<Duration>,
    last_ack: Instant,
    found: bool,
}

impl Detector {
    pub(crate) fn new(choice: HyStart) -> Detector {
        Detector {
            choice,
            train_start: Instant::ZERO,
            round_end: 0,
            round_min: None,
            last_round_min: None,
            samples: 0,
            conservative: None,
            delay_min: None,
            last_ack: Instant::ZERO,
            found: false,
        }
    }

    /// The least round trip of all.
    pub(crate) fn delay_min(&self) -> Option<Duration> {
        self.delay_min
    }

    /// Takes a round-trip time, in whatever phase.
    pub(crate) fn on_rtt(&mut self, rtt: Duration) {
        let rtt = rtt.max(Duration::from_micros(1));
        self.delay_min = Some(self.delay_min.map_or(rtt, |min| min.min(rtt)));
    }

    /// After a time-out: everything begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Detector::new(self.choice);
    }

    /// An acknowledgment in slow start, with a window of `segments`; `initial` is whether there was
    /// no congestion yet.
    pub(crate) fn on_slow_start(
        &mut self,
        sample: &AckSample,
        segments: u64,
        initial: bool,
    ) -> Advice {
        match self.choice {
            HyStart::Off => Advice::Grow(sample.delivered_bytes),
            // Implements: RFC9406 s4.2h
            HyStart::PlusPlus if initial => self.plus_plus(sample),
            HyStart::Guarded if initial => match self.plus_plus(sample) {
                Advice::Grow(_) => self.guard(sample, segments),
                Advice::Leave => Advice::Leave,
            },
            HyStart::PlusPlus | HyStart::Guarded => Advice::Grow(sample.delivered_bytes),
            HyStart::Linux { train, delay } => {
                self.linux(sample, segments, train, delay);
                if std::mem::take(&mut self.found) {
                    Advice::Leave
                } else {
                    Advice::Grow(sample.delivered_bytes)
                }
            }
        }
    }

    // Implements: RFC9406 s4.2a, RFC9406 s4.2c, RFC9406 s4.2d, RFC9406 s4.2e, RFC9406 s4.2f, RFC9406 s4.3
    fn plus_plus(&mut self, sample: &AckSample) -> Advice {
        if sample.acked_to >= self.round_end {
            self.round_end = sample.sent_to;
            self.last_round_min = self.round_min.take();
            self.samples = 0;
            if let Some((_, rounds)) = &mut self.conservative {
                *rounds += 1;
                if *rounds >= CSS_ROUNDS {
                    self.conservative = None;
                    return Advice::Leave;
                }
            }
        }
        if let Some(rtt) = sample.rtt {
            self.round_min = Some(self.round_min.map_or(rtt, |min| min.min(rtt)));
            self.samples += 1;
        }
        if self.samples >= N_RTT_SAMPLE
            && let Some(current) = self.round_min
        {
            match self.conservative {
                None => {
                    if let Some(last) = self.last_round_min
                        && current >= last + threshold(last)
                    {
                        self.conservative = Some((current, 0));
                    }
                }
                Some((baseline, _)) if current < baseline => self.conservative = None,
                Some(_) => {}
            }
        }
        self.growth(sample)
    }

    fn growth(&self, sample: &AckSample) -> Advice {
        let divisor = if self.conservative.is_some() { CSS_GROWTH_DIVISOR } else { 1 };
        Advice::Grow(sample.delivered_bytes / divisor)
    }

    /// What HyStart++ has not seen.
    fn guard(&mut self, sample: &AckSample, segments: u64) -> Advice {
        let Some(delay_min) = self.delay_min else { return self.growth(sample) };
        // On a slow path delayed ACKs are farther apart.
        let spacing = TRAIN_SPACING.max(delay_min / 12);
        if sample.now.saturating_since(self.last_ack) > spacing {
            self.train_start = sample.now;
        }
        self.last_ack = sample.now;
        let train = sample.now.saturating_since(self.train_start);
        let round_trip = delay_min + offload_delay(sample, segments);
        let long = segments >= LOW_WINDOW && train > long_train(sample, round_trip);
        match self.conservative {
            None if long => self.conservative = Some((delay_min, 0)),
            // What is paced comes back evenly, however little it is.
            Some(_) if (!sample.paced && train > round_trip) || self.is_certain(delay_min) => {
                self.conservative = None;
                return Advice::Leave;
            }
            _ => {}
        }
        self.growth(sample)
    }

    /// A whole round has been so late that there is no doubt. The first samples of a round do not
    /// tell: they can be those of the end of a burst.
    fn is_certain(&self, delay_min: Duration) -> bool {
        let limit = delay_min + CERTAIN * threshold(delay_min);
        self.last_round_min.is_some_and(|least| least >= limit)
    }

    fn linux(&mut self, sample: &AckSample, segments: u64, train: bool, delay: bool) {
        let (Some(rtt), Some(delay_min)) = (sample.rtt, self.delay_min) else { return };
        if sample.acked_to > self.round_end {
            self.train_start = sample.now;
            self.last_ack = sample.now;
            self.round_end = sample.sent_to;
            self.round_min = None;
            self.samples = 0;
        }
        if segments < LOW_WINDOW {
            return;
        }
        if train && sample.now.saturating_since(self.last_ack) <= TRAIN_SPACING {
            self.last_ack = sample.now;
            let round_trip = delay_min + offload_delay(sample, segments);
            let train = sample.now.saturating_since(self.train_start);
            self.found |= train > long_train(sample, round_trip);
        }
        if delay {
            let least = self.round_min.map_or(rtt, |min| min.min(rtt));
            self.round_min = Some(least);
            if self.samples < N_RTT_SAMPLE {
                self.samples += 1;
            } else {
                self.found |= least > delay_min + threshold(delay_min);
            }
        }
    }
}

/// How long a train of ACKs is when the path is about to be full: half of the least round trip, and
/// the whole of it where pacing spreads the segments over up to half of it.
fn long_train(sample: &AckSample, round_trip: Duration) -> Duration {
    if sample.paced { round_trip } else { round_trip / 2 }
}

/// How much longer round trips take when a queue has begun to build.
fn threshold(least: Duration) -> Duration {
    (least / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH)
}

/// What packets of segmentation offload take on a short path, at most a millisecond.
fn offload_delay(sample: &AckSample, segments: u64) -> Duration {
    let Some(srtt) = sample.srtt else { return Duration::ZERO };
    // Four such packets at the rate of slow start: two windows a round trip.
    let window = (segments * u64::from(sample.mss) * 2).max(1);
    let nanos = srtt.as_nanos() * u128::from(4 * LARGEST_OFFLOAD) / u128::from(window);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::samples::sample;

    /// Rounds of ten ACKs of one segment each; all of round `n` sees `rtts[n]`. What the last of a
    /// round was told, or that one was told to leave.
    fn rounds(detector: &mut Detector, rtts: &[u64]) -> Vec<Advice> {
        let mut last = Vec::new();
        for (round, ms) in rtts.iter().enumerate() {
            let mut left = false;
            for index in 1..=10 {
                let acked_to = (10 * round as u64 + index) * 1000;
                let rtt = Duration::from_millis(*ms);
                detector.on_rtt(rtt);
                let advice = detector.on_slow_start(
                    &AckSample {
                        now: Instant::from_millis(1000 * round as u64 + index),
                        delivered_bytes: 1000,
                        acked_to,
                        sent_to: (10 * round as u64 + 10) * 1000 + 1000,
                        rtt: Some(rtt),
                        ..sample()
                    },
                    20,
                    true,
                );
                left |= advice == Advice::Leave;
                if index == 10 {
                    last.push(if left { Advice::Leave } else { advice });
                }
            }
        }
        last
    }

    // Shows: RFC9406 s4.2c, RFC9406 s4.2d, RFC9406 s4.3
    #[test]
    fn a_delay_an_eighth_above_the_last_round_slows_growth_to_a_quarter() {
        let mut detector = Detector::new(HyStart::PlusPlus);
        let advice = rounds(&mut detector, &[40, 44, 48]);
        assert_eq!(advice, [Advice::Grow(1000); 3], "4 ms are less than an eighth of 40");
        let mut detector = Detector::new(HyStart::PlusPlus);
        let advice = rounds(&mut detector, &[40, 46]);
        assert_eq!(advice, [Advice::Grow(1000), Advice::Grow(250)]);
    }

    // Shows: RFC9406 s4.3
    #[test]
    fn the_threshold_lies_between_four_and_sixteen_milliseconds() {
        for (rtt, expected) in [(8, 4), (40, 5), (100, 12), (128, 16), (600, 16)] {
            assert_eq!(threshold(Duration::from_millis(rtt)).as_millis(), expected);
        }
    }

    // Shows: RFC9406 s4.2e
    #[test]
    fn a_delay_that_falls_again_resumes_slow_start() {
        let mut detector = Detector::new(HyStart::PlusPlus);
        let advice = rounds(&mut detector, &[40, 50, 42, 43]);
        assert_eq!(
            advice,
            [Advice::Grow(1000), Advice::Grow(250), Advice::Grow(1000), Advice::Grow(1000)]
        );
    }

    // Shows: RFC9406 s4.2f, RFC9406 s4.2a
    #[test]
    fn five_rounds_of_conservative_slow_start_end_it() {
        let mut detector = Detector::new(HyStart::PlusPlus);
        let mut left = None;
        for round in 0..20u64 {
            for index in 1..=10 {
                let rtt = Duration::from_millis(if round == 0 { 40 } else { 60 });
                let advice = detector.on_slow_start(
                    &AckSample {
                        delivered_bytes: 1000,
                        acked_to: (10 * round + index) * 1000,
                        sent_to: (10 * round + 10 + index) * 1000,
                        rtt: Some(rtt),
                        ..sample()
                    },
                    20,
                    true,
                );
                if advice == Advice::Leave {
                    left.get_or_insert(round);
                }
            }
        }
        // The delay shows in round 1, which counts although it is not whole.
        assert_eq!(left, Some(6));
    }

    // Shows: RFC9406 s4.2h
    #[test]
    fn after_a_congestion_slow_start_is_the_usual_one() {
        let mut detector = Detector::new(HyStart::PlusPlus);
        rounds(&mut detector, &[40, 60]);
        let again = AckSample { delivered_bytes: 1000, ..sample() };
        assert_eq!(detector.on_slow_start(&again, 20, false), Advice::Grow(1000));
    }

    #[test]
    fn linuxs_form_leaves_at_the_ninth_sample_of_a_late_round_or_by_a_long_train() {
        let mut detector = Detector::new(HyStart::Linux { train: false, delay: true });
        let advice = rounds(&mut detector, &[40, 46]);
        assert_eq!(advice, [Advice::Grow(1000), Advice::Leave]);

        let mut detector = Detector::new(HyStart::Linux { train: true, delay: false });
        // Ten ACKs a millisecond apart are longer than half of a round trip of 10 ms.
        let advice = rounds(&mut detector, &[10, 10]);
        assert_eq!(advice[1], Advice::Leave);
    }

    #[test]
    fn a_long_train_slows_growth_and_a_delay_beyond_doubt_ends_slow_start() {
        let mut detector = Detector::new(HyStart::Guarded);
        // Ten ACKs a millisecond apart: half of 16 ms have passed at the tenth.
        let advice = rounds(&mut detector, &[16, 16, 16]);
        assert_eq!(advice[0], Advice::Grow(250));
        assert_eq!(advice[2], Advice::Grow(250));

        let mut detector = Detector::new(HyStart::Guarded);
        let advice = rounds(&mut detector, &[40, 49]);
        assert_eq!(advice, [Advice::Grow(1000), Advice::Grow(250)]);
        let mut detector = Detector::new(HyStart::Guarded);
        let advice = rounds(&mut detector, &[40, 50, 50]);
        assert_eq!(advice, [Advice::Grow(1000), Advice::Grow(250), Advice::Leave]);
    }
}
