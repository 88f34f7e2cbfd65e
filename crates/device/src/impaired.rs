//! Any device behind two emulated links.
//!
//! [`Impaired`] puts a [`netem::Link`](towpath_netem::Link) on each way between a stack and a
//! device. It reports no offload, so that every loss is the loss of one packet and every
//! corrupted packet meets a checksum.
//!
//! Arriving packets wait in the receive link until [`Rx::poll_recv`] finds them due; one tokio
//! timer wakes it. Departing packets wait in the send link; a task that [`Device::split`] spawns
//! hands them to the inner device when they are due, whether or not anybody sends. When the
//! sending half is dropped, packets already under way still arrive, as they would from a wire, and
//! then the task ends.
//!
//! Time is tokio's, paused or not, whose grain is a millisecond, rounded up. Packets that are due
//! within the same millisecond arrive together, in order.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use towpath_netem::{Link, LinkConfig, LinkError, LinkStatistics, Payload};

use crate::fault::Fault;
use crate::{
    Capabilities, Device, DeviceStatistics, Rx, RxBatch, RxChecksum, RxPacket, Tx, TxBatch,
    TxPacket,
};

/// How many packets go from a link to a device at a time.
const BATCH_PACKETS: usize = 64;

/// A device whose packets pass through an emulated link each way.
///
/// ```
/// use std::time::Duration;
/// use towpath_device::netem::LinkConfig;
/// use towpath_device::{Impaired, memory};
///
/// # fn main() -> Result<(), towpath_device::netem::LinkError> {
/// let (left, right) = memory::pair(1500);
/// let way = LinkConfig::new().delay(Duration::from_millis(20)).loss(0.01);
/// let left = Impaired::new(left, way.clone(), way, 42)?;
/// let links = left.statistics_handle();
/// assert_eq!(links.tx().lost, 0);
/// # drop(right);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Impaired<D> {
    device: D,
    links: ImpairedStatistics,
}

impl<D: Device> Impaired<D> {
    /// Puts `device` behind two links: what it receives passes `config_rx`, what is sent to it
    /// passes `config_tx`. Their decisions are drawn from `seed`, different ones each way.
    ///
    /// An offload that the inner device does on receive must be off.
    ///
    /// # Errors
    ///
    /// When a configuration makes no sense.
    pub fn new(
        device: D,
        config_rx: LinkConfig,
        config_tx: LinkConfig,
        seed: u64,
    ) -> Result<Self, LinkError> {
        let links = ImpairedStatistics {
            rx: Arc::new(Mutex::new(Link::new(config_rx, seed)?)),
            // Any other seed will do: netem mixes it.
            tx: Arc::new(Mutex::new(Link::new(config_tx, !seed)?)),
        };
        Ok(Self { device, links })
    }

    /// The counters of both links, readable while the device is in use.
    #[must_use]
    pub fn statistics_handle(&self) -> ImpairedStatistics {
        self.links.clone()
    }
}

/// The counters of an [`Impaired`] device's links.
#[derive(Clone, Debug)]
pub struct ImpairedStatistics {
    rx: Arc<Mutex<Link<Arrived>>>,
    tx: Arc<Mutex<Link<Bytes>>>,
}

impl ImpairedStatistics {
    /// What the link before the receiving half has done.
    #[must_use]
    pub fn rx(&self) -> LinkStatistics {
        self.rx.lock().statistics()
    }

    /// What the link behind the sending half has done.
    #[must_use]
    pub fn tx(&self) -> LinkStatistics {
        self.tx.lock().statistics()
    }

    /// How many packets are under way, arriving and departing.
    #[must_use]
    pub fn in_flight(&self) -> (usize, usize) {
        (self.rx.lock().in_flight(), self.tx.lock().in_flight())
    }
}

impl<D: Device> Device for Impaired<D> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.device.capabilities().mtu)
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (rx, tx) = Box::new(self.device).split()?;
        let epoch = Epoch(Instant::now());
        let rx = ImpairedRx {
            inner: rx,
            inner_fault: None,
            arrived: RxBatch::new(BATCH_PACKETS),
            link: self.links.rx,
            epoch,
            timer: Box::pin(sleep_until(epoch.0)),
        };
        let way = Arc::new(OutgoingWay {
            link: self.links.tx,
            epoch,
            device: tx,
            earlier: Notify::new(),
            life: Mutex::new(Life::Open),
        });
        runtime.spawn(OutgoingWay::run(RunGuard(Arc::clone(&way))));
        Ok((Box::new(rx), Box::new(ImpairedTx(way))))
    }

    fn name(&self) -> &str {
        self.device.name()
    }

    fn is_virtual_time_safe(&self) -> bool {
        self.device.is_virtual_time_safe()
    }
}

/// The zero of the links' time.
#[derive(Clone, Copy, Debug)]
struct Epoch(Instant);

impl Epoch {
    fn now_ns(self) -> u64 {
        // 584 years.
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn at(self, time_ns: u64) -> Instant {
        self.0 + Duration::from_nanos(time_ns)
    }
}

/// An arrived packet on the emulated link.
#[derive(Debug)]
struct Arrived(RxPacket);

impl Payload for Arrived {
    fn len(&self) -> usize {
        self.0.data.len()
    }

    fn flip_bit(&mut self, bit_index: usize) {
        self.0.data.flip_bit(bit_index);
        // What the device knew of the checksum was about the packet before.
        self.0.checksum = RxChecksum::Unverified;
    }

    fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    fn ip_packet(&self) -> Option<&[u8]> {
        self.0.data.ip_packet()
    }

    /// What is written over is a mark in the IP header, which no checksum of TCP covers.
    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        self.0.data.overwrite(offset, bytes);
    }
}

struct ImpairedRx {
    inner: Box<dyn Rx>,
    /// The inner device is gone; what is under way still arrives.
    inner_fault: Option<Fault>,
    arrived: RxBatch,
    link: Arc<Mutex<Link<Arrived>>>,
    epoch: Epoch,
    timer: Pin<Box<Sleep>>,
}

impl ImpairedRx {
    /// Moves what the inner device has now onto the link. Ready when it may have more.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inner_fault.is_some() {
            return Poll::Pending;
        }
        if let Err(error) = ready!(self.inner.poll_recv(cx, &mut self.arrived)) {
            self.inner_fault = Some(Fault::from(&error));
        }
        let now_ns = self.epoch.now_ns();
        let mut link = self.link.lock();
        for packet in self.arrived.drain() {
            link.offer(now_ns, Arrived(packet));
        }
        Poll::Ready(())
    }

    /// Moves what is due from the link to `batch`, and says when the next one is.
    fn deliver(&mut self, batch: &mut RxBatch) -> Option<u64> {
        let now_ns = self.epoch.now_ns();
        let mut link = self.link.lock();
        while batch.room() > 0
            && let Some(Arrived(packet)) = link.deliver(now_ns)
        {
            batch.push(packet);
        }
        link.next_delivery_ns()
    }
}

impl Rx for ImpairedRx {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        let before = batch.len();
        let inner = self.poll_inner(cx);
        let next_ns = self.deliver(batch);
        if batch.len() > before || batch.room() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(next_ns) = next_ns {
            let at = self.epoch.at(next_ns);
            if self.timer.deadline() != at || self.timer.is_elapsed() {
                self.timer.as_mut().reset(at);
            }
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        } else if let Some(fault) = &self.inner_fault {
            return Poll::Ready(Err(fault.to_error()));
        }
        if inner.is_ready() {
            // All that arrived was lost or is delayed, and there may be more: others run first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The link behind the sending half and the device behind the link.
struct OutgoingWay {
    link: Arc<Mutex<Link<Bytes>>>,
    epoch: Epoch,
    device: Box<dyn Tx>,
    /// Something is due earlier than the task thinks, or the sending half is gone.
    earlier: Notify,
    life: Mutex<Life>,
}

#[derive(Clone, Debug)]
enum Life {
    Open,
    /// The sending half is gone; what is under way still arrives.
    Draining,
    /// The inner device failed, or the task was stopped.
    Ended(Fault),
}

impl OutgoingWay {
    /// The task: hands packets to the device when they are due.
    async fn run(guard: RunGuard) {
        let way = &guard.0;
        let mut due = TxBatch::new();
        loop {
            let next_ns = way.take_due(&mut due);
            if !due.is_empty() {
                if let Err(error) = way.send(&mut due).await {
                    *way.life.lock() = Life::Ended(Fault::from(&error));
                    return;
                }
                continue;
            }
            match next_ns {
                Some(next_ns) => {
                    // Elapsed or notified: either way the link is asked again.
                    let _ = timeout_at(way.epoch.at(next_ns), way.earlier.notified()).await;
                }
                None if matches!(*way.life.lock(), Life::Draining) => return,
                None => way.earlier.notified().await,
            }
        }
    }

    /// Takes what is due, up to a batch, and says when the next packet is.
    fn take_due(&self, due: &mut TxBatch) -> Option<u64> {
        let now_ns = self.epoch.now_ns();
        let mut link = self.link.lock();
        while due.len() < BATCH_PACKETS
            && let Some(data) = link.deliver(now_ns)
        {
            due.push_back(TxPacket::from_bytes(data));
        }
        link.next_delivery_ns()
    }

    async fn send(&self, due: &mut TxBatch) -> io::Result<()> {
        while !due.is_empty() {
            match self.device.try_send(due) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::future::poll_fn(|cx| self.device.poll_send_ready(cx)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        // An inner device that always has room must not keep this task from yielding.
        tokio::task::yield_now().await;
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match &*self.life.lock() {
            Life::Ended(fault) => Err(fault.to_error()),
            Life::Open | Life::Draining => Ok(()),
        }
    }
}

/// Says that the task is over when it is dropped, however that came about.
struct RunGuard(Arc<OutgoingWay>);

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut life = self.0.life.lock();
        if !matches!(*life, Life::Ended(_)) {
            let text = "the task behind the impaired device has stopped";
            *life = Life::Ended(Fault::new(io::ErrorKind::BrokenPipe, text));
        }
    }
}

struct ImpairedTx(Arc<OutgoingWay>);

impl Tx for ImpairedTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        let way = &self.0;
        way.check()?;
        let packets: Vec<Bytes> = std::iter::from_fn(|| batch.pop_front())
            .map(|packet| {
                debug_assert!(packet.is_plain(), "an impaired device offers no offload");
                packet.to_bytes().freeze()
            })
            .collect();
        let taken = packets.len();
        let now_ns = way.epoch.now_ns();
        let mut link = way.link.lock();
        let armed_ns = link.next_delivery_ns();
        for data in packets {
            link.offer(now_ns, data);
        }
        let next_ns = link.next_delivery_ns();
        drop(link);
        if next_ns != armed_ns {
            way.earlier.notify_one();
        }
        Ok(taken)
    }

    /// A link always takes a packet; it drops the one that finds its queue full.
    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.check())
    }

    fn statistics(&self) -> DeviceStatistics {
        self.0.device.statistics()
    }
}

impl Drop for ImpairedTx {
    fn drop(&mut self) {
        let mut life = self.0.life.lock();
        if matches!(*life, Life::Open) {
            *life = Life::Draining;
        }
        drop(life);
        self.0.earlier.notify_one();
    }
}
