//! The keys of one stack, and what is derived from them: initial sequence numbers (RFC 6528), ports
//! (RFC 6056), timestamp offsets (RFC 7323 section 7.1) and the demultiplexer's hash.
//!
//! The engine has no source of randomness: whoever builds it gives a seed, from the system for a
//! real stack, a printed number for a test. Each use has a key of its own, so that what is visible
//! of one tells nothing of another.

use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::{SipHasher13, SipHasher24};
use towpath_wire::SeqNumber;

use crate::endpoint::table::FourTuple;
use crate::instant::Instant;

/// The keys of one stack.
#[derive(Clone)]
pub struct Secrets {
    isn: [u8; 16],
    port: [u8; 16],
    timestamp: [u8; 16],
    table: [u8; 16],
    flow: [u8; 16],
    identification: u64,
    cookie: [u8; 16],
    cookie_base: [u8; 16],
    /// How many numbers were given.
    given: u64,
    number: [u8; 16],
    controller: [u8; 16],
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// Derives the keys from a seed of 32 bytes, which must come from a good source: who knows it
    /// knows every sequence number.
    pub fn from_seed(seed: [u8; 32]) -> Secrets {
        let (left, right) = seed.split_at(16);
        let mut key = [0; 16];
        key.copy_from_slice(left);
        let derive = |label: u8, half: u8| {
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write(right);
            hasher.write(&[label, half]);
            hasher.finish()
        };
        let pair = |label: u8| {
            let mut out = [0; 16];
            out[..8].copy_from_slice(&derive(label, 0).to_le_bytes());
            out[8..].copy_from_slice(&derive(label, 1).to_le_bytes());
            out
        };
        Secrets {
            isn: pair(1),
            port: pair(2),
            timestamp: pair(3),
            table: pair(4),
            cookie: pair(5),
            flow: pair(6),
            identification: derive(7, 0),
            cookie_base: pair(8),
            number: pair(9),
            controller: pair(10),
            given: 0,
        }
    }

    /// ISN = M + F(connection, key): M ticks every 4 microseconds (RFC 9293 MUST-8, RFC 6528).
    // Implements: 9293 MUST-8, 9293 SHLD-1, 9293 MUST-9, RFC6528 s3
    pub(crate) fn initial_sequence_number(&self, now: Instant, tuple: &FourTuple) -> SeqNumber {
        let ticks = (now.as_micros() / 4) as u32;
        SeqNumber((keyed(&self.isn, tuple) as u32).wrapping_add(ticks))
    }

    /// The beginning of a congestion controller's randomness: another one for each incarnation of a
    /// connection.
    pub(crate) fn controller_seed(&self, tuple: &FourTuple, iss: SeqNumber) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.controller);
        hasher.write(&tuple.to_bytes());
        hasher.write(&iss.0.to_le_bytes());
        hasher.finish()
    }

    /// The offset of the timestamp clock for one pair of hosts and ports.
    pub(crate) fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        keyed(&self.timestamp, tuple) as u32
    }

    /// RFC 6056's hash of a destination, for the choice of a port.
    pub(crate) fn port_offset(&self, local: IpAddr, remote: IpAddr, remote_port: u16) -> u64 {
        let tuple = FourTuple { local_ip: local, local_port: 0, remote_ip: remote, remote_port };
        keyed(&self.port, &tuple)
    }

    /// The IPv6 flow label: 20 bits, the same for all packets of a flow in one direction, and never
    /// 0, which says that there is none.
    // Implements: RFC6437
    pub(crate) fn flow_label(&self, tuple: &FourTuple) -> u32 {
        (keyed(&self.flow, tuple) as u32 & 0xf_ffff).max(1)
    }

    /// The key of the order of IPv4 identifications.
    pub(crate) fn identification_key(&self) -> u64 {
        self.identification
    }

    /// What hides the minute and the peer's number in a SYN cookie.
    pub(crate) fn cookie_offset(&self, tuple: &FourTuple) -> u32 {
        keyed(&self.cookie_base, tuple) as u32
    }

    /// The hash in a SYN cookie of one minute. Each minute has a key of its own, made from one that
    /// nothing else is hashed with: what a peer sees in one minute says nothing of the next.
    pub(crate) fn cookie_digest(&self, tuple: &FourTuple, irs: SeqNumber, minute: u64) -> u32 {
        let half = |number: u8| {
            let mut hasher = SipHasher24::new_with_key(&self.cookie);
            hasher.write(&minute.to_le_bytes());
            hasher.write(&[number]);
            hasher.finish().to_le_bytes()
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&half(0));
        key[8..].copy_from_slice(&half(1));
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(&tuple.to_bytes());
        hasher.write(&irs.0.to_le_bytes());
        hasher.finish() as u32
    }

    /// The next number of a keyed stream: it tells nothing of the ones before and after.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.given = self.given.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_key(&self.number);
        hasher.write(&self.given.to_le_bytes());
        hasher.finish()
    }

    /// The demultiplexer's hash: keyed, so that a peer cannot choose what collides (H-76).
    pub(crate) fn table_hash(&self, tuple: &FourTuple) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.table);
        hasher.write(&tuple.to_bytes());
        hasher.finish()
    }
}

fn keyed(key: &[u8; 16], tuple: &FourTuple) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&tuple.to_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local_ip: "192.0.2.1".parse().unwrap(),
            local_port: 80,
            remote_ip: "192.0.2.2".parse().unwrap(),
            remote_port,
        }
    }

    // Shows: 9293 MUST-8, RFC6528 s3
    #[test]
    fn the_same_connection_later_gets_a_number_that_moved_by_the_clock() {
        let secrets = Secrets::from_seed([7; 32]);
        let first = secrets.initial_sequence_number(Instant::from_millis(10), &tuple(1000));
        let later = secrets.initial_sequence_number(Instant::from_millis(30), &tuple(1000));
        assert_eq!(later.distance_from(first), 20_000 / 4);
    }

    // Shows: 9293 SHLD-1, 9293 MUST-9, H-10, RFC6528 s3
    #[test]
    fn numbers_of_different_connections_at_one_instant_are_unrelated() {
        let secrets = Secrets::from_seed([7; 32]);
        let numbers: Vec<u32> = (1..=10_000)
            .map(|port| secrets.initial_sequence_number(Instant::ZERO, &tuple(port)).0)
            .collect();
        // Bits are balanced, and neighbours' differences too: a linear relation would show.
        for bit in 0..32 {
            let ones = numbers.iter().filter(|number| **number >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&ones), "bit {bit}: {ones} of 10000");
            let flips =
                numbers.windows(2).filter(|pair| (pair[0] ^ pair[1]) >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&flips), "bit {bit}: {flips} flips of 9999");
        }
        let other = Secrets::from_seed([8; 32]);
        assert_ne!(
            other.initial_sequence_number(Instant::ZERO, &tuple(1)),
            secrets.initial_sequence_number(Instant::ZERO, &tuple(1))
        );
    }

    // Shows: H-51
    #[test]
    fn the_stream_of_numbers_is_balanced_and_differs_by_seed() {
        let mut secrets = Secrets::from_seed([7; 32]);
        let numbers: Vec<u64> = (0..10_000).map(|_| secrets.next_number()).collect();
        for bit in 0..64 {
            let flips =
                numbers.windows(2).filter(|pair| (pair[0] ^ pair[1]) >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&flips), "bit {bit}: {flips} flips of 9999");
        }
        let mut other = Secrets::from_seed([8; 32]);
        assert_ne!(other.next_number(), numbers[0]);
    }
}
