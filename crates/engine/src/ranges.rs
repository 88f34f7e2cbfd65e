//! Half-open ranges of stream offsets, disjoint and not touching: what of a stream has arrived out
//! of order.

use std::collections::BTreeMap;

/// A set of offsets, kept as its maximal ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    by_start: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `[start, end)` and returns the maximal range that now contains it.
    pub(crate) fn insert(&mut self, start: u64, end: u64) -> (u64, u64) {
        debug_assert!(start < end);
        let (mut left, mut right) = (start, end);
        if let Some((&before, &before_end)) = self.by_start.range(..=start).next_back()
            && before_end >= start
        {
            left = before;
            right = right.max(before_end);
        }
        while let Some((&next, &next_end)) = self.by_start.range(left..).next() {
            if next > right {
                break;
            }
            self.by_start.remove(&next);
            right = right.max(next_end);
        }
        self.by_start.insert(left, right);
        (left, right)
    }

    /// Removes everything below `offset`.
    pub(crate) fn remove_below(&mut self, offset: u64) {
        while let Some((&start, &end)) = self.by_start.first_key_value() {
            if start >= offset {
                return;
            }
            self.by_start.remove(&start);
            if end > offset {
                self.by_start.insert(offset, end);
                return;
            }
        }
    }

    /// The range that contains all of `[start, end)`, if one does.
    pub(crate) fn containing(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let (&left, &right) = self.by_start.range(..=start).next_back()?;
        (right >= end).then_some((left, right))
    }

    /// The first piece of `[start, end)` that is in the set.
    pub(crate) fn first_overlap(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let before = self.by_start.range(..=start).next_back();
        let from = match before {
            Some((&left, &right)) if right > start => left,
            _ => start,
        };
        let (&left, &right) = self.by_start.range(from..end).next()?;
        Some((left.max(start), right.min(end)))
    }

    /// The end of the last range.
    pub(crate) fn end(&self) -> Option<u64> {
        self.by_start.last_key_value().map(|(_, end)| *end)
    }

    pub(crate) fn clear(&mut self) {
        self.by_start.clear();
    }

    /// The ranges, from the left.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.by_start.iter().map(|(&start, &end)| (start, end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_and_overlapping_ranges_become_one() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.insert(10, 20), (10, 20));
        assert_eq!(ranges.insert(30, 40), (30, 40));
        assert_eq!(ranges.insert(20, 25), (10, 25));
        assert_eq!(ranges.insert(22, 30), (10, 40));
        ranges.remove_below(15);
        assert_eq!(ranges.first_overlap(0, 20), Some((15, 20)));
        assert_eq!(ranges.first_overlap(20, 100), Some((20, 40)));
        assert_eq!(ranges.first_overlap(40, 100), None);
        assert_eq!(ranges.containing(16, 40), Some((15, 40)));
        assert_eq!(ranges.containing(16, 41), None);
    }

    proptest! {
        #[test]
        fn ranges_hold_what_a_bitmap_holds(
            inserts in prop::collection::vec((0u64..200, 1u64..30), 0..40),
            below in 0u64..230,
        ) {
            let mut ranges = Ranges::default();
            let mut bitmap = [false; 256];
            for (start, len) in inserts {
                let (left, right) = ranges.insert(start, start + len);
                bitmap[start as usize..(start + len) as usize].fill(true);
                prop_assert!(left <= start && start + len <= right);
            }
            ranges.remove_below(below);
            bitmap[..below as usize].fill(false);
            let mut seen = [false; 256];
            let mut last_end = None;
            for (start, end) in ranges.iter() {
                prop_assert!(last_end.is_none_or(|last| last < start), "ranges touch");
                seen[start as usize..end as usize].fill(true);
                last_end = Some(end);
            }
            prop_assert_eq!(seen, bitmap);
        }
    }
}
