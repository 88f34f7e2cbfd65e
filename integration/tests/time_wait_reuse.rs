//! A client that comes back from the same port at once is let in although the last connection is
//! still in TIME-WAIT, on either side.
#![cfg(target_os = "linux")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::kernel_sockets::{self, KernelState};
use towpath_integration::network::Network;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, receive_exactly, send};
use towpath_integration::scenario::Scenario;
use towpath_integration::scene::{Connection, Family, Scene, soon};

/// How often the client comes back.
const TIMES: u64 = 40;

/// Few enough that the client's next initial number is beyond them: without timestamps nothing
/// else tells the new connection from the old, and Linux's numbers grow by one in 64 ns.
const ASKED: u64 = 2_000;
const ANSWERED: u64 = 50_000;

/// Our numbers grow by one in 4 us (RFC 9293 MUST-8): after this they are beyond the question.
const REST: Duration = Duration::from_micros(4 * ASKED);

/// Longer than all connections of a scenario together, so that the record is found each time.
const TIME_WAIT: Duration = Duration::from_secs(4);

/// The client asks, the server answers and closes first: TIME-WAIT is the server's.
async fn ask(mut client: impl Peer, mut server: impl Peer, seed: u64) {
    let (question, answer) = (Payload::new(seed, ASKED), Payload::new(!seed, ANSWERED));
    let asking = async {
        send(&mut client, question.clone()).await?;
        let answered = receive(&mut client).await?;
        client.shutdown().await?;
        std::io::Result::Ok(answered)
    };
    let answering = async {
        let asked = receive_exactly(&mut server, ASKED).await?;
        send(&mut server, answer.clone()).await?;
        server.shutdown().await?;
        let rest = receive(&mut server).await?;
        std::io::Result::Ok((asked, rest.bytes))
    };
    let (answered, (asked, rest)) =
        futures::future::try_join(asking, answering).await.expect("the exchange");
    assert_eq!((asked, rest), (question.sum(), 0), "the question of {seed}");
    assert_eq!(answered, answer.sum(), "the answer to {seed}");
}

async fn the_kernel_comes_back(scene: &Scene) {
    let here = Network::here();
    let (listener, at) = scene.our_listener().await;
    let from = SocketAddr::new(scene.kernel_ip(), 45_678);
    for time in 0..TIMES {
        let waiting = scene.stack.census().time_wait;
        assert_eq!(waiting, usize::from(time > 0), "a TIME-WAIT record of ours, at {time}");
        let connecting = here.socket(from).connect(at);
        let ends = futures::future::try_join(connecting, listener.accept()).await;
        let (kernels, (ours, peer)) = ends.expect("a connection");
        assert_eq!(peer, from);
        let connection = Connection::of(&ours);
        ask(kernels, ours, time).await;
        // The client's end is in LAST-ACK until our ACK is there, and has the port so long.
        scene.kernel_state(&connection, None).await;
    }
    let counters = scene.stack.counters();
    assert_eq!(counters.get("TcpPassiveOpens"), Some(TIMES));
    assert_eq!(counters.get("TcpOutRsts"), Some(0));
}

async fn we_come_back(scene: &Scene) {
    let (listener, at) = scene.kernel_listener().await;
    let from = SocketAddr::new(scene.our_ip(), 45_678);
    for time in 0..TIMES {
        let state = kernel_sockets::state(at, from).expect("reading /proc");
        assert_eq!(state, (time > 0).then_some(KernelState::TimeWait), "at {time}");
        let socket = if from.is_ipv4() { scene.stack.socket_v4() } else { scene.stack.socket_v6() };
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        socket.bind(from).expect("binding");
        let ends = futures::future::try_join(socket.connect(at), listener.accept()).await;
        let (ours, (kernels, peer)) = ends.expect("a connection");
        assert_eq!(peer, from);
        ask(ours, kernels, time).await;
        let connections = || scene.stack.census().connections;
        soon("LAST-ACK ends", || connections() == 0, || connections().to_string()).await;
        tokio::time::sleep(REST).await;
    }
    let counters = scene.stack.counters();
    assert_eq!(counters.get("TcpActiveOpens"), Some(TIMES));
    assert_eq!(counters.get("TcpOutRsts"), Some(0));
}

fn coming_back(name: &'static str) -> Scenario {
    scenario(name).config(|config| config.time_wait(TIME_WAIT)).side_by_side()
}

// Shows: I-10
#[test]
fn a_kernel_client_reconnects_from_one_port_with_timestamps() {
    coming_back("a_kernel_client_reconnects_from_one_port_with_timestamps")
        .play(the_kernel_comes_back);
}

// Shows: I-10
#[test]
fn a_kernel_client_reconnects_from_one_port_without_timestamps() {
    coming_back("a_kernel_client_reconnects_from_one_port_without_timestamps").play(
        async |scene| {
            Network::here().sysctl("net.ipv4.tcp_timestamps", "0");
            the_kernel_comes_back(scene).await;
        },
    );
}

// Shows: I-10
#[test]
fn a_kernel_client_reconnects_from_one_port_over_ipv6() {
    coming_back("a_kernel_client_reconnects_from_one_port_over_ipv6")
        .family(Family::V6)
        .play(the_kernel_comes_back);
}

// Shows: I-10
#[test]
fn our_client_reconnects_to_the_kernel_from_one_port_with_timestamps() {
    coming_back("our_client_reconnects_to_the_kernel_from_one_port_with_timestamps")
        .play(we_come_back);
}

// Shows: I-10
#[test]
fn our_client_reconnects_to_the_kernel_from_one_port_without_timestamps() {
    coming_back("our_client_reconnects_to_the_kernel_from_one_port_without_timestamps")
        .config(|config| config.tcp_timestamps(false))
        .play(we_come_back);
}
