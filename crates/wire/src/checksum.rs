//! The Internet checksum, RFC 1071, and the pseudo-headers of RFC 9293 section 3.1 and RFC 8200
//! section 8.1.
//!
//! The sum is kept in the machine's own byte order, as 32-bit words in independent 64-bit lanes,
//! and is turned into network order once at the end (RFC 1071 section 2 B): safe code that the
//! compiler vectorises.

use crate::Protocol;
use std::net::IpAddr;

/// Bytes taken at a step: [`LANES`] words of 32 bits.
const BLOCK: usize = LANES * 4;
const LANES: usize = 16;

/// A running one's-complement sum.
///
/// Pieces are added in the order of the packet and may have any length: the sum knows whether the
/// bytes so far are odd in number.
///
/// # Examples
///
/// ```
/// use towpath_wire::checksum::Sum;
///
/// let whole = Sum::new().add_bytes(&[0x45, 0x00, 0x12, 0x34]);
/// let pieces = Sum::new().add_bytes(&[0x45]).add_bytes(&[0x00, 0x12]).add_bytes(&[0x34]);
/// assert_eq!(whole.folded(), 0x5734);
/// assert_eq!(whole.finish(), !0x5734);
/// assert_eq!(pieces.finish(), whole.finish());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// In the machine's byte order; below 2^33 after every step.
    native: u64,
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub fn new() -> Sum {
        Sum::default()
    }

    /// Adds a piece of the packet.
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Sum {
        // A piece that starts at an odd place has its halves swapped, and so has its sum (RFC 1071
        // section 2 A).
        let piece = fold_16(sum_native(bytes));
        let piece = if self.odd { piece.swap_bytes() } else { piece };
        Sum {
            native: fold_32(self.native + u64::from(piece)),
            odd: self.odd ^ (bytes.len() % 2 == 1),
        }
    }

    /// Adds a 16-bit field; the bytes so far must be even in number.
    #[must_use]
    pub fn add_u16(self, field: u16) -> Sum {
        debug_assert!(!self.odd, "a 16-bit field stands at an even place");
        Sum { native: fold_32(self.native + u64::from(field.to_be())), odd: self.odd }
    }

    /// The complemented sum: what the checksum field of a finished header holds.
    pub fn finish(self) -> u16 {
        !self.folded()
    }

    /// The sum, not complemented: what the field holds when a device completes the checksum.
    pub fn folded(self) -> u16 {
        u16::from_be(fold_16(self.native))
    }

    /// Whether a packet that was summed with its checksum field in place is intact.
    pub fn is_intact(self) -> bool {
        self.folded() == u16::MAX
    }
}

/// The sum of the pseudo-header that TCP, UDP and ICMPv6 put before their own bytes.
///
/// The IPv4 and the IPv6 form give the same sum for the same addresses and a length below 2^16,
/// because zero bytes add nothing. Both addresses are of one family; mixing them is a bug of the
/// caller, and no address is ever taken as an IPv4-mapped one.
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: Protocol, upper_length: u32) -> Sum {
    debug_assert_eq!(src.is_ipv4(), dst.is_ipv4(), "a packet has addresses of one family");
    let [a, b, c, d] = upper_length.to_be_bytes();
    add_address(add_address(Sum::new(), src), dst)
        .add_u16(u16::from_be_bytes([a, b]))
        .add_u16(u16::from_be_bytes([c, d]))
        .add_u16(u16::from(protocol.0))
}

fn add_address(sum: Sum, address: IpAddr) -> Sum {
    match address {
        IpAddr::V4(address) => sum.add_bytes(&address.octets()),
        IpAddr::V6(address) => sum.add_bytes(&address.octets()),
    }
}

/// The plain sum of the 32-bit words in memory order, below 2^33; an incomplete last word is padded
/// with zeros.
fn sum_native(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut total = if blocks.is_empty() { 0 } else { sum_blocks(blocks) };
    let (words, tail) = rest.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    fold_32(total + u64::from(u32::from_ne_bytes(last)))
}

fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let mut lanes = [0u64; LANES];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
            // A lane holds 2^32 words: it cannot overflow below a slice of 256 GiB.
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    lanes.into_iter().map(fold_32).sum()
}

/// End-around carry from 64 bits to at most 33.
fn fold_32(sum: u64) -> u64 {
    (sum & 0xFFFF_FFFF) + (sum >> 32)
}

/// End-around carry down to 16 bits. Never turns a sum that is not zero into zero.
fn fold_16(sum: u64) -> u16 {
    let sum = fold_32(sum);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::{Sum, pseudo_header};
    use crate::Protocol;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// RFC 1071 section 1, word by word as it is written there.
    fn as_in_the_rfc(bytes: &[u8]) -> u16 {
        let mut sum = 0u64;
        for pair in bytes.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn known_sums_come_out() {
        // Shows: H-56
        let rows: [(&str, &[u8], u16); 7] = [
            ("nothing", &[], 0x0000),
            ("RFC 1071 section 3", &[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7], 0xDDF2),
            ("zeros stay zero", &[0; 100], 0x0000),
            ("a sum of 0x10000 is 1", &[0xFF, 0xFF, 0x00, 0x01], 0x0001),
            ("a sum of 0xFFFF stays", &[0xFF, 0xFE, 0x00, 0x01], 0xFFFF),
            ("negative zero twice", &[0xFF; 4], 0xFFFF),
            ("an odd last byte is the high one", &[0x01, 0x02, 0x03], 0x0402),
        ];
        for (name, bytes, folded) in rows {
            let sum = Sum::new().add_bytes(bytes);
            assert_eq!(sum.folded(), folded, "{name}");
            assert_eq!(sum.finish(), !folded, "{name}");
        }
    }

    #[test]
    fn the_largest_packet_of_the_largest_bytes_does_not_overflow() {
        // Shows: H-56
        let bytes = vec![0xFF; 1 << 20];
        let sum = (0..64).fold(Sum::new(), |sum, _| sum.add_bytes(&bytes));
        assert_eq!(sum.folded(), 0xFFFF);
        assert_eq!(Sum::new().add_bytes(&bytes[1..]).folded(), as_in_the_rfc(&bytes[1..]));
    }

    #[test]
    fn the_pseudo_header_is_the_one_of_the_rfc() {
        // Shows: 9293 MUST-2, RFC8200 s8.1
        let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
        let mut bytes = Vec::from(src.octets());
        bytes.extend(dst.octets());
        bytes.extend([0, 6, 0x12, 0x34]);
        let sum = pseudo_header(IpAddr::V4(src), IpAddr::V4(dst), Protocol::TCP, 0x1234);
        assert_eq!(sum.folded(), as_in_the_rfc(&bytes));

        let (src, dst) = ("2001:db8::1".parse::<Ipv6Addr>(), "fe80::2:3".parse::<Ipv6Addr>());
        let (src, dst) = (src.expect("an address"), dst.expect("an address"));
        let mut bytes = Vec::from(src.octets());
        bytes.extend(dst.octets());
        bytes.extend([0, 1, 0x12, 0x34, 0, 0, 0, 58]);
        let sum = pseudo_header(IpAddr::V6(src), IpAddr::V6(dst), Protocol::ICMPV6, 0x0001_1234);
        assert_eq!(sum.folded(), as_in_the_rfc(&bytes));
    }

    proptest! {
        #[test]
        fn the_wide_sum_is_the_sum_of_the_rfc(
            bytes in vec(any::<u8>(), 0..3000), start in 0usize..9,
        ) {
            let bytes = bytes.get(start..).unwrap_or_default();
            prop_assert_eq!(Sum::new().add_bytes(bytes).folded(), as_in_the_rfc(bytes));
            prop_assert_eq!(
                Sum::new().add_bytes(bytes).folded(),
                smoltcp::wire::checksum::data(bytes),
            );
        }

        #[test]
        fn pnet_agrees_where_it_is_right(bytes in vec(any::<u8>(), 1..1500)) {
            // Its sum is wrong for odd lengths, and beyond 131 KB.
            let even = &bytes[..bytes.len() & !1];
            prop_assume!(!even.is_empty());
            // A word to skip that does not exist: every word counts.
            let theirs = pnet_packet::util::checksum(even, usize::MAX);
            prop_assert_eq!(Sum::new().add_bytes(even).finish(), theirs);
        }

        #[test]
        fn pieces_of_any_length_sum_to_the_whole(
            pieces in vec(vec(any::<u8>(), 0..200), 0..12),
        ) {
            let sum = pieces.iter().fold(Sum::new(), |sum, piece| sum.add_bytes(piece));
            prop_assert_eq!(sum.folded(), as_in_the_rfc(&pieces.concat()));
        }

        #[test]
        fn bytes_behind_their_own_checksum_are_intact_and_no_flipped_bit_is(
            mut bytes in vec(any::<u8>(), 2..200), bit: prop::sample::Index,
        ) {
            let [high, low] = Sum::new().add_bytes(&bytes[2..]).finish().to_be_bytes();
            (bytes[0], bytes[1]) = (high, low);
            prop_assert!(Sum::new().add_bytes(&bytes).is_intact());
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!Sum::new().add_bytes(&bytes).is_intact());
        }
    }
}
