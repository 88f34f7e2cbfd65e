//! The IPv6 header and its extension headers, RFC 8200 sections 3 and 4.
//!
//! Owns the layout and the bounded walk over the chain. The walk ends at the first header that is
//! not an extension (the upper layer), or at a fragment header of a packet that is really in
//! pieces: what lies behind that one has to be put together first. Jumbograms (RFC 2675) are not
//! taken: their option is unknown here and asks to be dropped.

use crate::Malformed;
use crate::ip::{Ecn, Fragment, IpHeader, MAX_LENGTH, ParsedIp, Protocol};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv6::{
    ExtensionPacket, FragmentPacket, Ipv6Packet, MutableIpv6Packet, RoutingPacket,
};
use std::net::{IpAddr, Ipv6Addr};

/// The fixed header.
pub const HEADER_LEN: usize = 40;

/// Extension headers that are walked before the packet is refused. RFC 8200 section 4.1 recommends
/// an order with at most seven.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Bytes of extension headers that are walked before the packet is refused.
pub const MAX_EXTENSION_BYTES: usize = 256;

const NEXT_HEADER_AT: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// What a packet is read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To act on it: what a receiver has to discard is refused.
    Receive,
    /// To say something about it, discarded or not: only the layout has to be right.
    Report,
}

// Implements: RFC8200 s3
pub(crate) fn parse(packet: &[u8], purpose: Purpose) -> Result<ParsedIp, Malformed> {
    let view = Ipv6Packet::new(packet).ok_or(Malformed::Truncated)?;
    let end = HEADER_LEN + usize::from(view.get_payload_length());
    let body = packet.get(HEADER_LEN..end).ok_or(Malformed::TotalLength)?;
    let chain = Chain::walk(view.get_next_header().0, body, purpose)?;
    let traffic_class = view.get_traffic_class();
    if let (Some(fragment), Purpose::Receive) = (chain.fragment, purpose) {
        // The whole packet's payload length counts the headers before the fragment header as well.
        let unfragmentable = chain.len - FragmentPacket::minimum_packet_size();
        fragment.check(body.len() - chain.len, MAX_LENGTH - unfragmentable)?;
    }
    Ok(ParsedIp {
        header: IpHeader {
            src: IpAddr::V6(view.get_source()),
            dst: IpAddr::V6(view.get_destination()),
            protocol: chain.protocol,
            hop_limit: view.get_hop_limit(),
            dscp: traffic_class >> 2,
            ecn: Ecn::from_bits(traffic_class),
            identification: 0,
            dont_fragment: true,
            flow_label: view.get_flow_label(),
        },
        payload: HEADER_LEN + chain.len..end,
        fragment: chain.fragment,
        has_options: chain.len > 0,
        source_routed: chain.source_routed,
    })
}

pub(crate) fn emit(
    header: &IpHeader,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    payload_len: usize,
    buffer: &mut [u8],
) {
    let payload_len = u16::try_from(payload_len)
        .expect("an IPv6 packet is no longer than its payload length can say");
    let buffer = &mut buffer[..HEADER_LEN];
    buffer.fill(0);
    let mut view = MutableIpv6Packet::new(buffer).expect("the buffer holds an IPv6 header");
    view.set_version(6);
    view.set_traffic_class(header.dscp << 2 | header.ecn.bits());
    view.set_flow_label(header.flow_label);
    view.set_payload_length(payload_len);
    view.set_next_header(IpNextHeaderProtocol(header.protocol.0));
    view.set_hop_limit(header.hop_limit);
    view.set_source(src);
    view.set_destination(dst);
}

/// What the extension headers say together.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Their length in bytes.
    pub(crate) len: usize,
    pub(crate) protocol: Protocol,
    /// Where in the packet, counted from the IPv6 header, the number of that protocol stands: what
    /// an ICMPv6 "unrecognized next header" points at.
    pub(crate) protocol_at: usize,
    pub(crate) fragment: Option<Fragment>,
    pub(crate) source_routed: bool,
}

impl Chain {
    fn begin(first: u8) -> Chain {
        Chain {
            len: 0,
            protocol: Protocol(first),
            protocol_at: NEXT_HEADER_AT,
            fragment: None,
            source_routed: false,
        }
    }

    /// Walks from `first`, the next header of the IPv6 header, over `body`, everything behind that
    /// header.
    // Implements: RFC8200 s4a, RFC8200 s4.4, RFC8200 s4.5d, H-53
    pub(crate) fn walk(first: u8, body: &[u8], purpose: Purpose) -> Result<Chain, Malformed> {
        let mut chain = Chain::begin(first);
        let mut headers = 0;
        while is_extension(chain.protocol) && chain.fragment.is_none() {
            headers += 1;
            if headers > MAX_EXTENSION_HEADERS {
                return Err(Malformed::ExtensionHeaders);
            }
            chain.step(body, purpose)?;
        }
        Ok(chain)
    }

    fn step(&mut self, body: &[u8], purpose: Purpose) -> Result<(), Malformed> {
        let rest = body.get(self.len..).ok_or(Malformed::ExtensionHeaders)?;
        let view = ExtensionPacket::new(rest).ok_or(Malformed::ExtensionHeaders)?;
        let length = match self.protocol.0 {
            // The byte that is a length elsewhere is reserved in the fragment header.
            FRAGMENT => FragmentPacket::minimum_packet_size(),
            _ => (usize::from(view.get_hdr_ext_len()) + 1) * 8,
        };
        let header = rest.get(..length).ok_or(Malformed::ExtensionHeaders)?;
        if self.len + length > MAX_EXTENSION_BYTES {
            return Err(Malformed::ExtensionHeaders);
        }
        if purpose == Purpose::Receive {
            self.check(header)?;
        }
        match self.protocol.0 {
            ROUTING => self.source_routed |= route(header)? == Route::Type0,
            FRAGMENT => self.fragment = fragment(header)?,
            _ => {}
        }
        self.protocol_at = HEADER_LEN + self.len;
        self.protocol = Protocol(view.get_next_header().0);
        self.len += length;
        Ok(())
    }

    /// Whether `header`, the next one, leaves the packet fit to be received.
    fn check(&self, header: &[u8]) -> Result<(), Malformed> {
        match self.protocol.0 {
            HOP_BY_HOP if self.len != 0 => Err(Malformed::ExtensionOrder),
            HOP_BY_HOP | DESTINATION_OPTIONS => check_options(header.get(2..).unwrap_or_default()),
            ROUTING if route(header)? == Route::Unknown => Err(Malformed::RoutingHeader),
            _ => Ok(()),
        }
    }
}

fn is_extension(protocol: Protocol) -> bool {
    matches!(protocol.0, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// Options are skipped by their length; the two top bits of an unknown type say whether it may be.
// Implements: RFC8200 s4.2
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    const PAD_1: u8 = 0;

    loop {
        options = match options {
            [] => return Ok(()),
            [PAD_1, rest @ ..] => rest,
            [_] => return Err(Malformed::ExtensionHeaders),
            [kind, length, rest @ ..] => {
                if kind >> 6 != 0 {
                    return Err(Malformed::ExtensionOption);
                }
                rest.get(usize::from(*length)..).ok_or(Malformed::ExtensionHeaders)?
            }
        }
    }
}

/// What a routing header asks of the node that the packet was sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Route {
    /// Nothing: no segments are left, so a header of any type is passed over.
    Ends,
    /// To send the packet on by the sender's list. RFC 5095 deprecates it; whether the packet is
    /// dropped and how that is counted is the stack's to say, as with an IPv4 source route.
    Type0,
    /// Something that is not known here.
    Unknown,
}

fn route(header: &[u8]) -> Result<Route, Malformed> {
    let view = RoutingPacket::new(header).ok_or(Malformed::ExtensionHeaders)?;
    Ok(match (view.get_routing_type(), view.get_segments_left()) {
        (_, 0) => Route::Ends,
        (0, _) => Route::Type0,
        _ => Route::Unknown,
    })
}

fn fragment(header: &[u8]) -> Result<Option<Fragment>, Malformed> {
    const MORE: u16 = 0b1;
    // The offset counts units of 8 bytes and stands above 3 bits of flags: masked, it is in bytes.
    // The view's own mask for it is one bit too wide, so the field is taken whole.
    const OFFSET: u16 = !0b111;

    let view = FragmentPacket::new(header).ok_or(Malformed::ExtensionHeaders)?;
    let field = view.get_fragment_offset_with_flags();
    let fragment = Fragment {
        offset: usize::from(field & OFFSET),
        more: field & MORE != 0,
        identification: view.get_id(),
    };
    Ok((fragment.offset != 0 || fragment.more).then_some(fragment))
}

/// What RFC 8200 has a destination report of the extension headers that it refuses: the code of the
/// parameter problem, and where in the packet the trouble is. `None` if there is none to report.
// Implements: RFC8200 s4a, RFC8200 s4.2, RFC8200 s4.4, RFC8200 s4.5b
pub(crate) fn problem(packet: &[u8]) -> Option<(u8, u32)> {
    /// Codes of "parameter problem".
    const ERRONEOUS_FIELD: u8 = 0;
    const UNRECOGNIZED_NEXT_HEADER: u8 = 1;
    const UNRECOGNIZED_OPTION: u8 = 2;
    const PAYLOAD_LENGTH_AT: usize = 4;
    const ROUTING_TYPE: usize = 2;
    const FRAGMENT_OFFSET: usize = 2;

    let view = Ipv6Packet::new(packet)?;
    let end = HEADER_LEN + usize::from(view.get_payload_length());
    let body = packet.get(HEADER_LEN..end)?;
    let mut chain = Chain::begin(view.get_next_header().0);
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !is_extension(chain.protocol) {
            return None;
        }
        let (at, number_at) = (HEADER_LEN + chain.len, chain.protocol_at);
        let step = chain.step(body, Purpose::Receive);
        let (code, pointer) = match step {
            Ok(()) if chain.source_routed => (ERRONEOUS_FIELD, at + ROUTING_TYPE),
            Ok(()) => {
                let Some(fragment) = chain.fragment else { continue };
                let unfragmentable = chain.len - FragmentPacket::minimum_packet_size();
                let limit = MAX_LENGTH - unfragmentable;
                match fragment.check(body.len() - chain.len, limit) {
                    Err(Malformed::FragmentLength) => (ERRONEOUS_FIELD, PAYLOAD_LENGTH_AT),
                    Err(Malformed::FragmentOffset) => (ERRONEOUS_FIELD, at + FRAGMENT_OFFSET),
                    _ => return None,
                }
            }
            Err(Malformed::ExtensionOrder) => (UNRECOGNIZED_NEXT_HEADER, number_at),
            Err(Malformed::RoutingHeader) => (ERRONEOUS_FIELD, at + ROUTING_TYPE),
            Err(Malformed::ExtensionOption) => {
                let (option, kind) = refused_option(packet.get(at + 2..)?)?;
                // 01: discarded, and nobody is told.
                if kind >> 6 == 0b01 {
                    return None;
                }
                (UNRECOGNIZED_OPTION, at + 2 + option)
            }
            Err(_) => return None,
        };
        return u32::try_from(pointer).ok().map(|pointer| (code, pointer));
    }
    None
}

/// Where the first option stands that may not be skipped, and its type.
fn refused_option(options: &[u8]) -> Option<(usize, u8)> {
    let mut at = 0;
    loop {
        match options.get(at..)? {
            [kind, ..] if kind >> 6 != 0 => return Some((at, *kind)),
            [0, ..] => at += 1,
            [_, length, ..] => at += 2 + usize::from(*length),
            _ => return None,
        }
    }
}

/// Where in the packet the number of its upper protocol stands: what an "unrecognized next header"
/// points at. Of a packet that cannot be walked, the field in the IPv6 header.
pub(crate) fn upper_protocol_at(packet: &[u8]) -> usize {
    let chain = Ipv6Packet::new(packet).and_then(|view| {
        let body = packet.get(HEADER_LEN..)?;
        Chain::walk(view.get_next_header().0, body, Purpose::Report).ok()
    });
    chain.map_or(NEXT_HEADER_AT, |chain| chain.protocol_at)
}
