//! A stream and a sink as a device: order, backpressure, flushing, and each way to end.

mod support;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{Sink, SinkExt, StreamExt, stream};
use support::{
    batch, halves, number_of, numbered, receive, receive_exactly, receive_to_the_end, send_all,
};
use tokio::time::timeout;
use towpath_device::packet_stream::QUEUE_PACKETS;
use towpath_device::{Device, PacketStream};

const PATIENCE: Duration = Duration::from_secs(10);

/// A device of two channels, and the far ends of them.
fn channels(capacity: usize) -> (PacketStream, mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let (to_stack, arriving) = mpsc::channel(capacity);
    let (departing, from_stack) = mpsc::channel(capacity);
    let sink = departing.sink_map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error));
    (PacketStream::new(arriving.map(Ok), sink, 1420), to_stack, from_stack)
}

/// A device whose stream never gives anything.
fn with_sink(sink: impl Sink<Bytes, Error = io::Error> + Send + 'static) -> PacketStream {
    PacketStream::new(stream::pending(), sink, 1420)
}

async fn packets_pass_both_ways() {
    let (device, mut to_stack, mut from_stack) = channels(8);
    assert_eq!((device.capabilities().mtu, device.name()), (1420, "packet stream"));
    let (mut rx, tx) = halves(device);
    let feeder = tokio::spawn(async move {
        for n in 0..5_000 {
            to_stack.send(numbered(n, 40)).await.unwrap();
        }
        to_stack
    });
    let arrived = timeout(PATIENCE, receive_exactly(&mut *rx, 5_000)).await.unwrap().unwrap();
    assert!(arrived.iter().map(|packet| number_of(packet)).eq(0..5_000));
    let _to_stack = feeder.await.unwrap();

    let sender = tokio::spawn(async move {
        send_all(&*tx, (0..5_000).map(|n| numbered(n, 40))).await.unwrap();
        tx
    });
    for n in 0..5_000 {
        let packet = timeout(PATIENCE, from_stack.next()).await.unwrap();
        assert_eq!(packet, Some(numbered(n, 40)));
    }
    let statistics = sender.await.unwrap().statistics();
    assert_eq!((statistics.tx_packets, statistics.tx_bytes), (5_000, 200_000));
    assert_eq!((statistics.rx_packets, statistics.rx_bytes), (5_000, 200_000));
}

#[tokio::test]
async fn packets_pass_both_ways_in_order_on_one_thread() {
    packets_pass_both_ways().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn packets_pass_both_ways_in_order_on_four_threads() {
    packets_pass_both_ways().await;
}

#[tokio::test]
async fn a_sink_that_stands_still_fills_the_queue_and_then_the_senders_block() {
    let (device, _to_stack, mut from_stack) = channels(0);
    let (_rx, tx) = halves(device);
    let mut taken = 0;
    loop {
        match tx.try_send(&mut batch([numbered(taken, 40)])) {
            Ok(_) => taken += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(taken as usize <= QUEUE_PACKETS, "the queue is bounded");
    }
    assert_eq!(taken as usize, QUEUE_PACKETS);
    let sender = tokio::spawn(async move { send_all(&*tx, [numbered(taken, 40)]).await });
    for n in 0..=taken {
        let packet = timeout(PATIENCE, from_stack.next()).await.unwrap().unwrap();
        assert_eq!(number_of(&packet), n);
    }
    sender.await.unwrap().unwrap();
}

/// A sink that shows its packets only when it is flushed or closed.
#[derive(Clone, Default)]
struct Buffering(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    held: Vec<Bytes>,
    shown: Vec<Bytes>,
    closed: bool,
}

impl Sink<Bytes> for Buffering {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: Bytes) -> io::Result<()> {
        self.0.lock().unwrap().held.push(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        let held = std::mem::take(&mut state.held);
        state.shown.extend(held);
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().closed = true;
        self.poll_flush(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn the_sink_is_flushed_whenever_there_is_nothing_more_to_send() {
    let sink = Buffering::default();
    let (_rx, tx) = halves(with_sink(sink.clone()));
    for n in 1..=300 {
        send_all(&*tx, [numbered(n, 40)]).await.unwrap();
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(sink.0.lock().unwrap().shown.len(), n as usize);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_sending_half_delivers_what_is_queued_and_closes_the_sink() {
    let sink = Buffering::default();
    let (_rx, tx) = halves(with_sink(sink.clone()));
    send_all(&*tx, (0..500).map(|n| numbered(n, 40))).await.unwrap();
    drop(tx);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let state = sink.0.lock().unwrap();
    assert_eq!((state.shown.len(), state.closed), (500, true));
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_device_after_its_last_packet() {
    let (device, mut to_stack, _from_stack) = channels(8);
    let (mut rx, _tx) = halves(device);
    to_stack.send(numbered(0, 40)).await.unwrap();
    drop(to_stack);
    let (arrived, error) = receive_to_the_end(&mut *rx).await;
    assert_eq!((arrived.len(), error.kind()), (1, io::ErrorKind::UnexpectedEof));
    // A stream must not be polled behind its end; the device remembers.
    assert_eq!(receive(&mut *rx, 1).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_error_of_the_stream_ends_the_device() {
    let items = vec![
        Ok(numbered(0, 40)),
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "tunnel down")),
        Ok(numbered(1, 40)),
    ];
    let device = PacketStream::new(stream::iter(items), Buffering::default(), 1420);
    let (mut rx, _tx) = halves(device);
    let (arrived, error) = receive_to_the_end(&mut *rx).await;
    assert_eq!(arrived, [numbered(0, 40)]);
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::ConnectionReset, "tunnel down")
    );
}

#[tokio::test]
async fn an_error_of_the_sink_reaches_the_senders() {
    let (device, _to_stack, from_stack) = channels(1);
    let (_rx, tx) = halves(device);
    drop(from_stack);
    let endless = std::iter::repeat_n(numbered(0, 40), 100 * QUEUE_PACKETS);
    let outcome = timeout(PATIENCE, async {
        for packet in endless {
            send_all(&*tx, [packet]).await?;
            tokio::task::yield_now().await;
        }
        Ok::<(), io::Error>(())
    });
    assert_eq!(outcome.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_stopped_runtime_fails_the_senders_and_does_not_hang_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (device, _to_stack, _from_stack) = channels(8);
    let (_rx, tx) = runtime.block_on(async { halves(device) });
    drop(runtime);
    let error = tx.try_send(&mut batch([numbered(0, 40)])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn without_a_runtime_splitting_is_an_error() {
    let (device, _to_stack, _from_stack) = channels(8);
    assert!(Box::new(device).split().is_err());
}

#[test]
fn only_a_stream_that_says_so_may_run_in_paused_time() {
    let (device, _to_stack, _from_stack) = channels(8);
    assert!(!device.is_virtual_time_safe());
    assert!(device.virtual_time_safe().is_virtual_time_safe());
}
