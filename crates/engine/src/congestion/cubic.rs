//! CUBIC: RFC 9438, with Linux's choices where it leaves or makes some.
//!
//! Above the threshold the window follows a cubic of the time since the last congestion, with its
//! plateau at the window of then. Sizes are in segments here, as in the RFC, and times in 1024ths
//! of a second, in which the cube of a day fits an integer: no result depends on the machine.

use core::time::Duration;

use super::hystart::{Advice, Detector, HyStart};
use super::window::Window;
use super::{AckSample, CongestionEvent, CongestionKind, Controller, IdleSample, Start};
use crate::instant::Instant;

/// RFC 9438 section 4.1: C is 0.4, as a fraction of 1024.
const C_1024: u128 = 410;
/// Section 4.1 and 4.6: beta is 0.7, as a fraction of 1024.
const BETA_1024: u64 = 717;
/// RFC 8511 section 3.1 suggests 0.85 where a mark is answered.
const ABE_BETA_1024: u64 = 870;
/// Section 4.3: how many windows must be acknowledged for the Reno-like window to grow by a segment
/// is 1 / alpha, (1 + beta) / (3 (1 - beta)), in eighths.
const RENO_COST_EIGHTHS: u64 = 8 * (1024 + BETA_1024) / 3 / (1024 - BETA_1024);
/// Where nothing is known of the path's capacity, at least one segment for so many.
const UNKNOWN_COST: u64 = 20;
/// Section 4.2: at most half a segment for each that is acknowledged.
const LEAST_COST: u64 = 2;
/// Round trips so soon after the last congestion are those of the queue that it emptied.
const SETTLING: Duration = Duration::from_secs(1);

/// RFC 9438.
#[derive(Clone, Debug)]
pub struct Cubic {
    window: Window,
    curve: Curve,
    /// The curve before the last reduction, for the case that it was none.
    prior_curve: Curve,
    detector: Detector,
    alternative_backoff: bool,
}

/// The growth since the last congestion.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// W_max, in segments; none before the first congestion and after a time-out.
    w_max: u64,
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Instant,
    /// K in 1024ths of a second: when the curve is at its plateau.
    k: u64,
    /// The plateau, in segments.
    origin: u64,
    /// W_est, in segments, and the bytes towards its next one.
    w_est: u64,
    credit: u64,
}

impl Cubic {
    /// Begins with a window; in slow start if there was no congestion yet.
    pub fn new(start: &Start, hystart: HyStart) -> Cubic {
        Cubic {
            window: Window::new(start),
            curve: Curve::default(),
            prior_curve: Curve::default(),
            detector: Detector::new(hystart),
            alternative_backoff: start.alternative_backoff,
        }
    }

    fn take_rtt(&mut self, now: Instant, rtt: Duration) {
        let settling =
            self.curve.epoch.is_some_and(|epoch| now.saturating_since(epoch.start) < SETTLING);
        if !settling {
            self.detector.on_rtt(rtt);
        }
    }

    // Implements: RFC9438 s4.10a, RFC9438 s4.10b
    fn slow_start(&mut self, sample: &AckSample) -> u64 {
        let initial = self.window.is_in_initial_slow_start();
        match self.detector.on_slow_start(sample, self.window.segments(), initial) {
            Advice::Grow(bytes) => {
                // What conservative slow start leaves is not congestion avoidance's.
                let rest = self.window.slow_start(bytes);
                if bytes == sample.delivered_bytes { rest } else { 0 }
            }
            Advice::Leave => {
                self.window.end_slow_start();
                sample.delivered_bytes
            }
        }
    }

    // Implements: RFC9438 s4.7, RFC9438 s4.6a
    fn reduce(&mut self, beta: u64) {
        let segments = self.window.segments();
        self.prior_curve = self.curve.clone();
        self.curve.w_max = if segments < self.curve.w_max {
            segments * (1024 + BETA_1024) / 2048
        } else {
            segments
        };
        self.curve.epoch = None;
        let threshold = segments * beta / 1024;
        self.window.reduce_to(threshold * self.window.mss(), true);
    }
}

impl Curve {
    /// How many segments must be acknowledged for the window of `segments` to grow by one.
    // Implements: RFC9438 s4.1, RFC9438 s4.2a, RFC9438 s4.2b, RFC9438 s4.3a, RFC9438 s4.3b, RFC9438 s4.4/4.5
    fn cost(&mut self, sample: &AckSample, segments: u64, prior: u64, ahead: Duration) -> u64 {
        let now = sample.now;
        let w_max = self.w_max;
        let epoch = self.epoch.get_or_insert_with(|| Epoch::new(now, segments, w_max));
        // Deviates: section 4.2 looks SRTT ahead. As Linux, the least round trip: SRTT would make
        // the target run from the queue that the window itself makes.
        let target = epoch.target(now.saturating_since(epoch.start) + ahead);
        let mut cost =
            if target > segments { segments / (target - segments) } else { 100 * segments };
        if w_max == 0 {
            cost = cost.min(UNKNOWN_COST);
        }
        let reno = epoch.reno_window(sample, segments, prior);
        if reno > segments {
            cost = cost.min(segments / (reno - segments));
        }
        cost.max(LEAST_COST)
    }
}

impl Epoch {
    // Implements: RFC9438 s4.2a, RFC9438 s4.8
    fn new(now: Instant, segments: u64, w_max: u64) -> Epoch {
        let missing = w_max.saturating_sub(segments);
        // K = cbrt(missing / C) seconds.
        let cube = u128::from(missing) << 40;
        let k = cube_root(cube / C_1024);
        Epoch { start: now, k, origin: w_max.max(segments), w_est: segments, credit: 0 }
    }

    /// W_cubic: the curve after `elapsed`, in segments.
    fn target(&self, elapsed: Duration) -> u64 {
        // A day is beyond any plateau, and its cube fits.
        let t = elapsed.min(Duration::from_secs(86_400)).as_nanos() * 1024 / 1_000_000_000;
        let k = u128::from(self.k);
        let distance = t.abs_diff(k);
        let height = (C_1024 * distance * distance * distance) >> 40;
        let height = u64::try_from(height).unwrap_or(u64::MAX);
        if t < k { self.origin.saturating_sub(height) } else { self.origin.saturating_add(height) }
    }

    /// W_est: where Reno would be.
    fn reno_window(&mut self, sample: &AckSample, segments: u64, prior: u64) -> u64 {
        self.credit += sample.delivered_bytes;
        let window = segments.max(1) * u64::from(sample.mss);
        loop {
            // Once past the window of before, as fast as Reno: alpha is 1.
            let past = prior > 0 && self.w_est >= prior;
            let price = if past { window } else { window * RENO_COST_EIGHTHS / 8 };
            if self.credit <= price {
                return self.w_est;
            }
            self.credit -= price;
            self.w_est += 1;
        }
    }
}

/// The integer part of the cube root.
fn cube_root(value: u128) -> u64 {
    let (mut low, mut high) = (0u64, 1 << 42);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if u128::from(middle).pow(3) <= value {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn window(&self) -> u64 {
        self.window.bytes()
    }

    fn slow_start_threshold(&self) -> u64 {
        self.window.threshold()
    }

    // Implements: RFC9438 s4.6c, RFC9438 s5.8
    fn on_ack(&mut self, sample: &AckSample) {
        if let Some(rtt) = sample.rtt {
            self.take_rtt(sample.now, rtt);
        }
        if !sample.may_grow {
            return;
        }
        let mut acked = sample.delivered_bytes;
        if self.window.is_in_slow_start() {
            acked = self.slow_start(sample);
        }
        if acked == 0 {
            return;
        }
        let ahead = self.detector.delay_min().unwrap_or_default();
        let prior = if self.curve.w_max == 0 { 0 } else { self.window.prior() / self.window.mss() };
        let rest = AckSample { delivered_bytes: acked, ..*sample };
        let cost = self.curve.cost(&rest, self.window.segments().max(1), prior, ahead);
        self.window.grow(cost * self.window.mss(), acked);
    }

    // Implements: RFC9438 s4.6a, RFC9438 s4.8
    fn on_congestion(&mut self, event: &CongestionEvent) {
        match event.kind {
            CongestionKind::Loss => self.reduce(BETA_1024),
            CongestionKind::Ecn => {
                self.reduce(if self.alternative_backoff { ABE_BETA_1024 } else { BETA_1024 });
            }
            CongestionKind::Timeout => {
                self.reduce(BETA_1024);
                self.window.collapse(event.left_in_flight_bytes);
                // The next epoch begins without a plateau.
                self.curve = Curve::default();
                self.detector.reset();
            }
            CongestionKind::RepeatedTimeout => {
                self.window.collapse(event.left_in_flight_bytes);
                self.curve = Curve::default();
                self.detector.reset();
            }
        }
    }

    // Implements: RFC9438 s4.9
    fn on_spurious(&mut self, _now: Instant) {
        self.window.undo();
        self.curve = self.prior_curve.clone();
    }

    // Implements: RFC9438 s4.2c
    fn on_idle(&mut self, idle: &IdleSample) {
        self.window.restart(idle);
        if let Some(epoch) = &mut self.curve.epoch {
            // The time without data is no time of the curve.
            epoch.start = (epoch.start + idle.idle).min(idle.now);
        }
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.window.set_mss(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::samples::{sample, start};

    const MSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    fn cubic(segments: u64) -> Cubic {
        let mut cubic = Cubic::new(&start(segments * 1000), HyStart::Off);
        cubic.window.end_slow_start();
        cubic
    }

    fn loss(cubic: &mut Cubic) {
        cubic.on_congestion(&CongestionEvent {
            now: Instant::ZERO,
            kind: CongestionKind::Loss,
            in_flight_bytes: 0,
            left_in_flight_bytes: 0,
            mss: MSS,
        });
    }

    fn ack(cubic: &mut Cubic, now: Instant, delivered_bytes: u64) {
        cubic.on_ack(&AckSample { now, delivered_bytes, rtt: Some(RTT), ..sample() });
    }

    /// A window is acknowledged a round trip, segment by segment.
    fn run(cubic: &mut Cubic, from: Duration, to: Duration) {
        let mut now = Instant::ZERO + from;
        while now < Instant::ZERO + to {
            let segments = cubic.window.segments();
            for index in 0..segments {
                ack(cubic, now + RTT * index as u32 / segments as u32, 1000);
            }
            now += RTT;
        }
    }

    // Shows: RFC9438 s4.1
    #[test]
    fn the_constants_are_the_rfcs_to_a_thousandth() {
        assert!((C_1024 as f64 / 1024.0 - 0.4).abs() < 0.001);
        assert!((BETA_1024 as f64 / 1024.0 - 0.7).abs() < 0.001);
        let alpha = 8.0 / RENO_COST_EIGHTHS as f64;
        assert!((alpha - 9.0 / 17.0).abs() < 0.005, "{alpha}");
    }

    #[test]
    fn cube_roots_are_exact() {
        for root in [0, 1, 2, 3, 10, 1023, 4317, 1_000_000, (1 << 42) - 1] {
            let cube = u128::from(root).pow(3);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube + 1), root.max(1));
            if cube > 1 {
                assert_eq!(cube_root(cube - 1), root - 1);
            }
        }
    }

    // Shows: RFC9438 s4.2a
    #[test]
    fn the_curve_of_100_and_70_segments_is_at_its_plateau_after_4_2_seconds() {
        let epoch = Epoch::new(Instant::ZERO, 70, 100);
        // cbrt(30 / 0.4) s = 4.217 s.
        assert!((epoch.k as f64 / 1024.0 - 4.217).abs() < 0.003, "{}", epoch.k);
        assert_eq!(epoch.target(Duration::ZERO), 71);
        assert_eq!(epoch.target(Duration::from_millis(4217)), 100);
        // 0.4 * 3^3 = 10.8 above it.
        assert_eq!(epoch.target(Duration::from_millis(7217)), 110);
    }

    // Shows: RFC9438 s4.6a, RFC9438 s4.7
    #[test]
    fn a_loss_leaves_seven_tenths_and_a_second_one_lower_down_gives_room_away() {
        let mut cubic = cubic(100);
        loss(&mut cubic);
        assert_eq!((cubic.window(), cubic.slow_start_threshold()), (70_000, 70_000));
        assert_eq!(cubic.curve.w_max, 100);
        loss(&mut cubic);
        assert_eq!(cubic.window(), 49_000);
        assert_eq!(cubic.curve.w_max, 70 * 1741 / 2048, "0.85 of 70");
        let mut least = self::cubic(2);
        loss(&mut least);
        assert_eq!(least.window(), 2000);
    }

    // Shows: RFC9438 s4.4/4.5, RFC9438 s4.2a
    #[test]
    fn the_window_is_back_at_the_plateau_after_k() {
        let mut cubic = cubic(1000);
        loss(&mut cubic);
        // cbrt(300 / 0.4) s = 9.09 s, looked at a round trip ahead.
        run(&mut cubic, Duration::ZERO, Duration::from_millis(9000));
        let segments = cubic.window.segments();
        assert!((995..=1000).contains(&segments), "{segments}");
        run(&mut cubic, Duration::from_millis(9000), Duration::from_millis(14_000));
        // 0.4 * 5^3 = 50 more.
        let segments = cubic.window.segments();
        assert!((1040..=1055).contains(&segments), "{segments}");
    }

    // Shows: RFC9438 s4.2b
    #[test]
    fn the_window_grows_by_half_a_segment_for_each_acknowledged_at_most() {
        let mut cubic = cubic(10);
        ack(&mut cubic, Instant::ZERO, 1000);
        let before = cubic.window();
        for _ in 0..100 {
            ack(&mut cubic, Instant::ZERO + Duration::from_secs(1000), 1000);
        }
        assert_eq!(cubic.window() - before, 50_000);
    }

    // Shows: RFC9438 s4.3a, RFC9438 s4.3b
    #[test]
    fn where_reno_is_faster_the_window_grows_as_reno_does() {
        let mut cubic = cubic(100);
        loss(&mut cubic);
        cubic.detector.on_rtt(Duration::from_millis(1));
        // On a path of 1 ms nothing of the curve shows in the first 100 round trips: alpha segments
        // a round trip.
        for round in 0..100u32 {
            let segments = cubic.window.segments();
            for _ in 0..segments {
                let now = Instant::ZERO + Duration::from_millis(1) * round;
                cubic.on_ack(&AckSample { now, delivered_bytes: 1000, ..sample() });
            }
        }
        // 30 segments at 8/15 a round trip, then one a round trip: 30 * 15 / 8 + 43.
        let segments = cubic.window.segments();
        assert!((138..=145).contains(&segments), "{segments}");
    }

    // Shows: RFC9438 s4.2c
    #[test]
    fn a_pause_is_no_time_of_the_curve() {
        let mut paused = cubic(1000);
        loss(&mut paused);
        run(&mut paused, Duration::ZERO, Duration::from_secs(2));
        let before = paused.window();
        let now = Instant::ZERO + Duration::from_secs(12);
        paused.on_idle(&IdleSample {
            now,
            idle: Duration::from_secs(10),
            rto: Duration::from_millis(300),
            restart_window: None,
            app_limited: true,
        });
        ack(&mut paused, now, 1000);
        assert!(paused.window() <= before + 1000, "{} {before}", paused.window());
    }

    // Shows: RFC9438 s4.8
    #[test]
    fn after_a_time_out_the_curve_has_no_plateau() {
        let mut cubic = cubic(100);
        cubic.on_congestion(&CongestionEvent {
            now: Instant::ZERO,
            kind: CongestionKind::Timeout,
            in_flight_bytes: 0,
            left_in_flight_bytes: 0,
            mss: MSS,
        });
        assert_eq!((cubic.window(), cubic.slow_start_threshold()), (1000, 70_000));
        for _ in 0..69 {
            ack(&mut cubic, Instant::ZERO, 1000);
        }
        assert_eq!(cubic.window(), 70_000);
        ack(&mut cubic, Instant::ZERO, 1000);
        let epoch = cubic.curve.epoch.expect("congestion avoidance");
        assert_eq!((epoch.k, epoch.origin, epoch.w_est), (0, 70, 70));
    }

    // Shows: RFC9438 s4.9
    #[test]
    fn a_spurious_loss_gives_back_the_window_and_the_curve() {
        let mut cubic = cubic(100);
        loss(&mut cubic);
        run(&mut cubic, Duration::ZERO, Duration::from_secs(1));
        let before = cubic.clone();
        loss(&mut cubic);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.window(), before.window());
        assert_eq!(cubic.slow_start_threshold(), before.slow_start_threshold());
        assert_eq!(cubic.curve.w_max, before.curve.w_max);
        assert_eq!(cubic.curve.epoch.map(|e| e.k), before.curve.epoch.map(|e| e.k));
    }

    // Shows: RFC9406 s4.2g
    #[test]
    fn a_loss_in_conservative_slow_start_ends_slow_start_as_any_loss_does() {
        let mut cubic = Cubic::new(&start(40_000), HyStart::PlusPlus);
        for index in 1..=20u64 {
            cubic.on_ack(&AckSample {
                delivered_bytes: 1000,
                acked_to: 1000 * index,
                sent_to: if index < 10 { 10_000 } else { 90_000 },
                rtt: Some(Duration::from_millis(if index < 10 { 40 } else { 60 })),
                ..sample()
            });
        }
        // Sixteen whole segments and, from the eighth late round trip on, four quarters.
        assert_eq!(cubic.window(), 57_000);
        loss(&mut cubic);
        assert_eq!((cubic.window(), cubic.slow_start_threshold()), (39_000, 39_000));
    }

    // Shows: RFC9438 s4.10b
    #[test]
    fn slow_start_left_by_delay_goes_on_without_a_plateau() {
        let mut cubic = Cubic::new(&start(40_000), HyStart::Linux { train: false, delay: true });
        for index in 1..=9u64 {
            let rtt = Some(Duration::from_millis(if index == 1 { 40 } else { 60 }));
            let now = Instant::from_millis(index);
            let acked_to = 1000 * index;
            cubic.on_ack(&AckSample {
                now,
                rtt,
                delivered_bytes: 1000,
                acked_to,
                sent_to: if index == 1 { 1000 } else { 90_000 },
                ..sample()
            });
        }
        cubic.on_ack(&AckSample {
            now: Instant::from_millis(10),
            rtt: Some(Duration::from_millis(60)),
            delivered_bytes: 1000,
            acked_to: 10_000,
            sent_to: 90_000,
            ..sample()
        });
        assert_eq!(cubic.slow_start_threshold(), 49_000);
        let epoch = cubic.curve.epoch.expect("congestion avoidance");
        assert_eq!((epoch.k, epoch.origin), (0, 49));
        // Nothing is known of the path's capacity: at least 5 % a round trip.
        for _ in 0..19 {
            ack(&mut cubic, Instant::from_millis(11), 1000);
        }
        assert_eq!(cubic.window(), 50_000);
    }

    // Shows: RFC8511 s3
    #[test]
    fn a_mark_leaves_seven_tenths_and_0_85_with_abe() {
        for (alternative_backoff, expected) in [(false, 70_000), (true, 84_000)] {
            let start = Start { alternative_backoff, ..start(100_000) };
            let mut cubic = Cubic::new(&start, HyStart::Off);
            cubic.on_congestion(&CongestionEvent {
                now: Instant::ZERO,
                kind: CongestionKind::Ecn,
                in_flight_bytes: 0,
                left_in_flight_bytes: 0,
                mss: MSS,
            });
            assert_eq!(cubic.window(), expected);
        }
    }

    // Shows: RFC9438 s4.6c, RFC9438 s5.8
    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut cubic = cubic(10);
        for second in 0..100 {
            cubic.on_ack(&AckSample {
                now: Instant::from_millis(1000 * second),
                delivered_bytes: 10_000,
                may_grow: false,
                ..sample()
            });
        }
        assert_eq!(cubic.window(), 10_000);
    }
}
