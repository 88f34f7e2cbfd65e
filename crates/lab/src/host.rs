//! One engine endpoint as a host of the lab: bytes in, bytes out, events kept apart.
//!
//! Owns the endpoint, its way through the codecs and the check of the invariants on every packet
//! that passes. It leaves to its caller the clock, the network and the applications.

use core::net::IpAddr;
use std::collections::VecDeque;

use bytes::Bytes;
use towpath_engine::{
    Arrival, ArrivalSource, Chunks, Config, ConnectionId, Endpoint, Event, IcmpError, Instant,
    Output, Secrets,
};
use towpath_wire::icmp::{IcmpMessage, complaint};
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::{IpHeader, Malformed, Protocol};

use crate::invariants::Invariants;
use crate::packet::{Packet, encode};
use crate::trace::{Passing, Trace};

/// Outputs of one poll after which an engine counts as gone wild.
const POLL_LIMIT: usize = 1_000_000;

/// An engine endpoint with its name and its witnesses.
#[derive(Debug)]
pub struct Host {
    /// The engine. Applications' calls go to it directly; poll afterwards.
    pub endpoint: Endpoint,
    name: String,
    invariants: Invariants,
    events: VecDeque<Event>,
    corrupted: u64,
    packets_out: u64,
}

impl Host {
    /// A host without addresses.
    pub fn new(name: &str, config: Config, seed: [u8; 32], mtu: usize) -> Host {
        config.validate().expect("a configuration that the engine accepts");
        Host {
            endpoint: Endpoint::new(config, Secrets::from_seed(seed), mtu),
            name: name.to_owned(),
            invariants: Invariants::new(mtu),
            events: VecDeque::new(),
            corrupted: 0,
            packets_out: 0,
        }
    }

    /// How it is called in traces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the host an address with its prefix length.
    pub fn add_address(&mut self, address: IpAddr, prefix_len: u8) {
        self.endpoint.add_address(address, prefix_len).expect("an address that a host may have");
    }

    /// The device carries packets of up to `mtu` bytes from now on.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.endpoint.set_mtu(mtu);
        self.invariants.set_mtu(mtu);
    }

    /// Bytes arrive from the network.
    pub fn receive(&mut self, now: Instant, bytes: &Bytes, trace: &mut Trace) {
        self.receive_joined(now, bytes, 0, trace);
    }

    /// Bytes arrive from the network, which a device has joined from segments of `gso_size` bytes
    /// of payload; 0: they are one segment.
    pub fn receive_joined(
        &mut self,
        now: Instant,
        bytes: &Bytes,
        gso_size: u16,
        trace: &mut Trace,
    ) {
        match Packet::parse(bytes) {
            Ok(packet) => self.receive_packet(now, packet, gso_size, trace),
            Err(None) => self.receive_other(now, bytes),
            Err(Some(malformed)) => {
                self.count_malformed(now, malformed, trace);
                self.refuse(now, bytes);
            }
        }
    }

    fn receive_packet(&mut self, now: Instant, packet: Packet, gso_size: u16, trace: &mut Trace) {
        trace.packet(now, &self.name, Passing::In, &packet);
        self.invariants.on_received(&packet);
        let Packet { ip, segment, payload } = packet;
        self.endpoint.handle_segment(
            now,
            Arrival {
                ip,
                segment,
                payload: Chunks::from(payload),
                gso_size,
                source: ArrivalSource::Device,
            },
        );
    }

    fn receive_other(&mut self, now: Instant, bytes: &Bytes) {
        let Ok(parsed) = IpHeader::parse(bytes, HeaderChecksum::Verify) else { return };
        let ip = parsed.header;
        let icmp = if ip.src.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        if ip.protocol != icmp || parsed.fragment.is_some() || parsed.source_routed {
            self.refuse(now, bytes);
            return;
        }
        match IcmpMessage::parse(&bytes[parsed.payload], ip.src, ip.dst) {
            Ok(IcmpMessage::EchoRequest { ident, seq, data }) => {
                let data = Bytes::copy_from_slice(data);
                self.endpoint.handle_echo_request(now, ip, ident, seq, data);
            }
            Ok(message) => {
                if let Some(error) = IcmpError::from_message(ip.src, &message) {
                    self.endpoint.handle_icmp_error(now, error);
                }
            }
            Err(_) => self.corrupted += 1,
        }
    }

    /// What the codecs do not take, or nobody here speaks.
    fn refuse(&mut self, now: Instant, bytes: &Bytes) {
        if let Some(kind) = complaint(bytes) {
            self.endpoint.handle_refused(now, kind, bytes);
        }
    }

    fn count_malformed(&mut self, now: Instant, malformed: Malformed, trace: &mut Trace) {
        self.corrupted += 1;
        trace.note(now, &self.name, format!("dropped a packet: {malformed}"));
    }

    /// Takes everything that the engine has to send now, and its events.
    pub fn poll(&mut self, now: Instant, trace: &mut Trace) -> Vec<Bytes> {
        let mut packets = Vec::new();
        for _ in 0..POLL_LIMIT {
            match self.endpoint.poll(now) {
                Output::Transmit(transmit) => packets.push(self.send(now, &transmit, trace)),
                Output::Event(event) => self.events.push_back(event),
                Output::Wait(at, _) if at <= now => {}
                Output::Wait(..) if self.endpoint.has_loopback() => {
                    self.endpoint.handle_loopback(now, 16);
                }
                Output::Wait(..) => {
                    drop(self.endpoint.take_garbage());
                    return packets;
                }
            }
        }
        panic!("{} does not come to rest at {now:?}", self.name);
    }

    /// Takes what one connection has to send, as a writer does after its call.
    pub fn poll_connection(
        &mut self,
        now: Instant,
        id: ConnectionId,
        trace: &mut Trace,
    ) -> Vec<Bytes> {
        let mut packets = Vec::new();
        for _ in 0..POLL_LIMIT {
            match self.endpoint.poll_connection(now, id) {
                Output::Transmit(transmit) => packets.push(self.send(now, &transmit, trace)),
                Output::Event(event) => self.events.push_back(event),
                Output::Wait(..) => return packets,
            }
        }
        panic!("{} does not come to rest at {now:?}", self.name);
    }

    fn send(
        &mut self,
        now: Instant,
        transmit: &towpath_engine::Transmit,
        trace: &mut Trace,
    ) -> Bytes {
        self.packets_out += 1;
        let bytes = encode(transmit);
        if let Ok(packet) = Packet::parse(&bytes) {
            trace.packet(now, &self.name, Passing::Out, &packet);
            if self.endpoint.config().get_shrink_window()
                || self.endpoint.counters().prune_called > 0
            {
                self.invariants.let_edges_move();
            }
            if let Err(broken) = self.invariants.on_sent(&packet) {
                panic!("{} at {now:?}: {broken}", self.name);
            }
        }
        bytes
    }

    /// Time has passed, or an application has called: what is sent now is no longer an answer to
    /// the last packet.
    pub fn on_cause(&mut self) {
        self.invariants.on_cause();
    }

    /// The next event of the engine.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When the engine wants to be polled again.
    pub fn next_deadline(&self) -> Instant {
        self.endpoint.next_deadline()
    }

    /// Packets that arrived damaged and were dropped by the codecs.
    pub fn corrupted(&self) -> u64 {
        self.corrupted
    }

    /// Packets that the engine has sent.
    pub fn packets_out(&self) -> u64 {
        self.packets_out
    }
}
