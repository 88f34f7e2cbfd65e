//! TCP/IP in user space for tokio: [`TcpStream`](net::TcpStream) and
//! [`TcpListener`](net::TcpListener) over a TUN device or any source of packets.
//!
//! A [`Stack`] is built over a [`Device`](device::Device) and given addresses. What listens and
//! connects on it are tokio's own types by another path: `use tokio::net` becomes
//! `use towpath::net`, and `main` gains the lines that build the stack.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use towpath::{Stack, device::memory, net::TcpStream};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (left, right) = memory::pair(1500); // a cable; see `TunDevice` for the kernel's side
//!     let server = Stack::builder().device(left).address("10.0.0.1/24").build()?;
//!     let client = Stack::builder().device(right).address("10.0.0.2/24").build()?;
//!     let listener = server.listen("10.0.0.1:7").await?;
//!     tokio::spawn(async move {
//!         let (mut stream, _) = listener.accept().await?;
//!         let (mut read, mut write) = stream.split();
//!         tokio::io::copy(&mut read, &mut write).await
//!     });
//!     let mut stream = client.scope(async { TcpStream::connect("10.0.0.1:7").await }).await?;
//!     stream.write_all(b"hello").await?;
//!     stream.shutdown().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     assert_eq!(answer, "hello");
//!     Ok(())
//! }
//! ```
//!
//! # Which stack
//!
//! `TcpStream::connect` and `TcpListener::bind` mean the *ambient* stack, looked up when they are
//! called: that of the innermost [`Stack::scope`] or [`Stack::enter`], else the process's default
//! ([`Stack::set_default`]). Without one they fail; they never mean the kernel. `tokio::spawn`
//! inherits the default only; [`Stack::spawn`] the scope. [`Stack::connect`] and [`Stack::listen`]
//! name their stack.
//!
//! # Who does the work
//!
//! A stack has one driver, a task of the runtime that built it, or a thread of its own
//! ([`StackBuilder::own_thread`]). It receives, runs timers, and sends what the device could not
//! take at once; everything else is done by the tasks that call.
//!
//! # Features
//!
//! * `tun` (default): the standard device, a TUN interface of Linux. It adds nothing elsewhere.
//! * `axum-08`: `TcpListener` is a listener of axum 0.8's `serve`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ambient;
mod builder;
mod counters;
mod deadline;
mod driver;
mod ecosystem;
mod egress;
mod error;
mod exit;
mod ingress;
mod inner;
mod life;
pub mod net;
mod options;
mod shared;
mod stack;
mod waiters;
mod waiting;

pub use ambient::{EnterGuard, Scope};
pub use builder::StackBuilder;
pub use counters::{Counters, PacketCounters};
pub use error::Error;
pub use life::ShutdownReport;
pub use options::KeepAlive;
pub use stack::Stack;

/// Where packets come from and go to: the trait, the devices that come with Towpath, and what a
/// device of one's own needs.
pub use towpath_device as device;
#[cfg(all(feature = "tun", target_os = "linux"))]
pub use towpath_device::{TunConfig, TunDevice, TunError};
/// Congestion control, and what one of one's own needs: the trait
/// [`Controller`](congestion::Controller), and [`CustomControl`](congestion::CustomControl), which
/// goes into [`CongestionControl::Custom`].
///
/// A controller runs inside the stack, under its lock: it does arithmetic, waits for nothing and
/// calls nothing of the stack. `examples/own_congestion_control.rs` is a whole one.
pub use towpath_engine::congestion;
pub use towpath_engine::{
    BufferSizes, Census, Chronograph, CloseReason, Config, ConfigError, CongestionControl,
    Counters as ProtocolCounters, Instant, Setting, StateName, TcpInfo,
};

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
