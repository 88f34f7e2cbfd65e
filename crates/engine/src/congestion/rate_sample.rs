//! Delivery-rate samples: how fast the network delivered, between two acknowledgments.
//!
//! After draft-ietf-ccwg-bbr section 4.1 (the delivery-rate estimator that was
//! draft-cheng-iccrg-delivery-rate-estimation), and as Linux counts. Each range that leaves carries a
//! [`Departure`], the state of the count when it left; its acknowledgment closes the sample. The
//! sample is the lesser of the rate at which the range's flight was sent and that at which it was
//! acknowledged, so that neither ACK compression nor a burst makes the path look faster than it is.

use core::time::Duration;

use crate::instant::Instant;

/// How many of the ranges that one acknowledgment shows to be lost are told one by one.
const MOST_LOSSES: usize = 64;

/// The state of the count when a range left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    delivered: u64,
    delivered_at: Instant,
    /// When the flight began that this range belongs to.
    first_sent_at: Instant,
    lost: u64,
    /// Bytes in flight, this range among them.
    in_flight: u64,
    app_limited: bool,
}

/// The count of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeliveryRate {
    delivered: u64,
    delivered_at: Instant,
    /// When the range left whose acknowledgment closed the last sample: its flight begins the next.
    first_sent_at: Instant,
    lost: u64,
    /// What was in flight when the application had no more: samples up to this count are limited
    /// by it.
    app_limited_until: u64,
    /// The latest sent of the ranges that the acknowledgment at hand delivers.
    newest: Option<Newest>,
    /// The ranges taken for lost that were not told yet.
    losses: Vec<LostRange>,
    /// Where the last of them ends.
    lost_end: Option<u64>,
    shown: Option<Shown>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    departure: Departure,
    sent_at: Instant,
    resent: bool,
}

/// What `TcpInfo` shows.
#[derive(Clone, Copy, Debug)]
struct Shown {
    bytes_per_second: u64,
    app_limited: bool,
}

/// What one acknowledgment told of the rate of delivery.
///
/// Sizes are bytes of payload; a time of an invalid sample is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSample {
    pub(crate) prior_delivered: u64,
    pub(crate) delivered: u64,
    pub(crate) interval: Option<Duration>,
    pub(crate) tx_in_flight: u64,
    pub(crate) lost: u64,
    pub(crate) app_limited: bool,
    pub(crate) resent: bool,
    pub(crate) any: bool,
    pub(crate) rtt: Option<Duration>,
    pub(crate) sender_limited: bool,
}

/// A range that was taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostRange {
    pub(crate) bytes: u64,
    pub(crate) tx_in_flight: u64,
    pub(crate) lost: u64,
    pub(crate) app_limited: bool,
    pub(crate) adjoins: bool,
    pub(crate) delivered_total: u64,
}

impl LostRange {
    /// Its size, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }
    /// Bytes in flight when it left, itself among them.
    pub fn tx_in_flight_bytes(&self) -> u64 {
        self.tx_in_flight
    }
    /// Bytes taken for lost since it left, itself among them.
    pub fn lost_bytes(&self) -> u64 {
        self.lost
    }
    /// Whether the application, not the path, set the rate when it left.
    pub fn is_app_limited(&self) -> bool {
        self.app_limited
    }
    /// Whether it begins where the range lost before it ends, so that both are one hole.
    pub fn adjoins(&self) -> bool {
        self.adjoins
    }
    /// Bytes delivered since the beginning.
    pub fn delivered_total_bytes(&self) -> u64 {
        self.delivered_total
    }
}

impl RateSample {
    /// Bytes delivered in all when the range left that closes this sample: a round trip is over when
    /// it reaches what was delivered at the round's start.
    pub fn prior_delivered_bytes(&self) -> u64 {
        self.prior_delivered
    }
    /// Bytes delivered over the [`interval`](RateSample::interval).
    pub fn delivered_bytes(&self) -> u64 {
        self.delivered
    }
    /// How long that took; `None` if the sample says nothing (nothing was delivered, or less than
    /// the least round-trip time passed).
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }
    /// Bytes in flight when the range left that closes this sample, itself among them.
    pub fn tx_in_flight_bytes(&self) -> u64 {
        self.tx_in_flight
    }
    /// Bytes taken for lost since that range left.
    pub fn lost_bytes(&self) -> u64 {
        self.lost
    }
    /// Whether the application, not the path, set the rate.
    pub fn is_app_limited(&self) -> bool {
        self.app_limited
    }
    /// Whether the flight was acknowledged at least as fast as it had been sent, so that the sample
    /// is the sender's rate, and the path may well deliver more.
    pub fn is_sender_limited(&self) -> bool {
        self.sender_limited
    }
    /// Whether the range had been sent more than once.
    pub fn is_resent(&self) -> bool {
        self.resent
    }
    /// Whether the acknowledgment delivered anything at all.
    pub fn has_delivery(&self) -> bool {
        self.any
    }
    /// The round-trip time of that range, unless it had been sent more than once: of all that the
    /// acknowledgment delivered, the shortest.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
    /// Bytes per second, if the sample is valid.
    pub fn bytes_per_second(&self) -> Option<u64> {
        let nanos = self.interval?.as_nanos().max(1);
        u64::try_from(u128::from(self.delivered) * 1_000_000_000 / nanos).ok()
    }
}

impl DeliveryRate {
    /// Bytes delivered since the beginning.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What was delivered when the newest left of what the acknowledgment at hand delivers.
    pub(crate) fn newest_prior_delivered(&self) -> Option<u64> {
        self.newest.map(|newest| newest.departure.delivered)
    }

    /// Bytes taken for lost since the beginning.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// A range leaves, for the first time or again; `in_flight` counts it already.
    // Implements: BBR3 rs2
    pub(crate) fn on_sent(&mut self, now: Instant, was_idle: bool, in_flight: u64) -> Departure {
        if was_idle {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Departure {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost,
            in_flight,
            app_limited: self.app_limited_until > 0,
        }
    }

    /// `bytes` of a range arrived, as an ACK or SACK tells for the first time.
    pub(crate) fn on_delivered(
        &mut self,
        bytes: u64,
        departure: &Departure,
        sent_at: Instant,
        resent: bool,
    ) {
        self.delivered += bytes;
        // Of several the latest sent counts; ranges are told in order, so that of equals the last.
        if self.newest.is_none_or(|newest| sent_at >= newest.sent_at) {
            self.newest = Some(Newest { departure: *departure, sent_at, resent });
        }
    }

    /// `bytes` arrived of which it is not known where they lie: a duplicate, or what a duplicate
    /// acknowledgment stands for.
    pub(crate) fn on_guessed(&mut self, bytes: u64) {
        self.delivered += bytes;
    }

    /// `bytes` of what was guessed are acknowledged now, and were counted twice.
    pub(crate) fn take_back(&mut self, bytes: u64) {
        self.delivered = self.delivered.saturating_sub(bytes);
    }

    /// `[start, end)`, in offsets of the stream, is newly taken for lost.
    pub(crate) fn on_lost(&mut self, start: u64, end: u64, departure: &Departure) {
        let bytes = end - start;
        self.lost += bytes;
        if self.losses.len() < MOST_LOSSES {
            self.losses.push(LostRange {
                bytes,
                tx_in_flight: departure.in_flight,
                lost: self.lost - departure.lost,
                app_limited: departure.app_limited,
                adjoins: self.lost_end == Some(start),
                delivered_total: self.delivered,
            });
        }
        self.lost_end = Some(end);
    }

    /// The ranges taken for lost since the last call; the first 64, if there are more.
    pub(crate) fn take_losses(&mut self) -> Vec<LostRange> {
        core::mem::take(&mut self.losses)
    }

    /// The application has nothing more to send, and the window would take it.
    pub(crate) fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = (self.delivered + in_flight).max(1);
    }

    /// Whether the samples at present are limited by the application.
    pub(crate) fn is_app_limited(&self) -> bool {
        self.app_limited_until > 0
    }

    /// The acknowledgment at hand is counted: its sample.
    // Implements: BBR3 rs1, BBR3 rs3
    pub(crate) fn finish(&mut self, now: Instant, min_rtt: Option<Duration>) -> RateSample {
        if self.app_limited_until > 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let Some(Newest { departure, sent_at, resent }) = self.newest.take() else {
            return RateSample::default();
        };
        self.delivered_at = now;
        self.first_sent_at = sent_at;
        let sending = sent_at.saturating_since(departure.first_sent_at);
        let acknowledging = now.saturating_since(departure.delivered_at);
        let interval = sending.max(acknowledging);
        // Less than a round trip cannot have carried it: the range was resent or the clock is coarse.
        let is_valid = min_rtt.is_none_or(|min_rtt| interval >= min_rtt) && !interval.is_zero();
        let sample = RateSample {
            prior_delivered: departure.delivered,
            delivered: self.delivered.saturating_sub(departure.delivered),
            interval: is_valid.then_some(interval),
            tx_in_flight: departure.in_flight,
            lost: self.lost - departure.lost,
            app_limited: departure.app_limited,
            resent,
            any: true,
            rtt: (!resent).then(|| now.saturating_since(sent_at)),
            sender_limited: is_valid && sending >= acknowledging,
        };
        if let Some(bytes_per_second) = sample.bytes_per_second()
            && (!sample.app_limited
                || self.shown.is_none_or(|shown| bytes_per_second >= shown.bytes_per_second))
        {
            self.shown = Some(Shown { bytes_per_second, app_limited: sample.app_limited });
        }
        sample
    }

    /// The latest rate in bytes per second, and whether the application limited it.
    pub(crate) fn latest(&self) -> Option<(u64, bool)> {
        self.shown.map(|shown| (shown.bytes_per_second, shown.app_limited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_window_a_round_trip_is_the_rate() {
        let mut rate = DeliveryRate::default();
        let first = rate.on_sent(at(0), true, 1000);
        let second = rate.on_sent(at(0), false, 2000);
        rate.on_delivered(1000, &first, at(0), false);
        let sample = rate.finish(at(40), Some(RTT));
        assert_eq!((sample.delivered, sample.interval), (1000, Some(RTT)));
        rate.on_delivered(1000, &second, at(0), false);
        let sample = rate.finish(at(40), Some(RTT));
        assert_eq!((sample.delivered, sample.interval), (2000, Some(RTT)));
        assert_eq!(sample.rtt(), Some(RTT));
        assert_eq!(sample.bytes_per_second(), Some(50_000));
        assert_eq!(rate.latest(), Some((50_000, false)));
    }

    // Shows: BBR3 rs1
    #[test]
    fn acks_that_arrive_together_do_not_make_the_path_faster() {
        let mut rate = DeliveryRate::default();
        // Ten ranges sent over 36 ms; their ACKs arrive in the same instant.
        let departures: Vec<_> =
            (0..10).map(|i| (at(4 * i), rate.on_sent(at(4 * i), i == 0, 1000 * (i + 1)))).collect();
        for (sent_at, departure) in &departures {
            rate.on_delivered(1000, departure, *sent_at, false);
        }
        let sample = rate.finish(at(80), Some(RTT));
        assert_eq!((sample.delivered, sample.interval), (10_000, Some(Duration::from_millis(80))));
    }

    #[test]
    fn a_sample_is_of_the_sender_where_it_was_acknowledged_as_fast_as_it_was_sent() {
        // Two ranges 10 ms apart, and their ACKs as far, farther, and nearer.
        for (apart, sender_limited, bytes_per_second) in
            [(10, true, 100_000), (12, false, 83_333), (5, true, 100_000)]
        {
            let mut rate = DeliveryRate::default();
            let first = rate.on_sent(at(0), true, 1000);
            rate.on_delivered(1000, &first, at(0), false);
            rate.finish(at(40), None);
            let third = rate.on_sent(at(10), false, 1000);
            rate.on_delivered(1000, &third, at(10), false);
            let sample = rate.finish(at(40 + apart), None);
            assert_eq!(sample.is_sender_limited(), sender_limited, "{apart}");
            assert_eq!(sample.bytes_per_second(), Some(bytes_per_second), "{apart}");
        }
    }

    // Shows: BBR3 rs3
    #[test]
    fn a_sample_shorter_than_the_round_trip_says_nothing() {
        let mut rate = DeliveryRate::default();
        let departure = rate.on_sent(at(0), true, 1000);
        rate.on_delivered(1000, &departure, at(0), true);
        let sample = rate.finish(at(10), Some(RTT));
        assert_eq!((sample.interval, sample.is_resent(), sample.rtt()), (None, true, None));
        assert_eq!(rate.finish(at(10), Some(RTT)), RateSample::default());
    }

    // Shows: BBR3 rs4
    #[test]
    fn what_was_in_flight_when_the_application_had_no_more_is_limited_by_it() {
        let mut rate = DeliveryRate::default();
        let before = rate.on_sent(at(0), true, 1000);
        rate.on_app_limited(1000);
        let limited = rate.on_sent(at(1), false, 2000);
        rate.on_delivered(1000, &before, at(0), false);
        assert!(!rate.finish(at(40), None).is_app_limited());
        assert!(rate.is_app_limited());
        rate.on_delivered(1000, &limited, at(1), false);
        assert!(rate.finish(at(41), None).is_app_limited());
        assert!(!rate.is_app_limited());
    }

    // Shows: BBR3 rs2
    #[test]
    fn losses_since_a_range_left_are_counted_with_it() {
        let mut rate = DeliveryRate::default();
        let una = 100;
        let earlier = rate.on_sent(at(0), true, 500);
        rate.on_lost(una, una + 500, &earlier);
        assert_eq!(rate.take_losses().len(), 1);
        let departure = rate.on_sent(at(0), true, 1000);
        rate.on_lost(una + 500, una + 800, &departure);
        let lost = rate.take_losses();
        assert_eq!(lost.len(), 1);
        assert_eq!((lost[0].bytes, lost[0].lost, lost[0].tx_in_flight), (300, 300, 1000));
        assert!(lost[0].adjoins && rate.take_losses().is_empty());
        rate.on_delivered(1000, &departure, at(0), false);
        assert_eq!(rate.finish(at(40), None).lost_bytes(), 300);
        assert_eq!(rate.lost(), 800);
    }
}
