//! The option of accurate ECN: how many of its counters fit a segment, and what the first one shows
//! of the path (RFC 9768 section 3.2.3).

use towpath_wire::tcp::AccEcn;

/// The bytes of a header that options can take.
const ROOM: u32 = 40;
const COUNTER: u32 = 3;
const COUNTERS: usize = 3;
const SACK_BLOCK: u32 = 8;

/// What was seen of the peer's option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OptionSeen {
    #[default]
    No,
    /// Without a counter.
    Empty,
    Counters,
    /// A counter that begins at one was zero: something on the path clears what it does not know.
    Mangled,
}

impl OptionSeen {
    /// The peer's first option.
    // Implements: RFC9768 s3.2.3.2.4
    pub(crate) fn first(option: &AccEcn) -> OptionSeen {
        match option.counters.as_slice() {
            [] => OptionSeen::Empty,
            [0, ..] | [_, _, 0] => OptionSeen::Mangled,
            _ => OptionSeen::Counters,
        }
    }

    /// Whether counters came, mangled or not.
    pub(crate) fn has_counters(self) -> bool {
        matches!(self, OptionSeen::Counters | OptionSeen::Mangled)
    }
}

/// How an option and SACK blocks share a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Counters of the option, if there is room for it.
    pub(crate) counters: Option<usize>,
    pub(crate) blocks: usize,
    /// The bytes that both take.
    pub(crate) len: u32,
}

impl Fit {
    /// SACK blocks alone.
    pub(crate) fn of_blocks(blocks: usize) -> Fit {
        Fit { counters: None, blocks, len: len(None, blocks) }
    }
}

/// The option with at least `required` counters beside `blocks` SACK blocks, where other options
/// take `taken` bytes; without the option if that cannot be. Two blocks go before the option.
// Implements: RFC9768 s3.2.3.3a
pub(crate) fn fit(required: usize, blocks: usize, taken: u32) -> Fit {
    let room = ROOM.saturating_sub(taken);
    let alone = Fit::of_blocks(blocks);
    let mut kept = blocks;
    loop {
        let found = (required..=COUNTERS).rev().find(|count| len(Some(*count), kept) <= room);
        if let Some(counters) = found {
            return Fit { counters: Some(counters), blocks: kept, len: len(Some(counters), kept) };
        }
        if kept <= 2 || required == 0 {
            return alone;
        }
        kept -= 1;
    }
}

/// The bytes of an option of so many counters and so many SACK blocks, padding included.
fn len(counters: Option<usize>, blocks: usize) -> u32 {
    let option = counters.map_or(0, |count| 2 + COUNTER * count as u32);
    let sack = if blocks > 0 { 2 + SACK_BLOCK * blocks as u32 } else { 0 };
    (option + sack).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMPS: u32 = 12;

    // Shows: RFC9768 s3.2.3.3a
    #[test]
    fn two_blocks_go_before_counters_and_counters_that_changed_before_a_third() {
        let fitted = |required, blocks| {
            let fit = fit(required, blocks, TIMESTAMPS);
            (fit.counters, fit.blocks, fit.len)
        };
        assert_eq!(fitted(0, 0), (Some(3), 0, 12));
        assert_eq!(fitted(1, 1), (Some(3), 1, 24));
        assert_eq!(fitted(2, 2), (Some(2), 2, 28));
        assert_eq!(fitted(3, 2), (None, 2, 20));
        assert_eq!(fitted(1, 3), (Some(2), 2, 28), "the third block makes room");
        assert_eq!(fitted(3, 3), (None, 3, 28));
        assert_eq!(fitted(0, 3), (Some(0), 3, 28), "an empty one takes the place of padding");
    }

    // Shows: RFC9768 s3.2.3.2.4
    #[test]
    fn a_first_counter_of_zero_shows_a_path_that_mangles() {
        let seen = |counters: &[u32]| {
            OptionSeen::first(&AccEcn {
                order: towpath_wire::tcp::AccEcnOrder::Ect0First,
                counters: counters.iter().copied().collect(),
            })
        };
        assert_eq!(seen(&[]), OptionSeen::Empty);
        assert_eq!(seen(&[1]), OptionSeen::Counters);
        assert_eq!(seen(&[1, 0, 1]), OptionSeen::Counters);
        assert_eq!(seen(&[0, 0, 1]), OptionSeen::Mangled);
        assert_eq!(seen(&[1, 0, 0]), OptionSeen::Mangled);
    }
}
