//! Bytes to transfer: as many as wanted, the same for the same seed, and never the same twice
//! within a transfer, so that a piece that is lost, doubled or in the wrong place shows in the
//! digest.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// How many bytes a chunk has; the last one has what is left. A multiple of eight.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Pseudo-random bytes, in chunks: SplitMix64 (Steele, Lea, Flood 2014), eight bytes a step.
#[derive(Clone, Debug)]
pub struct Payload {
    state: u64,
    left: u64,
}

impl Payload {
    /// `bytes` bytes that depend on nothing but `seed`.
    pub fn new(seed: u64, bytes: u64) -> Payload {
        Payload { state: seed, left: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// What the rest of the bytes sums up to.
    pub fn sum(self) -> Sum {
        let mut digest = Digest::default();
        self.for_each(|chunk| digest.update(&chunk));
        digest.finish()
    }

    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Iterator for Payload {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        if len == 0 {
            return None;
        }
        self.left -= len as u64;
        let mut chunk = vec![0; len];
        for piece in chunk.chunks_mut(8) {
            piece.copy_from_slice(&self.word().to_le_bytes()[..piece.len()]);
        }
        Some(chunk.into())
    }
}

/// Sums up bytes as they come.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    bytes: u64,
    sha256: Sha256,
}

impl Digest {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
    }

    /// How many bytes were taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum of all that was taken.
    pub fn finish(self) -> Sum {
        Sum { bytes: self.bytes, sha256: self.sha256.finalize().into() }
    }
}

/// How many bytes, and their SHA-256. Printed as `BYTES HEX`, and read back from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sum {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Sum {
    /// The first digits of the hash, for people.
    pub fn short(&self) -> String {
        let digits: String = self.sha256.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}..")
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.bytes)?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({self})")
    }
}

/// The text is no sum.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:?} is no sum: a number of bytes, a space, and 64 hexadecimal digits")]
pub struct NoSum(String);

impl FromStr for Sum {
    type Err = NoSum;

    fn from_str(text: &str) -> Result<Sum, NoSum> {
        let parsed = || {
            let (bytes, digits) = text.trim().split_once(' ')?;
            if digits.len() != 64 || !digits.is_ascii() {
                return None;
            }
            let mut sha256 = [0; 32];
            for (index, byte) in sha256.iter_mut().enumerate() {
                *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
            }
            Some(Sum { bytes: bytes.parse().ok()?, sha256 })
        };
        parsed().ok_or_else(|| NoSum(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(payload: Payload) -> Vec<u8> {
        payload.flatten().collect()
    }

    #[test]
    fn a_payload_is_the_published_splitmix64_sequence() {
        // The first outputs of the reference C code (S. Vigna, splitmix64.c) for state 1234567.
        let first: [u64; 2] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        let expected: Vec<u8> = first.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(all(Payload::new(1_234_567, 16)), expected);
    }

    #[test]
    fn a_shorter_payload_is_the_beginning_of_a_longer_one() {
        let long = all(Payload::new(7, 3 * CHUNK_BYTES as u64 + 5));
        for len in [0, 1, 7, 8, 9, CHUNK_BYTES, CHUNK_BYTES + 1] {
            assert_eq!(all(Payload::new(7, len as u64)), long[..len], "{len} bytes");
        }
        assert_ne!(all(Payload::new(8, 8)), long[..8]);
    }

    #[test]
    fn a_sum_tells_a_swap_a_loss_and_a_change() {
        let bytes = all(Payload::new(1, 100_000));
        let sum = |bytes: &[u8]| {
            let mut digest = Digest::default();
            bytes.chunks(999).for_each(|piece| digest.update(piece));
            digest.finish()
        };
        let good = Payload::new(1, 100_000).sum();
        assert_eq!(sum(&bytes), good);
        let mut swapped = bytes.clone();
        swapped.swap(10, 70_000);
        assert_ne!(sum(&swapped), good);
        assert_ne!(sum(&bytes[1..]), good);
    }

    #[test]
    fn a_sum_is_read_back_from_its_text() {
        // The hash of nothing, from FIPS 180-4's test values.
        let empty = "0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Payload::new(1, 0).sum().to_string(), empty);
        assert_eq!(empty.parse::<Sum>().unwrap(), Payload::new(9, 0).sum());
        for text in
            ["", "0", "0 e3", "x e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
        {
            assert!(text.parse::<Sum>().is_err(), "{text}");
        }
    }
}
