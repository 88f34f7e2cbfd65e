//! Bytes and numbers that can be made again: what applications of the lab write, and the choices
//! that a seed makes.
//!
//! Byte `n` of a stream is a function of the stream's key and `n`, so a reader checks what it got
//! without having kept what was sent, and a byte out of place is seen: neighbours, and bytes one
//! segment apart, are unrelated.

use bytes::Bytes;

/// The bytes of one direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern(pub u64);

impl Pattern {
    /// The byte at `offset`.
    pub fn byte(self, offset: u64) -> u8 {
        self.word(offset / 8)[(offset % 8) as usize]
    }

    /// `len` bytes from `offset` on.
    pub fn bytes(self, offset: u64, len: usize) -> Bytes {
        let skipped = (offset % 8) as usize;
        let words = (skipped + len).div_ceil(8) as u64;
        let mut bytes = Vec::with_capacity(words as usize * 8);
        for word in 0..words {
            bytes.extend_from_slice(&self.word((offset / 8).wrapping_add(word)));
        }
        Bytes::from(bytes).slice(skipped..skipped + len)
    }

    /// The first place where `data`, taken to begin at `offset`, is not this stream.
    pub fn first_difference(self, offset: u64, data: &[u8]) -> Option<u64> {
        // Byte by byte to the next word, word by word, and byte by byte again.
        let head = data.len().min((8 - offset % 8) as usize % 8);
        let (head, rest) = data.split_at(head);
        let (words, _) = rest.as_chunks::<8>();
        let first_word = (offset + head.len() as u64) / 8;
        let wrong = (first_word..).zip(words).position(|(at, word)| self.word(at) != *word);
        let right = head.len() + 8 * wrong.unwrap_or(words.len());
        let by_byte = |from: usize, to: usize| {
            (offset + from as u64..)
                .zip(&data[from..to])
                .find(|(at, byte)| self.byte(*at) != **byte)
                .map(|(at, _)| at)
        };
        by_byte(0, head.len()).or_else(|| by_byte(right, data.len()))
    }

    fn word(self, index: u64) -> [u8; 8] {
        mix(self.0 ^ mix(index)).to_le_bytes()
    }
}

/// SplitMix64: a stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_number() % end
    }

    /// The next 32 bytes, as a stack's secrets want them.
    pub fn seed_bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = self.next_number().to_le_bytes();
        }
        bytes
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let pattern = Pattern(7);
        let whole = pattern.bytes(0, 100);
        assert_eq!(pattern.bytes(13, 50), whole.slice(13..63));
        for from in 0..20 {
            for to in from..40 {
                let bytes = pattern.bytes(from, (to - from) as usize);
                assert_eq!(bytes, whole.slice(from as usize..to as usize));
                assert!(bytes.iter().zip(from..).all(|(byte, at)| *byte == pattern.byte(at)));
                assert_eq!(pattern.first_difference(from, &bytes), None);
            }
        }
    }

    #[test]
    fn a_byte_out_of_place_is_found() {
        let pattern = Pattern(7);
        for wrong in 0..64 {
            let mut bytes = pattern.bytes(5, 64).to_vec();
            bytes[wrong] ^= 1;
            assert_eq!(pattern.first_difference(5, &bytes), Some(5 + wrong as u64));
        }
        assert!(pattern.first_difference(6, &pattern.bytes(5, 64)).is_some());
        assert!(Pattern(8).first_difference(5, &pattern.bytes(5, 64)).is_some());
    }
}
