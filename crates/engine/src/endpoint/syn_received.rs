//! A passive SYN-RECEIVED: a small record, no connection and no buffers until the final ACK comes.
//!
//! Owns what the handshake must remember. The accept queue and the making of the connection are the
//! endpoint's.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Flags, Segment, WindowScale};

use super::table::FourTuple;
use crate::chunks::Chunks;
use crate::config::Config;
use crate::connection::emit;
use crate::connection::negotiate::{self, Agreed, Handshake};
use crate::event::ListenerId;
use crate::instant::Instant;
use crate::output::Transmit;
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
    timestamp_offset: u32,
    created_at: Instant,
    last_answer: Instant,
    /// When something out of place was last answered (RFC 5961 section 7).
    last_challenge: Option<Instant>,
    /// Time-outs: what the interval doubles by.
    timeouts: u32,
    /// SYN-ACKs sent, for whatever reason.
    answers: u32,
    /// The window that the SYN-ACK offered.
    window: u16,
}

/// What a segment for a half-open connection asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The handshake is complete.
    Complete,
    /// The SYN came again: send the SYN-ACK again.
    AnswerAgain,
    /// Acknowledge where we stand.
    Challenge,
    /// The peer gave up: forget it.
    Forget,
    /// It acknowledges what we never sent: answer with a reset, and stay.
    Reset,
    /// Nothing.
    Drop,
}

/// What a SYN that is acceptable to a listener carries.
#[derive(Debug)]
pub(crate) struct Syn<'a> {
    pub(crate) tuple: FourTuple,
    pub(crate) segment: &'a Segment,
    pub(crate) iss: SeqNumber,
    pub(crate) timestamp_offset: u32,
}

/// What a SYN-ACK of a passive open says.
#[derive(Debug)]
pub(crate) struct SynAck<'a> {
    pub(crate) tuple: &'a FourTuple,
    pub(crate) iss: SeqNumber,
    pub(crate) irs: SeqNumber,
    pub(crate) agreed: &'a Agreed,
    pub(crate) window: u16,
    pub(crate) timestamp: u32,
}

impl SynAck<'_> {
    pub(crate) fn packet(&self, config: &Config, mtu: usize) -> Transmit {
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK,
            window: self.window,
            urgent: 0,
            options: self.agreed.syn_ack_options(config, self.tuple, mtu, self.timestamp),
        };
        emit::packet(self.tuple, config.ip_default_ttl, segment, Chunks::new())
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
        let mss = crate::send::mss::advertised(syn.tuple.remote_ip, mtu);
        SynReceived {
            tuple: syn.tuple,
            listener,
            timer: None,
            iss: syn.iss,
            irs: syn.segment.seq,
            agreed: Agreed::new(config, &syn.segment.options),
            timestamp_offset: syn.timestamp_offset,
            created_at: now,
            last_answer: now,
            last_challenge: None,
            timeouts: 0,
            answers: 0,
            window: negotiate::receive_window(config, mss).syn_field(),
        }
    }

    /// When the SYN-ACK is due again.
    pub(crate) fn deadline(&self, config: &Config) -> Instant {
        self.last_answer + backed_off(INITIAL_RTO, self.timeouts, config.rto_max)
    }

    /// Whether the SYN-ACK has not timed out yet.
    pub(crate) fn is_young(&self) -> bool {
        self.timeouts == 0
    }

    /// Nothing answered in time: whether to send the SYN-ACK again, at most `retries` times.
    // Implements: H-26
    pub(crate) fn on_timeout(&mut self, retries: u32) -> bool {
        if self.timeouts >= retries {
            return false;
        }
        self.timeouts += 1;
        true
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
            return if same { Disposition::AnswerAgain } else { Disposition::Challenge };
        }
        let end = nxt + u32::from(self.window);
        let len = segment.sequence_len(text_len);
        let inside =
            segment.seq.within(nxt, end) || len > 0 && (segment.seq + (len - 1)).within(nxt, end);
        if flags.contains(Flags::RST) {
            return match inside {
                _ if segment.seq == nxt => Disposition::Forget,
                true => Disposition::Challenge,
                false => Disposition::Drop,
            };
        }
        let old = match (self.agreed.timestamp, segment.options.timestamps) {
            (Some(recent), Some(option)) => {
                Timestamps::new(0, recent, self.created_at).is_old(now, option.value)
            }
            _ => false,
        };
        if !inside || old || flags.contains(Flags::SYN) {
            return Disposition::Challenge;
        }
        if !flags.contains(Flags::ACK) {
            return Disposition::Drop;
        }
        if segment.ack == self.iss + 1 { Disposition::Complete } else { Disposition::Reset }
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

    /// What the connection is made from.
    pub(crate) fn handshake(&self, now: Instant, segment: &Segment) -> Handshake {
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
        }
    }

    /// The SYN-ACK.
    pub(crate) fn answer(&mut self, now: Instant, config: &Config, mtu: usize) -> Transmit {
        self.last_answer = now;
        self.answers = self.answers.saturating_add(1);
        let answer = SynAck {
            tuple: &self.tuple,
            iss: self.iss,
            irs: self.irs,
            agreed: &self.agreed,
            window: self.window,
            timestamp: timestamps::clock(now, self.timestamp_offset),
        };
        answer.packet(config, mtu)
    }

    /// An ACK that says where we stand.
    pub(crate) fn challenge(&self, now: Instant, config: &Config) -> Transmit {
        let timestamps = self.agreed.timestamp.map(|echo| towpath_wire::tcp::Timestamps {
            value: timestamps::clock(now, self.timestamp_offset),
            echo,
        });
        let scale = negotiate::receive_window(config, 1460).scale();
        let window = match self.agreed.window_scale {
            // Rounded up: the edge that the SYN-ACK offered does not move left.
            Some(_) => self.window.div_ceil(1 << scale.shift().min(15)),
            None => self.window,
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
        emit::packet(&self.tuple, config.ip_default_ttl, segment, Chunks::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<SynReceived>() <= 192, "{}", size_of::<SynReceived>());
    }
}
