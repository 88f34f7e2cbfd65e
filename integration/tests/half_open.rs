//! One end is gone and the other does not know: what it says is answered with a reset by who came
//! back, or given up by time when nobody did; on both sides, after the same time.
#![cfg(target_os = "linux")]

mod support;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures::future::join;
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream as KernelStream;
use towpath::net::TcpStream as OurStream;
use towpath::{CloseReason, Config, Stack, TunDevice};
use towpath_integration::chain::Chain;
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::kernel_counters;
use towpath_integration::kernel_sockets::{self, KernelState};
use towpath_integration::peer::Peer;
use towpath_integration::scenario::tun_config;
use towpath_integration::scene::{Connection, Family, Opener, Scene, end_stack, soon};
use towpath_integration::skip::Need;
use towpath_integration::socket_statistics::Statistics;

const MTU: u32 = 1500;

/// Of data that nobody acknowledges, on both sides.
const RETRIES: u32 = 3;

/// Linux's model of them: that long after the first time-out, the next one is the end.
const MODEL: f64 = 0.2 + 0.4 + 0.8 + 1.6;

/// How late timers and their readers may be on a busy machine.
const LATE: f64 = 1.0;

/// When an end with this RTO gives up, in seconds: each time-out is twice the one before. With an
/// RTO of 0.2 s and a little the fourth one is just before the model's end, and with a little more
/// it is just behind.
fn gives_up(rto: f64) -> Range<f64> {
    let end = |model: f64| {
        let (mut at, mut wait) = (rto, rto);
        while at - rto < model {
            wait *= 2.;
            at += wait;
        }
        at
    };
    end(MODEL - 0.3) - 0.1..end(MODEL + 0.1) + LATE
}

/// The RTOs of both ends, in seconds, ours first.
fn rtos(chain: &Chain, ours: &OurStream) -> [f64; 2] {
    let kernels = chain.last().within(|| Statistics::of(&Connection::of(ours)));
    let kernels = kernels.value("rto").and_then(|rto| rto.parse::<f64>().ok());
    [ours.info().expect("open").rto.as_secs_f64(), kernels.expect("an RTO") / 1000.]
}

/// Its host has lost its power: the link is cut before the socket goes, so that nobody hears of it.
fn lose(chain: &mut Chain, kernels: KernelStream) {
    chain.sever();
    kernels.set_zero_linger().expect("SO_LINGER");
    drop(kernels);
    chain.replace_last(MTU);
    chain.mend();
}

async fn data_meet_a_reset(scene: &Scene) {
    for opener in Opener::ALL {
        let mut chain = Chain::build(&[MTU]);
        let (mut ours, mut kernels) = chain.pair(scene, opener).await;
        let connection = Connection::of(&ours);
        ours.write_all(b"before").await.expect("writing");
        kernels.read_exact(&mut [0; 6]).await.expect("reading");
        lose(&mut chain, kernels);
        ours.write_all(b"are you there").await.expect("the connection looks sound");
        let error = ours.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        assert_eq!(ours.close_reason(), Some(CloseReason::PeerReset));
        drop(ours);
        let segments = scene.segments();
        let mine = || segments.iter().filter(|seen| seen.belongs_to(&connection));
        let said = mine().rfind(|seen| seen.len > 0).expect("our data");
        let resets: Vec<_> = mine().filter(|seen| seen.has(flags::RST)).collect();
        assert!(!resets.is_empty(), "{opener:?}");
        for reset in resets {
            assert_eq!((reset.flags, reset.seq, reset.from), (flags::RST, said.ack, said.to));
        }
    }
}

// Shows: RFC9293 s3.5.2a, I-23
#[test]
fn our_data_for_a_peer_that_came_back_without_memory_meet_a_reset() {
    scenario("our_data_for_a_peer_that_came_back_without_memory_meet_a_reset")
        .needs([Need::Tshark, Need::Iproute2])
        .play(data_meet_a_reset);
}

// Shows: RFC9293 s3.5.2a, I-23
#[test]
fn our_data_for_a_peer_that_came_back_meet_a_reset_over_ipv6() {
    scenario("our_data_for_a_peer_that_came_back_meet_a_reset_over_ipv6")
        .needs([Need::Tshark, Need::Iproute2])
        .family(Family::V6)
        .play(data_meet_a_reset);
}

/// The peer is back and opens anew from the same port: our ACK of what we remember is reset, and
/// its next SYN finds a listener.
// Shows: 9293 MUST-12, I-14
#[test]
fn a_peer_that_came_back_opens_anew_over_our_half_open_connection() {
    scenario("a_peer_that_came_back_opens_anew_over_our_half_open_connection")
        .needs([Need::Tshark, Need::Iproute2])
        .side_by_side()
        .play(async |scene| {
            let mut chain = Chain::build(&[MTU]);
            let (listener, at) = scene.our_listener().await;
            let from = SocketAddr::new(chain.peer_ip(scene.family()), 7_777);
            let connecting = chain.last().socket(from).connect(at);
            let (kernels, old) = join(connecting, listener.accept()).await;
            let (mut old, _) = old.expect("accepting");
            lose(&mut chain, kernels.expect("connecting"));
            let connecting = chain.last().socket(from).connect(at);
            let (kernels, new) = join(connecting, listener.accept()).await;
            let (mut kernels, (mut new, peer)) =
                (kernels.expect("connecting"), new.expect("accepting"));
            assert_eq!(peer, from);
            let error = old.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            kernels.write_all(b"anew").await.expect("writing");
            let mut heard = [0; 4];
            new.read_exact(&mut heard).await.expect("reading");
            assert_eq!(&heard, b"anew");
            assert_eq!(scene.stack.counters().get("TcpExtTCPSYNChallenge"), Some(1));
            drop((old, new, kernels));
            chain.quiet().await;
        });
}

/// A stack at our address, over an interface that it makes.
fn stack() -> Stack {
    Stack::builder()
        .device(TunDevice::open(tun_config()).expect("a TUN interface"))
        .config(Config::default().time_wait(Duration::from_millis(300)))
        .address(format!("{}/{}", Family::V4.our_ip(), Family::V4.prefix_length()))
        .default_route()
        .build()
        .expect("a stack")
}

/// Ends a stack whose packets reach nobody any more, and with it its interface.
async fn lose_ours(chain: &Chain, stack: Stack) {
    chain.sever();
    end_stack(stack, Duration::ZERO).await;
}

/// The other way round: our process is gone and comes back; the kernel's end does not know.
// Shows: RFC9293 s3.5.2a, 9293 SHLD-2, I-14
#[test]
fn the_kernels_half_open_connection_is_reset_by_a_stack_that_came_back() {
    scenario("the_kernels_half_open_connection_is_reset_by_a_stack_that_came_back")
        .needs([Need::Iproute2])
        .side_by_side()
        .play_bare(async |_| {
            let chain = Chain::build(&[MTU]);
            let peer = SocketAddr::new(chain.peer_ip(Family::V4), 0);
            let listener = chain.last().listener(peer);
            let at = listener.local_addr().expect("an address");
            let before = stack();
            let from = SocketAddr::new(Family::V4.our_ip(), 7_777);
            let socket = |stack: &Stack| {
                let socket = stack.socket_v4();
                socket.bind(from).expect("binding");
                socket
            };

            // Its data meet a stack that knows nothing.
            let (ours, kernels) = join(before.connect(at), listener.accept()).await;
            let (mut kernels, _) = kernels.expect("accepting");
            lose_ours(&chain, before).await;
            drop(ours);
            let after = stack();
            chain.mend();
            kernels.write_all(b"are you there").await.expect("the connection looks sound");
            let error = kernels.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");

            // A new SYN from the old port meets the old connection: RFC 9293's figure 10.
            let (ours, kernels) = join(socket(&after).connect(at), listener.accept()).await;
            let (mut old, _) = kernels.expect("accepting");
            lose_ours(&chain, after).await;
            drop(ours);
            let again = stack();
            chain.mend();
            let challenges =
                || chain.last().within(|| kernel_counters::read("TcpExt", "TCPSYNChallenge"));
            let challenged = challenges();
            let (ours, kernels) = join(socket(&again).connect(at), listener.accept()).await;
            let (mut ours, (mut kernels, peer)) =
                (ours.expect("connecting"), kernels.expect("accepting"));
            assert_eq!((peer, challenges() - challenged), (from, 1));
            let error = old.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            ours.write_all(b"anew").await.expect("writing");
            let mut heard = [0; 4];
            kernels.read_exact(&mut heard).await.expect("reading");
            assert_eq!(&heard, b"anew");
            drop((ours, kernels, old, listener));
            chain.quiet().await;
            end_stack(again, Duration::from_secs(5)).await;
        });
}

/// Times of retransmissions from the first sending on.
fn schedule(segments: &[Seen], of: &Connection) -> Vec<f64> {
    let sent: Vec<_> = segments.iter().filter(|seen| seen.is_ours_in(of) && seen.len > 0).collect();
    sent.iter().map(|seen| (seen.at - sent[0].at).as_secs_f64()).collect()
}

async fn given_up(end: &mut impl Peer) -> io::Result<(ErrorKind, f64)> {
    end.write_all(b"are you there").await?;
    let begun = Instant::now();
    let error = end.read(&mut [0]).await.expect_err("nobody answers");
    Ok((error.kind(), begun.elapsed().as_secs_f64()))
}

/// Data that nobody acknowledges are given up after `tcp_retries2` time-outs of the model's 200 ms.
// Shows: I-08, I-05, 9293 MUST-20
#[test]
fn data_for_nobody_are_given_up_after_the_same_retries_on_both_sides() {
    scenario("data_for_nobody_are_given_up_after_the_same_retries_on_both_sides")
        .needs([Need::Tshark, Need::Iproute2])
        .config(|config| config.tcp_retries2(RETRIES))
        .side_by_side()
        .play(async |scene| {
            let chain = Chain::build(&[MTU]);
            chain.last().sysctl("net.ipv4.tcp_retries2", &RETRIES.to_string());
            let (mut ours, mut kernels) = chain.pair(scene, Opener::Ours).await;
            let connection = Connection::of(&ours);
            let rtos = rtos(&chain, &ours);
            chain.sever();
            let again = || chain.last().within(|| kernel_counters::read("Tcp", "RetransSegs"));
            let before = again();
            let (we, kernel) = join(given_up(&mut ours), given_up(&mut kernels)).await;
            let (we, kernel) = (we.expect("writing"), kernel.expect("writing"));
            for ((who, (kind, took)), rto) in
                [("we", we), ("the kernel", kernel)].into_iter().zip(rtos)
            {
                assert_eq!(kind, ErrorKind::TimedOut, "{who}");
                let expected = gives_up(rto);
                assert!(expected.contains(&took), "{who}: after {took} s, not {expected:?}");
            }
            let ours_seen = schedule(&scene.segments(), &connection);
            let kernels_again = again() - before;
            println!("ours at {ours_seen:?}, the kernel sent {kernels_again} times again");
            assert!(ours_seen.len() as u64 > u64::from(RETRIES), "{ours_seen:?}");
            assert!(kernels_again >= u64::from(RETRIES), "{kernels_again}");
            drop((ours, kernels));
            chain.quiet().await;
        });
}

/// Closed by the application with something still to say, and nobody there.
// Shows: I-09
#[test]
fn an_orphan_with_nobody_there_is_given_up_after_its_retries_on_both_sides() {
    scenario("an_orphan_with_nobody_there_is_given_up_after_its_retries_on_both_sides")
        .needs([Need::Iproute2])
        .config(|config| config.tcp_orphan_retries(RETRIES))
        .side_by_side()
        .play(async |scene| {
            let chain = Chain::build(&[MTU]);
            chain.last().sysctl("net.ipv4.tcp_orphan_retries", &RETRIES.to_string());
            let (ours, kernels) = chain.pair(scene, Opener::Kernel).await;
            let connection = Connection::of(&ours);
            let rtos = rtos(&chain, &ours);
            chain.sever();
            let begun = Instant::now();
            drop((ours, kernels));
            let ours = async {
                let connections = || scene.stack.census().connections;
                soon("we give up", || connections() == 0, || connections().to_string()).await;
                begun.elapsed().as_secs_f64()
            };
            let kernels = async {
                let state = || {
                    let look = || kernel_sockets::state(connection.kernels, connection.ours);
                    chain.last().within(look).expect("reading /proc")
                };
                assert_eq!(state(), Some(KernelState::FinWait1));
                soon("the kernel gives up", || state().is_none(), || format!("{:?}", state()))
                    .await;
                begun.elapsed().as_secs_f64()
            };
            let (ours, kernels) = join(ours, kernels).await;
            for ((who, took), rto) in [("we", ours), ("the kernel", kernels)].into_iter().zip(rtos)
            {
                let expected = gives_up(rto);
                assert!(expected.contains(&took), "{who}: after {took} s, not {expected:?}");
            }
        });
}
