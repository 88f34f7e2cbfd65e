//! The bytes of packets that a script sends to the stack: headers as they are written, wrong ones
//! too; what is not written is filled in, checksums among it.

use core::net::IpAddr;

use bytes::Bytes;
use towpath_wire::checksum::{Sum, pseudo_header};
use towpath_wire::ip::Ecn;
use towpath_wire::{IpHeader, Protocol};

use super::live::{Counting, Live, Scaled, Side};
use super::options::encode;
use crate::drill::ast::{Icmp, IpInfo, Options, Quoted, Tcp, Tos};
use crate::drill::verdict::Stop;

/// The TTL of what a script sends, where it does not say.
const TTL: u8 = 255;

const TCP_HEADER_LEN: usize = 20;

/// A TCP segment from the peer.
///
/// # Errors
///
/// An echo that cannot be translated, more bytes than an IP packet has.
pub(super) fn tcp(ip: &IpInfo, tcp: &Tcp, live: &Live, scaled: Scaled) -> Result<Bytes, Stop> {
    let counting = Counting::of_segment(tcp.flags.syn);
    let options = match &tcp.options {
        Options::None => Vec::new(),
        Options::Any => return Err(Stop::fail("<...> says nothing about what to send")),
        Options::List(list) => encode(&live.options_to_wire(list, scaled).map_err(Stop::Fail)?),
    };
    if options.len() % 4 != 0 || options.len() > 40 {
        return Err(Stop::fail("the options are not a multiple of 4 bytes, or more than 40"));
    }
    let seq = live.to_wire(Side::Remote, counting, tcp.seq);
    // A number counts as the script counts where ACK says that it means something; none is 0.
    let ack = tcp.ack.unwrap_or(0);
    let ack = if tcp.flags.ack { live.to_wire(Side::Local, counting, ack) } else { ack };
    let header_words = (TCP_HEADER_LEN + options.len()) / 4;
    let flags = tcp.flags;
    let low = [flags.fin, flags.syn, flags.rst, flags.psh, flags.ack, flags.urg];
    let low = low.iter().enumerate().fold(0, |bits, (place, set)| bits | u8::from(*set) << place);

    let mut segment = Vec::with_capacity(header_words * 4 + tcp.len as usize);
    segment.extend(live.remote.port().to_be_bytes());
    segment.extend(live.local.port().to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.push(u8::try_from(header_words << 4).unwrap_or(u8::MAX) | flags.ace >> 2);
    segment.push(low | (flags.ace & 0b11) << 6);
    segment.extend(tcp.window.unwrap_or(0).to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(tcp.urgent.unwrap_or(0).to_be_bytes());
    segment.extend(options);
    segment.resize(header_words * 4 + tcp.len as usize, 0);
    packet(ip, live.remote.ip(), live.local.ip(), Protocol::TCP, segment, 16)
}

/// An IP packet around `upper`, whose checksum field stands at `checksum_at`.
fn packet(
    info: &IpInfo,
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    mut upper: Vec<u8>,
    checksum_at: usize,
) -> Result<Bytes, Stop> {
    let tos = match info.tos {
        None => 0,
        Some(Tos::Ecn(bits)) => bits,
        Some(Tos::Byte(byte)) => byte,
        Some(Tos::EitherEct) => return Err(Stop::fail("ect01 says nothing about what to send")),
    };
    let ip = IpHeader {
        hop_limit: info.ttl.unwrap_or(TTL),
        dscp: tos >> 2,
        ecn: Ecn::from_bits(tos & 0b11),
        flow_label: info.flow_label.unwrap_or(0),
        ..header(src, dst, protocol)
    };
    let limit = if src.is_ipv4() { 65_535 - ip.header_len() } else { 65_535 };
    if upper.len() > limit {
        return Err(Stop::fail(format!("{} bytes do not fit an IP packet", upper.len())));
    }
    let len = u32::try_from(upper.len()).unwrap_or(u32::MAX);
    let sum = if protocol == Protocol::ICMP {
        Sum::new()
    } else {
        pseudo_header(src, dst, protocol, len)
    };
    let sum = sum.add_bytes(&upper).finish();
    upper[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(upper.len(), &mut bytes);
    bytes.extend(upper);
    Ok(bytes.into())
}

fn header(src: IpAddr, dst: IpAddr, protocol: Protocol) -> IpHeader {
    IpHeader {
        src,
        dst,
        protocol,
        hop_limit: 64,
        dscp: 0,
        ecn: Ecn::NotEct,
        identification: 0,
        dont_fragment: false,
        flow_label: 0,
    }
}

/// An ICMP message from the peer's address, about a packet of the stack's if one is quoted.
///
/// # Errors
///
/// A type or code that the family does not have.
pub(super) fn icmp(info: &IpInfo, icmp: &Icmp, live: &Live) -> Result<Bytes, Stop> {
    let v4 = live.local.is_ipv4();
    let kinds = if v4 { V4_KINDS } else { V6_KINDS };
    let unknown = |what: &str| Stop::fail(format!("no ICMP {what} of this family"));
    let named = kinds.iter().find(|(name, ..)| *name == icmp.kind);
    let (kind, codes) = match (named, numbered(&icmp.kind, "type_")) {
        (Some((_, kind, codes)), _) => (*kind, *codes),
        (None, Some(kind)) => (kind, NO_CODES),
        (None, None) => return Err(unknown(&format!("type {}", icmp.kind))),
    };
    let code = match &icmp.code {
        None => 0,
        Some(word) => match codes.iter().position(|name| *name == word) {
            Some(place) => u8::try_from(place).unwrap_or(u8::MAX),
            None => numbered(word, "code_")
                .or_else(|| word.parse().ok())
                .ok_or_else(|| unknown(&format!("code {word}")))?,
        },
    };
    let half = |number: Option<u32>| u16::try_from(number.unwrap_or(0)).unwrap_or(u16::MAX);
    let rest = match (icmp.id, icmp.mtu) {
        (Some(id), _) => u32::from(half(Some(id))) << 16,
        (None, mtu) if v4 => u32::from(half(mtu)),
        (None, mtu) => mtu.unwrap_or(0),
    };
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    if let Some(quoted) = &icmp.quoted {
        message.extend(quote(quoted, live));
    }
    let protocol = if v4 { Protocol::ICMP } else { Protocol::ICMPV6 };
    packet(info, live.remote.ip(), live.local.ip(), protocol, message, 2)
}

/// The head of a packet that the stack has sent, as routers quote it: IP header and eight bytes.
fn quote(quoted: &Quoted, live: &Live) -> Vec<u8> {
    let (local, remote) = (live.local, live.remote);
    let (protocol, fixed, len) = match quoted {
        Quoted::Tcp { len, .. } => (Protocol::TCP, TCP_HEADER_LEN, *len),
        Quoted::Udp(len) => (Protocol(17), 8, *len),
        Quoted::Raw(len) => (Protocol(255), 0, *len),
    };
    let ip = header(local.ip(), remote.ip(), protocol);
    let mut bytes = vec![0; ip.header_len()];
    ip.emit(fixed + len as usize, &mut bytes);
    match quoted {
        Quoted::Tcp { seq, .. } => {
            bytes.extend(local.port().to_be_bytes());
            bytes.extend(remote.port().to_be_bytes());
            let seq = live.to_wire(Side::Local, Counting::Relative, *seq);
            bytes.extend(seq.to_be_bytes());
        }
        Quoted::Udp(len) => {
            bytes.extend(local.port().to_be_bytes());
            bytes.extend(remote.port().to_be_bytes());
            bytes.extend(u16::try_from(len + 8).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend([0, 0]);
        }
        Quoted::Raw(_) => bytes.extend([0; 8]),
    }
    bytes
}

/// `type_17` or `code_3`.
fn numbered(word: &str, prefix: &str) -> Option<u8> {
    word.strip_prefix(prefix)?.parse().ok()
}

const NO_CODES: &[&str] = &[];

/// The words for a type, its number, and the words for its codes from 0 on.
type Kind = (&'static str, u8, &'static [&'static str]);

/// RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
const V4_KINDS: &[Kind] = &[
    ("echo_reply", 0, &[]),
    (
        "unreachable",
        3,
        &[
            "net_unreachable",
            "host_unreachable",
            "protocol_unreachable",
            "port_unreachable",
            "frag_needed",
            "source_route_failed",
            "net_unknown",
            "host_unknown",
            "source_host_isolated",
            "net_prohibited",
            "host_prohibited",
            "net_unreachable_for_tos",
            "host_unreachable_for_tos",
            "packet_filtered",
            "precedence_violation",
            "precedence_cutoff",
        ],
    ),
    ("source_quench", 4, &[]),
    ("redirect", 5, &[]),
    ("echo_request", 8, &[]),
    ("time_exceeded", 11, &["exceeded_ttl", "exceeded_fragment_reassembly_time"]),
    ("parameter_problem", 12, &[]),
    ("timestamp_request", 13, &[]),
    ("timestamp_reply", 14, &[]),
    ("information_request", 15, &[]),
    ("information_reply", 16, &[]),
    ("address_mask_request", 17, &[]),
    ("address_mask_reply", 18, &[]),
];

/// RFC 4443.
const V6_KINDS: &[Kind] = &[
    (
        "unreachable",
        1,
        &[
            "no_route",
            "admin_prohibited",
            "beyond_scope",
            "address_unreachable",
            "port_unreachable",
            "ingress_egress_policy",
            "reject_route",
        ],
    ),
    ("packet_too_big", 2, &[]),
    ("time_exceeded", 3, &["exceeded_hop_limit", "exceeded_fragment_reassembly_time"]),
    ("parameter_problem", 4, &["header_field", "next_header", "option"]),
    ("echo_request", 128, &[]),
    ("echo_reply", 129, &[]),
];
