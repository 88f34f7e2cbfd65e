//! A TCP stream between a local and a remote socket.
//!
//! A write is two steps: room is *reserved* under the shard's lock, the bytes are copied into a
//! chunk outside it, and the chunk is *committed* under it; up to 512 bytes go in one step. A read
//! takes chunks under the lock and copies outside. The task that wrote, or that opened the window
//! by reading, sends what its own connection has to send.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arrayvec::ArrayVec;
use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;
use towpath_engine::{
    Chunks, CloseReason, ConnectRequest, ConnectionId, Endpoint, Readiness, SendFlags, SocketError,
    SocketOptions, StateName, TcpInfo,
};
use tracing::Span;

use crate::ambient;
use crate::error::io_error;
use crate::net::pieces::{Size, copy_to_slices, gather, in_one};
use crate::net::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf, split, split_owned};
use crate::options::{self, KeepAlive};
use crate::shared::{Lease, Shared};
use crate::stack::resolve;
use crate::waiters::{Direction, Target};

/// Most bytes of one read: bounds the list of chunks that is made under the lock.
const LARGEST_READ: usize = 1024 * 1024;

/// A TCP stream between a local and a remote socket, as [`tokio::net::TcpStream`] but over a
/// Towpath stack.
///
/// Dropping the stream closes it as Linux does: with everything read, what was written is still
/// delivered and then the FIN; with data left unread, or after
/// [`set_zero_linger`](TcpStream::set_zero_linger), the peer gets a reset.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use towpath::net::TcpStream;
///
/// let mut stream = TcpStream::connect("10.77.0.1:80").await?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
/// let mut page = Vec::new();
/// stream.read_to_end(&mut page).await?;
/// # Ok(()) }
/// ```
pub struct TcpStream {
    lease: Lease,
    id: ConnectionId,
    span: Span,
}

impl TcpStream {
    /// Opens a connection to a remote host through the ambient stack.
    ///
    /// The stack is looked up here, at the call, not when the future is first polled. Each address
    /// that `addr` yields is tried in turn.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) without an ambient stack; otherwise that of
    /// the last address: `ConnectionRefused` when the peer refuses, `TimedOut` when nobody
    /// answers.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future frees the connection and its port.
    pub fn connect<A: ToSocketAddrs>(
        addr: A,
    ) -> impl Future<Output = io::Result<TcpStream>> + use<A> {
        let stack = ambient::current();
        async move { TcpStream::connect_to(stack?.lease(), addr).await }
    }

    pub(crate) async fn connect_to<A: ToSocketAddrs>(
        lease: &Lease,
        addr: A,
    ) -> io::Result<TcpStream> {
        let mut last = None;
        for remote in resolve(addr).await? {
            match TcpStream::open(lease, ConnectRequest::new(remote), remote).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io_error(SocketError::InvalidInput)))
    }

    /// The handshake. The stream exists from the beginning, so that whatever ends this future
    /// frees the connection.
    pub(crate) async fn open(
        lease: &Lease,
        request: ConnectRequest,
        remote: SocketAddr,
    ) -> io::Result<TcpStream> {
        let (id, local) = lease
            .call(None, |inner, now, after| {
                let engine = inner.engine_for_new()?;
                let id = engine.connect(now, request)?;
                after.touched = Some(id);
                Ok((id, engine.local_addr(id)?))
            })
            .map_err(io_error)?;
        let stream = TcpStream::new(lease.clone(), id, local, remote);
        tracing::debug!(parent: &stream.span, "opened");
        let interest = Readiness::CONNECTED | Readiness::ERROR;
        lease.wait(stream.target(), interest, move |engine, _| is_connected(engine, id)).await?;
        tracing::debug!(parent: &stream.span, "established");
        Ok(stream)
    }

    pub(crate) fn accepted(
        lease: &Lease,
        id: ConnectionId,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> TcpStream {
        let stream = TcpStream::new(lease.clone(), id, local, peer);
        tracing::debug!(parent: &stream.span, "established");
        stream
    }

    fn new(lease: Lease, id: ConnectionId, local: SocketAddr, peer: SocketAddr) -> TcpStream {
        let span = tracing::debug_span!("connection", %local, %peer, shard = lease.id().0);
        TcpStream { lease, id, span }
    }

    fn target(&self) -> Target {
        Target::Connection(self.id)
    }

    fn shared(&self) -> &Shared {
        &self.lease
    }

    /// The local address of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let id = self.id;
        self.shared().try_call(None, |engine, _| engine.local_addr(id))
    }

    /// The remote address of the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let id = self.id;
        self.shared().try_call(None, |engine, _| engine.peer_addr(id))
    }

    /// The pending error of the socket, `SO_ERROR`, which is cleared.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let id = self.id;
        self.shared().try_call(None, |engine, _| Ok(engine.take_error(id).map(io_error)))
    }

    /// Who ended the connection, and why; `None` while it lives.
    ///
    /// An errno says *that* a connection was reset or timed out; this says by whom.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared().look(|inner| inner.close_reason(self.id))
    }

    /// The state of the connection; `None` when its stack has ended or forgotten it.
    pub fn state(&self) -> Option<StateName> {
        self.shared().look(|inner| inner.engine().ok()?.state(self.id))
    }

    /// What the connection measures and counts, as Linux's `TCP_INFO`.
    pub fn info(&self) -> io::Result<TcpInfo> {
        let id = self.id;
        self.shared().try_call(None, |engine, _| engine.info(id).ok_or(SocketError::NotConnected))
    }

    /// Waits for any of the requested ready states.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let (id, wanted) = (self.id, options::readiness_of(interest));
        self.shared()
            .wait(self.target(), wanted, move |engine, _| is_ready(engine, id, wanted))
            .await
            .map(|readiness| options::ready_of(readiness, interest))
    }

    /// Waits until a read would not block.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write would not block.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls for read readiness. As with `poll_read`, the last caller's waker is woken.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Direction::Read)
    }

    /// Polls for write readiness. As with `poll_write`, the last caller's waker is woken.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Direction::Write)
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let (id, wanted) = (self.id, direction.interest());
        self.shared().poll_call(cx, self.target(), direction, None, |engine, _| {
            is_ready(engine, id, wanted).map(drop)
        })
    }

    /// Reads what is there without waiting; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing has arrived.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let chunks = self.try_receive(buf.len())?;
        Ok(copy_to_slices(chunks, &mut [IoSliceMut::new(buf)]))
    }

    /// [`try_read`](TcpStream::try_read) into several buffers.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let chunks = self.try_receive(bufs.iter().map(|buf| buf.len()).sum())?;
        Ok(copy_to_slices(chunks, bufs))
    }

    /// [`try_read`](TcpStream::try_read) into a growing buffer.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let chunks = self.try_receive(buf.chunk_mut().len().min(buf.remaining_mut()))?;
        let len = chunks.len();
        for chunk in chunks {
            buf.put_slice(&chunk);
        }
        Ok(len)
    }

    fn try_receive(&self, max: usize) -> io::Result<Chunks> {
        let (id, max) = (self.id, max.min(LARGEST_READ));
        self.shared().try_call(Some(id), |engine, now| engine.receive(now, id, max))
    }

    /// Writes what there is room for without waiting, and says how much.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buf)])
    }

    /// [`try_write`](TcpStream::try_write) from several buffers.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let id = self.id;
        match Size::of(bufs) {
            Size::Small => {
                let mut scratch = ArrayVec::new();
                let data = in_one(bufs, &mut scratch);
                self.shared().try_call(Some(id), |engine, now| {
                    engine.send_small(now, id, data, SendFlags::default())
                })
            }
            Size::Large(wanted) => {
                let reserved =
                    self.shared().try_call(None, |engine, _| engine.reserve_send(id, wanted))?;
                self.commit(bufs, reserved)
            }
        }
    }

    /// The second half of a large write.
    fn commit(&self, bufs: &[IoSlice<'_>], reserved: usize) -> io::Result<usize> {
        let (id, data) = (self.id, gather(bufs, reserved));
        self.shared()
            .try_call(Some(id), |engine, now| {
                engine.commit_send(now, id, reserved, data, SendFlags::default())
            })
            .map(|()| reserved)
    }

    /// Runs `f` if the stream is ready for `interest`, else fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// There is no descriptor for a system call; `f` is for the `try_*` methods of this stream.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let (id, wanted) = (self.id, options::readiness_of(interest));
        self.shared().try_call(None, |engine, _| is_ready(engine, id, wanted))?;
        f()
    }

    /// Runs `f` each time the stream is ready for `interest`, until it does not fail with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// There is no descriptor for a system call; `f` is for the `try_*` methods of this stream.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match f() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Another reader was faster; or `f` wants more than readiness says, and asks
                    // again when others had their turn.
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
    }

    /// Copies what is there to `buf` without taking it, waiting for at least one byte; `Ok(0)` is
    /// the end of the stream.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (id, max) = (self.id, buf.len().min(LARGEST_READ));
        let chunks = self
            .shared()
            .wait(self.target(), Direction::Read.interest(), move |engine, _| engine.peek(id, max))
            .await?;
        Ok(copy_to_slices(chunks, &mut [IoSliceMut::new(buf)]))
    }

    /// Polls for a [`peek`](TcpStream::peek). As with `poll_read`, the last caller's waker is
    /// woken.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let (id, max) = (self.id, buf.remaining().min(LARGEST_READ));
        let chunks = ready!(self.shared().poll_call(
            cx,
            self.target(),
            Direction::Read,
            None,
            |engine, _| engine.peek(id, max)
        ))?;
        let len = chunks.len();
        chunks.iter().for_each(|chunk| buf.put_slice(chunk));
        Poll::Ready(Ok(len))
    }

    /// Whether `TCP_NODELAY` is set: small segments are not held back (Nagle's algorithm is off).
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.options()?.nodelay)
    }

    /// Sets `TCP_NODELAY`. What was held back is sent.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.change_options(|options| options.nodelay = nodelay)
    }

    /// The time to live, or hop limit, of what is sent.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(options::ttl(&self.options()?, self.shared().config()))
    }

    /// Sets the time to live, or hop limit, of what is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) unless it is from 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = options::valid_ttl(ttl)?;
        self.change_options(|options| options.ttl = Some(ttl))
    }

    /// The linger time that was set, if one was.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.options()?.linger)
    }

    /// Sets `SO_LINGER`. Zero: closing resets the connection, and what was not delivered is
    /// discarded. `None`, or a time: what was written is delivered after the stream is dropped.
    ///
    /// A socket of the kernel blocks its thread in close for the time. Dropping this stream never
    /// blocks; [`Stack::shutdown`](crate::Stack::shutdown) waits for what is not yet delivered.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.change_options(|options| options.linger = linger)
    }

    /// Closing resets the connection: what was not delivered is discarded.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.change_options(|options| options.linger = Some(Duration::ZERO))
    }

    /// The keep-alive probing of an idle connection; `None` if it is off.
    pub fn keepalive(&self) -> io::Result<Option<KeepAlive>> {
        Ok(self.options()?.keep_alive(self.shared().config()))
    }

    /// Sets, or stops, keep-alive probing.
    ///
    /// # Errors
    ///
    /// A peer that answers no probe ends the connection with
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn set_keepalive(&self, keepalive: Option<KeepAlive>) -> io::Result<()> {
        self.change_options(|options| options.set_keep_alive(keepalive))
    }

    /// The `TCP_USER_TIMEOUT` that was set, if one was.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.options()?.user_timeout)
    }

    /// Sets `TCP_USER_TIMEOUT`: how long what was written may go without an acknowledgment, and an
    /// idle peer without an answer to keep-alive probes, before the connection ends with
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.change_options(|options| options.user_timeout = timeout)
    }

    fn options(&self) -> io::Result<SocketOptions> {
        let id = self.id;
        self.shared().try_call(None, |engine, _| engine.options(id))
    }

    fn change_options(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        let id = self.id;
        self.shared().try_call(Some(id), |engine, now| {
            let mut options = engine.options(id)?;
            change(&mut options);
            engine.set_options(now, id, options)
        })
    }

    /// Splits the stream into halves that borrow it, for use in one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits the stream into halves that may be moved to different tasks. Dropping the writing
    /// half sends FIN.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split_owned::split_owned(self)
    }

    pub(crate) fn poll_read_priv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (id, max) = (self.id, buf.remaining().min(LARGEST_READ));
        let chunks = ready!(self.shared().poll_call(
            cx,
            self.target(),
            Direction::Read,
            Some(id),
            |engine, now| engine.receive(now, id, max)
        ))?;
        chunks.iter().for_each(|chunk| buf.put_slice(chunk));
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write_priv(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (id, shared) = (self.id, self.shared());
        match Size::of(bufs) {
            Size::Small => {
                let mut scratch = ArrayVec::new();
                let data = in_one(bufs, &mut scratch);
                shared.poll_call(cx, self.target(), Direction::Write, Some(id), |engine, now| {
                    engine.send_small(now, id, data, SendFlags::default())
                })
            }
            Size::Large(wanted) => {
                let reserved = ready!(shared.poll_call(
                    cx,
                    self.target(),
                    Direction::Write,
                    None,
                    |engine, _| engine.reserve_send(id, wanted)
                ))?;
                Poll::Ready(self.commit(bufs, reserved))
            }
        }
    }

    /// Sends FIN behind what was written. A connection that is gone needs none.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        let id = self.id;
        match self.shared().try_call(Some(id), |engine, now| engine.shutdown_send(now, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_priv(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_priv(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_priv(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing, as for the kernel's sockets: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let (id, target) = (self.id, self.target());
        let reason = self.lease.call(Some(id), |inner, now, after| {
            inner.waiters.clear(target, &mut after.wake);
            let reason = inner.close_reason(id);
            if let Some(engine) = inner.sound_engine() {
                engine.close(now, id);
            }
            reason
        });
        match reason {
            Some(reason) => tracing::debug!(parent: &self.span, ?reason, "closed"),
            // What was written is still to be acknowledged, or the peer's FIN is to come.
            None => tracing::debug!(parent: &self.span, reason = "let go", "closed"),
        }
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("TcpStream");
        if let Ok(local) = self.local_addr() {
            debug.field("local", &local);
        }
        if let Ok(peer) = self.peer_addr() {
            debug.field("peer", &peer);
        }
        debug.field("state", &self.state()).finish_non_exhaustive()
    }
}

fn is_connected(engine: &mut Endpoint, id: ConnectionId) -> Result<(), SocketError> {
    let readiness = engine.readiness(id);
    if readiness.contains(Readiness::ERROR)
        && let Some(error) = engine.take_error(id)
    {
        return Err(error);
    }
    if readiness.contains(Readiness::CONNECTED) { Ok(()) } else { Err(SocketError::WouldBlock) }
}

fn is_ready(
    engine: &mut Endpoint,
    id: ConnectionId,
    wanted: Readiness,
) -> Result<Readiness, SocketError> {
    let readiness = engine.readiness(id);
    if readiness.intersects(wanted) { Ok(readiness) } else { Err(SocketError::WouldBlock) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_listeners_may_go_anywhere() {
        fn assert<T: Send + Sync + Unpin + 'static>() {}
        assert::<TcpStream>();
        assert::<crate::net::TcpListener>();
        assert::<crate::net::TcpSocket>();
        assert::<OwnedReadHalf>();
        assert::<OwnedWriteHalf>();
        assert::<crate::Stack>();
    }

    #[test]
    fn a_stream_is_small() {
        // The lease, the id and the span: what an idle connection costs on this side.
        assert!(size_of::<TcpStream>() <= 64, "{}", size_of::<TcpStream>());
    }
}
