//! Between an application's buffers and the engine's chunks: how much is copied at once, and the
//! copies, all made outside the lock but for the smallest.

use std::io::{IoSlice, IoSliceMut};

use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use towpath_engine::Chunks;

/// Up to this many bytes are copied under the lock, which costs less than taking it twice.
const SMALL_WRITE: usize = 512;

/// Most bytes of one write: bounds the copy between two polls and the size of a chunk. A kernel's
/// socket takes about as much in one call.
const LARGEST_WRITE: usize = 256 * 1024;

/// How many bytes are to be written, and in how many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// In one: copied under the lock.
    Small,
    /// Reserved, copied, committed; at most this many.
    Large(usize),
}

impl Size {
    pub(crate) fn of(bufs: &[IoSlice<'_>]) -> Size {
        let len = bufs.iter().fold(0_usize, |len, buf| len.saturating_add(buf.len()));
        if len > SMALL_WRITE { Size::Large(len.min(LARGEST_WRITE)) } else { Size::Small }
    }
}

/// A small write in one piece, gathered in `scratch` if it is of several.
pub(crate) fn in_one<'a>(
    bufs: &'a [IoSlice<'_>],
    scratch: &'a mut ArrayVec<u8, SMALL_WRITE>,
) -> &'a [u8] {
    if let [only] = bufs {
        return only;
    }
    scratch.extend(bufs.iter().flat_map(|buf| buf.iter().copied()));
    scratch
}

/// The first `len` bytes of `bufs` as one chunk.
pub(crate) fn gather(bufs: &[IoSlice<'_>], len: usize) -> Bytes {
    let mut data = BytesMut::with_capacity(len);
    for buf in bufs {
        let room = len - data.len();
        data.extend_from_slice(&buf[..room.min(buf.len())]);
    }
    data.freeze()
}

/// Copies chunks to buffers that have room for them.
pub(crate) fn copy_to_slices(chunks: Chunks, bufs: &mut [IoSliceMut<'_>]) -> usize {
    let len = chunks.len();
    let mut places = bufs.iter_mut().map(|buf| &mut buf[..]);
    let mut place: &mut [u8] = &mut [];
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            if place.is_empty() {
                match places.next() {
                    Some(next) => place = next,
                    None => return len - rest.len(),
                }
                continue;
            }
            let count = rest.len().min(place.len());
            let (here, after) = std::mem::take(&mut place).split_at_mut(count);
            here.copy_from_slice(&rest[..count]);
            (place, rest) = (after, &rest[count..]);
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_gathered_in_order_whatever_their_pieces() {
        let data: Vec<u8> = (0..2000).map(|i| (i % 251) as u8).collect();
        for total in [0, 1, 511, 512, 513, 2000] {
            for piece in [1, 7, 512, 2000] {
                let bufs: Vec<_> = data[..total].chunks(piece).map(IoSlice::new).collect();
                match Size::of(&bufs) {
                    Size::Small => {
                        assert!(total <= SMALL_WRITE);
                        assert_eq!(in_one(&bufs, &mut ArrayVec::new()), &data[..total]);
                    }
                    Size::Large(wanted) => {
                        assert_eq!(wanted, total);
                        for len in [1, total / 2, total] {
                            assert_eq!(gather(&bufs, len), &data[..len]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn reads_fill_buffers_in_order_whatever_their_pieces() {
        let data: Vec<u8> = (0..100).collect();
        for chunk in [1, 3, 100] {
            let mut chunks = Chunks::new();
            data.chunks(chunk).for_each(|piece| chunks.push(Bytes::copy_from_slice(piece)));
            let (mut first, mut empty, mut last) = ([0; 30], [0; 0], [0; 80]);
            let mut bufs = [&mut first[..], &mut empty[..], &mut last[..]].map(IoSliceMut::new);
            assert_eq!(copy_to_slices(chunks, &mut bufs), 100);
            assert_eq!([&first[..], &last[..70]].concat(), data);
        }
    }
}
