//! Accurate ECN: RFC 9768 section 3.2, with Linux's choices where it leaves some.
//!
//! Two halves that do not meet: what arrives here marked is counted and fed back, and the peer's
//! feedback on what we sent is taken. Both count marked segments modulo eight in three bits of the
//! header, and payload bytes modulo 2^24 in an option.

use core::time::Duration;

use arrayvec::ArrayVec;
use towpath_wire::SeqNumber;
use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{AccEcn, AccEcnOrder, Flags};

use super::negotiate::{self, Failures, Start};
use super::option::OptionSeen;
use super::{Hurry, Leaving};
use crate::config::Config;
use crate::instant::Instant;

/// RFC 9768 section 3.2.1: the counter of segments begins here.
const INITIAL_ACE: u32 = 5;
/// And those of bytes, in the order ECT(1), ECT(0), CE; not at zero, so that clearing shows.
const INITIAL_BYTES: [u32; 3] = [1, 1, 0];
const ACE_MASK: u32 = 0b111;
const BYTES_MASK: u32 = 0xff_ffff;
/// Marks that were not told yet: with so many an ACK leaves at once, before the bits wrap.
const MOST_UNTOLD: u32 = 6;
/// A counter is told at least once in so many bytes.
const BEACON_BYTES: u32 = 1 << 22;
/// Without an option until here, one that comes later could have wrapped.
const LATEST_FIRST_OPTION: u64 = (1 << 23) - 1;
/// Segments that an ACK delivers on the average, from which on ACKs are taken to be thinned out.
const COMPRESSED: u32 = 4;
/// The average is kept in 64ths, and moves by a 64th.
const AVERAGE_SHIFT: u32 = 6;

/// Accurate ECN of one connection.
#[derive(Debug)]
pub(crate) struct Accurate {
    failures: Failures,
    option: OptionSeen,
    received: Received,
    told: Told,
}

/// What arrived here.
#[derive(Debug)]
struct Received {
    /// Marked segments, and those of them that no segment of ours has told of.
    ce: u32,
    untold: u32,
    /// Payload bytes, by codepoint in the order ECT(1), ECT(0), CE.
    bytes: [u32; 3],
    last: Codepoint,
    /// The codepoint of the peer's SYN, and whether the next ACK is to say it.
    syn: Codepoint,
    reflects: bool,
    /// Segments that arrived can be marked.
    seen: bool,
    /// Counters that the next option must have, for what changed to be in it.
    required: usize,
    /// Segments that are to carry the option in any case.
    demand: u8,
    option_sent_at: Option<Instant>,
    /// The D-SACK beside the last option: if its segment comes again, the ACK was lost.
    duplicate: Option<SeqNumber>,
}

/// What the peer told of what we sent.
#[derive(Debug, Default)]
struct Told {
    ce: u32,
    bytes: [u32; 3],
    /// The codepoint that all bytes seem to arrive with, where no option says.
    estimate: Option<usize>,
    /// Segments that an ACK delivers, on the average.
    average: u32,
    /// The bits are the counter: what completed the handshake was looked at.
    is_counter: bool,
}

/// An acceptable acknowledgment, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo<'a> {
    pub(crate) option: Option<&'a AccEcn>,
    /// Segments and bytes that it delivers.
    pub(crate) delivered_segments: u32,
    pub(crate) delivered_bytes: u64,
    /// It says something new, by its number, a SACK or its timestamp: it was not overtaken.
    pub(crate) progress: bool,
    /// What it delivers is known exactly: there is SACK, or no loss.
    pub(crate) exact: bool,
    pub(crate) mss: u32,
    /// Bytes sent since the beginning.
    pub(crate) bytes_sent: u64,
}

impl Accurate {
    pub(super) fn new(start: Start) -> Accurate {
        Accurate {
            failures: start.failures,
            option: start.option,
            received: Received {
                ce: u32::from(start.received_ce),
                untold: u32::from(start.received_ce),
                bytes: [0; 3],
                last: start.syn_arrived,
                syn: start.syn_arrived,
                reflects: start.active,
                seen: false,
                required: 0,
                demand: start.option_demand,
                option_sent_at: None,
                duplicate: None,
            },
            told: Told {
                ce: u32::from(start.delivered_ce),
                is_counter: start.active,
                ..Told::default()
            },
        }
    }

    // Implements: RFC9768 s3.2b, RFC9768 s3.2.2.5.1a, RFC9768 s3.2.2.5.1b, RFC9768 s3.2.3.3b
    pub(super) fn on_segment(
        &mut self,
        codepoint: Codepoint,
        segments: u32,
        text_len: u32,
    ) -> Hurry {
        let received = &mut self.received;
        let marked = codepoint == Codepoint::Ce;
        if let Some(index) = index(codepoint) {
            received.seen = true;
            if marked {
                received.ce = received.ce.wrapping_add(segments);
                received.untold = received.untold.saturating_add(segments).min(0xf);
            }
            if text_len > 0 {
                let before = received.bytes[index];
                received.bytes[index] = before.wrapping_add(text_len);
                received.required = received.required.max(place(codepoint));
                if (before ^ received.bytes[index]) >= BEACON_BYTES {
                    received.demand = received.demand.max(1);
                }
            }
        }
        let changed = received.last != codepoint;
        if changed || marked {
            received.last = codepoint;
            // Twice, so that the second tells without doubt what arrives now.
            received.demand = 2;
        }
        if changed || received.untold >= MOST_UNTOLD { Hurry::Now } else { Hurry::None }
    }

    pub(super) fn on_text(&self, codepoint: Codepoint) -> Hurry {
        let again = codepoint == Codepoint::NotEct && self.received.seen;
        if again { Hurry::Quick } else { Hurry::None }
    }

    /// The peer's SYN, or SYN-ACK, came again: what completed the handshake is said again.
    pub(crate) fn on_syn_again(&mut self, codepoint: Codepoint, option: Option<&AccEcn>) {
        self.received.syn = codepoint;
        self.received.reflects = true;
        if let Some(option) = option
            && !self.option.has_counters()
        {
            self.see(option);
            self.received.demand = self.received.demand.max(1);
        }
    }

    /// Text arrived that had arrived before. If the ACK that said so carried the option and a
    /// D-SACK, it was lost, and the option may be why.
    pub(crate) fn on_duplicate(&mut self, seq: SeqNumber) {
        if self.received.duplicate == Some(seq) {
            self.failures.option_sent = true;
        }
    }

    fn see(&mut self, option: &AccEcn) {
        self.option = OptionSeen::first(option);
        self.failures.option_received |= self.option == OptionSeen::Mangled;
    }

    /// Takes the feedback of an ACK: how many more segments were marked.
    // Implements: RFC9768 s3.2.2.2, RFC9768 s3.2.2.5.2, RFC9768 s3.2.3.2.3
    pub(super) fn on_ack(&mut self, flags: Flags, echo: &Echo<'_>) -> u32 {
        if !std::mem::replace(&mut self.told.is_counter, true) || !echo.progress {
            return 0;
        }
        if self.failures.bits_received {
            // Nothing that we send can be marked, so what comes is no mark.
            return 0;
        }
        let marked_bytes = self.take_option(echo);
        self.average(echo.delivered_segments);
        let segments = echo.delivered_segments;
        let code = u32::from(negotiate::number(flags));
        let delta = code.wrapping_sub(INITIAL_ACE).wrapping_sub(self.told.ce) & ACE_MASK;
        let marked =
            if segments <= ACE_MASK { delta } else { self.resolve(echo, delta, marked_bytes) };
        self.told.ce = self.told.ce.wrapping_add(marked);
        marked
    }

    /// The bits may have wrapped: of what they can mean, the most that the bytes allow.
    fn resolve(&self, echo: &Echo<'_>, delta: u32, marked_bytes: Option<u32>) -> u32 {
        let segments = echo.delivered_segments;
        let most = segments - (segments.wrapping_sub(delta) & ACE_MASK);
        let Some(marked_bytes) = marked_bytes else {
            // Many segments to an ACK are the custom of this path, not a sign of lost ACKs.
            return if self.told.average > COMPRESSED << AVERAGE_SHIFT { delta } else { most };
        };
        if marked_bytes == 0 {
            return delta;
        }
        let marked_bytes = u64::from(marked_bytes);
        if segments >= 2 * (ACE_MASK + 1) && echo.exact {
            if echo.delivered_bytes <= marked_bytes {
                return most;
            }
            let estimate = (marked_bytes * u64::from(segments)).div_ceil(echo.delivered_bytes);
            let wraps = u32::try_from(estimate).unwrap_or(u32::MAX) & !ACE_MASK;
            return most.min(delta.saturating_add(wraps));
        }
        let mss = u64::from(echo.mss);
        if marked_bytes > u64::from(delta) * mss {
            most
        } else if marked_bytes < u64::from(most) * mss / 2 {
            delta
        } else {
            most
        }
    }

    /// Takes the option of an ACK: how many bytes more were marked, if the counters can be relied
    /// on.
    // Implements: RFC9768 s3.2.3a, RFC9768 s3.2.3.2.4
    fn take_option(&mut self, echo: &Echo<'_>) -> Option<u32> {
        if self.failures.option_received {
            return None;
        }
        let marked_before = self.told.bytes[CE];
        let Some(option) = echo.option else {
            if self.option == OptionSeen::No {
                if echo.bytes_sent >= LATEST_FIRST_OPTION {
                    self.option = OptionSeen::Mangled;
                    self.failures.option_received = true;
                }
                return None;
            }
            let estimate = self.told.estimate?;
            let delivered = echo.delivered_bytes as u32;
            self.told.bytes[estimate] = self.told.bytes[estimate].wrapping_add(delivered);
            return Some(self.told.bytes[CE].wrapping_sub(marked_before));
        };
        if !self.option.has_counters() {
            self.see(option);
        }
        let estimate = self.told.estimate;
        let (mut usable, mut ambiguous, mut changed) = (estimate.is_some(), false, false);
        for (counter, codepoint) in option.counters.iter().zip(order(option.order)) {
            let told = &mut self.told.bytes[codepoint];
            let delta = signed_24(
                counter.wrapping_sub(INITIAL_BYTES[codepoint]).wrapping_sub(*told) & BYTES_MASK,
            );
            *told = told.wrapping_add_signed(delta);
            if delta < 0 {
                usable = false;
                ambiguous = true;
            }
            if delta != 0 && estimate != Some(codepoint) {
                if changed {
                    usable = false;
                    ambiguous = true;
                } else {
                    self.told.estimate = Some(codepoint);
                    changed = true;
                }
            }
        }
        if ambiguous {
            self.told.estimate = None;
        }
        usable.then(|| self.told.bytes[CE].wrapping_sub(marked_before))
    }

    fn average(&mut self, segments: u32) {
        if segments == 0 {
            return;
        }
        let new = segments << AVERAGE_SHIFT;
        let old = self.told.average;
        let average =
            if old == 0 { new } else { ((old << AVERAGE_SHIFT) - old + new) >> AVERAGE_SHIFT };
        self.told.average = average.min(0xffff);
    }

    /// The codepoint of whatever leaves: nothing can be marked where marks may not be told.
    // Implements: RFC9768 s3.1.5b
    pub(crate) fn codepoint(&self) -> Codepoint {
        let fails = self.failures.bits_received || self.failures.bits_sent;
        if fails { Codepoint::NotEct } else { Codepoint::Ect0 }
    }

    /// The codepoint and the three bits of a segment that leaves.
    // Implements: RFC9768 s3.2.2, RFC9768 s3.2.2.1
    pub(super) fn stamp(&mut self, leaving: Leaving) -> (Codepoint, Flags) {
        let codepoint = self.codepoint();
        let reflects = std::mem::take(&mut self.received.reflects);
        if reflects && leaving == Leaving::Bare {
            return (codepoint, negotiate::reflected(self.received.syn));
        }
        self.received.untold = 0;
        (codepoint, negotiate::bits(self.received.ce.wrapping_add(INITIAL_ACE)))
    }

    /// Whether a segment that leaves now carries the option, and how many counters it must have.
    // Implements: RFC9768 s3.2.3.2.1
    pub(crate) fn wants_option(
        &self,
        now: Instant,
        config: &Config,
        srtt: Option<Duration>,
    ) -> Option<usize> {
        let wish = config.tcp_ecn_option;
        let may =
            wish > 0 && self.option != OptionSeen::No && (wish >= 3 || !self.failures.option_sent);
        let beacon = || {
            let times = config.tcp_ecn_option_beacon;
            let since = self.received.option_sent_at.map_or(Duration::MAX, |at| now - at);
            times > 0 && since.saturating_mul(times) >= srtt.unwrap_or_default()
        };
        let wanted = wish >= 2 || self.received.demand > 0 || beacon();
        (may && wanted).then_some(self.received.required)
    }

    /// The option with so many counters.
    // Implements: RFC9768 s3.2a
    pub(crate) fn option(&self, counters: usize) -> AccEcn {
        let values = order(AccEcnOrder::Ect1First).map(|codepoint| {
            self.received.bytes[codepoint].wrapping_add(INITIAL_BYTES[codepoint]) & BYTES_MASK
        });
        AccEcn {
            order: AccEcnOrder::Ect1First,
            counters: values.into_iter().take(counters).collect::<ArrayVec<_, 3>>(),
        }
    }

    /// A segment with the option left, beside this D-SACK if there is one.
    pub(crate) fn on_option_sent(&mut self, now: Instant, duplicate: Option<SeqNumber>) {
        self.received.required = 0;
        self.received.option_sent_at = Some(now);
        self.received.duplicate = duplicate;
        self.received.demand = self.received.demand.saturating_sub(1);
    }

    /// A segment left without it.
    pub(crate) fn on_option_left_out(&mut self) {
        self.received.duplicate = None;
    }

    pub(super) fn is_seen(&self) -> bool {
        self.received.seen
    }

    pub(super) fn delivered_ce(&self) -> u32 {
        self.told.ce
    }

    /// Marked segments that arrived.
    pub(crate) fn received_ce(&self) -> u32 {
        self.received.ce
    }

    /// Bytes that the peer says arrived with ECT(1), ECT(0) and CE.
    pub(crate) fn delivered_bytes(&self) -> [u32; 3] {
        self.told.bytes
    }

    /// Bytes that arrived with ECT(1), ECT(0) and CE.
    pub(crate) fn received_bytes(&self) -> [u32; 3] {
        self.received.bytes
    }
}

/// Where a codepoint's counter stands in our arrays.
const ECT1: usize = 0;
const ECT0: usize = 1;
const CE: usize = 2;

fn index(codepoint: Codepoint) -> Option<usize> {
    match codepoint {
        Codepoint::NotEct => None,
        Codepoint::Ect1 => Some(ECT1),
        Codepoint::Ect0 => Some(ECT0),
        Codepoint::Ce => Some(CE),
    }
}

/// How many counters our option must have for this codepoint's to be among them.
fn place(codepoint: Codepoint) -> usize {
    match codepoint {
        Codepoint::NotEct => 0,
        Codepoint::Ect1 => 1,
        Codepoint::Ce => 2,
        Codepoint::Ect0 => 3,
    }
}

fn order(order: AccEcnOrder) -> [usize; 3] {
    match order {
        AccEcnOrder::Ect0First => [ECT0, CE, ECT1],
        AccEcnOrder::Ect1First => [ECT1, CE, ECT0],
    }
}

/// A difference modulo 2^24 as the lesser of forward and back.
fn signed_24(difference: u32) -> i32 {
    ((difference << 8).cast_signed()) >> 8
}

/// The option of a SYN-ACK, which counts nothing yet.
// Implements: RFC9768 s3.2a
pub(crate) fn initial_option() -> AccEcn {
    let counters = order(AccEcnOrder::Ect1First).map(|codepoint| INITIAL_BYTES[codepoint]);
    AccEcn { order: AccEcnOrder::Ect1First, counters: counters.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    fn start() -> Start {
        Start {
            syn_arrived: Codepoint::NotEct,
            received_ce: false,
            delivered_ce: false,
            option: OptionSeen::Counters,
            failures: Failures::default(),
            option_demand: 1,
            active: false,
        }
    }

    /// The handshake is over.
    fn counting() -> Accurate {
        let mut accurate = Accurate::new(start());
        accurate.told.is_counter = true;
        accurate
    }

    fn echo(segments: u32) -> Echo<'static> {
        Echo {
            option: None,
            delivered_segments: segments,
            delivered_bytes: u64::from(segments * MSS),
            progress: true,
            exact: true,
            mss: MSS,
            bytes_sent: 0,
        }
    }

    fn ect1_first(counters: &[u32]) -> AccEcn {
        AccEcn { order: AccEcnOrder::Ect1First, counters: counters.iter().copied().collect() }
    }

    // Shows: RFC9768 s3.2a, RFC9768 s3.2b, RFC9768 s3.2.2
    #[test]
    fn marks_are_counted_from_five_modulo_eight_and_bytes_from_one_and_zero() {
        let mut accurate = counting();
        assert_eq!(accurate.stamp(Leaving::Bare), (Codepoint::Ect0, negotiate::bits(5)));
        assert_eq!(accurate.option(3), ect1_first(&[1, 0, 1]));
        for marks in 1..=8 {
            accurate.on_segment(Codepoint::Ce, 1, 100);
            assert_eq!(negotiate::number(accurate.stamp(Leaving::Bare).1), (5 + marks) % 8);
        }
        accurate.on_segment(Codepoint::Ect0, 1, 0);
        accurate.on_segment(Codepoint::Ect1, 3, 3000);
        assert_eq!(accurate.option(3), ect1_first(&[3001, 800, 1]));
        assert_eq!(accurate.option(2), ect1_first(&[3001, 800]));
    }

    // Shows: RFC9768 s3.2.2.5.1a, RFC9768 s3.2.2.5.1b
    #[test]
    fn a_change_is_told_at_once_and_six_marks_at_the_latest() {
        let mut accurate = counting();
        assert_eq!(accurate.on_segment(Codepoint::NotEct, 1, 100), Hurry::None);
        assert_eq!(accurate.on_segment(Codepoint::Ce, 1, 100), Hurry::Now);
        for _ in 0..4 {
            assert_eq!(accurate.on_segment(Codepoint::Ce, 1, 100), Hurry::None);
        }
        assert_eq!(accurate.on_segment(Codepoint::Ce, 1, 100), Hurry::Now);
        accurate.stamp(Leaving::Bare);
        assert_eq!(accurate.on_segment(Codepoint::Ce, 1, 100), Hurry::None);
        assert_eq!(accurate.on_segment(Codepoint::Ect0, 1, 100), Hurry::Now);
    }

    // Shows: RFC9768 s3.2.2.2
    #[test]
    fn the_bits_tell_how_many_more_were_marked_and_overtaken_acks_tell_nothing() {
        let mut accurate = counting();
        assert_eq!(accurate.on_ack(negotiate::bits(5), &echo(2)), 0);
        assert_eq!(accurate.on_ack(negotiate::bits(7), &echo(2)), 2);
        assert_eq!(accurate.on_ack(negotiate::bits(0), &echo(1)), 1);
        let overtaken = Echo { progress: false, ..echo(0) };
        assert_eq!(accurate.on_ack(negotiate::bits(7), &overtaken), 0);
        assert_eq!(accurate.delivered_ce(), 3);
    }

    // Shows: RFC9768 s3.2.2.5.2, RFC9768 s3.2.3.2.3
    #[test]
    fn where_the_bits_may_have_wrapped_the_most_is_assumed_unless_bytes_say_less() {
        // RFC 9768 section 3.2.2.5.2: 16 segments and a difference of 3 are 11 at most.
        let mut accurate = counting();
        accurate.average(1);
        assert_eq!(accurate.on_ack(negotiate::bits(5 + 3), &echo(16)), 11);
        // An option that says that no byte was marked.
        let mut accurate = counting();
        accurate.told.estimate = Some(ECT0);
        let option = ect1_first(&[1, 0, 16_001]);
        let told = Echo { option: Some(&option), ..echo(16) };
        assert_eq!(accurate.on_ack(negotiate::bits(5), &told), 0);
        // Half of the bytes: eight and not none.
        let option = ect1_first(&[1, 8000, 24_001]);
        let told = Echo { option: Some(&option), ..echo(16) };
        accurate.told.estimate = Some(CE);
        assert_eq!(accurate.on_ack(negotiate::bits(5), &told), 8);
        // Where ACKs usually deliver many segments they are not taken for lost.
        let mut accurate = counting();
        for _ in 0..10 {
            accurate.average(20);
        }
        assert_eq!(accurate.on_ack(negotiate::bits(5), &echo(20)), 0);
    }

    // Shows: RFC9768 s3.2.3a
    #[test]
    fn counters_wrap_at_2_to_the_24() {
        let mut accurate = counting();
        for counter in [0xff_ffff, 0x7f_ffff, 0xff_fff0, 5] {
            let option = ect1_first(&[counter]);
            accurate.take_option(&Echo { option: Some(&option), ..echo(1) });
            assert_eq!((accurate.told.bytes[ECT1] + 1) & BYTES_MASK, counter);
        }
        assert_eq!(signed_24(0x80_0000), -(1 << 23));
        assert_eq!(signed_24(0x7f_ffff), (1 << 23) - 1);
    }

    // Shows: RFC9768 s3.2.3.3b
    #[test]
    fn a_counter_is_told_at_least_once_in_four_mebibytes() {
        let config = Config::default().tcp_ecn_option(1).tcp_ecn_option_beacon(0);
        let mut accurate = Accurate::new(Start { option_demand: 0, ..start() });
        accurate.received.last = Codepoint::Ect0;
        let wants = |accurate: &Accurate| accurate.wants_option(Instant::ZERO, &config, None);
        accurate.on_segment(Codepoint::Ect0, 1, BEACON_BYTES - 1);
        assert_eq!(wants(&accurate), None);
        accurate.on_segment(Codepoint::Ect0, 1, 1);
        assert_eq!(wants(&accurate), Some(3));
        accurate.on_option_sent(Instant::ZERO, None);
        assert_eq!(wants(&accurate), None);
    }
}
