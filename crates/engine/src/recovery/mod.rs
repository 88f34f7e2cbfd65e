//! What was lost and what to send again: the retransmission timer (RFC 6298), fast retransmit and
//! NewReno (RFC 5681, RFC 6582), and loss marks by SACK (RFC 6675).
//!
//! Owns the record of what is in flight and the phase of recovery. It says *what next*; *how much* is
//! `congestion`'s.

pub(crate) mod in_flight;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::SackBlock;

use self::in_flight::InFlight;
use crate::congestion::rate_sample::DeliveryRate;
use crate::congestion::{LostRange, RateSample, RecoveryPhase};
use crate::instant::Instant;

/// RFC 5681's duplicate threshold.
const DUP_THRESHOLD: u32 = 3;

/// Where recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery, until everything that was outstanding at its start is acknowledged.
    Fast { until: SeqNumber },
    /// After a retransmission time-out, until everything outstanding at it is acknowledged.
    Timeout { until: SeqNumber },
}

/// An acceptable acknowledgment, as recovery sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) ack: SeqNumber,
    /// SND.UNA moved.
    pub(crate) advanced: bool,
    /// No payload, no window update: it may count as a duplicate ACK.
    pub(crate) bare: bool,
    pub(crate) sack: &'a [SackBlock],
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) mss: u32,
}

/// What an acknowledgment meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Fast recovery begins: how much was outstanding (FlightSize).
    pub(crate) congestion: Option<u64>,
    /// Recovery ended.
    pub(crate) recovered: bool,
    /// A round-trip time by the send time of what was acknowledged, if Karn allows one.
    pub(crate) rtt: Option<Duration>,
    /// Karn forbids a sample without timestamps.
    pub(crate) retransmitted: bool,
    /// Bytes newly known to be delivered, and newly taken for lost.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
}

/// The recovery of one connection.
#[derive(Debug)]
pub(crate) struct Recovery {
    flight: InFlight,
    phase: Phase,
    sack: bool,
    duplicates: u32,
    /// Bytes that duplicate ACKs without SACK say have left the network.
    left_network: u64,
    /// RFC 6582's `recover`.
    recover: SeqNumber,
    /// Time-outs since the last acknowledgment of something new.
    timeouts: u32,
    /// When the oldest outstanding range was first sent again by the timer.
    first_timeout_at: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// What the first duplicates let out (RFC 3042): not part of FlightSize.
    limited_transmit: u64,
    /// The next segment that is missing goes without asking the congestion window.
    at_once: bool,
    /// Duplicates that the peer reported (RFC 2883).
    dsacks: u64,
    /// Marks were heeded up to here.
    reduced_until: Option<SeqNumber>,
}

impl Recovery {
    pub(crate) fn new(iss: SeqNumber) -> Recovery {
        Recovery {
            flight: InFlight::default(),
            phase: Phase::Open,
            sack: false,
            duplicates: 0,
            left_network: 0,
            // Implements: RFC6582 s3.2.1
            recover: iss,
            timeouts: 0,
            first_timeout_at: None,
            last_sent_at: None,
            limited_transmit: 0,
            at_once: false,
            dsacks: 0,
            reduced_until: None,
        }
    }

    pub(crate) fn on_handshake(&mut self, sack: bool) {
        self.sack = sack;
    }

    /// The same in Linux's words.
    pub(crate) fn phase_name(&self) -> RecoveryPhase {
        match self.phase {
            Phase::Fast { .. } => RecoveryPhase::Recovery,
            Phase::Timeout { .. } => RecoveryPhase::Loss,
            Phase::Open if self.reduced_until.is_some() => RecoveryPhase::Cwr,
            Phase::Open if self.is_disordered() => RecoveryPhase::Disorder,
            Phase::Open => RecoveryPhase::Open,
        }
    }

    pub(crate) fn flight(&self) -> &InFlight {
        &self.flight
    }

    /// Segments that the peer has, as it told; the SYN is one.
    pub(crate) fn delivered(&self) -> u64 {
        self.flight.delivered() + 1
    }

    /// Duplicates that the peer reported.
    pub(crate) fn dsacks(&self) -> u64 {
        self.dsacks
    }

    /// How many duplicates make a loss.
    pub(crate) fn reordering(&self) -> u32 {
        DUP_THRESHOLD
    }

    /// Whether the peer told of something beyond a hole, or seems to.
    pub(crate) fn is_disordered(&self) -> bool {
        self.duplicates > 0 || self.flight.sacked() > 0
    }

    /// How fast the path delivers.
    pub(crate) fn rate(&self) -> &DeliveryRate {
        self.flight.rate()
    }

    /// The ranges that were taken for lost since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<LostRange> {
        self.flight.rate_mut().take_losses()
    }

    /// The sample of the acknowledgment that was just taken.
    pub(crate) fn rate_sample(&mut self, now: Instant, min_rtt: Option<Duration>) -> RateSample {
        self.flight.rate_mut().finish(now, min_rtt)
    }

    /// The application has nothing to send, and the window would take it.
    pub(crate) fn on_app_limited(&mut self) {
        let pipe = self.pipe();
        self.flight.rate_mut().on_app_limited(pipe);
    }

    /// What may be taken to be in the network, in bytes.
    pub(crate) fn pipe(&self) -> u64 {
        self.flight.pipe().saturating_sub(self.left_network)
    }

    /// What the congestion window leaves for one more segment. With nothing in flight there is always
    /// room for one.
    pub(crate) fn room(&self, window: u64) -> u64 {
        let pipe = self.pipe();
        if pipe == 0 { u64::MAX } else { window.saturating_sub(pipe) }
    }

    /// The same for a segment that is sent again: the first of a recovery goes at once, whatever is in
    /// flight (RFC 5681 section 3.2 step 3, RFC 6582 section 3.2 step 3B).
    pub(crate) fn room_again(&self, window: u64) -> u64 {
        if self.at_once { u64::MAX } else { self.room(window) }
    }

    pub(crate) fn timeouts(&self) -> u32 {
        self.timeouts
    }

    pub(crate) fn first_timeout_at(&self) -> Option<Instant> {
        self.first_timeout_at
    }

    /// How long nothing was sent, if nothing is outstanding.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.flight.is_empty() { self.last_sent_at } else { None }
    }

    /// A segment with sequence numbers left.
    pub(crate) fn on_sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        self.last_sent_at = Some(now);
        if self.phase == Phase::Open && self.duplicates > 0 {
            self.limited_transmit += u64::from(end.distance_from(start));
        }
        self.flight.push(now, start, end);
    }

    /// A segment left again.
    pub(crate) fn on_resent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        self.last_sent_at = Some(now);
        self.at_once = false;
        self.flight.on_resent(now, start, end);
    }

    /// The next range to be sent again, if one is missing.
    pub(crate) fn next_missing(&mut self) -> Option<(SeqNumber, u32)> {
        self.flight.next_missing().map(|range| (range.start, range.len()))
    }

    /// Takes an acceptable acknowledgment.
    pub(crate) fn on_ack(&mut self, now: Instant, ack: Ack<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let (delivered, lost) = (self.flight.rate().delivered(), self.flight.rate().lost());
        let oldest_reported = self.flight.oldest().is_some_and(|oldest| oldest.sacked);
        if ack.advanced {
            let removed = self.flight.acknowledge(ack.ack);
            outcome.retransmitted = removed.retransmitted;
            // Implements: RFC6298 s3a
            if !removed.retransmitted {
                outcome.rtt = removed.first_sent_at.map(|sent_at| now - sent_at);
            }
            self.timeouts = 0;
            self.first_timeout_at = None;
        }
        let news = self.take_sack(&ack);
        self.reduced_until = self.reduced_until.filter(|until| !ack.ack.after(*until));
        if ack.advanced {
            self.on_advance(&ack, oldest_reported, &mut outcome);
        }
        if !self.flight.is_empty() && self.is_duplicate(&ack, news) {
            self.duplicates = self.duplicates.saturating_add(1);
            if !self.sack {
                // Each duplicate says that one segment has left the network, but never more than
                // all behind the oldest (H-37).
                let mss = u64::from(ack.mss);
                let limit = self.flight.outstanding().saturating_sub(mss);
                self.left_network = (self.left_network + mss).min(limit);
            }
        }
        self.detect_loss(&ack, news, &mut outcome);
        outcome.delivered = self.flight.rate().delivered() - delivered;
        outcome.lost = self.flight.rate().lost() - lost;
        outcome
    }

    /// The peer tells of marks: whether the window is to be reduced, which it is once in a window of
    /// data.
    // Implements: RFC3168 s6.1.2a
    pub(crate) fn enter_cwr(&mut self, una: SeqNumber, snd_nxt: SeqNumber) -> bool {
        let may = self.phase == Phase::Open && self.reduced_until.is_none_or(|at| una.after(at));
        if may {
            self.reduced_until = Some(snd_nxt);
        }
        may
    }

    /// The retransmission timer fired: FlightSize, and whether the oldest range timed out before.
    // Implements: RFC6298 s5.4, RFC6582 s3.2.4
    pub(crate) fn on_timeout(&mut self, now: Instant, snd_nxt: SeqNumber) -> (u64, bool) {
        let flight_size = self.flight.outstanding();
        let repeated = self.timeouts > 0;
        self.timeouts = self.timeouts.saturating_add(1);
        self.first_timeout_at.get_or_insert(now);
        if self.flight.oldest().is_some_and(|oldest| oldest.sacked) {
            // What the peer reported as held it did not acknowledge when the hole was filled.
            self.flight.forget_sacks();
        }
        self.flight.mark_all_lost();
        self.left_network = 0;
        self.duplicates = 0;
        self.recover = snd_nxt;
        self.phase = Phase::Timeout { until: snd_nxt };
        (flight_size, repeated)
    }

    /// Segments above `size` bytes were too big for the path: they are sent again in smaller ones. It
    /// is no sign of congestion, and neither are duplicates until all of it is acknowledged.
    pub(crate) fn on_too_big(&mut self, size: u32, snd_nxt: SeqNumber) {
        if self.flight.mark_larger_lost(size) == 0 {
            return;
        }
        self.at_once = true;
        if self.phase == Phase::Open {
            self.recover = snd_nxt;
            self.phase = Phase::Timeout { until: snd_nxt };
        }
    }

    /// The connection is over.
    pub(crate) fn clear(&mut self) {
        self.flight.clear();
        self.left_network = 0;
        self.at_once = false;
        self.phase = Phase::Open;
    }

    fn take_sack(&mut self, ack: &Ack<'_>) -> u64 {
        if !self.sack {
            return 0;
        }
        let mut blocks = ack.sack;
        // RFC 2883 section 5: a first block at or below this ACK, or within the second, reports a
        // duplicate and marks nothing.
        if let [first, rest @ ..] = blocks
            && (first.left.before(ack.ack)
                || rest.first().is_some_and(|second| {
                    first.left.at_or_after(second.left) && first.right.at_or_before(second.right)
                }))
        {
            self.dsacks += 1;
            blocks = rest;
        }
        blocks.iter().map(|block| self.flight.on_sack(*block)).sum()
    }

    /// RFC 5681 section 2; with SACK, RFC 6675: it must bring news of bytes held, and may then move
    /// the cumulative acknowledgment too.
    // Implements: RFC5681 s2, RFC6675 s5a
    fn is_duplicate(&self, ack: &Ack<'_>, news: u64) -> bool {
        if self.sack { news > 0 } else { ack.bare && !ack.advanced }
    }

    fn on_advance(&mut self, ack: &Ack<'_>, oldest_reported: bool, outcome: &mut Outcome) {
        self.duplicates = 0;
        self.limited_transmit = 0;
        match self.phase {
            Phase::Open => self.left_network = 0,
            Phase::Fast { until } | Phase::Timeout { until } if ack.ack.at_or_after(until) => {
                self.phase = Phase::Open;
                self.left_network = 0;
                outcome.recovered = true;
            }
            Phase::Fast { .. } => {
                self.left_network = self
                    .left_network
                    .min(self.flight.outstanding().saturating_sub(u64::from(ack.mss)));
                // A partial ACK: the next segment is missing too (RFC 6582 section 3.2 step 3B).
                if !self.sack && !oldest_reported {
                    self.left_network = self.left_network.saturating_sub(u64::from(ack.mss));
                    self.at_once = self.flight.mark_oldest_lost() > 0;
                }
            }
            Phase::Timeout { .. } => self.left_network = 0,
        }
        if self.phase == Phase::Open && self.recover.before(ack.ack - 1) {
            // A number that stays behind would seem to lie ahead after 2 GiB.
            self.recover = ack.ack - 1;
        }
    }

    fn detect_loss(&mut self, ack: &Ack<'_>, news: u64, outcome: &mut Outcome) {
        if self.flight.is_empty() {
            return;
        }
        // Implements: RFC5681 s3.2.2
        let flight_size = self.flight.outstanding().saturating_sub(self.limited_transmit);
        let newly = if self.sack {
            let mut newly = 0;
            if news > 0 {
                newly += self.flight.mark_lost_below_sacks(
                    u64::from((DUP_THRESHOLD - 1) * ack.mss),
                    DUP_THRESHOLD as usize,
                );
            }
            if self.duplicates >= DUP_THRESHOLD && self.phase == Phase::Open {
                newly += self.flight.mark_oldest_lost();
            }
            newly
        } else if self.duplicates == DUP_THRESHOLD
            && self.phase == Phase::Open
            && ack.ack.after(self.recover)
        {
            // Implements: RFC6582 s3.2.2, RFC5681 s3.2.3
            self.flight.mark_oldest_lost()
        } else {
            0
        };
        if newly > 0 && self.phase == Phase::Open {
            self.recover = ack.snd_nxt;
            self.phase = Phase::Fast { until: ack.snd_nxt };
            self.at_once = true;
            outcome.congestion = Some(flight_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNA: SeqNumber = SeqNumber(1000);

    fn recovery(sack: bool) -> Recovery {
        let mut recovery = Recovery::new(UNA - 1);
        recovery.on_handshake(sack);
        for index in 0..10 {
            recovery.on_sent(Instant::ZERO, UNA + index * 1000, UNA + (index + 1) * 1000);
        }
        recovery
    }

    fn ack(recovery: &mut Recovery, ack: u32, advanced: bool, sack: &[SackBlock]) -> Outcome {
        recovery.on_ack(
            Instant::from_millis(100),
            Ack { ack: UNA + ack, advanced, bare: true, sack, snd_nxt: UNA + 10_000, mss: 1000 },
        )
    }

    fn resend(recovery: &mut Recovery) -> Option<u32> {
        let (start, len) = recovery.next_missing()?;
        recovery.on_resent(Instant::from_millis(100), start, start + len);
        Some(start.distance_from(UNA))
    }

    // Shows: RFC5681 s3.2.2, RFC5681 s3.2.3, RFC6582 s3.2.3b
    #[test]
    fn without_sack_the_third_duplicate_and_each_partial_ack_resend_one_segment() {
        let mut recovery = recovery(false);
        assert_eq!(ack(&mut recovery, 0, false, &[]), Outcome::default());
        assert_eq!(ack(&mut recovery, 0, false, &[]), Outcome::default());
        assert_eq!(ack(&mut recovery, 0, false, &[]).congestion, Some(10_000));
        assert_eq!(resend(&mut recovery), Some(0));
        assert_eq!(resend(&mut recovery), None);
        ack(&mut recovery, 0, false, &[]);
        assert_eq!(resend(&mut recovery), None);
        let partial = ack(&mut recovery, 4000, true, &[]);
        assert!(partial.retransmitted && partial.rtt.is_none() && !partial.recovered);
        assert_eq!(resend(&mut recovery), Some(4000));
        assert!(ack(&mut recovery, 10_000, true, &[]).recovered);
        assert_eq!(recovery.phase_name(), RecoveryPhase::Open);
    }

    // Shows: RFC5681 s3.2.2
    #[test]
    fn what_the_first_duplicates_let_out_is_not_part_of_the_flight() {
        let mut recovery = recovery(false);
        ack(&mut recovery, 0, false, &[]);
        recovery.on_sent(Instant::ZERO, UNA + 10_000, UNA + 11_000);
        ack(&mut recovery, 0, false, &[]);
        recovery.on_sent(Instant::ZERO, UNA + 11_000, UNA + 12_000);
        assert_eq!(ack(&mut recovery, 0, false, &[]).congestion, Some(10_000));
    }

    // Shows: H-33, RFC6582 s3.2.2
    #[test]
    fn gigabytes_after_the_start_three_duplicates_still_begin_recovery() {
        let mut recovery = Recovery::new(UNA - 1);
        recovery.on_handshake(false);
        let ack = |recovery: &mut Recovery, ack: SeqNumber, advanced: bool, snd_nxt: SeqNumber| {
            let ack = Ack { ack, advanced, bare: true, sack: &[], snd_nxt, mss: 1000 };
            recovery.on_ack(Instant::ZERO, ack)
        };
        let mut at = UNA;
        for _ in 0..3 << 10 {
            recovery.on_sent(Instant::ZERO, at, at + (1 << 20));
            at += 1 << 20;
            ack(&mut recovery, at, true, at);
        }
        recovery.on_sent(Instant::ZERO, at, at + 5000);
        for _ in 0..2 {
            assert_eq!(ack(&mut recovery, at, false, at + 5000).congestion, None);
        }
        assert_eq!(ack(&mut recovery, at, false, at + 5000).congestion, Some(5000));
    }

    // Shows: H-37
    #[test]
    fn ten_thousand_duplicates_take_no_more_out_of_the_pipe_than_is_there() {
        let mut recovery = recovery(false);
        for _ in 0..10_000 {
            ack(&mut recovery, 0, false, &[]);
        }
        assert!(recovery.pipe() <= 1000);
        assert_eq!(resend(&mut recovery), Some(0));
        assert_eq!(resend(&mut recovery), None);
    }

    // Shows: RFC6675 s5b, RFC6675 s5c
    #[test]
    fn with_sack_all_holes_below_the_reports_are_resent_and_recovery_lasts_to_its_point() {
        let mut recovery = recovery(true);
        let block = |left: u32, right: u32| SackBlock { left: UNA + left, right: UNA + right };
        ack(&mut recovery, 0, false, &[block(1000, 2000)]);
        ack(&mut recovery, 0, false, &[block(4000, 5000), block(1000, 2000)]);
        let outcome = ack(&mut recovery, 0, false, &[block(4000, 7000), block(1000, 2000)]);
        assert_eq!(outcome.congestion, Some(10_000));
        assert_eq!(resend(&mut recovery), Some(0));
        assert_eq!(resend(&mut recovery), Some(2000));
        assert_eq!(resend(&mut recovery), Some(3000));
        assert_eq!(resend(&mut recovery), None);
        assert!(!ack(&mut recovery, 7000, true, &[]).recovered);
        assert!(ack(&mut recovery, 10_000, true, &[]).recovered);
    }

    // Shows: RFC2883 s5, RFC2883 s5b
    #[test]
    fn a_d_sack_is_judged_against_the_ack_it_came_with_and_marks_nothing() {
        let mut recovery = recovery(true);
        let block = |left: u32, right: u32| SackBlock { left: UNA + left, right: UNA + right };
        ack(&mut recovery, 2000, true, &[block(1000, 2000)]);
        assert_eq!(recovery.flight().sacked(), 0);
        ack(&mut recovery, 2000, false, &[block(5000, 6000), block(4000, 7000)]);
        assert_eq!(recovery.flight().sacked(), 3000);
    }

    // Shows: RFC6298 s5.4, RFC6582 s3.2.4, RFC6675 s5.1
    #[test]
    fn after_a_time_out_everything_is_missing_and_old_duplicates_begin_nothing() {
        let mut recovery = recovery(false);
        assert_eq!(recovery.on_timeout(Instant::from_millis(300), UNA + 10_000), (10_000, false));
        assert_eq!(recovery.pipe(), 0);
        assert_eq!(resend(&mut recovery), Some(0));
        for _ in 0..5 {
            assert_eq!(ack(&mut recovery, 0, false, &[]).congestion, None);
        }
        assert_eq!(recovery.on_timeout(Instant::from_millis(900), UNA + 10_000), (10_000, true));
        assert!(ack(&mut recovery, 10_000, true, &[]).recovered);
    }

    // Shows: RFC1191 s6.5
    #[test]
    fn what_was_too_big_is_resent_and_what_fitted_is_no_sign_of_congestion_by_being_reported() {
        for sack in [true, false] {
            let mut recovery = Recovery::new(UNA - 1);
            recovery.on_handshake(sack);
            let mut at = UNA;
            for len in [1000, 100, 1000, 100, 100, 100] {
                recovery.on_sent(Instant::ZERO, at, at + len);
                at += len;
            }
            recovery.on_too_big(600, at);
            assert_eq!(recovery.flight().missing(), 2000);
            assert_eq!(resend(&mut recovery), Some(0));
            assert_eq!(resend(&mut recovery), Some(1100));
            let block = |left: u32, right: u32| SackBlock { left: UNA + left, right: UNA + right };
            for blocks in [
                &[block(1000, 1100)][..],
                &[block(2100, 2200), block(1000, 1100)],
                &[block(2100, 2300), block(1000, 1100)],
                &[block(2100, 2400), block(1000, 1100)],
            ] {
                let blocks = if sack { blocks } else { &[] };
                assert_eq!(ack(&mut recovery, 0, false, blocks).congestion, None, "SACK {sack}");
            }
        }
    }

    // Shows: RFC6298 s3a
    #[test]
    fn a_sample_is_of_what_was_sent_once() {
        let mut recovery = recovery(false);
        assert_eq!(ack(&mut recovery, 1000, true, &[]).rtt, Some(Duration::from_millis(100)));
        recovery.on_timeout(Instant::from_millis(300), UNA + 10_000);
        resend(&mut recovery);
        assert_eq!(ack(&mut recovery, 2000, true, &[]).rtt, None);
    }

    // Shows: H-65
    #[test]
    fn a_peer_that_takes_back_what_it_reported_gets_it_again() {
        let mut recovery = recovery(true);
        let all_but_first = SackBlock { left: UNA + 1000, right: UNA + 10_000 };
        ack(&mut recovery, 0, false, &[all_but_first]);
        assert_eq!(resend(&mut recovery), Some(0));
        ack(&mut recovery, 1000, true, &[]);
        recovery.on_timeout(Instant::from_millis(900), UNA + 10_000);
        assert_eq!(resend(&mut recovery), Some(1000));
    }
}
