//! A SYN or a SYN-ACK that nobody answers is sent again when the kernel sends its own again, and as
//! often: both at once, each to a host that is not there, timed in one capture.
#![cfg(target_os = "linux")]

mod support;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use futures::future::join;
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::forged::Forger;
use towpath_integration::kernel_sockets;
use towpath_integration::network::Network;
use towpath_integration::peer::receive;
use towpath_integration::scenario::Scenario;
use towpath_integration::scene::{Family, Opener, Scene, soon};
use towpath_integration::skip::Need;
use towpath_netem::LinkConfig;

/// A busy machine is late; the others are early then by what the first one was late.
const EARLY: f64 = 0.3;
const LATE: f64 = 0.6;

/// On the interface's network: one that the kernel does not forward to, and one that the stack
/// does not have.
fn nobody(family: Family, last: u16) -> IpAddr {
    match family.our_ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            [a, b, c, u8::try_from(last).expect("a byte")].into()
        }
        IpAddr::V6(ip) => {
            let mut segments = ip.segments();
            segments[7] = last;
            segments.into()
        }
    }
}

fn assert_schedule(who: &str, seen: &[Duration], expected: &[f64]) {
    let first = seen.first().copied().unwrap_or_default();
    let seen: Vec<f64> = seen.iter().map(|at| (*at - first).as_secs_f64()).collect();
    let fits = |(seen, expected): (&f64, &f64)| (-EARLY..LATE).contains(&(seen - expected));
    let is_good = seen.len() == expected.len() && seen.iter().zip(expected).all(fits);
    assert!(is_good, "{who}: at {seen:.3?} s, expected at {expected:?} s");
}

fn times(segments: &[Seen], is_one: impl Fn(&Seen) -> bool) -> Vec<Duration> {
    segments.iter().filter(|seen| is_one(seen)).map(|seen| seen.at).collect()
}

async fn timed<T>(call: impl Future<Output = io::Result<T>>) -> (ErrorKind, f64) {
    let begun = Instant::now();
    let error = call.await.err().expect("nobody answers");
    (error.kind(), begun.elapsed().as_secs_f64())
}

/// Both connect to nobody, sending again `linear` times and then `retries` times; `schedule` is when SYNs are seen, its last entry when they give up.
async fn both_try(scene: &Scene, linear: u32, retries: u32, schedule: &[f64]) {
    let here = Network::here();
    here.sysctl("net.ipv4.tcp_syn_linear_timeouts", &linear.to_string());
    here.sysctl("net.ipv4.tcp_syn_retries", &retries.to_string());
    let behind_us = SocketAddr::new(nobody(scene.family(), 9), 80);
    let behind_the_kernel = SocketAddr::new(nobody(scene.family(), 99), 80);
    let kernels = timed(tokio::net::TcpStream::connect(behind_us));
    let ours = timed(scene.stack.connect(behind_the_kernel));
    let (kernels, ours) = join(kernels, ours).await;
    let (give_up, sent) = schedule.split_last().expect("an end");
    for (who, (kind, took)) in [("the kernel", kernels), ("we", ours)] {
        assert_eq!(kind, ErrorKind::TimedOut, "{who}");
        assert!((-EARLY..LATE).contains(&(took - give_up)), "{who} gave up after {took} s");
    }
    let segments = scene.segments();
    for (who, to) in [("the kernel's SYNs", behind_us), ("our SYNs", behind_the_kernel)] {
        let mine: Vec<_> = segments.iter().filter(|seen| seen.to == to).collect();
        assert!(mine.iter().all(|seen| seen.is_syn() && seen.seq == mine[0].seq), "{mine:?}");
        assert_schedule(who, &times(&segments, |seen| seen.to == to), sent);
    }
}

fn syn_scenario(name: &'static str, linear: u32, retries: u32) -> Scenario {
    scenario(name)
        .needs([Need::Tshark])
        .side_by_side()
        .config(|config| config.tcp_syn_linear_timeouts(linear).tcp_syn_retries(retries))
}

// Shows: I-06
#[test]
fn an_unanswered_syn_is_sent_again_when_the_kernel_sends_its_own_again() {
    syn_scenario("an_unanswered_syn_is_sent_again_when_the_kernel_sends_its_own_again", 4, 2)
        .play(async |scene| both_try(scene, 4, 2, &[0., 1., 2., 3., 4., 5., 7.]).await);
}

// Shows: I-06
#[test]
fn an_unanswered_syn_is_sent_again_as_older_kernels_do_over_ipv6() {
    syn_scenario("an_unanswered_syn_is_sent_again_as_older_kernels_do_over_ipv6", 0, 1)
        .family(Family::V6)
        .play(async |scene| both_try(scene, 0, 1, &[0., 1., 3.]).await);
}

/// A SYN from an address that is nobody's makes the listener on either side answer nobody.
// Shows: I-07
#[test]
fn an_unanswered_syn_ack_is_sent_again_when_the_kernel_sends_its_own_again() {
    scenario("an_unanswered_syn_ack_is_sent_again_when_the_kernel_sends_its_own_again")
        .needs([Need::Tshark, Need::Iproute2])
        .side_by_side()
        .config(|config| config.tcp_synack_retries(2))
        .play(async |scene| {
            let here = Network::here();
            here.ip("link set lo up");
            here.sysctl("net.ipv4.tcp_synack_retries", "2");
            // The kernel looks at the way back to a source otherwise.
            here.sysctl("net.ipv4.conf.all.rp_filter", "0");
            here.sysctl("net.ipv4.conf.lo.rp_filter", "0");
            let (our_listener, ours) = scene.our_listener().await;
            let (kernel_listener, kernels) = scene.kernel_listener().await;
            let client: SocketAddrV4 = "10.77.0.55:4000".parse().expect("an address");
            let forger = Forger::open().expect("a raw socket");
            for to in [ours, kernels] {
                let SocketAddr::V4(to) = to else { panic!("IPv4: {to}") };
                forger.syn(client, to, 1_000_000).expect("sending");
            }
            let begun = Instant::now();
            let half_open_at_the_kernel = || {
                let sockets = kernel_sockets::all().expect("reading /proc");
                sockets.iter().filter(|socket| socket.remote == client.into()).count()
            };
            let half_open = || (scene.stack.census().half_open, half_open_at_the_kernel());
            soon("half open", || half_open() == (1, 1), || format!("{:?}", half_open())).await;
            soon("given up", || half_open() == (0, 0), || format!("{:?}", half_open())).await;
            let took = begun.elapsed().as_secs_f64();
            assert!((7. - EARLY..7. + LATE).contains(&took), "given up after {took} s");
            let segments = scene.segments();
            for (who, from) in [("our SYN-ACKs", ours), ("the kernel's SYN-ACKs", kernels)] {
                let is_answer = |seen: &Seen| seen.from == from && seen.is_syn_ack();
                assert_schedule(who, &times(&segments, is_answer), &[0., 1., 3.]);
            }
            drop((our_listener, kernel_listener));
        });
}

/// A round trip takes longer than a SYN waits: every SYN-ACK comes after the SYN was sent again.
// Shows: I-07, I-12
#[test]
fn a_syn_ack_that_comes_after_the_second_syn_completes_the_handshake() {
    scenario("a_syn_ack_that_comes_after_the_second_syn_completes_the_handshake")
        .needs([Need::Tshark])
        .side_by_side()
        .link(LinkConfig::new().delay(Duration::from_millis(700)), 1)
        .play(async |scene| {
            for opener in Opener::ALL {
                let (mut ours, mut kernels) = scene.pair(opener).await;
                let ours_says = async {
                    ours.write_all(b"from here").await?;
                    ours.shutdown().await?;
                    receive(&mut ours).await
                };
                let kernel_says = async {
                    kernels.write_all(b"from there").await?;
                    kernels.shutdown().await?;
                    receive(&mut kernels).await
                };
                let ends = futures::future::try_join(ours_says, kernel_says).await;
                let (to_us, to_the_kernel) = ends.expect("the exchange");
                assert_eq!((to_us.bytes, to_the_kernel.bytes), (10, 9), "{opener:?}");
            }
            let segments = scene.segments();
            for opener in [scene.our_ip(), scene.kernel_ip()] {
                let syns = times(&segments, |seen| seen.is_syn() && seen.from.ip() == opener);
                assert_eq!(syns.len(), 2, "SYNs of {opener}");
            }
            assert!(!segments.iter().any(|seen| seen.has(flags::RST)), "{segments:#?}");
        });
}
