//! What was lost and what to send again: RACK-TLP (RFC 8985) with SACK, NewReno (RFC 6582) without,
//! proportional rate reduction (RFC 9937), F-RTO (RFC 5682), and the undoing of what was not necessary
//! (RFC 3522, RFC 3708, RFC 4015).
//!
//! Owns the record of what is in flight and the phase of recovery. It says *what next*; *how much* is
//! `congestion`'s. The phases are Linux's: Open, Disorder, CWR, Recovery, Loss.
//!
//! ```text
//! scoreboard  ranges in flight (slab: their order of sending)    take  what an acknowledgment says
//! rack, newreno, reordering   what of them is lost               judge what follows from it
//! tlp, rto    what the timers do                                 prr, undo
//! ```

mod judge;
mod newreno;
mod prr;
mod rack;
mod reordering;
mod rto;
pub(crate) mod scoreboard;
mod slab;
mod take;
#[cfg(test)]
mod tests;
pub(crate) mod tlp;
mod undo;

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::SackBlock;

pub(crate) use self::judge::{Outcome, TimerWish};
use self::newreno::Duplicates;
use self::prr::{Delivery, Prr};
use self::rack::Rack;
use self::reordering::Reordering;
use self::scoreboard::{Again, Scoreboard};
pub(crate) use self::take::Taken;
use self::tlp::Tlp;
use self::undo::Undo;
use crate::config::Config;
use crate::congestion::rate_sample::DeliveryRate;
use crate::congestion::{LostRange, RateSample, RecoveryPhase};
use crate::counters::Counters;
use crate::instant::Instant;
use crate::timestamps::Echo;

/// An acceptable acknowledgment, as recovery sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) ack: SeqNumber,
    /// SND.UNA moved.
    pub(crate) advanced: bool,
    /// No payload, no window update: it may count as a duplicate ACK.
    pub(crate) bare: bool,
    pub(crate) sack: &'a [SackBlock],
    /// The timestamp that it echoes.
    pub(crate) echo: Option<Echo>,
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) mss: u32,
    /// The largest window that the peer ever offered.
    pub(crate) max_window: u32,
    /// Something new waits that the peer's window takes.
    pub(crate) may_send_new: bool,
}

/// What the round-trip estimator knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RttView {
    pub(crate) min: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
}

/// What may be sent again after an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resend {
    /// What is lost, as the window allows.
    Lost,
    /// New data, and what is lost only if there is none that may go (F-RTO).
    NewFirst,
    /// Nothing, until the next acknowledgment.
    Nothing,
}

/// How losses are found, from the configuration.
#[derive(Clone, Copy, Debug)]
struct Methods {
    rack: bool,
    /// RACK's window does not adapt.
    static_window: bool,
    /// Enough segments beyond a hole do not make RACK's window zero.
    no_threshold: bool,
    frto: bool,
    tlp: bool,
}

/// The recovery of one connection.
#[derive(Debug)]
pub(crate) struct Recovery {
    board: Scoreboard,
    phase: RecoveryPhase,
    methods: Methods,
    sack: bool,
    /// Where the phase ends: SND.NXT when it began (RFC 6582's recover).
    until: u64,
    rack: Rack,
    reordering: Reordering,
    duplicates: Duplicates,
    tlp: Tlp,
    undo: Undo,
    prr: Option<Prr>,
    /// It is not known yet whether the time-out was spurious.
    frto: bool,
    /// The peer dropped what it had reported, since the last recovery.
    reneging: bool,
    resend: Resend,
    /// What is sent again next is by the retransmission timer's wish.
    resend_by_timer: bool,
    /// Segment size, for what is counted in segments.
    mss: u32,
    /// Time-outs since the last acknowledgment of something new.
    timeouts: u32,
    /// When the oldest outstanding range was first sent again by the timer.
    first_timeout_at: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// Segments sent again, in all, and duplicates that the peer reported (RFC 2883).
    resent_total: u64,
    dsacks: u64,
}

impl Recovery {
    // Implements: RFC6582 s3.2.1, RFC8985 s7.1
    pub(crate) fn new(iss: SeqNumber, config: &Config) -> Recovery {
        let board = Scoreboard::new(iss + 1);
        Recovery {
            until: board.una(),
            board,
            phase: RecoveryPhase::Open,
            methods: Methods {
                rack: config.tcp_recovery & 1 != 0,
                static_window: config.tcp_recovery & 2 != 0,
                no_threshold: config.tcp_recovery & 4 != 0,
                frto: config.tcp_frto != 0,
                tlp: matches!(config.tcp_early_retrans, 3 | 4),
            },
            sack: false,
            rack: Rack::new(),
            reordering: Reordering::new(config.tcp_reordering, config.tcp_max_reordering),
            duplicates: Duplicates::default(),
            tlp: Tlp::default(),
            undo: Undo::default(),
            prr: None,
            frto: false,
            reneging: false,
            resend: Resend::Nothing,
            resend_by_timer: false,
            mss: 1,
            timeouts: 0,
            first_timeout_at: None,
            last_sent_at: None,
            resent_total: 0,
            dsacks: 0,
        }
    }

    pub(crate) fn on_handshake(&mut self, sack: bool) {
        self.sack = sack;
    }

    pub(crate) fn phase(&self) -> RecoveryPhase {
        self.phase
    }

    /// What is in flight.
    pub(crate) fn flight(&self) -> &Scoreboard {
        &self.board
    }

    /// Segments reported, or guessed from duplicates, to lie beyond a hole.
    pub(crate) fn sacked_segments(&self) -> u64 {
        self.board.sacked().segments + self.duplicates.segments()
    }

    /// Segments that the peer has, as it told; the SYN is one.
    pub(crate) fn delivered(&self) -> u64 {
        self.board.delivered() + 1
    }

    /// Duplicates that the peer reported.
    pub(crate) fn dsacks(&self) -> u64 {
        self.dsacks
    }

    /// How many duplicates make a loss.
    pub(crate) fn reordering(&self) -> u32 {
        self.reordering.degree()
    }

    /// How often the network was seen to reorder.
    pub(crate) fn reorderings_seen(&self) -> u64 {
        self.reordering.times_seen()
    }

    /// How fast the path delivers.
    pub(crate) fn rate(&self) -> &DeliveryRate {
        self.board.rate()
    }

    /// The ranges that were taken for lost since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<LostRange> {
        self.board.rate_mut().take_losses()
    }

    /// The sample of the acknowledgment that was just taken.
    pub(crate) fn rate_sample(&mut self, now: Instant, min_rtt: Option<Duration>) -> RateSample {
        let sample = self.board.rate_mut().finish(now, min_rtt);
        // What a peer that takes reports back delivered is anyone's guess.
        RateSample { interval: sample.interval.filter(|_| !self.reneging), ..sample }
    }

    /// The application has nothing to send, and the window would take it.
    pub(crate) fn on_app_limited(&mut self) {
        let pipe = self.pipe();
        self.board.rate_mut().on_app_limited(pipe);
    }

    /// What may be taken to be in the network, in bytes.
    pub(crate) fn pipe(&self) -> u64 {
        self.board.pipe().saturating_sub(self.duplicates.bytes(&self.board, self.mss))
    }

    /// The congestion window of now: `window` is the controller's, which a reduction goes down to in
    /// steps.
    pub(crate) fn window(&self, window: u64) -> u64 {
        self.prr.map_or(window, |prr| prr.window())
    }

    /// What the congestion window leaves for one more segment. With nothing in flight there is always
    /// room for one.
    pub(crate) fn room(&self, window: u64) -> u64 {
        let pipe = self.pipe();
        if self.board.is_full() {
            0
        } else if pipe == 0 {
            u64::MAX
        } else {
            window.saturating_sub(pipe)
        }
    }

    /// Whether a segment that is sent again may go: in whole segments, so that one that is not full
    /// needs no more room than another.
    pub(crate) fn may_resend(&self, window: u64, len: u32) -> bool {
        let pipe = self.pipe();
        pipe == 0 || pipe + u64::from(len.min(self.mss)) <= window
    }

    /// How many whole segments that are sent again the window takes now, at least one.
    pub(crate) fn resend_room(&self, window: u64) -> u64 {
        (window.saturating_sub(self.pipe()) / u64::from(self.mss.max(1))).max(1)
    }

    /// How many bytes are to be sent again from the first such on without a gap, as far as `limit`
    /// reaches.
    pub(crate) fn missing_run(&self, limit: u64) -> u64 {
        self.board.missing_run(limit)
    }

    pub(crate) fn timeouts(&self) -> u32 {
        self.timeouts
    }

    pub(crate) fn first_timeout_at(&self) -> Option<Instant> {
        self.first_timeout_at
    }

    /// How long nothing was sent, if nothing is outstanding.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.board.is_empty() { self.last_sent_at } else { None }
    }

    /// When the oldest segment last left.
    pub(crate) fn first_sent_at(&self) -> Option<Instant> {
        self.board.first().map(|range| range.sent_at)
    }

    /// Whether only one segment is in flight.
    pub(crate) fn is_lone(&self) -> bool {
        self.board.outstanding().segments == 1
    }

    /// Whether a probe may be set up.
    // Implements: RFC8985 s7.2b, RFC8985 s4a
    pub(crate) fn may_probe(&self) -> bool {
        self.methods.tlp
            && self.sack
            && matches!(self.phase, RecoveryPhase::Open | RecoveryPhase::Cwr)
            && !self.board.is_empty()
    }

    /// Whether a probe is on its way.
    pub(crate) fn is_probing(&self) -> bool {
        self.tlp.is_probing()
    }

    /// A segment with new sequence numbers left.
    pub(crate) fn on_sent(&mut self, now: Instant, end: SeqNumber, size: u32) {
        self.last_sent_at = Some(now);
        let before = self.board.nxt();
        self.board.push(now, end, size);
        self.mss = size;
        let bytes = self.board.nxt() - before;
        if let Some(prr) = &mut self.prr {
            prr.on_sent(bytes);
        }
    }

    /// A segment that is lost left again. Returns whether it is the oldest.
    pub(crate) fn on_resent(
        &mut self,
        now: Instant,
        start: SeqNumber,
        end: SeqNumber,
        counters: &mut Counters,
    ) -> bool {
        self.last_sent_at = Some(now);
        let segments = self.note_resent(now, start, end, Again::Lost);
        if !core::mem::take(&mut self.resend_by_timer) {
            if self.phase == RecoveryPhase::Loss {
                counters.slow_start_retrans += segments;
            } else {
                counters.fast_retrans += segments;
            }
        }
        self.undo.on_resent(now, segments);
        if let Some(prr) = &mut self.prr {
            prr.on_sent(u64::from(end.distance_from(start)));
        }
        self.board.offset(start) == self.board.una()
    }

    /// A probe left: new data, or what was sent last once more.
    pub(crate) fn on_probe(&mut self, now: Instant, resent: Option<(SeqNumber, SeqNumber)>) {
        if let Some((start, end)) = resent {
            self.last_sent_at = Some(now);
            self.note_resent(now, start, end, Again::Probe);
        }
        self.tlp.on_probe(self.board.nxt(), resent.is_some());
    }

    fn note_resent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, why: Again) -> u64 {
        let segments = u64::from(end.distance_from(start).div_ceil(self.mss.max(1)).max(1));
        self.resent_total += segments;
        self.board.on_resent(now, start, end, why);
        segments
    }

    /// The next range to be sent again, if one is missing and may go before anything new.
    pub(crate) fn next_missing(&self) -> Option<(SeqNumber, u32)> {
        if self.resend == Resend::Lost { self.board.next_missing(self.mss) } else { None }
    }

    /// Nothing new can go: what was to wait for that waits no longer. Returns whether anything did.
    // Implements: RFC5682 s2.1-4
    pub(crate) fn on_nothing_new(&mut self) -> bool {
        if self.resend != Resend::NewFirst || self.board.nxt() > self.until {
            return false;
        }
        self.frto = false;
        self.resend = Resend::Lost;
        true
    }

    /// Congestion that is no loss (ECN): the window goes down, and nothing is undone. Returns whether
    /// it is news; the controller is then told, and `begin_reduction` called.
    pub(crate) fn enter_cwr(&mut self) -> bool {
        self.undo.forbid();
        if self.phase as u8 >= RecoveryPhase::Cwr as u8 {
            return false;
        }
        self.undo.end();
        self.until = self.board.nxt();
        self.tlp.end();
        self.set_phase(RecoveryPhase::Cwr);
        true
    }

    /// Congestion was told to the controller: the window of `before` bytes goes down to `threshold`
    /// in steps, if the phase is one that reduces.
    pub(crate) fn begin_reduction(&mut self, before: u64, threshold: u64) {
        if self.is_reducing() {
            self.prr = Some(Prr::new(before, threshold));
        }
    }

    /// Whether the window is going down.
    pub(crate) fn is_reducing(&self) -> bool {
        matches!(self.phase, RecoveryPhase::Cwr | RecoveryPhase::Recovery)
    }

    /// An acknowledgment is the clock of the reduction.
    pub(crate) fn reduce(&mut self, outcome: &Outcome) {
        let pipe = self.pipe();
        if let Some(prr) = &mut self.prr {
            prr.on_ack(&Delivery {
                delivered: outcome.delivered,
                lost: outcome.lost,
                advanced: outcome.advanced,
                pipe,
                mss: u64::from(self.mss),
            });
        }
    }

    /// The connection is over.
    pub(crate) fn clear(&mut self) {
        self.board.clear();
        self.duplicates.clear();
        self.set_phase(RecoveryPhase::Open);
    }

    fn set_phase(&mut self, phase: RecoveryPhase) {
        self.phase = phase;
        if !self.is_reducing() {
            self.prr = None;
        }
    }
}
