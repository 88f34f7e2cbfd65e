//! A bounded queue of packets between a stack's senders and one receiving task.
//!
//! It is the sending half of the devices that are not a file descriptor: the memory cable, and the
//! sink of a packet stream. The queue owns backpressure and both wake-ups; what the receiver does
//! with the packets is its own affair.
//!
//! Payload is copied under no lock: a sender reserves room, copies, and fills the room. Wakers run
//! and packets are dropped after the lock is released.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::TxBatch;
use crate::fault::Fault;

/// A queue with room for `capacity` packets, at least 1.
pub(crate) fn bounded(capacity: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Shared { capacity: capacity.max(1), state: Mutex::default() });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// Packets and bytes that passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, len_bytes: usize) {
        self.packets += 1;
        self.bytes += len_bytes as u64;
    }
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    packets: VecDeque<Bytes>,
    /// Room promised to a sender that is copying its packets.
    reserved: usize,
    sender: Option<Waker>,
    receiver: Option<Waker>,
    sender_gone: bool,
    /// Why nothing can be sent any more.
    fault: Option<Fault>,
    sent: Count,
    received: Count,
}

impl Shared {
    fn room(&self, state: &State) -> usize {
        self.capacity.saturating_sub(state.packets.len() + state.reserved)
    }

    fn fail(&self, fault: Fault) {
        let mut state = self.state.lock();
        state.fault.get_or_insert(fault);
        let undelivered = std::mem::take(&mut state.packets);
        let sender = state.sender.take();
        drop(state);
        drop(undelivered);
        wake(sender);
    }
}

/// The end that tasks of the stack push into.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Shared>);

impl Sender {
    /// [`Tx::try_send`](crate::Tx::try_send).
    pub(crate) fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        let room = self.reserve(batch.len())?;
        let packets: Vec<Bytes> = std::iter::from_fn(|| batch.pop_front())
            .take(room)
            .map(|packet| {
                debug_assert!(packet.is_plain(), "no offload was offered");
                packet.to_bytes().freeze()
            })
            .collect();
        self.fill(packets);
        Ok(room)
    }

    /// Takes room for as many of `wanted` packets as there is room for.
    fn reserve(&self, wanted: usize) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.to_error());
        }
        let room = self.0.room(&state).min(wanted);
        if room == 0 && wanted > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.reserved += room;
        Ok(room)
    }

    /// Fills the room that was taken.
    fn fill(&self, packets: Vec<Bytes>) {
        let mut state = self.0.state.lock();
        state.reserved -= packets.len();
        if state.fault.is_some() {
            // The receiver left meanwhile. The lock goes before the packets do.
            return drop(state);
        }
        for data in packets {
            state.sent.add(data.len());
            state.packets.push_back(data);
        }
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }

    /// [`Tx::poll_send_ready`](crate::Tx::poll_send_ready).
    pub(crate) fn poll_ready(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if let Some(fault) = &state.fault {
            return Poll::Ready(Err(fault.to_error()));
        }
        if self.0.room(&state) > 0 {
            return Poll::Ready(Ok(()));
        }
        let replaced = state.sender.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    pub(crate) fn sent(&self) -> Count {
        self.0.state.lock().sent
    }

    /// A view of the counters that keeps neither end alive.
    pub(crate) fn probe(&self) -> Probe {
        Probe(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.sender_gone = true;
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }
}

/// Counters of a queue, for the half of a device that sees only the other direction.
#[derive(Debug)]
pub(crate) struct Probe(Arc<Shared>);

impl Probe {
    pub(crate) fn received(&self) -> Count {
        self.0.state.lock().received
    }
}

/// The end that one task takes packets from.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Shared>);

/// The sender is gone and every packet it sent has been taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished;

impl Receiver {
    /// Ready when there is a packet, or when there will never be one again.
    pub(crate) fn poll_filled(&mut self, cx: &Context<'_>) -> Poll<Result<(), Finished>> {
        let mut state = self.0.state.lock();
        if !state.packets.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if state.sender_gone {
            return Poll::Ready(Err(Finished));
        }
        let replaced = state.receiver.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Takes at most `limit` packets that are there now.
    pub(crate) fn take(&mut self, limit: usize, mut each: impl FnMut(Bytes)) {
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        let count = limit.min(state.packets.len());
        for data in state.packets.drain(..count) {
            state.received.add(data.len());
            each(data);
        }
        let sender = if count > 0 { state.sender.take() } else { None };
        drop(guard);
        wake(sender);
    }

    /// Ends the queue: senders get this fault from now on.
    pub(crate) fn fail(&self, fault: Fault) {
        self.0.fail(fault);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.fail(Fault::new(io::ErrorKind::BrokenPipe, "the receiving end is gone"));
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
