//! What must hold of every packet that an engine sends, whatever happens (docs/architecture.md,
//! section "Invariants"; RFC 9293 for each).
//!
//! The judge sees packets only: those that the engine sent and those that reached it. It keeps a
//! picture of each connection in its own simple terms (every byte sent, every range received) and
//! names the first rule that a packet breaks. It knows nothing of the engine's state.

mod sent;

use core::fmt;
use core::net::IpAddr;
use std::collections::HashMap;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Flags, Options, WindowScale};

use self::sent::SentText;
use crate::packet::Packet;

/// A rule that a packet has broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an invariant is broken: {}", self.0)
    }
}

/// One connection, from the engine's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// The judge of one host.
#[derive(Debug)]
pub struct Invariants {
    mtu: usize,
    connections: HashMap<Ends, Picture>,
    /// The last packet that arrived was a RST of this connection.
    after_rst: Option<Ends>,
    edges: Edges,
}

/// What the right edge of an offered window may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edges {
    NeverLeft,
    /// `tcp_shrink_window` is on, or a receive buffer has overflowed.
    AnyWay,
}

/// What packets have shown of a connection.
#[derive(Debug, Default)]
struct Picture {
    /// SYNs that arrived, newest last: which of them the engine believes is seen from its ACK.
    syns_in: Vec<(SeqNumber, Options, u16)>,
    /// Since the engine's last new SYN.
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    iss: SeqNumber,
    own_options: Options,
    /// What was sent, from `iss + 1` on.
    sent: SentText,
    fin_offset: Option<u64>,
    peer: Option<Peer>,
    /// Ranges that arrived before the peer's SYN was known to be believed.
    early: Vec<(SeqNumber, u32)>,
    /// The largest right edge that a packet from the peer has offered, from `iss`.
    offered: u64,
    /// Raw ACK and window of packets that arrived, until the scale is known.
    early_offers: Vec<(SeqNumber, u16, Flags)>,
    received_segments: u64,
    idle_acks: u64,
}

#[derive(Debug)]
struct Peer {
    irs: SeqNumber,
    options: Options,
    /// What arrived, as ranges of offsets from `irs`, sorted and apart. Holds the SYN and the FIN.
    received: Vec<(u64, u64)>,
    /// The highest ACK sent, as an offset from `irs`.
    acked: u64,
    /// The right edge of the window that was last offered, as an offset from `irs`.
    edge: u64,
}

impl Invariants {
    /// A judge of a host whose packets are at most `mtu` bytes long.
    pub fn new(mtu: usize) -> Invariants {
        Invariants { mtu, connections: HashMap::new(), after_rst: None, edges: Edges::NeverLeft }
    }

    /// The host's packets are at most this long from now on.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }

    /// The right edges of windows may move left from now on.
    pub fn let_edges_move(&mut self) {
        self.edges = Edges::AnyWay;
    }

    /// What the engine sends from now on has another cause than the last packet.
    pub fn on_cause(&mut self) {
        self.after_rst = None;
    }

    /// A packet has reached the engine.
    pub fn on_received(&mut self, packet: &Packet) {
        let segment = &packet.segment;
        let ends = Ends {
            local: (packet.ip.dst, segment.dst_port),
            remote: (packet.ip.src, segment.src_port),
        };
        self.after_rst = segment.flags.contains(Flags::RST).then_some(ends);
        let picture = self.connections.entry(ends).or_default();
        if segment.flags.contains(Flags::SYN) {
            if picture.syns_in.len() == 16 {
                picture.syns_in.remove(0);
            }
            picture.syns_in.push((segment.seq, segment.options.clone(), segment.window));
        }
        if let Some(life) = &mut picture.life {
            life.on_received(packet);
        }
    }

    /// The engine sends a packet.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn on_sent(&mut self, packet: &Packet) -> Result<(), Broken> {
        let segment = &packet.segment;
        let ends = Ends {
            local: (packet.ip.src, segment.src_port),
            remote: (packet.ip.dst, segment.dst_port),
        };
        let length = packet.ip.header_len() + segment.header_len() + packet.payload.len();
        check(length <= self.mtu, || format!("{length} bytes do not fit MTU {}", self.mtu))?;
        check(packet.ip.hop_limit > 0, || "TTL 0 is sent".to_owned())?;
        if segment.flags.contains(Flags::RST) {
            // RFC 9293 section 3.5.2: a RST is never answered with a RST.
            return check(self.after_rst != Some(ends), || "a RST answers a RST".to_owned());
        }
        let picture = self.connections.entry(ends).or_default();
        if segment.flags.contains(Flags::SYN) {
            let is_new = picture.life.as_ref().is_none_or(|life| life.iss != segment.seq);
            if is_new {
                picture.life = Some(Life::new(segment.seq, &segment.options));
            }
            check(packet.payload.is_empty(), || "a SYN carries text".to_owned())?;
        } else {
            let Options { mss, window_scale, sack_permitted, .. } = &segment.options;
            check(mss.is_none() && window_scale.is_none() && !sack_permitted, || {
                format!("an option of SYNs in another segment: {}", segment.options)
            })?;
        }
        // A packet of a connection that began before the judge looked: nothing can be said.
        let Some(life) = &mut picture.life else { return Ok(()) };
        life.on_sent(packet, &picture.syns_in, self.edges)
    }
}

impl Life {
    fn new(iss: SeqNumber, own_options: &Options) -> Life {
        Life {
            iss,
            own_options: own_options.clone(),
            sent: SentText::default(),
            fin_offset: None,
            peer: None,
            early: Vec::new(),
            offered: 0,
            early_offers: Vec::new(),
            received_segments: 0,
            idle_acks: 0,
        }
    }

    fn on_received(&mut self, packet: &Packet) {
        let segment = &packet.segment;
        self.received_segments += 1;
        let len = segment.sequence_len(packet.payload.len());
        match &mut self.peer {
            Some(peer) => peer.add_received(segment.seq, len),
            None => self.early.push((segment.seq, len)),
        }
        if segment.flags.contains(Flags::ACK) {
            self.early_offers.push((segment.ack, segment.window, segment.flags));
            self.count_offers();
        }
    }

    /// Windows that were offered count once it is known how they are scaled.
    fn count_offers(&mut self) {
        let Some(peer) = &self.peer else { return };
        let scale = self.scale_of(&peer.options);
        let sent = self.sent.len();
        for (ack, window, flags) in self.early_offers.drain(..) {
            let scaled =
                if flags.contains(Flags::SYN) { u32::from(window) } else { scale.scale_up(window) };
            if let Some(acked) = offset(self.iss, sent, ack) {
                self.offered = self.offered.max(acked + u64::from(scaled));
                if acked <= sent {
                    self.sent.on_acked(acked);
                }
            }
        }
    }

    /// The scale of the side whose SYN had these options: none unless both offered.
    fn scale_of(&self, side: &Options) -> WindowScale {
        let peer = self.peer.as_ref().and_then(|peer| peer.options.window_scale);
        match (peer, self.own_options.window_scale, side.window_scale) {
            (Some(_), Some(_), Some(shift)) => WindowScale::new(shift),
            _ => WindowScale::default(),
        }
    }

    fn on_sent(
        &mut self,
        packet: &Packet,
        syns_in: &[(SeqNumber, Options, u16)],
        edges: Edges,
    ) -> Result<(), Broken> {
        let segment = &packet.segment;
        let flags = segment.flags;
        if flags.contains(Flags::ACK) {
            self.meet_peer(segment.ack, syns_in);
        }
        if flags.contains(Flags::SYN) {
            check(segment.seq == self.iss, || "a second SYN number".to_owned())?;
        } else {
            check(flags.contains(Flags::ACK), || "neither SYN nor ACK nor RST".to_owned())?;
        }
        self.check_text(packet)?;
        if flags.contains(Flags::ACK) {
            self.check_ack(packet, edges)?;
            self.check_options(packet)?;
        }
        Ok(())
    }

    fn meet_peer(&mut self, ack: SeqNumber, syns_in: &[(SeqNumber, Options, u16)]) {
        if self.peer.is_some() {
            return;
        }
        let nearest = syns_in.iter().min_by_key(|(seq, ..)| (ack - 1).distance_from(*seq));
        let Some((irs, options, window)) = nearest else { return };
        let mut peer =
            Peer { irs: *irs, options: options.clone(), received: Vec::new(), acked: 0, edge: 0 };
        peer.add_received(*irs, 1);
        for (seq, len) in self.early.drain(..) {
            peer.add_received(seq, len);
        }
        self.peer = Some(peer);
        // A SYN offers its window from its own ACK, or from the start.
        self.offered = self.offered.max(1 + u64::from(*window));
        self.count_offers();
    }

    /// Sequence numbers and bytes of what is sent.
    fn check_text(&mut self, packet: &Packet) -> Result<(), Broken> {
        let segment = &packet.segment;
        if segment.flags.contains(Flags::SYN) {
            return Ok(());
        }
        let next = self.sent.len() + u64::from(self.fin_offset.is_some());
        // One below the first byte is the place of a probe.
        let place = offset(self.iss, next, segment.seq).ok_or_else(|| {
            Broken(format!("seq {} lies before the SYN {}", segment.seq, self.iss))
        })?;
        let Some(start) = place.checked_sub(1) else {
            return check(packet.payload.is_empty(), || "text in the place of the SYN".to_owned());
        };
        check(start <= next, || format!("seq leaves a hole: {} after {}", start + 1, next + 1))?;
        let end = start + packet.payload.len() as u64;
        if !packet.payload.is_empty() {
            check(self.fin_offset.is_none_or(|fin| end <= fin), || "text behind FIN".to_owned())?;
            self.sent.send(start, &packet.payload).map_err(|(from, to)| {
                Broken(format!("bytes {}..{} have changed", from + 1, to + 1))
            })?;
            // Implements the exception for probes: one byte may stand beyond the window.
            check(end < self.offered || packet.payload.len() == 1, || {
                format!("text up to {} is beyond the window's edge {}", end + 1, self.offered)
            })?;
            if let Some(peer) = &self.peer {
                let options = segment.options.encoded_len();
                let default = if packet.ip.src.is_ipv4() { 536 } else { 1220 };
                // Implements the floor of `tcp_min_snd_mss`.
                let mss = usize::from(peer.options.mss.unwrap_or(default)).max(48);
                let len = packet.payload.len();
                check(len + options <= mss.max(options + 1), || {
                    format!("{len} bytes of text and {options} of options exceed MSS {mss}")
                })?;
            }
        }
        if segment.flags.contains(Flags::FIN) {
            check(self.fin_offset.is_none_or(|fin| fin == end), || "FIN has moved".to_owned())?;
            check(end == self.sent.len(), || "FIN before the end of text".to_owned())?;
            self.fin_offset = Some(end);
        }
        Ok(())
    }

    /// The acknowledgment, the window and how often they are said.
    fn check_ack(&mut self, packet: &Packet, edges: Edges) -> Result<(), Broken> {
        let segment = &packet.segment;
        let scale = self.scale_of(&self.own_options);
        let next = self.iss + 1 + self.sent.len() as u32 + u32::from(self.fin_offset.is_some());
        let Some(peer) = &mut self.peer else {
            return Err(Broken("an ACK although no SYN has arrived".to_owned()));
        };
        let ack = offset(peer.irs, peer.acked, segment.ack)
            .ok_or_else(|| Broken("the ACK lies before the peer's SYN".to_owned()))?;
        check(ack >= peer.acked, || format!("ack goes back: {ack} after {}", peer.acked))?;
        let contiguous = peer.received.first().map_or(0, |(_, end)| *end);
        check(ack <= contiguous, || {
            format!("ack {ack}, but only {contiguous} has arrived without a hole")
        })?;
        let is_syn = segment.flags.contains(Flags::SYN);
        let scale = if is_syn { WindowScale::default() } else { scale };
        let edge = ack + u64::from(scale.scale_up(segment.window));
        // The window of a SYN is not scaled: more than this it cannot repeat.
        let sayable = is_syn && segment.window == u16::MAX;
        let may_move = sayable || edges == Edges::AnyWay;
        check(edge >= peer.edge || may_move, || {
            format!("the window's right edge moves left: {edge} after {}", peer.edge)
        })?;
        // A bare ACK that says nothing new answers a segment; there cannot be more of them.
        let is_bare = packet.payload.is_empty() && segment.flags.without(Flags::PSH) == Flags::ACK;
        if is_bare && segment.seq == next && ack == peer.acked && edge == peer.edge {
            self.idle_acks += 1;
            check(self.idle_acks <= self.received_segments, || {
                format!("{} ACKs for {} segments", self.idle_acks, self.received_segments)
            })?;
        }
        peer.acked = ack;
        peer.edge = edge;
        Ok(())
    }

    fn check_options(&self, packet: &Packet) -> Result<(), Broken> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let segment = &packet.segment;
        let options = &segment.options;
        let is_syn = segment.flags.contains(Flags::SYN);
        // Implements RFC 7323 section 3.2: in every segment once agreed, in none otherwise.
        let agreed = peer.options.timestamps.is_some() && self.own_options.timestamps.is_some();
        if !is_syn {
            check(options.timestamps.is_some() == agreed, || {
                format!("timestamps agreed: {agreed}, sent: {:?}", options.timestamps)
            })?;
        }
        let agreed = peer.options.sack_permitted && self.own_options.sack_permitted;
        check(agreed || options.sack.is_empty(), || "SACK was not agreed".to_owned())?;
        for (index, block) in options.sack.iter().enumerate() {
            let near = |seq| offset(peer.irs, peer.acked, seq);
            let edges = (near(block.left), near(block.right));
            let (Some(left), Some(right)) = edges else {
                return Err(Broken("a SACK block before the peer's SYN".to_owned()));
            };
            check(left < right, || format!("the SACK block {left}:{right} is empty"))?;
            let arrived = peer.received.iter().any(|(start, end)| *start <= left && right <= *end);
            check(arrived, || format!("SACK of {left}:{right}, which has not arrived"))?;
            // Only the first block may be a D-SACK, below the ACK or inside the second block.
            check(index == 0 || left > peer.acked, || {
                format!("the SACK block {left}:{right} is below ack {}", peer.acked)
            })?;
        }
        Ok(())
    }
}

impl Peer {
    fn add_received(&mut self, seq: SeqNumber, len: u32) {
        if len == 0 {
            return;
        }
        // What begins before the SYN arrived for another connection, or overlaps its start.
        let Some(mut left) = offset(self.irs, self.acked, seq) else { return };
        let mut right = left + u64::from(len);
        self.received.retain(|&(start, end)| {
            let apart = end < left || right < start;
            if !apart {
                left = left.min(start);
                right = right.max(end);
            }
            apart
        });
        let at = self.received.partition_point(|&(start, _)| start < left);
        self.received.insert(at, (left, right));
    }
}

/// How far `seq` lies after `initial`, of all places that it can be the one nearest to offset
/// `near`; `None` before the beginning.
fn offset(initial: SeqNumber, near: u64, seq: SeqNumber) -> Option<u64> {
    // Sequence numbers wrap, offsets do not.
    let apart = seq.signed_distance_from(initial + near as u32);
    near.checked_add_signed(i64::from(apart))
}

fn check(holds: bool, broken: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(broken())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use crate::segment::{Seg, ack, data, fin, rst, syn, syn_ack};
    use bytes::Bytes;
    use towpath_wire::ip::Ecn;
    use towpath_wire::{IpHeader, Protocol};

    #[test]
    fn places_beyond_four_gibibytes_are_told_apart() {
        let initial = SeqNumber(u32::MAX - 5);
        for near in [0_u64, 1 << 31, 5 << 32, (7 << 32) + 12_345] {
            for apart in [-1_000_000_000_i64, -1, 0, 1, 2_000_000_000] {
                let place = near.checked_add_signed(apart);
                let seq = initial + (near as u32).wrapping_add_signed(apart as i32);
                assert_eq!(offset(initial, near, seq), place);
            }
        }
    }

    const OURS: SeqNumber = SeqNumber(u32::MAX - 20);
    const THEIRS: SeqNumber = SeqNumber(u32::MAX / 2 - 20);

    fn ip(src: &str, dst: &str) -> IpHeader {
        IpHeader {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol: Protocol::TCP,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        }
    }

    fn payload(seg: &Seg) -> Bytes {
        let at = u64::from(seg.seq.unwrap_or(0));
        seg.text.clone().unwrap_or_else(|| Pattern(3).bytes(at, seg.len))
    }

    /// A connection that offers 1000 bytes and was offered 1000.
    struct Bench(Invariants);

    impl Bench {
        fn open() -> Bench {
            let mut bench = Bench(Invariants::new(1500));
            bench.sent(syn().mss(1460).sack_ok()).unwrap();
            bench.received(syn_ack().mss(1460).sack_ok().win(1000));
            bench.sent(ack(1, 1).win(1000)).unwrap();
            bench
        }

        fn sent(&mut self, seg: Seg) -> Result<(), Broken> {
            let segment = seg.build(OURS, THEIRS, (40_000, 80), 1000);
            let payload = payload(&seg);
            self.0.on_sent(&Packet { ip: ip("10.0.0.1", "10.0.0.2"), segment, payload })
        }

        fn received(&mut self, seg: Seg) {
            let segment = seg.build(THEIRS, OURS, (80, 40_000), 1000);
            let payload = payload(&seg);
            self.0.on_received(&Packet { ip: ip("10.0.0.2", "10.0.0.1"), segment, payload });
        }
    }

    #[test]
    fn an_ordinary_exchange_breaks_nothing() {
        let mut bench = Bench::open();
        bench.sent(data(1, 600, 1)).unwrap();
        bench.received(data(101, 100, 601));
        bench.sent(ack(601, 1).sack(&[(101, 201)])).unwrap();
        bench.received(data(1, 100, 601).with_fin().len(100));
        bench.sent(ack(601, 201).win(900)).unwrap();
        bench.sent(data(1, 600, 201).win(900)).unwrap();
        bench.sent(fin(601, 201).win(900)).unwrap();
    }

    #[test]
    fn each_broken_rule_is_named() {
        type Play = fn(&mut Bench) -> Result<(), Broken>;
        let plays: [(&str, Play); 15] = [
            ("right edge moves left", |bench| bench.sent(ack(1, 1).win(999))),
            ("ack goes back", |bench| {
                bench.received(data(1, 10, 1));
                bench.sent(ack(1, 11))?;
                bench.sent(ack(1, 10).win(1001))
            }),
            ("without a hole", |bench| {
                bench.received(data(2, 10, 1));
                bench.sent(ack(1, 12))
            }),
            ("have changed", |bench| {
                bench.sent(data(1, 10, 1))?;
                bench.sent(data(1, 10, 1).text(b"0123456789"))
            }),
            ("beyond the window", |bench| bench.sent(data(1, 1001, 1))),
            ("leaves a hole", |bench| bench.sent(data(2, 10, 1))),
            ("behind FIN", |bench| {
                bench.sent(fin(1, 1))?;
                bench.sent(data(1, 1, 1))
            }),
            ("FIN has moved", |bench| {
                bench.sent(fin(1, 1))?;
                bench.sent(fin(2, 1))
            }),
            ("a RST answers a RST", |bench| {
                bench.received(rst(1));
                bench.sent(rst(1))
            }),
            ("option of SYNs", |bench| bench.sent(ack(1, 1).mss(1000))),
            ("timestamps", |bench| bench.sent(ack(1, 1).ts(1, 1))),
            ("has not arrived", |bench| {
                bench.received(data(10, 10, 1));
                bench.sent(ack(1, 1).sack(&[(10, 21)]))
            }),
            ("below ack", |bench| {
                bench.received(data(1, 10, 1));
                bench.received(data(20, 10, 1));
                bench.sent(ack(1, 11).sack(&[(20, 30), (1, 5)]))
            }),
            ("do not fit MTU", |bench| bench.sent(data(1, 1461, 1))),
            ("ACKs for", |bench| {
                bench.sent(ack(1, 1))?;
                bench.sent(ack(1, 1))
            }),
        ];
        for (rule, play) in plays {
            let broken = play(&mut Bench::open()).expect_err(rule).to_string();
            assert!(broken.contains(rule), "{rule}: {broken}");
        }
    }
}
