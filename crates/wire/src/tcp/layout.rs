//! The order of options in a header that we write, which is Linux's, and what is left out when 40
//! bytes do not hold all of them (RFC 7323 appendix A, RFC 9768 section 3.2.3.3).
//!
//! The one place that knows the layout: length, bytes and printed form of the options are all taken
//! from it.

use super::options::{AccEcnOrder, FastOpen, MAX_LEN, Options, SackBlock, Timestamps};
use std::fmt;

/// The registry of option kinds, as far as it is known here.
pub(super) mod kind {
    pub(in crate::tcp) const END: u8 = 0;
    pub(in crate::tcp) const NO_OPERATION: u8 = 1;
    pub(in crate::tcp) const MSS: u8 = 2;
    pub(in crate::tcp) const WINDOW_SCALE: u8 = 3;
    pub(in crate::tcp) const SACK_PERMITTED: u8 = 4;
    pub(in crate::tcp) const SACK: u8 = 5;
    pub(in crate::tcp) const TIMESTAMPS: u8 = 8;
    pub(in crate::tcp) const FAST_OPEN: u8 = 34;
    pub(in crate::tcp) const ACC_ECN_ECT0_FIRST: u8 = 172;
    pub(in crate::tcp) const ACC_ECN_ECT1_FIRST: u8 = 174;
    pub(in crate::tcp) const EXPERIMENT: u8 = 254;
}

/// RFC 6994's identifier of fast open among the experiments.
pub(super) const FAST_OPEN_MAGIC: [u8; 2] = [0xF9, 0x89];

/// One option as it goes into the header.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    NoOperation,
    Mss(u16),
    WindowScale(u8),
    SackPermitted,
    Timestamps(Timestamps),
    Sack(&'a [SackBlock]),
    FastOpen(&'a FastOpen),
    AccEcn(AccEcnOrder, &'a [u32]),
}

/// Names the items of the header in their order.
// Implements: 9293 MUST-68, RFC2018 s3a, RFC7323 D/E, RFC9768 s3.2.3.3a
pub(super) fn for_each_item<'a>(options: &'a Options, mut visit: impl FnMut(Item<'a>)) {
    let Fitting { fast_open, acc_ecn, sack, adjacent } = Fitting::of(options);
    let shares_padding = adjacent && acc_ecn.is_some() && sack.is_some();
    if let Some(mss) = options.mss {
        visit(Item::Mss(mss));
    }
    if let Some(timestamps) = options.timestamps {
        // SACK-permitted takes the two bytes that would pad the timestamps.
        if options.sack_permitted {
            visit(Item::SackPermitted);
        } else {
            visit(Item::NoOperation);
            visit(Item::NoOperation);
        }
        visit(Item::Timestamps(timestamps));
    }
    if let Some(acc_ecn) = acc_ecn {
        visit(acc_ecn);
        // The blocks need two bytes before them in any case: counters that end in the middle of a
        // word end there.
        let len = if shares_padding { acc_ecn.len() + 2 } else { acc_ecn.len() };
        for _ in len..len.next_multiple_of(4) {
            visit(Item::NoOperation);
        }
    }
    if options.sack_permitted && options.timestamps.is_none() {
        visit(Item::NoOperation);
        visit(Item::NoOperation);
        visit(Item::SackPermitted);
    }
    if let Some(shift) = options.window_scale {
        visit(Item::NoOperation);
        visit(Item::WindowScale(shift));
    }
    if let Some(fast_open) = fast_open {
        visit_then_pad(fast_open, &mut visit);
    }
    if let Some(sack) = sack {
        if !shares_padding {
            visit(Item::NoOperation);
            visit(Item::NoOperation);
        }
        visit(sack);
    }
}

fn visit_then_pad<'a>(item: Item<'a>, visit: &mut impl FnMut(Item<'a>)) {
    visit(item);
    for _ in item.len()..item.padded_len() {
        visit(Item::NoOperation);
    }
}

/// The options of variable length, cut to the room that those of fixed length leave.
struct Fitting<'a> {
    fast_open: Option<Item<'a>>,
    acc_ecn: Option<Item<'a>>,
    sack: Option<Item<'a>>,
    /// Nothing stands between the counters and the blocks.
    adjacent: bool,
}

impl<'a> Fitting<'a> {
    fn of(options: &'a Options) -> Fitting<'a> {
        let Options { mss, window_scale, sack_permitted, timestamps, sack, fast_open, acc_ecn } =
            options;
        let fixed = [
            (mss.is_some(), 4),
            (timestamps.is_some(), 12),
            (*sack_permitted && timestamps.is_none(), 4),
            (window_scale.is_some(), 4),
        ];
        // At most 20 of the 40 bytes.
        let mut room = MAX_LEN
            - fixed.iter().map(|(is_there, len)| if *is_there { *len } else { 0 }).sum::<usize>();

        let fast_open =
            fast_open.as_ref().map(Item::FastOpen).filter(|item| item.padded_len() <= room);
        room -= fast_open.map_or(0, Item::padded_len);

        // Counters and blocks that stand side by side share their padding.
        let adjacent = window_scale.is_none()
            && fast_open.is_none()
            && (!*sack_permitted || timestamps.is_some());
        let len_of = |acc_ecn: Option<Item<'_>>, sack: Option<Item<'_>>| match (acc_ecn, sack) {
            (Some(acc_ecn), Some(sack)) if adjacent => {
                (acc_ecn.len() + sack.len()).next_multiple_of(4)
            }
            _ => acc_ecn.map_or(0, Item::padded_len) + sack.map_or(0, Item::padded_len),
        };
        let blocks_beside = |acc_ecn: Option<Item<'_>>, most: usize| {
            (1..=sack.len().min(most))
                .rev()
                .map(|count| Item::Sack(&sack[..count]))
                .find(|blocks| len_of(acc_ecn, Some(*blocks)) <= room)
        };
        let first_blocks = blocks_beside(None, 2);
        let acc_ecn = acc_ecn.as_ref().and_then(|acc_ecn| {
            let fewest = acc_ecn.counters.len().min(1);
            (fewest..=acc_ecn.counters.len())
                .rev()
                .map(|count| Item::AccEcn(acc_ecn.order, &acc_ecn.counters[..count]))
                .find(|counters| len_of(Some(*counters), first_blocks) <= room)
        });
        let sack = blocks_beside(acc_ecn, sack.len());
        Fitting { fast_open, acc_ecn, sack, adjacent }
    }
}

impl Item<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Item::NoOperation => 1,
            Item::SackPermitted => 2,
            Item::WindowScale(_) => 3,
            Item::Mss(_) => 4,
            Item::Timestamps(_) => 10,
            Item::Sack(blocks) => 2 + 8 * blocks.len(),
            Item::FastOpen(FastOpen { cookie, experimental: false }) => 2 + cookie.len(),
            Item::FastOpen(FastOpen { cookie, experimental: true }) => 4 + cookie.len(),
            Item::AccEcn(_, counters) => 2 + 3 * counters.len(),
        }
    }

    fn padded_len(self) -> usize {
        self.len().next_multiple_of(4)
    }

    fn kind(self) -> u8 {
        match self {
            Item::NoOperation => kind::NO_OPERATION,
            Item::Mss(_) => kind::MSS,
            Item::WindowScale(_) => kind::WINDOW_SCALE,
            Item::SackPermitted => kind::SACK_PERMITTED,
            Item::Timestamps(_) => kind::TIMESTAMPS,
            Item::Sack(_) => kind::SACK,
            Item::FastOpen(FastOpen { experimental: false, .. }) => kind::FAST_OPEN,
            Item::FastOpen(FastOpen { experimental: true, .. }) => kind::EXPERIMENT,
            Item::AccEcn(AccEcnOrder::Ect0First, _) => kind::ACC_ECN_ECT0_FIRST,
            Item::AccEcn(AccEcnOrder::Ect1First, _) => kind::ACC_ECN_ECT1_FIRST,
        }
    }

    /// Fills `place`, which is [`len`](Self::len) bytes long.
    pub(super) fn write(self, place: &mut [u8]) {
        let mut rest = place;
        let mut put = |bytes: &[u8]| {
            let (to, after) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            to.copy_from_slice(bytes);
            rest = after;
        };
        put(&[self.kind()]);
        if matches!(self, Item::NoOperation) {
            return;
        }
        put(&[self.len() as u8]);
        match self {
            Item::NoOperation | Item::SackPermitted => {}
            Item::Mss(mss) => put(&mss.to_be_bytes()),
            Item::WindowScale(shift) => put(&[shift]),
            Item::Timestamps(Timestamps { value, echo }) => {
                put(&value.to_be_bytes());
                put(&echo.to_be_bytes());
            }
            Item::Sack(blocks) => {
                for block in blocks {
                    put(&block.left.0.to_be_bytes());
                    put(&block.right.0.to_be_bytes());
                }
            }
            Item::FastOpen(FastOpen { cookie, experimental }) => {
                if *experimental {
                    put(&FAST_OPEN_MAGIC);
                }
                put(cookie);
            }
            Item::AccEcn(_, counters) => {
                for counter in counters {
                    let [_, low @ ..] = counter.to_be_bytes();
                    put(&low);
                }
            }
        }
    }
}

/// tcpdump's words.
impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Item::NoOperation => f.write_str("nop"),
            Item::Mss(mss) => write!(f, "mss {mss}"),
            Item::WindowScale(shift) => write!(f, "wscale {shift}"),
            Item::SackPermitted => f.write_str("sackOK"),
            Item::Timestamps(Timestamps { value, echo }) => write!(f, "TS val {value} ecr {echo}"),
            Item::Sack(blocks) => {
                write!(f, "sack {} ", blocks.len())?;
                blocks.iter().try_for_each(|block| write!(f, "{{{}:{}}}", block.left, block.right))
            }
            Item::FastOpen(FastOpen { cookie, experimental }) => {
                f.write_str(if *experimental { "exp-tfo" } else { "tfo" })?;
                f.write_str(if cookie.is_empty() { " cookiereq" } else { " cookie " })?;
                cookie.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Item::AccEcn(order, counters) => {
                let names = match order {
                    AccEcnOrder::Ect0First => ["e0b", "ceb", "e1b"],
                    AccEcnOrder::Ect1First => ["e1b", "ceb", "e0b"],
                };
                f.write_str("accecn")?;
                names
                    .iter()
                    .zip(counters)
                    .try_for_each(|(name, count)| write!(f, " {name} {count}"))
            }
        }
    }
}
