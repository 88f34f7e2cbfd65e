//! Any `Stream` and `Sink` of packets as a device.
//!
//! For a tunnel whose packets are already in this process: a VPN's inner side, a WebSocket, a
//! channel. The stream gives arriving packets, the sink takes departing ones, each item one whole
//! IP packet.
//!
//! A `Sink` wants to be polled by one task and a stack sends from many, so a bounded queue stands
//! between: [`Tx::try_send`] fills it, and a task that [`Device::split`] spawns empties it into the
//! sink and flushes whenever the queue runs dry. When the sending half is dropped the task
//! delivers what is queued, closes the sink and ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::fault::Fault;
use crate::queue::{self, Count, Finished, Receiver, Sender};
use crate::{Capabilities, Device, DeviceStatistics, Rx, RxBatch, RxPacket, Tx, TxBatch};

/// How many packets wait for the sink before [`Tx::try_send`] would block.
pub const QUEUE_PACKETS: usize = 1024;

/// How many packets the task moves to a sink that is always ready before it lets others run.
const PACKETS_PER_TURN: usize = 128;

/// A device made of a stream of arriving packets and a sink for departing ones.
///
/// The end of the stream, an error in it, and an error of the sink each end the device.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use bytes::Bytes;
/// use futures::channel::mpsc;
/// use futures::{SinkExt, StreamExt};
/// use towpath_device::{Device, PacketStream};
///
/// let (_to_stack, arriving) = mpsc::channel::<Bytes>(16);
/// let (departing, _from_stack) = mpsc::channel::<Bytes>(16);
/// let device = PacketStream::new(
///     arriving.map(Ok),
///     departing.sink_map_err(std::io::Error::other),
///     1420,
/// );
/// assert_eq!(device.capabilities().mtu, 1420);
/// # }
/// ```
pub struct PacketStream {
    stream: BoxedStream,
    sink: BoxedSink,
    mtu: usize,
    clock: Clock,
}

type BoxedStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;
type BoxedSink = Pin<Box<dyn Sink<Bytes, Error = io::Error> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Real,
    MayBePaused,
}

impl PacketStream {
    /// A device that receives from `stream`, sends to `sink`, and carries packets of up to `mtu`
    /// bytes.
    #[must_use]
    pub fn new<St, Si>(stream: St, sink: Si, mtu: usize) -> Self
    where
        St: Stream<Item = io::Result<Bytes>> + Send + 'static,
        Si: Sink<Bytes> + Send + 'static,
        Si::Error: Into<io::Error>,
    {
        Self {
            stream: Box::pin(stream),
            sink: Box::pin(IoErrors(Box::pin(sink))),
            mtu,
            clock: Clock::Real,
        }
    }

    /// Says that whatever is behind the stream and the sink lives by this runtime's clock, so that
    /// a stack over this device may run in paused time.
    #[must_use]
    pub fn virtual_time_safe(mut self) -> Self {
        self.clock = Clock::MayBePaused;
        self
    }
}

impl std::fmt::Debug for PacketStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketStream")
            .field("mtu", &self.mtu)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Device for PacketStream {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.mtu)
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (sender, receiver) = queue::bounded(QUEUE_PACKETS);
        let received = Arc::new(Mutex::new(Count::default()));
        let mut pump = Pump { packets: receiver, sink: self.sink };
        runtime.spawn(async move {
            let fault = match poll_fn(|cx| pump.poll_run(cx)).await {
                Ok(()) => Fault::new(io::ErrorKind::BrokenPipe, "the packet sink is closed"),
                Err(error) => Fault::from(&error),
            };
            pump.packets.fail(fault);
        });
        let rx = StreamRx { stream: self.stream, received: Arc::clone(&received), fault: None };
        Ok((Box::new(rx), Box::new(SinkTx { sender, received })))
    }

    fn name(&self) -> &str {
        "packet stream"
    }

    fn is_virtual_time_safe(&self) -> bool {
        self.clock == Clock::MayBePaused
    }
}

struct StreamRx {
    stream: BoxedStream,
    received: Arc<Mutex<Count>>,
    /// Set once the stream is over; it is not polled after that.
    fault: Option<Fault>,
}

impl StreamRx {
    /// Takes packets until the stream has none now, the batch is full, or the stream is over.
    fn fill(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) {
        while self.fault.is_none() && batch.room() > 0 {
            match self.stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    self.received.lock().add(data.len());
                    batch.push(RxPacket::new(data));
                }
                Poll::Ready(Some(Err(error))) => self.fault = Some(Fault::from(&error)),
                Poll::Ready(None) => {
                    let text = "the stream of packets ended";
                    self.fault = Some(Fault::new(io::ErrorKind::UnexpectedEof, text));
                }
                Poll::Pending => return,
            }
        }
    }
}

impl Rx for StreamRx {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        let before = batch.len();
        self.fill(cx, batch);
        if batch.len() > before || batch.room() == 0 {
            return Poll::Ready(Ok(()));
        }
        match &self.fault {
            Some(fault) => Poll::Ready(Err(fault.to_error())),
            None => Poll::Pending,
        }
    }
}

/// The task between the queue and the sink. Dropping it, with its runtime for example, ends the
/// queue, so that no sender waits for it.
struct Pump {
    packets: Receiver,
    sink: BoxedSink,
}

impl Pump {
    /// Moves packets to the sink until the sender is gone or the sink fails.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..PACKETS_PER_TURN {
            match self.packets.poll_filled(cx) {
                Poll::Ready(Ok(())) => {
                    // A packet leaves the queue only when the sink has room for it, so that a slow
                    // sink fills the queue and the senders feel it.
                    ready!(self.sink.as_mut().poll_ready(cx))?;
                    let mut next = None;
                    self.packets.take(1, |data| next = Some(data));
                    if let Some(data) = next {
                        self.sink.as_mut().start_send(data)?;
                    }
                }
                Poll::Ready(Err(Finished)) => return self.sink.as_mut().poll_close(cx),
                Poll::Pending => {
                    // Done or not: the next packet and the sink's progress both wake this task.
                    let _flushed = self.sink.as_mut().poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

struct SinkTx {
    sender: Sender,
    received: Arc<Mutex<Count>>,
}

impl Tx for SinkTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        self.sender.try_send(batch)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn statistics(&self) -> DeviceStatistics {
        let (sent, received) = (self.sender.sent(), *self.received.lock());
        DeviceStatistics {
            tx_packets: sent.packets,
            tx_bytes: sent.bytes,
            rx_packets: received.packets,
            rx_bytes: received.bytes,
            ..DeviceStatistics::default()
        }
    }
}

/// A sink whose errors are `io::Error`.
struct IoErrors<Si>(Pin<Box<Si>>);

impl<Si> Sink<Bytes> for IoErrors<Si>
where
    Si: Sink<Bytes>,
    Si::Error: Into<io::Error>,
{
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_ready(cx).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, data: Bytes) -> io::Result<()> {
        self.0.as_mut().start_send(data).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx).map_err(Into::into)
    }
}
