//! Both directions of a connection at once, over IPv4 and over IPv6.
#![cfg(target_os = "linux")]

mod support;

use futures::future::try_join;
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, send};
use towpath_integration::scene::{Family, Opener};

const BYTES: u64 = 4 << 20;

/// Both ends send at once, each its own bytes.
async fn exchange(ours: impl Peer, kernels: impl Peer) {
    let (from_us, from_kernel) = (Payload::new(1, BYTES), Payload::new(2, BYTES));
    let (mut our_read, mut our_write) = tokio::io::split(ours);
    let (mut kernel_read, mut kernel_write) = tokio::io::split(kernels);
    let we_send = async {
        send(&mut our_write, from_us.clone()).await?;
        our_write.shutdown().await
    };
    let kernel_sends = async {
        send(&mut kernel_write, from_kernel.clone()).await?;
        kernel_write.shutdown().await
    };
    let receiving = try_join(receive(&mut our_read), receive(&mut kernel_read));
    let (_, (at_us, at_kernel)) =
        try_join(try_join(we_send, kernel_sends), receiving).await.expect("the exchange");
    assert_eq!(at_us, from_kernel.sum(), "what arrived with us");
    assert_eq!(at_kernel, from_us.sum(), "what arrived with the kernel");
}

#[test]
fn both_directions_at_once_arrive_whole_over_ipv6() {
    scenario("both_directions_at_once_arrive_whole_over_ipv6").family(Family::V6).play(
        async |scene| {
            for opener in Opener::ALL {
                let (ours, kernels) = scene.pair(opener).await;
                assert!(ours.peer_addr().expect("an address").is_ipv6());
                exchange(ours, kernels).await;
            }
        },
    );
}

#[test]
fn both_directions_at_once_arrive_whole_over_ipv4() {
    scenario("both_directions_at_once_arrive_whole_over_ipv4").play(async |scene| {
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            exchange(ours, kernels).await;
        }
    });
}
