//! Two stacks in one runtime: what is opened in the scope of one goes through its device.
#![cfg(target_os = "linux")]

mod support;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as KernelListener, TcpSocket as KernelSocket};
use tokio::sync::Semaphore;
use towpath::device::{Capabilities, Device, Rx, Tx, TxBatch};
use towpath::net::TcpStream;
use towpath::{Census, Config, Stack, TunConfig, TunDevice};
use towpath_integration::scene::soon;

const TASKS: usize = 1_000;

/// Connections of the kernel's that are open at once: each is a descriptor, twice a thousand of
/// which many systems do not give.
const AT_ONCE: usize = 200;

/// A device that notes where the SYNs go that are sent through it.
struct Noting {
    device: TunDevice,
    notes: Notes,
}

/// From and to.
type Notes = Arc<Mutex<Vec<(Ipv4Addr, Ipv4Addr)>>>;

impl Device for Noting {
    fn capabilities(&self) -> Capabilities {
        // What is looked at below are whole packets.
        Capabilities::new(self.device.capabilities().mtu)
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let (rx, tx) = Box::new(self.device).split()?;
        Ok((rx, Box::new(NotingTx { tx, notes: self.notes })))
    }
}

struct NotingTx {
    tx: Box<dyn Tx>,
    notes: Notes,
}

impl Tx for NotingTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        // Noted before they are taken: a SYN may be noted twice, never missed.
        self.notes.lock().extend(batch.iter().filter_map(|packet| syn(&packet.to_bytes())));
        self.tx.try_send(batch)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tx.poll_send_ready(cx)
    }
}

/// The addresses of an IPv4 packet with a SYN that opens.
fn syn(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (first, protocol) = (*packet.first()?, *packet.get(9)?);
    let header = usize::from(first & 0x0f) * 4;
    let flags = *packet.get(header + 13)?;
    if first >> 4 != 4 || protocol != 6 || flags & 0x12 != 0x02 {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets))
    };
    Some((address(12)?, address(16)?))
}

/// A stack, the kernel's side of its device, and what was noted of it.
struct Side {
    stack: Stack,
    ours: Ipv4Addr,
    kernels: Ipv4Addr,
    notes: Notes,
}

impl Side {
    fn build(number: u8) -> Side {
        let (kernels, ours) = (Ipv4Addr::new(10, 77, number, 1), Ipv4Addr::new(10, 77, number, 2));
        let tun = TunConfig::new(format!("side{number}")).create().address(kernels.into(), 24);
        let notes = Notes::default();
        let device = TunDevice::open(tun).expect("a TUN interface");
        let builder = Stack::builder()
            .device(Noting { device, notes: Arc::clone(&notes) })
            .config(Config::default().time_wait(Duration::from_millis(300)))
            .address(format!("{ours}/24"))
            // Each could reach the other's network too: nothing but the scope decides.
            .default_route();
        Side { stack: builder.build().expect("a stack"), ours, kernels, notes }
    }
}

/// Listens with room for all clients at once. Beyond its backlog the kernel answers with SYN
/// cookies, and forgets who could not be queued: a client that waits for its first word then waits
/// for ever, on any stack.
fn listen(address: Ipv4Addr) -> io::Result<KernelListener> {
    let socket = KernelSocket::new_v4()?;
    socket.bind((address, 0).into())?;
    socket.listen(TASKS as u32)
}

/// Tells each client which address it is seen at, and closes.
async fn tell_addresses(listener: KernelListener, clients: usize) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut told = Vec::new();
    for _ in 0..clients {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let (mut stream, peer) = listener.accept().await.expect("accepting");
        told.push(tokio::spawn(async move {
            stream.write_all(peer.ip().to_string().as_bytes()).await.expect("writing");
            stream.shutdown().await.expect("shutting down");
            assert_eq!(stream.read(&mut [0]).await.expect("reading"), 0);
            drop(place);
        }));
    }
    for ended in join_all(told).await {
        ended.expect("no panic");
    }
}

/// Connects by the name that everybody uses: the ambient stack.
async fn ask_for_address(server: SocketAddr) -> String {
    // The scope holds across the tasks' turns, on whichever thread.
    tokio::task::yield_now().await;
    let mut stream = TcpStream::connect(server).await.expect("connecting");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reading");
    answer
}

#[test]
fn a_thousand_tasks_open_through_the_stack_of_their_scope() {
    let scenario = scenario("a_thousand_tasks_open_through_the_stack_of_their_scope");
    scenario.time_limit(Duration::from_secs(60)).play_bare(async |_| {
        let sides = [Side::build(1), Side::build(2)];
        sides[0].stack.set_default().expect("the first default");
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        for side in &sides {
            let listener = listen(side.kernels).expect("listening");
            let at = listener.local_addr().expect("an address");
            servers.push(tokio::spawn(tell_addresses(listener, TASKS / 2)));
            for _ in 0..TASKS / 2 {
                let client = side.stack.spawn(ask_for_address(at));
                clients.push((client, side.ours.to_string()));
            }
        }
        for (client, expected) in clients {
            assert_eq!(client.await.expect("no panic"), expected);
        }
        for server in servers {
            server.await.expect("no panic");
        }
        for side in &sides {
            let notes = side.notes.lock().clone();
            assert!(notes.len() >= TASKS / 2, "only {} SYNs were noted", notes.len());
            let strays: Vec<_> =
                notes.iter().filter(|ends| **ends != (side.ours, side.kernels)).collect();
            assert!(strays.is_empty(), "on the device of {}: {strays:?}", side.ours);
        }
        for side in &sides {
            let census = || side.stack.census();
            let is_empty = || census() == Census::default();
            soon("the stack is empty", is_empty, || format!("{:?}", census())).await;
            let report = side.stack.shutdown(Duration::from_secs(5)).await;
            assert_eq!((report.delivered, report.reset), (0, 0));
        }
    });
}
