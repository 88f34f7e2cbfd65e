//! A listening socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::net::ToSocketAddrs;
use towpath_engine::{
    ConnectionId, Endpoint, Instant, ListenRequest, ListenerId, Readiness, SocketError,
};

use crate::ambient;
use crate::error::io_error;
use crate::net::TcpStream;
use crate::shared::Lease;
use crate::stack::resolve;
use crate::waiters::{Direction, Target};

/// How many connections may wait to be accepted: tokio's choice for `bind`. The configuration's
/// `somaxconn` bounds it.
const BACKLOG: u32 = 1024;

/// A TCP socket that accepts connections, as [`tokio::net::TcpListener`] but on a Towpath stack.
///
/// Dropping it resets the connections that wait to be accepted, as Linux does.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use towpath::net::TcpListener;
///
/// let listener = TcpListener::bind("10.77.0.2:80").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     tokio::spawn(async move { drop((stream, peer)) });
/// }
/// # }
/// ```
pub struct TcpListener {
    lease: Lease,
    id: ListenerId,
}

/// What the engine gives of an accepted connection.
type Accepted = (ConnectionId, SocketAddr, SocketAddr);

impl TcpListener {
    /// Listens on an address of the ambient stack. Port 0 picks a free one.
    ///
    /// The stack is looked up here, at the call, not when the future is first polled.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) without an ambient stack; otherwise that of
    /// the last address that was tried, such as `AddrInUse`.
    pub fn bind<A: ToSocketAddrs>(
        addr: A,
    ) -> impl Future<Output = io::Result<TcpListener>> + use<A> {
        let stack = ambient::current();
        async move { TcpListener::bind_to(stack?.lease(), addr).await }
    }

    pub(crate) async fn bind_to<A: ToSocketAddrs>(
        lease: &Lease,
        addr: A,
    ) -> io::Result<TcpListener> {
        let mut last = None;
        for local in resolve(addr).await? {
            let request = ListenRequest::new(local).backlog(BACKLOG);
            match TcpListener::listen(lease, request) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io_error(SocketError::InvalidInput)))
    }

    pub(crate) fn listen(lease: &Lease, request: ListenRequest) -> io::Result<TcpListener> {
        let id = lease
            .call(None, |inner, _, _| {
                let id = inner.engine_for_new()?.listen(request)?;
                inner.listeners.push(id);
                Ok(id)
            })
            .map_err(io_error)?;
        let listener = TcpListener { lease: lease.clone(), id };
        if let Ok(local) = listener.local_addr() {
            tracing::debug!(%local, "listening");
        }
        Ok(listener)
    }

    fn target(&self) -> Target {
        Target::Listener(self.id)
    }

    /// Waits for a connection. Any number of tasks may wait at once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no connection was accepted by it.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let id = self.id;
        let accepted = self
            .lease
            .wait(self.target(), Readiness::READABLE, move |engine, now| accept(engine, now, id))
            .await?;
        Ok(self.stream(accepted))
    }

    /// Polls for a connection. The last caller's waker is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let id = self.id;
        self.lease
            .poll_call(cx, self.target(), Direction::Read, None, |engine, now| {
                accept(engine, now, id)
            })
            .map_ok(|accepted| self.stream(accepted))
    }

    fn stream(&self, (id, local, peer): Accepted) -> (TcpStream, SocketAddr) {
        (TcpStream::accepted(&self.lease, id, local, peer), peer)
    }

    /// The connections, as a `Stream` that ends with the stack.
    ///
    /// ```no_run
    /// # async fn example(listener: towpath::net::TcpListener) -> std::io::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let mut incoming = listener.into_incoming();
    /// while let Some(stream) = incoming.try_next().await? {
    ///     println!("{}", stream.peer_addr()?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn into_incoming(self) -> Incoming {
        Incoming { listener: Some(self) }
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let id = self.id;
        self.lease.try_call(None, |engine, _| engine.listener_address(id))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let (id, target) = (self.id, self.target());
        self.lease.call(None, |inner, now, after| {
            inner.waiters.clear(target, &mut after.wake);
            inner.listeners.retain(|listed| *listed != id);
            if let Some(engine) = inner.sound_engine() {
                engine.close_listener(now, id);
            }
        });
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("TcpListener");
        if let Ok(local) = self.local_addr() {
            debug.field("local", &local);
        }
        debug.finish_non_exhaustive()
    }
}

/// The connections of a listener: see [`TcpListener::into_incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming {
    listener: Option<TcpListener>,
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<TcpStream>>> {
        let Some(listener) = &self.listener else { return Poll::Ready(None) };
        let accepted = std::task::ready!(listener.poll_accept(cx));
        if accepted.is_err() {
            // A listener fails only when its stack has ended.
            self.listener = None;
        }
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

fn accept(engine: &mut Endpoint, now: Instant, id: ListenerId) -> Result<Accepted, SocketError> {
    let (connection, peer) = engine.accept(now, id)?;
    let local = match engine.local_addr(connection) {
        Ok(local) => local,
        // Cannot be: the connection was given a moment ago. Its listener's address says as much.
        Err(_) => engine.listener_address(id)?,
    };
    Ok((connection, local, peer))
}
