//! A cable that can be cut: what its end sends is lost from then on, without a word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use towpath::device::memory::MemoryDevice;
use towpath::device::{Capabilities, Device, Rx, Tx, TxBatch, memory};

use super::{Pair, client_on, server_on};

/// Cuts the cable when asked to.
#[derive(Clone)]
pub struct Scissors(Arc<AtomicBool>);

impl Scissors {
    pub fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A pair whose client can be silenced.
pub fn pair_with_scissors() -> (Pair, Scissors) {
    let (left, right) = memory::pair(1500);
    let scissors = Scissors(Arc::default());
    let end = End { device: right, scissors: scissors.clone() };
    let server = server_on(left).build().unwrap();
    (Pair { server, client: client_on(end).build().unwrap() }, scissors)
}

struct End {
    device: MemoryDevice,
    scissors: Scissors,
}

impl Device for End {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let (rx, tx) = Box::new(self.device).split()?;
        Ok((rx, Box::new(Sender { tx, scissors: self.scissors })))
    }

    fn is_virtual_time_safe(&self) -> bool {
        self.device.is_virtual_time_safe()
    }
}

struct Sender {
    tx: Box<dyn Tx>,
    scissors: Scissors,
}

impl Tx for Sender {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        if !self.scissors.0.load(Ordering::Relaxed) {
            return self.tx.try_send(batch);
        }
        let lost = batch.len();
        batch.clear();
        Ok(lost)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tx.poll_send_ready(cx)
    }
}
