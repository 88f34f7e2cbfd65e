//! Any device, with a capture of what passes.
//!
//! Each packet is recorded once: an arriving one when the inner device gives it, a departing one
//! when the inner device takes it. Times are the wall clock's. The file's order is the order of
//! events: the capture is held while a batch is sent, so an answer is never recorded before what
//! it answers. That makes every send wait for the capture's writer; give it a buffered one.
//!
//! A capture that cannot be written ends; the device goes on. [`CaptureHandle::flush`] tells.

use std::io::{self, Write};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::fault::Fault;
use crate::pcapng::{Direction, PcapngWriter};
use crate::{
    Capabilities, Device, DeviceStatistics, Rx, RxBatch, RxChecksum, Tx, TxBatch, TxChecksum,
    TxPacket,
};

/// A device that records both directions as pcapng.
///
/// ```
/// use std::io::BufWriter;
/// use towpath_device::{Captured, memory};
///
/// # fn main() -> std::io::Result<()> {
/// let (device, _far_end) = memory::pair(1500);
/// let device = Captured::new(device, BufWriter::new(Vec::new()))?;
/// let capture = device.handle();
/// // ... the stack runs over `device` ...
/// capture.flush()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Captured<D, W: Write> {
    device: D,
    capture: Arc<Mutex<Capture<W>>>,
}

impl<D: Device, W: Write + Send + 'static> Captured<D, W> {
    /// Records what passes through `device` to `writer`, which sees the file's header at once.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn new(device: D, writer: W) -> io::Result<Self> {
        let writer = PcapngWriter::new(writer, device.name())?;
        let capture = Arc::new(Mutex::new(Capture { writer, fault: None }));
        Ok(Self { device, capture })
    }

    /// A handle to flush the capture with while the device is in use.
    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        CaptureHandle(Arc::clone(&self.capture) as Arc<dyn Flush + Send + Sync>)
    }
}

/// Access to the capture of a [`Captured`] device.
#[derive(Clone)]
pub struct CaptureHandle(Arc<dyn Flush + Send + Sync>);

impl CaptureHandle {
    /// Writes out what is recorded so far.
    ///
    /// # Errors
    ///
    /// The error that ended the capture, if one did.
    pub fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl std::fmt::Debug for CaptureHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureHandle").finish_non_exhaustive()
    }
}

/// Hides the writer's type.
trait Flush {
    fn flush(&self) -> io::Result<()>;
}

impl<W: Write> Flush for Mutex<Capture<W>> {
    fn flush(&self) -> io::Result<()> {
        let mut capture = self.lock();
        capture.attempt(PcapngWriter::flush);
        capture.fault.as_ref().map_or(Ok(()), |fault| Err(fault.to_error()))
    }
}

#[derive(Debug)]
struct Capture<W> {
    writer: PcapngWriter<W>,
    /// Set when writing failed; nothing is written behind a torn block.
    fault: Option<Fault>,
}

impl<W: Write> Capture<W> {
    fn attempt(&mut self, write: impl FnOnce(&mut PcapngWriter<W>) -> io::Result<()>) {
        if self.fault.is_none()
            && let Err(error) = write(&mut self.writer)
        {
            self.fault = Some(Fault::from(&error));
        }
    }

    fn record(&mut self, direction: Direction, packet: &[u8], comment: Option<&str>) {
        let time_ns = wall_clock_ns();
        self.attempt(|writer| writer.write_packet(time_ns, direction, packet, comment));
    }
}

fn wall_clock_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl<D: Device, W: Write + Send + 'static> Device for Captured<D, W> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let (rx, tx) = Box::new(self.device).split()?;
        let capture = Arc::clone(&self.capture);
        Ok((
            Box::new(CapturedRx { inner: rx, capture: self.capture }),
            Box::new(CapturedTx { inner: tx, capture }),
        ))
    }

    fn name(&self) -> &str {
        self.device.name()
    }

    fn is_virtual_time_safe(&self) -> bool {
        self.device.is_virtual_time_safe()
    }
}

struct CapturedRx<W> {
    inner: Box<dyn Rx>,
    capture: Arc<Mutex<Capture<W>>>,
}

impl<W: Write + Send> Rx for CapturedRx<W> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        let before = batch.len();
        ready!(self.inner.poll_recv(cx, batch))?;
        let mut capture = self.capture.lock();
        for packet in batch.iter().skip(before) {
            let comment = match packet.checksum {
                RxChecksum::Unverified => None,
                RxChecksum::Trusted => Some("checksum not looked at: the device vouches for it"),
            };
            capture.record(Direction::Inbound, &packet.data, comment);
        }
        Poll::Ready(Ok(()))
    }
}

struct CapturedTx<W> {
    inner: Box<dyn Tx>,
    capture: Arc<Mutex<Capture<W>>>,
}

impl<W: Write + Send> Tx for CapturedTx<W> {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        // The inner device consumes what it takes, so a copy of each packet is kept; its payload
        // is shared, not copied.
        let packets: Vec<TxPacket> = batch.iter().cloned().collect();
        let mut capture = self.capture.lock();
        let taken = self.inner.try_send(batch)?;
        for packet in packets.iter().take(taken) {
            let comment = match packet.checksum {
                TxChecksum::Complete => None,
                TxChecksum::Partial { .. } => Some("checksum left to the device"),
            };
            capture.record(Direction::Outbound, &packet.to_bytes(), comment);
        }
        Ok(taken)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_send_ready(cx)
    }

    fn statistics(&self) -> DeviceStatistics {
        self.inner.statistics()
    }
}
