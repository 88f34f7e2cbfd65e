//! The calls of the application: what read, write, shutdown and close do in every state, with the
//! results that Linux's calls have (RFC 9293 section 3.10.1 to 3.10.6).
//!
//! Owns what belongs to the socket rather than to the protocol: its options, the pending error, and
//! which readiness is news.

use core::time::Duration;

use bytes::Bytes;

use super::state::{StateName, Transition};
use super::{Connection, Context, Reset};
use crate::chunks::Chunks;
use crate::error::{CloseReason, SocketError};
use crate::event::{ListenerId, Readiness};
use crate::instant::Instant;
use crate::send::buffer::SMALL_WRITE;
use crate::timer::TimerKind;

/// Keep-alive of one connection (RFC 9293 section 3.8.4; off by default). Times below
/// a millisecond count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle time before the first probe.
    pub time: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u32,
}

impl KeepAlive {
    /// A timer of no time at all would never let go of its loop.
    const SHORTEST: Duration = Duration::from_millis(1);

    pub(super) fn time(&self) -> Duration {
        self.time.max(KeepAlive::SHORTEST)
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval.max(KeepAlive::SHORTEST)
    }
}

/// The options of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments go at once.
    pub nodelay: bool,
    /// SO_LINGER with zero seconds: close resets.
    pub zero_linger: bool,
    /// SO_KEEPALIVE.
    pub keepalive: Option<KeepAlive>,
    /// IP_TTL or IPV6_UNICAST_HOPS; the stack's default if `None`.
    pub ttl: Option<u8>,
    /// SO_SNDBUF, in bytes of payload, held within `tcp_wmem`; grown as needed if `None`.
    pub send_buffer: Option<usize>,
}

/// The application's side of a connection.
#[derive(Debug)]
pub(crate) struct UserSide {
    pub(crate) options: SocketOptions,
    /// The listener whose accept queue it came through.
    pub(crate) listener: Option<ListenerId>,
    pub(crate) error: Option<SocketError>,
    pub(crate) reason: Option<CloseReason>,
    /// The last soft error that the path reported; given when the connection times out.
    pub(crate) soft_error: Option<SocketError>,
    /// The application holds it. An orphan finishes by itself.
    attached: bool,
    read_shut: bool,
    write_shut: bool,
    was_connected: bool,
    /// A write found no room: tell when there is.
    wants_room: bool,
    news: Readiness,
}

impl UserSide {
    pub(crate) fn new(options: SocketOptions) -> UserSide {
        UserSide {
            options,
            listener: None,
            error: None,
            reason: None,
            soft_error: None,
            attached: true,
            read_shut: false,
            write_shut: false,
            was_connected: false,
            wants_room: false,
            news: Readiness::EMPTY,
        }
    }

    /// Something became ready.
    pub(crate) fn raise(&mut self, readiness: Readiness) {
        if readiness.contains(Readiness::CONNECTED) && self.error.is_none() {
            self.was_connected = true;
        }
        if self.attached {
            self.news |= readiness;
        }
    }

    pub(crate) fn on_end(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
        self.error = self.error.or(reason.error());
        self.raise(
            Readiness::READABLE
                | Readiness::WRITABLE
                | Readiness::READ_CLOSED
                | Readiness::WRITE_CLOSED
                | Readiness::ERROR
                | Readiness::CONNECTED,
        );
    }
}

impl Connection {
    /// Whether the application holds the connection.
    pub(crate) fn is_attached(&self) -> bool {
        self.user.attached
    }

    pub(crate) fn take_news(&mut self) -> Readiness {
        std::mem::take(&mut self.user.news)
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.user.reason
    }

    pub(crate) fn take_error(&mut self) -> Option<SocketError> {
        self.user.error.take()
    }

    pub(crate) fn options(&self) -> SocketOptions {
        self.user.options
    }

    pub(crate) fn set_options(
        &mut self,
        now: Instant,
        context: &Context<'_>,
        options: SocketOptions,
    ) {
        let keep_alive_changed = options.keepalive != self.user.options.keepalive;
        self.user.options = options;
        self.send.set_nodelay(options.nodelay);
        self.grow_send_buffer(context.config);
        self.check_room();
        if keep_alive_changed && self.state.is_synchronized() {
            self.keep_alive_probes = 0;
            self.arm_keep_alive(now);
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::EMPTY;
        let state = self.state.name();
        let over = state == StateName::Closed;
        if self.user.error.is_some() {
            readiness |= Readiness::ERROR | Readiness::READABLE | Readiness::WRITABLE;
        }
        if over || self.state.is_synchronized() {
            readiness |= Readiness::CONNECTED;
        }
        if over || self.recv.is_fin_received() || self.user.read_shut {
            readiness |= Readiness::READ_CLOSED | Readiness::READABLE;
        }
        if self.recv.readable() > 0 {
            readiness |= Readiness::READABLE;
        }
        if over || self.user.write_shut {
            readiness |= Readiness::WRITE_CLOSED | Readiness::WRITABLE;
        }
        if self.state.may_send() && self.send.buffer().room() >= self.least_room() {
            readiness |= Readiness::WRITABLE;
        }
        readiness
    }

    /// Takes up to `max` bytes; none at the end of the stream.
    pub(crate) fn receive(&mut self, now: Instant, max: usize) -> Result<Chunks, SocketError> {
        if max == 0 {
            return Ok(Chunks::new());
        }
        if self.recv.readable() > 0 && !self.user.read_shut {
            return Ok(self.recv.read(now, max));
        }
        self.nothing_to_read()
    }

    pub(crate) fn peek(&mut self, max: usize) -> Result<Chunks, SocketError> {
        if max == 0 {
            return Ok(Chunks::new());
        }
        if self.recv.readable() > 0 && !self.user.read_shut {
            return Ok(self.recv.peek(max));
        }
        self.nothing_to_read()
    }

    fn nothing_to_read(&mut self) -> Result<Chunks, SocketError> {
        if self.recv.is_fin_received() {
            // The peer said all it had to say: nothing that came later takes that back.
            return Ok(Chunks::new());
        }
        if let Some(error) = self.user.error.take() {
            return Err(error);
        }
        let over = self.state.name() == StateName::Closed;
        if over && !self.user.was_connected {
            return Err(SocketError::NotConnected);
        }
        if over || self.user.read_shut {
            return Ok(Chunks::new());
        }
        Err(SocketError::WouldBlock)
    }

    /// Charges room for a write; the bytes follow with `commit_send`.
    pub(crate) fn reserve_send(&mut self, wanted: usize) -> Result<usize, SocketError> {
        self.check_writable()?;
        // A large write does not begin with a few bytes: each grant becomes a chunk, and a segment
        // carries only so many.
        if self.send.buffer().room() < wanted.min(self.least_room()) {
            self.user.wants_room = true;
            return Err(SocketError::WouldBlock);
        }
        let granted = self.send.buffer_mut().reserve(wanted);
        self.note_room();
        Ok(granted)
    }

    /// Appends what was reserved.
    pub(crate) fn commit_send(&mut self, reserved: usize, data: Bytes) -> Result<(), SocketError> {
        self.send.buffer_mut().release(reserved);
        self.check_writable()?;
        debug_assert!(data.len() <= reserved);
        let short = data.len() < reserved;
        self.send.buffer_mut().append(data);
        if short {
            self.check_room();
        }
        Ok(())
    }

    /// Appends a copy of a few bytes, as many as there is room for.
    pub(crate) fn send_small(&mut self, data: &[u8]) -> Result<usize, SocketError> {
        self.check_writable()?;
        let granted = self.send.buffer_mut().reserve(data.len().min(SMALL_WRITE));
        if granted == 0 && !data.is_empty() {
            self.user.wants_room = true;
            return Err(SocketError::WouldBlock);
        }
        self.send.buffer_mut().release(granted);
        self.send.buffer_mut().append_small(&data[..granted]);
        self.note_room();
        Ok(granted)
    }

    /// The stack has no memory for what is to be written: tells when there is some.
    pub(crate) fn refuse_write(&mut self) -> SocketError {
        match self.check_writable() {
            Ok(()) => {
                self.user.wants_room = true;
                SocketError::WouldBlock
            }
            Err(error) => error,
        }
    }

    /// The stack has memory again.
    pub(crate) fn on_memory(&mut self) {
        if self.user.wants_room && self.send.buffer().room() >= self.least_room() {
            self.user.wants_room = false;
            self.user.raise(Readiness::WRITABLE);
        }
    }

    /// The room with which the connection counts as writable: what a write is never refused.
    fn least_room(&self) -> usize {
        self.send.buffer().capacity().clamp(1, SMALL_WRITE)
    }

    /// After a grant: who waits for readiness without having been turned away is told as well.
    fn note_room(&mut self) {
        self.user.wants_room |= self.send.buffer().room() < self.least_room();
    }

    fn check_writable(&mut self) -> Result<(), SocketError> {
        if let Some(error) = self.user.error.take() {
            return Err(error);
        }
        match self.state.name() {
            StateName::SynSent | StateName::SynReceived => Err(SocketError::WouldBlock),
            _ if self.user.write_shut || !self.state.may_send() => Err(SocketError::BrokenPipe),
            _ => Ok(()),
        }
    }

    /// There may be room again: tells whoever was turned away, once there is enough to be worth it.
    pub(super) fn check_room(&mut self) {
        let buffer = self.send.buffer();
        if self.user.wants_room && buffer.room() >= (buffer.capacity() / 3).max(self.least_room()) {
            self.user.wants_room = false;
            self.user.raise(Readiness::WRITABLE);
        }
    }

    /// A FIN follows what was written.
    // Implements: RFC9293 s3.10.4, RFC9293 s3.10.4b
    pub(crate) fn shutdown_send(&mut self, context: &mut Context<'_>) -> Result<(), SocketError> {
        if !self.state.is_synchronized() && self.state.name() != StateName::SynReceived {
            return Err(SocketError::NotConnected);
        }
        self.user.write_shut = true;
        self.user.raise(Readiness::WRITE_CLOSED | Readiness::WRITABLE);
        if !self.send.is_fin_queued() {
            self.send.queue_fin();
            // Before the handshake is complete the FIN waits for it.
            if self.state.is_synchronized() {
                self.transition(context, Transition::Close);
            }
        }
        Ok(())
    }

    /// Reads give the end of the stream from now on. The peer is not told (as on Linux).
    pub(crate) fn shutdown_receive(&mut self) -> Result<(), SocketError> {
        if !self.state.is_synchronized() {
            return Err(SocketError::NotConnected);
        }
        self.user.read_shut = true;
        self.user.raise(Readiness::READABLE | Readiness::READ_CLOSED);
        Ok(())
    }

    /// The application lets go: what was written is still delivered, unless something unread is lost
    /// by it or zero linger asks for a reset.
    // Implements: 9293 SHLD-3, 9293 MAY-1, RFC9293 s3.10.4
    pub(crate) fn close(&mut self, now: Instant, context: &mut Context<'_>) {
        self.user.attached = false;
        self.user.news = Readiness::EMPTY;
        let unread = self.recv.readable() > 0;
        self.recv.clear(context.garbage);
        match self.state.name() {
            StateName::Closed => {}
            StateName::SynSent => self.end(context, CloseReason::Aborted),
            _ if unread => {
                context.counters.abort_on_close += 1;
                self.owed.reset = Some(Reset::Active);
                self.end(context, CloseReason::Aborted);
            }
            _ if self.user.options.zero_linger => self.abort(context),
            _ => {
                let _ = self.shutdown_send(context);
                self.timers.stop(TimerKind::KeepAlive);
                self.check_fin_wait_2(now, context);
            }
        }
    }

    /// Resets the connection. RFC 9293 sends no reset in CLOSING and LAST-ACK; as on Linux one goes
    /// there too if something that was written is thereby lost, or the peer would wait for it.
    // Implements: RFC9293 s3.10.5
    pub(crate) fn abort(&mut self, context: &mut Context<'_>) {
        let needs_reset = matches!(
            self.state.name(),
            StateName::SynReceived
                | StateName::Established
                | StateName::FinWait1
                | StateName::FinWait2
                | StateName::CloseWait
        );
        let loses = matches!(self.state.name(), StateName::Closing | StateName::LastAck)
            && self.send.buffer().len() > 0;
        if needs_reset || loses {
            self.owed.reset = Some(Reset::Active);
        }
        self.end(context, CloseReason::Aborted);
    }

    /// The stack ends the connection, with a reset to the peer unless the device is gone.
    pub(crate) fn end_by_stack(&mut self, context: &mut Context<'_>, reason: CloseReason) {
        if reason != CloseReason::DeviceGone && self.state.is_synchronized() {
            self.owed.reset = Some(Reset::Active);
        }
        self.end(context, reason);
    }

    /// An orphan does not wait for ever for the peer's FIN.
    // Implements: H-40, H-45
    pub(super) fn check_fin_wait_2(&mut self, now: Instant, context: &Context<'_>) {
        if self.state.name() == StateName::FinWait2
            && !self.user.attached
            && !self.timers.is_armed(TimerKind::FinWait2)
        {
            self.timers.arm(TimerKind::FinWait2, now + context.config.tcp_fin_timeout);
        }
    }
}
