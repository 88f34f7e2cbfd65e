//! The driver: the task that acts when nobody calls.
//!
//! It takes batches from the device, drives the engine's timers, drains the loopback, sends what
//! writers left, and ends the stack. Each hold of the lock is bounded by the configuration's
//! `segments_per_hold` and `timers_per_hold`, and lets a waiter in before the next.
//!
//! What ends the driver ends the stack: a failed device, a panic, a runtime that is dropped under
//! it. Every pending and later call then fails; nothing hangs.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::MutexGuard;
use towpath_device::{Rx, RxBatch};
use towpath_engine::{CloseReason, Instant};

use crate::counters::PacketCounters;
use crate::deadline::{Deadline, Expiry};
use crate::egress::{Egress, Sender};
use crate::ingress::{self, Fact};
use crate::inner::{After, Inner};
use crate::life::{Closing, Life, Progress, Quiet, Soundness};
use crate::shared::Shared;

/// Packets taken from the device at once.
const BATCH_PACKETS: usize = 64;

/// Rounds of one poll, before the runtime's other tasks get their turn.
const ROUNDS_PER_POLL: usize = 8;

/// The driver of one shard.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    rx: Box<dyn Rx>,
    batch: RxBatch,
    facts: VecDeque<Fact>,
    /// Counted since the last hold.
    packets: PacketCounters,
    deadline: Deadline,
    /// What the engine is worth if the driver is dropped now.
    unwinding: Soundness,
}

/// What a round of the driver found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There may be more to do at once.
    Busy,
    /// Nothing until a packet, this instant, or a wake.
    Idle(Instant),
    /// The stack has ended.
    Over,
}

/// What a stack's life asks of its driver.
enum Ahead {
    /// The next step at once.
    More,
    /// Nothing before this instant.
    Until(Instant),
    /// To end, and to report.
    Over(Closing),
}

impl Driver {
    /// Called inside the driver's runtime.
    pub(crate) fn new(shared: Arc<Shared>, rx: Box<dyn Rx>) -> Driver {
        Driver {
            shared,
            rx,
            batch: RxBatch::new(BATCH_PACKETS),
            facts: VecDeque::with_capacity(BATCH_PACKETS),
            packets: PacketCounters::default(),
            deadline: Deadline::new(),
            unwinding: Soundness::Sound,
        }
    }

    fn fail(&self, reason: CloseReason) -> Round {
        self.shared.fail(reason, Soundness::Sound);
        Round::Over
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_PER_POLL {
            match self.round(cx) {
                Round::Busy => {}
                Round::Over => return Poll::Ready(()),
                Round::Idle(deadline) => {
                    match ready!(self.deadline.poll(cx, self.shared.clock(), deadline)) {
                        Expiry::Due => {}
                        Expiry::ClockPaused => {
                            tracing::error!(
                                "the runtime's clock was paused or advanced over a device of the \
                                 real world: the stack ends"
                            );
                            self.fail(CloseReason::DeviceGone);
                        }
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Receives, tells the engine, sends.
    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let received = match self.rx.poll_recv(cx, &mut self.batch) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                tracing::error!(%error, "the device failed while receiving");
                return self.fail(CloseReason::DeviceGone);
            }
            Poll::Pending => false,
        };
        for packet in self.batch.drain() {
            self.facts.extend(ingress::parse(&packet, &mut self.packets));
        }
        match self.turn_engine() {
            Round::Over => Round::Over,
            engine => match self.send(cx) {
                Round::Idle(_) if received => Round::Busy,
                Round::Idle(_) => engine,
                sent => sent,
            },
        }
    }

    /// Tells the engine what arrived and takes what it has to say, in holds of bounded length.
    fn turn_engine(&mut self) -> Round {
        let segments = self.shared.config().get_segments_per_hold();
        let outputs = segments + self.shared.config().get_timers_per_hold();
        // One reading of the clock for the batch.
        let read = self.shared.clock().now();
        loop {
            let mut after = After::default();
            let mut inner = self.shared.lock();
            if inner.life.is_ended() {
                return Round::Over;
            }
            let now = inner.not_before(read);
            inner.packets.add(&std::mem::take(&mut self.packets));
            for fact in self.facts.drain(..segments.min(self.facts.len())) {
                fact.apply(&mut inner.endpoint, now);
            }
            inner.egress.ask_again();
            if inner.endpoint.has_loopback() {
                inner.endpoint.handle_loopback(now, segments);
            }
            let more = inner.pump_all(now, outputs, &mut after) || inner.endpoint.has_loopback();
            let ahead = self.advance_life(&mut inner, now, more, &mut after);
            let idle_until = match ahead {
                Ahead::Until(until) => inner.arm(until),
                Ahead::More | Ahead::Over(_) => now,
            };
            inner.collect(&mut after);
            // Lets a waiter in before the next hold.
            MutexGuard::unlock_fair(inner);
            let round = match ahead {
                Ahead::Over(closing) => {
                    closing.send();
                    Round::Over
                }
                Ahead::More => Round::Busy,
                Ahead::Until(_) if more => Round::Busy,
                Ahead::Until(_) => Round::Idle(idle_until),
            };
            self.shared.finish(after);
            if self.facts.is_empty() || round == Round::Over {
                return round;
            }
        }
    }

    /// Begins to close a stack that nobody holds, and takes the next step of closing.
    fn advance_life(
        &self,
        inner: &mut Inner,
        now: Instant,
        more: bool,
        after: &mut After,
    ) -> Ahead {
        if self.shared.is_let_go() && matches!(inner.life, Life::Running) {
            inner.life.begin_closing(now + self.shared.exit_linger(), None);
        }
        let Life::Closing(closing) = &mut inner.life else {
            return Ahead::Until(Instant::FAR_FUTURE);
        };
        let quiet = Quiet { is_idle: !more, is_flushed: !more && inner.egress.is_idle() };
        match closing.advance(&mut inner.endpoint, now, quiet) {
            Progress::Begun => {
                for listener in inner.listeners.drain(..) {
                    inner.endpoint.close_listener(now, listener);
                }
                inner.waiters.wake_all(&mut after.wake);
                Ahead::More
            }
            Progress::More => Ahead::More,
            Progress::Wait(until) => Ahead::Until(until),
            Progress::Over => {
                Ahead::Over(inner.end(now, CloseReason::Shutdown, Soundness::Sound, after))
            }
        }
    }

    /// Sends what waits, as far as the device takes it.
    fn send(&mut self, cx: &mut Context<'_>) -> Round {
        for _ in 0..ROUNDS_PER_POLL {
            if self.shared.with_egress(|egress| egress.is_the_drivers()) {
                match self.shared.poll_send_ready(cx) {
                    Poll::Pending => return Round::Idle(Instant::FAR_FUTURE),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        tracing::error!(%error, "the device failed while sending");
                        return self.fail(CloseReason::DeviceGone);
                    }
                }
            }
            let claim = |egress: &mut Egress| {
                let load = egress.claim(Sender::Driver);
                (load, egress.is_starved() && egress.has_room())
            };
            match self.shared.with_egress(claim) {
                (Some(load), _) => self.shared.send(Sender::Driver, load),
                (None, true) => return Round::Busy,
                (None, false) => return Round::Idle(Instant::FAR_FUTURE),
            }
        }
        Round::Busy
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        driver.shared.register_driver(cx.waker());
        driver.unwinding = Soundness::Doubtful;
        let result = driver.run(cx);
        driver.unwinding = Soundness::Sound;
        result
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Does nothing to a stack that has ended in order.
        self.shared.fail(CloseReason::DeviceGone, self.unwinding);
        self.shared.release_device();
    }
}
