//! A link in the middle of the path carries less than those at its ends: the routers say so, each
//! sender learns it, and everything arrives.
#![cfg(target_os = "linux")]

mod support;

use futures::future::join;
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::chain::Chain;
use towpath_integration::dissect::Seen;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, send};
use towpath_integration::scenario::Scenario;
use towpath_integration::scene::{Connection, Family, Opener, Scene};
use towpath_integration::skip::Need;
use towpath_integration::socket_statistics::Statistics;

const BYTES: u64 = 4 << 20;

/// The headers of a segment with timestamps.
fn headers(family: Family) -> u32 {
    match family {
        Family::V4 => 20 + 20 + 12,
        Family::V6 => 40 + 20 + 12,
    }
}

/// Sends all that way and keeps both ends.
async fn transfer<F: Peer, T: Peer>(mut from: F, mut to: T) -> (F, T) {
    let payload = Payload::new(1, BYTES);
    let sending = async {
        send(&mut from, payload.clone()).await?;
        from.shutdown().await
    };
    let (sent, arrived) = join(sending, receive(&mut to)).await;
    sent.expect("sending");
    assert_eq!(arrived.expect("receiving"), payload.sum());
    (from, to)
}

/// Our router is the first network, the peer's is the second; the link between them is narrow, and
/// both announce segments that do not fit it.
fn narrow(mtu: u32) -> Chain {
    Chain::build(&[1500, mtu, 1500])
}

async fn we_learn(scene: &Scene, opener: Opener, mtu: u32) {
    let chain = narrow(mtu);
    let (full, fits) = (1500 - headers(scene.family()), mtu - headers(scene.family()));
    let (ours, kernels) = chain.pair(scene, opener).await;
    let connection = Connection::of(&ours);
    assert_eq!(ours.info().expect("open").snd_mss, full, "before anything is known");
    let (ours, kernels) = transfer(ours, kernels).await;
    assert_eq!(ours.info().expect("open").snd_mss, fits, "what we have learnt");
    let segments = scene.segments();
    let is_data = |seen: &&Seen| seen.is_ours_in(&connection) && seen.len > 0;
    let lens: Vec<_> = segments.iter().filter(is_data).map(|seen| seen.len).collect();
    assert_eq!(lens.iter().max(), Some(&full), "we try what the peer announced");
    let last_large = lens.iter().rposition(|len| *len > fits).expect("a large one");
    assert!(last_large < 100, "large ones up to number {last_large} of {}", lens.len());
    drop((ours, kernels));
    chain.quiet().await;
}

async fn the_kernel_learns(scene: &Scene, opener: Opener, mtu: u32) {
    let chain = narrow(mtu);
    let (full, fits) = (1500 - headers(scene.family()), mtu - headers(scene.family()));
    let (ours, kernels) = chain.pair(scene, opener).await;
    let connection = Connection::of(&ours);
    let mss = || chain.last().within(|| Statistics::of(&connection)).number("mss");
    assert_eq!(mss(), u64::from(full), "before anything is known");
    let (kernels, ours) = transfer(kernels, ours).await;
    assert_eq!(mss(), u64::from(fits), "what the kernel has learnt");
    drop((ours, kernels));
    chain.quiet().await;
}

fn narrow_path(name: &'static str, family: Family) -> Scenario {
    scenario(name).needs([Need::Tshark, Need::Iproute2]).family(family)
}

// Shows: I-39, RFC9293 s3.8.1, H-46
#[test]
fn we_learn_of_a_narrow_link_in_the_middle_of_the_path() {
    narrow_path("we_learn_of_a_narrow_link_in_the_middle_of_the_path", Family::V4)
        .play(async |scene| we_learn(scene, Opener::Kernel, 1400).await);
}

// Shows: I-39, RFC9293 s3.8.1
#[test]
fn we_learn_of_a_narrow_link_over_ipv6() {
    narrow_path("we_learn_of_a_narrow_link_over_ipv6", Family::V6)
        .play(async |scene| we_learn(scene, Opener::Ours, 1280).await);
}

// Shows: I-39
#[test]
fn the_kernel_learns_of_a_narrow_link_in_the_middle_of_the_path() {
    narrow_path("the_kernel_learns_of_a_narrow_link_in_the_middle_of_the_path", Family::V4)
        .play(async |scene| the_kernel_learns(scene, Opener::Ours, 1400).await);
}

// Shows: I-39
#[test]
fn the_kernel_learns_of_a_narrow_link_over_ipv6() {
    narrow_path("the_kernel_learns_of_a_narrow_link_over_ipv6", Family::V6)
        .play(async |scene| the_kernel_learns(scene, Opener::Kernel, 1280).await);
}
