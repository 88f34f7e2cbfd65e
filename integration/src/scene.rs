//! What most scenarios play in: one stack over a TUN interface, the kernel at the other end; and
//! the check that nothing of it is left when they are over.
//!
//! On a panic the counters and what the stack holds are printed, and the capture is complete.

use std::fs::File;
use std::io::BufWriter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future;
use tokio::net::TcpStream as KernelStream;
use tokio::runtime::Handle;
use towpath::device::captured::CaptureHandle;
use towpath::device::{Captured, Device, Impaired};
use towpath::net::TcpStream as OurStream;
use towpath::{Census, ShutdownReport, Stack, TunDevice};

use crate::dissect::{self, Seen};
use crate::inventory::Inventory;
use crate::kernel_sockets::{self, KernelSocket, KernelState};
use crate::network::Network;
use crate::scenario::{Capture, INTERFACE, Stage, tun_config};

/// Which addresses are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 10.77.0.0/24
    V4,
    /// fd77::/64
    V6,
}

impl Family {
    /// The kernel's address.
    pub fn kernel_ip(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(10, 77, 0, 1).into(),
            Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// The stack's address.
    pub fn our_ip(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(10, 77, 0, 2).into(),
            Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2).into(),
        }
    }

    /// How many bits of an address are the network's.
    pub fn prefix_length(self) -> u8 {
        match self {
            Family::V4 => 24,
            Family::V6 => 64,
        }
    }
}

/// Who sends the SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The stack connects to a listener of the kernel's.
    Ours,
    /// The kernel connects to a listener of the stack's.
    Kernel,
}

impl Opener {
    /// Both.
    pub const ALL: [Opener; 2] = [Opener::Ours, Opener::Kernel];
}

/// How long something that happens by itself, retransmissions included, may take.
const SOON: Duration = Duration::from_secs(20);

/// How long the stack may take to end when nothing is left in it.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// One stack and the kernel.
#[derive(Debug)]
pub struct Scene {
    /// The stack under test.
    pub stack: Stack,
    /// What is recorded of its packets, if anything is, and where to.
    pub capture: Option<(CaptureHandle, PathBuf)>,
    family: Family,
}

impl Scene {
    pub(crate) async fn play(stage: &Stage, body: impl AsyncFnOnce(&Scene)) {
        let scene = Scene::build(stage);
        let capture = scene.capture.as_ref().map(|(handle, _)| handle.clone());
        let witness = Witness(scene.stack.clone(), capture);
        let tasks = || Handle::current().metrics().num_alive_tasks();
        // The driver's, and those that the device spawned.
        let tasks_before = tasks();
        body(&scene).await;
        let stack = &scene.stack;
        soon(
            "the stack is empty",
            || stack.census() == Census::default(),
            || format!("{:?}", stack.census()),
        )
        .await;
        soon(
            "the kernel's connections are closed",
            || open_sockets().is_empty(),
            || format!("{:?}", open_sockets()),
        )
        .await;
        soon(
            "the scenario's tasks are over",
            || tasks() == tasks_before,
            || format!("{} tasks, {tasks_before} before", tasks()),
        )
        .await;
        let report = stack.shutdown(SHUTDOWN).await;
        assert_eq!(report, ShutdownReport::default(), "an empty stack had something to deliver");
        drop(witness);
    }

    fn build(stage: &Stage) -> Scene {
        let scenario = &stage.scenario;
        let mut device: Box<dyn Device> =
            Box::new(TunDevice::open(tun_config()).expect("a TUN interface"));
        if let Some((link, seed)) = &scenario.link {
            println!("the link's seed is {seed}");
            let impaired = Impaired::new(device, link.clone(), link.clone(), *seed);
            device = Box::new(impaired.expect("a link that makes sense"));
        }
        let mut capture = None;
        if scenario.capture == Capture::Taken {
            let path = stage.capture_path();
            let file = File::create(&path).expect("the capture's file");
            let captured = Captured::new(device, BufWriter::with_capacity(64 * 1024, file));
            let captured = captured.expect("the capture's header");
            capture = Some((captured.handle(), path));
            device = Box::new(captured);
        }
        let mut builder =
            Stack::builder().device(device).config(scenario.config.clone()).default_route();
        for family in [Family::V4, Family::V6] {
            builder = builder.address(format!("{}/{}", family.our_ip(), family.prefix_length()));
        }
        let stack = builder.build().expect("a stack");
        Scene { stack, capture, family: scenario.family }
    }

    /// A scene with a stack that the scenario has built for itself, and looks after.
    pub fn around(stack: Stack, family: Family) -> Scene {
        Scene { stack, capture: None, family }
    }

    /// Whose addresses are used.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What was sent and received so far, in tshark's reading.
    ///
    /// # Panics
    ///
    /// When nothing is recorded, or tshark cannot read it.
    pub fn segments(&self) -> Vec<Seen> {
        let (handle, path) = self.capture.as_ref().expect("a capture");
        handle.flush().expect("a complete capture");
        dissect::segments(path).expect("tshark reads the capture")
    }

    /// The kernel's address.
    pub fn kernel_ip(&self) -> IpAddr {
        self.family.kernel_ip()
    }

    /// The stack's address.
    pub fn our_ip(&self) -> IpAddr {
        self.family.our_ip()
    }

    /// A listener of the kernel's, and where it listens.
    pub async fn kernel_listener(&self) -> (tokio::net::TcpListener, SocketAddr) {
        let listener = Network::here().listener((self.kernel_ip(), 0).into());
        let at = listener.local_addr().expect("a listener's address");
        (listener, at)
    }

    /// A listener of the stack's, and where it listens.
    pub async fn our_listener(&self) -> (towpath::net::TcpListener, SocketAddr) {
        let listener = self.stack.listen((self.our_ip(), 0)).await.expect("the stack listens");
        let at = listener.local_addr().expect("a listener's address");
        (listener, at)
    }

    /// A connection: our end and the kernel's. Nobody listens any more.
    pub async fn pair(&self, opener: Opener) -> (OurStream, KernelStream) {
        match opener {
            Opener::Ours => {
                let (listener, at) = self.kernel_listener().await;
                let ends = future::try_join(self.stack.connect(at), listener.accept()).await;
                let (ours, (kernels, peer)) = ends.expect("the stack connects");
                assert_eq!(peer, ours.local_addr().expect("an address"));
                (ours, kernels)
            }
            Opener::Kernel => {
                let (listener, at) = self.our_listener().await;
                let ends = future::try_join(listener.accept(), KernelStream::connect(at)).await;
                let ((ours, peer), kernels) = ends.expect("the kernel connects");
                assert_eq!(peer, kernels.local_addr().expect("an address"));
                (ours, kernels)
            }
        }
    }

    /// Waits until the kernel's end of this connection is in this state; `None` is no socket.
    pub async fn kernel_state(&self, of: &Connection, expected: Option<KernelState>) {
        let look = || kernel_sockets::state(of.kernels, of.ours).expect("reading /proc");
        soon(
            "the kernel's state",
            || look() == expected,
            || format!("{:?}, not {expected:?}", look()),
        )
        .await;
    }
}

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Our end's.
    pub ours: SocketAddr,
    /// The kernel's.
    pub kernels: SocketAddr,
}

impl Connection {
    /// That of our stream.
    pub fn of(ours: &OurStream) -> Connection {
        Connection {
            ours: ours.local_addr().expect("an address"),
            kernels: ours.peer_addr().expect("an address"),
        }
    }
}

/// Ends a stack over [`tun_config`]'s interface within this time, and waits until another one may make the interface. Streams of the stack may be left, but no
/// clone of it.
///
/// # Panics
///
/// When the interface stays.
pub async fn end_stack(stack: Stack, deadline: Duration) -> ShutdownReport {
    let report = stack.shutdown(deadline).await;
    drop(stack);
    let interfaces = || Inventory::take().expect("reading /proc").interfaces;
    let name = INTERFACE.to_owned();
    soon("the interface goes", || !interfaces().contains(&name), || format!("{:?}", interfaces()))
        .await;
    report
}

/// Waits until `is_so`.
///
/// # Panics
///
/// When it takes too long, with `what` and the words of `tell`.
pub async fn soon(what: &str, is_so: impl Fn() -> bool, tell: impl Fn() -> String) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}, not within {SOON:?}: {}", tell());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The kernel's sockets in the calling thread's network namespace that are not done.
pub(crate) fn open_sockets() -> Vec<KernelSocket> {
    let mut sockets = kernel_sockets::all().expect("reading /proc");
    let is_done = |state| matches!(state, KernelState::TimeWait | KernelState::Close);
    sockets.retain(|socket| !is_done(socket.state));
    sockets
}

/// Tells what the stack knows when the scenario fails, and completes the capture in any case.
struct Witness(Stack, Option<CaptureHandle>);

impl Drop for Witness {
    fn drop(&mut self) {
        let Witness(stack, capture) = self;
        if std::thread::panicking() {
            println!("the stack holds {:?}", stack.census());
            for (name, value) in stack.counters().iter().filter(|(_, value)| *value > 0) {
                println!("{name} {value}");
            }
            println!("the kernel's sockets: {:?}", kernel_sockets::all());
        }
        if let Some(Err(error)) = capture.as_ref().map(CaptureHandle::flush) {
            println!("the capture is not complete: {error}");
        }
    }
}
