//! The ambient stack: which one `TcpStream::connect` and `TcpListener::bind` mean.
//!
//! Looked up when they are called, innermost first: what this thread runs inside
//! ([`Stack::scope`] around a poll, [`Stack::enter`] until its guard is dropped), else the
//! process's default ([`Stack::set_default`]). Never the kernel: a program that forgot to choose
//! gets an error that names the ways.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::RwLock;
use pin_project_lite::pin_project;

use crate::error::Error;
use crate::stack::Stack;

thread_local! {
    static CURRENT: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

static DEFAULT: RwLock<Option<Stack>> = RwLock::new(None);

const NO_STACK: &str = "no Towpath stack here: run the future in `stack.scope(..)`, hold the guard \
     of `stack.enter()`, or call `stack.set_default()` once";

/// The ambient stack.
pub(crate) fn current() -> io::Result<Stack> {
    CURRENT
        .with_borrow(Clone::clone)
        .or_else(|| DEFAULT.read().clone())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, NO_STACK))
}

/// Makes `stack` the process's default. A default that has ended may be replaced.
pub(crate) fn set_default(stack: &Stack) -> Result<(), Error> {
    let mut default = DEFAULT.write();
    if default.as_ref().is_some_and(|present| !present.has_ended()) {
        return Err(Error::DefaultIsSet);
    }
    let replaced = default.replace(stack.clone());
    drop(default);
    drop(replaced);
    Ok(())
}

fn swap(stack: &mut Option<Stack>) {
    // A thread that ends has no ambient stack any more.
    let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), stack));
}

pin_project! {
    /// A future that runs inside a stack: see [`Stack::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scope<F> {
        stack: Option<Stack>,
        // `None` only while it is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scope<F> {
        fn drop(this: Pin<&mut Self>) {
            // What the future holds is dropped inside the stack too.
            let mut this = this.project();
            swap(this.stack);
            let _restore = Restore(this.stack);
            this.future.set(None);
        }
    }
}

impl<F> Scope<F> {
    pub(crate) fn new(stack: Stack, future: F) -> Scope<F> {
        Scope { stack: Some(stack), future: Some(future) }
    }
}

/// Puts the outer stack back, also when the future panics.
struct Restore<'a>(&'a mut Option<Stack>);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        swap(self.0);
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // The stack itself changes places with the outer one, so a poll touches no reference count.
        swap(this.stack);
        let _restore = Restore(this.stack);
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Makes a stack the ambient one of this thread until it is dropped: see [`Stack::enter`].
///
/// Guards are to be dropped in the reverse order of their making. The guard stays on its thread:
///
/// ```compile_fail
/// fn assert_send<T: Send>() {}
/// assert_send::<towpath::EnterGuard<'static>>();
/// ```
#[derive(Debug)]
#[must_use = "the stack is the ambient one only until the guard is dropped"]
pub struct EnterGuard<'a> {
    outer: Option<Stack>,
    stack: PhantomData<(&'a Stack, *mut ())>,
}

impl EnterGuard<'_> {
    pub(crate) fn new(stack: &Stack) -> EnterGuard<'_> {
        let mut outer = Some(stack.clone());
        swap(&mut outer);
        EnterGuard { outer, stack: PhantomData }
    }
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        swap(&mut self.outer);
        // What is in `outer` now is this guard's stack, dropped outside the thread's cell.
    }
}
