//! Many connections behind one stack: demultiplexing, listeners, half-open and TIME-WAIT records,
//! ports, addresses, timers.
//!
//! `arrivals` takes packets, `verbs` the calls of applications, `poll` gives what leaves. A record is
//! owned by the slab of its kind; the table says which.

mod addresses;
mod arrivals;
mod complaints;
mod echo;
mod identification;
mod listener;
mod open;
mod passive;
pub(crate) mod path_mtu;
mod poll;
mod port_set;
mod ports;
mod records;
mod reset;
mod syn_cookies;
mod syn_received;
pub(crate) mod table;
mod time_wait;
mod verbs;

use std::collections::VecDeque;

use bytes::Bytes;
use core::net::IpAddr;
use slab::Slab;
use towpath_wire::IpHeader;
use towpath_wire::tcp::Segment;

use self::addresses::Addresses;
use self::complaints::ErrorLimit;
use self::echo::EchoLimit;
use self::identification::Identifications;
use self::listener::Listener;
pub use self::open::{ConnectRequest, ListenRequest};
use self::path_mtu::PathMtus;
use self::ports::Ports;
use self::syn_received::SynReceived;
use self::table::{FourTuple, Table};
use self::time_wait::TimeWait;
use crate::chunks::Chunks;
use crate::config::{Config, ConfigError};
use crate::connection::{Connection, Context};
use crate::counters::Counters;
use crate::error::SocketError;
use crate::event::{ConnectionId, Event, ListenerId};
use crate::garbage::Garbage;
use crate::instant::Instant;
use crate::memory::{Memory, Supply};
use crate::output::Transmit;
use crate::secrets::Secrets;
use crate::timer::TimerKind;
use crate::wheel::{TimerId, Wheel};

/// Packets that answer what belongs to no connection; beyond, they are dropped (they are answers
/// that a peer asks for again).
const MAX_ANSWERS: usize = 256;

/// The TCP of one host: connections, listeners and what they share.
///
/// See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    counters: Counters,
    secrets: Secrets,
    mtu: usize,
    addresses: Addresses,
    table: Table,
    ports: Ports,
    connections: Slab<Slot>,
    listeners: Slab<Listener>,
    half_open: Slab<SynReceived>,
    time_wait: Slab<TimeWait>,
    wheel: Wheel<Timed>,
    memory: Memory,
    /// Connections that nobody holds and that are not over.
    orphans: usize,
    generation: u32,
    /// Connections that may have something to send.
    touched: VecDeque<ConnectionId>,
    events: VecDeque<Event>,
    /// Packets of no connection.
    answers: VecDeque<Transmit>,
    loopback: VecDeque<Transmit>,
    echo: EchoLimit,
    errors_sent: ErrorLimit,
    paths: PathMtus,
    identifications: Identifications,
    garbage: Garbage,
}

/// A connection with what the endpoint keeps of it.
#[derive(Debug)]
struct Slot {
    connection: Connection,
    generation: u32,
    timer: Option<TimerId>,
    touched: bool,
    /// It is in the table, its port is held.
    on_wire: bool,
    /// It counts as an orphan.
    orphan: bool,
    /// It is among those who wait for memory, or was until lately.
    waits_for_memory: bool,
    /// What the budget counts for it, in bytes.
    charge: usize,
}

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timed {
    Connection(u32),
    SynReceived(u32),
    TimeWait(u32),
}

/// A TCP segment that arrived, checked by the codecs.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its IP header.
    pub ip: IpHeader,
    /// Its TCP header.
    pub segment: Segment,
    /// Its payload.
    pub payload: Chunks,
    /// Payload bytes of each of the segments that the device joined into this one; zero if it is one.
    pub gso_size: u16,
    /// Where it came from.
    pub source: ArrivalSource,
}

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalSource {
    /// The device: an address of ours as its source is a lie.
    Device,
    /// The stack itself.
    Loopback,
}

impl Arrival {
    /// How many segments were sent to make this.
    pub(crate) fn segment_count(&self) -> u32 {
        match usize::from(self.gso_size) {
            0 => 1,
            size => u32::try_from(self.payload.len().div_ceil(size)).unwrap_or(u32::MAX).max(1),
        }
    }
}

/// How much a stack holds: all zero when nothing is left over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Connections, those among them that only an application still holds.
    pub connections: usize,
    /// Half-open passive connections.
    pub half_open: usize,
    /// Connections in TIME-WAIT.
    pub time_wait: usize,
    /// Listeners.
    pub listeners: usize,
    /// Connections that wait to be accepted.
    pub accept_queue: usize,
    /// Armed timers.
    pub timers: usize,
    /// Bytes that are not acknowledged.
    pub send_bytes: usize,
    /// Bytes that are not read.
    pub receive_bytes: usize,
    /// Local ports in use.
    pub ports: usize,
    /// Connections that no application holds, and that are not over.
    pub orphans: usize,
    /// Bytes that the budget counts: buffers and records.
    pub memory: usize,
}

impl Endpoint {
    /// An endpoint without addresses. `config` must have passed
    /// [`validate`](Config::validate); `mtu` is the device's, in bytes.
    pub fn new(config: Config, secrets: Secrets, mtu: usize) -> Endpoint {
        let identifications = Identifications::new(secrets.identification_key());
        Endpoint {
            ports: Ports::new(&config),
            memory: Memory::new(config.memory, guaranteed_memory(&config)),
            orphans: 0,
            echo: EchoLimit::default(),
            config,
            counters: Counters::default(),
            secrets,
            mtu,
            addresses: Addresses::default(),
            table: Table::new(),
            connections: Slab::new(),
            listeners: Slab::new(),
            half_open: Slab::new(),
            time_wait: Slab::new(),
            wheel: Wheel::new(),
            generation: 0,
            touched: VecDeque::new(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
            loopback: VecDeque::new(),
            errors_sent: ErrorLimit::default(),
            paths: PathMtus::default(),
            identifications,
            garbage: Garbage::default(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings, as `sysctl` does on a host that runs. What was decided by the old ones
    /// (a connection's options, a timer that is armed) stays decided.
    ///
    /// # Errors
    ///
    /// What [`validate`](Config::validate) finds; nothing is changed then.
    pub fn set_config(&mut self, config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        let old = core::mem::replace(&mut self.config, config);
        let new = &self.config;
        let ports_differ = old.ip_local_port_range != new.ip_local_port_range
            || old.ip_local_reserved_ports != new.ip_local_reserved_ports
            || old.tcp_tw_reuse != new.tcp_tw_reuse;
        self.memory.set_limits(&mut self.counters, new.memory, guaranteed_memory(new));
        if ports_differ {
            self.rebuild_ports();
        }
        Ok(())
    }

    /// The device carries packets of up to `mtu` bytes from now on. What was negotiated stays; the
    /// segments of connections that exist fit the new MTU from their next packet on.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        self.paths.on_link_change();
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Makes `address` one of this host's, with the network that its prefix length names on the link.
    pub fn add_address(&mut self, address: IpAddr, prefix_len: u8) -> Result<(), SocketError> {
        self.addresses.add_address(address, prefix_len)
    }

    /// Makes `destination`'s network reachable through the device.
    pub fn add_route(&mut self, destination: IpAddr, prefix_len: u8) -> Result<(), SocketError> {
        self.addresses.add_route(destination, prefix_len)
    }

    /// This host's addresses with their prefix lengths; loopback addresses are not listed.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.addresses.iter()
    }

    /// Whether packets to `ip` end at this host.
    pub fn is_local(&self, ip: IpAddr) -> bool {
        self.addresses.is_local(ip)
    }

    /// What the endpoint holds.
    pub fn census(&self) -> Census {
        let mut census = Census {
            connections: self.connections.len(),
            half_open: self.half_open.len(),
            time_wait: self.time_wait.len(),
            listeners: self.listeners.len(),
            timers: self.wheel.len(),
            ports: self.ports.len(),
            orphans: self.orphans,
            memory: self.memory.used(),
            ..Census::default()
        };
        for (_, listener) in &self.listeners {
            census.accept_queue += listener.ready.len();
        }
        for (_, slot) in &self.connections {
            let (send, receive) = slot.connection.held_bytes();
            census.send_bytes += send;
            census.receive_bytes += receive;
        }
        census
    }

    /// The connections, in no order.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections
            .iter()
            .map(|(index, slot)| ConnectionId { index: index as u32, generation: slot.generation })
    }

    /// How many connections still have bytes or a FIN that the peer has not acknowledged.
    pub fn undelivered(&self) -> usize {
        self.connections.iter().filter(|(_, slot)| slot.connection.is_undelivered()).count()
    }

    fn slot(&self, id: ConnectionId) -> Result<&Slot, SocketError> {
        self.connections
            .get(id.index as usize)
            .filter(|slot| slot.generation == id.generation)
            .ok_or(SocketError::NoSuchSocket)
    }

    fn listener(&self, id: ListenerId) -> Result<&Listener, SocketError> {
        self.listeners
            .get(id.index as usize)
            .filter(|listener| listener.generation == id.generation)
            .ok_or(SocketError::NoSuchSocket)
    }

    /// Runs `act` on a connection, and afterwards what follows from it.
    fn with_connection<R>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Result<R, SocketError> {
        let supply = self.supply(id)?;
        let slot = &mut self.connections[id.index as usize];
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
            supply,
        };
        slot.connection.on_supply(supply);
        let result = act(&mut slot.connection, &mut context);
        if !slot.touched {
            slot.touched = true;
            self.touched.push_back(id);
        }
        self.recharge(id);
        self.tell_news(id);
        Ok(result)
    }

    /// What memory a connection gets at the moment.
    fn supply(&self, id: ConnectionId) -> Result<Supply, SocketError> {
        Ok(self.memory.supply(self.slot(id)?.charge, self.connections.len()))
    }

    fn tell_news(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.get_mut(id.index as usize) else { return };
        let news = slot.connection.take_news();
        if !news.is_empty() {
            self.events.push_back(Event::Ready(id, news));
        }
    }

    /// Queues a packet of no connection, if there is room for it.
    fn answer(&mut self, transmit: Transmit) -> bool {
        let queued = self.queue_answer(transmit);
        self.counters.out_segs += u64::from(queued);
        queued
    }

    /// The same for one that was sent before.
    fn answer_again(&mut self, transmit: Transmit) {
        let queued = self.queue_answer(transmit);
        self.counters.retrans_segs += u64::from(queued);
    }

    fn queue_answer(&mut self, transmit: Transmit) -> bool {
        let room = self.answers.len() < MAX_ANSWERS;
        if room {
            self.answers.push_back(transmit);
        } else {
            self.counters.drop_limit += 1;
        }
        room
    }

    /// The key of a listener in the table of names: its local end, and no remote one.
    fn listener_key(local_ip: IpAddr, local_port: u16) -> FourTuple {
        let remote_ip = match local_ip {
            IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        };
        FourTuple { local_ip, remote_ip, local_port, remote_port: 0 }
    }

    /// The earliest timer, by its kind if that is known without looking at the connection.
    fn next_timer(&self) -> (Instant, Option<TimerKind>) {
        (self.wheel.next_wakeup().unwrap_or(Instant::FAR_FUTURE), None)
    }

    /// An echo request arrived; answers it, so many a second.
    // Implements: RFC1122 s3.2.2.6
    pub fn handle_echo_request(
        &mut self,
        now: Instant,
        ip: IpHeader,
        ident: u16,
        seq: u16,
        data: Bytes,
    ) {
        if !self.may_arrive(ip.src, ip.dst, ArrivalSource::Device) {
            return;
        }
        let per_second = self.config.echo_replies_per_second;
        if self.answers.len() >= MAX_ANSWERS || !self.echo.admit(now, per_second) {
            self.counters.echo_limited += 1;
            return;
        }
        self.counters.echo_replies += 1;
        let reply = echo::reply(&ip, self.config.ip_default_ttl, ident, seq, data);
        self.answers.push_back(reply);
    }
}

/// What a connection gets even under memory pressure, in bytes.
fn guaranteed_memory(config: &Config) -> usize {
    config.tcp_rmem.min.max(config.tcp_wmem.min)
}
