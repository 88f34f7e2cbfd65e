//! What lies between the hosts: routers, links one way each, and who is reached by which.
//!
//! A router has no engine, no delay and no queue of its own; the queue before a link is the link's.
//! Packets take the path of the fewest links. A link that does nothing (the default
//! [`LinkConfig`]) costs nothing: packets pass it at once unless it ends at a host.

use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use towpath_netem::{Link, LinkConfig};

use crate::packet::destination;

/// A host or a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Host(usize),
    Router,
}

/// One direction between two nodes.
#[derive(Debug)]
pub(super) struct Wire {
    from: usize,
    to: usize,
    is_perfect: bool,
    pub(super) link: Link<Bytes>,
}

/// Where a packet goes from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// Into a link that takes time, or ends at a host.
    Wire(usize),
    /// Up into the host at the node.
    Host(usize),
    /// There is no way.
    Nowhere,
}

/// Where a packet comes from that looks for its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Host,
    Link,
}

/// The nodes, the links and the ways.
#[derive(Debug, Default)]
pub(super) struct Network {
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    addresses: HashMap<IpAddr, usize>,
    /// For each destination node, the wire to take from each node.
    ways: HashMap<usize, Vec<Option<usize>>>,
}

impl Network {
    pub(super) fn add_node(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.ways.clear();
        self.nodes.len() - 1
    }

    /// Packets to `address` go to `node`.
    pub(super) fn add_address(&mut self, address: IpAddr, node: usize) {
        self.addresses.insert(address, node);
    }

    /// Adds a link from one node to another; panics where the link refuses its settings.
    pub(super) fn add_wire(
        &mut self,
        from: usize,
        to: usize,
        config: LinkConfig,
        seed: u64,
    ) -> usize {
        let is_perfect = config == LinkConfig::default();
        let link = Link::new(config, seed).expect("a link that can be");
        self.wires.push(Wire { from, to, is_perfect, link });
        self.ways.clear();
        self.wires.len() - 1
    }

    pub(super) fn wires(&self) -> &[Wire] {
        &self.wires
    }

    pub(super) fn link_mut(&mut self, wire: usize) -> &mut Link<Bytes> {
        &mut self.wires[wire].link
    }

    /// Where a packet goes that a host at `node` has sent.
    pub(super) fn leave(&mut self, node: usize, packet: &[u8]) -> Hop {
        match destination(packet) {
            Some(destination) => self.walk(node, destination, Source::Host),
            None => Hop::Nowhere,
        }
    }

    /// Where a packet goes that came out of `wire`. A host gets whatever is put on its wire.
    pub(super) fn arrive(&mut self, wire: usize, packet: &[u8]) -> Hop {
        let node = self.wires[wire].to;
        match (self.nodes[node], destination(packet)) {
            (Node::Host(host), _) => Hop::Host(host),
            (Node::Router, Some(destination)) => self.walk(node, destination, Source::Link),
            (Node::Router, None) => Hop::Nowhere,
        }
    }

    /// Through the links that do nothing. From a host a packet must not reach another one at once,
    /// inside the call that sent it: there the last link is gone through like any other.
    fn walk(&mut self, mut node: usize, destination: IpAddr, source: Source) -> Hop {
        let Some(&target) = self.addresses.get(&destination) else { return Hop::Nowhere };
        loop {
            let Some(index) = self.next_wire(node, target) else { return Hop::Nowhere };
            let wire = &self.wires[index];
            match self.nodes[wire.to] {
                Node::Host(host) if wire.is_perfect && source == Source::Link => {
                    return Hop::Host(host);
                }
                Node::Router if wire.is_perfect => node = wire.to,
                _ => return Hop::Wire(index),
            }
        }
    }

    fn next_wire(&mut self, node: usize, target: usize) -> Option<usize> {
        if !self.ways.contains_key(&target) {
            let ways = self.find_ways(target);
            self.ways.insert(target, ways);
        }
        self.ways.get(&target)?.get(node).copied().flatten()
    }

    /// Breadth first, backwards from the target. A host passes nothing on.
    fn find_ways(&self, target: usize) -> Vec<Option<usize>> {
        let mut ways = vec![None; self.nodes.len()];
        let mut queue = VecDeque::from([target]);
        while let Some(node) = queue.pop_front() {
            for (index, wire) in self.wires.iter().enumerate() {
                if wire.to == node && wire.from != target && ways[wire.from].is_none() {
                    ways[wire.from] = Some(index);
                    if self.nodes[wire.from] == Node::Router {
                        queue.push_back(wire.from);
                    }
                }
            }
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// What a router looks at of a packet.
    fn packet_to(last: u8) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[0] = 0x45;
        bytes[16..20].copy_from_slice(&[10, 0, 0, last]);
        bytes
    }

    #[test]
    fn packets_take_the_fewest_links_through_routers_and_end_at_their_host() {
        let slow = || LinkConfig::new().delay(Duration::from_millis(1));
        let mut network = Network::default();
        let [a, b, c] = [0, 1, 2].map(|host| network.add_node(Node::Host(host)));
        let [left, right] = [0, 1].map(|_| network.add_node(Node::Router));
        for (node, last) in [(a, 1), (b, 2), (c, 3)] {
            network.add_address(ip(last), node);
        }
        let mut join = |from, to, config: LinkConfig| {
            let there = network.add_wire(from, to, config.clone(), 0);
            (there, network.add_wire(to, from, config, 0))
        };
        let (_, to_a) = join(a, left, LinkConfig::default());
        let (bottleneck, back) = join(left, right, slow());
        join(right, b, LinkConfig::default());
        let (to_c, _) = join(right, c, slow());

        assert_eq!(network.leave(a, &packet_to(2)), Hop::Wire(bottleneck));
        assert_eq!(network.arrive(bottleneck, &packet_to(2)), Hop::Host(1), "at once");
        assert_eq!(network.arrive(bottleneck, &packet_to(3)), Hop::Wire(to_c), "by its link");
        assert_eq!(network.arrive(to_c, &packet_to(3)), Hop::Host(2));
        assert_eq!(network.arrive(back, &packet_to(1)), Hop::Host(0));
        assert_eq!(network.leave(b, &packet_to(1)), Hop::Wire(back));
        // Two hosts at one router: the last link is gone through, although it does nothing.
        let d = network.add_node(Node::Host(3));
        network.add_address(ip(4), d);
        let to_d = network.add_wire(left, d, LinkConfig::default(), 0);
        assert_eq!(network.leave(a, &packet_to(4)), Hop::Wire(to_d));
        assert_ne!(to_d, to_a);
        // Nobody has it, or nobody leads there.
        assert_eq!(network.leave(a, &packet_to(9)), Hop::Nowhere);
        assert_eq!(network.leave(d, &packet_to(1)), Hop::Nowhere);
        assert_eq!(network.leave(a, &[]), Hop::Nowhere);
    }
}
