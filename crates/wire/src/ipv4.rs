//! The IPv4 header, RFC 791 section 3.1, with RFC 2474's and RFC 3168's reading of the TOS byte.
//!
//! Owns the layout and the length checks. Options are walked only to find illegal lengths and
//! source routes; none is acted on and none is ever written.

use crate::Malformed;
use crate::checksum::Sum;
use crate::ip::{Ecn, Fragment, HeaderChecksum, IpHeader, MAX_LENGTH, ParsedIp, Protocol};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet, MutableIpv4Packet};
use std::net::{IpAddr, Ipv4Addr};

/// A header without options.
pub const HEADER_LEN: usize = 20;

// Implements: RFC791 s3.1a, RFC791 s3.1b, RFC2474/3168, H-17
pub(crate) fn parse(packet: &[u8], verify: HeaderChecksum) -> Result<ParsedIp, Malformed> {
    let view = Ipv4Packet::new(packet).ok_or(Malformed::Truncated)?;
    let header_len = usize::from(view.get_header_length()) * 4;
    let total_len = usize::from(view.get_total_length());
    if total_len > packet.len() {
        return Err(Malformed::TotalLength);
    }
    if header_len < HEADER_LEN || header_len > total_len {
        return Err(Malformed::HeaderLength);
    }
    let header = packet.get(..header_len).ok_or(Malformed::HeaderLength)?;
    if verify == HeaderChecksum::Verify && !Sum::new().add_bytes(header).is_intact() {
        return Err(Malformed::HeaderChecksum);
    }
    let source_routed = has_source_route(header.get(HEADER_LEN..).unwrap_or_default())?;
    Ok(ParsedIp {
        header: IpHeader {
            src: IpAddr::V4(view.get_source()),
            dst: IpAddr::V4(view.get_destination()),
            protocol: Protocol(view.get_next_level_protocol().0),
            hop_limit: view.get_ttl(),
            dscp: view.get_dscp(),
            ecn: Ecn::from_bits(view.get_ecn()),
            identification: view.get_identification(),
            dont_fragment: view.get_flags() & Ipv4Flags::DontFragment != 0,
            flow_label: 0,
        },
        payload: header_len..total_len,
        fragment: fragment(&view, header_len, total_len)?,
        has_options: header_len > HEADER_LEN,
        source_routed,
    })
}

pub(crate) fn emit(
    header: &IpHeader,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    payload_len: usize,
    buffer: &mut [u8],
) {
    let total_len = u16::try_from(HEADER_LEN + payload_len)
        .expect("an IPv4 packet is no longer than its total length can say");
    let buffer = &mut buffer[..HEADER_LEN];
    buffer.fill(0);
    let mut view = MutableIpv4Packet::new(buffer).expect("the buffer holds an IPv4 header");
    view.set_version(4);
    view.set_header_length((HEADER_LEN / 4) as u8);
    view.set_dscp(header.dscp);
    view.set_ecn(header.ecn.bits());
    view.set_total_length(total_len);
    view.set_identification(header.identification);
    view.set_flags(if header.dont_fragment { Ipv4Flags::DontFragment } else { 0 });
    view.set_ttl(header.hop_limit);
    view.set_next_level_protocol(IpNextHeaderProtocol(header.protocol.0));
    view.set_source(src);
    view.set_destination(dst);
    let checksum = Sum::new().add_bytes(buffer).finish();
    MutableIpv4Packet::new(buffer).expect("the buffer holds an IPv4 header").set_checksum(checksum);
}

fn fragment(
    view: &Ipv4Packet<'_>,
    header_len: usize,
    total_len: usize,
) -> Result<Option<Fragment>, Malformed> {
    let fragment = Fragment {
        offset: usize::from(view.get_fragment_offset()) * 8,
        more: view.get_flags() & Ipv4Flags::MoreFragments != 0,
        identification: u32::from(view.get_identification()),
    };
    if fragment.offset == 0 && !fragment.more {
        return Ok(None);
    }
    fragment.check(total_len - header_len, MAX_LENGTH - header_len)?;
    Ok(Some(fragment))
}

/// Walks the options for a loose or strict source route.
///
/// An impossible length refuses the packet, as Linux does, rather than end the walk: what lies
/// behind it, a source route perhaps, is unknown.
// Implements: RFC791 s3.1d, H-54
fn has_source_route(mut options: &[u8]) -> Result<bool, Malformed> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;

    let mut found = false;
    loop {
        options = match options {
            [] | [END, ..] => return Ok(found),
            [NO_OPERATION, rest @ ..] => rest,
            [_] => return Err(Malformed::Ipv4Options),
            [kind, length, ..] => {
                if *length < 2 {
                    return Err(Malformed::Ipv4Options);
                }
                found |= matches!(*kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE);
                options.get(usize::from(*length)..).ok_or(Malformed::Ipv4Options)?
            }
        }
    }
}
