//! A TCP packet as it travels: headers as values, and bytes with checksums on the wire.

use core::net::IpAddr;

use bytes::Bytes;
use towpath_engine::{Transmit, TransmitBody};
use towpath_wire::icmp::IcmpMessage;
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::tcp::{ChecksumEmit, ChecksumState, Segment};
use towpath_wire::{IpHeader, Malformed, Protocol, SeqNumber};

/// A TCP packet with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The IP header.
    pub ip: IpHeader,
    /// The TCP header.
    pub segment: Segment,
    /// What it carries.
    pub payload: Bytes,
}

impl Packet {
    /// Reads a packet as a receiver would: lengths and checksums are verified.
    ///
    /// # Errors
    ///
    /// Why a receiver drops it; `None` for a packet that is whole but not TCP, or a fragment.
    pub fn parse(bytes: &Bytes) -> Result<Packet, Option<Malformed>> {
        let parsed = IpHeader::parse(bytes, HeaderChecksum::Verify)?;
        let ip = parsed.header;
        if ip.protocol != Protocol::TCP || parsed.fragment.is_some() {
            return Err(None);
        }
        let upper = bytes.slice(parsed.payload);
        let (segment, header_len) = Segment::parse(&upper, ip.src, ip.dst, ChecksumState::Verify)?;
        Ok(Packet { ip, segment, payload: upper.slice(header_len..) })
    }

    /// The packet's bytes, with checksums.
    pub fn to_bytes(&self) -> Bytes {
        let (ip_len, tcp_len) = (self.ip.header_len(), self.segment.header_len());
        let mut bytes = vec![0; ip_len + tcp_len];
        self.ip.emit(tcp_len + self.payload.len(), &mut bytes);
        self.segment.emit(
            self.ip.src,
            self.ip.dst,
            [&self.payload[..]],
            self.payload.len(),
            ChecksumEmit::Full,
            &mut bytes[ip_len..],
        );
        bytes.extend_from_slice(&self.payload);
        bytes.into()
    }

    /// The sequence number after the last one that the packet takes.
    pub fn seq_end(&self) -> SeqNumber {
        self.segment.seq + self.segment.sequence_len(self.payload.len())
    }
}

/// Where a packet is to go, by a look at its address alone, as a router has one.
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?)),
        _ => None,
    }
}

/// The bytes of what an engine wants to send.
pub fn encode(transmit: &Transmit) -> Bytes {
    let ip = transmit.ip;
    match &transmit.body {
        TransmitBody::Tcp { segment, payload, .. } => {
            Packet { ip, segment: segment.clone(), payload: payload.to_vec().into() }.to_bytes()
        }
        TransmitBody::EchoReply { ident, seq, data } => {
            let message = IcmpMessage::EchoReply { ident: *ident, seq: *seq, data };
            let mut bytes = vec![0; ip.header_len() + message.emit_len()];
            ip.emit(message.emit_len(), &mut bytes);
            message.emit(ip.src, ip.dst, &mut bytes[ip.header_len()..]);
            bytes.into()
        }
        TransmitBody::IcmpError { message } => {
            let mut bytes = vec![0; ip.header_len()];
            ip.emit(message.len(), &mut bytes);
            bytes.extend_from_slice(message);
            bytes.into()
        }
        other => panic!("the lab does not know how to send {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_wire::ip::Ecn;
    use towpath_wire::tcp::{Flags, Options, Timestamps};

    // Shows: 9293 MUST-3
    #[test]
    fn a_packet_survives_the_wire_and_no_flipped_bit_does() {
        let sent = Packet {
            ip: IpHeader {
                src: "10.0.0.1".parse().unwrap(),
                dst: "10.0.0.2".parse().unwrap(),
                protocol: Protocol::TCP,
                hop_limit: 64,
                dscp: 0,
                ecn: Ecn::NotEct,
                identification: 0,
                dont_fragment: true,
                flow_label: 0,
            },
            segment: Segment {
                src_port: 80,
                dst_port: 1000,
                seq: SeqNumber(u32::MAX),
                ack: SeqNumber(5),
                flags: Flags::ACK,
                window: 100,
                urgent: 0,
                options: Options {
                    timestamps: Some(Timestamps { value: 1, echo: 2 }),
                    ..Options::default()
                },
            },
            payload: Bytes::from_static(b"eleven byte"),
        };
        let bytes = sent.to_bytes();
        assert_eq!(Packet::parse(&bytes), Ok(sent));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(Packet::parse(&flipped.into()).is_err(), "bit {bit}");
        }
    }
}
