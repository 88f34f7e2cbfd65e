//! Opening: active (connect) and passive (listen), with the choice of address and port.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use super::Endpoint;
use super::addresses::is_loopback;
use super::listener::Listener;
use super::ports::Choice;
use super::table::{Entry, FourTuple};
use crate::connection::options::SocketOptions;
use crate::connection::{Connection, Context};
use crate::error::SocketError;
use crate::event::{ConnectionId, ListenerId};
use crate::instant::Instant;
use crate::memory::Supply;

/// An active open.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest {
    remote: SocketAddr,
    local: Option<SocketAddr>,
    reuse_address: bool,
    options: SocketOptions,
}

impl ConnectRequest {
    /// A connection to `remote`, from an address and port that the stack chooses.
    pub fn new(remote: SocketAddr) -> ConnectRequest {
        ConnectRequest {
            remote,
            local: None,
            reuse_address: false,
            options: SocketOptions::default(),
        }
    }

    /// SO_REUSEADDR: a local port that is given may be one in TIME-WAIT towards the same remote end,
    /// where timestamps tell the old connection from the new one.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> ConnectRequest {
        self.reuse_address = reuse;
        self
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
    reuse_address: bool,
    options: SocketOptions,
}

impl ListenRequest {
    /// A listener on this address (unspecified: all of that family) and port (0: the stack chooses).
    pub fn new(local: SocketAddr) -> ListenRequest {
        ListenRequest {
            local,
            backlog: 1024,
            reuse_address: true,
            options: SocketOptions::default(),
        }
    }

    /// SO_REUSEADDR: whether connections, and what is left of them in TIME-WAIT, leave the name free
    /// for a listener. They do if nothing is said, as tokio's `TcpListener::bind` has it.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> ListenRequest {
        self.reuse_address = reuse;
        self
    }

    /// How many half-open connections there may be, and how many complete ones may wait to be
    /// accepted: at most `somaxconn`, and one more of each.
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
    /// differ, or for a loopback address towards another host; `NoBuffers` at the limit of connections
    /// or of memory.
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
        if self.connections.len() >= self.config.max_connections || self.memory.is_exhausted() {
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
        let local = SocketAddr::new(local_ip, port);
        let (tuple, old) = self.choose_tuple(now, local, remote, request.reuse_address)?;
        let iss = match old {
            Some(index) => {
                self.counters.time_wait_recycled += 1;
                self.remove_time_wait(index).next_iss()
            }
            None => self.secrets.initial_sequence_number(now, &tuple),
        };
        let offset = self.secrets.timestamp_offset(&tuple);
        let seed = self.secrets.controller_seed(&tuple, iss);
        self.counters.active_opens += 1;
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
            supply: Supply::Plenty,
        };
        let connection =
            Connection::connect(now, &mut context, tuple, iss, (offset, seed), request.options);
        Ok(self.add_connection(connection))
    }

    /// The four numbers of an active open, and the record in TIME-WAIT that it takes them from.
    fn choose_tuple(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        reuse_address: bool,
    ) -> Result<(FourTuple, Option<u32>), SocketError> {
        if local.port() != 0 {
            let tuple = FourTuple::new(local, remote);
            if local == remote {
                return Err(SocketError::AddressInUse);
            }
            return match self.table.get(&self.secrets, &tuple) {
                None => Ok((tuple, None)),
                Some(Entry::TimeWait(index)) => {
                    let record = &self.time_wait[index as usize];
                    let given = reuse_address && record.has_timestamps();
                    if given || record.may_be_taken_over(now, &self.config) {
                        Ok((tuple, Some(index)))
                    } else {
                        Err(SocketError::AddressInUse)
                    }
                }
                Some(_) => Err(SocketError::AddressInUse),
            };
        }
        loop {
            let choice = self.ports.choose_for_connect(&mut self.secrets, local.ip(), remote);
            let tuple = |port| FourTuple::new(SocketAddr::new(local.ip(), port), remote);
            let (port, since) = match choice.ok_or(SocketError::AddressNotAvailable)? {
                Choice::Free(port) => return Ok((tuple(port), None)),
                Choice::Reusable(port, since) => (port, since),
            };
            let tuple = tuple(port);
            if let Some(Entry::TimeWait(index)) = self.table.get(&self.secrets, &tuple)
                && self.time_wait[index as usize].entered_at() == since
            {
                // It has been there for longest: if it is too early for this one, it is for all.
                let ripe = self.time_wait[index as usize].may_be_taken_over(now, &self.config);
                let taken = ripe.then_some((tuple, Some(index)));
                return taken.ok_or(SocketError::AddressNotAvailable);
            }
            // It left TIME-WAIT before its turn came. Each is met once.
            self.ports.withdraw(&self.secrets, local.ip(), remote);
        }
    }

    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// `AddressNotAvailable` if the address is not ours; `AddressInUse` if another listener has the
    /// name, or, without SO_REUSEADDR, a connection, or if no port is free.
    // Implements: 9293 MUST-41, 9293 MUST-42
    pub fn listen(&mut self, request: ListenRequest) -> Result<ListenerId, SocketError> {
        let mut local = request.local;
        if !local.ip().is_unspecified() && !self.addresses.is_local(local.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        if local.port() == 0 {
            let port = self.ports.choose_for_bind(&mut self.secrets);
            local.set_port(port.ok_or(SocketError::AddressInUse)?);
        } else if self.listeners.iter().any(|(_, other)| overlap(other.local, local))
            || !request.reuse_address && self.ports.is_name_used(&self.secrets, local)
        {
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
            young: 0,
            cookie_sent: None,
            generation,
        }) as u32;
        let key = Endpoint::listener_key(local.ip(), local.port());
        self.table.insert(&self.secrets, key, Entry::Listener(index));
        self.ports.acquire_for_listener(&self.secrets, local);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::secrets::Secrets;

    // Shows: H-75, RFC6056 s3.3b
    #[test]
    fn twenty_eight_thousand_connects_and_the_one_too_many_need_no_look_up() {
        let mut endpoint = Endpoint::new(Config::default(), Secrets::from_seed([1; 32]), 1500);
        endpoint.add_address("192.0.2.1".parse().unwrap(), 24).unwrap();
        let server: SocketAddr = "192.0.2.2:80".parse().unwrap();
        let connect =
            |endpoint: &mut Endpoint, to| endpoint.connect(Instant::ZERO, ConnectRequest::new(to));
        for _ in 32_768..=60_999 {
            connect(&mut endpoint, server).unwrap();
        }
        assert_eq!(connect(&mut endpoint, server), Err(SocketError::AddressNotAvailable));
        assert_eq!(endpoint.table.asked.get(), 0);
        assert_eq!(endpoint.census().ports, 28_232);
        // A wider range, while the stack runs: what is in use stays in use.
        endpoint.set_config(Config::default().ip_local_port_range((32_767, 60_999))).unwrap();
        assert_eq!(endpoint.census().ports, 28_232);
        assert!(connect(&mut endpoint, server).is_ok());
        assert_eq!(connect(&mut endpoint, server), Err(SocketError::AddressNotAvailable));
        endpoint.set_config(Config::default()).unwrap();
        assert_eq!(connect(&mut endpoint, server), Err(SocketError::AddressNotAvailable));
        // Each of them leads to another server as well.
        let other: SocketAddr = "192.0.2.3:80".parse().unwrap();
        assert!(connect(&mut endpoint, other).is_ok());
        assert_eq!(endpoint.table.asked.get(), 0);
    }
}
