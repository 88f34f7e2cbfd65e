//! Probes of an idle connection: answered, they hurt nobody; unanswered, they end it on either side
//! after the same time.
#![cfg(target_os = "linux")]

mod support;

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use futures::future::join;
use socket2::{SockRef, TcpKeepalive};
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream as KernelStream;
use towpath::net::TcpStream as OurStream;
use towpath::{CloseReason, KeepAlive};
use towpath_integration::chain::Chain;
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::kernel_counters;
use towpath_integration::scene::{Connection, Family, Opener, Scene, soon};
use towpath_integration::skip::Need;

/// The shortest that Linux has.
const SECOND: Duration = Duration::from_secs(1);
const PROBES: u32 = 2;

/// The grain of clocks, and the delays of a busy machine.
const EARLY: Duration = Duration::from_millis(60);
const LATE: Duration = Duration::from_millis(1500);

fn kernel_probes(stream: &KernelStream) {
    let times = TcpKeepalive::new().with_time(SECOND).with_interval(SECOND).with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&times).expect("SO_KEEPALIVE");
}

fn we_probe(stream: &OurStream) {
    let times = KeepAlive { time: SECOND, interval: SECOND, probes: PROBES };
    stream.set_keepalive(Some(times)).expect("keep-alive");
}

/// A byte each way.
async fn talk(ours: &mut OurStream, kernels: &mut KernelStream) {
    ours.write_all(b"a").await.expect("writing");
    kernels.write_all(b"b").await.expect("writing");
    let mut heard = [[0]; 2];
    kernels.read_exact(&mut heard[0]).await.expect("reading");
    ours.read_exact(&mut heard[1]).await.expect("reading");
    assert_eq!(heard, [*b"a", *b"b"]);
}

/// In tshark's eyes; of an answer it remarks "ACK to a TCP keep-alive segment".
fn is_probe(seen: &Seen) -> bool {
    seen.remarks.starts_with("TCP keep-alive segment")
}

/// Each probe is empty, one before what comes next, and answered with an ACK of all that was said.
fn assert_answered(segments: &[Seen], of: &Connection, by_us: bool) {
    let mine: Vec<_> = segments.iter().filter(|seen| seen.belongs_to(of)).collect();
    let probes: Vec<_> = mine.iter().filter(|seen| is_probe(seen)).collect();
    assert!(probes.len() >= 3, "tshark sees few probes: {mine:#?}");
    for probe in probes {
        assert_eq!(probe.is_ours_in(of), by_us, "{probe:?}");
        assert_eq!((probe.len, probe.flags), (0, flags::ACK), "{probe:?}");
        let is_answer = |seen: &&&Seen| {
            seen.from == probe.to && seen.at >= probe.at && seen.ack == probe.seq.wrapping_add(1)
        };
        let answer = mine.iter().find(is_answer).expect("an answer");
        assert_eq!((answer.len, answer.seq), (0, probe.ack), "{answer:?}");
        let took = answer.at - probe.at;
        assert!(took < SECOND, "the answer took {took:?}");
    }
}

// Shows: I-11, 9293 MUST-25, 9293 MUST-29
#[test]
fn answered_probes_keep_an_idle_connection_on_both_sides() {
    scenario("answered_probes_keep_an_idle_connection_on_both_sides")
        .needs([Need::Tshark])
        .side_by_side()
        .play(async |scene| {
            let (mut ours, mut kernels) = scene.pair(Opener::Ours).await;
            let (mut ours_2, mut kernels_2) = scene.pair(Opener::Kernel).await;
            // The kernel sends no probe before the first data have come.
            talk(&mut ours, &mut kernels).await;
            talk(&mut ours_2, &mut kernels_2).await;
            let probed = [Connection::of(&ours), Connection::of(&ours_2)];
            we_probe(&ours);
            kernel_probes(&kernels_2);
            let read = ours_2.info().expect("open").bytes_received;
            let counted = || {
                let ours = scene.stack.counters().get("TcpExtTCPKeepAlive").unwrap_or(0);
                (ours, kernel_counters::read("TcpExt", "TCPKeepAlive"))
            };
            // More than would end it, if they were not answered.
            let enough = || counted().0 > 3 && counted().1 > 3;
            soon("four probes each", enough, || format!("{:?}", counted())).await;
            assert_eq!(ours_2.info().expect("open").bytes_received, read, "a probe is no data");
            assert_eq!(ours_2.info().expect("open").unread_bytes, 0);
            talk(&mut ours, &mut kernels).await;
            talk(&mut ours_2, &mut kernels_2).await;
            let segments = scene.segments();
            assert_answered(&segments, &probed[0], true);
            assert_answered(&segments, &probed[1], false);
        });
}

/// How and when.
async fn ended(read: impl Future<Output = io::Result<usize>>) -> (ErrorKind, Instant) {
    let error = read.await.expect_err("nobody answers");
    (error.kind(), Instant::now())
}

/// Both ends probe and nobody answers, because the path between them is cut.
async fn both_time_out(scene: &Scene) {
    let chain = Chain::build(&[1500]);
    let (mut ours, mut kernels) = chain.pair(scene, Opener::Ours).await;
    // Rest begins with the last segment that comes: somewhere between these two.
    let before = Instant::now();
    talk(&mut ours, &mut kernels).await;
    let connection = Connection::of(&ours);
    chain.sever();
    we_probe(&ours);
    kernel_probes(&kernels);
    let after = Instant::now();
    let (mut at_ours, mut at_kernels) = ([0], [0]);
    let (we, kernel) =
        join(ended(ours.read(&mut at_ours)), ended(kernels.read(&mut at_kernels))).await;
    // A second of rest, and one after each probe.
    let expected = SECOND * (1 + PROBES);
    for (who, (kind, at)) in [("we", we), ("the kernel", kernel)] {
        assert_eq!(kind, ErrorKind::TimedOut, "{who}");
        let (most, least) = (at - before, at - after);
        let is_good = most + EARLY >= expected && least < expected + LATE;
        assert!(is_good, "{who} gave up after {least:?} to {most:?}");
    }
    assert_eq!(ours.close_reason(), Some(CloseReason::KeepAlive { probes: PROBES }));
    let segments = scene.segments();
    let mine: Vec<_> = segments.iter().filter(|seen| seen.is_ours_in(&connection)).collect();
    let probes = mine.iter().filter(|seen| is_probe(seen));
    assert_eq!(probes.count(), PROBES as usize, "{mine:#?}");
    let last = mine.last().expect("segments");
    assert!(last.has(flags::RST), "as the kernel, we say that it is over: {last:?}");
    drop((ours, kernels));
    chain.quiet().await;
}

// Shows: I-11, 9293 MUST-26
#[test]
fn unanswered_probes_end_the_connection_on_both_sides_at_the_same_time() {
    scenario("unanswered_probes_end_the_connection_on_both_sides_at_the_same_time")
        .needs([Need::Tshark, Need::Iproute2])
        .side_by_side()
        .play(both_time_out);
}

// Shows: I-11
#[test]
fn unanswered_probes_end_the_connection_over_ipv6() {
    scenario("unanswered_probes_end_the_connection_over_ipv6")
        .needs([Need::Tshark, Need::Iproute2])
        .family(Family::V6)
        .side_by_side()
        .play(both_time_out);
}
