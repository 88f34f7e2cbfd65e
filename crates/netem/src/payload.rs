//! What a link needs to know of the packets that it carries.

use bytes::{Bytes, BytesMut};

/// A packet that a [`Link`](crate::Link) can carry.
///
/// The last two methods are for stages that look at IP headers: marks, and what strikes or holds
/// pure acknowledgments. Without them, and for bytes that are not IP, those stages match nothing.
pub trait Payload {
    /// Length on the wire, in bytes.
    fn len(&self) -> usize;

    /// Whether the packet has no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns over one bit: bit `bit_index % 8` (0 is the most significant) of byte
    /// `bit_index / 8`. An index behind the end changes nothing.
    fn flip_bit(&mut self, bit_index: usize);

    /// A second packet of the same contents, independent of the first.
    fn duplicate(&self) -> Self;

    /// The packet's bytes from its IP header on, if it has any.
    fn ip_packet(&self) -> Option<&[u8]> {
        None
    }

    /// Writes `bytes` over those at `offset` of [`ip_packet`](Self::ip_packet). What is behind the
    /// end is left out.
    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        let _ = (offset, bytes);
    }
}

impl Payload for Vec<u8> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn flip_bit(&mut self, bit_index: usize) {
        flip(self, bit_index);
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn ip_packet(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        write_over(self, offset, bytes);
    }
}

impl Payload for BytesMut {
    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn flip_bit(&mut self, bit_index: usize) {
        flip(self, bit_index);
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn ip_packet(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        write_over(self, offset, bytes);
    }
}

/// Shared bytes: a duplicate shares them, and only the one that is changed is copied.
impl Payload for Bytes {
    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn flip_bit(&mut self, bit_index: usize) {
        let mut own = BytesMut::from(std::mem::take(self));
        flip(&mut own, bit_index);
        *self = own.freeze();
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn ip_packet(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        let mut own = BytesMut::from(std::mem::take(self));
        write_over(&mut own, offset, bytes);
        *self = own.freeze();
    }
}

fn flip(bytes: &mut [u8], bit_index: usize) {
    if let Some(byte) = bytes.get_mut(bit_index / 8) {
        *byte ^= 0x80 >> (bit_index % 8);
    }
}

fn write_over(packet: &mut [u8], offset: usize, bytes: &[u8]) {
    for (byte, new) in packet.iter_mut().skip(offset).zip(bytes) {
        *byte = *new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_bit_differs(mut packet: impl Payload + AsRef<[u8]>) {
        let before = packet.as_ref().to_vec();
        let copy = packet.duplicate();
        packet.flip_bit(9);
        assert_eq!(packet.as_ref(), [before[0], before[1] ^ 0x40, before[2]]);
        assert_eq!(copy.as_ref(), before, "the duplicate does not share what was corrupted");
        packet.flip_bit(9);
        assert_eq!(packet.as_ref(), before);
        packet.flip_bit(24);
        assert_eq!(packet.as_ref(), before, "a bit behind the end is left alone");
    }

    fn bytes_are_written_over(mut packet: impl Payload + AsRef<[u8]>) {
        let copy = packet.duplicate();
        packet.overwrite(1, &[7]);
        assert_eq!(packet.ip_packet(), Some(&[1, 7, 3][..]));
        assert_eq!(copy.as_ref(), [1, 2, 3], "the duplicate does not share what was changed");
        packet.overwrite(2, &[8, 9]);
        packet.overwrite(usize::MAX, &[9]);
        assert_eq!(packet.as_ref(), [1, 7, 8], "what is behind the end is left out");
    }

    #[test]
    fn writing_over_bytes_changes_this_packet_only() {
        bytes_are_written_over(vec![1, 2, 3]);
        bytes_are_written_over(BytesMut::from(&[1, 2, 3][..]));
        bytes_are_written_over(Bytes::from(vec![1, 2, 3]));
    }

    #[test]
    fn flipping_a_bit_changes_this_packet_only() {
        one_bit_differs(vec![1, 2, 3]);
        one_bit_differs(BytesMut::from(&[1, 2, 3][..]));
        one_bit_differs(Bytes::from(vec![1, 2, 3]));
    }
}
