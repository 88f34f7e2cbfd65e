//! TCP options: RFC 9293 section 3.1 (end, no-operation, MSS), RFC 7323 (window scale, timestamps),
//! RFC 2018 (SACK), RFC 7413 and its experimental form (fast open), RFC 9768 (accurate ECN).
//!
//! Owns the bytes: the walk over what a peer sent, and our layout, which is Linux's. Owns no
//! meaning: whether an option may stand in this segment (window scale outside a SYN, a SACK block
//! outside the window) is the engine's to judge.

use super::layout::{self, kind};
use crate::SeqNumber;
use arrayvec::ArrayVec;
use std::fmt;

/// The bytes of options that a header has room for: a data offset of 15 words less the fixed 20
/// bytes.
pub const MAX_LEN: usize = 40;

/// The SACK blocks that fit one header.
pub type SackBlocks = ArrayVec<SackBlock, 4>;

/// The options of one segment.
///
/// # Examples
///
/// ```
/// use towpath_wire::tcp::Options;
///
/// // NOP, an unknown option of 4 bytes, MSS 1460, end, garbage.
/// let options = Options::parse(&[1, 253, 4, 9, 9, 2, 4, 0x05, 0xB4, 0, 7, 7]);
/// assert_eq!(options.mss, Some(1460));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size. A peer's zero counts as absent.
    pub mss: Option<u16>,
    /// The shift as it stands in the option; see [`WindowScale`](super::WindowScale) for its limit.
    pub window_scale: Option<u8>,
    /// The sender understands SACK.
    pub sack_permitted: bool,
    /// RFC 7323 timestamps.
    pub timestamps: Option<Timestamps>,
    /// RFC 2018 blocks, in the order of the option.
    pub sack: SackBlocks,
    /// RFC 7413 cookie, or the request for one.
    pub fast_open: Option<FastOpen>,
    /// RFC 9768 byte counters.
    pub acc_ecn: Option<AccEcn>,
}

/// RFC 7323 section 3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock of the other side, as last seen; means something with ACK only.
    pub echo: u32,
}

/// Bytes that arrived: from `left` up to, not including, `right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlock {
    /// The first sequence number of the block.
    pub left: SeqNumber,
    /// The one after the last.
    pub right: SeqNumber,
}

/// RFC 7413 section 4.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastOpen {
    /// 4 to 16 bytes, even in number; empty in the request for a cookie.
    pub cookie: ArrayVec<u8, 16>,
    /// In the form of the experiment (kind 254) instead of kind 34.
    pub experimental: bool,
}

/// RFC 9768 section 3.2.3: byte counters modulo 2^24, in the order of the option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccEcn {
    /// What the counters are.
    pub order: AccEcnOrder,
    /// None to three of them; on the wire each has 24 bits.
    pub counters: ArrayVec<u32, 3>,
}

/// The two orders of the counters; CE stands in the middle of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccEcnOrder {
    /// Kind 172: ECT(0), CE, ECT(1).
    Ect0First,
    /// Kind 174: ECT(1), CE, ECT(0).
    Ect1First,
}

/// What the walk had to pass over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsReport {
    /// An option had an impossible length (0, 1 or past the end), and the walk ended there.
    pub truncated: bool,
    /// Options of a kind not known here.
    pub unknown: u8,
    /// Options of a known kind with a wrong length or an impossible value.
    pub invalid: u8,
}

/// How many SACK blocks fit beside timestamps and without them.
// Implements: RFC2018 s3a
pub const fn max_sack_blocks(timestamps: bool) -> usize {
    if timestamps { 3 } else { 4 }
}

impl Options {
    /// Reads the options of a header; never fails.
    ///
    /// An unknown kind is skipped by its length, and so is a known one whose length or value is
    /// wrong. A length that cannot be ends the walk, and what was read before stands. Of an option
    /// that comes twice the last valid one counts, as in Linux. Bytes beyond [`MAX_LEN`] are not
    /// looked at.
    pub fn parse(bytes: &[u8]) -> Options {
        Self::parse_with_report(bytes).0
    }

    /// As [`parse`](Self::parse), and tells what it passed over.
    // Implements: 9293 MUST-4, 9293 MUST-6, 9293 MUST-7, 9293 MUST-64, H-14, H-19, H-20
    pub fn parse_with_report(bytes: &[u8]) -> (Options, OptionsReport) {
        let mut options = Options::default();
        let mut report = OptionsReport::default();
        let mut rest = bytes.get(..MAX_LEN).unwrap_or(bytes);
        loop {
            rest = match rest {
                [] | [kind::END, ..] => break,
                [kind::NO_OPERATION, rest @ ..] => rest,
                [kind, length, ..] if *length >= 2 && usize::from(*length) <= rest.len() => {
                    let (option, rest) = rest.split_at(usize::from(*length));
                    match options.accept(*kind, option.get(2..).unwrap_or_default()) {
                        Accepted::Yes => {}
                        Accepted::Unknown => report.unknown += 1,
                        Accepted::Invalid => report.invalid += 1,
                    }
                    rest
                }
                _ => {
                    report.truncated = true;
                    break;
                }
            }
        }
        (options, report)
    }

    /// The length of the options as [`emit`](Self::emit) writes them: a multiple of 4, at most
    /// [`MAX_LEN`].
    pub fn encoded_len(&self) -> usize {
        let mut len = 0;
        layout::for_each_item(self, |item| len += item.len());
        len
    }

    /// Writes the options in Linux's layout, aligned by no-operations.
    ///
    /// A SYN has MSS, SACK-permitted, timestamps, no-operation, window scale. These always fit. Of
    /// the others, what does not fit is left out: fast open goes before two SACK blocks, those go
    /// before accurate ECN counters (RFC 9768 section 3.2.3.3), and those before more blocks.
    ///
    /// # Panics
    ///
    /// If `buffer` is not [`encoded_len`](Self::encoded_len) bytes long.
    pub fn emit(&self, buffer: &mut [u8]) {
        let mut rest = buffer;
        layout::for_each_item(self, |item| {
            let (place, after) = std::mem::take(&mut rest)
                .split_at_mut_checked(item.len())
                .expect("the buffer has room for the options");
            item.write(place);
            rest = after;
        });
        assert!(rest.is_empty(), "the options fill their buffer");
    }

    fn accept(&mut self, kind: u8, data: &[u8]) -> Accepted {
        match (kind, data) {
            // Implements: H-15
            (kind::MSS, [0, 0]) => return Accepted::Invalid,
            (kind::MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (kind::WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (kind::SACK_PERMITTED, []) => self.sack_permitted = true,
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (kind::SACK, data) => return self.accept_sack(data),
            (kind::FAST_OPEN, cookie) => return self.accept_fast_open(cookie, false),
            (kind::EXPERIMENT, [a, b, cookie @ ..]) if [*a, *b] == layout::FAST_OPEN_MAGIC => {
                return self.accept_fast_open(cookie, true);
            }
            (kind::ACC_ECN_ECT0_FIRST, data) => self.accept_acc_ecn(AccEcnOrder::Ect0First, data),
            (kind::ACC_ECN_ECT1_FIRST, data) => self.accept_acc_ecn(AccEcnOrder::Ect1First, data),
            (kind::MSS | kind::WINDOW_SCALE | kind::SACK_PERMITTED | kind::TIMESTAMPS, _) => {
                return Accepted::Invalid;
            }
            _ => return Accepted::Unknown,
        }
        Accepted::Yes
    }

    /// A block that ends where it begins or before says nothing and is passed over by itself.
    // Implements: H-16
    fn accept_sack(&mut self, data: &[u8]) -> Accepted {
        let (blocks, rest) = data.as_chunks::<8>();
        if blocks.is_empty() || !rest.is_empty() {
            return Accepted::Invalid;
        }
        // No more than four fit the bytes that are looked at.
        let forward: SackBlocks = blocks
            .iter()
            .take(self.sack.capacity())
            .map(|&[a, b, c, d, e, f, g, h]| SackBlock {
                left: SeqNumber(u32::from_be_bytes([a, b, c, d])),
                right: SeqNumber(u32::from_be_bytes([e, f, g, h])),
            })
            .filter(|block| block.right.after(block.left))
            .collect();
        let all_are_valid = forward.len() == blocks.len();
        if !forward.is_empty() {
            self.sack = forward;
        }
        if all_are_valid { Accepted::Yes } else { Accepted::Invalid }
    }

    // Implements: RFC7413 s4.1.1
    fn accept_fast_open(&mut self, cookie: &[u8], experimental: bool) -> Accepted {
        if !matches!(cookie.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16) {
            return Accepted::Invalid;
        }
        self.fast_open = Some(FastOpen { cookie: cookie.iter().copied().collect(), experimental });
        Accepted::Yes
    }

    /// Any length is allowed: whole counters are taken, at most three.
    // Implements: RFC9768 s3.2.3a
    fn accept_acc_ecn(&mut self, order: AccEcnOrder, data: &[u8]) {
        let counters = data.as_chunks::<3>().0.iter().take(3);
        self.acc_ecn = Some(AccEcn {
            order,
            counters: counters.map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c])).collect(),
        });
    }
}

enum Accepted {
    Yes,
    Unknown,
    Invalid,
}

/// As tcpdump lists them, in the order of the bytes that [`Options::emit`] writes.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        let mut separator = "";
        layout::for_each_item(self, |item| {
            result = result.and_then(|()| write!(f, "{separator}{item}"));
            separator = ",";
        });
        result
    }
}
