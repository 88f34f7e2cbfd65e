//! A device behind emulated links, in paused time.

mod support;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use support::{
    batch, counted, halves, number_of, numbered, receive, receive_exactly, receive_to_the_end,
    send_all,
};
use tokio::time::{Instant, timeout};
use towpath_device::netem::{LinkConfig, StepMarking, Threshold};
use towpath_device::{
    Capabilities, Device, Impaired, Rx, RxBatch, RxChecksum, RxPacket, Tx, TxBatch, memory,
};

const SEED: u64 = 42;

fn perfect() -> LinkConfig {
    LinkConfig::new()
}

fn delayed(millis: u64) -> LinkConfig {
    LinkConfig::new().delay(Duration::from_millis(millis))
}

#[tokio::test(start_paused = true)]
async fn each_direction_has_its_own_delay() {
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, delayed(30), delayed(70), SEED).unwrap();
    assert!(left.is_virtual_time_safe());
    let (mut left_rx, left_tx) = halves(left);
    let (mut right_rx, right_tx) = halves(right);
    for _ in 0..3 {
        let start = Instant::now();
        send_all(&*left_tx, [numbered(1, 40)]).await.unwrap();
        assert_eq!(receive(&mut *right_rx, 8).await.unwrap(), [numbered(1, 40)]);
        assert_eq!(start.elapsed(), Duration::from_millis(70));

        let start = Instant::now();
        send_all(&*right_tx, [numbered(2, 40)]).await.unwrap();
        assert_eq!(receive(&mut *left_rx, 8).await.unwrap(), [numbered(2, 40)]);
        assert_eq!(start.elapsed(), Duration::from_millis(30));
        tokio::time::sleep(Duration::from_micros(12_345)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn perfect_links_change_nothing_and_take_no_time() {
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, perfect(), perfect(), SEED).unwrap();
    let links = left.statistics_handle();
    let (mut left_rx, left_tx) = halves(left);
    let (mut right_rx, right_tx) = halves(right);
    let start = Instant::now();
    let packets: Vec<Bytes> = (0..500).map(|n| numbered(n, 4 + n as usize * 3)).collect();
    send_all(&*left_tx, packets.clone()).await.unwrap();
    assert_eq!(receive_exactly(&mut *right_rx, 500).await.unwrap(), packets);
    send_all(&*right_tx, packets.clone()).await.unwrap();
    assert_eq!(receive_exactly(&mut *left_rx, 500).await.unwrap(), packets);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((links.rx().delivered, links.tx().delivered), (500, 500));
    assert_eq!(links.in_flight(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rate_spreads_a_burst_over_time() {
    let (left, right) = memory::pair(1500);
    // 1,250 bytes at 1 Mbit/s are 10 ms.
    let slow = LinkConfig::new().rate_bits_per_second(Some(1_000_000));
    let left = Impaired::new(left, perfect(), slow, SEED).unwrap();
    let (_left_rx, left_tx) = halves(left);
    let (mut right_rx, _right_tx) = halves(right);
    let start = Instant::now();
    send_all(&*left_tx, (0..20).map(|n| numbered(n, 1_250))).await.unwrap();
    for n in 0..20 {
        assert_eq!(receive(&mut *right_rx, 8).await.unwrap(), [numbered(n, 1_250)]);
        assert_eq!(start.elapsed(), Duration::from_millis(10 * (u64::from(n) + 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_marked_each_way() {
    let marking = StepMarking::above(Threshold::Packets(0));
    let busy = || LinkConfig::new().rate_bits_per_second(Some(1_000_000)).step_marking(marking);
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, busy(), busy(), SEED).unwrap();
    let links = left.statistics_handle();
    let (mut left_rx, left_tx) = halves(left);
    let (mut right_rx, right_tx) = halves(right);
    // The first 40 bytes of IPv6 that are ECN-capable, and nothing behind them.
    let capable = Bytes::from([&[0x60, 0x20][..], &[0; 38]].concat());
    let marked = Bytes::from([&[0x60, 0x30][..], &[0; 38]].concat());
    send_all(&*left_tx, [capable.clone(), capable.clone()]).await.unwrap();
    send_all(&*right_tx, [capable.clone(), capable.clone()]).await.unwrap();
    let expected = [capable, marked];
    assert_eq!(receive_exactly(&mut *right_rx, 2).await.unwrap(), expected);
    assert_eq!(receive_exactly(&mut *left_rx, 2).await.unwrap(), expected);
    assert_eq!((links.rx().marked, links.tx().marked), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_and_what_arrives_is_the_same_for_the_same_seed() {
    async fn run(seed: u64) -> (Vec<u32>, Vec<u32>) {
        let (left, right) = memory::pair(1500);
        let lossy = || delayed(5).loss(0.3).reorder(0.2).reorder_gap(Duration::from_millis(2));
        let left = Impaired::new(left, lossy(), lossy(), seed).unwrap();
        let links = left.statistics_handle();
        let (mut left_rx, left_tx) = halves(left);
        let (mut right_rx, right_tx) = halves(right);
        let mut inward = Vec::new();
        for n in 0..200 {
            send_all(&*left_tx, [numbered(n, 40)]).await.unwrap();
            send_all(&*right_tx, [numbered(n, 40)]).await.unwrap();
            // The receive link learns of a packet when it is polled.
            if let Ok(Ok(packets)) = timeout(Duration::ZERO, receive(&mut *left_rx, 8)).await {
                inward.extend(packets);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(left_tx);
        let (arrived, _) = receive_to_the_end(&mut *right_rx).await;
        let tx = links.tx();
        assert_eq!(tx.offered, 200);
        assert_eq!(tx.delivered, arrived.len() as u64);
        assert_eq!(tx.lost + tx.delivered, 200);
        assert_eq!(links.rx().offered, 200);
        drop((right_rx, right_tx));
        inward.extend(receive_to_the_end(&mut *left_rx).await.0);
        assert_eq!(links.rx().delivered, inward.len() as u64);
        assert_eq!(links.in_flight(), (0, 0));
        let numbers = |packets: Vec<Bytes>| packets.iter().map(|p| number_of(p)).collect();
        (numbers(arrived), numbers(inward))
    }
    let first = run(SEED).await;
    assert_eq!(first, run(SEED).await);
    assert_ne!(first, run(SEED + 1).await);
    assert!(!first.0.is_sorted(), "seed {SEED} reorders");
    let set = |numbers: &[u32]| numbers.iter().copied().collect::<BTreeSet<u32>>();
    assert_ne!(set(&first.0), set(&first.1), "each direction has its own luck");
}

#[tokio::test(start_paused = true)]
async fn packets_under_way_arrive_after_the_sender_is_gone_and_then_the_device_ends() {
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, perfect(), delayed(50), SEED).unwrap();
    let (left_rx, left_tx) = halves(left);
    let (mut right_rx, _right_tx) = halves(right);
    send_all(&*left_tx, (0..200).map(|n| numbered(n, 40))).await.unwrap();
    drop((left_rx, left_tx));
    let start = Instant::now();
    let (arrived, error) = receive_to_the_end(&mut *right_rx).await;
    assert_eq!((arrived.len(), start.elapsed()), (200, Duration::from_millis(50)));
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn packets_under_way_arrive_after_the_far_end_is_gone_and_then_the_device_ends() {
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, delayed(50), delayed(50), SEED).unwrap();
    let (mut left_rx, left_tx) = halves(left);
    let (right_rx, right_tx) = halves(right);
    send_all(&*right_tx, (0..100).map(|n| numbered(n, 40))).await.unwrap();
    drop((right_rx, right_tx));
    let start = Instant::now();
    let (arrived, error) = receive_to_the_end(&mut *left_rx).await;
    assert_eq!((arrived.len(), start.elapsed()), (100, Duration::from_millis(50)));
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);

    // The first packet finds out when it reaches the far end, the next one is told.
    send_all(&*left_tx, [numbered(0, 40)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let error = left_tx.try_send(&mut batch([numbered(1, 40)])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_device_without_room_is_waited_for() {
    let (left, right) = memory::pair_with_queue(1500, 1);
    let left = Impaired::new(left, perfect(), delayed(10), SEED).unwrap();
    let (_left_rx, left_tx) = halves(left);
    let (mut right_rx, _right_tx) = halves(right);
    send_all(&*left_tx, (0..300).map(|n| numbered(n, 40))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let arrived = receive_exactly(&mut *right_rx, 300).await.unwrap();
    assert!(arrived.iter().map(|packet| number_of(packet)).eq(0..300));
}

#[tokio::test]
async fn a_stopped_runtime_fails_the_sender_and_does_not_hang_it() {
    let (left, right) = memory::pair(1500);
    let left = Impaired::new(left, perfect(), delayed(10), SEED).unwrap();
    let (_rx, tx) = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { halves(left) })
    })
    .join()
    .unwrap();
    let error = tx.try_send(&mut batch([numbered(0, 40)])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    drop(right);
}

/// A device that vouches for checksums, joins segments, and gives packets without end.
struct Offloading {
    polls: Arc<AtomicUsize>,
}

impl Device for Offloading {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(9000).with_tso().with_checksum_tx()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        Ok((Box::new(Endless(Arc::clone(&self.polls))), Box::new(Void)))
    }
}

struct Endless(Arc<AtomicUsize>);

impl Rx for Endless {
    fn poll_recv(&mut self, _: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        while batch.room() > 0 {
            let data = numbered(7, 40);
            batch.push(RxPacket { checksum: RxChecksum::Trusted, ..RxPacket::new(data) });
        }
        Poll::Ready(Ok(()))
    }
}

struct Void;

impl Tx for Void {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        let taken = batch.len();
        batch.clear();
        Ok(taken)
    }

    fn poll_send_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_impaired_device_offers_no_offload_and_vouches_for_no_packet_it_changed() {
    let device = Offloading { polls: Arc::default() };
    let device = Impaired::new(device, perfect().corrupt(0.5), perfect(), SEED).unwrap();
    assert_eq!(device.capabilities(), Capabilities::new(9000));
    assert!(!device.is_virtual_time_safe(), "as little as the device inside");
    let (mut rx, _tx) = halves(device);
    let mut arrived = RxBatch::new(64);
    std::future::poll_fn(|cx| rx.poll_recv(cx, &mut arrived)).await.unwrap();
    let mut changed = 0;
    for packet in &arrived {
        let whole = packet.data == numbered(7, 40);
        assert_eq!(packet.checksum == RxChecksum::Trusted, whole);
        changed += u32::from(!whole);
    }
    assert!((10..=54).contains(&changed), "{changed} of 64 corrupted, seed {SEED}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_arrival_of_packets_that_are_lost_lets_other_tasks_run() {
    let polls = Arc::new(AtomicUsize::new(0));
    let device = Offloading { polls: Arc::clone(&polls) };
    let device = Impaired::new(device, perfect().loss(1.0), perfect(), SEED).unwrap();
    let (mut rx, _tx) = halves(device);
    for turn in 1..=3 {
        let (wakes, waker) = counted();
        let mut arrived = RxBatch::new(64);
        assert!(rx.poll_recv(&mut Context::from_waker(&waker), &mut arrived).is_pending());
        assert_eq!(polls.load(Ordering::SeqCst), turn, "a bounded piece of work each turn");
        assert!(wakes.count() > 0, "and another turn to come");
    }
}
