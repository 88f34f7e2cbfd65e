//! What stages read of an IP packet and change in it: the ECN field (RFC 3168, section 5), and
//! whether it is a pure acknowledgment of TCP (RFC 9293, section 3.1).
//!
//! This is a device of the network, not an end of a connection: it believes what it reads, checks
//! no checksum, and matches nothing when something is missing.

use crate::payload::Payload;

/// Both bits of the ECN field: Congestion Experienced.
const CE: u8 = 0b11;

const PROTOCOL_TCP: u8 = 6;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What became of a packet that was to be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Set,
    WasSet,
    /// Not ECN-capable, or not IP.
    Refused,
}

/// Sets Congestion Experienced in an ECN-capable packet, and mends the checksum of IPv4.
pub(crate) fn mark(packet: &mut impl Payload) -> Mark {
    let Some((family, header)) = packet.ip_packet().and_then(family) else { return Mark::Refused };
    match family {
        Family::V4 => {
            let &[version, traffic_class, .., high, low, _, _, _, _, _, _, _, _] = header else {
                return Mark::Refused;
            };
            match traffic_class & CE {
                0 => return Mark::Refused,
                CE => return Mark::WasSet,
                _ => {}
            }
            let marked = traffic_class | CE;
            let old = u16::from_be_bytes([version, traffic_class]);
            let new = u16::from_be_bytes([version, marked]);
            let checksum = updated_checksum(u16::from_be_bytes([high, low]), old, new);
            packet.overwrite(1, &[marked]);
            packet.overwrite(10, &checksum.to_be_bytes());
        }
        Family::V6 => {
            // The traffic class lies across the first two bytes, its ECN bits in the second.
            let &[_, second, ..] = header else { return Mark::Refused };
            match (second >> 4) & CE {
                0 => return Mark::Refused,
                CE => return Mark::WasSet,
                _ => packet.overwrite(1, &[second | CE << 4]),
            }
        }
    }
    Mark::Set
}

/// Whether a packet is TCP with ACK and without text, SYN, FIN or RST.
pub(crate) fn is_pure_ack(packet: &impl Payload) -> bool {
    packet.ip_packet().and_then(segment).is_some_and(|(header, len)| {
        let &[_, _, _, _, _, _, _, _, _, _, _, _, offset, flags, ..] = header else {
            return false;
        };
        flags & (FIN | SYN | RST | ACK) == ACK && usize::from(offset >> 4) * 4 == len
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// The family and the fixed part of the header.
fn family(packet: &[u8]) -> Option<(Family, &[u8])> {
    match packet.first()? >> 4 {
        4 => Some((Family::V4, packet.get(..20)?)),
        6 => Some((Family::V6, packet.get(..40)?)),
        _ => None,
    }
}

/// The TCP header with what follows it, and the length of both by the IP header. Nothing of a
/// fragment, and nothing behind extension headers of IPv6.
fn segment(packet: &[u8]) -> Option<(&[u8], usize)> {
    let word =
        |at: usize| Some(usize::from(*packet.get(at)?) << 8 | usize::from(*packet.get(at + 1)?));
    let (header_len, len, protocol) = match family(packet)?.0 {
        Family::V4 => {
            let fragment = word(6)? & 0x3fff;
            let header_len = usize::from(packet.first()? & 0x0f) * 4;
            let len = word(2)?.checked_sub(header_len)?;
            (fragment == 0 && header_len >= 20).then_some((header_len, len, *packet.get(9)?))?
        }
        Family::V6 => (40, word(4)?, *packet.get(6)?),
    };
    (protocol == PROTOCOL_TCP).then_some((packet.get(header_len..)?, len))
}

/// The checksum of a header in which one word changes, by RFC 1624, equation 3.
fn updated_checksum(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_updated_as_in_the_example_of_the_rfc() {
        // RFC 1624, section 4: a field 0x5555 becomes 0x3285, the rest of the header sums up to
        // 0xcd7a. Equation 2 gives 0xffff here, which is wrong.
        assert_eq!(updated_checksum(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn what_is_not_ip_is_neither_marked_nor_an_acknowledgment() {
        for bytes in [vec![], vec![0x45], vec![0x45; 19], vec![0x60; 39], vec![0xff; 100]] {
            let mut packet = bytes.clone();
            assert_eq!(mark(&mut packet), Mark::Refused);
            assert_eq!(packet, bytes);
            assert!(!is_pure_ack(&packet));
        }
    }
}
