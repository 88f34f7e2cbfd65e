//! The options of a TCP stream: `TcpStream`'s getters and setters.

use std::io;
use std::time::Duration;

use towpath_engine::{CongestionControl, SocketOptions};

use super::TcpStream;
use crate::options::{self, KeepAlive};

impl TcpStream {
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

    /// The congestion control that was chosen for this connection (`TCP_CONGESTION`); `None` if it
    /// has the stack's (`tcp_congestion_control`).
    pub fn congestion_control(&self) -> io::Result<Option<CongestionControl>> {
        Ok(self.options()?.congestion)
    }

    /// Sets `TCP_CONGESTION`: another congestion control takes over with the window of the present
    /// one. See [`congestion`](crate::congestion) for one of one's own.
    pub fn set_congestion_control(&self, control: CongestionControl) -> io::Result<()> {
        self.change_options(|options| options.congestion = Some(control))
    }

    /// The `SO_MAX_PACING_RATE` that was set, if one was, in bytes per second.
    pub fn max_pacing_rate(&self) -> io::Result<Option<u64>> {
        Ok(self.options()?.max_pacing_rate)
    }

    /// Sets `SO_MAX_PACING_RATE`: what is written leaves spread over the time, and no faster than so
    /// many bytes per second, headers not counted. `None` is no such limit.
    pub fn set_max_pacing_rate(&self, rate: Option<u64>) -> io::Result<()> {
        self.change_options(|options| options.max_pacing_rate = rate)
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
}
