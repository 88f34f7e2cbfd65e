//! A virtual network: engine endpoints as hosts, joined by emulated links and routers, with
//! applications on them, in discrete events and nanoseconds.
//!
//! Packets travel as bytes with checksums, so what a link corrupts must be found by the codecs. The
//! world owns the clock. It ends when nothing is under way and no timer is armed, or at a deadline.
//!
//! What must hold is looked at after every step: each packet by the [`invariants`](crate::invariants)
//! of its host, each application that ran by the conservation of bytes ([`Flow`] reads only what was
//! written, in order; what is written is acknowledged, under way or waiting).

mod agenda;
mod conservation;
mod network;
mod watch;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;

use bytes::Bytes;
use towpath_engine::{
    Config, ConnectRequest, ConnectionId, Endpoint, Event, Instant, ListenRequest, ListenerId,
    SocketError, SocketOptions, TcpInfo,
};
use towpath_netem::{Link, LinkConfig};

use self::agenda::{Actor, Agenda};
use self::network::{Hop, Network, Node};
use self::watch::Watch;
use crate::flow::{Behaviour, Flow};
use crate::host::Host;
use crate::packet::Packet;
use crate::pattern::{Numbers, Pattern};
use crate::trace::Trace;

/// Names a host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(usize);

/// Names the flow of an active or of a passive open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(usize);

/// Names a router of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouterId(usize);

/// Names one direction of a link of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(usize);

/// Where a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// At a host.
    Host(HostId),
    /// At a router.
    Router(RouterId),
}

impl From<HostId> for Place {
    fn from(host: HostId) -> Place {
        Place::Host(host)
    }
}

impl From<RouterId> for Place {
    fn from(router: RouterId) -> Place {
        Place::Router(router)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is under way and no timer is armed.
    Idle,
    /// The time was over.
    Deadline,
}

/// A virtual network.
pub struct World {
    seed: u64,
    now: Instant,
    numbers: Numbers,
    hosts: Vec<Host>,
    /// The node of each host.
    nodes: Vec<usize>,
    network: Network,
    agenda: Agenda,
    flows: Vec<PlacedFlow>,
    by_connection: HashMap<(HostId, ConnectionId), usize>,
    by_client: HashMap<(SocketAddr, SocketAddr), usize>,
    listeners: HashMap<(HostId, ListenerId), Box<dyn FnMut() -> Behaviour>>,
    trace: Trace,
    watch: Option<Watch>,
    lost_route: u64,
}

/// Which side of a connection sends what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The side that opened it.
    Client,
    /// The side that was connected to.
    Server,
}

#[derive(Debug)]
struct PlacedFlow {
    host: HostId,
    flow: Flow,
    /// The flow at the other end of the connection.
    other: Option<usize>,
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now", &self.now).finish()
    }
}

impl World {
    /// An empty world in which `seed` decides everything.
    pub fn new(seed: u64) -> World {
        World {
            seed,
            now: Instant::ZERO,
            numbers: Numbers::new(seed),
            hosts: Vec::new(),
            nodes: Vec::new(),
            network: Network::default(),
            agenda: Agenda::default(),
            flows: Vec::new(),
            by_connection: HashMap::new(),
            by_client: HashMap::new(),
            listeners: HashMap::new(),
            trace: Trace::new(Instant::ZERO),
            watch: None,
            lost_route: 0,
        }
    }

    /// Adds a host with one address and the MTU 1500.
    pub fn add_host(&mut self, config: Config, address: IpAddr, prefix_len: u8) -> HostId {
        self.add_host_with_mtu(config, address, prefix_len, 1500)
    }

    /// Adds a host with one address.
    pub fn add_host_with_mtu(
        &mut self,
        config: Config,
        address: IpAddr,
        prefix_len: u8,
        mtu: usize,
    ) -> HostId {
        let name = format!("host{}", self.hosts.len());
        let mut host = Host::new(&name, config, self.numbers.seed_bytes(), mtu);
        host.add_address(address, prefix_len);
        let node = self.network.add_node(Node::Host(self.hosts.len()));
        self.network.add_address(address, node);
        self.nodes.push(node);
        self.hosts.push(host);
        HostId(self.hosts.len() - 1)
    }

    /// Adds a router: it passes packets on towards their host, by the fewest links.
    pub fn add_router(&mut self) -> RouterId {
        RouterId(self.network.add_node(Node::Router))
    }

    /// Joins two places, one link each way: first the one from `a` to `b`.
    pub fn join(
        &mut self,
        a: impl Into<Place>,
        b: impl Into<Place>,
        there: LinkConfig,
        back: LinkConfig,
    ) -> (LinkId, LinkId) {
        let (a, b) = (self.node(a.into()), self.node(b.into()));
        let there = self.network.add_wire(a, b, there, self.numbers.next_number());
        let back = self.network.add_wire(b, a, back, self.numbers.next_number());
        (LinkId(there), LinkId(back))
    }

    fn node(&self, place: Place) -> usize {
        match place {
            Place::Host(HostId(host)) => self.nodes[host],
            Place::Router(RouterId(node)) => node,
        }
    }

    /// Listens; `behaviour` says what each connection's application does.
    pub fn listen(
        &mut self,
        host: HostId,
        request: ListenRequest,
        behaviour: impl FnMut() -> Behaviour + 'static,
    ) -> ListenerId {
        let id = self.hosts[host.0].endpoint.listen(request).expect("the host listens");
        self.listeners.insert((host, id), Box::new(behaviour));
        id
    }

    /// Stops listening.
    pub fn close_listener(&mut self, host: HostId, id: ListenerId) {
        self.listeners.remove(&(host, id));
        self.hosts[host.0].endpoint.close_listener(self.now, id);
        self.poll(host.0);
    }

    /// Connects to `remote`.
    ///
    /// # Panics
    ///
    /// If the engine refuses.
    pub fn connect(&mut self, host: HostId, remote: SocketAddr, behaviour: &Behaviour) -> FlowId {
        self.connect_with(host, remote, SocketOptions::default(), behaviour)
    }

    /// Connects to `remote` with these options.
    ///
    /// # Panics
    ///
    /// If the engine refuses.
    pub fn connect_with(
        &mut self,
        host: HostId,
        remote: SocketAddr,
        options: SocketOptions,
        behaviour: &Behaviour,
    ) -> FlowId {
        self.try_connect_with(host, remote, options, behaviour).expect("the host connects")
    }

    /// Connects to `remote` with these options, if the engine lets it.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn try_connect_with(
        &mut self,
        host: HostId,
        remote: SocketAddr,
        options: SocketOptions,
        behaviour: &Behaviour,
    ) -> Result<FlowId, SocketError> {
        let request = ConnectRequest::new(remote).options(options);
        let endpoint = &mut self.hosts[host.0].endpoint;
        let id = endpoint.connect(self.now, request)?;
        let local = endpoint.local_addr(id).expect("a new connection has an address");
        let index = self.flows.len();
        let patterns = (Pattern(2 * index as u64), Pattern(2 * index as u64 + 1));
        self.add_flow(host, Flow::new(id, behaviour, patterns, self.seed ^ index as u64), None);
        self.by_client.insert((local, remote), index);
        self.poll(host.0);
        Ok(FlowId(index))
    }

    fn add_flow(&mut self, host: HostId, flow: Flow, other: Option<usize>) {
        self.by_connection.insert((host, flow.id()), self.flows.len());
        self.flows.push(PlacedFlow { host, flow, other });
    }

    /// A flow.
    pub fn flow(&self, id: FlowId) -> &Flow {
        &self.flows[id.0].flow
    }

    /// The flow at the other end, once the connection was accepted.
    pub fn other_end(&self, id: FlowId) -> Option<&Flow> {
        Some(&self.flows[self.flows[id.0].other?].flow)
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// What each link has done.
    pub fn link_statistics(&self) -> impl Iterator<Item = towpath_netem::LinkStatistics> {
        self.network.wires().iter().map(|wire| wire.link.statistics())
    }

    /// A link.
    pub fn link(&self, id: LinkId) -> &Link<Bytes> {
        &self.network.wires()[id.0].link
    }

    /// The TcpInfo of one side of a flow, while there is a connection.
    pub fn info(&self, id: FlowId, side: Sender) -> Option<TcpInfo> {
        let index = match side {
            Sender::Client => id.0,
            Sender::Server => self.flows[id.0].other?,
        };
        let placed = &self.flows[index];
        self.hosts[placed.host.0].endpoint.info(placed.flow.id())
    }

    /// Lets the time pass, to `at`, in which nothing is to be done.
    ///
    /// # Panics
    ///
    /// If there is.
    pub fn idle_until(&mut self, at: Duration) {
        let at = Instant::ZERO + at;
        assert!(self.next().is_none_or(|(next, _)| next > at), "something is to be done before");
        self.sample(at);
        self.now = self.now.max(at);
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The exchange so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The exchange so far, to say what is kept of it.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Any call of a host's engine, followed by what it causes.
    pub fn call<R>(&mut self, host: HostId, act: impl FnOnce(&mut Endpoint, Instant) -> R) -> R {
        let now = self.now;
        self.hosts[host.0].on_cause();
        let result = act(&mut self.hosts[host.0].endpoint, now);
        self.poll(host.0);
        result
    }

    /// A packet of nobody in this world arrives at a host.
    pub fn inject(&mut self, host: HostId, packet: &Packet) {
        self.hosts[host.0].receive(self.now, &packet.to_bytes(), &mut self.trace);
        self.poll(host.0);
    }

    /// Runs until nothing is under way and no timer is armed, at most for `limit`.
    pub fn run(&mut self, limit: Duration) -> Outcome {
        let deadline = self.now + limit;
        loop {
            let Some((at, actor)) = self.next() else { return Outcome::Idle };
            self.sample(at.min(deadline));
            if at > deadline {
                self.now = deadline;
                return Outcome::Deadline;
            }
            self.now = at.max(self.now);
            self.agenda.pop();
            match actor {
                Actor::Wire(wire) => self.deliver(wire),
                Actor::Flow(flow) => {
                    self.run_flow(flow);
                    self.poll(self.flows[flow].host.0);
                }
                Actor::Host(host) => {
                    self.hosts[host].on_cause();
                    self.poll(host);
                }
            }
        }
    }

    /// Who has something to do next. Whoever has been put off since it was booked is booked anew.
    fn next(&mut self) -> Option<(Instant, Actor)> {
        while let Some((at, actor)) = self.agenda.peek() {
            let due = self.due(actor);
            if due <= at {
                return Some((at, actor));
            }
            self.agenda.pop();
            self.agenda.book(actor, due);
        }
        None
    }

    fn due(&self, actor: Actor) -> Instant {
        let due = match actor {
            Actor::Wire(wire) => {
                self.network.wires()[wire].link.next_delivery_ns().map(Instant::from_nanos)
            }
            Actor::Flow(flow) => self.flows[flow].flow.wakes_at(),
            Actor::Host(host) => Some(self.hosts[host].next_deadline()),
        };
        due.unwrap_or(Instant::FAR_FUTURE)
    }

    fn book(&mut self, actor: Actor) {
        let due = self.due(actor);
        self.agenda.book(actor, due);
    }

    /// Takes all that has arrived by a wire.
    fn deliver(&mut self, wire: usize) {
        let now_ns = self.now.as_nanos();
        // Now and then a batch is handled before the engine is polled, as a driver does.
        let batch = 1 + self.numbers.below(4);
        let mut taken = 0;
        // Behind one wire there may be many hosts.
        let mut reached: Vec<usize> = Vec::new();
        while let Some(bytes) = self.network.link_mut(wire).deliver(now_ns) {
            match self.network.arrive(wire, &bytes) {
                Hop::Nowhere => self.lost_route += 1,
                Hop::Wire(next) => self.offer(next, bytes),
                Hop::Host(host) => {
                    self.hosts[host].receive(self.now, &bytes, &mut self.trace);
                    if !reached.contains(&host) {
                        reached.push(host);
                    }
                    taken += 1;
                    if taken % batch == 0 {
                        reached.drain(..).for_each(|host| self.poll(host));
                    }
                }
            }
        }
        reached.into_iter().for_each(|host| self.poll(host));
        self.book(Actor::Wire(wire));
    }

    fn offer(&mut self, wire: usize, bytes: Bytes) {
        self.network.link_mut(wire).offer(self.now.as_nanos(), bytes);
        self.book(Actor::Wire(wire));
    }

    /// Sends what a host has to send, and runs the applications that it wakes, until both rest.
    fn poll(&mut self, host: usize) {
        loop {
            let packets = self.hosts[host].poll(self.now, &mut self.trace);
            self.send(host, packets);
            let Some(event) = self.hosts[host].next_event() else { break };
            match event {
                Event::Ready(id, _) => {
                    if let Some(&index) = self.by_connection.get(&(HostId(host), id)) {
                        self.run_flow(index);
                    }
                }
                Event::Incoming(listener) => self.accept(HostId(host), listener),
                _ => {}
            }
        }
        self.book(Actor::Host(host));
    }

    fn run_flow(&mut self, index: usize) {
        let placed = &mut self.flows[index];
        let host = placed.host.0;
        let id = placed.flow.id();
        self.hosts[host].on_cause();
        placed.flow.run(self.now, &mut self.hosts[host].endpoint);
        // A writer polls its own connection; a driver polls all. Either must do.
        if self.numbers.below(2) == 0 {
            let packets = self.hosts[host].poll_connection(self.now, id, &mut self.trace);
            self.send(host, packets);
        } else {
            let packets = self.hosts[host].poll(self.now, &mut self.trace);
            self.send(host, packets);
        }
        self.book(Actor::Flow(index));
        self.book(Actor::Host(host));
        self.check_conservation(index);
    }

    fn accept(&mut self, host: HostId, listener: ListenerId) {
        while let Ok((id, remote)) = self.hosts[host.0].endpoint.accept(self.now, listener) {
            let Some(make) = self.listeners.get_mut(&(host, listener)) else { return };
            let behaviour = make();
            let local = self.hosts[host.0].endpoint.local_addr(id).expect("it was just accepted");
            let client = self.by_client.get(&(remote, local)).copied();
            let index = self.flows.len();
            let key = client.unwrap_or(index) as u64;
            let patterns = (Pattern(2 * key + 1), Pattern(2 * key));
            let flow = Flow::new(id, &behaviour, patterns, self.seed ^ index as u64);
            self.add_flow(host, flow, client);
            if let Some(client) = client {
                self.flows[client].other = Some(index);
            }
            self.run_flow(index);
        }
    }

    fn send(&mut self, host: usize, packets: Vec<Bytes>) {
        for bytes in packets {
            match self.network.leave(self.nodes[host], &bytes) {
                Hop::Wire(wire) => self.offer(wire, bytes),
                Hop::Host(_) | Hop::Nowhere => self.lost_route += 1,
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && self.trace.is_kept() {
            eprintln!("seed {}\n{}", self.seed, self.trace);
        }
    }
}
