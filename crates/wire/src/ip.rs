//! The IP header as a TCP endpoint sees it: one value for both families.
//!
//! Owns the common value and the choice of the family; the layouts are in `ipv4` (RFC 791) and
//! `ipv6` (RFC 8200). Whether an address may be talked to, whether a source-routed packet is
//! dropped, and how fragments come together again is decided by the stack above.

use crate::{Malformed, ipv4, ipv6};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// The largest packet that every IPv4 path carries without fragments, RFC 791 section 3.2.
pub const MIN_MTU_V4: usize = 68;

/// The largest packet that every IPv6 path carries, RFC 8200 section 5.
pub const MIN_MTU_V6: usize = 1280;

/// The largest length that a 16-bit length field announces.
pub const MAX_LENGTH: usize = 65_535;

/// The protocol above IP: the registry of RFC 791's Protocol and RFC 8200's Next Header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Protocol = Protocol(1);
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Protocol = Protocol(58);
    /// IPv6 "no next header": nothing follows, RFC 8200 section 4.7.
    pub const NO_NEXT_HEADER: Protocol = Protocol(59);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Protocol::ICMP => f.write_str("ICMP"),
            Protocol::TCP => f.write_str("TCP"),
            Protocol::UDP => f.write_str("UDP"),
            Protocol::ICMPV6 => f.write_str("ICMPv6"),
            Protocol(number) => write!(f, "protocol {number}"),
        }
    }
}

/// The two ECN bits of the IP header, RFC 3168 section 5.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Ecn {
    /// 00: the sender does not take part.
    #[default]
    NotEct,
    /// 01: ECN-capable; the codepoint of L4S.
    Ect1,
    /// 10: ECN-capable.
    Ect0,
    /// 11: congestion experienced.
    Ce,
}

impl Ecn {
    /// From the two low bits; the others are ignored.
    pub fn from_bits(bits: u8) -> Ecn {
        match bits & 0b11 {
            0b00 => Ecn::NotEct,
            0b01 => Ecn::Ect1,
            0b10 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }

    /// The two bits.
    pub fn bits(self) -> u8 {
        match self {
            Ecn::NotEct => 0b00,
            Ecn::Ect1 => 0b01,
            Ecn::Ect0 => 0b10,
            Ecn::Ce => 0b11,
        }
    }
}

/// Who vouches for the IPv4 header checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderChecksum {
    /// Nobody has: compute it.
    Verify,
    /// The device has.
    Trusted,
}

/// What a TCP endpoint cares for in an IPv4 or IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpHeader {
    /// Where the packet comes from.
    pub src: IpAddr,
    /// Where the packet goes; of the family of `src`.
    pub dst: IpAddr,
    /// The protocol of the payload. Behind IPv6 extension headers the upper one, except in a real
    /// fragment: there it is what follows the fragment header.
    pub protocol: Protocol,
    /// IPv4's time to live, IPv6's hop limit.
    pub hop_limit: u8,
    /// The differentiated services code point, 6 bits.
    pub dscp: u8,
    /// The ECN bits.
    pub ecn: Ecn,
    /// IPv4 only; 0 for IPv6.
    pub identification: u16,
    /// IPv4's "don't fragment"; always true for IPv6, where no router fragments.
    pub dont_fragment: bool,
    /// IPv6 only, 20 bits; 0 for IPv4.
    pub flow_label: u32,
}

/// What [`IpHeader::parse`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParsedIp {
    /// The header as a value.
    pub header: IpHeader,
    /// Where the upper layer lies in the bytes that were parsed; link padding is outside.
    pub payload: Range<usize>,
    /// Set if the packet is a piece of a larger one. An IPv6 "atomic fragment" (RFC 6946) is whole,
    /// so `None`.
    pub fragment: Option<Fragment>,
    /// IPv4 options or IPv6 extension headers stood in the packet.
    pub has_options: bool,
    /// The sender chose the route: IPv4 LSRR or SSRR, or an IPv6 routing header of type 0 that has
    /// segments left.
    pub source_routed: bool,
}

/// The place of a fragment in its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where its payload begins, in bytes.
    pub offset: usize,
    /// More fragments follow.
    pub more: bool,
    /// What the pieces of one packet share (16 bits in IPv4).
    pub identification: u32,
}

impl Fragment {
    /// A fragment has payload, and all but the last have a multiple of 8 bytes; `end_limit` is the
    /// largest `offset + payload_len` at which the whole packet's length still fits its 16-bit
    /// field.
    // Implements: RFC791 s3.2a, RFC8200 s4.5b, H-55
    pub(crate) fn check(&self, payload_len: usize, end_limit: usize) -> Result<(), Malformed> {
        if payload_len == 0 || (self.more && !payload_len.is_multiple_of(8)) {
            return Err(Malformed::FragmentLength);
        }
        match self.offset.checked_add(payload_len) {
            Some(end) if end <= end_limit => Ok(()),
            _ => Err(Malformed::FragmentOffset),
        }
    }
}

impl IpHeader {
    /// Reads the IP header of `packet`, of either family.
    ///
    /// IPv6 extension headers are walked to the upper layer. Bytes behind the announced length are
    /// ignored.
    ///
    /// # Errors
    ///
    /// The [`Malformed`] that names the first check which failed.
    pub fn parse(packet: &[u8], verify: HeaderChecksum) -> Result<ParsedIp, Malformed> {
        match packet.first().map(|first| first >> 4) {
            None => Err(Malformed::Truncated),
            Some(4) => ipv4::parse(packet, verify),
            Some(6) => ipv6::parse(packet, ipv6::Purpose::Receive),
            Some(_) => Err(Malformed::IpVersion),
        }
    }

    /// The bytes that [`IpHeader::emit`] writes: 20 for IPv4, 40 for IPv6.
    pub fn header_len(&self) -> usize {
        match self.dst {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        }
    }

    /// Writes the header, without options, for a payload of `payload_len` bytes into the first
    /// [`header_len`](Self::header_len) bytes of `buffer`; IPv4's checksum is filled in.
    ///
    /// A fragment is never written: offset 0 and no "more".
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than the header, if source and destination are of two families, or if
    /// the packet is longer than its 16-bit length field can say.
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4::emit(self, src, dst, payload_len, buffer),
            (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6::emit(self, src, dst, payload_len, buffer),
            (src, dst) => panic!("a packet has addresses of one family, not {src} and {dst}"),
        }
    }
}
