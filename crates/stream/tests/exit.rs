//! What was written is delivered although `main` returns right after writing it.
//!
//! This program starts itself again as the one whose `main` returns. Their stacks are joined by
//! UDP datagrams over the kernel's loopback, each a packet, so that nothing needs privileges.

mod common;

use std::env;
use std::error::Error;
use std::io;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{CLIENT, SERVER, digest, digest_of, payload, server_on};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use towpath::device::PacketStream;
use towpath::net::TcpStream;

/// More than the reader's first window, and little enough that the writer's buffer takes the rest: so
/// `write_all` returns although nobody reads, and what it wrote cannot have arrived.
const LEN: usize = 100 * 1024;
const SEED: u64 = 11;

/// For the second program: the two ports, its linger in milliseconds.
const PORTS: &str = "TOWPATH_TEST_EXIT_PORTS";
const LINGER: &str = "TOWPATH_TEST_EXIT_LINGER";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    if let Ok(ports) = env::var(PORTS) {
        return returns_after_writing(&ports)
            .await
            .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    for (sentence, linger, whole) in [
        ("a main that returns after writing still delivers", Duration::from_secs(20), true),
        ("without a linger it does not, so the test can fail", Duration::ZERO, false),
    ] {
        print!("test {sentence} ... ");
        match received_from_one_that_returns(linger).await {
            Ok(is_whole) if is_whole == whole => println!("ok"),
            other => {
                println!("FAILED: {other:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The second program: connects, writes, returns.
async fn returns_after_writing(ports: &str) -> Result<(), Box<dyn Error>> {
    let (own, far) = ports.split_once(' ').ok_or("want two ports")?;
    let (own, far): (u16, u16) = (own.parse()?, far.parse()?);
    let linger = Duration::from_millis(env::var(LINGER)?.parse()?);
    let socket = std::net::UdpSocket::bind(("127.0.0.1", own))?;
    socket.connect(("127.0.0.1", far))?;
    // Opened on the driver's thread, whose runtime is the one that survives `main`'s.
    let device = move || packets(socket);
    common::client().open_device(device).exit_linger(linger).build_default()?;
    let mut stream = TcpStream::connect((SERVER, 80)).await?;
    stream.write_all(&payload(LEN, SEED)).await?;
    Ok(())
}

/// Whether a stack here gets the whole of what the second program writes.
async fn received_from_one_that_returns(linger: Duration) -> Result<bool, Box<dyn Error>> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let reserved = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let (own, far) = (reserved.local_addr()?.port(), socket.local_addr()?.port());
    socket.connect(("127.0.0.1", own))?;
    drop(reserved);
    let server = server_on(packets(socket)?).build()?;
    let listener = server.listen((SERVER, 80)).await?;
    let mut child = Command::new(env::current_exe()?)
        .env(PORTS, format!("{own} {far}"))
        .env(LINGER, linger.as_millis().to_string())
        .spawn()?;
    let (mut stream, peer) = timeout(Duration::from_secs(20), listener.accept()).await??;
    assert_eq!(peer.ip().to_string(), CLIENT);
    let start = Instant::now();
    if linger.is_zero() {
        // Nothing is read before the other process has ended.
        assert!(tokio::task::block_in_place(|| child.wait())?.success());
    } else {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // The reset of one that does not linger may meet a hole before it, and is not believed then
    // (RFC 5961): so silence counts as an end that is not whole.
    let received = timeout(Duration::from_secs(10), digest(&mut stream)).await;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    assert!(status.success() && start.elapsed() < Duration::from_secs(20));
    let whole = digest_of(&payload(LEN, SEED));
    Ok(matches!(received, Ok(Ok(received)) if received == whole))
}

/// A connected UDP socket as a device. Datagrams that the kernel refuses are lost, as packets are.
fn packets(socket: std::net::UdpSocket) -> io::Result<PacketStream> {
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let arriving = futures::stream::unfold(Arc::clone(&socket), |socket| async move {
        let mut buffer = vec![0; 65_536];
        loop {
            if let Ok(len) = socket.recv(&mut buffer).await {
                return Some((Ok(Bytes::copy_from_slice(&buffer[..len])), socket));
            }
        }
    });
    let departing = futures::sink::unfold(socket, |socket, packet: Bytes| async move {
        let _ = socket.send(&packet).await;
        io::Result::Ok(socket)
    });
    Ok(PacketStream::new(arriving, departing, 1500))
}
