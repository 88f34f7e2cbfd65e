//! What went over the wire and what was done, with times, printed as tcpdump would.
//!
//! Sequence numbers are printed relative to the SYNs that the trace has seen. Only the last
//! packets are kept, and fewer are printed: the end is where a test fails. A run that is to be fast
//! keeps none, and is run again with them when it has failed.

use core::fmt;
use core::net::SocketAddr;
use std::collections::{HashMap, VecDeque};

use towpath_engine::Instant;
use towpath_wire::SeqNumber;
use towpath_wire::tcp::Flags;

use crate::packet::Packet;
use crate::record::sequence::Sequence;

/// The lines that are kept by default.
const KEPT: usize = 20_000;

/// The lines that are printed.
const PRINTED: usize = 150;

/// A record of an exchange.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    kept: usize,
    lines: VecDeque<Line>,
    dropped: usize,
    /// The first sequence number of each direction, from its last SYN.
    initial: HashMap<(SocketAddr, SocketAddr), SeqNumber>,
    sequence: Option<Sequence>,
}

#[derive(Debug)]
struct Line {
    at: Instant,
    /// Who saw or did it.
    who: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Packet { passing: Passing, packet: Packet, own: SeqNumber, other: SeqNumber },
    Note(String),
}

/// Which way a packet passes its witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It leaves.
    Out,
    /// It arrives.
    In,
}

impl Trace {
    /// An empty record; times are printed relative to `start`.
    pub fn new(start: Instant) -> Trace {
        Trace {
            start,
            kept: KEPT,
            lines: VecDeque::new(),
            dropped: 0,
            initial: HashMap::new(),
            sequence: None,
        }
    }

    /// Keeps nothing from now on, but what a [`Sequence`] keeps.
    pub fn stop(&mut self) {
        self.kept = 0;
        self.lines = VecDeque::new();
    }

    /// Whether lines are kept.
    pub fn is_kept(&self) -> bool {
        self.kept > 0
    }

    /// Tells a recorder of every packet.
    pub fn set_sequence(&mut self, sequence: Sequence) {
        self.sequence = Some(sequence);
    }

    /// The recorder that is told of every packet.
    pub fn sequence(&self) -> Option<&Sequence> {
        self.sequence.as_ref()
    }

    /// Records a packet that passes `who`.
    pub fn packet(&mut self, at: Instant, who: &str, passing: Passing, packet: &Packet) {
        let src = SocketAddr::new(packet.ip.src, packet.segment.src_port);
        let dst = SocketAddr::new(packet.ip.dst, packet.segment.dst_port);
        if let Some(sequence) = &mut self.sequence {
            sequence.on_packet(at, passing, packet);
        }
        if self.kept == 0 {
            return;
        }
        if packet.segment.flags.contains(Flags::SYN) {
            self.initial.insert((src, dst), packet.segment.seq);
            if !packet.segment.flags.contains(Flags::ACK) {
                self.initial.remove(&(dst, src));
            }
        }
        let initial = |ends| self.initial.get(&ends).copied().unwrap_or(SeqNumber(0));
        let (own, other) = (initial((src, dst)), initial((dst, src)));
        let packet = Packet {
            ip: packet.ip,
            segment: packet.segment.clone(),
            payload: packet.payload.clone(),
        };
        self.push(at, who, What::Packet { passing, packet, own, other });
    }

    /// Records what `who` did.
    pub fn note(&mut self, at: Instant, who: &str, what: impl Into<String>) {
        self.push(at, who, What::Note(what.into()));
    }

    fn push(&mut self, at: Instant, who: &str, what: What) {
        if self.kept == 0 {
            return;
        }
        if self.lines.len() >= self.kept {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(Line { at, who: who.to_owned(), what });
    }

    /// The packets that are kept, in order, with the time and the way they passed `who`.
    pub fn packets<'t>(
        &'t self,
        who: &'t str,
    ) -> impl Iterator<Item = (Instant, Passing, &'t Packet)> + 't {
        self.lines.iter().filter(move |line| line.who == who).filter_map(|line| match &line.what {
            What::Packet { passing, packet, .. } => Some((line.at, *passing, packet)),
            What::Note(_) => None,
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.lines.len().saturating_sub(PRINTED);
        if skipped + self.dropped > 0 {
            writeln!(f, "... {} lines before", skipped + self.dropped)?;
        }
        for line in self.lines.iter().skip(skipped) {
            let at = line.at.saturating_since(self.start);
            write!(f, "{:>6}.{:06} {} ", at.as_secs(), at.subsec_micros(), line.who)?;
            match &line.what {
                What::Note(note) => writeln!(f, "-- {note}")?,
                What::Packet { passing, packet, own, other } => {
                    let mut segment = packet.segment.clone();
                    // tcpdump prints the SYN's own number as it is, later ones relative.
                    if !segment.flags.contains(Flags::SYN) {
                        segment.seq = SeqNumber(segment.seq.distance_from(*own));
                    }
                    if segment.flags.contains(Flags::ACK) {
                        segment.ack = SeqNumber(segment.ack.distance_from(*other));
                    }
                    for block in &mut segment.options.sack {
                        block.left = SeqNumber(block.left.distance_from(*other));
                        block.right = SeqNumber(block.right.distance_from(*other));
                    }
                    writeln!(
                        f,
                        "{} {}.{} > {}.{}: {}",
                        if *passing == Passing::Out { "Out" } else { "In " },
                        packet.ip.src,
                        segment.src_port,
                        packet.ip.dst,
                        segment.dst_port,
                        segment.display(packet.payload.len()),
                    )?;
                }
            }
        }
        Ok(())
    }
}
