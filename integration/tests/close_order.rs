//! Who closes first waits in TIME-WAIT; each state is the one that the kernel's table says.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::StateName;
use towpath_integration::kernel_sockets::KernelState;
use towpath_integration::scene::{Connection, Family, Opener, Scene, soon};

const TIME_WAIT: Duration = Duration::from_secs(1);

async fn we_close_first(scene: &Scene) {
    for opener in Opener::ALL {
        let (mut ours, mut kernels) = scene.pair(opener).await;
        let connection = Connection::of(&ours);
        scene.kernel_state(&connection, Some(KernelState::Established)).await;
        ours.shutdown().await.expect("shutting down");
        scene.kernel_state(&connection, Some(KernelState::CloseWait)).await;
        let state = || ours.state();
        let is_half_closed = || state() == Some(StateName::FinWait2);
        soon("our state is FIN-WAIT-2", is_half_closed, || format!("{:?}", state())).await;
        assert_eq!(kernels.read(&mut [0]).await.expect("reading"), 0);
        let begun = Instant::now();
        drop(kernels);
        // The kernel's end is in LAST-ACK until our ACK is there, then it is gone.
        scene.kernel_state(&connection, None).await;
        assert_eq!(ours.read(&mut [0]).await.expect("reading"), 0);
        drop(ours);
        let census = || scene.stack.census();
        assert_eq!(census().time_wait, 1, "{:?}", census());
        soon("TIME-WAIT ends", || census().time_wait == 0, || format!("{:?}", census())).await;
        assert!(begun.elapsed() >= TIME_WAIT, "it ended after {:?}", begun.elapsed());
    }
}

async fn the_kernel_closes_first(scene: &Scene) {
    for opener in Opener::ALL {
        let (mut ours, mut kernels) = scene.pair(opener).await;
        let connection = Connection::of(&ours);
        kernels.shutdown().await.expect("shutting down");
        scene.kernel_state(&connection, Some(KernelState::FinWait2)).await;
        assert_eq!(ours.read(&mut [0]).await.expect("reading"), 0);
        assert_eq!(ours.state(), Some(StateName::CloseWait));
        ours.shutdown().await.expect("shutting down");
        scene.kernel_state(&connection, Some(KernelState::TimeWait)).await;
        drop((ours, kernels));
        let census = || scene.stack.census();
        soon("nothing is left", || census().connections == 0, || format!("{:?}", census())).await;
        assert_eq!(census().time_wait, 0, "the one who closed first waits: {:?}", census());
    }
}

// Shows: 9293 MUST-13, RFC9293 s3.10.7.4o
#[test]
fn our_close_first_leaves_time_wait_with_us() {
    scenario("our_close_first_leaves_time_wait_with_us")
        .config(|config| config.time_wait(TIME_WAIT))
        .play(we_close_first);
}

// Shows: RFC9293 s3.10.7.4v
#[test]
fn the_kernels_close_first_leaves_time_wait_with_the_kernel() {
    scenario("the_kernels_close_first_leaves_time_wait_with_the_kernel")
        .play(the_kernel_closes_first);
}

#[test]
fn both_orders_of_closing_are_the_same_over_ipv6() {
    scenario("both_orders_of_closing_are_the_same_over_ipv6")
        .family(Family::V6)
        .config(|config| config.time_wait(TIME_WAIT))
        .play(async |scene| {
            we_close_first(scene).await;
            the_kernel_closes_first(scene).await;
        });
}

/// Dropping a stream is closing it: what was written before is still delivered.
#[test]
fn a_dropped_stream_delivers_what_was_written_and_closes() {
    const WORDS: &[u8] = b"last words";
    scenario("a_dropped_stream_delivers_what_was_written_and_closes").play(async |scene| {
        for opener in Opener::ALL {
            let (mut ours, mut kernels) = scene.pair(opener).await;
            ours.write_all(WORDS).await.expect("writing");
            drop(ours);
            let mut heard = Vec::new();
            kernels.read_to_end(&mut heard).await.expect("a clean end of stream");
            assert_eq!(heard, WORDS);
        }
    });
}
