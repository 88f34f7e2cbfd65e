//! Opening: active (connect) and passive (listen), with the choice of address and port.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use super::Endpoint;
use super::addresses::is_loopback;
use super::listener::Listener;
use super::table::{Entry, FourTuple};
use crate::connection::options::SocketOptions;
use crate::connection::{Connection, Context};
use crate::error::SocketError;
use crate::event::{ConnectionId, ListenerId};
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
    /// Begins a connection: its SYN leaves with the next poll. [`CONNECTED`](crate::Readiness::CONNECTED) tells when
    /// it is complete or has failed; [`take_error`](Endpoint::take_error) tells which.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` without a route, or to a multicast or broadcast address;
    /// `AddressNotAvailable` if the local address is not ours, no port is free, or the port to
    /// connect to is 0; `AddressInUse` if the connection exists; `InvalidInput` if the families
    /// differ, or for a loopback address towards another host; `NoBuffers` at the limit of connections.
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
                if is_loopback(local.ip()) && !self.addresses.is_local(remote.ip()) {
                    // A loopback address never leaves the host (RFC 1122 section 3.2.1.3).
                    return Err(SocketError::InvalidInput);
                }
                local.ip()
            }
            None => self.addresses.source_for(remote.ip())?,
        };
        let port = request.local.map_or(0, |local| local.port());
        let tuple = self.choose_tuple(SocketAddr::new(local_ip, port), remote)?;
        let iss = self.secrets.initial_sequence_number(now, &tuple);
        let offset = self.secrets.timestamp_offset(&tuple);
        self.counters.active_opens += 1;
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
        };
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
        let Endpoint { ports, secrets, table, config, .. } = self;
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
                    && !ports.is_listening(port)
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
        self.ports.acquire_for_listener(local.port());
        Ok(ListenerId { index, generation })
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
