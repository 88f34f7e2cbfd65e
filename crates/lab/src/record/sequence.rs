//! What a time-sequence diagram shows of one direction of one connection, as its sender sees it:
//! segments that leave, acknowledgments that arrive, with their windows and SACK blocks.
//!
//! In the manner of tcptrace: sequence numbers are offsets into the stream, 0 is its first byte.

use core::net::IpAddr;
use core::time::Duration;

use serde::Serialize;
use towpath_engine::Instant;
use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Flags, WindowScale};

use crate::packet::Packet;
use crate::trace::Passing;

/// The marks that are kept; after them the record ends.
const MOST_MARKS: usize = 400_000;

/// The marks of one direction of one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Sequence {
    #[serde(skip)]
    sender: IpAddr,
    #[serde(skip)]
    receiver: IpAddr,
    #[serde(skip)]
    from: Instant,
    #[serde(skip)]
    to: Instant,
    #[serde(skip)]
    sides: Sides,
    /// The marks, in order of time.
    pub marks: Vec<Mark>,
    /// Whether there were more than are kept.
    pub is_cut: bool,
}

/// What is known of the two sides.
#[derive(Clone, Debug, Default)]
struct Sides {
    iss: Option<SeqNumber>,
    own_scale: Option<u8>,
    peer_scale: Option<u8>,
    /// The end of what was sent.
    sent: u64,
}

/// One packet, seen at the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When, in microseconds from the start of the run.
    pub at_us: u64,
    /// What it was.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What passed the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Seen {
    /// Text that was not sent before, at least in part.
    Segment {
        /// Its first byte.
        from: u64,
        /// Behind its last byte.
        to: u64,
    },
    /// Text that was sent before.
    Retransmission {
        /// Its first byte.
        from: u64,
        /// Behind its last byte.
        to: u64,
    },
    /// An acknowledgment.
    Ack {
        /// Behind the last byte that it acknowledges.
        ack: u64,
        /// Behind the last byte that the window allows.
        edge: u64,
        /// What it reports beyond, or as a duplicate.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sack: Vec<(u64, u64)>,
    },
}

impl Sequence {
    /// A recorder of what one host sends to another, which have one connection, from and up to these
    /// times of the run.
    pub fn new(sender: IpAddr, receiver: IpAddr, times: (Duration, Duration)) -> Sequence {
        Sequence {
            sender,
            receiver,
            from: Instant::ZERO + times.0,
            to: Instant::ZERO + times.1,
            sides: Sides::default(),
            marks: Vec::new(),
            is_cut: false,
        }
    }

    /// A packet passes some host.
    pub fn on_packet(&mut self, at: Instant, passing: Passing, packet: &Packet) {
        let ends = (packet.ip.src, packet.ip.dst);
        let seen = match passing {
            Passing::Out if ends == (self.sender, self.receiver) => self.sides.on_sent(packet),
            Passing::In if ends == (self.receiver, self.sender) => self.sides.on_received(packet),
            _ => return,
        };
        let Some(seen) = seen.filter(|_| self.from <= at && at <= self.to) else { return };
        if self.marks.len() == MOST_MARKS {
            self.is_cut = true;
            return;
        }
        self.marks.push(Mark { at_us: at.as_micros(), seen });
    }
}

impl Sides {
    fn on_sent(&mut self, packet: &Packet) -> Option<Seen> {
        let segment = &packet.segment;
        if segment.flags.contains(Flags::SYN) {
            self.iss = Some(segment.seq);
            self.own_scale = segment.options.window_scale;
            return None;
        }
        if packet.payload.is_empty() {
            return None;
        }
        let from = self.place(segment.seq)?;
        let to = from + packet.payload.len() as u64;
        if to <= self.sent {
            return Some(Seen::Retransmission { from, to });
        }
        self.sent = to;
        Some(Seen::Segment { from, to })
    }

    fn on_received(&mut self, packet: &Packet) -> Option<Seen> {
        let segment = &packet.segment;
        let is_syn = segment.flags.contains(Flags::SYN);
        if is_syn {
            self.peer_scale = segment.options.window_scale;
        }
        if !segment.flags.contains(Flags::ACK) {
            return None;
        }
        let scale = match (self.own_scale, self.peer_scale) {
            (Some(_), Some(shift)) if !is_syn => WindowScale::new(shift),
            _ => WindowScale::default(),
        };
        let ack = self.place(segment.ack)?;
        let edge = ack + u64::from(scale.scale_up(segment.window));
        let blocks = segment.options.sack.iter();
        let sack =
            blocks.filter_map(|block| Some((self.place(block.left)?, self.place(block.right)?)));
        Some(Seen::Ack { ack, edge, sack: sack.collect() })
    }

    /// The offset of the byte at `seq`.
    fn place(&self, seq: SeqNumber) -> Option<u64> {
        let first = self.iss? + 1;
        let apart = seq.signed_distance_from(first + self.sent as u32);
        self.sent.checked_add_signed(i64::from(apart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Seg, ack, data, syn, syn_ack};
    use bytes::Bytes;
    use towpath_wire::ip::Ecn;
    use towpath_wire::{IpHeader, Protocol};

    const OURS: SeqNumber = SeqNumber(u32::MAX - 50);
    const THEIRS: SeqNumber = SeqNumber(7);

    fn packet(passing: Passing, seg: &Seg) -> Packet {
        let (us, them) = (("10.0.0.1", 1000), ("10.0.0.2", 80));
        let ((src, dst), (own, other)) = match passing {
            Passing::Out => ((us, them), (OURS, THEIRS)),
            Passing::In => ((them, us), (THEIRS, OURS)),
        };
        Packet {
            ip: IpHeader {
                src: src.0.parse().unwrap(),
                dst: dst.0.parse().unwrap(),
                protocol: Protocol::TCP,
                hop_limit: 64,
                dscp: 0,
                ecn: Ecn::NotEct,
                identification: 0,
                dont_fragment: true,
                flow_label: 0,
            },
            segment: seg.build(own, other, (src.1, dst.1), 1000),
            payload: Bytes::from(vec![0; seg.len]),
        }
    }

    #[test]
    fn segments_acks_and_sacks_are_offsets_into_the_stream() {
        let ends = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut sequence = Sequence::new(ends.0, ends.1, (Duration::ZERO, Duration::from_secs(9)));
        let plays = [
            (Passing::Out, syn().mss(1460).wscale(7)),
            (Passing::In, syn_ack().mss(1460).wscale(3).win(500)),
            (Passing::Out, data(1, 100, 1)),
            (Passing::Out, data(101, 100, 1)),
            (Passing::In, ack(1, 101).win(10)),
            (Passing::In, ack(1, 101).win(10).sack(&[(201, 301)])),
            (Passing::Out, data(101, 100, 1)),
            (Passing::Out, ack(201, 1)),
        ];
        for (at, (passing, seg)) in plays.into_iter().enumerate() {
            let packet = packet(passing, &seg);
            sequence.on_packet(Instant::from_micros(at as u64), passing, &packet);
            // At the other host the same packets pass the other way round.
            let other = if passing == Passing::In { Passing::Out } else { Passing::In };
            sequence.on_packet(Instant::from_micros(at as u64), other, &packet);
        }
        let seen: Vec<_> = sequence.marks.into_iter().map(|mark| (mark.at_us, mark.seen)).collect();
        assert_eq!(
            seen,
            [
                (1, Seen::Ack { ack: 0, edge: 500, sack: vec![] }),
                (2, Seen::Segment { from: 0, to: 100 }),
                (3, Seen::Segment { from: 100, to: 200 }),
                (4, Seen::Ack { ack: 100, edge: 180, sack: vec![] }),
                (5, Seen::Ack { ack: 100, edge: 180, sack: vec![(200, 300)] }),
                (6, Seen::Retransmission { from: 100, to: 200 }),
            ]
        );
    }
}
