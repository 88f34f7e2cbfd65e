//! Checked codecs for IPv4, IPv6, ICMP and TCP: bytes to values and back.
//!
//! There is no state in here and no time. Every protocol has a value (`Repr` in the words of
//! smoltcp, whose model this is) with `parse(&[u8]) -> Result<_, Malformed>` and `emit(&self, ..,
//! &mut [u8])`. `parse` answers a [`Malformed`] for anything it cannot accept and never panics,
//! whatever the bytes; `emit` writes exactly the length that the value announces.
//!
//! Fixed fields are read and written through the views of `pnet_packet`. Length checks, the walk
//! over TCP options, over IPv4 options and over IPv6 extension headers, and checksums are this
//! crate's own: the views clip a length that does not fit where a receiver has to refuse it.
//!
//! What a value *means* is left to others: no window is scaled here, no acknowledgement judged, no
//! fragment put together, no error answered.
//!
//! # Examples
//!
//! ```
//! use std::net::{IpAddr, Ipv4Addr};
//! use towpath_wire::ip::{Ecn, HeaderChecksum};
//! use towpath_wire::tcp::{ChecksumEmit, ChecksumState, Flags, Options, Segment};
//! use towpath_wire::{IpHeader, Malformed, Protocol, SeqNumber};
//!
//! # fn main() -> Result<(), Malformed> {
//! let src = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
//! let dst = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
//! let segment = Segment {
//!     src_port: 40_000,
//!     dst_port: 80,
//!     seq: SeqNumber(1),
//!     ack: SeqNumber(9),
//!     flags: Flags::ACK | Flags::PSH,
//!     window: 502,
//!     urgent: 0,
//!     options: Options::default(),
//! };
//! let payload = b"GET / HTTP/1.0\r\n\r\n".as_slice();
//! let ip = IpHeader {
//!     src,
//!     dst,
//!     protocol: Protocol::TCP,
//!     hop_limit: 64,
//!     dscp: 0,
//!     ecn: Ecn::NotEct,
//!     identification: 0,
//!     dont_fragment: true,
//!     flow_label: 0,
//! };
//!
//! let (ip_len, tcp_len) = (ip.header_len(), segment.header_len());
//! let mut packet = vec![0; ip_len + tcp_len];
//! ip.emit(tcp_len + payload.len(), &mut packet);
//! segment.emit(src, dst, [payload], payload.len(), ChecksumEmit::Full, &mut packet[ip_len..]);
//! packet.extend_from_slice(payload);
//!
//! let parsed = IpHeader::parse(&packet, HeaderChecksum::Verify)?;
//! assert_eq!(parsed.header, ip);
//! let upper = &packet[parsed.payload];
//! let (seen, data_at) = Segment::parse(upper, src, dst, ChecksumState::Verify)?;
//! assert_eq!(seen, segment);
//! assert_eq!(&upper[data_at..], payload);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod checksum;
pub mod error;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod seq;
pub mod tcp;

pub use error::Malformed;
pub use ip::{IpHeader, Protocol};
pub use seq::SeqNumber;
