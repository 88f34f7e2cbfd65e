//! The calls of the application: what read, write, shutdown and close do in every state, with the
//! results that Linux's calls have (RFC 9293 section 3.10.1 to 3.10.6).
//!
//! Owns what belongs to the socket rather than to the protocol: its options, the pending error, and
//! which readiness is news.

use core::time::Duration;

use super::options::SocketOptions;
use super::state::{StateName, Transition};
use super::{Connection, Context, Reset};
use crate::chunks::Chunks;
use crate::config::Config;
use crate::error::{CloseReason, SocketError};
use crate::event::{ListenerId, Readiness};
use crate::instant::Instant;
use crate::timer::TimerKind;

/// What a socket's buffers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queues {
    /// SIOCINQ: bytes that can be read.
    pub unread: usize,
    /// TCP_INQ: the same, but one at the end of the stream, which a read finds.
    pub hint: usize,
    /// SIOCOUTQ: bytes, and the FIN, that are not acknowledged.
    pub unacknowledged: u64,
    /// SIOCOUTQNSD: bytes that were not sent.
    pub unsent: u64,
    /// How many bytes are to be read to the end of urgent data. One: the next byte is the last
    /// urgent one, which is where SIOCATMARK is true.
    pub urgent_left: Option<u64>,
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
    pub(super) write_shut: bool,
    /// A call of connect has told that the connection is there.
    told_connected: bool,
    /// A write found no room: tell when there is.
    pub(super) wants_room: bool,
    /// A write got less than it asked for, and there has been no room since.
    pub(super) was_refused: bool,
    /// A write found no memory: tell when the stack has some.
    pub(super) wants_memory: bool,
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
            told_connected: false,
            wants_room: false,
            was_refused: false,
            wants_memory: false,
            news: Readiness::EMPTY,
        }
    }

    /// The application reads no more.
    pub(super) fn is_read_shut(&self) -> bool {
        self.read_shut
    }

    /// Something became ready.
    pub(crate) fn raise(&mut self, readiness: Readiness) {
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

    /// The application takes the connection from its listener.
    pub(crate) fn on_accept(&mut self) {
        self.recv.on_accept();
    }

    pub(crate) fn take_news(&mut self) -> Readiness {
        std::mem::take(&mut self.user.news)
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.user.reason
    }

    pub(crate) fn take_error(&mut self) -> Option<SocketError> {
        self.user.error.take().or_else(|| self.user.soft_error.take())
    }

    /// What another call of connect gives: on Linux, the one after the handshake is the one that
    /// succeeds.
    pub(crate) fn connect_again(&mut self) -> Result<(), SocketError> {
        if self.user.told_connected || self.user.listener.is_some() {
            return Err(SocketError::IsConnected);
        }
        match self.state.name() {
            StateName::SynSent | StateName::SynReceived => Err(SocketError::AlreadyConnecting),
            StateName::Closed => {
                Err(self.user.error.take().unwrap_or(SocketError::ConnectionAborted))
            }
            _ => {
                self.user.told_connected = true;
                Ok(())
            }
        }
    }

    pub(crate) fn readiness(&self, config: &Config) -> Readiness {
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
        if self.recv.is_readable() {
            readiness |= Readiness::READABLE;
        }
        if self.recv.urgent_left().is_some() {
            readiness |= Readiness::URGENT;
        }
        if over || self.user.write_shut {
            readiness |= Readiness::WRITE_CLOSED | Readiness::WRITABLE;
        }
        // Whoever was refused memory would only be refused again.
        let may_write = self.is_room_worth_a_wake(config) && !self.user.wants_memory;
        if self.state.may_send() && may_write {
            readiness |= Readiness::WRITABLE;
        }
        readiness
    }

    /// Takes up to `max` bytes; none at the end of the stream.
    pub(crate) fn receive(&mut self, now: Instant, max: usize) -> Result<Chunks, SocketError> {
        if max == 0 {
            return Ok(Chunks::new());
        }
        if self.recv.readable() > 0 {
            return Ok(self.recv.read(now, max));
        }
        self.nothing_to_read()
    }

    pub(crate) fn peek(&mut self, max: usize) -> Result<Chunks, SocketError> {
        if max == 0 {
            return Ok(Chunks::new());
        }
        if self.recv.readable() > 0 {
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
        if self.state.name() == StateName::Closed || self.user.read_shut {
            return Ok(Chunks::new());
        }
        Err(SocketError::WouldBlock)
    }

    /// What is in the buffers, as Linux's ioctls count it.
    pub(crate) fn queues(&self) -> Queues {
        let unread = self.recv.readable();
        let connecting = matches!(self.state.name(), StateName::SynSent | StateName::SynReceived);
        Queues {
            unread,
            hint: if unread == 0 && self.recv.is_fin_received() { 1 } else { unread },
            unacknowledged: if connecting { 0 } else { self.send.unacknowledged() },
            unsent: self.send.unsent(),
            urgent_left: self.recv.urgent_left(),
        }
    }

    /// A FIN follows what was written.
    // Implements: RFC9293 s3.10.4, RFC9293 s3.10.4b
    pub(crate) fn shutdown_send(&mut self, context: &mut Context<'_>) -> Result<(), SocketError> {
        match self.state.name() {
            StateName::Closed => return Err(SocketError::NotConnected),
            StateName::SynSent => {
                self.give_up_connecting(context);
                return Ok(());
            }
            _ => {}
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

    /// Shut before it was open: Linux ends the attempt, and the call succeeds.
    fn give_up_connecting(&mut self, context: &mut Context<'_>) {
        self.fail(context, CloseReason::Aborted, SocketError::ConnectionReset);
    }

    /// Reads give what is there and then the end of the stream. The peer is not told (as on Linux).
    pub(crate) fn shutdown_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<(), SocketError> {
        match self.state.name() {
            StateName::Closed => return Err(SocketError::NotConnected),
            StateName::SynSent => {
                self.give_up_connecting(context);
                return Ok(());
            }
            _ => {}
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
                self.owed.reset = Some(self.active_reset());
                self.end(context, CloseReason::Aborted);
            }
            _ if self.user.options.linger == Some(Duration::ZERO) => {
                context.counters.abort_on_data += 1;
                self.abort(context);
            }
            _ => {
                let _ = self.shutdown_send(context);
                self.timers.stop(TimerKind::KeepAlive);
                self.check_fin_wait_2(now, context, self.active_reset());
            }
        }
    }

    /// Whether a blocking close would still wait (Linux's `sk_stream_wait_close`).
    pub(crate) fn is_lingering(&self) -> bool {
        let undelivered = matches!(
            self.state.name(),
            StateName::FinWait1 | StateName::Closing | StateName::LastAck
        );
        let patient = self.user.options.linger.is_some_and(|time| !time.is_zero());
        !self.user.attached && undelivered && patient
    }

    /// Resets the connection. RFC 9293 sends no reset in CLOSING and LAST-ACK; as on Linux one goes
    /// there too if something has never left, be it the FIN.
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
            && self.send.has_unsent();
        if needs_reset || loses {
            self.owed.reset = Some(self.active_reset());
        }
        self.end(context, CloseReason::Aborted);
    }

    /// The stack ends the connection, with a reset to the peer unless the device is gone.
    pub(crate) fn end_by_stack(&mut self, context: &mut Context<'_>, reason: CloseReason) {
        if reason != CloseReason::DeviceGone && self.state.is_synchronized() {
            self.owed.reset = Some(self.active_reset());
        }
        self.end(context, reason);
    }

    /// An orphan does not wait for ever for the peer's FIN, or, with TCP_LINGER2 below zero, not at
    /// all: then `reset` tells the peer.
    // Implements: H-40, H-45
    pub(super) fn check_fin_wait_2(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        reset: Reset,
    ) {
        if self.state.name() != StateName::FinWait2
            || self.user.attached
            || self.timers.is_armed(TimerKind::FinWait2)
        {
            return;
        }
        match self.user.options.fin_timeout(context.config) {
            Some(time) => {
                // Not less than a lost FIN takes to come again, twice.
                let least = self.rtt.rto() * 7 / 2;
                self.timers.arm(TimerKind::FinWait2, now + time.max(least));
            }
            None => {
                context.counters.abort_on_linger += 1;
                self.owed.reset = Some(reset);
                self.end(context, CloseReason::Aborted);
            }
        }
    }
}
