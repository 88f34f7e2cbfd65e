//! Transfers over a link that loses, reorders, doubles and corrupts, each way.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, send};
use towpath_integration::scenario::Scenario;
use towpath_integration::scene::Opener;
use towpath_netem::LinkConfig;

const BYTES: u64 = 16 << 20;

/// The rates of the issue. A held-back packet is overtaken by what follows within two milliseconds.
fn link() -> LinkConfig {
    LinkConfig::new()
        .delay(Duration::from_millis(1))
        .loss(0.01)
        .reorder(0.05)
        .reorder_gap(Duration::from_millis(2))
        .duplicate(0.01)
        .corrupt(0.001)
}

/// Another one every time, printed by the scenario; `TOWPATH_SEED` gives one.
fn seed() -> u64 {
    if let Ok(seed) = std::env::var("TOWPATH_SEED") {
        return seed.parse().expect("TOWPATH_SEED is a number");
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}

fn impaired(name: &'static str) -> Scenario {
    scenario(name).link(link(), seed()).time_limit(Duration::from_secs(120))
}

async fn transfer(mut from: impl Peer, mut to: impl Peer) {
    let payload = Payload::new(1, BYTES);
    let sending = async {
        send(&mut from, payload.clone()).await?;
        from.shutdown().await
    };
    let (sent, arrived) = futures::future::join(sending, receive(&mut to)).await;
    sent.expect("sending");
    assert_eq!(arrived.expect("receiving"), payload.sum());
}

#[test]
fn sixteen_mebibytes_arrive_whole_at_the_kernel_over_a_bad_link() {
    impaired("sixteen_mebibytes_arrive_whole_at_the_kernel_over_a_bad_link").play(async |scene| {
        let (ours, kernels) = scene.pair(Opener::Kernel).await;
        transfer(ours, kernels).await;
        let counters = scene.stack.counters();
        let again = counters.get("TcpRetransSegs").unwrap_or(0);
        assert!(again > 0, "of {BYTES} bytes one in a hundred packets was lost");
    });
}

// Shows: 9293 MUST-3, 9293 SHLD-31
#[test]
fn sixteen_mebibytes_arrive_whole_from_the_kernel_over_a_bad_link() {
    impaired("sixteen_mebibytes_arrive_whole_from_the_kernel_over_a_bad_link").play(
        async |scene| {
            let (ours, kernels) = scene.pair(Opener::Ours).await;
            transfer(kernels, ours).await;
            let counters = scene.stack.counters();
            let refused =
                counters.get("TcpInErrs").unwrap_or(0) + counters.get("IpInHdrErrors").unwrap_or(0);
            assert!(refused > 0, "of {BYTES} bytes one in a thousand packets was corrupted");
        },
    );
}
