//! Moving packets through an open TUN interface.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_tun::Tun;

use super::buffer::ReceiveBuffer;
use crate::fault::Fault;
use crate::sys;
use crate::{DeviceStatistics, Rx, RxBatch, RxPacket, Tx, TxBatch, TxPacket};

/// The interface, shared by both halves.
pub(super) struct TunIo {
    tun: Tun,
    /// Readiness, on a duplicate of the descriptor that `tun` reads and writes.
    ready: AsyncFd<OwnedFd>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    rx_packets: AtomicU64,
    rx_bytes: AtomicU64,
    rx_errors: AtomicU64,
    tx_packets: AtomicU64,
    tx_bytes: AtomicU64,
    tx_dropped: AtomicU64,
}

fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

impl TunIo {
    /// `file` is a duplicate of `tun`'s descriptor.
    pub(super) fn new(tun: Tun, file: OwnedFd) -> io::Result<Self> {
        Ok(Self { tun, ready: sys::watch(file)?, counters: Counters::default() })
    }

    /// Resolves when the kernel says that the descriptor is in error. Nothing but the removal of
    /// the interface is known to cause it; whoever waits finds out with a read.
    async fn in_error(self: Arc<Self>) -> io::Result<()> {
        self.ready.ready(Interest::ERROR).await?.clear_ready();
        Ok(())
    }
}

impl AsFd for TunIo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.get_ref().as_fd()
    }
}

impl std::fmt::Debug for TunIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunIo").field("ready", &self.ready).finish_non_exhaustive()
    }
}

type InError = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The receiving half.
pub(super) struct TunRx {
    io: Arc<TunIo>,
    buffer: ReceiveBuffer,
    /// One wait for as long as the device lives: it is polled whenever there is nothing to read.
    in_error: InError,
    fault: Option<Fault>,
}

/// How a round of reads ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There is nothing more to read.
    Drained,
    /// The batch is full, or the round was long enough.
    Paused,
    /// The device is gone; `fault` is set.
    Gone,
}

impl TunRx {
    pub(super) fn new(io: Arc<TunIo>) -> Self {
        let in_error = Box::pin(Arc::clone(&io).in_error());
        Self { io, buffer: ReceiveBuffer::new(), in_error, fault: None }
    }

    fn read_round(&mut self, batch: &mut RxBatch) -> Round {
        for _ in 0..batch.room() {
            match self.io.tun.try_recv(self.buffer.space()) {
                Ok(0) => add(&self.io.counters.rx_errors, 1),
                Ok(len) => {
                    add(&self.io.counters.rx_packets, 1);
                    add(&self.io.counters.rx_bytes, len);
                    batch.push(RxPacket::new(self.buffer.take(len)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Round::Drained,
                Err(error) if is_passing(&error) => add(&self.io.counters.rx_errors, 1),
                Err(error) => {
                    self.fault = Some(Fault::from(&error));
                    return Round::Gone;
                }
            }
        }
        Round::Paused
    }

    /// Waits until a round of reads is worth while, does it, and says how it ended.
    fn poll_round(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<Round>> {
        let io = Arc::clone(&self.io);
        if let Poll::Ready(guard) = io.ready.poll_read_ready(cx) {
            let mut guard = guard?;
            let round = self.read_round(batch);
            if round == Round::Drained {
                // Clears the readiness seen before the reads; an arrival since then stays seen.
                guard.clear_ready();
            }
            return Poll::Ready(Ok(round));
        }
        ready!(self.in_error.as_mut().poll(cx))?;
        self.in_error = Box::pin(io.in_error());
        Poll::Ready(Ok(self.read_round(batch)))
    }
}

impl Rx for TunRx {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        let before = batch.len();
        loop {
            if batch.room() == 0 || batch.len() > before {
                return Poll::Ready(Ok(()));
            }
            if let Some(fault) = &self.fault {
                return Poll::Ready(Err(fault.to_error()));
            }
            match ready!(self.poll_round(cx, batch)) {
                Ok(Round::Drained | Round::Gone) => {}
                Ok(Round::Paused) if batch.len() > before => {}
                Ok(Round::Paused) => {
                    // Nothing but passing failures: others run before the next round.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => self.fault = Some(Fault::from(&error)),
            }
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub(super) struct TunTx {
    io: Arc<TunIo>,
}

impl TunTx {
    pub(super) fn new(io: Arc<TunIo>) -> Self {
        Self { io }
    }

    /// Writes one packet; the kernel takes all of it or nothing.
    fn write(&self, packet: &TxPacket) -> io::Result<usize> {
        let slices = packet.io_slices();
        // Clears the readiness on WouldBlock, so that `poll_send_ready` waits for the next event.
        self.io.ready.try_io(Interest::WRITABLE, |_| self.io.tun.try_sendv(&slices))
    }
}

impl Tx for TunTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        let counters = &self.io.counters;
        let mut taken = 0;
        while let Some(packet) = batch.front() {
            debug_assert!(packet.is_plain(), "a plain TUN offers no offload");
            match self.write(packet) {
                // The kernel is not even asked about a packet without a byte.
                Ok(0) => add(&counters.tx_dropped, 1),
                Ok(len) => {
                    add(&counters.tx_packets, 1);
                    add(&counters.tx_bytes, len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_passing(&error) => add(&counters.tx_dropped, 1),
                // Would block, or gone: the next call says it again.
                Err(error) => return if taken > 0 { Ok(taken) } else { Err(error) },
            }
            batch.pop_front();
            taken += 1;
        }
        Ok(taken)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.io.ready.poll_write_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    fn statistics(&self) -> DeviceStatistics {
        let counters = &self.io.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeviceStatistics {
            rx_packets: get(&counters.rx_packets),
            rx_bytes: get(&counters.rx_bytes),
            rx_errors: get(&counters.rx_errors),
            tx_packets: get(&counters.tx_packets),
            tx_bytes: get(&counters.tx_bytes),
            tx_dropped: get(&counters.tx_dropped),
        }
    }
}

/// Whether a failure says something about this packet or this moment only.
///
/// EIO: the interface is down. EINVAL, EMSGSIZE: the kernel does not take this packet. ENOBUFS,
/// ENOMEM: memory is short. EPERM: a filter attached to the interface refused it. What is left,
/// EBADFD after a removal above all, is for good.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
        || matches!(
            error.raw_os_error(),
            Some(
                libc::EIO
                    | libc::EINVAL
                    | libc::EMSGSIZE
                    | libc::ENOBUFS
                    | libc::ENOMEM
                    | libc::ENETDOWN
                    | libc::EPERM
            )
        )
}
