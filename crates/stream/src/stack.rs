//! The handle of a stack.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::ToSocketAddrs;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use towpath_engine::{Census, Config, Instant};

use crate::ambient::{self, EnterGuard, Scope};
use crate::builder::StackBuilder;
use crate::counters::Counters;
use crate::error::Error;
use crate::life::ShutdownReport;
use crate::net::{TcpListener, TcpSocket, TcpStream};
use crate::shared::Lease;

/// A TCP/IP stack: the handle to one.
///
/// Handles are cheap to clone and may be used from any thread and any runtime. Handles, streams and
/// listeners keep the stack alive; when the last is gone it delivers what was written, at most for
/// its [`exit_linger`](StackBuilder::exit_linger), and ends.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use towpath::device::memory;
/// use towpath::Stack;
///
/// let (left, right) = memory::pair(1500);
/// let here = Stack::builder().device(left).address("10.0.0.1/24").build()?;
/// let there = Stack::builder().device(right).address("10.0.0.2/24").build()?;
///
/// let listener = there.listen("10.0.0.2:80").await?;
/// let stream = here.connect("10.0.0.2:80").await?;
/// let (_accepted, peer) = listener.accept().await?;
/// assert_eq!(peer, stream.local_addr()?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    lease: Lease,
}

impl Stack {
    /// Begins to build a stack. A device is required, and an address to be of use.
    pub fn builder() -> StackBuilder {
        StackBuilder::new()
    }

    pub(crate) fn new(lease: Lease) -> Stack {
        Stack { lease }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The ambient stack: that of the innermost [`scope`](Stack::scope) or
    /// [`enter`](Stack::enter), else the process's default.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) when there is none.
    pub fn current() -> io::Result<Stack> {
        ambient::current()
    }

    /// Opens a connection to a remote address through this stack, as
    /// [`tokio::net::TcpStream::connect`] does through the kernel. Names are resolved by the host.
    ///
    /// # Errors
    ///
    /// That of the last address that was tried.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future frees the connection and its port.
    pub fn connect<A: ToSocketAddrs>(
        &self,
        addr: A,
    ) -> impl Future<Output = io::Result<TcpStream>> + use<A> {
        let lease = self.lease.clone();
        async move { TcpStream::connect_to(&lease, addr).await }
    }

    /// Listens on an address of this stack, as [`tokio::net::TcpListener::bind`] does on the
    /// kernel's. Port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// That of the last address that was tried.
    pub fn listen<A: ToSocketAddrs>(
        &self,
        addr: A,
    ) -> impl Future<Output = io::Result<TcpListener>> + use<A> {
        let lease = self.lease.clone();
        async move { TcpListener::bind_to(&lease, addr).await }
    }

    /// An IPv4 socket of this stack that is neither bound nor connected, to set options on first.
    pub fn socket_v4(&self) -> TcpSocket {
        TcpSocket::of_v4(self)
    }

    /// An IPv6 socket of this stack that is neither bound nor connected, to set options on first.
    pub fn socket_v6(&self) -> TcpSocket {
        TcpSocket::of_v6(self)
    }

    /// Runs `future` with this stack as the ambient one: `TcpStream::connect` and
    /// `TcpListener::bind` inside it mean this stack. Tasks that it spawns with `tokio::spawn` are
    /// outside; those it spawns with [`spawn`](Stack::spawn) are inside.
    ///
    /// The stack is looked up when they are called, so the call has to be inside too:
    /// `stack.scope(async { TcpStream::connect(..).await })`.
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope::new(self.clone(), future)
    }

    /// Makes this stack the ambient one of this thread until the guard is dropped. For synchronous
    /// set-up: a guard that is held across an `.await` would leak the stack to other tasks, so it
    /// is not `Send`; use [`scope`](Stack::scope) there.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self)
    }

    /// Makes this stack the one that the whole process means where nothing else is said. Once a
    /// process; a default that has ended may be replaced.
    ///
    /// # Errors
    ///
    /// [`Error::DefaultIsSet`].
    pub fn set_default(&self) -> Result<(), Error> {
        ambient::set_default(self)
    }

    /// Spawns a task on the current runtime inside this stack's [`scope`](Stack::scope).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.scope(future))
    }

    /// The counters, now.
    pub fn counters(&self) -> Counters {
        let device = self.lease.device_statistics();
        self.lease.look(|inner| Counters {
            protocol: inner.endpoint.counters().clone(),
            packets: inner.packets.clone(),
            device,
        })
    }

    /// What the stack holds now: connections, timers, bytes. All zero when all is closed.
    pub fn census(&self) -> Census {
        self.lease.look(|inner| inner.endpoint.census())
    }

    /// What the stack's clock says, in which [`TcpInfo`](crate::TcpInfo) tells its instants.
    pub fn now(&self) -> Instant {
        self.lease.shared().clock().now()
    }

    /// The stack's addresses with their prefix lengths.
    pub fn addresses(&self) -> Vec<(IpAddr, u8)> {
        self.lease.look(|inner| inner.endpoint.addresses().collect())
    }

    /// The numbers that the stack was built with.
    pub fn config(&self) -> &Config {
        self.lease.config()
    }

    /// Ends the stack in order, as the end of a process does with its sockets.
    ///
    /// From the call on nothing new is opened or accepted, and calls on streams and listeners fail
    /// with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). Every connection is closed:
    /// what was written to it is still delivered, then its FIN; one with unread data is reset.
    /// Waits until the peers have acknowledged all of it, never for TIME-WAIT or for a peer's FIN.
    /// What is left after `deadline` is reset. Both are reported.
    ///
    /// On a stack that has ended the report is of zeros.
    ///
    /// # Cancel safety
    ///
    /// The closing goes on if the future is dropped.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let (send, receive) = oneshot::channel();
        self.lease.begin_closing(deadline, Some(send));
        receive.await.unwrap_or_default()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lease.look(|inner| inner.life.is_ended())
    }
}

/// The addresses that `addr` stands for, in order.
pub(crate) async fn resolve<A: ToSocketAddrs>(addr: A) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host(addr).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "could not resolve to any address",
        ));
    }
    Ok(addresses)
}
