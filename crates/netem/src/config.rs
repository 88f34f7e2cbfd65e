//! What a link does to its packets, and which settings make no sense.

use std::time::Duration;

/// What a [`Link`](crate::Link) does. The default is a perfect wire: no delay, no limit, no harm.
///
/// Probabilities lie between 0 and 1 and are decided for each packet on its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    pub(crate) delay: Duration,
    pub(crate) rate_bits_per_second: Option<u64>,
    pub(crate) queue_packets: usize,
    pub(crate) loss: f64,
    pub(crate) reorder: f64,
    pub(crate) reorder_gap: Duration,
    pub(crate) duplicate: f64,
    pub(crate) corrupt: f64,
}

/// The default length of the queue before a rate limit, in packets; what Linux gives an interface
/// and its network emulator.
const DEFAULT_QUEUE_PACKETS: usize = 1_000;

/// The longest delay: far beyond any path, and short enough that sums of times cannot overflow.
const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

impl LinkConfig {
    /// A perfect wire.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            delay: Duration::ZERO,
            rate_bits_per_second: None,
            queue_packets: DEFAULT_QUEUE_PACKETS,
            loss: 0.0,
            reorder: 0.0,
            reorder_gap: Duration::ZERO,
            duplicate: 0.0,
            corrupt: 0.0,
        }
    }

    /// How long the last bit of a packet travels. At most a day.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How fast bits are put on the wire; `None` is infinitely fast. Counts the packet's own bytes
    /// only, no framing.
    #[must_use]
    pub const fn rate_bits_per_second(mut self, rate: Option<u64>) -> Self {
        self.rate_bits_per_second = rate;
        self
    }

    /// How many packets may be waiting or being put on the wire when another one comes; that one
    /// is dropped (tail drop). Without a rate nothing ever waits. At least 1.
    #[must_use]
    pub const fn queue_packets(mut self, packets: usize) -> Self {
        self.queue_packets = packets;
        self
    }

    /// The probability that a packet is lost, before it takes part in anything else.
    #[must_use]
    pub const fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }

    /// The probability that a packet is held back for [`reorder_gap`](Self::reorder_gap) more than
    /// the delay, so that those sent less than the gap behind it overtake it.
    #[must_use]
    pub const fn reorder(mut self, probability: f64) -> Self {
        self.reorder = probability;
        self
    }

    /// How much longer a held-back packet travels. At most a day.
    #[must_use]
    pub const fn reorder_gap(mut self, gap: Duration) -> Self {
        self.reorder_gap = gap;
        self
    }

    /// The probability that a second copy of a packet follows the first. The copy takes room in
    /// the queue and time on the wire, and may be corrupted or reordered on its own.
    #[must_use]
    pub const fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }

    /// The probability that one random bit of a packet is turned over.
    #[must_use]
    pub const fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt = probability;
        self
    }

    /// Checks the settings together. [`Link::new`](crate::Link::new) does it as well.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), LinkError> {
        for (setting, value) in [
            ("loss", self.loss),
            ("reorder", self.reorder),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(LinkError::NotAProbability { setting, value });
            }
        }
        for (setting, value) in [("delay", self.delay), ("reorder_gap", self.reorder_gap)] {
            if value > LONGEST_DELAY {
                return Err(LinkError::TooLong { setting, value, longest: LONGEST_DELAY });
            }
        }
        if self.rate_bits_per_second == Some(0) {
            return Err(LinkError::NoRate);
        }
        if self.queue_packets == 0 {
            return Err(LinkError::NoQueue);
        }
        if self.reorder > 0.0 && self.reorder_gap.is_zero() {
            return Err(LinkError::NoGap);
        }
        Ok(())
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`LinkConfig`] that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A probability outside 0..=1, or not a number.
    #[error("{setting} = {value} is not a probability: give a number between 0 and 1")]
    NotAProbability {
        /// The setting's name.
        setting: &'static str,
        /// What it was set to.
        value: f64,
    },
    /// A time beyond what a link accepts.
    #[error("{setting} = {value:?} is too long: at most {longest:?}")]
    TooLong {
        /// The setting's name.
        setting: &'static str,
        /// What it was set to.
        value: Duration,
        /// The most it may be.
        longest: Duration,
    },
    /// A rate of zero.
    #[error("a rate of 0 bit/s delivers nothing: give None for no limit, or loss = 1")]
    NoRate,
    /// A queue of zero packets.
    #[error("a queue of 0 packets drops everything: give at least 1")]
    NoQueue,
    /// Reordering without a gap.
    #[error(
        "reorder without reorder_gap changes no order: give a gap longer than the spacing of packets"
    )]
    NoGap,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_by_name() {
        let day = Duration::from_secs(86_400);
        let bad: [(&str, LinkConfig, &str); 9] = [
            ("above one", LinkConfig::new().loss(1.5), "loss"),
            ("negative", LinkConfig::new().duplicate(-0.1), "duplicate"),
            ("not a number", LinkConfig::new().corrupt(f64::NAN), "corrupt"),
            ("infinite", LinkConfig::new().reorder(f64::INFINITY), "reorder"),
            ("longer than a day", LinkConfig::new().delay(day + Duration::from_nanos(1)), "delay"),
            ("longest", LinkConfig::new().reorder_gap(Duration::MAX), "reorder_gap"),
            ("no rate", LinkConfig::new().rate_bits_per_second(Some(0)), "rate"),
            ("no queue", LinkConfig::new().queue_packets(0), "queue"),
            ("no gap", LinkConfig::new().reorder(0.5), "reorder_gap"),
        ];
        for (what, config, named) in bad {
            let error = config.validate().expect_err(what).to_string();
            assert!(error.contains(named), "{what}: {error}");
        }
    }

    #[test]
    fn the_ends_of_each_range_are_accepted() {
        let day = Duration::from_secs(86_400);
        let config = LinkConfig::new()
            .loss(1.0)
            .duplicate(1.0)
            .corrupt(1.0)
            .reorder(1.0)
            .reorder_gap(day)
            .delay(day)
            .rate_bits_per_second(Some(u64::MAX))
            .queue_packets(usize::MAX);
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(LinkConfig::default().validate(), Ok(()));
    }
}
