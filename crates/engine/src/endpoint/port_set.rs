//! A set of ports within a range, as bits: what a search asks about is a word of 64 ports, not a port.

/// A subset of a range of ports.
#[derive(Clone, Debug)]
pub(crate) struct PortBits {
    first: u16,
    count: u32,
    /// Bit `i` of the whole is port `first + i`; empty until there is one.
    words: Vec<u64>,
    len: usize,
}

impl PortBits {
    pub(crate) fn new((first, last): (u16, u16)) -> PortBits {
        PortBits { first, count: u32::from(last - first) + 1, words: Vec::new(), len: 0 }
    }

    /// Whether a port lies in the range.
    pub(crate) fn covers(&self, port: u16) -> bool {
        self.place(port).is_some()
    }

    fn place(&self, port: u16) -> Option<(usize, u64)> {
        let at = u32::from(port.checked_sub(self.first)?);
        (at < self.count).then_some((at as usize / 64, 1 << (at % 64)))
    }

    /// Adds a port; one that is out of the range is no port of this set.
    pub(crate) fn insert(&mut self, port: u16) {
        let Some((word, bit)) = self.place(port) else { return };
        if self.words.is_empty() {
            self.words = vec![0; (self.count as usize).div_ceil(64)];
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    pub(crate) fn remove(&mut self, port: u16) {
        if !self.contains(port) {
            return;
        }
        if let Some((word, bit)) = self.place(port) {
            self.words[word] &= !bit;
            self.len -= 1;
        }
        if self.len == 0 {
            self.words = Vec::new();
        }
    }

    pub(crate) fn contains(&self, port: u16) -> bool {
        self.place(port)
            .is_some_and(|(word, bit)| self.words.get(word).is_some_and(|held| held & bit != 0))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        let first = self.first;
        self.words.iter().enumerate().flat_map(move |(index, word)| {
            let mut left = *word;
            core::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    first + (index * 64) as u16 + bit as u16
                })
            })
        })
    }

    /// The first port that is in neither set and that `is_free` accepts, from the place `start` of
    /// the range on, once round; of those at places of `start`'s parity. Reads each word once or
    /// twice, whatever the sets hold.
    pub(crate) fn find_free(
        one: &PortBits,
        other: Option<&PortBits>,
        start: u32,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let parity =
            if start.is_multiple_of(2) { 0x5555_5555_5555_5555 } else { 0xaaaa_aaaa_aaaa_aaaa };
        let start = start % one.count;
        let words = (one.count as usize).div_ceil(64);
        let begin = start as usize / 64;
        for step in 0..=words {
            let index = (begin + step) % words;
            let mut free: u64 = parity;
            free &= !one.words.get(index).copied().unwrap_or(0);
            free &= !other.and_then(|bits| bits.words.get(index)).copied().unwrap_or(0);
            if index == words - 1 && !one.count.is_multiple_of(64) {
                free &= (1 << (one.count % 64)) - 1;
            }
            // The word of the start is read twice: its upper part first, its lower part last.
            let upper = u64::MAX << (start % 64);
            if step == 0 {
                free &= upper;
            } else if step == words {
                free &= !upper;
            }
            while free != 0 {
                let bit = free.trailing_zeros();
                free &= free - 1;
                let port = one.first + (index * 64) as u16 + bit as u16;
                if is_free(port) {
                    return Some(port);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_search_finds_what_a_walk_finds(
            first in 1u16..65_000,
            count in 1u32..400,
            held in prop::collection::vec(0u32..400, 0..500),
            others in prop::collection::vec(0u32..400, 0..200),
            start in 0u32..1000,
        ) {
            let last = (u32::from(first) + count - 1).min(65_535) as u16;
            let count = u32::from(last - first) + 1;
            let port_at = |at: u32| first + (at % count) as u16;
            let (mut one, mut other) = (PortBits::new((first, last)), PortBits::new((first, last)));
            held.iter().for_each(|at| one.insert(port_at(*at)));
            others.iter().for_each(|at| other.insert(port_at(*at)));
            let mut listed: Vec<u16> = held.iter().map(|at| port_at(*at)).collect();
            listed.sort_unstable();
            listed.dedup();
            prop_assert_eq!(one.len(), listed.len());
            prop_assert_eq!(one.iter().collect::<Vec<_>>(), listed);
            let walk = (0..count)
                .map(|step| (start + step) % count)
                .find(|at| {
                    let port = port_at(*at);
                    at % 2 == start % 2 && !one.contains(port) && !other.contains(port)
                });
            let found = PortBits::find_free(&one, Some(&other), start, |_| true);
            let walk = walk.map(port_at);
            prop_assert_eq!(found, walk);
        }
    }

    #[test]
    fn an_empty_set_holds_no_memory_and_a_full_one_is_searched_by_words() {
        let range = (1, 65_535);
        let mut bits = PortBits::new(range);
        assert_eq!(bits.words.capacity(), 0);
        (1..=65_535).for_each(|port| bits.insert(port));
        let asked = |bits: &PortBits| {
            let mut asked = 0;
            let found = PortBits::find_free(bits, None, 30_001, |_| {
                asked += 1;
                true
            });
            (found, asked)
        };
        assert_eq!(asked(&bits), (None, 0));
        bits.remove(4);
        assert_eq!(asked(&bits), (Some(4), 1));
        bits.insert(0);
        (1..=65_535).for_each(|port| bits.remove(port));
        assert_eq!((bits.len(), bits.words.capacity()), (0, 0));
    }
}
