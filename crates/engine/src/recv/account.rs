//! What arrived bytes count for as memory, and how much window a piece of memory is, as Linux counts
//! (its `truesize` and `scaling_ratio`): windows that agree with Linux's come from its arithmetic.
//!
//! Owns the memory of one receive buffer (SO_RCVBUF) and what of it is taken. A byte never counts for
//! less than a byte, so that what is kept is bounded by the memory; what chunks really pin, and the
//! stack's budget for it, is reckoned elsewhere (`assembler`, `ration`, `crate::memory`).

/// Around a packet's bytes in one piece of memory: 64 before them, two headers of 20 and 320 behind.
const AROUND: usize = 64 + 40 + 320;
/// What describes a packet, beside its bytes.
const DESCRIPTION: usize = 256;
/// Up to this size a packet is one piece of memory, which comes in powers of two.
const LARGEST_PIECE: usize = 8192;
/// A larger packet lies in pages, its headers in a small piece beside them.
const PAGE: usize = 4096;
/// The description and the small piece.
const BESIDE_PAGES: usize = DESCRIPTION + 320;
/// What a page of bytes counts for when many packets are copied together, and how many fit into one.
const TOGETHER: (usize, usize) = (PAGE + DESCRIPTION, PAGE - 320);

/// What a packet with `len` bytes of payload counts for.
pub(crate) fn packet_memory(len: usize) -> usize {
    if len <= LARGEST_PIECE {
        piece(len) + DESCRIPTION
    } else {
        len.saturating_add(PAGE - 1) / PAGE * PAGE + BESIDE_PAGES
    }
}

/// What more packets like this one cost in order: pages are joined to those before them.
pub(crate) fn cost_in_order(len: usize) -> usize {
    let memory = packet_memory(len);
    if len > LARGEST_PIECE { memory - BESIDE_PAGES } else { memory }
}

fn piece(len: usize) -> usize {
    (len + AROUND).next_power_of_two()
}

/// How much of memory is window, in 256ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u8);

impl Share {
    /// A half, until a packet was seen.
    pub(crate) const GUESS: Share = Share(128);

    /// The share of payload in a packet. Never nothing, and never all.
    fn of_packet(len: usize) -> Share {
        let share = len.saturating_mul(256) / packet_memory(len);
        Share(u8::try_from(share).unwrap_or(u8::MAX).max(1))
    }

    /// The window that so much memory is.
    pub(crate) fn window(self, memory: usize) -> u32 {
        let window = memory as u128 * u128::from(self.0) / 256;
        u32::try_from(window).unwrap_or(u32::MAX)
    }

    /// The memory for such a window.
    pub(crate) fn memory(self, window: usize) -> usize {
        let memory = window as u128 * 256 / u128::from(self.0);
        usize::try_from(memory).unwrap_or(usize::MAX)
    }
}

/// The memory of one receive buffer.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Linux's `sk_rcvbuf`.
    limit: usize,
    used: usize,
    share: Share,
    /// So many bytes in order count for nothing: they fit behind the last small packet.
    slack: usize,
}

impl Account {
    pub(crate) fn new(limit: usize) -> Account {
        Account { limit, used: 0, share: Share::GUESS, slack: 0 }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn share(&self) -> Share {
        self.share
    }

    /// The window that all of the memory is.
    pub(crate) fn capacity(&self) -> u32 {
        self.share.window(self.limit)
    }

    /// The window that what is left of it is.
    pub(crate) fn free(&self) -> u32 {
        self.share.window(self.limit.saturating_sub(self.used))
    }

    /// What is kept counts for.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// More is taken than there is. One packet may do that: what matters is whether it was so before.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.used > self.limit
    }

    /// Segments of another size arrive, in packets of `len` bytes. Whether the share is another.
    pub(crate) fn learn(&mut self, len: usize) -> bool {
        let share = Share::of_packet(len);
        std::mem::replace(&mut self.share, share) != share
    }

    /// Of a packet with `len` bytes in order, `kept` were kept.
    pub(crate) fn keep_in_order(&mut self, kept: usize, len: usize) {
        if kept <= self.slack {
            self.slack -= kept;
            return;
        }
        self.keep(kept, len);
        self.slack = if len <= LARGEST_PIECE { piece(len) - AROUND - len } else { 0 };
    }

    /// Of a packet with `len` bytes, `kept` were kept: they count for their part of it.
    pub(crate) fn keep(&mut self, kept: usize, len: usize) {
        let memory = packet_memory(len) as u128 * kept as u128 / len.max(1) as u128;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX).max(kept);
        self.used = self.used.saturating_add(memory);
    }

    /// Of `held` bytes `taken` went: they counted for their part of what is used.
    pub(crate) fn release(&mut self, taken: usize, held: usize) {
        if taken >= held {
            self.used = 0;
            self.slack = 0;
            return;
        }
        let part = self.used as u128 * taken as u128 / held as u128;
        self.used -= usize::try_from(part).unwrap_or(usize::MAX).min(self.used);
    }

    /// The `held` bytes are put together: they count for no more than so many in whole pages.
    pub(crate) fn put_together(&mut self, held: usize) {
        let (page, bytes) = TOGETHER;
        self.used = self.used.min(held.div_ceil(bytes).saturating_mul(page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_count_for_powers_of_two_and_large_ones_for_pages() {
        for (len, memory, share) in [
            (1, 512 + 256, 1),
            (536, 1024 + 256, 107),
            (1000, 2048 + 256, 111),
            (1448, 2048 + 256, 160),
            (1624, 2048 + 256, 180),
            (1625, 4096 + 256, 95),
            (4000, 8192 + 256, 121),
            (9000, 3 * 4096 + 576, 179),
            (65_000, 16 * 4096 + 576, 251),
        ] {
            assert_eq!(packet_memory(len), memory, "{len}");
            assert_eq!(Share::of_packet(len), Share(share), "{len}");
        }
        assert_eq!(Share(128).window(131_072), 65_536);
        assert_eq!(Share(179).memory(Share(179).window(1 << 20) as usize), 1 << 20);
        assert_eq!(Share(1).memory(usize::MAX), usize::MAX);
    }

    #[test]
    fn crumbs_in_order_fill_what_is_left_of_a_piece() {
        let mut account = Account::new(10_000);
        // 512 bytes are a piece; one and what lies around it leave 87.
        for _ in 0..88 {
            account.keep_in_order(1, 1);
        }
        assert_eq!(account.used(), 768);
        account.keep_in_order(1, 1);
        assert_eq!(account.used(), 2 * 768);
        account.put_together(89);
        assert_eq!(account.used(), 2 * 768, "it was less than a page");
        account.release(89, 89);
        account.keep_in_order(1, 1);
        assert_eq!(account.used(), 768, "what was read is no place to fill");
    }

    #[test]
    fn what_is_read_gives_back_its_part_and_all_of_it_everything() {
        let mut account = Account::new(10_000);
        account.keep_in_order(4000, 4000);
        account.keep(1000, 2000);
        assert_eq!(account.used(), 8448 + 4352 / 2);
        assert!(account.is_exceeded());
        assert_eq!(account.free(), 0);
        account.release(2500, 5000);
        assert_eq!(account.used(), 5312);
        account.release(2500, 2500);
        assert_eq!(account.used(), 0);
    }
}
