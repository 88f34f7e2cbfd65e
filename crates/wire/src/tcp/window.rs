//! The window scale of RFC 7323 section 2.
//!
//! Owns the shift and its limit. That windows in segments with SYN are not scaled, and that both
//! sides must have offered, is the handshake's to know.

/// The largest window there can be, RFC 7323 section 2.2: 1 GiB.
pub const MAX_WINDOW: u32 = 1 << 30;

/// A shift count that is never above 14.
///
/// # Examples
///
/// ```
/// use towpath_wire::tcp::WindowScale;
///
/// let scale = WindowScale::new(7);
/// assert_eq!(scale.scale_up(502), 64_256);
/// assert_eq!(scale.scale_down(64_383), 502);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The largest shift, RFC 7323 section 2.3: with it 65,535 stays below half the sequence space.
    pub const MAX: WindowScale = WindowScale(14);

    /// From the byte in the option; what is above 14 counts as 14.
    // Implements: RFC7323 s2.3a
    pub const fn new(raw: u8) -> WindowScale {
        if raw > Self::MAX.0 { Self::MAX } else { WindowScale(raw) }
    }

    /// The shift, 0 to 14.
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// The window that a segment's field stands for.
    pub const fn scale_up(self, field: u16) -> u32 {
        // No `u32::from` in a const fn; the cast widens.
        (field as u32) << self.0
    }

    /// The field for a window, rounded down so that no more is promised than there is; 65,535 if it
    /// does not fit.
    // Implements: RFC7323 s2.3b
    pub const fn scale_down(self, window: u32) -> u16 {
        let field = window >> self.0;
        if field > u16::MAX as u32 { u16::MAX } else { field as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WINDOW, WindowScale};
    use proptest::prelude::*;

    #[test]
    fn a_shift_above_14_counts_as_14() {
        // Shows: RFC7323 s2.3a, H-21
        for (raw, shift) in [(0, 0), (7, 7), (14, 14), (15, 14), (255, 14)] {
            assert_eq!(WindowScale::new(raw).shift(), shift);
        }
        assert!(WindowScale::MAX.scale_up(u16::MAX) < MAX_WINDOW);
    }

    #[test]
    fn the_window_field_is_unsigned_at_every_shift() {
        // Shows: 9293 MUST-1, 9293 REC-1
        assert_eq!(WindowScale::new(0).scale_up(0x8000), 32_768);
        assert_eq!(WindowScale::new(0).scale_up(0xFFFF), 65_535);
        assert_eq!(WindowScale::new(14).scale_up(0xFFFF), 65_535 << 14);
    }

    proptest! {
        #[test]
        fn a_window_is_rounded_down_by_less_than_one_unit(window in 0..=MAX_WINDOW, raw: u8) {
            // Shows: RFC7323 s2.3b
            let scale = WindowScale::new(raw);
            let field = scale.scale_down(window);
            let promised = scale.scale_up(field);
            prop_assert!(promised <= window);
            prop_assert!(window - promised < 1 << scale.shift() || field == u16::MAX);
            prop_assert_eq!(scale.scale_down(promised), field);
        }
    }
}
