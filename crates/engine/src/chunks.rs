//! A payload as it travels: a few reference-counted chunks, in order, never copied.
//!
//! One chunk is by far the commonest case and needs no allocation of its own.

use bytes::Bytes;

/// The most chunks that one outgoing segment may have: what a vectored write can carry with its
/// headers, and a bound on the work done for one segment.
pub const MAX_CHUNKS: usize = 32;

/// Bytes in order, as a short list of chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Chunks {
    /// No bytes.
    pub const fn new() -> Chunks {
        Chunks { first: Bytes::new(), rest: Vec::new(), len: 0 }
    }

    /// Appends a chunk; an empty one is dropped.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.push(chunk);
        }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of chunks.
    pub fn count(&self) -> usize {
        usize::from(!self.first.is_empty()) + self.rest.len()
    }

    /// The chunks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        (!self.first.is_empty()).then_some(&self.first).into_iter().chain(self.rest.iter())
    }

    /// Copies all bytes into one vector: for tests, traces and devices without vectored writes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        for chunk in self.iter() {
            out.extend_from_slice(chunk);
        }
        out
    }
}

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Chunks {
        let mut chunks = Chunks::new();
        chunks.push(bytes);
        chunks
    }
}

impl IntoIterator for Chunks {
    type Item = Bytes;
    type IntoIter = core::iter::Chain<core::option::IntoIter<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        let first = (!self.first.is_empty()).then_some(self.first);
        first.into_iter().chain(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_keep_their_order_and_count_their_bytes() {
        let mut chunks = Chunks::new();
        for part in [&b""[..], b"ab", b"", b"c", b"def"] {
            chunks.push(Bytes::copy_from_slice(part));
        }
        assert_eq!((chunks.len(), chunks.count()), (6, 3));
        assert_eq!(chunks.to_vec(), b"abcdef");
        assert_eq!(chunks.into_iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [2, 1, 3]);
    }
}
