//! Time: the engine's clock, made from the host's or tokio's, and the one timer that drives the
//! engine.
//!
//! The engine counts nanoseconds from the stack's epoch. Over a real device the clock is the
//! host's monotonic one. Over a device that lives in virtual time it is tokio's, that of the
//! driver's runtime, so that a paused clock moves the stack with the rest of the program. The
//! engine's deadlines, of whatever kind, meet here in one [`Sleep`](tokio::time::Sleep), whose
//! grain is 1 ms, rounded up.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Sleep;
use towpath_engine::Instant;

/// How early the one timer may fire by the host's clock before the runtime's clock counts as
/// paused or advanced by hand: far more than any clock's error, far less than tests jump.
const EARLIEST: Duration = Duration::from_millis(500);

/// A wait that no program outlives; tokio's timers end at about two years.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where the engine's time comes from.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The host's monotonic clock.
    Host {
        /// The stack's epoch.
        epoch: std::time::Instant,
    },
    /// Tokio's clock as the driver's runtime sees it: it can be paused.
    Runtime {
        /// The driver's runtime, whose clock it is whoever asks.
        runtime: Handle,
        /// The stack's epoch.
        epoch: tokio::time::Instant,
    },
}

impl Clock {
    /// A clock that begins now. Called inside the driver's runtime.
    pub(crate) fn start(virtual_time_safe: bool, runtime: &Handle) -> Clock {
        if virtual_time_safe {
            Clock::Runtime { runtime: runtime.clone(), epoch: tokio::time::Instant::now() }
        } else {
            Clock::Host { epoch: std::time::Instant::now() }
        }
    }

    pub(crate) fn now(&self) -> Instant {
        let since = match self {
            Clock::Host { epoch } => epoch.elapsed(),
            Clock::Runtime { runtime, epoch } => {
                let _inside = runtime.enter();
                epoch.elapsed()
            }
        };
        Instant::ZERO + since
    }
}

/// Whether tokio's clock stands still in this runtime: paused.
///
/// Tokio does not say so without its testing feature. A paused clock gives the same instant
/// however much time goes by, so the answer is read off two instants with a little of the host's
/// time between them.
pub(crate) fn is_clock_paused() -> bool {
    let before = tokio::time::Instant::now();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_micros(2) {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == before
}

/// The one timer. Belongs to the driver.
#[derive(Debug)]
pub(crate) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
}

/// What the one timer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The deadline has come.
    Due,
    /// The runtime's clock jumped ahead of the host's, under a device of the real world.
    ClockPaused,
}

impl Deadline {
    /// A timer that is not armed. Called inside the driver's runtime.
    pub(crate) fn new() -> Deadline {
        Deadline { sleep: Box::pin(tokio::time::sleep(FAR)), armed: Instant::FAR_FUTURE }
    }

    /// Ready at `deadline`. A deadline that is the armed one, or none at all, does not touch the
    /// timer.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        clock: &Clock,
        deadline: Instant,
    ) -> Poll<Expiry> {
        if deadline == Instant::FAR_FUTURE {
            return Poll::Pending;
        }
        loop {
            if deadline != self.armed {
                let wait = deadline.saturating_since(clock.now()).min(FAR);
                self.sleep.as_mut().reset(tokio::time::Instant::now() + wait);
                self.armed = deadline;
            }
            ready!(self.sleep.as_mut().poll(cx));
            self.armed = Instant::FAR_FUTURE;
            let early = deadline.saturating_since(clock.now());
            if early.is_zero() {
                return Poll::Ready(Expiry::Due);
            }
            if early > EARLIEST && early < FAR {
                return Poll::Ready(Expiry::ClockPaused);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_told_from_a_running_one() {
        assert!(is_clock_paused());
        tokio::time::resume();
        assert!(!is_clock_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn the_runtimes_clock_is_the_same_from_a_thread_outside() {
        let clock = std::sync::Arc::new(Clock::start(true, &Handle::current()));
        tokio::time::advance(Duration::from_secs(90)).await;
        let outside = std::sync::Arc::clone(&clock);
        let seen = std::thread::spawn(move || outside.now()).join().unwrap();
        assert_eq!(seen, Instant::from_millis(90_000));
        assert_eq!(clock.now(), seen);
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_is_never_early_and_at_most_a_millisecond_late() {
        let clock = Clock::start(true, &Handle::current());
        let mut timer = Deadline::new();
        for nanos in [1, 999_999, 1_000_000, 1_000_001, 40_000_000, 200_300_400] {
            let deadline = clock.now() + Duration::from_nanos(nanos);
            let expiry = poll_fn(|cx| timer.poll(cx, &clock, deadline)).await;
            assert_eq!(expiry, Expiry::Due);
            let late = clock.now() - deadline;
            assert!(clock.now() >= deadline && late <= Duration::from_millis(1), "{late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_under_a_real_device_is_noticed() {
        let clock = Clock::start(false, &Handle::current());
        let mut timer = Deadline::new();
        let deadline = clock.now() + Duration::from_secs(60);
        let expiry = poll_fn(|cx| timer.poll(cx, &clock, deadline)).await;
        assert_eq!(expiry, Expiry::ClockPaused);
    }
}
