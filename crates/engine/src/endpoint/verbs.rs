//! The calls of applications: what a socket does, by its id.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use bytes::Bytes;

use super::Endpoint;
use super::listener::Listener;
use super::table::{Entry, FourTuple};
use crate::chunks::Chunks;
use crate::connection::state::StateName;
use crate::connection::user::SocketOptions;
use crate::connection::{Connection, Context};
use crate::error::{CloseReason, SocketError};
use crate::event::{ConnectionId, ListenerId, Readiness};
use crate::info::TcpInfo;
use crate::instant::Instant;

/// An active open.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest {
    remote: SocketAddr,
    local: Option<SocketAddr>,
    options: SocketOptions,
}

impl ConnectRequest {
    /// A connection to `remote`, from an address and port that the stack chooses.
    pub fn new(remote: SocketAddr) -> ConnectRequest {
        ConnectRequest { remote, local: None, options: SocketOptions::default() }
    }

    /// From this address (unspecified: the stack chooses) and port (0: the stack chooses).
    #[must_use]
    pub fn local(mut self, local: SocketAddr) -> ConnectRequest {
        self.local = Some(local);
        self
    }

    /// With these options.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> ConnectRequest {
        self.options = options;
        self
    }
}

/// A passive open.
#[derive(Clone, Copy, Debug)]
pub struct ListenRequest {
    local: SocketAddr,
    backlog: u32,
    options: SocketOptions,
}

impl ListenRequest {
    /// A listener on this address (unspecified: all of that family) and port (0: the stack chooses).
    pub fn new(local: SocketAddr) -> ListenRequest {
        ListenRequest { local, backlog: 1024, options: SocketOptions::default() }
    }

    /// How many complete connections may wait to be accepted, at most `somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> ListenRequest {
        self.backlog = backlog;
        self
    }

    /// The options that accepted connections begin with.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> ListenRequest {
        self.options = options;
        self
    }
}

impl Endpoint {
    /// Begins a connection: its SYN leaves with the next poll. [`Readiness::CONNECTED`] tells when
    /// it is complete or has failed; [`take_error`](Endpoint::take_error) tells which.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` without a route, or to a multicast or broadcast address;
    /// `AddressNotAvailable` if the local address is not ours, no port is free, or the port to
    /// connect to is 0; `AddressInUse` if the connection exists; `InvalidInput` if the families
    /// differ; `NoBuffers` at the limit of connections.
    // Implements: 9293 MUST-43, 9293 MUST-45, 9293 MUST-46
    pub fn connect(
        &mut self,
        now: Instant,
        request: ConnectRequest,
    ) -> Result<ConnectionId, SocketError> {
        let remote = or_loopback(request.remote);
        if remote.port() == 0 {
            return Err(SocketError::AddressNotAvailable);
        }
        if self.addresses.is_not_unicast(remote.ip()) {
            return Err(SocketError::NetworkUnreachable);
        }
        if self.connections.len() >= self.config.max_connections {
            return Err(SocketError::NoBuffers);
        }
        let wished = request.local.filter(|local| !local.ip().is_unspecified());
        let local_ip = match wished {
            Some(local) if local.is_ipv4() != remote.is_ipv4() => {
                return Err(SocketError::InvalidInput);
            }
            Some(local) if !self.addresses.is_local(local.ip()) => {
                return Err(SocketError::AddressNotAvailable);
            }
            Some(local) => {
                self.addresses.source_for(remote.ip())?;
                local.ip()
            }
            None => self.addresses.source_for(remote.ip())?,
        };
        let port = request.local.map_or(0, |local| local.port());
        let tuple = self.choose_tuple(SocketAddr::new(local_ip, port), remote)?;
        let iss = self.secrets.initial_sequence_number(now, &tuple);
        let offset = self.secrets.timestamp_offset(&tuple);
        self.counters.active_opens += 1;
        let mut context =
            Context { config: &self.config, counters: &mut self.counters, mtu: self.mtu };
        let connection =
            Connection::connect(now, &mut context, tuple, iss, offset, request.options);
        Ok(self.add_connection(connection))
    }

    fn choose_tuple(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<FourTuple, SocketError> {
        if local.port() != 0 {
            let tuple = FourTuple::new(local, remote);
            let taken = self.table.get(&self.secrets, &tuple).is_some() || local == remote;
            return if taken { Err(SocketError::AddressInUse) } else { Ok(tuple) };
        }
        // The closure needs the table while the ports are borrowed: take them apart.
        let Endpoint { ports, secrets, table, listeners, config, .. } = self;
        let keys = secrets.clone();
        let port = ports.choose(
            secrets,
            config.ip_local_port_range,
            local.ip(),
            (remote.ip(), remote.port()),
            |ports, port| {
                let candidate = SocketAddr::new(local.ip(), port);
                if !ports.is_used(port) {
                    return candidate != remote;
                }
                candidate != remote
                    && table.get(&keys, &FourTuple::new(candidate, remote)).is_none()
                    && !listeners.iter().any(|(_, listener)| listener.local.port() == port)
            },
        );
        let port = port.ok_or(SocketError::AddressNotAvailable)?;
        Ok(FourTuple::new(SocketAddr::new(local.ip(), port), remote))
    }

    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// `AddressNotAvailable` if the address is not ours or no port is free; `AddressInUse` if
    /// another listener has it.
    // Implements: 9293 MUST-41, 9293 MUST-42
    pub fn listen(&mut self, request: ListenRequest) -> Result<ListenerId, SocketError> {
        let mut local = request.local;
        if !local.ip().is_unspecified() && !self.addresses.is_local(local.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        if local.port() == 0 {
            let Endpoint { ports, secrets, config, .. } = self;
            let port = ports
                .choose(
                    secrets,
                    config.ip_local_port_range,
                    local.ip(),
                    (local.ip(), 0),
                    |ports, port| !ports.is_used(port),
                )
                .ok_or(SocketError::AddressInUse)?;
            local.set_port(port);
        } else if self.listeners.iter().any(|(_, other)| overlap(other.local, local)) {
            return Err(SocketError::AddressInUse);
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.listeners.insert(Listener {
            local,
            options: request.options,
            ready: VecDeque::new(),
            backlog: (request.backlog as usize).min(self.config.somaxconn),
            half_open: 0,
            generation,
        }) as u32;
        let key = Endpoint::listener_key(local.ip(), local.port());
        self.table.insert(&self.secrets, key, Entry::Listener(index));
        self.ports.acquire(local.port());
        Ok(ListenerId { index, generation })
    }

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
                .get(connection.index as usize)
                .filter(|slot| slot.generation == connection.generation)
            {
                return Ok((connection, slot.connection.tuple().remote()));
            }
        }
        Err(SocketError::WouldBlock)
    }

    /// Stops listening. Connections that nobody accepted are reset, half-open ones forgotten.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        if self.listener(id).is_err() {
            return;
        }
        let listener = self.listeners.remove(id.index as usize);
        let key = Endpoint::listener_key(listener.local.ip(), listener.local.port());
        self.table.remove(&self.secrets, &key, Entry::Listener(id.index));
        self.ports.release(listener.local.port());
        let orphans: Vec<u32> = self
            .half_open
            .iter()
            .filter(|(_, record)| record.listener == id)
            .map(|(index, _)| index as u32)
            .collect();
        for index in orphans {
            self.remove_half_open(index);
        }
        for connection in listener.ready {
            self.abort(now, connection);
        }
    }

    /// What a connection is ready for. An id that names nothing is ready for everything: the call
    /// that follows says why.
    pub fn readiness(&self, id: ConnectionId) -> Readiness {
        match self.slot(id) {
            Ok(slot) => slot.connection.readiness(),
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
        self.slot(id)?;
        self.connections[id.index as usize].connection.reserve_send(wanted)
    }

    /// Appends at most `reserved` bytes and gives the charge back.
    pub fn commit_send(
        &mut self,
        _now: Instant,
        id: ConnectionId,
        reserved: usize,
        data: Bytes,
    ) -> Result<(), SocketError> {
        self.with_connection(id, |connection, _| connection.commit_send(reserved, data))?
    }

    /// Appends a copy of at most 512 bytes: as many as there is room for.
    pub fn send_small(
        &mut self,
        _now: Instant,
        id: ConnectionId,
        data: &[u8],
    ) -> Result<usize, SocketError> {
        self.with_connection(id, |connection, _| connection.send_small(data))?
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

    /// Sends a FIN after what was written.
    pub fn shutdown_send(&mut self, _now: Instant, id: ConnectionId) -> Result<(), SocketError> {
        self.with_connection(id, |connection, context| connection.shutdown_send(context))?
    }

    /// Makes reads return the end of the stream.
    pub fn shutdown_receive(&mut self, _now: Instant, id: ConnectionId) -> Result<(), SocketError> {
        self.with_connection(id, |connection, _| connection.shutdown_receive())?
    }

    /// The application lets go of a connection, as `close(2)`: what was written is still delivered
    /// and a FIN follows; with unread bytes or zero linger it is reset. The id names nothing
    /// afterwards, though the record may live on until the peer has answered.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let _ = self.with_connection(id, |connection, context| connection.close(now, context));
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

    /// SO_ERROR: the pending error, which is thereby cleared.
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
        Some(self.slot(id).ok()?.connection.info())
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

/// Linux's meaning of connecting to the unspecified address: this host.
fn or_loopback(remote: SocketAddr) -> SocketAddr {
    let ip = match remote.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, remote.port())
}

/// Whether two listeners would be asked for the same connections.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
