//! Both sides connect to each other at once: the SYNs cross, and there is one connection.
#![cfg(target_os = "linux")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join, try_join};
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::dissect::flags;
use towpath_integration::network::Network;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{receive, send};
use towpath_integration::scene::{Connection, Family, Scene};
use towpath_integration::skip::Need;
use towpath_netem::LinkConfig;

/// Each way: whoever is second has this long to send, so that the SYNs cross for certain.
const DELAY: Duration = Duration::from_millis(250);

const BYTES: u64 = 100_000;
const TIMES: u16 = 3;

async fn cross(scene: &Scene, port: u16) {
    let ours_at = SocketAddr::new(scene.our_ip(), 5_000 + port);
    let kernels_at = SocketAddr::new(scene.kernel_ip(), 6_000 + port);
    let socket = if ours_at.is_ipv4() { scene.stack.socket_v4() } else { scene.stack.socket_v6() };
    socket.bind(ours_at).expect("binding");
    let kernels = Network::here().socket(kernels_at);
    let ends = try_join(socket.connect(kernels_at), kernels.connect(ours_at)).await;
    let (mut ours, mut kernels) = ends.expect("one connection");
    let connection = Connection::of(&ours);
    assert_eq!((connection.ours, connection.kernels), (ours_at, kernels_at));

    let (from_us, from_the_kernel) = (Payload::new(1, BYTES), Payload::new(2, BYTES));
    let (mut our_read, mut our_write) = ours.split();
    let (mut kernel_read, mut kernel_write) = kernels.split();
    let we_say = async {
        send(&mut our_write, from_us.clone()).await?;
        our_write.shutdown().await
    };
    let the_kernel_says = async {
        send(&mut kernel_write, from_the_kernel.clone()).await?;
        kernel_write.shutdown().await
    };
    let saying = try_join(we_say, the_kernel_says);
    let hearing = try_join(receive(&mut our_read), receive(&mut kernel_read));
    let (said, heard) = join(saying, hearing).await;
    said.expect("writing");
    assert_eq!(heard.expect("reading"), (from_the_kernel.sum(), from_us.sum()));

    let segments = scene.segments();
    let mine = || segments.iter().filter(|seen| seen.belongs_to(&connection));
    for is_ours in [true, false] {
        let sent = |flag: fn(&towpath_integration::dissect::Seen) -> bool| {
            mine().filter(|seen| seen.is_ours_in(&connection) == is_ours && flag(seen)).count()
        };
        assert_eq!(sent(|seen| seen.is_syn()), 1, "SYNs, ours: {is_ours}");
        assert!(sent(|seen| seen.is_syn_ack()) >= 1, "SYN-ACKs, ours: {is_ours}");
    }
    assert!(mine().all(|seen| !seen.has(flags::RST)), "a reset");
}

fn opened_from_both_sides(name: &'static str, family: Family) {
    scenario(name)
        .needs([Need::Tshark])
        .family(family)
        .link(LinkConfig::new().delay(DELAY), 1)
        .side_by_side()
        .play(async |scene| {
            futures::future::join_all((0..TIMES).map(|port| cross(scene, port))).await;
        });
}

// Shows: I-26, 9293 MUST-10
#[test]
fn crossing_syns_make_one_connection_with_the_kernel() {
    opened_from_both_sides("crossing_syns_make_one_connection_with_the_kernel", Family::V4);
}

// Shows: I-26, 9293 MUST-10
#[test]
fn crossing_syns_make_one_connection_with_the_kernel_over_ipv6() {
    opened_from_both_sides(
        "crossing_syns_make_one_connection_with_the_kernel_over_ipv6",
        Family::V6,
    );
}
