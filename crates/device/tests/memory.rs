//! The memory cable: order, bounds, wake-ups, unplugging.

mod support;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use support::{
    batch, counted, halves, number_of, numbered, poll_once, receive, receive_exactly, send_all,
};
use tokio::time::timeout;
use towpath_device::{RxBatch, RxChecksum, Tx, memory};

const PATIENCE: Duration = Duration::from_secs(10);

async fn a_stream_of_packets_crosses_a_narrow_cable() {
    const PACKETS: u32 = 20_000;
    let (left, right) = memory::pair_with_queue(1500, 4);
    let (_, tx) = halves(left);
    let (mut rx, _tx) = halves(right);
    let sender = tokio::spawn(async move {
        let packets = (0..PACKETS).map(|n| numbered(n, 4 + n as usize % 1_497));
        send_all(&*tx, packets).await.unwrap();
        tx
    });
    for n in 0..PACKETS {
        let packet = timeout(PATIENCE, receive(&mut *rx, 1)).await.unwrap().unwrap();
        assert_eq!(packet, [numbered(n, 4 + n as usize % 1_497)]);
    }
    let tx = sender.await.unwrap();
    assert_eq!(tx.statistics().tx_packets, u64::from(PACKETS));
}

#[tokio::test]
async fn packets_cross_unchanged_and_in_order_on_one_thread() {
    a_stream_of_packets_crosses_a_narrow_cable().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn packets_cross_unchanged_and_in_order_on_four_threads() {
    a_stream_of_packets_crosses_a_narrow_cable().await;
}

#[test]
fn a_full_cable_takes_what_it_has_room_for_and_then_blocks() {
    let (left, right) = memory::pair_with_queue(1500, 3);
    let (_rx, tx) = halves(left);
    let (mut rx, _tx) = halves(right);
    let mut packets = batch((0..5).map(|n| numbered(n, 40)));
    assert_eq!(tx.try_send(&mut packets).unwrap(), 3);
    assert_eq!(packets.iter().map(|p| number_of(&p.header)).collect::<Vec<_>>(), [3, 4]);
    let error = tx.try_send(&mut packets).unwrap_err();
    assert_eq!((error.kind(), packets.len()), (io::ErrorKind::WouldBlock, 2));
    assert_eq!(tx.try_send(&mut batch([])).unwrap(), 0, "nothing to send never blocks");
    assert!(poll_once(|cx| tx.poll_send_ready(cx)).is_pending());

    let mut arrived = RxBatch::new(2);
    assert!(poll_once(|cx| rx.poll_recv(cx, &mut arrived)).is_ready());
    assert_eq!(arrived.len(), 2, "no more than the batch has room for");
    assert!(arrived.iter().all(|p| p.checksum == RxChecksum::Unverified && p.gso_size == 0));
    assert!(poll_once(|cx| rx.poll_recv(cx, &mut arrived)).is_ready(), "a full batch is ready");
    assert_eq!(arrived.len(), 2);
    assert!(poll_once(|cx| tx.poll_send_ready(cx)).is_ready());
    assert_eq!(tx.try_send(&mut packets).unwrap(), 2);
}

#[test]
fn room_wakes_the_last_that_asked_for_it_and_an_arrival_wakes_the_receiver() {
    let (left, right) = memory::pair_with_queue(1500, 1);
    let (_rx, tx) = halves(left);
    let (mut rx, _tx) = halves(right);
    let (receiver, receiver_waker) = counted();
    let mut arrived = RxBatch::new(1);
    let mut cx = Context::from_waker(&receiver_waker);
    assert!(rx.poll_recv(&mut cx, &mut arrived).is_pending());
    tx.try_send(&mut batch([numbered(0, 40)])).unwrap();
    assert_eq!(receiver.count(), 1);

    let (first, first_waker) = counted();
    let (last, last_waker) = counted();
    for waker in [&first_waker, &last_waker] {
        assert!(tx.poll_send_ready(&mut Context::from_waker(waker)).is_pending());
    }
    assert!(matches!(rx.poll_recv(&mut cx, &mut arrived), Poll::Ready(Ok(()))));
    assert_eq!((first.count(), last.count()), (0, 1));
}

#[test]
fn many_senders_at_once_lose_nothing_and_never_overfill_the_cable() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 5_000;
    let (left, right) = memory::pair_with_queue(1500, 16);
    let (_rx, tx) = halves(left);
    let (mut rx, _tx) = halves(right);
    let tx: Arc<dyn Tx> = Arc::from(tx);
    let mut last_of = [None; SENDERS as usize];
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let tx = Arc::clone(&tx);
            scope.spawn(move || {
                let numbers = sender * EACH..(sender + 1) * EACH;
                let mut packets = batch(numbers.map(|n| numbered(n, 40)));
                while !packets.is_empty() {
                    if tx.try_send(&mut packets).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut received = 0;
        while received < SENDERS * EACH {
            let mut arrived = RxBatch::new(1_000);
            if poll_once(|cx| rx.poll_recv(cx, &mut arrived)).is_pending() {
                std::thread::yield_now();
            }
            assert!(arrived.len() <= 16, "{} packets waited", arrived.len());
            for packet in arrived.drain() {
                let number = number_of(&packet.data);
                let last = &mut last_of[(number / EACH) as usize];
                assert!(last.is_none_or(|last| last + 1 == number), "{last:?} then {number}");
                *last = Some(number);
                received += 1;
            }
        }
    });
    assert_eq!(last_of, [Some(4_999), Some(9_999), Some(14_999), Some(19_999)]);
}

#[tokio::test]
async fn an_unplugged_cable_delivers_what_was_sent_and_then_fails() {
    let (left, right) = memory::pair(1500);
    let (left_rx, left_tx) = halves(left);
    let (mut rx, tx) = halves(right);
    send_all(&*left_tx, (0..3).map(|n| numbered(n, 40))).await.unwrap();
    drop(left_tx);
    assert_eq!(receive_exactly(&mut *rx, 3).await.unwrap().len(), 3);
    for _ in 0..2 {
        let error = receive(&mut *rx, 1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    send_all(&*tx, [numbered(0, 40)]).await.unwrap();
    drop(left_rx);
    let mut packets = batch([numbered(1, 40)]);
    assert_eq!(tx.try_send(&mut packets).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(packets.len(), 1);
    let ready = poll_once(|cx| tx.poll_send_ready(cx));
    assert!(matches!(ready, Poll::Ready(Err(_))), "{ready:?}");
}

#[tokio::test]
async fn unplugging_wakes_whoever_waits() {
    let (left, right) = memory::pair_with_queue(1500, 1);
    let (left_rx, left_tx) = halves(left);
    let (mut rx, tx) = halves(right);
    send_all(&*tx, [numbered(0, 40)]).await.unwrap();
    let receiver = tokio::spawn(async move { receive(&mut *rx, 1).await });
    let sender = tokio::spawn(async move { send_all(&*tx, [numbered(1, 40)]).await });
    tokio::task::yield_now().await;
    drop((left_rx, left_tx));
    let received = timeout(PATIENCE, receiver).await.unwrap().unwrap();
    let sent = timeout(PATIENCE, sender).await.unwrap().unwrap();
    assert_eq!(received.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn each_end_counts_both_directions() {
    let (left, right) = memory::pair(1500);
    let (mut left_rx, left_tx) = halves(left);
    let (mut right_rx, right_tx) = halves(right);
    send_all(&*left_tx, [numbered(0, 40), numbered(1, 60)]).await.unwrap();
    send_all(&*right_tx, [numbered(2, 7)]).await.unwrap();
    receive_exactly(&mut *right_rx, 2).await.unwrap();
    receive_exactly(&mut *left_rx, 1).await.unwrap();
    let (left, right) = (left_tx.statistics(), right_tx.statistics());
    assert_eq!((left.tx_packets, left.tx_bytes, left.rx_packets, left.rx_bytes), (2, 100, 1, 7));
    assert_eq!(
        (right.tx_packets, right.tx_bytes, right.rx_packets, right.rx_bytes),
        (1, 7, 2, 100)
    );
}
