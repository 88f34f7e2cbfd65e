//! The control bits of the TCP header, RFC 9293 section 3.1, with AE of RFC 9768 (accurate ECN).

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of control bits; the three bits that are still reserved cannot be in it.
///
/// Prints as tcpdump does.
///
/// # Examples
///
/// ```
/// use towpath_wire::tcp::Flags;
///
/// let flags = Flags::SYN | Flags::ACK;
/// assert!(flags.contains(Flags::SYN));
/// assert_eq!(flags.to_string(), "S.");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x002);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x004);
    /// Push.
    pub const PSH: Flags = Flags(0x008);
    /// The acknowledgement number means something.
    pub const ACK: Flags = Flags(0x010);
    /// The urgent pointer means something.
    pub const URG: Flags = Flags(0x020);
    /// ECN echo.
    pub const ECE: Flags = Flags(0x040);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(0x080);
    /// Accurate ECN, RFC 9768; the bit that was NS in RFC 3540.
    pub const AE: Flags = Flags(0x100);

    const ALL: u16 = 0x1FF;

    /// No bit.
    pub const fn empty() -> Flags {
        Flags(0)
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// All bits but those of `other`.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The bits where they stand in the 16-bit word of data offset, reserved bits and flags.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From the low nine bits; the reserved bits and the data offset above are ignored.
    // Implements: RFC9293 s3.1b
    pub const fn from_bits_truncate(bits: u16) -> Flags {
        Flags(bits & Flags::ALL)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        *self = *self | other;
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Flags, &str); 9] = [
            (Flags::FIN, "F"),
            (Flags::SYN, "S"),
            (Flags::RST, "R"),
            (Flags::PSH, "P"),
            (Flags::ACK, "."),
            (Flags::URG, "U"),
            (Flags::ECE, "E"),
            (Flags::CWR, "W"),
            (Flags::AE, "e"),
        ];
        if self.is_empty() {
            return f.write_str("none");
        }
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    #[test]
    fn flags_print_as_in_tcpdump() {
        let rows = [
            (Flags::empty(), "none"),
            (Flags::SYN, "S"),
            (Flags::SYN | Flags::ACK, "S."),
            (Flags::ACK | Flags::PSH, "P."),
            (Flags::FIN | Flags::PSH | Flags::ACK, "FP."),
            (Flags::RST, "R"),
            (Flags::RST | Flags::ACK, "R."),
            (Flags::ACK, "."),
            (Flags::SYN | Flags::ECE | Flags::CWR, "SEW"),
            (Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE, "SEWe"),
            (Flags::URG | Flags::ACK, ".U"),
        ];
        for (flags, text) in rows {
            assert_eq!(flags.to_string(), text);
        }
    }

    #[test]
    fn reserved_bits_do_not_enter_the_set() {
        // Shows: RFC9293 s3.1b, RFC9293 s3.1c
        for word in 0..=u16::MAX {
            let flags = Flags::from_bits_truncate(word);
            assert_eq!(flags.bits(), word & 0x1FF);
        }
    }

    #[test]
    fn sets_answer_for_all_and_for_any() {
        let flags = Flags::SYN | Flags::ACK;
        assert!(
            flags.contains(Flags::SYN | Flags::ACK) && !flags.contains(Flags::SYN | Flags::FIN)
        );
        assert!(flags.intersects(Flags::SYN | Flags::FIN) && !flags.intersects(Flags::FIN));
        assert_eq!(flags.without(Flags::ACK | Flags::FIN), Flags::SYN);
        let mut grown = Flags::empty();
        grown |= Flags::FIN;
        assert_eq!(grown, Flags::FIN);
    }
}
