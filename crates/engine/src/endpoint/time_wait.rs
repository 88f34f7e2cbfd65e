//! TIME-WAIT as a small record: answers what is left of the old connection, and lets a new one begin
//! where that is safe (RFC 9293 section 3.6.1, RFC 1337, RFC 6191).

use towpath_wire::SeqNumber;
use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, Options, Segment, WindowScale};

use super::addresses::is_loopback;
use super::table::FourTuple;
use crate::chunks::Chunks;
use crate::config::{Config, TimeWaitReuse};
use crate::connection::emit;
use crate::instant::Instant;
use crate::output::Transmit;
use crate::timestamps::Timestamps;
use crate::wheel::TimerId;

/// How far a new connection's sequence numbers begin above the old one's: beyond any window that was
/// not scaled, as Linux.
const ISN_STEP: u32 = 65_535 + 2;

/// A connection in TIME-WAIT.
#[derive(Debug)]
pub(crate) struct TimeWait {
    pub(crate) tuple: FourTuple,
    pub(crate) timer: Option<TimerId>,
    codepoint: Codepoint,
    snd_nxt: SeqNumber,
    rcv_nxt: SeqNumber,
    rcv_wnd: u32,
    scale: WindowScale,
    timestamps: Option<Timestamps>,
    entered_at: Instant,
    last_answer: Option<Instant>,
}

/// What a segment for a connection in TIME-WAIT asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The peer's FIN again: acknowledge, and wait the whole time again.
    AcknowledgeAndRestart,
    /// Out of date: acknowledge where we stand.
    Acknowledge,
    /// A new connection may begin, with at least this initial sequence number.
    Reopen(SeqNumber),
    /// Nothing: it was answered a moment ago.
    Limited,
    /// A reset ends it, where RFC 1337 is switched off.
    End,
    /// Nothing.
    Drop,
}

impl TimeWait {
    pub(crate) fn new(
        now: Instant,
        tuple: FourTuple,
        snd_nxt: SeqNumber,
        rcv_nxt: SeqNumber,
        rcv_wnd: u32,
        scale: WindowScale,
        timestamps: Option<Timestamps>,
    ) -> TimeWait {
        TimeWait {
            tuple,
            timer: None,
            codepoint: Codepoint::NotEct,
            snd_nxt,
            rcv_nxt,
            rcv_wnd,
            scale,
            timestamps,
            entered_at: now,
            last_answer: None,
        }
    }

    /// The ECN bits of its answers, where accurate ECN was agreed on: they are feedback no more, but
    /// can be marked as those before.
    #[must_use]
    pub(crate) fn codepoint(mut self, codepoint: Codepoint) -> TimeWait {
        self.codepoint = codepoint;
        self
    }

    /// When it began.
    pub(crate) fn entered_at(&self) -> Instant {
        self.entered_at
    }

    /// Where a new connection of the same four numbers begins: beyond all that the old one sent.
    // Implements: RFC6191 s3
    pub(crate) fn next_iss(&self) -> SeqNumber {
        self.snd_nxt + ISN_STEP
    }

    /// Whether timestamps tell the segments of a new connection of the same four numbers from those
    /// of the old one.
    pub(crate) fn has_timestamps(&self) -> bool {
        self.timestamps.is_some()
    }

    /// Whether a connect may take the four numbers over, after a while: Linux's `tcp_tw_reuse`.
    pub(crate) fn is_reusable(&self, config: &Config) -> bool {
        self.has_timestamps()
            && match config.tcp_tw_reuse {
                TimeWaitReuse::Never => false,
                TimeWaitReuse::Always => true,
                TimeWaitReuse::Loopback => {
                    is_loopback(self.tuple.local_ip) || is_loopback(self.tuple.remote_ip)
                }
            }
    }

    /// Whether that while has passed: the old connection's last timestamp is out of date by a tick of
    /// the peer's clock at least.
    // Implements: RFC6191 s2a, I-10
    pub(crate) fn may_be_taken_over(&self, now: Instant, config: &Config) -> bool {
        self.is_reusable(config) && now - self.entered_at > config.tcp_tw_reuse_delay
    }

    /// PAWS: whether a segment is older than the last one of the old connection.
    pub(crate) fn is_out_of_date(&self, now: Instant, segment: &Segment) -> bool {
        match (&self.timestamps, segment.options.timestamps) {
            (Some(timestamps), Some(option)) => timestamps.is_old(now, option.value),
            _ => false,
        }
    }

    /// Judges a segment.
    // Implements: RFC9293 s3.10.7.4p, 9293 MAY-2, 9293 SHLD-4, RFC6191 s2a, RFC6191 s2b, RFC1337 s2, RFC1337 s3, H-44
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        config: &Config,
        segment: &Segment,
        text_len: usize,
    ) -> Disposition {
        let flags = segment.flags;
        let old = self.is_out_of_date(now, segment);
        if flags.contains(Flags::RST) {
            // RFC 1337: a reset must not cut TIME-WAIT short.
            let ends = !config.tcp_rfc1337 && segment.seq == self.rcv_nxt && !old;
            return if ends { Disposition::End } else { Disposition::Drop };
        }
        if flags.contains(Flags::SYN) && !flags.contains(Flags::ACK) && !old {
            let newer_stamp = match (&self.timestamps, segment.options.timestamps) {
                (Some(timestamps), Some(option)) => {
                    (option.value.wrapping_sub(timestamps.recent()) as i32) > 0
                }
                _ => false,
            };
            if segment.seq.after(self.rcv_nxt) || newer_stamp {
                return Disposition::Reopen(self.next_iss());
            }
        }
        let len = segment.sequence_len(text_len);
        let last = segment.seq + len;
        if flags.contains(Flags::FIN) && !old && last == self.rcv_nxt {
            if let (Some(timestamps), Some(option)) =
                (&mut self.timestamps, segment.options.timestamps)
            {
                timestamps.on_segment(now, option.value, segment.seq, self.rcv_nxt);
            }
            return Disposition::AcknowledgeAndRestart;
        }
        let empty_and_expected = len == 0 && segment.seq == self.rcv_nxt && !old;
        if empty_and_expected || !flags.contains(Flags::ACK) && !flags.contains(Flags::SYN) {
            return Disposition::Drop;
        }
        // What carries text or a FIN is no part of a loop of ACKs (RFC 5961 section 7).
        let loops = len == 0 || flags.contains(Flags::SYN);
        let limited =
            loops && self.last_answer.is_some_and(|last| now - last < config.tcp_invalid_ratelimit);
        if limited { Disposition::Limited } else { Disposition::Acknowledge }
    }

    /// An ACK that says where we stand.
    pub(crate) fn acknowledge(&mut self, now: Instant, config: &Config) -> Transmit {
        self.last_answer = Some(now);
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            // Rounded up: the edge that was offered does not move left.
            window: u16::try_from(self.rcv_wnd.div_ceil(1 << self.scale.shift()))
                .unwrap_or(u16::MAX),
            urgent: 0,
            options: Options {
                timestamps: self.timestamps.map(|timestamps| timestamps.option(now)),
                ..Options::default()
            },
        };
        let mut answer = emit::packet(&self.tuple, config.ip_default_ttl, segment, Chunks::new());
        answer.ip.ecn = self.codepoint;
        answer
    }
}

#[cfg(test)]
mod tests {
    use towpath_wire::tcp::Timestamps as TimestampsOption;

    use super::*;

    const SND_NXT: SeqNumber = SeqNumber(u32::MAX - 10);
    const RCV_NXT: SeqNumber = SeqNumber(5);

    fn record(timestamps: bool) -> TimeWait {
        let tuple = FourTuple {
            local_ip: "192.0.2.1".parse().unwrap(),
            local_port: 80,
            remote_ip: "192.0.2.2".parse().unwrap(),
            remote_port: 4000,
        };
        let timestamps = timestamps.then(|| Timestamps::new(0, 100, Instant::ZERO));
        let now = Instant::ZERO;
        TimeWait::new(now, tuple, SND_NXT, RCV_NXT, 65_535, WindowScale::new(0), timestamps)
    }

    fn judge(
        record: &mut TimeWait,
        seq: SeqNumber,
        flags: Flags,
        value: Option<u32>,
    ) -> Disposition {
        let segment = Segment {
            src_port: 4000,
            dst_port: 80,
            seq,
            ack: SND_NXT,
            flags,
            window: 100,
            urgent: 0,
            options: Options {
                timestamps: value.map(|value| TimestampsOption { value, echo: 0 }),
                ..Options::default()
            },
        };
        record.judge(Instant::from_millis(1), &Config::default(), &segment, 0)
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<TimeWait>() <= 128, "{}", size_of::<TimeWait>());
    }

    // Shows: RFC9293 s3.10.7.4p, H-44
    #[test]
    fn the_peers_fin_restarts_the_wait_and_a_reset_does_not_end_it() {
        let mut record = record(false);
        assert_eq!(
            judge(&mut record, RCV_NXT - 1, Flags::FIN | Flags::ACK, None),
            Disposition::AcknowledgeAndRestart
        );
        assert_eq!(judge(&mut record, RCV_NXT, Flags::RST, None), Disposition::Drop);
        assert_eq!(judge(&mut record, RCV_NXT, Flags::ACK, None), Disposition::Drop);
    }

    #[test]
    fn the_peers_fin_brings_its_newer_timestamp() {
        let mut stamped = record(true);
        judge(&mut stamped, RCV_NXT - 1, Flags::FIN | Flags::ACK, Some(150));
        let answer = judge(&mut stamped, RCV_NXT - 1000, Flags::SYN, Some(140));
        assert_eq!(answer, Disposition::Acknowledge, "140 is older than 150");
    }

    // Shows: 9293 MAY-2, 9293 SHLD-4
    #[test]
    fn a_syn_reopens_only_with_a_newer_number_or_timestamp() {
        let reopen = Disposition::Reopen(SND_NXT + ISN_STEP);
        let mut plain = record(false);
        assert_eq!(judge(&mut plain, RCV_NXT + 1, Flags::SYN, None), reopen);
        assert_eq!(judge(&mut plain, RCV_NXT - 1000, Flags::SYN, None), Disposition::Acknowledge);
        let mut stamped = record(true);
        assert_eq!(judge(&mut stamped, RCV_NXT - 1000, Flags::SYN, Some(101)), reopen);
        assert_eq!(
            judge(&mut stamped, RCV_NXT - 1000, Flags::SYN, Some(100)),
            Disposition::Acknowledge
        );
        assert_eq!(
            judge(&mut stamped, RCV_NXT + 1000, Flags::SYN, Some(99)),
            Disposition::Acknowledge
        );
    }
}
