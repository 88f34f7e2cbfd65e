//! Sequence numbers, RFC 9293 section 3.4: arithmetic modulo 2^32.
//!
//! The only wrapping arithmetic of the house lives here. `PartialOrd` is absent on purpose: the
//! order of sequence numbers is not transitive, so nothing that sorts or uses `<` may take them.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A point in a TCP sequence space.
///
/// # Examples
///
/// ```
/// use towpath_wire::SeqNumber;
///
/// let iss = SeqNumber(u32::MAX);
/// let next = iss + 1;
/// assert_eq!(next, SeqNumber(0));
/// assert!(iss.before(next));
/// assert_eq!(next.distance_from(iss), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

// Implements: RFC9293 s3.4a
impl SeqNumber {
    /// How far `self` lies after `earlier`, modulo 2^32.
    ///
    /// For a caller who knows which of the two comes first; a `self` that lies before gives a huge
    /// number.
    pub fn distance_from(self, earlier: SeqNumber) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The way from `other` to `self` by the shorter side of the circle: positive when `self` lies
    /// after.
    ///
    /// Two numbers exactly 2^31 apart have no shorter side; each then lies before the other
    /// (`i32::MIN`).
    pub fn signed_distance_from(self, other: SeqNumber) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// `self < other`, by the signed difference.
    pub fn before(self, other: SeqNumber) -> bool {
        self.signed_distance_from(other) < 0
    }

    /// `self > other`, by the signed difference.
    pub fn after(self, other: SeqNumber) -> bool {
        self.signed_distance_from(other) > 0
    }

    /// `self <= other`, by the signed difference.
    pub fn at_or_before(self, other: SeqNumber) -> bool {
        self.signed_distance_from(other) <= 0
    }

    /// `self >= other`, by the signed difference.
    pub fn at_or_after(self, other: SeqNumber) -> bool {
        self.signed_distance_from(other) >= 0
    }

    /// `left <= self < right`, going round from `left` to `right`.
    ///
    /// Counted in distances from `left`, so it is right for every range below 2^32, where signed
    /// comparisons fail beyond 2^31. An empty range (`left == right`) holds nothing.
    pub fn within(self, left: SeqNumber, right: SeqNumber) -> bool {
        self.distance_from(left) < right.distance_from(left)
    }

    /// The later of the two.
    #[must_use]
    pub fn max(self, other: SeqNumber) -> SeqNumber {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two.
    #[must_use]
    pub fn min(self, other: SeqNumber) -> SeqNumber {
        if self.after(other) { other } else { self }
    }
}

impl Add<u32> for SeqNumber {
    type Output = SeqNumber;

    fn add(self, bytes: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for SeqNumber {
    type Output = SeqNumber;

    fn sub(self, bytes: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_sub(bytes))
    }
}

impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::SeqNumber;
    use proptest::prelude::*;

    const HALF: u32 = 1 << 31;

    #[test]
    fn comparison_follows_the_circle_across_the_wrap() {
        // Shows: RFC9293 s3.4a, H-33
        let rows: [(&str, u32, u32, bool, bool); 8] = [
            ("equal", 5, 5, false, false),
            ("one apart", 5, 6, true, false),
            ("one apart across 2^32", u32::MAX, 0, true, false),
            ("one apart across 2^31", HALF - 1, HALF, true, false),
            ("just inside half the circle", 0, HALF - 1, true, false),
            ("just beyond half the circle", 0, HALF + 1, false, true),
            ("opposite, from the left", 0, HALF, true, false),
            ("opposite, from the right", HALF, 0, true, false),
        ];
        for (name, left, right, before, after) in rows {
            let (left, right) = (SeqNumber(left), SeqNumber(right));
            assert_eq!(left.before(right), before, "{name}");
            assert_eq!(left.after(right), after, "{name}");
            assert_eq!(left.at_or_before(right), before || left == right, "{name}");
            assert_eq!(left.at_or_after(right), after || left == right, "{name}");
        }
    }

    #[test]
    fn a_range_holds_its_left_edge_and_not_its_right_edge() {
        let rows: [(&str, u32, u32, u32, bool); 8] = [
            ("left edge", 10, 10, 20, true),
            ("last inside", 19, 10, 20, true),
            ("right edge", 20, 10, 20, false),
            ("before", 9, 10, 20, false),
            ("empty range", 10, 10, 10, false),
            ("range over the wrap, after it", 3, u32::MAX, 5, true),
            ("range over the wrap, beyond it", 5, u32::MAX, 5, false),
            ("range of three quarters of the circle", HALF, 0, HALF + HALF / 2, true),
        ];
        for (name, point, left, right, inside) in rows {
            let seen = SeqNumber(point).within(SeqNumber(left), SeqNumber(right));
            assert_eq!(seen, inside, "{name}");
        }
    }

    #[test]
    fn numbers_print_as_decimals() {
        let number = SeqNumber(4_294_967_295);
        assert_eq!(
            format!("{number} {number:?} {:>4}", SeqNumber(7)),
            "4294967295 4294967295    7"
        );
    }

    proptest! {
        #[test]
        fn moving_by_a_distance_and_measuring_it_are_inverse(start: u32, by: u32) {
            let start = SeqNumber(start);
            let mut moved = start;
            moved += by;
            prop_assert_eq!(moved, start + by);
            prop_assert_eq!(moved.distance_from(start), by);
            prop_assert_eq!(moved - by, start);
        }

        #[test]
        fn the_order_does_not_depend_on_where_the_circle_is_cut(left: u32, right: u32, turn: u32) {
            let (a, b) = (SeqNumber(left), SeqNumber(right));
            let (c, d) = (a + turn, b + turn);
            prop_assert_eq!(a.before(b), c.before(d));
            prop_assert_eq!(a.max(b) + turn, c.max(d));
            prop_assert_eq!(a.min(b) + turn, c.min(d));
            let relations = [a.before(b), a == b, a.after(b)];
            prop_assert_eq!(relations.iter().filter(|holds| **holds).count(), 1);
        }

        #[test]
        fn a_point_is_within_exactly_when_its_offset_is_below_the_width(
            left: u32, offset: u32, width: u32,
        ) {
            let left = SeqNumber(left);
            prop_assert_eq!((left + offset).within(left, left + width), offset < width);
        }
    }
}
