//! What a controller believes of the path, as Linux shows it (TCP_CC_INFO).

use core::time::Duration;

/// A controller's model of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathModel {
    /// What it is doing, in the words of its specification.
    pub state: &'static str,
    /// How fast the path is taken to be, in bytes per second.
    pub bandwidth: u64,
    /// The round-trip time without a queue, once measured.
    pub min_rtt: Option<Duration>,
    /// How much faster than `bandwidth` it sends, in 256ths.
    pub pacing_gain: u64,
    /// How much of the product of both it lets into the network, in 256ths.
    pub window_gain: u64,
}

impl PathModel {
    /// A model; the gains are 1.
    pub fn new(state: &'static str, bandwidth: u64) -> PathModel {
        PathModel { state, bandwidth, min_rtt: None, pacing_gain: 256, window_gain: 256 }
    }
}

/// The bandwidth-delay product, in bytes.
pub(crate) fn product(bandwidth: u64, delay: Duration) -> u64 {
    let bytes = u128::from(bandwidth) * delay.as_nanos() / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Bytes over time, in bytes per second.
pub(crate) fn per_second(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}
