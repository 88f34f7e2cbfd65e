//! Bytes arrive whole and in order, both ways, whoever opened the connection.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use futures::future;
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, send};
use towpath_integration::scene::Opener;

const MEBIBYTE: u64 = 1 << 20;

/// One end sends so many bytes and closes, the other reads to the end and closes.
async fn transfer(mut from: impl Peer, mut to: impl Peer, bytes: u64) {
    let payload = Payload::new(bytes, bytes);
    let sending = async {
        send(&mut from, payload.clone()).await?;
        from.shutdown().await
    };
    let (sent, arrived) = future::join(sending, receive(&mut to)).await;
    sent.expect("sending");
    assert_eq!(arrived.expect("receiving"), payload.sum());
}

#[test]
fn a_byte_and_a_mebibyte_arrive_whole_from_the_kernel() {
    scenario("a_byte_and_a_mebibyte_arrive_whole_from_the_kernel").play(async |scene| {
        for opener in Opener::ALL {
            for bytes in [1, MEBIBYTE] {
                let (ours, kernels) = scene.pair(opener).await;
                transfer(kernels, ours, bytes).await;
            }
        }
    });
}

#[test]
fn a_byte_and_a_mebibyte_arrive_whole_at_the_kernel() {
    scenario("a_byte_and_a_mebibyte_arrive_whole_at_the_kernel").play(async |scene| {
        for opener in Opener::ALL {
            for bytes in [1, MEBIBYTE] {
                let (ours, kernels) = scene.pair(opener).await;
                transfer(ours, kernels, bytes).await;
            }
        }
    });
}

/// Enough to grow every window to its limit, and to wrap nothing.
const QUARTER_GIBIBYTE: u64 = 256 * MEBIBYTE;

#[test]
fn a_quarter_gibibyte_arrives_whole_from_the_kernel() {
    scenario("a_quarter_gibibyte_arrives_whole_from_the_kernel")
        .without_capture()
        .time_limit(Duration::from_secs(120))
        .play(async |scene| {
            let (ours, kernels) = scene.pair(Opener::Kernel).await;
            transfer(kernels, ours, QUARTER_GIBIBYTE).await;
        });
}

#[test]
fn a_quarter_gibibyte_arrives_whole_at_the_kernel() {
    scenario("a_quarter_gibibyte_arrives_whole_at_the_kernel")
        .without_capture()
        .time_limit(Duration::from_secs(120))
        .play(async |scene| {
            let (ours, kernels) = scene.pair(Opener::Ours).await;
            transfer(ours, kernels, QUARTER_GIBIBYTE).await;
        });
}
