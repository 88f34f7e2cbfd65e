//! A virtual network: engine endpoints as hosts, joined by emulated links, with applications on
//! them, in discrete events and nanoseconds.
//!
//! Packets travel as bytes with checksums, so what a link corrupts must be found by the codecs. The
//! world owns the clock. It ends when nothing is under way and no timer is armed, or at a deadline.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;

use bytes::Bytes;
use towpath_engine::{
    Config, ConnectRequest, ConnectionId, Endpoint, Event, Instant, ListenRequest, ListenerId,
};
use towpath_netem::{Link, LinkConfig};
use towpath_wire::IpHeader;
use towpath_wire::ip::HeaderChecksum;

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
    wires: Vec<Wire>,
    flows: Vec<PlacedFlow>,
    by_connection: HashMap<(HostId, ConnectionId), usize>,
    by_client: HashMap<(SocketAddr, SocketAddr), usize>,
    listeners: HashMap<(HostId, ListenerId), Box<dyn FnMut() -> Behaviour>>,
    trace: Trace,
    lost_route: u64,
}

/// One direction between two hosts.
#[derive(Debug)]
struct Wire {
    from: usize,
    to: usize,
    link: Link<Bytes>,
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
            wires: Vec::new(),
            flows: Vec::new(),
            by_connection: HashMap::new(),
            by_client: HashMap::new(),
            listeners: HashMap::new(),
            trace: Trace::new(Instant::ZERO),
            lost_route: 0,
        }
    }

    /// Adds a host with one address and the MTU 1500.
    pub fn add_host(&mut self, config: Config, address: IpAddr, prefix_len: u8) -> HostId {
        let name = format!("host{}", self.hosts.len());
        let mut host = Host::new(&name, config, self.numbers.seed_bytes(), 1500);
        host.add_address(address, prefix_len);
        self.hosts.push(host);
        HostId(self.hosts.len() - 1)
    }

    /// Joins two hosts, one link each way.
    pub fn join(&mut self, a: HostId, b: HostId, there: LinkConfig, back: LinkConfig) {
        for (from, to, config) in [(a.0, b.0, there), (b.0, a.0, back)] {
            let link = Link::new(config, self.numbers.next_number()).expect("a link that can be");
            self.wires.push(Wire { from, to, link });
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
        let request = ConnectRequest::new(remote);
        let endpoint = &mut self.hosts[host.0].endpoint;
        let id = endpoint.connect(self.now, request).expect("the host connects");
        let local = endpoint.local_addr(id).expect("a new connection has an address");
        let index = self.flows.len();
        let patterns = (Pattern(2 * index as u64), Pattern(2 * index as u64 + 1));
        self.add_flow(host, Flow::new(id, behaviour, patterns, self.seed ^ index as u64), None);
        self.by_client.insert((local, remote), index);
        self.poll(host.0);
        FlowId(index)
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
        self.wires.iter().map(|wire| wire.link.statistics())
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The exchange so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
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
            let Some(next) = self.next_instant() else { return Outcome::Idle };
            if next > deadline {
                self.now = deadline;
                return Outcome::Deadline;
            }
            self.now = next.max(self.now);
            self.deliver();
            for index in 0..self.flows.len() {
                if self.flows[index].flow.wakes_at().is_some_and(|at| at <= self.now) {
                    self.run_flow(index);
                    self.poll(self.flows[index].host.0);
                }
            }
            for host in 0..self.hosts.len() {
                if self.hosts[host].next_deadline() <= self.now {
                    self.hosts[host].on_cause();
                    self.poll(host);
                }
            }
        }
    }

    fn next_instant(&self) -> Option<Instant> {
        let links = self.wires.iter().filter_map(|wire| wire.link.next_delivery_ns());
        let sleepers = self.flows.iter().filter_map(|placed| placed.flow.wakes_at());
        let timers = self.hosts.iter().map(Host::next_deadline);
        links
            .map(Instant::from_nanos)
            .chain(sleepers)
            .chain(timers)
            .filter(|at| *at != Instant::FAR_FUTURE)
            .min()
    }

    fn deliver(&mut self) {
        let now_ns = self.now.as_nanos();
        for index in 0..self.wires.len() {
            let to = self.wires[index].to;
            // Now and then a batch is handled before the engine is polled, as a driver does.
            let batch = 1 + self.numbers.below(4);
            let mut taken = 0;
            while let Some(bytes) = self.wires[index].link.deliver(now_ns) {
                self.hosts[to].receive(self.now, &bytes, &mut self.trace);
                taken += 1;
                if taken % batch == 0 {
                    self.poll(to);
                }
            }
            if taken > 0 {
                self.poll(to);
            }
        }
    }

    /// Sends what a host has to send, and runs the applications that it wakes, until both rest.
    fn poll(&mut self, host: usize) {
        loop {
            let packets = self.hosts[host].poll(self.now, &mut self.trace);
            self.send(host, packets);
            let Some(event) = self.hosts[host].next_event() else { return };
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
            let Ok(parsed) = IpHeader::parse(&bytes, HeaderChecksum::Verify) else {
                panic!("host{host} has sent what is no packet");
            };
            let to = self.hosts.iter().position(|other| {
                other.endpoint.addresses().any(|(ip, _)| ip == parsed.header.dst)
            });
            let wire = self.wires.iter_mut().find(|wire| wire.from == host && Some(wire.to) == to);
            match wire {
                Some(wire) => wire.link.offer(self.now.as_nanos(), bytes),
                None => self.lost_route += 1,
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}\n{}", self.seed, self.trace);
        }
    }
}
