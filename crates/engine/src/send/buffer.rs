//! What the application wrote and the peer has not acknowledged: chunks by stream offset.
//!
//! A chunk is never copied again. Small writes share a tail allocation, so that a byte written
//! alone does not pin a chunk of its own. Offsets count the bytes of the stream from zero and never
//! wrap.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::chunks::{Chunks, MAX_CHUNKS};
use crate::garbage::Garbage;

/// The allocation that small writes share.
const TAIL_CAPACITY: usize = 4096;
/// A write of at most this many bytes is copied into the shared tail.
pub(crate) const SMALL_WRITE: usize = 512;

/// The send buffer of one connection.
#[derive(Debug)]
pub(crate) struct SendBuffer {
    chunks: VecDeque<Chunk>,
    /// Small writes at the very end, not yet in `chunks`.
    tail: BytesMut,
    start: u64,
    end: u64,
    capacity: usize,
    reserved: usize,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl SendBuffer {
    pub(crate) fn new(capacity: usize) -> SendBuffer {
        SendBuffer {
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            start: 0,
            end: 0,
            capacity,
            reserved: 0,
        }
    }

    /// The offset of the first byte that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes kept.
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Bytes below the capacity, beyond which a write begins nothing.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.len()).saturating_sub(self.reserved)
    }

    /// Bytes kept, or promised to a writer.
    pub(crate) fn charge(&self) -> usize {
        self.len() + self.reserved
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Charges bytes before they are there.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.reserved += bytes;
    }

    /// Gives back what was charged.
    pub(crate) fn release(&mut self, reserved: usize) {
        self.reserved = self.reserved.saturating_sub(reserved);
    }

    /// Appends a chunk.
    pub(crate) fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.freeze_tail();
        let start = self.end;
        self.end += bytes.len() as u64;
        self.chunks.push_back(Chunk { start, bytes });
    }

    /// Appends a copy of a few bytes.
    pub(crate) fn append_small(&mut self, data: &[u8]) {
        debug_assert!(data.len() <= SMALL_WRITE);
        if self.tail.capacity() - self.tail.len() < data.len() {
            self.freeze_tail();
            self.tail = BytesMut::with_capacity(TAIL_CAPACITY);
        }
        self.tail.extend_from_slice(data);
        self.end += data.len() as u64;
    }

    /// Up to `len` bytes from `offset` on, as chunks that share memory with the buffer. Fewer when
    /// they would be more chunks than one segment can carry.
    pub(crate) fn slice(&mut self, offset: u64, len: usize) -> Chunks {
        let end = self.end.min(offset.saturating_add(len as u64));
        if end > self.end - self.tail.len() as u64 {
            self.freeze_tail();
        }
        let mut out = Chunks::new();
        let first = self.chunks.partition_point(|chunk| chunk.end() <= offset);
        for chunk in self.chunks.range(first..).take(MAX_CHUNKS) {
            if chunk.start >= end {
                break;
            }
            let from = offset.max(chunk.start) - chunk.start;
            let to = end.min(chunk.end()) - chunk.start;
            out.push(chunk.bytes.slice(from as usize..to as usize));
        }
        out
    }

    /// Forgets everything below `offset`.
    pub(crate) fn forget_below(&mut self, offset: u64, garbage: &mut Garbage) {
        let offset = offset.min(self.end);
        if offset > self.end - self.tail.len() as u64 {
            self.freeze_tail();
        }
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= offset) {
            if let Some(chunk) = self.chunks.pop_front() {
                garbage.add_chunk(chunk.bytes);
            }
        }
        self.start = self.start.max(offset);
        if self.start == self.end {
            // At rest a connection holds no memory.
            self.tail = BytesMut::new();
            self.chunks = VecDeque::new();
        }
    }

    /// Forgets everything, acknowledged or not.
    pub(crate) fn clear(&mut self, garbage: &mut Garbage) {
        self.freeze_tail();
        self.forget_below(self.end, garbage);
    }

    fn freeze_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let bytes = self.tail.split().freeze();
        let start = self.end - bytes.len() as u64;
        self.chunks.push_back(Chunk { start, bytes });
    }
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_buffer_at_rest_holds_no_memory() {
        let mut buffer = SendBuffer::new(100);
        buffer.append_small(b"hello");
        buffer.append(Bytes::from_static(b"world"));
        assert_eq!(buffer.room(), 90);
        buffer.forget_below(10, &mut Garbage::default());
        assert_eq!((buffer.chunks.capacity(), buffer.tail.capacity()), (0, 0));
        assert_eq!(buffer.room(), 100);
    }

    #[test]
    fn what_is_reserved_is_charged_until_it_is_released() {
        let mut buffer = SendBuffer::new(10);
        buffer.reserve(7);
        assert_eq!((buffer.room(), buffer.charge()), (3, 7));
        // The last batch may go beyond the capacity.
        buffer.reserve(7);
        assert_eq!((buffer.room(), buffer.charge()), (0, 14));
        buffer.release(7);
        assert_eq!(buffer.room(), 3);
    }

    #[test]
    fn a_slice_has_no_more_chunks_than_a_segment_can_carry() {
        let mut buffer = SendBuffer::new(1000);
        for _ in 0..100 {
            buffer.append(Bytes::from_static(b"x"));
        }
        assert_eq!(buffer.slice(0, 100).len(), MAX_CHUNKS);
    }

    proptest! {
        #[test]
        fn slices_are_what_was_written(
            writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..700), 1..20),
            picks in prop::collection::vec((any::<u16>(), 1usize..3000, any::<u8>()), 1..20),
        ) {
            let mut buffer = SendBuffer::new(usize::MAX);
            let mut all = Vec::new();
            let mut picks = picks.into_iter();
            for write in writes {
                all.extend_from_slice(&write);
                if write.len() <= SMALL_WRITE {
                    buffer.append_small(&write);
                } else {
                    buffer.append(Bytes::from(write));
                }
                if let Some((at, len, forget)) = picks.next() {
                    let kept = all.len() - buffer.start() as usize;
                    let from = buffer.start() as usize + usize::from(at) % (kept + 1);
                    let to = all.len().min(from + len);
                    let got = buffer.slice(from as u64, len).to_vec();
                    prop_assert_eq!(&got[..], &all[from..to]);
                    let below = buffer.start() + u64::from(forget) % (kept as u64 + 1);
                    buffer.forget_below(below, &mut Garbage::default());
                    prop_assert_eq!(buffer.len(), all.len() - below as usize);
                }
            }
        }
    }
}
