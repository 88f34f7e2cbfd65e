//! How often what is not acceptable is answered: RFC 5961 section 7, and the guard against two hosts
//! that acknowledge each other for ever.
//!
//! The count is each connection's own. One that connections share tells a stranger, by what his own
//! connection is refused, what he has caused on another's (CVE-2016-5696). Where a count is wanted as
//! well as a distance (`tcp_challenge_ack_limit`), its size and its phase differ by connection and
//! second and follow from a number that only the two ends know.

use core::time::Duration;

use towpath_wire::SeqNumber;

use crate::config::Config;
use crate::instant::Instant;

/// The answers that one connection may still give.
#[derive(Debug)]
pub(super) struct Answers {
    last: Option<Instant>,
    /// When the present second of challenges ends.
    until: Option<Instant>,
    left: u32,
    noise: u64,
}

impl Answers {
    /// `iss` is known to the two ends only (RFC 6528).
    pub(super) fn new(iss: SeqNumber) -> Answers {
        Answers { last: None, until: None, left: 0, noise: u64::from(iss.0) }
    }

    /// Whether an ACK may answer a segment that carries nothing: one in each
    /// `tcp_invalid_ratelimit`.
    // Implements: H-11
    pub(super) fn may_answer(&mut self, now: Instant, config: &Config) -> bool {
        let allowed = self.last.is_none_or(|last| now - last >= config.tcp_invalid_ratelimit);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }

    /// Whether a challenge ACK may be sent.
    // Implements: RFC5961 s7, RFC5961 err4772, H-06
    pub(super) fn may_challenge(&mut self, now: Instant, config: &Config) -> bool {
        self.may_answer(now, config) && self.is_within_count(now, config.tcp_challenge_ack_limit)
    }

    /// Linux's count of so many a second, give or take a half, but for this connection alone.
    fn is_within_count(&mut self, now: Instant, limit: u32) -> bool {
        if limit == Config::NO_CHALLENGE_ACK_LIMIT {
            return true;
        }
        if self.until.is_none_or(|until| now >= until) {
            self.left = limit.div_ceil(2) + (self.next_noise() % u64::from(limit.max(1))) as u32;
            let phase = Duration::from_millis(self.next_noise() % 500);
            self.until = Some(now + Duration::from_millis(750) + phase);
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    /// SplitMix64.
    fn next_noise(&mut self) -> u64 {
        self.noise = self.noise.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.noise;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(distance_ms: u64, limit: u32) -> Config {
        Config::default()
            .tcp_invalid_ratelimit(Duration::from_millis(distance_ms))
            .tcp_challenge_ack_limit(limit)
    }

    /// Challenges in each of ten seconds, one asked for in each millisecond.
    fn counts(iss: u32, config: &Config) -> Vec<u32> {
        let mut answers = Answers::new(SeqNumber(iss));
        (0..10)
            .map(|second| {
                (0..1000)
                    .filter(|milli| {
                        answers.may_challenge(Instant::from_millis(second * 1000 + milli), config)
                    })
                    .count() as u32
            })
            .collect()
    }

    #[test]
    fn the_noise_is_splitmix64() {
        let mut answers = Answers::new(SeqNumber(0));
        let noise = [answers.next_noise(), answers.next_noise(), answers.next_noise()];
        assert_eq!(noise, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    // Shows: RFC5961 s7, H-06
    #[test]
    fn two_a_second_by_distance_and_any_number_where_that_is_switched_off() {
        assert_eq!(counts(1, &config(500, Config::NO_CHALLENGE_ACK_LIMIT)), [2; 10]);
        assert_eq!(counts(1, &config(0, Config::NO_CHALLENGE_ACK_LIMIT)), [1000; 10]);
    }

    // Shows: H-06, RFC5961 err4772
    #[test]
    fn a_count_differs_by_connection_and_second_and_is_about_what_was_asked_for() {
        let config = config(0, 100);
        let one = counts(1, &config);
        let other = counts(2, &config);
        assert_ne!(one, other);
        for counts in [&one, &other] {
            assert!(counts.windows(2).any(|pair| pair[0] != pair[1]), "{counts:?}");
            assert!(counts.iter().all(|count| (1..=300).contains(count)), "{counts:?}");
            let mean = counts.iter().sum::<u32>() / 10;
            assert!((60..=150).contains(&mean), "{counts:?}");
        }
        assert_eq!(counts(1, &Config::default().tcp_challenge_ack_limit(0))[0], 0);
    }
}
