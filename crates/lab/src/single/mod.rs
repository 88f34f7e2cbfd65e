//! One engine against a peer scripted in Rust.
//!
//! The script injects segments and says which ones must come back, exactly, and when. Sequence
//! numbers are relative to the initial ones, and both initial numbers are the script's to choose:
//! the engine's follows its clock (RFC 9293 section 3.4.1), so the clock starts where it gives the
//! number that is wanted. A wrong expectation fails with the exchange printed as tcpdump would.

mod reports;
mod setup;
pub mod ways;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use towpath_engine::{
    Census, ConnectRequest, ConnectionId, Counters, Endpoint, Event, Instant, ListenRequest,
    ListenerId, SendFlags, SocketError, SocketOptions, StateName, TcpInfo,
};
use towpath_wire::ip::Ecn;
use towpath_wire::tcp::Flags;
use towpath_wire::{IpHeader, Protocol, SeqNumber};

pub use self::reports::Report;
pub use self::setup::{HIGH_PORT, INITIAL_NUMBERS, PORT, Setup, for_each_client, for_each_server};
use self::setup::{addresses, initial_number_at_zero};
use crate::host::Host;
use crate::packet::Packet;
use crate::pattern::{Numbers, Pattern};
use crate::segment::Seg;
use crate::trace::Trace;

/// How far from its time an expected packet may be. The engine's clock is exact; the script's own
/// numbers are not always.
const TOLERANCE: Duration = Duration::from_millis(1);

const HOST: &str = "engine";

/// What the engine writes.
pub const OURS: Pattern = Pattern(1);

/// What the peer writes.
pub const THEIRS: Pattern = Pattern(2);

/// One engine and its scripted peer.
#[derive(Debug)]
pub struct Single {
    host: Host,
    trace: Trace,
    now: Instant,
    start: Instant,
    iss: SeqNumber,
    irs: SeqNumber,
    local: SocketAddr,
    remote: SocketAddr,
    window: u16,
    outputs: VecDeque<(Instant, Packet)>,
    others: VecDeque<Bytes>,
    events: Vec<Event>,
    written: u64,
    read: u64,
}

impl Single {
    /// An engine on whose [`PORT`] the peer will call.
    pub fn server(setup: Setup) -> Single {
        Single::new(setup, PORT, HIGH_PORT)
    }

    /// An engine that will call the peer's [`PORT`].
    pub fn client(setup: Setup) -> Single {
        Single::new(setup, HIGH_PORT, PORT)
    }

    fn new(setup: Setup, local_port: u16, remote_port: u16) -> Single {
        let (own, peer, prefix_len) = addresses(setup.ipv6);
        let local = SocketAddr::new(own, local_port);
        let remote = SocketAddr::new(peer, remote_port);
        let seed = Numbers::new(setup.seed).seed_bytes();
        let iss = SeqNumber(setup.iss);
        let mut host = Host::new(HOST, setup.config, seed, setup.mtu);
        host.add_address(own, prefix_len);
        // A tick of the initial numbers' clock is 4 microseconds.
        let ticks = iss.distance_from(initial_number_at_zero(seed, local, remote));
        let start = Instant::from_micros(u64::from(ticks) * 4);
        Single {
            host,
            trace: Trace::new(start),
            now: start,
            start,
            iss,
            irs: SeqNumber(setup.irs),
            local,
            remote,
            window: 65_535,
            outputs: VecDeque::new(),
            others: VecDeque::new(),
            events: Vec::new(),
            written: 0,
            read: 0,
        }
    }

    // The engine's application.

    /// The engine listens on [`PORT`].
    pub fn listen(&mut self) -> ListenerId {
        self.listen_with(ListenRequest::new(self.local))
    }

    /// The engine listens as `request` says.
    pub fn listen_with(&mut self, request: ListenRequest) -> ListenerId {
        self.call(|endpoint, _| endpoint.listen(request)).expect("the engine listens")
    }

    /// The engine connects to the peer.
    pub fn connect(&mut self) -> ConnectionId {
        self.connect_with(SocketOptions::default())
    }

    /// The engine connects to the peer, with these options.
    pub fn connect_with(&mut self, options: SocketOptions) -> ConnectionId {
        let request = ConnectRequest::new(self.remote).local(self.local).options(options);
        self.call(|endpoint, now| endpoint.connect(now, request)).expect("the engine connects")
    }

    /// The application accepts what waits longest.
    pub fn accept(&mut self, listener: ListenerId) -> ConnectionId {
        match self.call(|endpoint, now| endpoint.accept(now, listener)) {
            Ok((id, remote)) => {
                assert_eq!(remote.ip(), self.remote.ip(), "accept names the peer");
                id
            }
            Err(error) => self.fail(&format!("nothing to accept: {error}")),
        }
    }

    /// The application writes `len` more bytes of [`OURS`], all of which there must be room for.
    pub fn write(&mut self, id: ConnectionId, len: usize) {
        let written = self.try_write(id, len);
        if written != Ok(len) {
            self.fail(&format!("a write of {len} bytes gave {written:?}"));
        }
    }

    /// The application writes up to `len` more bytes of [`OURS`].
    pub fn try_write(&mut self, id: ConnectionId, len: usize) -> Result<usize, SocketError> {
        self.try_write_with(id, len, SendFlags::default())
    }

    /// The application writes `len` more bytes of [`OURS`] with these flags.
    pub fn write_with(&mut self, id: ConnectionId, len: usize, flags: SendFlags) {
        let written = self.try_write_with(id, len, flags);
        if written != Ok(len) {
            self.fail(&format!("a write of {len} bytes gave {written:?}"));
        }
    }

    /// The application writes up to `len` more bytes of [`OURS`] with these flags.
    pub fn try_write_with(
        &mut self,
        id: ConnectionId,
        len: usize,
        flags: SendFlags,
    ) -> Result<usize, SocketError> {
        let text = OURS.bytes(self.written, len);
        let taken = self.call(|endpoint, now| {
            let reserved = endpoint.reserve_send(id, len)?;
            endpoint.commit_send(now, id, reserved, text.slice(..reserved), flags)?;
            Ok(reserved)
        })?;
        self.written += taken as u64;
        Ok(taken)
    }

    /// The application reads up to `max` bytes. What comes must be [`THEIRS`].
    pub fn try_read(&mut self, id: ConnectionId, max: usize) -> Result<usize, SocketError> {
        let bytes = self.call(|endpoint, now| endpoint.receive(now, id, max))?.to_vec();
        if let Some(at) = THEIRS.first_difference(self.read, &bytes) {
            self.fail(&format!("byte {at} of the peer's stream was delivered wrong"));
        }
        self.read += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// The application reads exactly `len` bytes that are there, and finds no more.
    pub fn read(&mut self, id: ConnectionId, len: usize) {
        let mut got = 0;
        let end = loop {
            match self.try_read(id, usize::MAX) {
                Ok(0) => break "the end of the stream".to_owned(),
                Ok(n) => got += n,
                Err(SocketError::WouldBlock) => break String::new(),
                Err(error) => break error.to_string(),
            }
        };
        if got != len || !end.is_empty() {
            self.fail(&format!("read {got} bytes, expected {len}; then {end}"));
        }
    }

    /// The application's next read gives the end of the stream.
    pub fn read_end(&mut self, id: ConnectionId) {
        let end = self.try_read(id, usize::MAX);
        if end != Ok(0) {
            self.fail(&format!("expected the end of the stream, read gave {end:?}"));
        }
    }

    /// The application's next read fails with `error`.
    pub fn read_error(&mut self, id: ConnectionId, error: SocketError) {
        let found = self.try_read(id, usize::MAX);
        if found != Err(error) {
            self.fail(&format!("expected the error `{error}`, read gave {found:?}"));
        }
    }

    /// The application shuts its sending direction.
    pub fn shutdown(&mut self, id: ConnectionId) {
        self.call(|endpoint, now| endpoint.shutdown_send(now, id)).expect("the engine shuts");
    }

    /// The application closes.
    pub fn close(&mut self, id: ConnectionId) {
        self.call(|endpoint, now| endpoint.close(now, id));
    }

    /// The application aborts.
    pub fn abort(&mut self, id: ConnectionId) {
        self.call(|endpoint, now| endpoint.abort(now, id));
    }

    /// Any call of the engine, followed by what it causes.
    pub fn call<R>(&mut self, act: impl FnOnce(&mut Endpoint, Instant) -> R) -> R {
        self.host.on_cause();
        let result = act(&mut self.host.endpoint, self.now);
        self.run();
        result
    }

    /// The application changes options of the connection.
    pub fn set(&mut self, id: ConnectionId, change: impl FnOnce(&mut SocketOptions)) {
        self.call(|endpoint, now| {
            let mut options = endpoint.options(id)?;
            change(&mut options);
            endpoint.set_options(now, id, options)
        })
        .expect("the options can be set");
    }

    // What can be seen of the engine.

    /// The engine, to be asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.host.endpoint
    }

    /// What the engine has counted.
    pub fn counters(&self) -> &Counters {
        self.host.endpoint.counters()
    }

    /// What the engine holds.
    pub fn census(&self) -> Census {
        self.host.endpoint.census()
    }

    /// The connection is in this state.
    pub fn expect_state(&mut self, id: ConnectionId, state: StateName) {
        let found = self.host.endpoint.state(id);
        if found != Some(state) {
            self.fail(&format!("expected {state}, found {found:?}"));
        }
    }

    /// The numbers of the connection.
    pub fn info(&self, id: ConnectionId) -> TcpInfo {
        self.host.endpoint.info(id).expect("the connection is there")
    }

    /// The engine's clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The packets that are not TCP, since the last call.
    pub fn take_others(&mut self) -> Vec<Bytes> {
        self.others.drain(..).collect()
    }

    /// The time since the clock's start.
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_since(self.start)
    }

    // The peer.

    /// The window field of segments that do not give one.
    pub fn set_window(&mut self, window: u16) {
        self.window = window;
    }

    /// The peer's initial number is this from now on: for a second connection.
    pub fn set_irs(&mut self, irs: u32) {
        self.irs = SeqNumber(irs);
    }

    /// The peer calls from this port from now on.
    pub fn set_peer_port(&mut self, port: u16) {
        self.remote.set_port(port);
    }

    /// The peer's address and port.
    pub fn peer(&self) -> SocketAddr {
        self.remote
    }

    /// The engine's address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The absolute number of the engine's byte `relative`.
    pub fn own_number(&self, relative: u32) -> SeqNumber {
        self.iss + relative
    }

    /// The absolute number of the peer's byte `relative`.
    pub fn peer_number(&self, relative: u32) -> SeqNumber {
        self.irs + relative
    }

    /// The peer sends a segment.
    pub fn inject(&mut self, seg: Seg) {
        let packet = self.packet(&seg);
        self.inject_packet(packet);
    }

    /// The peer sends segments so close together that the engine answers only after the last.
    pub fn inject_batch(&mut self, segs: impl IntoIterator<Item = Seg>) {
        for seg in segs {
            let bytes = self.packet(&seg).to_bytes();
            self.host.receive(self.now, &bytes, &mut self.trace);
        }
        self.run();
    }

    /// A packet as the peer would send it, to be changed before it is injected.
    pub fn packet(&self, seg: &Seg) -> Packet {
        let ports = (self.remote.port(), self.local.port());
        let segment = seg.build(self.irs, self.iss, ports, self.window);
        let place = u64::from(seg.seq.unwrap_or(0));
        // A SYN takes the number before the first byte.
        let place = if seg.flags.contains(Flags::SYN) { place } else { place.wrapping_sub(1) };
        let payload = seg.text.clone().unwrap_or_else(|| THEIRS.bytes(place, seg.len));
        let ip = IpHeader {
            src: self.remote.ip(),
            dst: self.local.ip(),
            protocol: Protocol::TCP,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        };
        Packet { ip, segment, payload }
    }

    /// Any TCP packet arrives.
    pub fn inject_packet(&mut self, packet: Packet) {
        self.inject_bytes(&packet.to_bytes());
    }

    /// Any bytes arrive.
    pub fn inject_bytes(&mut self, bytes: &Bytes) {
        self.host.receive(self.now, bytes, &mut self.trace);
        self.run();
    }

    // What must come back.

    /// The engine's next segment is this, and it was sent now.
    pub fn expect(&mut self, seg: Seg) {
        self.expect_after(Duration::ZERO, seg);
    }

    /// The engine's next segments are these, in this order, sent now.
    pub fn expect_all(&mut self, segs: impl IntoIterator<Item = Seg>) {
        for seg in segs {
            self.expect(seg);
        }
    }

    /// The engine sends nothing for `wait`, and then this.
    pub fn expect_after(&mut self, wait: Duration, seg: Seg) {
        let from = self.now;
        let took = self.expect_within(wait + TOLERANCE, seg.clone());
        if took + TOLERANCE < wait {
            self.fail(&format!("{seg} came after {took:?}, expected after {wait:?}"));
        }
        // The script's next wait counts from the time that it said.
        if self.now < from + wait {
            self.advance_to(from + wait);
        }
    }

    /// The engine's next segment is this, and it is sent within `wait`. Says when it came.
    pub fn expect_within(&mut self, wait: Duration, seg: Seg) -> Duration {
        let from = self.now;
        let until = from + wait;
        while self.outputs.is_empty() && self.step(until) {}
        let Some((at, packet)) = self.outputs.pop_front() else {
            self.fail(&format!("expected {seg} within {wait:?}, nothing was sent"));
        };
        if packet.segment.flags.contains(Flags::SYN) {
            self.iss = packet.segment.seq;
        }
        if let Some(mismatch) = seg.mismatch(&packet, self.iss, self.irs) {
            self.fail(&format!("expected {seg}: {mismatch}"));
        }
        let place = packet.segment.seq.distance_from(self.iss);
        if let Some(offset) = place.checked_sub(1)
            && seg.text.is_none()
            && OURS.first_difference(u64::from(offset), &packet.payload).is_some()
        {
            self.fail(&format!("{seg} carries other bytes than were written"));
        }
        at.saturating_since(from)
    }

    /// The engine sends nothing for `wait`.
    pub fn expect_silence(&mut self, wait: Duration) {
        self.expect_nothing();
        let until = self.now + wait;
        while self.step(until) {
            self.expect_nothing();
        }
        self.expect_nothing();
    }

    /// The engine has sent nothing that was not expected.
    pub fn expect_nothing(&mut self) {
        if let Some((at, packet)) = self.outputs.front() {
            let at = at.saturating_since(self.start);
            let line = packet.segment.display(packet.payload.len()).to_string();
            self.fail(&format!("nothing was expected, but at {at:?}: {line}"));
        }
    }

    /// What the engine has sent and the script has not looked at: relative number, text length and
    /// flags of each.
    pub fn take_segments(&mut self) -> Vec<(u32, usize, Flags)> {
        let iss = self.iss;
        self.outputs
            .drain(..)
            .map(|(_, packet)| {
                let segment = &packet.segment;
                (segment.seq.distance_from(iss), packet.payload.len(), segment.flags)
            })
            .collect()
    }

    /// What the engine has sent and the script has not looked at, whole, with the time since the
    /// start.
    pub fn take_packets(&mut self) -> Vec<(Duration, Packet)> {
        let start = self.start;
        self.outputs.drain(..).map(|(at, packet)| (at.saturating_since(start), packet)).collect()
    }

    /// Lets time pass. What is sent meanwhile waits to be expected.
    pub fn advance(&mut self, by: Duration) {
        self.advance_to(self.now + by);
    }

    fn advance_to(&mut self, until: Instant) {
        while self.step(until) {}
    }

    /// Goes to the engine's next deadline, at most to `until`. Whether there may be more before.
    fn step(&mut self, until: Instant) -> bool {
        let next = self.host.next_deadline().max(self.now);
        self.host.on_cause();
        if next > until {
            self.now = until.max(self.now);
            return false;
        }
        self.now = next;
        self.run();
        true
    }

    /// Takes what the engine has to say now.
    fn run(&mut self) {
        for bytes in self.host.poll(self.now, &mut self.trace) {
            match Packet::parse(&bytes) {
                Ok(packet) => self.outputs.push_back((self.now, packet)),
                Err(_) => self.others.push_back(bytes),
            }
        }
        while let Some(event) = self.host.next_event() {
            self.events.push(event);
        }
    }

    /// Ends the script: nothing may be left that was not expected.
    pub fn finish(&mut self) {
        self.expect_nothing();
    }

    /// Ends the script, the application having let go of everything: waits for the last timers, and
    /// then the engine holds nothing.
    pub fn finish_empty(&mut self) {
        self.finish_with(Census::default());
    }

    /// As [`finish_empty`](Self::finish_empty), but the one listener is still there.
    pub fn finish_empty_with_listener(&mut self) {
        let mut left = Census::default();
        left.listeners = 1;
        left.ports = 1;
        self.finish_with(left);
    }

    fn finish_with(&mut self, left: Census) {
        self.advance(Duration::from_secs(3600));
        self.expect_nothing();
        let census = self.census();
        if census != left {
            self.fail(&format!("the engine still holds {census:?}"));
        }
    }

    /// Fails the test, with the exchange.
    pub fn fail(&self, why: &str) -> ! {
        panic!("after {:?}: {why}", self.elapsed());
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("iss {}, irs {}\n{}", self.iss, self.irs, self.trace);
        }
    }
}
