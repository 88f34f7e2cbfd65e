//! tshark finds nothing wrong with a transfer of ours.
#![cfg(target_os = "linux")]

mod support;

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::capture_check;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{receive, send};
use towpath_integration::scene::{Family, Opener, Scene};
use towpath_integration::skip::Need;

const BYTES: u64 = 1 << 20;

/// A full segment's payload with timestamps; fewer bytes make more segments.
const LARGEST_SEGMENT: u64 = 1448;

async fn transfer_and_judge(scene: &Scene) {
    let (mut ours, mut kernels) = scene.pair(Opener::Kernel).await;
    let payload = Payload::new(1, BYTES);
    let sending = async {
        send(&mut ours, payload.clone()).await?;
        ours.shutdown().await
    };
    let (sent, arrived) = futures::future::join(sending, receive(&mut kernels)).await;
    sent.expect("sending");
    assert_eq!(arrived.expect("receiving"), payload.sum());
    drop((ours, kernels));

    let (handle, path) = scene.capture.as_ref().expect("a capture");
    handle.flush().expect("a complete capture");
    let opinion = capture_check::judge(path).expect("tshark reads the capture");
    assert_eq!(opinion.complaints, Vec::<String>::new());
    assert_eq!(opinion.segments, opinion.good_checksums, "checksums");
    let least = usize::try_from(BYTES / LARGEST_SEGMENT).expect("few");
    assert!(opinion.segments > least, "{opinion:?}");
}

fn tshark_is_content(name: &'static str, family: Family) {
    scenario(name).needs([Need::Tshark]).family(family).play(transfer_and_judge);
}

// Shows: 9293 MUST-2
#[test]
fn tshark_finds_no_malformed_packet_and_every_checksum_good() {
    tshark_is_content("tshark_finds_no_malformed_packet_and_every_checksum_good", Family::V4);
}

// Shows: 9293 MUST-2
#[test]
fn tshark_finds_no_malformed_packet_over_ipv6() {
    tshark_is_content("tshark_finds_no_malformed_packet_over_ipv6", Family::V6);
}
