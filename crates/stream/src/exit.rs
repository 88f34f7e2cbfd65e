//! What was written is delivered although `main` returns.
//!
//! A stack with a thread of its own could go on delivering, were it not that the process ends when
//! `main` returns. So the main thread keeps a guard in a thread local, whose destructor closes the
//! stack and waits for its thread, which ends within the stack's `exit_linger`. By then `main`'s
//! own values and its runtime are gone, so all streams are closed that are going to be.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::shared::Shared;

thread_local! {
    static GUARDS: RefCell<Vec<ExitGuard>> = const { RefCell::new(Vec::new()) };
}

/// Waits for one stack's thread when the main thread ends.
pub(crate) struct ExitGuard {
    shared: Weak<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ExitGuard {
    /// Keeps a guard on the main thread. On any other, whose end means nothing for the process,
    /// the stack's thread is left to itself.
    pub(crate) fn install(shared: &Arc<Shared>, thread: JoinHandle<()>) {
        // The standard library's name for the thread that runs `main`.
        if !cfg!(unix) || std::thread::current().name() != Some("main") {
            return;
        }
        let guard = ExitGuard { shared: Arc::downgrade(shared), thread: Some(thread) };
        GUARDS.with_borrow_mut(|guards| {
            // Stacks that have ended leave no guard behind.
            guards
                .retain(|guard| guard.thread.as_ref().is_some_and(|thread| !thread.is_finished()));
            guards.push(guard);
        });
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if let Some(shared) = self.shared.upgrade() {
            shared.begin_exit();
        }
        // A panic of the driver has been reported by its own thread.
        let _ = thread.join();
    }
}
