//! One shard of a stack: the engine, those who wait for it, and what it wants to send, behind one
//! lock; and the discipline of that lock.
//!
//! Every access is one [`Shared::call`]: the clock is read before the lock; under it only
//! bookkeeping is done; what follows from it ([`After`]) is done after: wakers are woken, dropped
//! values dropped, packets written by whoever finds nobody writing. No payload above 512 bytes is
//! copied under the lock, no system call made, nothing of a user's is run or dropped there, and no
//! loop is without a bound.
//!
//! What packets mean is the engine's business, their bytes `ingress` and `egress`'s, and when to
//! act without a caller the driver's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::oneshot;
use tokio::task::coop;
use towpath_device::{DeviceStatistics, Tx, TxBatch};
use towpath_engine::{
    CloseReason, Config, ConnectionId, Endpoint, Instant, Readiness, SocketError,
};

use crate::deadline::Clock;
use crate::egress::{Egress, Load, Sender, Sending};
use crate::error::io_error;
use crate::inner::{After, Inner};
use crate::life::{ShutdownReport, Soundness};
use crate::waiters::{Direction, Target};
use crate::waiting::Waiting;

/// Which shard of its stack this is. A stack has one; the number is in names that outlive that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardId(pub(crate) u32);

/// One shard, as its driver and all handles share it.
pub(crate) struct Shared {
    id: ShardId,
    inner: Mutex<Inner>,
    /// Taken when the driver ends, so that the device is closed then.
    tx: RwLock<Option<Box<dyn Tx>>>,
    clock: Clock,
    driver: AtomicWaker,
    leases: AtomicUsize,
    /// The process is about to end: the driver begins to close.
    exiting: AtomicBool,
    config: Config,
    exit_linger: Duration,
}

/// A part in a stack's life: each handle, stream and listener has one. When the last is gone the
/// driver delivers what was written, and ends.
pub(crate) struct Lease(Arc<Shared>);

impl Shared {
    pub(crate) fn new(
        endpoint: Endpoint,
        tx: Box<dyn Tx>,
        clock: Clock,
        config: Config,
        exit_linger: Duration,
    ) -> Shared {
        Shared {
            id: ShardId(0),
            inner: Mutex::new(Inner::new(endpoint, config.get_egress_queue())),
            tx: RwLock::new(Some(tx)),
            clock,
            driver: AtomicWaker::new(),
            leases: AtomicUsize::new(0),
            exiting: AtomicBool::new(false),
            config,
            exit_linger,
        }
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn exit_linger(&self) -> Duration {
        self.exit_linger
    }

    /// The waker that [`wake_driver`](Shared::wake_driver) wakes.
    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// Whether nobody holds the stack any more, or the process that does is about to end.
    pub(crate) fn is_let_go(&self) -> bool {
        self.leases.load(Ordering::Acquire) == 0 || self.exiting.load(Ordering::Acquire)
    }

    /// The process is about to end. Reads no clock: tokio's thread locals may be gone already.
    pub(crate) fn begin_exit(&self) {
        self.exiting.store(true, Ordering::Release);
        self.wake_driver();
    }

    /// Runs `f` under the lock, asks the engine for what connection `touched` has to send, and does
    /// what follows after unlocking.
    pub(crate) fn call<R>(
        &self,
        touched: Option<ConnectionId>,
        f: impl FnOnce(&mut Inner, Instant, &mut After) -> R,
    ) -> R {
        let now = self.clock.now();
        let mut after = After { touched, ..After::default() };
        // Before the lock, so that it is dropped after it.
        let unwinding = Unwinding(self);
        let mut inner = self.inner.lock();
        let now = inner.not_before(now);
        let result = f(&mut inner, now, &mut after);
        inner.settle(now, &mut after);
        drop(inner);
        std::mem::forget(unwinding);
        self.finish(after);
        result
    }

    /// Runs `f` under the lock, where nothing can follow from it.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.inner.lock())
    }

    /// The lock itself: for the driver, whose holds have more than one part.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    pub(crate) fn with_egress<R>(&self, f: impl FnOnce(&mut Egress) -> R) -> R {
        f(&mut self.inner.lock().egress)
    }

    /// Does what follows a hold of the lock.
    pub(crate) fn finish(&self, after: After) {
        let After { wake, discard, driver, touched: _, load, garbage } = after;
        if driver {
            self.wake_driver();
        }
        for waker in wake {
            waker.wake();
        }
        drop(discard);
        drop(garbage);
        if let Some(load) = load {
            self.send(Sender::Task, load);
        }
    }

    /// Takes the turn with `load`. A device that is gone ends every connection.
    pub(crate) fn send(&self, sender: Sender, load: Load) {
        if let Err(error) = Sending::new(self, sender, load).run() {
            tracing::error!(%error, "the device failed while sending");
            self.fail(CloseReason::DeviceGone, Soundness::Sound);
        }
    }

    /// Hands packets to the device.
    pub(crate) fn try_send(&self, packets: &mut TxBatch) -> io::Result<usize> {
        match &*self.tx.read() {
            Some(tx) => tx.try_send(packets),
            None => Err(io_error(SocketError::NetworkDown)),
        }
    }

    /// Whether the device takes packets again. For the driver: the device wakes the last caller.
    pub(crate) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.tx.read() {
            Some(tx) => tx.poll_send_ready(cx),
            None => Poll::Ready(Err(io_error(SocketError::NetworkDown))),
        }
    }

    pub(crate) fn device_statistics(&self) -> DeviceStatistics {
        self.tx.read().as_ref().map(|tx| tx.statistics()).unwrap_or_default()
    }

    /// Ends the stack: every pending and later call fails with `reason`.
    pub(crate) fn fail(&self, reason: CloseReason, soundness: Soundness) {
        let now = self.clock.now();
        let mut after = After::default();
        let mut inner = self.inner.lock();
        let now = inner.not_before(now);
        let report = inner.end(now, reason, soundness, &mut after);
        inner.collect(&mut after);
        let unsent = inner.egress.take_all();
        drop(inner);
        drop(unsent);
        report.send();
        after.driver = true;
        self.finish(after);
    }

    /// Begins to close the stack, within `deadline` from now.
    pub(crate) fn begin_closing(
        &self,
        deadline: Duration,
        to: Option<oneshot::Sender<ShutdownReport>>,
    ) {
        self.call(None, |inner, now, after| {
            // A stack that has ended refuses `to`, which is dropped after unlocking.
            let refused = inner.life.begin_closing(now + deadline, to);
            after.driver = true;
            refused
        });
    }

    /// Closes the device. The driver's last act.
    pub(crate) fn release_device(&self) {
        let tx = self.tx.write().take();
        drop(tx);
    }

    /// A call that is tried once: one part of a `try_*` method.
    pub(crate) fn try_call<R>(
        &self,
        touched: Option<ConnectionId>,
        attempt: impl FnOnce(&mut Endpoint, Instant) -> Result<R, SocketError>,
    ) -> io::Result<R> {
        self.call(touched, |inner, now, _| attempt(inner.engine()?, now)).map_err(io_error)
    }

    /// A `poll_*` method: the attempt, else its caller's waker is the one of its direction.
    pub(crate) fn poll_call<R>(
        &self,
        cx: &mut Context<'_>,
        target: Target,
        direction: Direction,
        touched: Option<ConnectionId>,
        attempt: impl FnOnce(&mut Endpoint, Instant) -> Result<R, SocketError>,
    ) -> Poll<io::Result<R>> {
        let budget = ready!(coop::poll_proceed(cx));
        let mut waker = Some(cx.waker().clone());
        let result = self.call(touched, |inner, now, after| {
            let result = inner.engine_of(target).and_then(|engine| attempt(engine, now));
            if matches!(result, Err(SocketError::WouldBlock))
                && let Some(waker) = waker.take()
            {
                after.discard = inner.waiters.set(target, direction, waker);
            }
            result
        });
        match result {
            Err(SocketError::WouldBlock) => Poll::Pending,
            result => {
                budget.made_progress();
                Poll::Ready(result.map_err(io_error))
            }
        }
    }

    /// An async method: the attempt, again after each event that meets `interest`, until it is not
    /// [`WouldBlock`](SocketError::WouldBlock). Any number of tasks may wait like this at once.
    pub(crate) fn wait<F, R>(
        &self,
        target: Target,
        interest: Readiness,
        attempt: F,
    ) -> Waiting<'_, F>
    where
        F: FnMut(&mut Endpoint, Instant) -> Result<R, SocketError>,
    {
        Waiting::new(self, target, interest, attempt)
    }
}

/// Dropped only by a panic under the lock: the engine may be half changed, so its stack ends.
struct Unwinding<'a>(&'a Shared);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.fail(CloseReason::Shutdown, Soundness::Doubtful);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Lease {
    pub(crate) fn new(shared: Arc<Shared>) -> Lease {
        shared.leases.fetch_add(1, Ordering::Relaxed);
        Lease(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Clone for Lease {
    fn clone(&self) -> Lease {
        Lease::new(Arc::clone(&self.0))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.leases.fetch_sub(1, Ordering::Release) == 1 {
            self.0.wake_driver();
        }
    }
}

impl std::ops::Deref for Lease {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
