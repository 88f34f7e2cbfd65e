//! A segment as a test writes it down, with sequence numbers relative to the initial ones.
//!
//! A [`Seg`] serves twice: what a scripted peer sends, where what is not said is filled in, and what
//! a test expects, where what is not said is not compared. Flags, SACK blocks and the length are
//! always compared; PSH only when it is asked for.

use core::fmt;

use bytes::Bytes;
use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Flags, Options, SackBlock, Segment, Timestamps};

use crate::packet::Packet;

/// What a test says of one field of a segment that it expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want<T> {
    /// Nothing; a scripted peer leaves the field out.
    #[default]
    Any,
    /// It is not there.
    Absent,
    /// It is there, with any value.
    Present,
    /// It is this.
    Is(T),
}

impl<T: PartialEq + Copy> Want<T> {
    fn accepts(self, found: Option<T>) -> bool {
        match self {
            Want::Any => true,
            Want::Absent => found.is_none(),
            Want::Present => found.is_some(),
            Want::Is(value) => found == Some(value),
        }
    }

    pub(crate) fn given(self) -> Option<T> {
        match self {
            Want::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// A segment as a test writes it: numbers relative to the initial sequence numbers.
#[derive(Clone, Debug)]
pub struct Seg {
    pub(crate) flags: Flags,
    pub(crate) push: Want<()>,
    pub(crate) seq: Option<u32>,
    pub(crate) ack: Option<u32>,
    pub(crate) len: usize,
    pub(crate) text: Option<Bytes>,
    pub(crate) window: Want<u16>,
    pub(crate) mss: Want<u16>,
    pub(crate) window_scale: Want<u8>,
    pub(crate) sack_permitted: Want<()>,
    pub(crate) timestamps: Want<(u32, u32)>,
    pub(crate) sack: Vec<(u32, u32)>,
    pub(crate) urgent: Option<u16>,
}

fn seg(flags: Flags, seq: u32, ack: Option<u32>) -> Seg {
    Seg {
        flags,
        push: Want::Any,
        seq: Some(seq),
        ack,
        len: 0,
        text: None,
        window: Want::Any,
        mss: Want::Any,
        window_scale: Want::Any,
        sack_permitted: Want::Any,
        timestamps: Want::Any,
        sack: Vec::new(),
        urgent: None,
    }
}

/// A SYN.
pub fn syn() -> Seg {
    seg(Flags::SYN, 0, None)
}

/// The answer to a SYN.
pub fn syn_ack() -> Seg {
    seg(Flags::SYN | Flags::ACK, 0, Some(1))
}

/// An ACK without text.
pub fn ack(seq: u32, ack: u32) -> Seg {
    seg(Flags::ACK, seq, Some(ack))
}

/// `len` bytes of the sender's stream from `seq` on.
pub fn data(seq: u32, len: usize, ack: u32) -> Seg {
    Seg { len, ..seg(Flags::ACK, seq, Some(ack)) }
}

/// A FIN with ACK, without text.
pub fn fin(seq: u32, ack: u32) -> Seg {
    seg(Flags::FIN | Flags::ACK, seq, Some(ack))
}

/// A RST without ACK.
pub fn rst(seq: u32) -> Seg {
    seg(Flags::RST, seq, None)
}

/// A RST with ACK.
pub fn rst_ack(seq: u32, ack: u32) -> Seg {
    seg(Flags::RST | Flags::ACK, seq, Some(ack))
}

impl Seg {
    /// With these flags instead.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Seg {
        self.flags = flags;
        self
    }

    /// With this sequence number.
    #[must_use]
    pub fn seq(mut self, seq: u32) -> Seg {
        self.seq = Some(seq);
        self
    }

    /// With this acknowledgment number.
    #[must_use]
    pub fn ack(mut self, ack: u32) -> Seg {
        self.ack = Some(ack);
        self
    }

    /// With FIN behind the text.
    #[must_use]
    pub fn with_fin(mut self) -> Seg {
        self.flags |= Flags::FIN;
        self
    }

    /// With this many bytes of the sender's stream.
    #[must_use]
    pub fn len(mut self, len: usize) -> Seg {
        self.len = len;
        self
    }

    /// With this text instead of the sender's stream.
    #[must_use]
    pub fn text(mut self, text: &[u8]) -> Seg {
        self.len = text.len();
        self.text = Some(Bytes::copy_from_slice(text));
        self
    }

    /// With PSH.
    #[must_use]
    pub fn psh(mut self) -> Seg {
        self.push = Want::Is(());
        self
    }

    /// Expected without PSH.
    #[must_use]
    pub fn no_psh(mut self) -> Seg {
        self.push = Want::Absent;
        self
    }

    /// With this value in the window field, which is not scaled here.
    #[must_use]
    pub fn win(mut self, window: u16) -> Seg {
        self.window = Want::Is(window);
        self
    }

    /// With the option MSS.
    #[must_use]
    pub fn mss(mut self, mss: u16) -> Seg {
        self.mss = Want::Is(mss);
        self
    }

    /// With the option window scale.
    #[must_use]
    pub fn wscale(mut self, shift: u8) -> Seg {
        self.window_scale = Want::Is(shift);
        self
    }

    /// Expected with the option window scale, of any value.
    #[must_use]
    pub fn some_wscale(mut self) -> Seg {
        self.window_scale = Want::Present;
        self
    }

    /// Expected without the option window scale.
    #[must_use]
    pub fn no_wscale(mut self) -> Seg {
        self.window_scale = Want::Absent;
        self
    }

    /// With the option SACK-permitted.
    #[must_use]
    pub fn sack_ok(mut self) -> Seg {
        self.sack_permitted = Want::Is(());
        self
    }

    /// Expected without the option SACK-permitted.
    #[must_use]
    pub fn no_sack_ok(mut self) -> Seg {
        self.sack_permitted = Want::Absent;
        self
    }

    /// With timestamps: TSval and TSecr.
    #[must_use]
    pub fn ts(mut self, value: u32, echo: u32) -> Seg {
        self.timestamps = Want::Is((value, echo));
        self
    }

    /// Expected with timestamps, of any value.
    #[must_use]
    pub fn some_ts(mut self) -> Seg {
        self.timestamps = Want::Present;
        self
    }

    /// Expected without timestamps.
    #[must_use]
    pub fn no_ts(mut self) -> Seg {
        self.timestamps = Want::Absent;
        self
    }

    /// With these SACK blocks, relative to what is acknowledged.
    #[must_use]
    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Seg {
        self.sack = blocks.to_vec();
        self
    }

    /// With URG and this urgent pointer.
    #[must_use]
    pub fn urg(mut self, pointer: u16) -> Seg {
        self.flags |= Flags::URG;
        self.urgent = Some(pointer);
        self
    }

    /// The header that a scripted peer sends: `own` and `other` are the initial sequence numbers,
    /// `window` the field where none is given.
    pub(crate) fn build(
        &self,
        own: SeqNumber,
        other: SeqNumber,
        ports: (u16, u16),
        window: u16,
    ) -> Segment {
        let mut flags = self.flags;
        if self.push == Want::Is(()) {
            flags |= Flags::PSH;
        }
        Segment {
            src_port: ports.0,
            dst_port: ports.1,
            seq: own + self.seq.unwrap_or(0),
            ack: match self.ack {
                Some(ack) if flags.contains(Flags::ACK) => other + ack,
                _ => SeqNumber(0),
            },
            flags,
            window: self.window.given().unwrap_or(window),
            urgent: self.urgent.unwrap_or(0),
            options: Options {
                mss: self.mss.given(),
                window_scale: self.window_scale.given(),
                sack_permitted: self.sack_permitted == Want::Is(()),
                timestamps: self.timestamps.given().map(|(value, echo)| Timestamps { value, echo }),
                sack: self
                    .sack
                    .iter()
                    .map(|&(left, right)| SackBlock { left: other + left, right: other + right })
                    .collect(),
                ..Options::default()
            },
        }
    }

    /// What differs between this and a segment that was seen; `None` if it is what was expected.
    pub(crate) fn mismatch(
        &self,
        packet: &Packet,
        own: SeqNumber,
        other: SeqNumber,
    ) -> Option<String> {
        let Segment { seq, ack, flags, window, urgent, options, .. } = &packet.segment;
        let wanted_flags = self.flags;
        if flags.without(Flags::PSH) != wanted_flags.without(Flags::PSH) {
            return Some(format!("flags [{flags}], expected [{wanted_flags}]"));
        }
        let pushed = flags.contains(Flags::PSH).then_some(());
        if !self.push.accepts(pushed) {
            return Some(format!("PSH is {}", if pushed.is_some() { "set" } else { "not set" }));
        }
        let relative_seq = seq.distance_from(own);
        if self.seq.is_some_and(|wanted| wanted != relative_seq) {
            return Some(format!("seq {relative_seq}, expected {:?}", self.seq));
        }
        let relative_ack = ack.distance_from(other);
        if flags.contains(Flags::ACK) && self.ack.is_some_and(|wanted| wanted != relative_ack) {
            return Some(format!("ack {relative_ack}, expected {:?}", self.ack));
        }
        if packet.payload.len() != self.len {
            return Some(format!("length {}, expected {}", packet.payload.len(), self.len));
        }
        if self.text.as_ref().is_some_and(|text| *text != packet.payload) {
            return Some(format!("text {:?}, expected {:?}", packet.payload, self.text));
        }
        if !self.window.accepts(Some(*window)) {
            return Some(format!("win {window}, expected {:?}", self.window));
        }
        if self.urgent.is_some_and(|wanted| wanted != *urgent) {
            return Some(format!("urg {urgent}, expected {:?}", self.urgent));
        }
        if !self.mss.accepts(options.mss) {
            return Some(format!("mss {:?}, expected {:?}", options.mss, self.mss));
        }
        if !self.window_scale.accepts(options.window_scale) {
            let found = options.window_scale;
            return Some(format!("wscale {found:?}, expected {:?}", self.window_scale));
        }
        if !self.sack_permitted.accepts(options.sack_permitted.then_some(())) {
            let found = options.sack_permitted;
            return Some(format!("sackOK {found}, expected {:?}", self.sack_permitted));
        }
        let timestamps = options.timestamps.map(|stamps| (stamps.value, stamps.echo));
        if !self.timestamps.accepts(timestamps) {
            return Some(format!("TS {timestamps:?}, expected {:?}", self.timestamps));
        }
        let blocks: Vec<(u32, u32)> = options
            .sack
            .iter()
            .map(|block| (block.left.distance_from(other), block.right.distance_from(other)))
            .collect();
        (blocks != self.sack).then(|| format!("sack {blocks:?}, expected {:?}", self.sack))
    }
}

impl fmt::Display for Seg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = SeqNumber(0);
        write!(f, "{}", self.build(zero, zero, (0, 0), 0).display(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use towpath_wire::ip::Ecn;
    use towpath_wire::{IpHeader, Protocol};

    fn packet(seg: &Seg) -> Packet {
        let segment = seg.build(SeqNumber(u32::MAX), SeqNumber(5), (80, 1000), 100);
        Packet {
            ip: IpHeader {
                src: "10.0.0.1".parse().unwrap(),
                dst: "10.0.0.2".parse().unwrap(),
                protocol: Protocol::TCP,
                hop_limit: 64,
                dscp: 0,
                ecn: Ecn::NotEct,
                identification: 0,
                dont_fragment: true,
                flow_label: 0,
            },
            segment,
            payload: Pattern(1).bytes(0, seg.len),
        }
    }

    #[test]
    fn each_field_that_is_said_is_compared() {
        let base = || data(1, 11, 1).win(100).sack(&[(20, 30)]).ts(1, 2).psh();
        let seen = packet(&base());
        let (own, other) = (SeqNumber(u32::MAX), SeqNumber(5));
        assert_eq!(base().mismatch(&seen, own, other), None);
        for (what, wrong) in [
            ("flags", base().with_fin()),
            ("PSH", base().no_psh()),
            ("seq", base().seq(2)),
            ("ack", base().ack(2)),
            ("length", base().len(10)),
            ("text", base().text(b"hello world")),
            ("win", base().win(99)),
            ("mss", base().mss(1)),
            ("wscale", base().wscale(1)),
            ("sackOK", base().sack_ok()),
            ("TS", base().no_ts()),
            ("sack", base().sack(&[])),
            ("sack", base().sack(&[(20, 31)])),
        ] {
            let said = wrong.mismatch(&seen, own, other).expect(what);
            assert!(said.starts_with(what), "{what}: {said}");
        }
    }
}
