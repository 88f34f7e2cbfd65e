//! What can be wrong with a link's settings: that they make no sense, or that their text does not
//! read. Each is one line that names the setting.

use std::time::Duration;

/// A [`LinkConfig`](crate::LinkConfig) that makes no sense.
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
    /// A time of zero where one is needed.
    #[error("{setting} = 0 {consequence}")]
    Zero {
        /// The setting's name.
        setting: &'static str,
        /// What would follow from it, and what to give instead.
        consequence: &'static str,
    },
    /// A rate of zero.
    #[error("a rate of 0 bit/s delivers nothing: give None for no limit, or loss = 1")]
    NoRate,
    /// A queue of no packet.
    #[error("a queue of 0 packets drops everything: give at least 1")]
    NoQueue,
    /// Reordering without a gap.
    #[error(
        "reorder without reorder_gap changes no order: give a gap longer than the spacing of \
         packets, or a number of positions"
    )]
    NoGap,
    /// A correlation of 1.
    #[error("jitter.correlation = 1 gives all packets the same jitter: give less than 1")]
    FullCorrelation,
    /// Times of a schedule that do not come after one another.
    #[error("{setting}: what is at {at:?} does not come after what is before it")]
    OutOfOrder {
        /// The schedule's name.
        setting: &'static str,
        /// The time of the first that is not in order.
        at: Duration,
    },
    /// A schedule without end.
    #[error("{setting} has {len} entries: at most {most}")]
    TooMany {
        /// The schedule's name.
        setting: &'static str,
        /// How many there are.
        len: usize,
        /// The most there may be.
        most: usize,
    },
    /// A queue that acts on waiting packets where none ever waits.
    #[error("{setting} without a rate: nothing ever waits, so it does nothing; give a rate")]
    NothingWaits {
        /// The setting's name.
        setting: &'static str,
    },
    /// A medium that both ways share, with different settings each way.
    #[error("shared: both ways of one medium have the same rate, rates and held outages")]
    UnequalMedium,
    /// A shared medium and a queue that decides when a packet leaves it.
    #[error("shared: codel decides when a packet leaves its queue, which needs a wire of its own")]
    SharedCoDel,
}

/// A text that does not say what a link does.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A name that no setting has.
    #[error("unknown setting {setting}: expected one of {expected}")]
    Unknown {
        /// The name, with those of the tables around it.
        setting: String,
        /// The names that there are in its place.
        expected: String,
    },
    /// A setting that is needed beside others.
    #[error("{setting} is missing")]
    Missing {
        /// Its name.
        setting: String,
    },
    /// A setting that is given twice.
    #[error("{setting} is given twice")]
    Twice {
        /// Its name.
        setting: String,
    },
    /// A value that does not read.
    #[error("{setting} = {value}: expected {expected}")]
    Bad {
        /// The setting's name.
        setting: String,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A text that is not a list of `name=value`.
    #[error("at character {at}: {what}")]
    Syntax {
        /// Where, counted from 1.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Settings that read and make no sense.
    #[error(transparent)]
    Link(#[from] LinkError),
}
