//! Packets as they cross the edge between a stack and a device, and batches of them.
//!
//! An arriving packet is one contiguous [`Bytes`]. A departing packet is a small header, built in
//! place, and a list of reference-counted slices of payload, so that what the application wrote
//! is not copied again on its way out.
//!
//! The offload fields ([`RxPacket::gso_size`], [`TxPacket::gso`], the checksum states) speak the
//! language of the virtio-net header. A device without offload never sets them and is never
//! handed them.

use std::collections::VecDeque;
use std::io::IoSlice;

use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};

/// Room for the headers of a departing packet, in bytes: the largest IPv4 (60) and TCP (60)
/// headers, rounded up.
pub const TX_HEADER_BYTES: usize = 128;

/// The most payload slices that a departing packet has.
pub const TX_PAYLOAD_SLICES: usize = 32;

/// A packet that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxPacket {
    /// The whole IP packet.
    pub data: Bytes,
    /// What the device knows of the transport checksum.
    pub checksum: RxChecksum,
    /// Payload bytes per segment when the packet is a super-segment that the device joined; 0 for
    /// an ordinary packet.
    pub gso_size: u16,
}

impl RxPacket {
    /// An ordinary packet whose checksum nobody has looked at.
    #[must_use]
    pub const fn new(data: Bytes) -> Self {
        Self { data, checksum: RxChecksum::Unverified, gso_size: 0 }
    }
}

/// What a device knows of an arrived packet's transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: the stack verifies it.
    Unverified,
    /// The packet never left this machine or the device verified it; the checksum field may hold
    /// only a partial sum, so the stack must not look at it.
    Trusted,
}

/// Packets that arrived together, up to a limit that the stack sets.
#[derive(Debug)]
pub struct RxBatch {
    packets: Vec<RxPacket>,
    limit: usize,
}

impl RxBatch {
    /// An empty batch for at most `limit` packets.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { packets: Vec::with_capacity(limit.min(256)), limit }
    }

    /// How many more packets a device may push.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.packets.len())
    }

    /// Appends a packet. A device asks [`room`](RxBatch::room) first.
    pub fn push(&mut self, packet: RxPacket) {
        debug_assert!(
            self.room() > 0,
            "a device pushes no more packets than the batch has room for"
        );
        self.packets.push(packet);
    }

    /// Removes and gives all packets, in the order in which they arrived.
    pub fn drain(&mut self) -> std::vec::Drain<'_, RxPacket> {
        self.packets.drain(..)
    }

    /// The packets, in the order in which they arrived.
    pub fn iter(&self) -> std::slice::Iter<'_, RxPacket> {
        self.packets.iter()
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Drops all packets.
    pub fn clear(&mut self) {
        self.packets.clear();
    }
}

impl<'a> IntoIterator for &'a RxBatch {
    type Item = &'a RxPacket;
    type IntoIter = std::slice::Iter<'a, RxPacket>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A packet to send.
#[derive(Clone, Debug, Default)]
pub struct TxPacket {
    /// The IP and transport headers, contiguous. May hold the first payload bytes as well.
    pub header: ArrayVec<u8, TX_HEADER_BYTES>,
    /// What follows the header.
    pub payload: ArrayVec<Bytes, TX_PAYLOAD_SLICES>,
    /// Set when the packet is a super-segment; only for a device with
    /// [`tso`](crate::Capabilities::tso).
    pub gso: Option<Gso>,
    /// Whether the transport checksum is finished.
    pub checksum: TxChecksum,
}

impl TxPacket {
    /// A finished packet from contiguous bytes: the first [`TX_HEADER_BYTES`] are copied into
    /// the header, the rest is shared.
    #[must_use]
    pub fn from_bytes(mut data: Bytes) -> Self {
        let mut packet = Self::default();
        let head = data.split_to(data.len().min(TX_HEADER_BYTES));
        packet.header.extend(head.iter().copied());
        if !data.is_empty() {
            packet.payload.push(data);
        }
        packet
    }

    /// Length of the whole packet, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether the packet has no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the packet asks nothing of its device but to be sent.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.gso.is_none() && self.checksum == TxChecksum::Complete
    }

    /// Appends the whole packet to `buffer`.
    pub fn copy_to(&self, buffer: &mut BytesMut) {
        buffer.reserve(self.len());
        buffer.extend_from_slice(&self.header);
        for slice in &self.payload {
            buffer.extend_from_slice(slice);
        }
    }

    /// The whole packet in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> BytesMut {
        let mut buffer = BytesMut::with_capacity(self.len());
        self.copy_to(&mut buffer);
        buffer
    }

    /// The packet as slices for a vectored write, in order and without empty ones.
    #[must_use]
    pub fn io_slices(&self) -> ArrayVec<IoSlice<'_>, { TX_PAYLOAD_SLICES + 1 }> {
        let header: &[u8] = &self.header;
        std::iter::once(header)
            .chain(self.payload.iter().map(|slice| &slice[..]))
            .filter(|slice| !slice.is_empty())
            .map(IoSlice::new)
            .collect()
    }
}

/// How a device cuts a super-segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gso {
    /// Payload bytes of each segment but the last, which may be shorter.
    pub size: u16,
    /// What kind of packet it is.
    pub kind: GsoKind,
}

impl Gso {
    /// Segments of `size` payload bytes.
    #[must_use]
    pub const fn new(size: u16, kind: GsoKind) -> Self {
        Self { size, kind }
    }
}

/// The protocols of a super-segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
}

/// The state of a departing packet's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxChecksum {
    /// The checksum field is final.
    #[default]
    Complete,
    /// The field holds the folded pseudo-header sum, not complemented; the device sums from
    /// `start` to the end of the packet and stores the complement at `start + offset`.
    Partial {
        /// Where the transport header begins, in bytes from the beginning of the packet.
        start: u16,
        /// Where the checksum field lies, in bytes from `start`.
        offset: u16,
    },
}

/// Packets to send, in order.
#[derive(Debug, Default)]
pub struct TxBatch {
    packets: VecDeque<TxPacket>,
}

impl TxBatch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { packets: VecDeque::new() }
    }

    /// Appends a packet.
    pub fn push_back(&mut self, packet: TxPacket) {
        self.packets.push_back(packet);
    }

    /// The packet to send next.
    #[must_use]
    pub fn front(&self) -> Option<&TxPacket> {
        self.packets.front()
    }

    /// Removes the packet to send next.
    pub fn pop_front(&mut self) -> Option<TxPacket> {
        self.packets.pop_front()
    }

    /// The packets, in the order in which they are to be sent.
    pub fn iter(&self) -> std::collections::vec_deque::Iter<'_, TxPacket> {
        self.packets.iter()
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Drops all packets.
    pub fn clear(&mut self) {
        self.packets.clear();
    }
}

impl Extend<TxPacket> for TxBatch {
    fn extend<I: IntoIterator<Item = TxPacket>>(&mut self, packets: I) {
        self.packets.extend(packets);
    }
}

impl FromIterator<TxPacket> for TxBatch {
    fn from_iter<I: IntoIterator<Item = TxPacket>>(packets: I) -> Self {
        Self { packets: packets.into_iter().collect() }
    }
}

impl<'a> IntoIterator for &'a TxBatch {
    type Item = &'a TxPacket;
    type IntoIter = std::collections::vec_deque::Iter<'a, TxPacket>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(slices: &[IoSlice<'_>]) -> Vec<u8> {
        slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn a_packet_is_the_same_bytes_whichever_way_it_is_read() {
        for len in [0, 1, 20, 127, 128, 129, 1500, 65_535] {
            let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let packet = TxPacket::from_bytes(Bytes::from(data.clone()));
            assert_eq!(packet.len(), len);
            assert_eq!(packet.header.len(), len.min(TX_HEADER_BYTES));
            assert_eq!(&packet.to_bytes()[..], &data[..]);
            assert_eq!(bytes_of(&packet.io_slices()), data);
            assert!(packet.is_plain());
        }
    }

    #[test]
    fn a_packet_of_the_most_slices_still_fits_a_vectored_write() {
        let mut packet = TxPacket::default();
        packet.header.extend([0xaa; TX_HEADER_BYTES]);
        for i in 0..TX_PAYLOAD_SLICES {
            packet.payload.push(Bytes::from(vec![i as u8; 3]));
        }
        let slices = packet.io_slices();
        assert_eq!(slices.len(), TX_PAYLOAD_SLICES + 1);
        assert_eq!(bytes_of(&slices), packet.to_bytes());
        assert_eq!(packet.len(), TX_HEADER_BYTES + 3 * TX_PAYLOAD_SLICES);
    }

    #[test]
    fn copying_a_packet_appends_to_what_the_buffer_holds() {
        let mut buffer = BytesMut::from(&b"before"[..]);
        TxPacket::from_bytes(Bytes::from_static(b" and after")).copy_to(&mut buffer);
        assert_eq!(&buffer[..], b"before and after");
    }

    #[test]
    fn a_receive_batch_has_room_until_its_limit_and_again_when_drained() {
        let mut batch = RxBatch::new(2);
        batch.push(RxPacket::new(Bytes::from_static(b"a")));
        assert_eq!(batch.room(), 1);
        batch.push(RxPacket::new(Bytes::from_static(b"b")));
        assert_eq!(batch.room(), 0);
        let order: Vec<_> = batch.drain().map(|packet| packet.data).collect();
        assert_eq!(order, [&b"a"[..], b"b"]);
        assert_eq!(batch.room(), 2);
        assert!(batch.is_empty());
    }
}
