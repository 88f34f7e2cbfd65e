//! Bytes that come one at a time are acknowledged at once while the connection is young, and later
//! with a delay: on both sides as often, and as late.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath::StateName;
use towpath::net::TcpStream as OurStream;
use towpath_integration::dissect::Seen;
use towpath_integration::kernel_counters;
use towpath_integration::kernel_sockets;
use towpath_integration::peer::receive_exactly;
use towpath_integration::scene::{Connection, Opener, Scene};
use towpath_integration::skip::Need;
use towpath_integration::socket_statistics::Statistics;

/// Segments, each of one byte and sent when the one before is acknowledged; then one more after a
/// rest.
const SEGMENTS: usize = 28;

/// Linux's `TCP_MAX_QUICKACKS`.
const QUICK: usize = 16;

/// Linux's least delay is 40 ms; its timers count in ticks of up to 10 ms.
const DELAYED: Duration = Duration::from_millis(30);

/// Linux's greatest delay.
const LONGEST: Duration = Duration::from_millis(200);

/// A pause longer than the receiver's RTO brings the quick ACKs back: so much longer.
const REST: Duration = Duration::from_millis(150);

/// On a machine that is so busy that there are pauses without intent, the exchange is told again.
const TOO_BUSY: Duration = Duration::from_millis(180);

/// Who acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    Ours,
    Kernel,
}

/// What was seen of one exchange.
#[derive(Debug)]
struct Exchange {
    /// How long each segment waited for its ACK.
    waits: Vec<Duration>,
    /// How many ACKs the receiver's own counter calls delayed.
    delayed: u64,
    /// The same of the segment after the rest.
    delayed_after_rest: u64,
}

fn delayed_acks(scene: &Scene, receiver: Receiver) -> u64 {
    match receiver {
        Receiver::Ours => scene.stack.counters().get("TcpExtDelayedACKs").expect("a counter"),
        Receiver::Kernel => kernel_counters::read("TcpExt", "DelayedACKs"),
    }
}

fn rto(ours: &OurStream, receiver: Receiver) -> Duration {
    match receiver {
        Receiver::Ours => ours.info().expect("open").rto,
        Receiver::Kernel => {
            Duration::from_millis(Statistics::of(&Connection::of(ours)).number("rto"))
        }
    }
}

/// Waits until the sender's end has no byte under way.
async fn acknowledged(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// `None` when the machine was too busy.
async fn exchange(scene: &Scene, opener: Opener, receiver: Receiver) -> Option<Exchange> {
    let (mut ours, mut kernels) = scene.pair(opener).await;
    let connection = Connection::of(&ours);
    ours.set_nodelay(true).expect("TCP_NODELAY");
    kernels.set_nodelay(true).expect("TCP_NODELAY");
    let mut counts = Vec::new();
    let mut sent_at = Instant::now();
    for number in 0..=SEGMENTS {
        if sent_at.elapsed() > TOO_BUSY {
            return None;
        }
        sent_at = Instant::now();
        counts.push(delayed_acks(scene, receiver));
        if number == SEGMENTS {
            tokio::time::sleep(rto(&ours, receiver) + REST).await;
        }
        match receiver {
            Receiver::Kernel => {
                ours.write_all(b"x").await.expect("writing");
                acknowledged(|| ours.info().expect("open").unacked_bytes == 0).await;
                receive_exactly(&mut kernels, 1).await.expect("reading");
            }
            Receiver::Ours => {
                kernels.write_all(b"x").await.expect("writing");
                acknowledged(|| kernels_unacknowledged(&connection) == 0).await;
                receive_exactly(&mut ours, 1).await.expect("reading");
            }
        }
    }
    let (first, rested) = (counts[0], counts[SEGMENTS]);
    let delayed_after_rest = delayed_acks(scene, receiver) - rested;
    assert_eq!(ours.state(), Some(StateName::Established));
    drop((ours, kernels));
    let segments = scene.segments();
    let mine: Vec<_> = segments.iter().filter(|seen| seen.belongs_to(&connection)).collect();
    let is_data = |seen: &&&Seen| {
        seen.is_ours_in(&connection) == (receiver == Receiver::Kernel) && seen.len == 1
    };
    let sent: Vec<&Seen> = mine.iter().filter(is_data).copied().collect();
    let wait = |data: &&Seen| {
        let answer = mine.iter().find(|seen| seen.from == data.to && seen.ack == data.seq + 1);
        answer.expect("an ACK").at - data.at
    };
    // What was sent twice had an ACK that came late. And the receiver may have been kept waiting
    // although the sender was not.
    let mut pauses = sent.windows(2).take(SEGMENTS - 1).map(|two| two[1].at - two[0].at);
    let is_good = sent.len() == SEGMENTS + 1 && pauses.all(|pause| pause < TOO_BUSY);
    is_good.then(|| Exchange {
        waits: sent.iter().take(SEGMENTS).map(wait).collect(),
        delayed: rested - first,
        delayed_after_rest,
    })
}

/// An exchange in which nobody was kept from running. The scenario's time limit bounds the search.
async fn undisturbed(scene: &Scene, opener: Opener, receiver: Receiver) -> Exchange {
    loop {
        match exchange(scene, opener, receiver).await {
            Some(exchange) => return exchange,
            None => println!("too busy"),
        }
    }
}

fn median(waits: &[Duration]) -> Duration {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    waits[waits.len() / 2]
}

fn kernels_unacknowledged(connection: &Connection) -> u32 {
    let sockets = kernel_sockets::all().expect("reading /proc");
    let ends = (connection.kernels, connection.ours);
    let found = sockets.into_iter().find(|socket| (socket.local, socket.remote) == ends);
    found.expect("the kernel's end").unacknowledged
}

// Shows: I-03, I-04
#[test]
fn both_sides_hurry_sixteen_acks_and_delay_those_that_follow() {
    scenario("both_sides_hurry_sixteen_acks_and_delay_those_that_follow")
        .needs([Need::Tshark, Need::Iproute2])
        .side_by_side()
        .time_limit(Duration::from_secs(180))
        .play(async |scene| {
            for opener in Opener::ALL {
                for receiver in [Receiver::Kernel, Receiver::Ours] {
                    let seen = undisturbed(scene, opener, receiver).await;
                    let told = format!("{opener:?} opened, {receiver:?} acknowledges: {seen:?}");
                    assert_eq!(seen.delayed as usize, SEGMENTS - QUICK, "{told}");
                    assert_eq!(seen.delayed_after_rest, 0, "{told}");
                    let (quick, delayed) = seen.waits.split_at(QUICK);
                    assert!(delayed.iter().all(|wait| *wait >= DELAYED), "{told}");
                    assert!(median(delayed) < LONGEST, "{told}");
                    assert!(median(quick) < DELAYED, "{told}");
                }
            }
        });
}
