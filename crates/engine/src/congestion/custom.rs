//! A user's own congestion control, behind a fence: if it panics, its connection ends and nothing
//! else does.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{AckSample, CongestionEvent, Controller, IdleSample, LostRange, PathModel, Start};
use crate::instant::Instant;

/// What makes a user's controller for each connection.
type Make = dyn Fn(&Start) -> Box<dyn Controller> + Send + Sync;

/// A user's own congestion control: a name and what makes a controller.
///
/// It lives as long as the program, so that a socket's options, which are copied, can name it: a
/// `static`, or what `Box::leak` makes of one that captures something.
///
/// A controller is made when a connection begins, for its SYN, and anew when the handshake is
/// complete.
///
/// A panic in the controller ends its connection, with the reason
/// [`CloseReason::CongestionControl`](crate::CloseReason::CongestionControl) and a reset to the
/// peer. In a program that aborts on panic it ends the program.
///
/// ```
/// use towpath_engine::congestion::{CustomControl, Reno};
/// use towpath_engine::{Config, CongestionControl};
///
/// static MINE: CustomControl = CustomControl::new("mine", &|start| Box::new(Reno::new(start)));
/// let config = Config::default().tcp_congestion_control(CongestionControl::Custom(&MINE));
/// # assert!(config.validate().is_ok());
/// ```
pub struct CustomControl {
    name: &'static str,
    make: &'static Make,
}

impl CustomControl {
    /// A congestion control of this name.
    pub const fn new(name: &'static str, make: &'static Make) -> CustomControl {
        CustomControl { name, make }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for CustomControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomControl").field(&self.name).finish()
    }
}

/// Equal if named alike and made by the same.
impl PartialEq for CustomControl {
    fn eq(&self, other: &CustomControl) -> bool {
        self.name == other.name && core::ptr::addr_eq(self.make, other.make)
    }
}

impl Eq for CustomControl {}

/// A user's controller and the fence around it.
pub(crate) struct Fenced {
    name: &'static str,
    /// `None` if not even its making went well.
    inner: Option<Box<dyn Controller>>,
    panicked: AtomicBool,
    mss: u32,
}

impl fmt::Debug for Fenced {
    // The user's own Debug is user's code too: it is not asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fenced").field(&self.name).finish()
    }
}

impl Fenced {
    pub(crate) fn new(custom: &CustomControl, start: &Start) -> Fenced {
        let inner = catch_unwind(AssertUnwindSafe(|| (custom.make)(start))).ok();
        Fenced {
            name: custom.name,
            panicked: AtomicBool::new(inner.is_none()),
            inner,
            mss: start.mss,
        }
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Asks the controller; after a panic it is not asked again, and `otherwise` is the answer.
    fn ask<R>(&self, otherwise: R, ask: impl FnOnce(&dyn Controller) -> R) -> R {
        let Some(inner) = self.inner.as_deref().filter(|_| !self.has_panicked()) else {
            return otherwise;
        };
        // Nobody looks into it again after a panic: what it left half done does no harm.
        catch_unwind(AssertUnwindSafe(|| ask(inner))).unwrap_or_else(|_| {
            self.panicked.store(true, Ordering::Relaxed);
            otherwise
        })
    }

    fn tell(&mut self, tell: impl FnOnce(&mut dyn Controller)) {
        if self.has_panicked() {
            return;
        }
        let Some(inner) = self.inner.as_deref_mut() else { return };
        if catch_unwind(AssertUnwindSafe(|| tell(inner))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        let inner = self.inner.take();
        // There is no connection left to end.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(inner)));
    }
}

impl Controller for Fenced {
    fn name(&self) -> &'static str {
        self.name
    }

    fn window(&self) -> u64 {
        let least = u64::from(self.mss);
        self.ask(least, |inner| inner.window()).max(least)
    }

    fn slow_start_threshold(&self) -> u64 {
        self.ask(u64::MAX, |inner| inner.slow_start_threshold())
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.ask(None, |inner| inner.pacing_rate())
    }

    fn governs_recovery(&self) -> bool {
        self.ask(false, |inner| inner.governs_recovery())
    }

    fn holds_back(&self) -> bool {
        self.ask(false, |inner| inner.holds_back())
    }

    fn least_burst(&self) -> Option<u32> {
        self.ask(None, |inner| inner.least_burst())
    }

    fn windows_to_buffer(&self) -> u64 {
        self.ask(2, |inner| inner.windows_to_buffer())
    }

    fn wants_every_mark(&self) -> bool {
        self.ask(false, |inner| inner.wants_every_mark())
    }

    fn model(&self) -> Option<PathModel> {
        self.ask(None, |inner| inner.model())
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.tell(|inner| inner.on_ack(sample));
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        self.tell(|inner| inner.on_congestion(event));
    }

    fn on_lost(&mut self, now: Instant, lost: &LostRange) {
        self.tell(|inner| inner.on_lost(now, lost));
    }

    fn on_spurious(&mut self, now: Instant) {
        self.tell(|inner| inner.on_spurious(now));
    }

    fn on_recovered(&mut self, now: Instant) {
        self.tell(|inner| inner.on_recovered(now));
    }

    fn on_idle(&mut self, idle: &IdleSample) {
        self.tell(|inner| inner.on_idle(idle));
    }

    fn on_mss_change(&mut self, mss: u32) {
        self.mss = mss;
        self.tell(|inner| inner.on_mss_change(mss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::samples::{sample, start};

    #[derive(Debug)]
    struct Fragile(u32);

    impl Controller for Fragile {
        fn name(&self) -> &'static str {
            "fragile"
        }
        fn window(&self) -> u64 {
            u64::from(self.0)
        }
        fn on_ack(&mut self, _sample: &AckSample) {
            self.0 = self.0.checked_sub(3000).expect("enough for three");
        }
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            assert!(self.0 > 5000, "worn out");
        }
    }

    #[test]
    fn a_panic_is_noted_and_the_controller_is_not_asked_again() {
        let custom = CustomControl::new("fragile", &|_| Box::new(Fragile(5000)));
        let mut fenced = Fenced::new(&custom, &start(10_000));
        fenced.on_ack(&sample());
        assert_eq!((fenced.window(), fenced.has_panicked()), (2000, false));
        fenced.on_ack(&sample());
        assert_eq!((fenced.window(), fenced.has_panicked()), (1000, true));
        fenced.on_ack(&sample());
        drop(fenced);
    }

    #[test]
    fn one_that_cannot_be_made_counts_as_panicked() {
        let custom = CustomControl::new("stillborn", &|_| panic!("not today"));
        let fenced = Fenced::new(&custom, &start(10_000));
        assert_eq!((fenced.window(), fenced.has_panicked()), (1000, true));
    }

    #[test]
    fn a_window_of_nothing_is_one_segment() {
        let custom = CustomControl::new("closed", &|_| Box::new(Fragile(6000)));
        let mut fenced = Fenced::new(&custom, &start(10_000));
        fenced.on_mss_change(9000);
        assert_eq!(fenced.window(), 9000);
    }

    #[test]
    fn equal_are_those_of_one_name_and_one_maker() {
        static MAKE: fn(&Start) -> Box<dyn Controller> = |_| Box::new(Fragile(6000));
        let one = CustomControl::new("one", &MAKE);
        assert_eq!(one, CustomControl::new("one", &MAKE));
        assert_ne!(one, CustomControl::new("two", &MAKE));
        assert_ne!(one, CustomControl::new("one", &|_| Box::new(Fragile(6000))));
    }
}
