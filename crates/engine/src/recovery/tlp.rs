//! Tail loss probes: what asks the peer before the retransmission timer does, and what its answer
//! says (RFC 8985 section 7).
//!
//! Owns the episode: one probe at a time. When the probe is due is `probe_after`; what it sends is
//! `connection`'s to find.

use core::time::Duration;

/// Linux's least time-out: two ticks of its clock.
pub(crate) const LEAST_TIMEOUT: Duration = Duration::from_millis(2);

/// The probe that is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tlp {
    episode: Option<Episode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Episode {
    /// SND.NXT behind the probe.
    end: u64,
    /// It was a segment sent before, not a new one.
    resent: bool,
}

/// An acknowledgment during an episode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) ack: u64,
    /// It reports that the probe arrived twice.
    pub(crate) dsack: bool,
    /// It tells nothing at all but that something arrived.
    pub(crate) duplicate: bool,
}

impl Tlp {
    /// Whether a probe is on its way.
    pub(crate) fn is_probing(&self) -> bool {
        self.episode.is_some()
    }

    /// Whether the probe that ends at `end` is on its way.
    pub(crate) fn ends_at(&self, end: u64) -> bool {
        self.episode.is_some_and(|episode| episode.end == end)
    }

    /// Whether a segment sent again is on its way as a probe.
    pub(crate) fn is_resent(&self) -> bool {
        self.episode.is_some_and(|episode| episode.resent)
    }

    // Implements: RFC8985 s7.3b
    pub(crate) fn on_probe(&mut self, end: u64, resent: bool) {
        self.episode = Some(Episode { end, resent });
    }

    /// A recovery takes over.
    pub(crate) fn end(&mut self) {
        self.episode = None;
    }

    /// Whether the answer tells of a loss that the probe repaired before anyone saw it.
    // Implements: RFC8985 s7.4.2, RFC8985 s7.4.1
    pub(crate) fn on_ack(&mut self, answer: &Answer) -> bool {
        let Some(episode) = self.episode else { return false };
        if answer.ack < episode.end {
            return false;
        }
        if episode.resent && !answer.dsack && answer.ack > episode.end {
            self.episode = None;
            return true;
        }
        if !episode.resent || answer.dsack || answer.duplicate {
            self.episode = None;
        }
        false
    }
}

/// How long after the last segment the probe goes; `lone` is whether that is all that is in flight,
/// in which case the peer may delay its acknowledgment.
// Implements: RFC8985 s7.2a
pub(crate) fn probe_after(srtt: Option<Duration>, lone: bool, delayed_ack: Duration) -> Duration {
    match srtt {
        Some(srtt) => srtt * 2 + if lone { delayed_ack } else { LEAST_TIMEOUT },
        None => Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    // Shows: RFC8985 s7.2a
    #[test]
    fn a_probe_goes_after_two_round_trips_and_a_lone_one_waits_for_a_delayed_ack() {
        assert_eq!(probe_after(Some(ms(50)), false, ms(200)), ms(102));
        assert_eq!(probe_after(Some(ms(50)), true, ms(200)), ms(300));
        assert_eq!(probe_after(None, true, ms(200)), ms(1000));
    }

    // Shows: RFC8985 s7.4.1, RFC8985 s7.4.2
    #[test]
    fn only_an_answer_beyond_a_resent_probe_without_a_duplicate_tells_of_a_loss() {
        let answer = |ack| Answer { ack, dsack: false, duplicate: false };
        for (resent, answer, loss, probing) in [
            (true, answer(999), false, true),
            (true, answer(1000), false, true),
            (true, Answer { duplicate: true, ..answer(1000) }, false, false),
            (true, Answer { dsack: true, ..answer(1000) }, false, false),
            (true, answer(1001), true, false),
            (false, answer(1000), false, false),
            (false, answer(1001), false, false),
        ] {
            let mut tlp = Tlp::default();
            tlp.on_probe(1000, resent);
            assert_eq!(tlp.on_ack(&answer), loss, "{resent} {answer:?}");
            assert_eq!(tlp.is_probing(), probing, "{resent} {answer:?}");
        }
    }
}
