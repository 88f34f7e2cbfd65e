//! A reader that stops closes its window; when it goes on, so does the transfer.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::kernel_sockets;
use towpath_integration::payload::{Digest, Payload};
use towpath_integration::peer::{receive, send};
use towpath_integration::scene::{Connection, Opener, soon};

/// More than both ends' buffers hold together.
const BYTES: u64 = 64 << 20;

/// Long enough for several probes of the window: the first comes after an RTO of 0.2 s, and each
/// waits twice as long as the one before.
const STOP: Duration = Duration::from_secs(3);

// Shows: 9293 MUST-36, 9293 MUST-37
#[test]
fn our_writer_probes_the_kernels_closed_window_and_goes_on() {
    scenario("our_writer_probes_the_kernels_closed_window_and_goes_on").without_capture().play(
        async |scene| {
            let (ours, mut kernels) = scene.pair(Opener::Kernel).await;
            let payload = Payload::new(1, BYTES);
            let (reading, mut writing) = ours.into_split();
            let sending = tokio::spawn(async move {
                send(&mut writing, payload).await?;
                writing.shutdown().await?;
                std::io::Result::Ok(writing)
            });
            let ours: &towpath::net::TcpStream = reading.as_ref();
            let info = || ours.info().expect("an open connection");
            soon("the window is closed", || info().snd_wnd == 0, || format!("{:?}", info())).await;
            tokio::time::sleep(STOP).await;
            let stopped = info();
            assert_eq!(stopped.snd_wnd, 0, "the window stays closed: {stopped:?}");
            // Each probe is answered, so none is outstanding; the wait before the next one doubles.
            assert!(stopped.backoff >= 2, "it is probed: {stopped:?}");
            let arrived = receive(&mut kernels).await.expect("receiving");
            assert_eq!(arrived, Payload::new(1, BYTES).sum());
            let writing = sending.await.expect("no panic").expect("sending");
            drop((reading, writing));
        },
    );
}

// Shows: 9293 MAY-8, 9293 SHLD-14
#[test]
fn the_kernels_writer_waits_for_our_closed_window_and_goes_on() {
    scenario("the_kernels_writer_waits_for_our_closed_window_and_goes_on").without_capture().play(
        async |scene| {
            let (mut ours, mut kernels) = scene.pair(Opener::Ours).await;
            let connection = Connection::of(&ours);
            let payload = Payload::new(2, BYTES);
            let sending = tokio::spawn(async move {
                send(&mut kernels, payload).await?;
                kernels.shutdown().await?;
                std::io::Result::Ok(kernels)
            });
            let info = || ours.info().expect("an open connection");
            // Less than a segment fits: we do not offer slivers (RFC 9293 section 3.8.6.2.2).
            let is_closed = || info().rcv_wnd < info().rcv_mss.max(1);
            soon("the window is closed", is_closed, || format!("{:?}", info())).await;
            tokio::time::sleep(STOP).await;
            assert!(is_closed(), "the window stays closed: {:?}", info());
            let unread = info().unread_bytes;
            let kernels_unsent = unacknowledged(&connection);
            assert!(kernels_unsent > 0, "the kernel has more, behind {unread} bytes with us");
            let arrived = receive(&mut ours).await.expect("receiving");
            assert_eq!(arrived, Payload::new(2, BYTES).sum());
            drop(sending.await.expect("no panic").expect("sending"));
        },
    );
}

/// A reader that takes little at a time, and rests, is offered no window in slivers and loses
/// nothing.
#[test]
fn a_reader_in_small_steps_gets_everything() {
    use tokio::io::AsyncReadExt;

    const FEW: u64 = 2 << 20;
    scenario("a_reader_in_small_steps_gets_everything").play(async |scene| {
        for opener in Opener::ALL {
            let (mut ours, mut kernels) = scene.pair(opener).await;
            let sending = tokio::spawn(async move {
                send(&mut kernels, Payload::new(3, FEW)).await?;
                kernels.shutdown().await?;
                std::io::Result::Ok(kernels)
            });
            let mut digest = Digest::default();
            let mut buffer = [0; 1777];
            for step in 1_u32.. {
                match ours.read(&mut buffer).await.expect("reading") {
                    0 => break,
                    count => digest.update(&buffer[..count]),
                }
                if step.is_multiple_of(200) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            assert_eq!(digest.finish(), Payload::new(3, FEW).sum());
            drop(sending.await.expect("no panic").expect("sending"));
        }
    });
}

/// What the kernel's end has written and we have not acknowledged.
fn unacknowledged(connection: &Connection) -> u32 {
    let sockets = kernel_sockets::all().expect("reading /proc");
    let ends = (connection.kernels, connection.ours);
    let found = sockets.into_iter().find(|socket| (socket.local, socket.remote) == ends);
    found.expect("the kernel's end").unacknowledged
}
