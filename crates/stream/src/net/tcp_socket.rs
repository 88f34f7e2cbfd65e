//! A socket before it is connected or listens: for options that the handshake needs, and for
//! binding before connecting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use parking_lot::Mutex;
use towpath_engine::{
    CongestionControl, ConnectRequest, ListenRequest, SocketError, SocketOptions,
};

use crate::ambient;
use crate::error::io_error;
use crate::net::{TcpListener, TcpStream};
use crate::options;
use crate::stack::Stack;

/// A TCP socket that is neither connected nor listening, as [`tokio::net::TcpSocket`] but of a
/// Towpath stack.
///
/// Unlike the kernel's, [`bind`](TcpSocket::bind) reserves nothing: an address in use is found by
/// [`connect`](TcpSocket::connect) or [`listen`](TcpSocket::listen), and port 0 is replaced by a
/// free one there.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use towpath::net::TcpSocket;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_nodelay(true)?;
/// socket.bind("10.77.0.2:0".parse().unwrap())?;
/// let stream = socket.connect("10.77.0.1:80".parse().unwrap()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    stack: Option<Stack>,
    family: Family,
    chosen: Mutex<Chosen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// What was set so far.
#[derive(Clone, Debug, Default)]
struct Chosen {
    local: Option<SocketAddr>,
    reuse_address: bool,
    options: SocketOptions,
}

impl TcpSocket {
    /// An IPv4 socket. Its stack is the ambient one at the call of
    /// [`connect`](TcpSocket::connect), [`listen`](TcpSocket::listen) or
    /// [`bind`](TcpSocket::bind); [`Stack::socket_v4`] names another.
    pub fn new_v4() -> io::Result<TcpSocket> {
        Ok(TcpSocket::new(None, Family::V4))
    }

    /// An IPv6 socket: see [`new_v4`](TcpSocket::new_v4).
    pub fn new_v6() -> io::Result<TcpSocket> {
        Ok(TcpSocket::new(None, Family::V6))
    }

    pub(crate) fn of_v4(stack: &Stack) -> TcpSocket {
        TcpSocket::new(Some(stack.clone()), Family::V4)
    }

    pub(crate) fn of_v6(stack: &Stack) -> TcpSocket {
        TcpSocket::new(Some(stack.clone()), Family::V6)
    }

    fn new(stack: Option<Stack>, family: Family) -> TcpSocket {
        TcpSocket { stack, family, chosen: Mutex::default() }
    }

    fn stack(&self) -> io::Result<Stack> {
        match &self.stack {
            Some(stack) => Ok(stack.clone()),
            None => ambient::current(),
        }
    }

    fn check_family(&self, address: SocketAddr) -> io::Result<()> {
        if address.is_ipv4() == (self.family == Family::V4) {
            Ok(())
        } else {
            Err(io_error(SocketError::InvalidInput))
        }
    }

    fn set(&self, change: impl FnOnce(&mut Chosen)) -> io::Result<()> {
        change(&mut self.chosen.lock());
        Ok(())
    }

    /// Chooses the local address and port. Once.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the address is not one of the stack's; `InvalidInput` if it is of the
    /// other family or the socket is bound already.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.check_family(addr)?;
        let stack = self.stack()?;
        let is_local = addr.ip().is_unspecified()
            || stack.lease().look(|inner| inner.endpoint.is_local(addr.ip()));
        if !is_local {
            return Err(io_error(SocketError::AddressNotAvailable));
        }
        let mut chosen = self.chosen.lock();
        if chosen.local.is_some() {
            return Err(io_error(SocketError::InvalidInput));
        }
        chosen.local = Some(addr);
        Ok(())
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future frees the connection and its port.
    pub fn connect(self, addr: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + use<> {
        let stack = self.stack();
        async move {
            self.check_family(addr)?;
            let Chosen { local, options, reuse_address } = self.chosen.into_inner();
            let mut request =
                ConnectRequest::new(addr).options(options).reuse_address(reuse_address);
            if let Some(local) = local {
                request = request.local(local);
            }
            TcpStream::open(stack?.lease(), request, addr).await
        }
    }

    /// Listens, with at most `backlog` connections that wait to be accepted.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let stack = self.stack()?;
        let any = match self.family {
            Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            Family::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let Chosen { local, options, reuse_address } = self.chosen.into_inner();
        let request = ListenRequest::new(local.unwrap_or(any))
            .backlog(backlog)
            .options(options)
            .reuse_address(reuse_address);
        TcpListener::listen(stack.lease(), request)
    }

    /// The address that [`bind`](TcpSocket::bind) was given, else the unspecified one.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let any = match self.family {
            Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            Family::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        Ok(self.chosen.lock().local.unwrap_or(any))
    }

    /// None: nothing has gone wrong with a socket that has done nothing.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// What [`set_reuseaddr`](TcpSocket::set_reuseaddr) was given.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.chosen.lock().reuse_address)
    }

    /// `SO_REUSEADDR`: [`listen`](TcpSocket::listen) may take an address that connections, or what is
    /// left of them in TIME-WAIT, still have, never another listener's;
    /// [`connect`](TcpSocket::connect) from a bound port may take over a connection in TIME-WAIT.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.set(|chosen| chosen.reuse_address = reuseaddr)
    }

    /// Whether `TCP_NODELAY` is set.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.chosen.lock().options.nodelay)
    }

    /// Sets `TCP_NODELAY`: small segments are not held back.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(|chosen| chosen.options.nodelay = nodelay)
    }

    /// Whether an idle connection is probed.
    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.chosen.lock().options.keepalive)
    }

    /// Sets `SO_KEEPALIVE`. What was not set besides is the configuration's.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.set(|chosen| chosen.options.keepalive = keepalive)
    }

    /// Sets `TCP_KEEPIDLE`: how long nothing is heard before the first probe. It switches nothing on.
    pub fn set_keepalive_time(&self, time: Duration) -> io::Result<()> {
        self.set(|chosen| chosen.options.keepalive_time = Some(time))
    }

    /// Sets `TCP_KEEPINTVL`: the time between probes. It switches nothing on.
    pub fn set_keepalive_interval(&self, interval: Duration) -> io::Result<()> {
        self.set(|chosen| chosen.options.keepalive_interval = Some(interval))
    }

    /// Sets `TCP_KEEPCNT`: how many unanswered probes end the connection. It switches nothing on.
    pub fn set_keepalive_retries(&self, retries: u32) -> io::Result<()> {
        self.set(|chosen| chosen.options.keepalive_probes = Some(retries))
    }

    /// The `TCP_USER_TIMEOUT` that was set, if one was.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.chosen.lock().options.user_timeout)
    }

    /// Sets `TCP_USER_TIMEOUT`: how long what was written may go without an acknowledgment before
    /// the connection ends with [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(|chosen| chosen.options.user_timeout = timeout)
    }

    /// The congestion control that was chosen for this socket (`TCP_CONGESTION`); `None` if it has the
    /// stack's (`tcp_congestion_control`).
    pub fn congestion_control(&self) -> io::Result<Option<CongestionControl>> {
        Ok(self.chosen.lock().options.congestion)
    }

    /// Sets `TCP_CONGESTION`. What a listener has, accepted connections begin with.
    pub fn set_congestion_control(&self, control: CongestionControl) -> io::Result<()> {
        self.set(|chosen| chosen.options.congestion = Some(control))
    }

    /// The `SO_MAX_PACING_RATE` that was set, if one was, in bytes per second.
    pub fn max_pacing_rate(&self) -> io::Result<Option<u64>> {
        Ok(self.chosen.lock().options.max_pacing_rate)
    }

    /// Sets `SO_MAX_PACING_RATE`, see
    /// [`TcpStream::set_max_pacing_rate`](crate::net::TcpStream::set_max_pacing_rate).
    pub fn set_max_pacing_rate(&self, rate: Option<u64>) -> io::Result<()> {
        self.set(|chosen| chosen.options.max_pacing_rate = rate)
    }

    /// The size of the send buffer that was set, else the configured one, in bytes.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        let options = self.chosen.lock().options;
        Ok(options::send_buffer(&options, self.stack()?.config()))
    }

    /// Sets the size of the send buffer, in bytes, within the configuration's bounds.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.set(|chosen| chosen.options.send_buffer = Some(size as usize))
    }

    /// The linger time that was set, if one was.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.chosen.lock().options.linger)
    }

    /// Sets `SO_LINGER`, see [`TcpStream::set_linger`](crate::net::TcpStream::set_linger).
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(|chosen| chosen.options.linger = linger)
    }

    /// Closing resets the connection: what was not delivered is discarded.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set(|chosen| chosen.options.linger = Some(Duration::ZERO))
    }
}
