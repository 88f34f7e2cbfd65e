//! The future behind every async method: an attempt that is made again after each event of
//! interest.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::coop;
use towpath_engine::{Endpoint, Instant, Readiness, SocketError};

use crate::error::io_error;
use crate::shared::Shared;
use crate::waiters::{Target, WaiterKey};

/// The future of [`Shared::wait`]. Dropping it takes its waker off the list: it has done nothing
/// unless it returned.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Waiting<'a, F> {
    shared: &'a Shared,
    target: Target,
    interest: Readiness,
    attempt: F,
    key: Option<WaiterKey>,
}

impl<'a, F> Waiting<'a, F> {
    pub(crate) fn new(
        shared: &'a Shared,
        target: Target,
        interest: Readiness,
        attempt: F,
    ) -> Waiting<'a, F> {
        Waiting { shared, target, interest, attempt, key: None }
    }
}

impl<F, R> Future for Waiting<'_, F>
where
    F: FnMut(&mut Endpoint, Instant) -> Result<R, SocketError> + Unpin,
{
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let budget = ready!(coop::poll_proceed(cx));
        let Waiting { shared, target, interest, attempt, key } = self.get_mut();
        let mut waker = Some(cx.waker().clone());
        let result = shared.call(None, |inner, now, after| {
            let result = inner.engine_of(*target).and_then(|engine| attempt(engine, now));
            if matches!(result, Err(SocketError::WouldBlock)) {
                let Some(waker) = waker.take() else { return result };
                match key {
                    Some(key) => after.discard = inner.waiters.refresh(key, waker),
                    None => *key = Some(inner.waiters.enlist(*target, *interest, waker)),
                }
            } else if let Some(key) = key.take() {
                after.discard = inner.waiters.remove(key);
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
}

impl<F> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.shared.look(|inner| inner.waiters.remove(key)));
        }
    }
}
