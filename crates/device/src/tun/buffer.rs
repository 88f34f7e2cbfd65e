//! Where packets are read into, and how they leave.
//!
//! The kernel cuts a packet that does not fit the buffer it is read into, and says nothing, so
//! every read is offered a buffer for the largest packet there is. A small packet is then copied
//! out exactly; a large one is handed over in the buffer itself. Where the line lies follows from
//! one rule: a packet pins at most twice its length and 4 KiB.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The largest IP packet, and a virtio-net header.
pub(super) const READ_BYTES: usize = 65_535 + 10;

/// What a packet may pin beyond twice its length.
const PINNED_EXTRA_BYTES: usize = 4096;

/// How many handed-over buffers are remembered, to be read into again once everybody has let go
/// of them: 1 MiB in all.
const REMEMBERED: usize = 16;

/// One buffer to read into, and those that are out with packets.
#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    spare: BytesMut,
    lent: VecDeque<Bytes>,
}

impl ReceiveBuffer {
    pub(super) fn new() -> Self {
        Self { spare: BytesMut::zeroed(READ_BYTES), lent: VecDeque::new() }
    }

    /// The buffer to read the next packet into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.spare
    }

    /// The packet that was read into the first `len` bytes of [`space`](Self::space).
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let len = len.min(READ_BYTES);
        if READ_BYTES > 2 * len + PINNED_EXTRA_BYTES {
            return Bytes::copy_from_slice(&self.spare[..len]);
        }
        let next = self.reclaim();
        let whole = std::mem::replace(&mut self.spare, next).freeze();
        let packet = whole.slice(..len);
        self.lent.push_back(whole);
        packet
    }

    /// The buffer that has been out longest, if nobody holds it any more, else a new one. A used
    /// buffer is not cleared: only what the kernel wrote is handed on.
    fn reclaim(&mut self) -> BytesMut {
        let Some(oldest) = self.lent.pop_front() else { return BytesMut::zeroed(READ_BYTES) };
        match oldest.try_into_mut() {
            Ok(buffer) if buffer.len() == READ_BYTES => buffer,
            Ok(_) => BytesMut::zeroed(READ_BYTES),
            Err(in_use) => {
                if self.lent.len() + 1 < REMEMBERED {
                    self.lent.push_back(in_use);
                }
                BytesMut::zeroed(READ_BYTES)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffer: &mut ReceiveBuffer, len: usize, byte: u8) -> Bytes {
        buffer.space()[..len].fill(byte);
        buffer.take(len)
    }

    /// What a packet keeps allocated: all of the buffer it was read into, or itself.
    fn pinned(buffer: &ReceiveBuffer, packet: &Bytes) -> usize {
        let shares = |whole: &Bytes| whole.as_ptr() == packet.as_ptr();
        if buffer.lent.iter().any(shares) { READ_BYTES } else { packet.len() }
    }

    #[test]
    fn a_packet_pins_at_most_twice_its_length_and_four_kibibytes() {
        let mut buffer = ReceiveBuffer::new();
        for len in (0..=65_535).step_by(1_009).chain([30_724, 30_725, 65_535]) {
            let packet = filled(&mut buffer, len, len as u8);
            assert_eq!(packet.len(), len);
            assert!(packet.iter().all(|&byte| byte == len as u8));
            assert!(pinned(&buffer, &packet) <= 2 * len + 4096, "{len}");
        }
    }

    #[test]
    fn a_large_packet_is_handed_over_without_a_copy() {
        let mut buffer = ReceiveBuffer::new();
        let place = buffer.space().as_ptr();
        assert_eq!(filled(&mut buffer, 60_000, 1).as_ptr(), place);
    }

    #[test]
    fn a_buffer_is_read_into_again_only_when_its_packet_is_gone() {
        let mut buffer = ReceiveBuffer::new();
        let held = filled(&mut buffer, 60_000, 1);
        let passing = filled(&mut buffer, 60_000, 2);
        let free_again = passing.as_ptr();
        drop(passing);
        // The oldest is still held and goes to the end of the line; the next one is free.
        let third = filled(&mut buffer, 60_000, 3);
        drop(third);
        assert_ne!(buffer.space().as_ptr(), held.as_ptr());
        let _fourth = filled(&mut buffer, 60_000, 4);
        assert_eq!(buffer.space().as_ptr(), free_again);
        assert!(held.iter().all(|&byte| byte == 1), "a held packet never changes");
    }

    #[test]
    fn buffers_that_stay_out_are_forgotten() {
        let mut buffer = ReceiveBuffer::new();
        let held: Vec<Bytes> = (0..100).map(|n| filled(&mut buffer, 60_000, n as u8)).collect();
        assert!(buffer.lent.len() <= REMEMBERED, "{}", buffer.lent.len());
        for (n, packet) in held.iter().enumerate() {
            assert!(packet.iter().all(|&byte| byte == n as u8), "packet {n}");
        }
    }
}
