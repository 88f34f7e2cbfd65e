//! Who has closed and waits for the other's FIN waits for ever while the application holds the
//! socket, and `tcp_fin_timeout` when nobody does; what comes too late is answered with a reset.
#![cfg(target_os = "linux")]

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures::future::join;
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::StateName;
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::kernel_counters;
use towpath_integration::kernel_sockets::KernelState;
use towpath_integration::network::Network;
use towpath_integration::peer::Peer;
use towpath_integration::scenario::Scenario;
use towpath_integration::scene::{Connection, Family, Opener, Scene, soon};
use towpath_integration::skip::Need;

/// Of both sides. Linux's shortest, in whole seconds.
const FIN_TIMEOUT: Duration = Duration::from_secs(1);

fn short(name: &'static str) -> Scenario {
    scenario(name)
        .needs([Need::Tshark])
        .side_by_side()
        .config(|config| config.tcp_fin_timeout(FIN_TIMEOUT))
}

fn shorten_the_kernels() {
    Network::here().sysctl("net.ipv4.tcp_fin_timeout", "1");
}

/// Writes until the reset is known. The first byte is written into a connection that looks sound;
/// a reset in CLOSE-WAIT is EPIPE (`tcp_reset` of Linux).
async fn is_reset(mut end: impl Peer, who: &str) {
    let begun = Instant::now();
    let error = loop {
        match end.write_all(b"too late").await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => break error,
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{who} is not reset");
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{who}: {error}");
}

fn resets(segments: &[Seen], of: &Connection) -> Vec<Seen> {
    let is_one = |seen: &&Seen| seen.belongs_to(of) && seen.has(flags::RST);
    segments.iter().filter(is_one).cloned().collect()
}

/// The reset of a segment with an ACK has its number from there, and no ACK of its own
/// (RFC 9293 section 3.10.7.1).
fn assert_answered_by_reset(segments: &[Seen], of: &Connection, by_us: bool) {
    let resets = resets(segments, of);
    let last_ack = segments
        .iter()
        .filter(|seen| seen.belongs_to(of) && seen.is_ours_in(of) != by_us)
        .map(|seen| seen.ack)
        .next_back();
    assert!(!resets.is_empty(), "no reset in {segments:#?}");
    for reset in resets {
        assert_eq!(reset.is_ours_in(of), by_us, "{reset:?}");
        assert_eq!((reset.flags, Some(reset.seq)), (flags::RST, last_ack), "{reset:?}");
    }
}

async fn the_kernels_orphan_goes(scene: &Scene, opener: Opener) {
    let (mut ours, kernels) = scene.pair(opener).await;
    let connection = Connection::of(&ours);
    let begun = Instant::now();
    drop(kernels);
    scene.kernel_state(&connection, Some(KernelState::FinWait2)).await;
    assert_eq!(ours.read(&mut [0]).await.expect("the end of the stream"), 0);
    scene.kernel_state(&connection, None).await;
    let took = begun.elapsed();
    assert!(took >= FIN_TIMEOUT - Duration::from_millis(60), "it went after {took:?}");
    is_reset(ours, "our late writer").await;
    assert_answered_by_reset(&scene.segments(), &connection, false);
}

async fn our_orphan_goes(scene: &Scene, opener: Opener) {
    let (ours, mut kernels) = scene.pair(opener).await;
    let connection = Connection::of(&ours);
    let begun = Instant::now();
    let census = || scene.stack.census();
    drop(ours);
    assert_eq!(census().connections, 1, "{:?}", census());
    scene.kernel_state(&connection, Some(KernelState::CloseWait)).await;
    assert_eq!(kernels.read(&mut [0]).await.expect("the end of the stream"), 0);
    soon("our orphan goes", || census().connections == 0, || format!("{:?}", census())).await;
    let took = begun.elapsed();
    assert!(took >= FIN_TIMEOUT - Duration::from_millis(60), "it went after {took:?}");
    is_reset(kernels, "the kernel's late writer").await;
    assert_answered_by_reset(&scene.segments(), &connection, true);
}

// Shows: I-09, I-23
#[test]
fn an_orphan_in_fin_wait_2_goes_after_its_time_out_on_both_sides() {
    short("an_orphan_in_fin_wait_2_goes_after_its_time_out_on_both_sides").play(async |scene| {
        shorten_the_kernels();
        the_kernels_orphan_goes(scene, Opener::Ours).await;
        our_orphan_goes(scene, Opener::Kernel).await;
    });
}

// Shows: I-09, I-23
#[test]
fn an_orphan_in_fin_wait_2_goes_after_its_time_out_over_ipv6() {
    short("an_orphan_in_fin_wait_2_goes_after_its_time_out_over_ipv6").family(Family::V6).play(
        async |scene| {
            shorten_the_kernels();
            the_kernels_orphan_goes(scene, Opener::Kernel).await;
            our_orphan_goes(scene, Opener::Ours).await;
        },
    );
}

/// A FIN instead of data: the kernel has forgotten, its reset ends our LAST-ACK.
// Shows: I-09
#[test]
fn our_fin_after_the_kernels_orphan_is_gone_ends_with_a_reset() {
    short("our_fin_after_the_kernels_orphan_is_gone_ends_with_a_reset").play(async |scene| {
        shorten_the_kernels();
        let (mut ours, kernels) = scene.pair(Opener::Kernel).await;
        let connection = Connection::of(&ours);
        drop(kernels);
        scene.kernel_state(&connection, Some(KernelState::FinWait2)).await;
        scene.kernel_state(&connection, None).await;
        ours.shutdown().await.expect("shutting down");
        let state = || ours.state();
        let is_gone = || state().is_none_or(|state| state == StateName::Closed);
        soon("LAST-ACK ends", is_gone, || format!("{:?}", state())).await;
        assert_answered_by_reset(&scene.segments(), &connection, false);
    });
}

/// The first data for a socket that nobody can read from any more is answered at once.
// Shows: I-09, 9293 SHLD-3
#[test]
fn data_for_an_orphan_is_reset_at_once_on_both_sides() {
    scenario("data_for_an_orphan_is_reset_at_once_on_both_sides").needs([Need::Tshark]).play(
        async |scene| {
            for opener in Opener::ALL {
                let (ours, kernels) = scene.pair(opener).await;
                let connection = Connection::of(&ours);
                drop(kernels);
                scene.kernel_state(&connection, Some(KernelState::FinWait2)).await;
                is_reset(ours, "our writer").await;
                assert!(!resets(&scene.segments(), &connection).is_empty(), "by the kernel");

                let (ours, kernels) = scene.pair(opener).await;
                let connection = Connection::of(&ours);
                drop(ours);
                scene.kernel_state(&connection, Some(KernelState::CloseWait)).await;
                is_reset(kernels, "the kernel's writer").await;
                assert!(!resets(&scene.segments(), &connection).is_empty(), "by us");
            }
            let counted = scene.stack.counters().get("TcpExtTCPAbortOnData");
            assert_eq!(counted, Some(2), "one for each opener");
        },
    );
}

/// Half closed is no orphan: the reading half is waited for.
// Shows: I-09
#[test]
fn a_half_closed_socket_that_is_held_outlives_the_time_out_on_both_sides() {
    short("a_half_closed_socket_that_is_held_outlives_the_time_out_on_both_sides").play(
        async |scene| {
            shorten_the_kernels();
            let (mut ours, mut kernels) = scene.pair(Opener::Ours).await;
            let (mut ours_2, mut kernels_2) = scene.pair(Opener::Ours).await;
            let (first, second) = (Connection::of(&ours), Connection::of(&ours_2));
            ours.shutdown().await.expect("shutting down");
            kernels_2.shutdown().await.expect("shutting down");
            scene.kernel_state(&first, Some(KernelState::CloseWait)).await;
            scene.kernel_state(&second, Some(KernelState::FinWait2)).await;
            // Three times the time-out: what is to be seen is that nothing happens.
            tokio::time::sleep(3 * FIN_TIMEOUT).await;
            assert_eq!(ours.state(), Some(StateName::FinWait2));
            scene.kernel_state(&second, Some(KernelState::FinWait2)).await;
            let mut heard = [0; 5];
            kernels.write_all(b"still").await.expect("writing");
            ours_2.write_all(b"still").await.expect("writing");
            let reading = join(ours.read_exact(&mut heard), async {
                let mut heard = [0; 5];
                kernels_2.read_exact(&mut heard).await.map(|_| heard)
            });
            let (to_us, to_the_kernel) = reading.await;
            to_us.expect("reading");
            assert_eq!((&heard, &to_the_kernel.expect("reading")), (b"still", b"still"));
        },
    );
}

/// What was not read says that bytes are lost: a reset with the sequence number that is next, and
/// an ACK, not a FIN.
// Shows: I-23, 9293 SHLD-3, 9293 MUST-12
#[test]
fn a_close_with_unread_data_is_the_same_reset_on_both_sides() {
    scenario("a_close_with_unread_data_is_the_same_reset_on_both_sides")
        .needs([Need::Tshark])
        .play(async |scene| {
            let aborts = || kernel_counters::read("TcpExt", "TCPAbortOnClose");
            let before = aborts();
            for opener in Opener::ALL {
                let (mut ours, kernels) = scene.pair(opener).await;
                let by_the_kernel = Connection::of(&ours);
                ours.write_all(b"nobody reads this").await.expect("writing");
                kernels.peek(&mut [0]).await.expect("data");
                drop(kernels);
                let error = ours.read(&mut [0]).await.expect_err("a reset");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");

                let (ours, mut kernels) = scene.pair(opener).await;
                let by_us = Connection::of(&ours);
                kernels.write_all(b"nobody reads this").await.expect("writing");
                ours.peek(&mut [0]).await.expect("data");
                drop(ours);
                let error = kernels.read(&mut [0]).await.expect_err("a reset");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");

                let segments = scene.segments();
                for (connection, ours) in [(by_the_kernel, false), (by_us, true)] {
                    let resets = resets(&segments, &connection);
                    assert_eq!(resets.len(), 1, "{resets:?}");
                    let reset = &resets[0];
                    assert_eq!(reset.is_ours_in(&connection), ours, "{reset:?}");
                    assert_eq!(reset.flags, flags::RST | flags::ACK, "{reset:?}");
                    let said = segments.iter().rfind(|seen| {
                        seen.belongs_to(&connection) && seen.is_ours_in(&connection) != ours
                    });
                    // What the other one expects next, and all that it has said.
                    let said = said.expect("data");
                    assert_eq!((reset.seq, reset.ack), (said.ack, said.seq + said.len));
                }
            }
            assert_eq!(aborts() - before, 2, "the kernel's");
            assert_eq!(scene.stack.counters().get("TcpExtTCPAbortOnClose"), Some(2), "ours");
        });
}
