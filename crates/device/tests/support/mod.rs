//! What the tests of devices share: sending, receiving and telling packets apart.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use towpath_device::{Device, Rx, RxBatch, Tx, TxBatch, TxPacket};

/// Longer than anything here takes, on a busy machine or on a paused clock.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Halves = (Box<dyn Rx>, Box<dyn Tx>);

pub(crate) fn halves(device: impl Device) -> Halves {
    Box::new(device).split().expect("the device splits")
}

/// A packet of `len` bytes, at least four, that says its number.
pub(crate) fn numbered(number: u32, len: usize) -> Bytes {
    let mut data = vec![0x45; len];
    data[..4].copy_from_slice(&number.to_be_bytes());
    Bytes::from(data)
}

pub(crate) fn number_of(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().expect("a numbered packet"))
}

pub(crate) fn batch(packets: impl IntoIterator<Item = Bytes>) -> TxBatch {
    packets.into_iter().map(TxPacket::from_bytes).collect()
}

/// Sends all of `packets`, waiting for room as often as it takes.
pub(crate) async fn send_all(
    tx: &dyn Tx,
    packets: impl IntoIterator<Item = Bytes>,
) -> io::Result<()> {
    let mut batch = batch(packets);
    while !batch.is_empty() {
        match tx.try_send(&mut batch) {
            Ok(taken) => assert!(taken > 0, "success takes at least one packet"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| tx.poll_send_ready(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The packets of the next batch.
pub(crate) async fn receive(rx: &mut dyn Rx, limit: usize) -> io::Result<Vec<Bytes>> {
    let mut batch = RxBatch::new(limit);
    tokio::time::timeout(PATIENCE, poll_fn(|cx| rx.poll_recv(cx, &mut batch)))
        .await
        .expect("a packet or an error arrives in time")?;
    assert!(!batch.is_empty() && batch.len() <= limit, "a batch of {}", batch.len());
    Ok(batch.drain().map(|packet| packet.data).collect())
}

/// The next `count` packets.
pub(crate) async fn receive_exactly(rx: &mut dyn Rx, count: usize) -> io::Result<Vec<Bytes>> {
    let mut packets = Vec::new();
    while packets.len() < count {
        packets.extend(receive(rx, count - packets.len()).await?);
    }
    Ok(packets)
}

/// Packets until the device ends, and the error that it ends with.
pub(crate) async fn receive_to_the_end(rx: &mut dyn Rx) -> (Vec<Bytes>, io::Error) {
    let mut packets = Vec::new();
    loop {
        match receive(rx, 64).await {
            Ok(more) => packets.extend(more),
            Err(error) => return (packets, error),
        }
    }
}

/// One poll by a task that nobody will wake.
pub(crate) fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts how often its waker is woken.
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn counted() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    (Arc::clone(&wakes), Waker::from(wakes))
}
