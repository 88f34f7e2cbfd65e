//! A passive SYN-RECEIVED: a small record, no connection and no buffers until the final ACK comes.
//!
//! Owns what the handshake must remember. The accept queue and the making of the connection are the
//! endpoint's.

use towpath_wire::SeqNumber;
use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, Segment, WindowScale};

use super::table::FourTuple;
use crate::chunks::Chunks;
use crate::config::{Config, CongestionControl};
use crate::connection::emit;
use crate::connection::negotiate::{self, Agreed, Handshake, Offer};
use crate::connection::options::SocketOptions;
use crate::ecn::accurate;
use crate::ecn::negotiate::Asked;
use crate::event::ListenerId;
use crate::instant::Instant;
use crate::output::Transmit;
use crate::recv::room::Room;
use crate::rtt::{INITIAL_RTO, backed_off};
use crate::timestamps::{self, Timestamps};
use crate::wheel::TimerId;

/// A half-open passive connection.
#[derive(Debug)]
pub(crate) struct SynReceived {
    pub(crate) tuple: FourTuple,
    pub(crate) listener: ListenerId,
    pub(crate) timer: Option<TimerId>,
    iss: SeqNumber,
    irs: SeqNumber,
    agreed: Agreed,
    ecn: Asked,
    /// The congestion control answers each mark by itself (DCTCP).
    every_mark: bool,
    timestamp_offset: u32,
    created_at: Instant,
    last_answer: Instant,
    /// When something out of place was last answered (RFC 5961 section 7).
    last_challenge: Option<Instant>,
    /// Time-outs: what the interval doubles by.
    timeouts: u32,
    /// SYN-ACKs sent, for whatever reason.
    answers: u32,
    /// What the SYN-ACK offered.
    offer: Offer,
    ttl: u8,
    dscp: u8,
    /// While so many time-outs have not passed, a bare ACK does not complete the handshake.
    defer: u8,
    /// That ACK came.
    acknowledged: bool,
}

/// What a time-out of a SYN-ACK asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Send it again.
    AnswerAgain,
    /// The peer has it: wait for its data.
    Wait,
    /// Forget the peer.
    Forget,
}

/// What a segment for a half-open connection asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The handshake is complete.
    Complete,
    /// The SYN came again: send the SYN-ACK again.
    AnswerAgain,
    /// Acknowledge where we stand.
    Challenge(Fault),
    /// The peer gave up: forget it.
    Forget,
    /// It acknowledges what we never sent: answer with a reset, and stay.
    Reset,
    /// Nothing.
    Drop,
}

/// What is wrong with a segment that is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its sequence number, or a flag.
    Place,
    /// Its timestamp is older than the SYN's.
    OutOfDate,
    /// It echoes a timestamp that we have not sent.
    ForeignEcho,
}

/// What a SYN that is acceptable to a listener carries.
#[derive(Debug)]
pub(crate) struct Syn<'a> {
    pub(crate) tuple: FourTuple,
    pub(crate) segment: &'a Segment,
    /// The ECN bits with which it arrived.
    pub(crate) codepoint: Codepoint,
    pub(crate) iss: SeqNumber,
    pub(crate) timestamp_offset: u32,
    /// The listener's.
    pub(crate) options: &'a SocketOptions,
}

impl Syn<'_> {
    /// What the SYN-ACK says of our receiving side.
    pub(crate) fn offer(&self, config: &Config, mtu: usize, agreed: &Agreed) -> Offer {
        let mss = self.options.advertised_mss(self.tuple.remote_ip, mtu);
        let room = Room::new(config, self.options);
        let window = negotiate::receive_window(config, &room, mss, agreed.timestamp.is_some());
        Offer::new(mss, &window)
    }
}

/// What a SYN-ACK of a passive open says.
#[derive(Debug)]
pub(crate) struct SynAck<'a> {
    pub(crate) tuple: &'a FourTuple,
    pub(crate) iss: SeqNumber,
    pub(crate) irs: SeqNumber,
    pub(crate) agreed: &'a Agreed,
    /// The ECN flags, and whether the option of accurate ECN goes with them.
    pub(crate) ecn: (Flags, bool),
    /// The codepoint of its packet.
    pub(crate) codepoint: Codepoint,
    pub(crate) offer: &'a Offer,
    pub(crate) timestamp: u32,
    pub(crate) ttl: u8,
    pub(crate) dscp: u8,
}

impl SynAck<'_> {
    pub(crate) fn packet(&self, config: &Config) -> Transmit {
        let (flags, has_option) = self.ecn;
        let mut options = self.agreed.syn_ack_options(config, self.offer, self.timestamp);
        options.acc_ecn = has_option.then(accurate::initial_option);
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK | flags,
            window: self.offer.window,
            urgent: 0,
            options,
        };
        let mut packet = packet(self.tuple, self.ttl, self.dscp, segment);
        packet.ip.ecn = self.codepoint;
        packet
    }
}

impl SynReceived {
    // Implements: RFC9293 s3.10.7.2b, H-30
    pub(crate) fn new(
        now: Instant,
        config: &Config,
        mtu: usize,
        listener: ListenerId,
        syn: &Syn<'_>,
    ) -> SynReceived {
        let options = syn.options;
        let agreed = Agreed::new(config, &syn.segment.options);
        let every_mark = options.congestion_control(config) == CongestionControl::Dctcp;
        SynReceived {
            tuple: syn.tuple,
            listener,
            timer: None,
            iss: syn.iss,
            irs: syn.segment.seq,
            agreed,
            ecn: Asked::new(
                options.ecn(config).accept,
                every_mark,
                syn.segment.flags,
                syn.codepoint,
            ),
            every_mark,
            timestamp_offset: syn.timestamp_offset,
            created_at: now,
            last_answer: now,
            last_challenge: None,
            timeouts: 0,
            answers: 0,
            offer: syn.offer(config, mtu, &agreed),
            ttl: options.hop_limit(config),
            dscp: options.dscp(),
            defer: u8::try_from(options.deferring_timeouts(config)).unwrap_or(u8::MAX),
            acknowledged: false,
        }
    }

    /// The number of our SYN.
    pub(crate) fn iss(&self) -> SeqNumber {
        self.iss
    }

    /// The class of service of our answers.
    pub(crate) fn dscp(&self) -> u8 {
        self.dscp
    }

    /// When the SYN-ACK is due again.
    pub(crate) fn deadline(&self, config: &Config) -> Instant {
        self.last_answer + backed_off(INITIAL_RTO, self.timeouts, config.rto_max)
    }

    /// Whether the SYN-ACK has not timed out yet.
    pub(crate) fn is_young(&self) -> bool {
        self.timeouts == 0
    }

    /// Nothing answered in time, or nothing that completes the handshake. The SYN-ACK is sent again
    /// at most `retries` times.
    // Implements: H-26
    pub(crate) fn on_timeout(&mut self, now: Instant, retries: u32) -> Overdue {
        let deferred = self.acknowledged && self.timeouts < u32::from(self.defer);
        if self.timeouts >= retries && !deferred {
            return Overdue::Forget;
        }
        // The last time-out asks the peer for another ACK, which will count.
        let waits = self.acknowledged && self.timeouts + 1 < u32::from(self.defer);
        self.timeouts += 1;
        if waits {
            self.last_answer = now;
            return Overdue::Wait;
        }
        Overdue::AnswerAgain
    }

    /// Whether this final ACK, which carries `len` sequence numbers, is put off until data comes
    /// (Linux's TCP_DEFER_ACCEPT).
    pub(crate) fn defers(&mut self, len: u32) -> bool {
        let defers = len == 0 && self.timeouts < u32::from(self.defer);
        self.acknowledged |= defers;
        defers
    }

    /// Judges a segment (RFC 9293 section 3.10.7.4 for a passive SYN-RECEIVED, RFC 5961).
    // Implements: RFC9293 s3.10.7.4f, RFC9293 s3.10.7.4i, RFC9293 s3.10.7.4k, 9293 MUST-11
    pub(crate) fn judge(&self, now: Instant, segment: &Segment, text_len: usize) -> Disposition {
        let flags = segment.flags;
        let nxt = self.irs + 1;
        if flags.contains(Flags::SYN) && !flags.intersects(Flags::ACK | Flags::RST) {
            // Deviates: RFC 9293 section 3.10.7.4 answers an equal SYN with an ACK and goes back to
            // LISTEN for one in the window. As Linux: the peer lost our SYN-ACK and needs it, and
            // a stranger's SYN must not end a handshake (RFC 5961 section 4).
            let same = segment.seq == self.irs;
            return if same {
                Disposition::AnswerAgain
            } else {
                Disposition::Challenge(Fault::Place)
            };
        }
        let end = nxt + u32::from(self.offer.window);
        let len = segment.sequence_len(text_len);
        let inside =
            segment.seq.within(nxt, end) || len > 0 && (segment.seq + (len - 1)).within(nxt, end);
        if flags.contains(Flags::RST) {
            return match inside {
                _ if segment.seq == nxt => Disposition::Forget,
                true => Disposition::Challenge(Fault::Place),
                false => Disposition::Drop,
            };
        }
        let old = match (self.agreed.timestamp, segment.options.timestamps) {
            (Some(recent), Some(option)) => {
                Timestamps::new(0, recent, self.created_at).is_old(now, option.value)
            }
            _ => false,
        };
        if old {
            return Disposition::Challenge(Fault::OutOfDate);
        }
        if self.echoes_a_stranger(segment) {
            return Disposition::Challenge(Fault::ForeignEcho);
        }
        if !inside || flags.contains(Flags::SYN) {
            return Disposition::Challenge(Fault::Place);
        }
        if !flags.contains(Flags::ACK) {
            return Disposition::Drop;
        }
        if segment.ack == self.iss + 1 { Disposition::Complete } else { Disposition::Reset }
    }

    /// Whether a segment echoes a timestamp from before our first answer or after our last one. Linux
    /// has this test too; an echo of zero is none.
    fn echoes_a_stranger(&self, segment: &Segment) -> bool {
        let Some(option) = segment.options.timestamps else { return false };
        if self.agreed.timestamp.is_none() || option.echo == 0 {
            return false;
        }
        let stamp = |at| timestamps::clock(at, self.timestamp_offset);
        // A challenge has a stamp as well.
        let last = self.last_challenge.unwrap_or(self.last_answer).max(self.last_answer);
        let first = stamp(self.created_at);
        option.echo.wrapping_sub(first) > stamp(last).wrapping_sub(first)
    }

    /// Whether an answer to something out of place may leave: so many a second, or the record would
    /// mirror a flood.
    // Implements: RFC5961 s7, H-26
    pub(crate) fn may_answer(&mut self, now: Instant, config: &Config) -> bool {
        let allowed =
            self.last_challenge.is_none_or(|last| now - last >= config.tcp_invalid_ratelimit);
        if allowed {
            self.last_challenge = Some(now);
        }
        allowed
    }

    /// The SYN came again, with these flags and ECN bits.
    pub(crate) fn on_syn_again(&mut self, flags: Flags, codepoint: Codepoint) {
        self.ecn.on_syn_again(flags, codepoint);
    }

    /// What the connection is made from.
    pub(crate) fn handshake(
        &self,
        now: Instant,
        config: &Config,
        segment: &Segment,
        text_len: usize,
    ) -> Handshake {
        let scale = WindowScale::new(self.agreed.window_scale.unwrap_or(0));
        // Karn: with more than one SYN-ACK on its way, only the echo says which was answered.
        let rtt = if self.answers <= 1 {
            Some(now - self.created_at)
        } else {
            let timestamps = Timestamps::new(self.timestamp_offset, 0, now);
            segment.options.timestamps.and_then(|option| timestamps.sample(now, option.echo))
        };
        Handshake {
            iss: self.iss,
            irs: self.irs,
            window: scale.scale_up(segment.window),
            window_seq: segment.seq,
            agreed: self.agreed,
            timestamp_offset: self.timestamp_offset,
            timestamp_at: self.created_at,
            rtt,
            retransmissions: self.answers.saturating_sub(1),
            ecn: self.ecn.agree(
                config,
                segment.flags,
                text_len > 0,
                !segment.options.sack.is_empty(),
                segment.options.acc_ecn.as_ref(),
            ),
            promised: Some(self.offer),
        }
    }

    /// The SYN-ACK.
    pub(crate) fn answer(&mut self, now: Instant, config: &Config) -> Transmit {
        self.last_answer = now;
        self.answers = self.answers.saturating_add(1);
        self.ecn.on_answer(self.answers);
        let answer = SynAck {
            tuple: &self.tuple,
            iss: self.iss,
            irs: self.irs,
            agreed: &self.agreed,
            ecn: (self.ecn.syn_ack_flags(self.timeouts), self.ecn.has_option(config, self.answers)),
            codepoint: if self.every_mark { Codepoint::Ect0 } else { Codepoint::NotEct },
            offer: &self.offer,
            timestamp: timestamps::clock(now, self.timestamp_offset),
            ttl: self.ttl,
            dscp: self.dscp,
        };
        answer.packet(config)
    }

    /// An ACK that says where we stand.
    pub(crate) fn challenge(&mut self, now: Instant) -> Transmit {
        let timestamps = self.agreed.timestamp.map(|echo| towpath_wire::tcp::Timestamps {
            value: timestamps::clock(now, self.timestamp_offset),
            echo,
        });
        let window = match self.agreed.window_scale {
            // Rounded up, so that the edge that the SYN-ACK offered does not move left; nor does it
            // when the SYN-ACK goes again.
            Some(_) => {
                let unit = 1 << self.offer.shift.min(15);
                let window = self.offer.window.div_ceil(unit);
                self.offer.window = window.saturating_mul(unit);
                window
            }
            None => self.offer.window,
        };
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.iss + 1,
            ack: self.irs + 1,
            flags: Flags::ACK,
            window,
            urgent: 0,
            options: towpath_wire::tcp::Options { timestamps, ..Default::default() },
        };
        packet(&self.tuple, self.ttl, self.dscp, segment)
    }
}

fn packet(tuple: &FourTuple, ttl: u8, dscp: u8, segment: Segment) -> Transmit {
    let mut transmit = emit::packet(tuple, ttl, segment, Chunks::new());
    transmit.ip.dscp = dscp;
    transmit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<SynReceived>() <= 192, "{}", size_of::<SynReceived>());
    }
}
