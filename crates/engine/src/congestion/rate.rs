//! How fast the window is meant to be sent, and how much of it leaves as one burst.
//!
//! The rate is Linux's: a window a round trip, with room to grow. A burst is what a device with
//! segmentation offload takes as one packet: about a millisecond of that rate, more on short paths.
//! Without offload it still shows on the wire, since the last segment of a burst carries PSH: a
//! receiver that gathers segments then knows that no more follows.

use core::time::Duration;

/// The room in a packet of 64 KiB beside its headers, in bytes.
const LARGEST_BURST: u64 = 65_215;
/// Beyond this many halvings nothing is left of the allowance for short paths.
const MAX_HALVINGS: u32 = 31;

/// What leaves at once at a rate, in bytes: what takes about a millisecond.
pub(crate) fn send_quantum(rate: u64) -> u64 {
    (rate >> 10).min(LARGEST_BURST)
}

/// Bytes a second, once a round trip was measured.
pub(crate) fn pacing_rate(
    ratios: Ratios,
    window: u64,
    threshold: u64,
    srtt: Option<Duration>,
) -> Option<u64> {
    let micros = u64::try_from(srtt?.as_micros()).unwrap_or(u64::MAX).max(1);
    let Ratios { slow_start, avoidance } = ratios;
    let percent = if window < threshold / 2 { slow_start } else { avoidance };
    Some(window.saturating_mul(u64::from(percent)).saturating_mul(10_000) / micros)
}

/// How much of a window leaves in a round trip, in percent: Linux's `tcp_pacing_ss_ratio` and
/// `tcp_pacing_ca_ratio`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratios {
    pub(crate) slow_start: u32,
    pub(crate) avoidance: u32,
}

/// How many segments leave as one burst, at most; `least` of them at any rate.
pub(crate) fn burst_segments(
    least: u32,
    rate: Option<u64>,
    min_rtt: Option<Duration>,
    window: u64,
    segment: u32,
) -> u32 {
    let segment = u64::from(segment).max(1);
    let bytes = match rate {
        None => LARGEST_BURST,
        Some(rate) => {
            // A half for each half of a millisecond: a neighbour has less use for an even flow.
            let halvings = min_rtt.map_or(MAX_HALVINGS, |rtt| {
                u32::try_from(rtt.as_micros() >> 9).unwrap_or(MAX_HALVINGS).min(MAX_HALVINGS)
            });
            (rate >> 10).saturating_add(LARGEST_BURST >> halvings).min(LARGEST_BURST)
        }
    };
    // Never all of the window at once: its acknowledgments are to keep it moving.
    let half = (window / segment / 2).max(1);
    let segments = (bytes / segment).max(u64::from(least)).min(half);
    u32::try_from(segments).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const RATIOS: Ratios = Ratios { slow_start: 200, avoidance: 120 };

    fn burst(window: u64, rtt: Duration) -> u32 {
        let rate = pacing_rate(RATIOS, window, u64::MAX, Some(rtt));
        burst_segments(2, rate, Some(rtt), window, MSS)
    }

    #[test]
    fn the_rate_is_two_windows_a_round_trip_at_first_and_a_little_more_than_one_later() {
        let rtt = Some(Duration::from_millis(100));
        assert_eq!(pacing_rate(RATIOS, 10_000, u64::MAX, rtt), Some(200_000));
        assert_eq!(pacing_rate(RATIOS, 10_000, 20_000, rtt), Some(120_000));
        assert_eq!(pacing_rate(RATIOS, 10_000, u64::MAX, None), None);
    }

    #[test]
    fn a_burst_is_a_millisecond_of_the_rate_and_at_most_half_of_the_window() {
        assert_eq!(burst(10_000, Duration::from_millis(100)), 2);
        assert_eq!(burst(1_000_000, Duration::from_millis(100)), 19);
        assert_eq!(burst(1_000_000, Duration::from_millis(10)), 65);
        assert_eq!(burst(10_000, Duration::from_micros(100)), 5);
        assert_eq!(burst(1000, Duration::from_micros(100)), 1);
        assert_eq!(burst_segments(2, None, None, 10_000, MSS), 5);
    }
}
