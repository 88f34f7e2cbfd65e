//! ICMP for IPv4 (RFC 792, RFC 1191) and IPv6 (RFC 4443), both behind one enum.
//!
//! Owns what a TCP endpoint reads and writes: echo, and the errors with the piece of our own packet
//! that they quote (those that we send are in `error`). "Fragmentation needed" and "packet too big"
//! have one shape. Whether an error may be believed (RFC 5927) is the stack's to judge. Neighbour
//! discovery, redirects and the rest come out as [`IcmpMessage::Other`].

mod complaint;
mod error;

pub use complaint::complaint;
pub use error::{ErrorKind, MAX_ERROR_V4, emit_error, reportable};

use crate::checksum::{Sum, pseudo_header};
use crate::ip::Protocol;
use crate::{Malformed, SeqNumber, ipv4, ipv6};
use pnet_packet::icmp::{IcmpCode, IcmpPacket, IcmpType, MutableIcmpPacket};
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet_packet::ipv6::Ipv6Packet;
use std::net::IpAddr;

/// The fixed part of every message that is known here: type, code, checksum and four bytes more.
pub const HEADER_LEN: usize = 8;

mod v4 {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    /// A code of "unreachable".
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    /// Codes of "parameter problem".
    pub(super) const UNRECOGNIZED_NEXT_HEADER: u8 = 1;
    pub(super) const UNRECOGNIZED_OPTION: u8 = 2;
    /// Types below are errors.
    pub(super) const FIRST_INFORMATIONAL: u8 = 128;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const REDIRECT: u8 = 137;
}

/// An ICMP message of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpMessage<'a> {
    /// Somebody asks whether we are there.
    EchoRequest {
        /// Chosen by the one who asks.
        ident: u16,
        /// Counts the questions.
        seq: u16,
        /// To be sent back as it is.
        data: &'a [u8],
    },
    /// The answer.
    EchoReply {
        /// From the request.
        ident: u16,
        /// From the request.
        seq: u16,
        /// From the request.
        data: &'a [u8],
    },
    /// Our packet could not be delivered.
    Unreachable {
        /// Why.
        code: UnreachableCode,
        /// Our packet, if enough of it is quoted.
        quoted: Option<Quoted>,
    },
    /// Our packet does not fit the next link and may not be fragmented.
    PacketTooBig {
        /// The MTU of that link; 0 from an IPv4 router older than RFC 1191.
        mtu: u32,
        /// Our packet, if enough of it is quoted.
        quoted: Option<Quoted>,
    },
    /// Our packet has gone round too long (code 0), or its fragments have not come in time (code
    /// 1).
    TimeExceeded {
        /// Which of the two.
        code: u8,
        /// Our packet, if enough of it is quoted.
        quoted: Option<Quoted>,
    },
    /// A field of our packet was not understood.
    ParameterProblem {
        /// What was wrong with it.
        code: u8,
        /// Where in our packet.
        pointer: u32,
        /// Our packet, if enough of it is quoted.
        quoted: Option<Quoted>,
    },
    /// Anything else: source quench, redirect, neighbour discovery, what is not known.
    Other {
        /// The type field.
        kind: u8,
        /// The code field.
        code: u8,
    },
}

/// Why a packet could not be delivered. A code that exists in one family only says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnreachableCode {
    /// IPv4 code 0.
    Net,
    /// IPv4 code 1.
    Host,
    /// IPv4 code 2; IPv6 says it as a parameter problem.
    Protocol,
    /// IPv4 code 3, IPv6 code 4.
    Port,
    /// IPv4 code 5.
    SourceRouteFailed,
    /// IPv4 code 9.
    NetProhibited,
    /// IPv4 code 10.
    HostProhibited,
    /// IPv4 code 13, IPv6 code 1.
    AdminProhibited,
    /// IPv6 code 0.
    NoRoute,
    /// IPv6 code 2.
    BeyondScope,
    /// IPv6 code 3.
    AddressUnreachable,
    /// IPv6 code 5.
    SourcePolicy,
    /// IPv6 code 6.
    RejectRoute,
    /// Any other code.
    Other(u8),
}

/// The packet of ours that an error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its source: one of our addresses.
    pub src: IpAddr,
    /// Its destination: the peer.
    pub dst: IpAddr,
    /// Its protocol. The ports and the sequence number mean something for TCP.
    pub protocol: Protocol,
    /// Our port.
    pub src_port: u16,
    /// The peer's port.
    pub dst_port: u16,
    /// The sequence number of the quoted segment.
    pub seq: SeqNumber,
    /// The length that the quoted IP header announces, the header included.
    pub total_length: usize,
}

impl<'a> IcmpMessage<'a> {
    /// Reads a message; its family is that of the addresses.
    ///
    /// The code of an echo message is not looked at, as in Linux.
    ///
    /// # Errors
    ///
    /// [`Malformed::IcmpLength`] for less than 8 bytes, [`Malformed::Checksum`] for a wrong
    /// checksum. A quote that cannot be used is not an error, it is `None`.
    // Implements: RFC4443 cksum
    pub fn parse(bytes: &'a [u8], src: IpAddr, dst: IpAddr) -> Result<IcmpMessage<'a>, Malformed> {
        let (fixed, data) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::IcmpLength)?;
        let view = IcmpPacket::new(bytes).ok_or(Malformed::IcmpLength)?;
        if !sum_before(src, dst, bytes.len())?.add_bytes(bytes).is_intact() {
            return Err(Malformed::Checksum);
        }
        let (kind, code) = (view.get_icmp_type().0, view.get_icmp_code().0);
        let [.., a, b, c, d] = *fixed;
        let (ident, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let word = u32::from_be_bytes([a, b, c, d]);
        Ok(if dst.is_ipv4() {
            let quoted = || Quoted::parse_v4(data);
            match kind {
                v4::ECHO_REQUEST => IcmpMessage::EchoRequest { ident, seq, data },
                v4::ECHO_REPLY => IcmpMessage::EchoReply { ident, seq, data },
                v4::UNREACHABLE if code == v4::FRAGMENTATION_NEEDED => {
                    IcmpMessage::PacketTooBig { mtu: u32::from(seq), quoted: quoted() }
                }
                v4::UNREACHABLE => IcmpMessage::Unreachable {
                    code: UnreachableCode::from_v4(code),
                    quoted: quoted(),
                },
                v4::TIME_EXCEEDED => IcmpMessage::TimeExceeded { code, quoted: quoted() },
                v4::PARAMETER_PROBLEM => {
                    IcmpMessage::ParameterProblem { code, pointer: u32::from(a), quoted: quoted() }
                }
                _ => IcmpMessage::Other { kind, code },
            }
        } else {
            let quoted = || Quoted::parse_v6(data);
            match kind {
                v6::ECHO_REQUEST => IcmpMessage::EchoRequest { ident, seq, data },
                v6::ECHO_REPLY => IcmpMessage::EchoReply { ident, seq, data },
                v6::UNREACHABLE => IcmpMessage::Unreachable {
                    code: UnreachableCode::from_v6(code),
                    quoted: quoted(),
                },
                v6::PACKET_TOO_BIG => IcmpMessage::PacketTooBig { mtu: word, quoted: quoted() },
                v6::TIME_EXCEEDED => IcmpMessage::TimeExceeded { code, quoted: quoted() },
                v6::PARAMETER_PROBLEM => {
                    IcmpMessage::ParameterProblem { code, pointer: word, quoted: quoted() }
                }
                _ => IcmpMessage::Other { kind, code },
            }
        })
    }

    /// The bytes that [`emit`](Self::emit) writes; 0 for what it does not write.
    pub fn emit_len(&self) -> usize {
        match self {
            IcmpMessage::EchoRequest { data, .. } | IcmpMessage::EchoReply { data, .. } => {
                HEADER_LEN + data.len()
            }
            _ => 0,
        }
    }

    /// Writes an echo message, checksum included, into the first [`emit_len`](Self::emit_len) bytes
    /// of `buffer`. Errors are written by [`emit_error`], which has the packet to quote; of them
    /// nothing is written here.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than the message.
    // Implements: RFC792 echo
    pub fn emit(&self, src: IpAddr, dst: IpAddr, buffer: &mut [u8]) {
        let (kind, ident, seq, data) = match (self, dst) {
            (IcmpMessage::EchoRequest { ident, seq, data }, IpAddr::V4(_)) => {
                (v4::ECHO_REQUEST, ident, seq, data)
            }
            (IcmpMessage::EchoRequest { ident, seq, data }, IpAddr::V6(_)) => {
                (v6::ECHO_REQUEST, ident, seq, data)
            }
            (IcmpMessage::EchoReply { ident, seq, data }, IpAddr::V4(_)) => {
                (v4::ECHO_REPLY, ident, seq, data)
            }
            (IcmpMessage::EchoReply { ident, seq, data }, IpAddr::V6(_)) => {
                (v6::ECHO_REPLY, ident, seq, data)
            }
            _ => return,
        };
        let [a, b] = ident.to_be_bytes();
        let [c, d] = seq.to_be_bytes();
        write(kind, 0, [a, b, c, d], data, src, dst, &mut buffer[..self.emit_len()]);
    }
}

fn write(
    kind: u8,
    code: u8,
    word: [u8; 4],
    data: &[u8],
    src: IpAddr,
    dst: IpAddr,
    message: &mut [u8],
) {
    let mut view = MutableIcmpPacket::new(message).expect("the buffer holds an ICMP header");
    view.set_icmp_type(IcmpType(kind));
    view.set_icmp_code(IcmpCode(code));
    view.set_checksum(0);
    message[4..HEADER_LEN].copy_from_slice(&word);
    message[HEADER_LEN..].copy_from_slice(data);
    let sum = sum_before(src, dst, message.len()).expect("a message fits an IP packet");
    let checksum = sum.add_bytes(message).finish();
    MutableIcmpPacket::new(message)
        .expect("the buffer holds an ICMP header")
        .set_checksum(checksum);
}

/// ICMPv6 sums a pseudo-header, ICMPv4 does not.
fn sum_before(src: IpAddr, dst: IpAddr, len: usize) -> Result<Sum, Malformed> {
    if dst.is_ipv4() {
        return Ok(Sum::new());
    }
    let len = u32::try_from(len).map_err(|_| Malformed::IcmpLength)?;
    Ok(pseudo_header(src, dst, Protocol::ICMPV6, len))
}

impl UnreachableCode {
    fn from_v4(code: u8) -> UnreachableCode {
        match code {
            0 => UnreachableCode::Net,
            1 => UnreachableCode::Host,
            2 => UnreachableCode::Protocol,
            3 => UnreachableCode::Port,
            5 => UnreachableCode::SourceRouteFailed,
            9 => UnreachableCode::NetProhibited,
            10 => UnreachableCode::HostProhibited,
            13 => UnreachableCode::AdminProhibited,
            other => UnreachableCode::Other(other),
        }
    }

    fn from_v6(code: u8) -> UnreachableCode {
        match code {
            0 => UnreachableCode::NoRoute,
            1 => UnreachableCode::AdminProhibited,
            2 => UnreachableCode::BeyondScope,
            3 => UnreachableCode::AddressUnreachable,
            4 => UnreachableCode::Port,
            5 => UnreachableCode::SourcePolicy,
            6 => UnreachableCode::RejectRoute,
            other => UnreachableCode::Other(other),
        }
    }
}

impl Quoted {
    /// Reads a quote, which is cut short as a rule: its length fields are told, not trusted. Needs
    /// the first 8 bytes of the transport header, so a fragment gives `None`.
    // Implements: H-48
    fn parse_v4(quote: &[u8]) -> Option<Quoted> {
        let view = Ipv4Packet::new(quote)?;
        let header_len = usize::from(view.get_header_length()) * 4;
        let whole =
            view.get_fragment_offset() == 0 && view.get_flags() & Ipv4Flags::MoreFragments == 0;
        if view.get_version() != 4 || header_len < ipv4::HEADER_LEN || !whole {
            return None;
        }
        Self::with_transport(
            quote.get(header_len..)?,
            IpAddr::V4(view.get_source()),
            IpAddr::V4(view.get_destination()),
            Protocol(view.get_next_level_protocol().0),
            usize::from(view.get_total_length()),
        )
    }

    fn parse_v6(quote: &[u8]) -> Option<Quoted> {
        let view = Ipv6Packet::new(quote)?;
        let body = quote.get(ipv6::HEADER_LEN..)?;
        if view.get_version() != 6 {
            return None;
        }
        let first = view.get_next_header().0;
        let chain = ipv6::Chain::walk(first, body, ipv6::Purpose::Receive).ok()?;
        if chain.fragment.is_some() {
            return None;
        }
        Self::with_transport(
            body.get(chain.len..)?,
            IpAddr::V6(view.get_source()),
            IpAddr::V6(view.get_destination()),
            chain.protocol,
            ipv6::HEADER_LEN + usize::from(view.get_payload_length()),
        )
    }

    fn with_transport(
        transport: &[u8],
        src: IpAddr,
        dst: IpAddr,
        protocol: Protocol,
        total_length: usize,
    ) -> Option<Quoted> {
        let &[a, b, c, d, e, f, g, h] = transport.first_chunk::<8>()?;
        Some(Quoted {
            src,
            dst,
            protocol,
            src_port: u16::from_be_bytes([a, b]),
            dst_port: u16::from_be_bytes([c, d]),
            seq: SeqNumber(u32::from_be_bytes([e, f, g, h])),
            total_length,
        })
    }
}
