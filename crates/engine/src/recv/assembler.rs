//! Bytes that arrived, in order and out of order, by stream offset.
//!
//! Owns every payload byte between arrival and the application's read. The first byte to arrive at
//! an offset stays (H-32): a later copy never changes it. Small pieces are gathered, so that what is
//! pinned stays near what is counted (H-70).

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::chunks::{Chunks, MAX_CHUNKS};

/// The allocation that small arrivals share.
const TAIL_CAPACITY: usize = 4096;
/// A piece of at most this many bytes is copied into a shared allocation.
const SMALL_PIECE: usize = 512;

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It extended the stream: so many bytes can newly be read.
    InOrder(u64),
    /// It waits behind a hole.
    OutOfOrder,
    /// All of it was there already.
    Duplicate,
    /// Too many pieces wait behind holes.
    TooMany,
}

/// The reassembly of one connection.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// In order, to be read.
    ready: VecDeque<Bytes>,
    /// Small arrivals at the end of `ready`.
    tail: BytesMut,
    ready_len: usize,
    /// Behind holes: offset to piece, disjoint.
    waiting: BTreeMap<u64, Bytes>,
    waiting_len: usize,
    /// The offset of the next byte that is missing.
    next: u64,
}

impl Assembler {
    /// The offset of the next byte that is missing.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes that can be read.
    pub(crate) fn readable(&self) -> usize {
        self.ready_len
    }

    /// Bytes that wait behind holes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting_len
    }

    /// Pieces that wait behind holes.
    pub(crate) fn pieces(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets what waits behind holes. It is returned, to be dropped.
    pub(crate) fn clear_waiting(&mut self) -> Assembler {
        Assembler {
            waiting: std::mem::take(&mut self.waiting),
            waiting_len: std::mem::take(&mut self.waiting_len),
            ..Assembler::default()
        }
    }

    /// Whether there is a hole.
    pub(crate) fn has_hole(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The offset behind the last byte that waits behind a hole.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.waiting.last_key_value().map(|(offset, piece)| offset + piece.len() as u64)
    }

    /// Places the piece that begins at `offset`.
    pub(crate) fn place(&mut self, offset: u64, piece: Bytes, max_waiting: usize) -> Placed {
        let end = offset + piece.len() as u64;
        if end <= self.next {
            return Placed::Duplicate;
        }
        if offset > self.next {
            return self.place_waiting(offset, piece, max_waiting);
        }
        let before = self.next;
        self.append(piece.slice((self.next - offset) as usize..));
        self.absorb_waiting();
        Placed::InOrder(self.next - before)
    }

    /// Takes up to `max` bytes in order, as chunks.
    pub(crate) fn take(&mut self, max: usize) -> Chunks {
        let mut out = Chunks::new();
        while out.len() < max && out.count() < MAX_CHUNKS {
            let Some(front) = self.ready.front_mut() else {
                let rest = self.tail.len().min(max - out.len());
                out.push(self.tail.split_to(rest).freeze());
                break;
            };
            let wanted = max - out.len();
            if front.len() <= wanted {
                out.push(std::mem::take(front));
                self.ready.pop_front();
            } else {
                out.push(front.split_to(wanted));
            }
        }
        self.ready_len -= out.len();
        if self.ready_len == 0 {
            // At rest a connection holds no memory.
            self.tail = BytesMut::new();
            self.ready = VecDeque::new();
        }
        out
    }

    /// Up to `max` bytes in order, left where they are.
    pub(crate) fn peek(&self, max: usize) -> Chunks {
        let mut out = Chunks::new();
        for chunk in self.ready.iter().take(MAX_CHUNKS) {
            let wanted = (max - out.len()).min(chunk.len());
            out.push(chunk.slice(..wanted));
        }
        if out.len() < max && out.count() < MAX_CHUNKS {
            let wanted = (max - out.len()).min(self.tail.len());
            out.push(Bytes::copy_from_slice(&self.tail[..wanted]));
        }
        out
    }

    /// Forgets everything; offsets go on. What was there is returned, to be dropped.
    pub(crate) fn clear(&mut self) -> Assembler {
        let empty = Assembler { next: self.next, ..Assembler::default() };
        std::mem::replace(self, empty)
    }

    fn append(&mut self, piece: Bytes) {
        self.next += piece.len() as u64;
        self.ready_len += piece.len();
        if piece.len() <= SMALL_PIECE {
            if self.tail.capacity() - self.tail.len() < piece.len() {
                self.freeze_tail();
                // The first small piece of a request is kept as it came; a stream of them shares.
                if self.ready.is_empty() {
                    self.ready.push_back(piece);
                    return;
                }
                self.tail = BytesMut::with_capacity(TAIL_CAPACITY);
            }
            self.tail.extend_from_slice(&piece);
        } else {
            self.freeze_tail();
            self.ready.push_back(piece);
        }
    }

    fn freeze_tail(&mut self) {
        if !self.tail.is_empty() {
            let full = std::mem::take(&mut self.tail);
            self.ready.push_back(full.freeze());
        }
    }

    fn absorb_waiting(&mut self) {
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() > self.next {
                return;
            }
            let (offset, piece) = entry.remove_entry();
            self.waiting_len -= piece.len();
            let have = (self.next - offset) as usize;
            if have < piece.len() {
                self.append(piece.slice(have..));
            }
        }
    }

    fn place_waiting(&mut self, mut offset: u64, mut piece: Bytes, max: usize) -> Placed {
        if let Some((&before, held)) = self.waiting.range(..=offset).next_back() {
            let held_end = before + held.len() as u64;
            let overlap = held_end.saturating_sub(offset).min(piece.len() as u64);
            let _ = piece.split_to(overlap as usize);
            offset += overlap;
            if piece.is_empty() {
                return Placed::Duplicate;
            }
            if held_end == offset
                && held.len() + piece.len() <= SMALL_PIECE
                && self
                    .waiting
                    .range(offset..)
                    .next()
                    .is_none_or(|(&next, _)| next >= offset + piece.len() as u64)
            {
                // One-byte segments must not cost an entry each.
                let mut joined = BytesMut::with_capacity(held.len() + piece.len());
                joined.extend_from_slice(held);
                joined.extend_from_slice(&piece);
                self.waiting_len += piece.len();
                self.waiting.insert(before, joined.freeze());
                return Placed::OutOfOrder;
            }
        }
        // All of a piece or none of it: what is reported as held must be held. One piece may fill
        // several gaps, so the limit is overshot by what it overlaps, at most.
        if self.waiting.len() >= max {
            return Placed::TooMany;
        }
        // Whatever lies ahead stays; the piece fills the gaps between.
        let mut placed = Placed::Duplicate;
        while !piece.is_empty() {
            let end = offset + piece.len() as u64;
            let ahead = self
                .waiting
                .range(offset..end)
                .next()
                .map(|(&start, held)| (start, start + held.len() as u64));
            let (gap_end, resume) = ahead.unwrap_or((end, end));
            let gap = piece.split_to((gap_end - offset) as usize);
            if !gap.is_empty() {
                self.waiting_len += gap.len();
                self.waiting.insert(offset, gap);
                placed = Placed::OutOfOrder;
            }
            let skip = (resume - gap_end).min(piece.len() as u64);
            let _ = piece.split_to(skip as usize);
            offset = gap_end + skip;
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANY: usize = 1000;

    fn all(assembler: &mut Assembler) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let chunks = assembler.take(usize::MAX);
            if chunks.is_empty() {
                return out;
            }
            out.extend_from_slice(&chunks.to_vec());
        }
    }

    // Shows: 9293 SHLD-31
    #[test]
    fn segments_that_arrive_two_three_one_are_read_in_order() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.place(3, Bytes::from_static(b"def"), MANY), Placed::OutOfOrder);
        assert_eq!(assembler.place(6, Bytes::from_static(b"ghi"), MANY), Placed::OutOfOrder);
        assert_eq!(assembler.place(3, Bytes::from_static(b"xyz"), MANY), Placed::Duplicate);
        assert_eq!(assembler.place(0, Bytes::from_static(b"abc"), MANY), Placed::InOrder(9));
        assert_eq!(all(&mut assembler), b"abcdefghi");
        assert_eq!((assembler.waiting(), assembler.readable(), assembler.next()), (0, 0, 9));
    }

    // Shows: H-32
    #[test]
    fn the_first_bytes_to_arrive_stay() {
        let mut assembler = Assembler::default();
        assembler.place(2, Bytes::from_static(b"CD"), MANY);
        assembler.place(6, Bytes::from_static(b"GH"), MANY);
        assert_eq!(
            assembler.place(0, Bytes::from_static(b"abcdefghij"), MANY),
            Placed::InOrder(10)
        );
        assert_eq!(all(&mut assembler), b"abcdefghij", "in order at once: one copy arrives whole");
        let mut assembler = Assembler::default();
        assembler.place(2, Bytes::from_static(b"CD"), MANY);
        assembler.place(1, Bytes::from_static(b"bcdefg"), MANY);
        assembler.place(0, Bytes::from_static(b"a"), MANY);
        assert_eq!(all(&mut assembler), b"abCDefg");
    }

    // Shows: H-04, H-70
    #[test]
    fn pieces_behind_holes_are_limited_and_tiny_neighbours_share() {
        let mut assembler = Assembler::default();
        for offset in 0..400u64 {
            assembler.place(10 + offset, Bytes::from_static(b"x"), 4);
        }
        assert_eq!(assembler.waiting.len(), 1);
        let mut assembler = Assembler::default();
        for offset in 0..4u64 {
            let placed = assembler.place(10 + 2 * offset, Bytes::from_static(b"x"), 4);
            assert_eq!(placed, Placed::OutOfOrder);
        }
        assert_eq!(assembler.place(100, Bytes::from_static(b"x"), 4), Placed::TooMany);
    }

    #[test]
    fn one_read_takes_so_many_chunks_and_not_a_byte_too_many() {
        let mut assembler = Assembler::default();
        for chunk in 0..40u64 {
            let piece = Bytes::from(vec![chunk as u8; 600]);
            assembler.place(600 * chunk, piece, MANY);
        }
        assert_eq!(assembler.peek(usize::MAX).count(), MAX_CHUNKS);
        assert_eq!(assembler.take(1200).count(), 2, "no crumb of a third");
        assert_eq!(assembler.take(1).len(), 1);
        let chunks = assembler.take(usize::MAX);
        assert_eq!((chunks.count(), chunks.len()), (MAX_CHUNKS, 599 + 31 * 600));
        assert_eq!(assembler.readable(), 40 * 600 - 1201 - chunks.len());
    }

    proptest! {
        #[test]
        fn whatever_the_order_the_stream_is_what_was_sent(
            pieces in prop::collection::vec((0usize..3000, 1usize..900), 0..60),
            reads in prop::collection::vec(1usize..2000, 0..20),
        ) {
            let stream: Vec<u8> = (0..4000u32).map(|i| (i * 31 % 251) as u8).collect();
            let mut assembler = Assembler::default();
            let mut reads = reads.into_iter();
            let mut read = Vec::new();
            let mut held = vec![false; 4000];
            for (start, len) in pieces {
                let piece = Bytes::copy_from_slice(&stream[start..start + len]);
                assembler.place(start as u64, piece, MANY);
                held[start..start + len].fill(true);
                if let Some(max) = reads.next() {
                    let peeked = assembler.peek(max).to_vec();
                    let taken = assembler.take(max).to_vec();
                    prop_assert!(taken.starts_with(&peeked) || peeked.starts_with(&taken));
                    read.extend_from_slice(&taken);
                }
                let prefix = held.iter().position(|byte| !byte).unwrap_or(4000);
                prop_assert_eq!(assembler.next(), prefix as u64);
                prop_assert_eq!(assembler.readable(), prefix - read.len());
                let beyond = held[prefix..].iter().filter(|byte| **byte).count();
                prop_assert_eq!(assembler.waiting(), beyond);
            }
            read.extend(all(&mut assembler));
            prop_assert_eq!(&read[..], &stream[..read.len()]);
        }
    }
}
