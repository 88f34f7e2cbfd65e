//! A cable between two stacks of one process.
//!
//! [`pair`] gives its two ends. What one end sends the other receives, unchanged and in order,
//! through a queue of bounded length each way. There is no thread, no timer and no kernel behind
//! it, so it needs no privilege and is safe under a paused clock.
//!
//! Dropping a half unplugs its direction: the far [`Rx`] first gives what was already sent and
//! then fails, the far [`Tx`] fails at once, both with
//! [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).

use std::io;
use std::task::{Context, Poll};

use crate::queue::{self, Finished, Probe, Receiver, Sender};
use crate::{Capabilities, Device, DeviceStatistics, Rx, RxBatch, RxPacket, Tx, TxBatch};

/// How many packets [`pair`] lets wait each way.
pub const DEFAULT_QUEUE_PACKETS: usize = 4096;

/// Two ends of a cable that carries packets of up to `mtu` bytes.
///
/// ```
/// use towpath_device::{Device, memory};
///
/// let (left, right) = memory::pair(1500);
/// assert_eq!(left.capabilities().mtu, 1500);
/// assert!(right.is_virtual_time_safe());
/// ```
#[must_use]
pub fn pair(mtu: usize) -> (MemoryDevice, MemoryDevice) {
    pair_with_queue(mtu, DEFAULT_QUEUE_PACKETS)
}

/// [`pair`] with room for `packets` waiting packets each way, at least 1.
#[must_use]
pub fn pair_with_queue(mtu: usize, packets: usize) -> (MemoryDevice, MemoryDevice) {
    let (to_right, at_right) = queue::bounded(packets);
    let (to_left, at_left) = queue::bounded(packets);
    let (left_seen, right_seen) = (to_left.probe(), to_right.probe());
    (
        MemoryDevice {
            mtu,
            rx: MemoryRx(at_left),
            tx: MemoryTx { sender: to_right, received: left_seen },
        },
        MemoryDevice {
            mtu,
            rx: MemoryRx(at_right),
            tx: MemoryTx { sender: to_left, received: right_seen },
        },
    )
}

/// One end of the cable that [`pair`] makes.
#[derive(Debug)]
pub struct MemoryDevice {
    mtu: usize,
    rx: MemoryRx,
    tx: MemoryTx,
}

impl Device for MemoryDevice {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.mtu)
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        Ok((Box::new(self.rx), Box::new(self.tx)))
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn is_virtual_time_safe(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct MemoryRx(Receiver);

impl Rx for MemoryRx {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        let room = batch.room();
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        match self.0.poll_filled(cx) {
            Poll::Ready(Ok(())) => {
                self.0.take(room, |data| batch.push(RxPacket::new(data)));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(Finished)) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the other end of the memory device is gone",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[derive(Debug)]
struct MemoryTx {
    sender: Sender,
    received: Probe,
}

impl Tx for MemoryTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        self.sender.try_send(batch)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn statistics(&self) -> DeviceStatistics {
        let (sent, received) = (self.sender.sent(), self.received.received());
        DeviceStatistics {
            tx_packets: sent.packets,
            tx_bytes: sent.bytes,
            rx_packets: received.packets,
            rx_bytes: received.bytes,
            ..DeviceStatistics::default()
        }
    }
}
