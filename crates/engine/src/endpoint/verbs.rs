//! The calls of applications on what is open, by its id.

use core::net::SocketAddr;

use bytes::Bytes;

use super::Endpoint;
use super::table::Entry;
use crate::chunks::Chunks;
use crate::connection::adjust::QuickAck;
use crate::connection::options::SocketOptions;
use crate::connection::state::StateName;
use crate::connection::user::Queues;
use crate::error::{CloseReason, SocketError};
use crate::event::{ConnectionId, ListenerId, Readiness};
use crate::info::TcpInfo;
use crate::instant::Instant;
use crate::memory::Supply;
use crate::send::marks::SendFlags;

impl Endpoint {
    /// The address that a listener listens on, with the port that was chosen.
    pub fn listener_address(&self, id: ListenerId) -> Result<SocketAddr, SocketError> {
        Ok(self.listener(id)?.local)
    }

    /// Takes the connection that has waited longest, with its remote address.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if none waits.
    pub fn accept(
        &mut self,
        _now: Instant,
        id: ListenerId,
    ) -> Result<(ConnectionId, SocketAddr), SocketError> {
        self.listener(id)?;
        let listener = &mut self.listeners[id.index as usize];
        while let Some(connection) = listener.ready.pop_front() {
            if let Some(slot) = self
                .connections
                .get_mut(connection.index as usize)
                .filter(|slot| slot.generation == connection.generation)
            {
                slot.connection.on_accept();
                return Ok((connection, slot.connection.tuple().remote()));
            }
        }
        Err(SocketError::WouldBlock)
    }

    /// Whether [`accept`](Endpoint::accept) has a connection to give. False for an id that names
    /// nothing.
    pub fn is_acceptable(&self, id: ListenerId) -> bool {
        self.listener(id)
            .is_ok_and(|listener| listener.ready.iter().any(|waiting| self.slot(*waiting).is_ok()))
    }

    /// Lets more or fewer connections wait, as a second `listen(2)`. Those that wait stay.
    pub fn set_backlog(&mut self, id: ListenerId, backlog: u32) -> Result<(), SocketError> {
        self.listener(id)?;
        let most = self.config.somaxconn;
        self.listeners[id.index as usize].backlog = (backlog as usize).min(most);
        Ok(())
    }

    /// Changes the options that connections of a listener begin with. Those that exist keep theirs,
    /// half-open ones what they have promised.
    pub fn set_listener_options(
        &mut self,
        id: ListenerId,
        options: SocketOptions,
    ) -> Result<(), SocketError> {
        self.listener(id)?;
        self.listeners[id.index as usize].options = options;
        Ok(())
    }

    /// Stops listening. Connections that nobody accepted, of which there are no more than `somaxconn`
    /// and one, are reset; half-open ones are forgotten when their timer or their peer comes.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        if self.listener(id).is_err() {
            return;
        }
        let listener = self.listeners.remove(id.index as usize);
        let key = Endpoint::listener_key(listener.local.ip(), listener.local.port());
        self.table.remove(&self.secrets, &key, Entry::Listener(id.index));
        self.ports.release_of_listener(&self.secrets, listener.local);
        for connection in listener.ready {
            self.abort(now, connection);
        }
    }

    /// What a connection is ready for. An id that names nothing is ready for everything: the call
    /// that follows says why.
    pub fn readiness(&self, id: ConnectionId) -> Readiness {
        match self.slot(id) {
            Ok(slot) => slot.connection.readiness(&self.config),
            Err(_) => {
                Readiness::READABLE
                    | Readiness::WRITABLE
                    | Readiness::READ_CLOSED
                    | Readiness::WRITE_CLOSED
                    | Readiness::ERROR
                    | Readiness::CONNECTED
            }
        }
    }

    /// Charges up to `wanted` bytes of the send buffer, so that they can be copied while nothing is
    /// locked. [`commit_send`](Endpoint::commit_send) must follow.
    ///
    /// # Errors
    ///
    /// `WouldBlock` without room, `BrokenPipe` once the direction is shut, the pending error once.
    pub fn reserve_send(&mut self, id: ConnectionId, wanted: usize) -> Result<usize, SocketError> {
        self.check_memory(id)?;
        let wanted = wanted.min(self.memory.left());
        let slot = &mut self.connections[id.index as usize];
        let result = slot.connection.reserve_send(&self.config, wanted);
        self.recharge(id);
        result
    }

    /// Whether there is memory for what a connection is to send. Else it is told when there is.
    fn check_memory(&mut self, id: ConnectionId) -> Result<(), SocketError> {
        if self.supply(id)? != Supply::Refused {
            return Ok(());
        }
        let slot = &mut self.connections[id.index as usize];
        let error = slot.connection.refuse_write();
        if error == SocketError::WouldBlock && !slot.waits_for_memory {
            slot.waits_for_memory = true;
            self.memory.wait(id);
        }
        Err(error)
    }

    /// Appends at most `reserved` bytes and gives the charge back.
    pub fn commit_send(
        &mut self,
        _now: Instant,
        id: ConnectionId,
        reserved: usize,
        data: Bytes,
        flags: SendFlags,
    ) -> Result<(), SocketError> {
        self.with_connection(id, |connection, context| {
            connection.commit_send(context, reserved, data, flags)
        })?
    }

    /// Appends a copy of at most 512 bytes: as many as there is room for.
    pub fn send_small(
        &mut self,
        _now: Instant,
        id: ConnectionId,
        data: &[u8],
        flags: SendFlags,
    ) -> Result<usize, SocketError> {
        self.check_memory(id)?;
        self.with_connection(id, |connection, context| {
            connection.send_small(context.config, data, flags)
        })?
    }

    /// Takes up to `max` bytes that arrived; none at the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there yet; the pending error, once, when all bytes are taken.
    pub fn receive(
        &mut self,
        now: Instant,
        id: ConnectionId,
        max: usize,
    ) -> Result<Chunks, SocketError> {
        self.with_connection(id, |connection, _| connection.receive(now, max))?
    }

    /// The bytes that [`receive`](Endpoint::receive) would take, left where they are.
    pub fn peek(&mut self, id: ConnectionId, max: usize) -> Result<Chunks, SocketError> {
        self.slot(id)?;
        self.connections[id.index as usize].connection.peek(max)
    }

    /// What the buffers of a connection hold.
    pub fn queues(&self, id: ConnectionId) -> Result<Queues, SocketError> {
        Ok(self.slot(id)?.connection.queues())
    }

    /// Sends a FIN after what was written.
    pub fn shutdown_send(&mut self, _now: Instant, id: ConnectionId) -> Result<(), SocketError> {
        self.with_connection(id, |connection, context| connection.shutdown_send(context))?
    }

    /// Makes reads return the end of the stream once they have taken what is there.
    pub fn shutdown_receive(&mut self, _now: Instant, id: ConnectionId) -> Result<(), SocketError> {
        self.with_connection(id, |connection, context| connection.shutdown_receive(context))?
    }

    /// The application lets go of a connection, as `close(2)`: what was written is still delivered
    /// and a FIN follows; with unread bytes or zero linger it is reset. The id names nothing
    /// afterwards, though the record may live on until the peer has answered.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.with_connection(id, |connection, context| connection.close(now, context));
        self.orphan(id);
    }

    /// Resets a connection and lets go of it.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.with_connection(id, |connection, context| {
            connection.abort(context);
            connection.close(now, context);
        });
    }

    /// The options of a connection.
    pub fn options(&self, id: ConnectionId) -> Result<SocketOptions, SocketError> {
        Ok(self.slot(id)?.connection.options())
    }

    /// Changes the options of a connection.
    pub fn set_options(
        &mut self,
        now: Instant,
        id: ConnectionId,
        options: SocketOptions,
    ) -> Result<(), SocketError> {
        self.with_connection(id, |connection, context| {
            connection.set_options(now, context, options);
        })
    }

    /// TCP_QUICKACK, as a call: with [`On`](QuickAck::On) an ACK that waits goes now.
    pub fn set_quick_ack(
        &mut self,
        _now: Instant,
        id: ConnectionId,
        wish: QuickAck,
    ) -> Result<(), SocketError> {
        self.with_connection(id, |connection, _| connection.set_quick_ack(wish))
    }

    /// Whether a blocking close still waits: the application has closed with a positive
    /// [`linger`](SocketOptions::linger), and not everything is acknowledged. Whoever blocks asks
    /// again after each poll, and no longer than the linger time; what is left is delivered in any
    /// case, as without linger.
    pub fn is_lingering(&self, id: ConnectionId) -> bool {
        self.slot(id).is_ok_and(|slot| slot.connection.is_lingering())
    }

    /// What `connect(2)` gives when it is called again for this connection: `AlreadyConnecting`
    /// during the handshake, success once after it, `IsConnected` from then on; the reason of the
    /// failure, once, if it failed.
    pub fn connect_again(&mut self, id: ConnectionId) -> Result<(), SocketError> {
        self.slot(id)?;
        self.connections[id.index as usize].connection.connect_again()
    }

    /// SO_ERROR: the pending error, else the last soft one that the path reported; it is thereby
    /// cleared.
    pub fn take_error(&mut self, id: ConnectionId) -> Option<SocketError> {
        self.slot(id).ok()?;
        self.connections[id.index as usize].connection.take_error()
    }

    /// Who ended a connection, and why.
    pub fn close_reason(&self, id: ConnectionId) -> Option<CloseReason> {
        self.slot(id).ok()?.connection.close_reason()
    }

    /// The state of a connection.
    pub fn state(&self, id: ConnectionId) -> Option<StateName> {
        Some(self.slot(id).ok()?.connection.state())
    }

    /// The numbers of a connection.
    pub fn info(&self, id: ConnectionId) -> Option<TcpInfo> {
        Some(self.slot(id).ok()?.connection.info(&self.config))
    }

    /// The local address and port of a connection.
    pub fn local_addr(&self, id: ConnectionId) -> Result<SocketAddr, SocketError> {
        Ok(self.slot(id)?.connection.tuple().local())
    }

    /// The remote address and port of a connection.
    ///
    /// # Errors
    ///
    /// `NotConnected` while the handshake is not complete.
    pub fn peer_addr(&self, id: ConnectionId) -> Result<SocketAddr, SocketError> {
        let connection = &self.slot(id)?.connection;
        if connection.state() == StateName::SynSent {
            return Err(SocketError::NotConnected);
        }
        Ok(connection.tuple().remote())
    }

    /// The listener through which a connection came.
    pub fn listener_of(&self, id: ConnectionId) -> Option<ListenerId> {
        self.slot(id).ok()?.connection.listener()
    }

    /// Ends every connection, half-open and TIME-WAIT ones too: with a reset to the peer, or silently
    /// if the device is gone. Pending and later calls fail with the reason's error.
    pub fn abort_all(&mut self, _now: Instant, reason: CloseReason) {
        let ids: Vec<ConnectionId> = self.connections().collect();
        for id in ids {
            let _ = self.with_connection(id, |connection, context| {
                connection.end_by_stack(context, reason);
            });
        }
        let half_open: Vec<u32> = self.half_open.iter().map(|(index, _)| index as u32).collect();
        for index in half_open {
            self.remove_half_open(index);
        }
        let waiting: Vec<u32> = self.time_wait.iter().map(|(index, _)| index as u32).collect();
        for index in waiting {
            self.remove_time_wait(index);
        }
    }
}
