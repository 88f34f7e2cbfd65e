//! The way in: bytes of a device become facts for the engine, before the lock is taken.
//!
//! Owns the order in which a packet is judged: IP header, fragment, source route, protocol, then the
//! TCP segment or ICMP message with its checksum. What is refused here is counted and leaves no
//! other trace. Whether the addresses are ours and what a segment does to a connection is the
//! engine's to say.

use bytes::Bytes;
use towpath_device::{RxChecksum, RxPacket};
use towpath_engine::{Arrival, ArrivalSource, Chunks, Endpoint, IcmpError, Instant};
use towpath_wire::icmp::{ErrorKind, IcmpMessage, complaint};
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::tcp::{ChecksumState, Segment};
use towpath_wire::{IpHeader, Malformed, Protocol};

use crate::counters::PacketCounters;

/// What a packet tells the engine.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A TCP segment.
    Segment(Arrival),
    /// An echo request to be answered.
    EchoRequest {
        /// The request's IP header.
        ip: IpHeader,
        /// Its identifier.
        ident: u16,
        /// Its sequence number.
        seq: u16,
        /// What is to be sent back.
        data: Bytes,
    },
    /// A report about a packet of ours.
    IcmpError(IcmpError),
    /// A packet that is refused, and whose sender is to be told.
    Refused {
        /// What it is told.
        kind: ErrorKind,
        /// The packet.
        packet: Bytes,
    },
}

impl Fact {
    /// Tells the engine.
    pub(crate) fn apply(self, engine: &mut Endpoint, now: Instant) {
        match self {
            Fact::Segment(arrival) => engine.handle_segment(now, arrival),
            Fact::EchoRequest { ip, ident, seq, data } => {
                engine.handle_echo_request(now, ip, ident, seq, data);
            }
            Fact::IcmpError(error) => engine.handle_icmp_error(now, error),
            Fact::Refused { kind, packet } => engine.handle_refused(now, kind, &packet),
        }
    }
}

/// Judges one packet. What is refused is counted in `counters`.
// Implements: 9293 MUST-3
pub(crate) fn parse(packet: &RxPacket, counters: &mut PacketCounters) -> Option<Fact> {
    counters.in_receives += 1;
    let data = &packet.data;
    let parsed = match IpHeader::parse(data, HeaderChecksum::Verify) {
        Ok(parsed) => parsed,
        Err(reason) => {
            counters.in_header_errors += 1;
            counters.count_reason(reason);
            return refuse(data);
        }
    };
    let ip = parsed.header;
    if parsed.fragment.is_some() {
        counters.in_fragments += 1;
        return None;
    }
    // RFC 9293 MUST-51 to MUST-53 have hosts use the reverse of a source route. Deviates: such
    // packets are dropped, as Linux does by default; the route is a sender's way past a filter.
    if parsed.source_routed {
        counters.in_source_routed += 1;
        return refuse(data);
    }
    let Some(upper) = data.get(parsed.payload.clone()) else {
        counters.in_header_errors += 1;
        return None;
    };
    match (ip.protocol, ip.src.is_ipv4()) {
        (Protocol::TCP, _) => {
            let checksum = match packet.checksum {
                RxChecksum::Unverified => ChecksumState::Verify,
                RxChecksum::Trusted => ChecksumState::Trusted,
            };
            match Segment::parse(upper, ip.src, ip.dst, checksum) {
                Ok((segment, header_len)) => Some(Fact::Segment(Arrival {
                    ip,
                    segment,
                    payload: Chunks::from(compact(
                        data,
                        parsed.payload.start + header_len,
                        parsed.payload.end,
                    )),
                    gso_size: packet.gso_size,
                    source: ArrivalSource::Device,
                })),
                Err(reason) => {
                    counters.in_errors += 1;
                    counters.in_checksum_errors += u64::from(reason == Malformed::Checksum);
                    counters.count_reason(reason);
                    None
                }
            }
        }
        (Protocol::ICMP, true) | (Protocol::ICMPV6, false) => parse_icmp(ip, upper, counters),
        _ => {
            counters.in_unknown_protocols += 1;
            refuse(data)
        }
    }
}

/// What is told to the sender of a packet that is not taken, if anything.
fn refuse(packet: &Bytes) -> Option<Fact> {
    complaint(packet).map(|kind| Fact::Refused { kind, packet: packet.clone() })
}

fn parse_icmp(ip: IpHeader, upper: &[u8], counters: &mut PacketCounters) -> Option<Fact> {
    let message = match IcmpMessage::parse(upper, ip.src, ip.dst) {
        Ok(message) => message,
        Err(reason) => {
            counters.icmp_in_errors += 1;
            counters.count_reason(reason);
            return None;
        }
    };
    let fact = match message {
        IcmpMessage::EchoRequest { ident, seq, data } => {
            Some(Fact::EchoRequest { ip, ident, seq, data: Bytes::copy_from_slice(data) })
        }
        ref other => IcmpError::from_message(ip.src, other).map(Fact::IcmpError),
    };
    counters.icmp_ignored += u64::from(fact.is_none());
    fact
}

/// A payload that does not pin much more than itself: the packet's buffer is shared only by a
/// payload that is most of it.
fn compact(packet: &Bytes, start: usize, end: usize) -> Bytes {
    let len = end.saturating_sub(start);
    match packet.get(start..end) {
        Some(payload) if len * 2 < packet.len() => Bytes::copy_from_slice(payload),
        Some(_) => packet.slice(start..end),
        None => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use towpath_wire::SeqNumber;
    use towpath_wire::ip::Ecn;
    use towpath_wire::tcp::{ChecksumEmit, Flags, Options};

    fn header(src: &str, dst: &str, protocol: Protocol) -> IpHeader {
        IpHeader {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        }
    }

    fn tcp_packet(ip: IpHeader, payload: &[u8]) -> Vec<u8> {
        let segment = Segment {
            src_port: 1000,
            dst_port: 80,
            seq: SeqNumber(5),
            ack: SeqNumber(9),
            flags: Flags::ACK,
            window: 100,
            urgent: 0,
            options: Options::default(),
        };
        let (ip_len, tcp_len) = (ip.header_len(), segment.header_len());
        let mut bytes = vec![0; ip_len + tcp_len];
        ip.emit(tcp_len + payload.len(), &mut bytes);
        let full = ChecksumEmit::Full;
        segment.emit(ip.src, ip.dst, [payload], payload.len(), full, &mut bytes[ip_len..]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn judge(bytes: Vec<u8>) -> (Option<Fact>, PacketCounters) {
        let mut counters = PacketCounters::default();
        let fact = parse(&RxPacket::new(Bytes::from(bytes)), &mut counters);
        (fact, counters)
    }

    const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
    const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");

    #[test]
    fn a_segment_of_either_family_becomes_an_arrival_with_its_payload() {
        for (src, dst) in [V4, V6] {
            for len in [0, 1, 39, 40, 1000] {
                let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let (fact, counters) = judge(tcp_packet(header(src, dst, Protocol::TCP), &payload));
                let Some(Fact::Segment(arrival)) = fact else { panic!("{counters:?}") };
                assert_eq!(arrival.payload.to_vec(), payload);
                assert_eq!(arrival.ip.src, src.parse::<IpAddr>().unwrap());
                assert_eq!((arrival.segment.src_port, arrival.segment.dst_port), (1000, 80));
                assert_eq!(counters.in_receives, 1);
            }
        }
    }

    // Shows: 9293 MUST-3, H-56
    #[test]
    fn each_flipped_bit_of_a_segment_is_found_and_counted() {
        let good = tcp_packet(header(V4.0, V4.1, Protocol::TCP), b"payload");
        for bit in 20 * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let (fact, counters) = judge(bad);
            assert!(fact.is_none(), "bit {bit}");
            assert_eq!(counters.in_errors, 1, "bit {bit}");
        }
    }

    // Shows: RFC791 s3.1b
    #[test]
    fn each_flipped_bit_of_an_ipv4_header_is_found_and_counted() {
        let good = tcp_packet(header(V4.0, V4.1, Protocol::TCP), b"payload");
        for bit in 0..20 * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // One flip away from an IPv4 header there is an IPv6 one, whose fields these are not.
            let is_v6 = bad[0] >> 4 == 6;
            let (fact, counters) = judge(bad);
            let of_v6 = is_v6 && matches!(fact, Some(Fact::Refused { .. }));
            assert!(fact.is_none() || of_v6, "bit {bit}");
            assert!(is_v6 || counters.in_header_errors == 1, "bit {bit}: {counters:?}");
        }
    }

    #[test]
    fn fragments_and_foreign_protocols_and_garbage_are_counted_by_reason() {
        let mut fragment = tcp_packet(header(V4.0, V4.1, Protocol::TCP), b"data");
        fragment[6] = 0x20;
        refresh_header_checksum(&mut fragment);
        let (fact, counters) = judge(fragment);
        assert!(fact.is_none());
        assert_eq!(counters.in_fragments, 1, "{counters:?}");

        let (fact, counters) = judge(tcp_packet(header(V4.0, V4.1, Protocol(132)), b""));
        assert!(matches!(fact, Some(Fact::Refused { kind: ErrorKind::ProtocolUnreachable, .. })));
        assert_eq!(counters.in_unknown_protocols, 1);

        // ICMP of the other family is nobody's protocol.
        let (fact, counters) = judge(tcp_packet(header(V6.0, V6.1, Protocol::ICMP), b""));
        assert!(matches!(fact, Some(Fact::Refused { kind: ErrorKind::ProtocolUnreachable, .. })));
        assert_eq!(counters.in_unknown_protocols, 1);

        for garbage in [vec![], vec![0; 40], vec![0x45; 19], vec![0xff; 1500]] {
            let (fact, counters) = judge(garbage);
            assert!(fact.is_none());
            assert_eq!((counters.in_receives, counters.in_header_errors), (1, 1));
        }
    }

    fn refresh_header_checksum(packet: &mut [u8]) {
        packet[10..12].fill(0);
        let sum = towpath_wire::checksum::Sum::new().add_bytes(&packet[..20]).finish();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn a_small_payload_does_not_pin_its_packet() {
        let packet = Bytes::from(vec![7; 1500]);
        let small = compact(&packet, 1000, 1010);
        assert!(!packet.as_ptr_range().contains(&small.as_ptr()));
        let large = compact(&packet, 40, 1500);
        assert!(packet.as_ptr_range().contains(&large.as_ptr()));
        assert_eq!((small.len(), large.len()), (10, 1460));
    }

    // Shows: RFC1122 s3.2.2.6
    #[test]
    fn an_echo_request_becomes_a_fact_with_its_data() {
        for ((src, dst), protocol) in [(V4, Protocol::ICMP), (V6, Protocol::ICMPV6)] {
            let ip = header(src, dst, protocol);
            let message = IcmpMessage::EchoRequest { ident: 3, seq: 4, data: b"ping" };
            let mut bytes = vec![0; ip.header_len() + message.emit_len()];
            ip.emit(message.emit_len(), &mut bytes);
            message.emit(ip.src, ip.dst, &mut bytes[ip.header_len()..]);
            let (fact, counters) = judge(bytes);
            let Some(Fact::EchoRequest { ident: 3, seq: 4, data, .. }) = fact else {
                panic!("{fact:?} {counters:?}")
            };
            assert_eq!(&data[..], b"ping");
        }
    }
}
