//! What a host that speaks TCP and ICMP, and nothing else, has to say to a packet that it does not
//! take: RFC 1122 section 3.2.2.1, RFC 4443 sections 3.1 and 3.4, RFC 8200 section 4.

use super::ErrorKind;
use crate::checksum::pseudo_header;
use crate::ip::{HeaderChecksum, IpHeader, Protocol};
use crate::ipv6;

const UDP_HEADER_LEN: usize = 8;

/// The error that `packet` (from its IP header on) is to be answered with, if it is one that this host
/// refuses and whose sender is to be told: UDP, an upper protocol that is not spoken, an IPv6
/// extension header that RFC 8200 wants reported.
///
/// Malformed packets that nobody is told of, fragments, TCP and ICMP give `None`. Whether the packet
/// may be answered at all is [`reportable`](super::reportable)'s to say.
// Implements: RFC791 s3.1c, RFC4443 s3.1, RFC8200 s4b, RFC8200 s4.2, RFC8200 s4.4
pub fn complaint(packet: &[u8]) -> Option<ErrorKind> {
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    if is_v6 && let Some((code, pointer)) = ipv6::problem(packet) {
        return Some(ErrorKind::ParameterProblem { code, pointer });
    }
    let parsed = IpHeader::parse(packet, HeaderChecksum::Verify).ok()?;
    let ip = parsed.header;
    if parsed.fragment.is_some() || parsed.source_routed {
        return None;
    }
    match ip.protocol {
        Protocol::TCP => None,
        Protocol::ICMP if !is_v6 => None,
        Protocol::ICMPV6 | Protocol::NO_NEXT_HEADER if is_v6 => None,
        Protocol::UDP => {
            is_intact_udp(&ip, packet.get(parsed.payload)?).then_some(ErrorKind::PortUnreachable)
        }
        _ => Some(ErrorKind::ProtocolUnreachable),
    }
}

/// A datagram that is damaged may be nobody's, least of all its apparent sender's.
fn is_intact_udp(ip: &IpHeader, datagram: &[u8]) -> bool {
    let Some(&[.., len_high, len_low, sum_high, sum_low]) =
        datagram.first_chunk::<UDP_HEADER_LEN>()
    else {
        return false;
    };
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let Some(datagram) = datagram.get(..len).filter(|_| len >= UDP_HEADER_LEN) else {
        return false;
    };
    if (sum_high, sum_low) == (0, 0) {
        // No checksum: allowed in IPv4 only.
        return ip.src.is_ipv4();
    }
    pseudo_header(ip.src, ip.dst, Protocol::UDP, len as u32).add_bytes(datagram).is_intact()
}
