//! A packet that the stack has sent, as bytes say it: what expectations are compared with.

use core::net::SocketAddr;

use bytes::Bytes;
use towpath_wire::ip::HeaderChecksum;
use towpath_wire::tcp::{ChecksumState, Segment};
use towpath_wire::{IpHeader, Protocol};

use super::live::{Counting, Live, Side};
use super::options::{Piece, decode};
use crate::drill::ast::{TcpFlags, TcpOption};

/// A TCP packet that has left the stack.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When, in script time.
    pub(super) at: i64,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    /// IPv6's; 0 for IPv4.
    pub(super) flow_label: u32,
    pub(super) flags: TcpFlags,
    /// The bits of the header that no RFC has given a meaning.
    pub(super) reserved: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: Vec<u8>,
    pub(super) payload: Bytes,
}

impl Seen {
    /// Reads what the stack sent; `None` if it is not TCP.
    ///
    /// # Errors
    ///
    /// What a receiver would drop it for: a wrong length or checksum.
    pub(super) fn parse(at: i64, bytes: &Bytes) -> Result<Option<Seen>, String> {
        let damaged = |why| format!("the stack has sent a packet that nobody takes: {why}");
        let parsed = IpHeader::parse(bytes, HeaderChecksum::Verify).map_err(damaged)?;
        let ip = parsed.header;
        if ip.protocol != Protocol::TCP {
            return Ok(None);
        }
        let upper = bytes.slice(parsed.payload);
        let (segment, header_len) =
            Segment::parse(&upper, ip.src, ip.dst, ChecksumState::Verify).map_err(damaged)?;
        // The codec accepted the fixed header, so its bytes are there.
        let header = &upper[..header_len];
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (high, low) = (header[12], header[13]);
        let bit = |mask: u8| low & mask != 0;
        Ok(Some(Seen {
            at,
            src: SocketAddr::new(ip.src, segment.src_port),
            dst: SocketAddr::new(ip.dst, segment.dst_port),
            tos: ip.dscp << 2 | ip.ecn.bits(),
            ttl: ip.hop_limit,
            flow_label: ip.flow_label,
            flags: TcpFlags {
                fin: bit(0x01),
                syn: bit(0x02),
                rst: bit(0x04),
                psh: bit(0x08),
                ack: bit(0x10),
                urg: bit(0x20),
                ace: (high & 1) << 2 | low >> 6,
            },
            reserved: high >> 1 & 0b111,
            seq: word(4),
            ack: word(8),
            window: half(14),
            urgent: half(18),
            options: header[20..].to_vec(),
            payload: upper.slice(header_len..),
        }))
    }

    /// Bytes of payload.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
    }

    /// How its numbers count.
    pub(super) fn counting(&self) -> Counting {
        Counting::of_segment(self.flags.syn)
    }

    /// Its options with the script's numbers; TSval stays the wire's.
    pub(super) fn script_options(&self, live: &Live) -> Vec<Piece> {
        let edge = |edge| live.to_script(Side::Remote, Counting::Relative, edge);
        decode(&self.options)
            .into_iter()
            .map(|piece| match piece {
                Piece::Known(TcpOption::Sack(blocks)) => Piece::Known(TcpOption::Sack(
                    blocks.into_iter().map(|(l, r)| (edge(l), edge(r))).collect(),
                )),
                other => other,
            })
            .collect()
    }
}

/// Joins segments that follow one another into the one that a script expects. What is joined has
/// number and CWR of the first, everything else of the last.
///
/// # Errors
///
/// Why they are not one segment cut into pieces.
pub(super) fn join(parts: &[Seen]) -> Result<Seen, String> {
    let ([first, ..], [before_last @ .., last]) = (parts, parts) else {
        return Err("there is no segment".to_owned());
    };
    let alike = |flags: TcpFlags| TcpFlags { psh: false, fin: false, ace: flags.ace & !2, ..flags };
    let mut payload = first.payload.to_vec();
    for part in &parts[1..] {
        let end = first.seq.wrapping_add(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        let difference = [
            (part.seq != end, "sequence number"),
            (alike(part.flags) != alike(first.flags), "flags"),
            (part.ack != first.ack, "acknowledgment"),
            (part.window != first.window, "window"),
            (part.options.len() != first.options.len(), "length of options"),
        ];
        if let Some((_, what)) = difference.iter().find(|(differs, _)| *differs) {
            return Err(format!("it comes in segments, of which one has another {what}"));
        }
        payload.extend_from_slice(&part.payload);
    }
    if before_last.iter().any(|part| part.len() != first.len()) {
        return Err("it comes in segments of different lengths".to_owned());
    }
    let ace = last.flags.ace & !2 | first.flags.ace & 2;
    let flags = TcpFlags { ace, ..last.flags };
    Ok(Seen { seq: first.seq, payload: payload.into(), flags, ..last.clone() })
}

/// Whether a packet's bytes are all zeros, as everything that a script writes is.
pub(super) fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte != 0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::drill::ast::{IpInfo, Options, Tcp};
    use crate::drill::play::inject;
    use crate::drill::play::live::Scaled;

    /// What the stack would have sent, had the script sent it: both ends of the connection change
    /// places.
    pub(in crate::drill::play) fn sent(tcp: &Tcp) -> Bytes {
        let live =
            Live::new("192.0.2.1:9".parse().unwrap(), "192.168.0.1:8080".parse().unwrap(), 0);
        inject::tcp(&IpInfo::default(), tcp, &live, Scaled::No).unwrap()
    }

    pub(in crate::drill::play) fn data(seq: u32, len: u32) -> Tcp {
        Tcp {
            flags: TcpFlags { ack: true, ..TcpFlags::default() },
            seq,
            len,
            ack: Some(1),
            window: Some(100),
            urgent: None,
            options: Options::None,
        }
    }

    fn seen(tcp: &Tcp) -> Seen {
        Seen::parse(7, &sent(tcp)).unwrap().unwrap()
    }

    #[test]
    fn a_packet_with_any_bit_wrong_is_not_taken() {
        let good = sent(&data(1, 4));
        assert!(matches!(Seen::parse(0, &good), Ok(Some(_))));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            // A wrong protocol number or fragment bit fails the header's checksum.
            assert!(Seen::parse(0, &bytes.into()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn segments_are_joined_if_they_are_pieces_of_one() {
        let push = TcpFlags { ack: true, psh: true, ..TcpFlags::default() };
        let last = Tcp { flags: push, ..data(21, 5) };
        let joined = join(&[seen(&data(1, 10)), seen(&data(11, 10)), seen(&last)]).unwrap();
        assert_eq!((joined.seq, joined.len(), joined.flags), (1, 25, push));
        let urgent = TcpFlags { urg: true, ..push };
        for (wrong, what) in [
            (data(12, 10), "sequence number"),
            (Tcp { flags: urgent, ..data(11, 10) }, "flags"),
            (Tcp { ack: Some(2), ..data(11, 10) }, "acknowledgment"),
            (Tcp { window: Some(101), ..data(11, 10) }, "window"),
        ] {
            let told = join(&[seen(&data(1, 10)), seen(&wrong)]).unwrap_err();
            assert!(told.contains(what), "{told}");
        }
        let uneven = [seen(&data(1, 10)), seen(&data(11, 9)), seen(&data(20, 9))];
        assert!(join(&uneven).unwrap_err().contains("lengths"));
    }
}
