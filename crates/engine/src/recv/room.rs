//! How much memory a receive buffer is, and how much of it is window, as Linux shares it out
//! (`SO_RCVBUF`, `TCP_WINDOW_CLAMP`, `tcp_rmem`, `rmem_max`).
//!
//! At first half of the memory is window, the other half pays for what lies around the payload; see
//! `account` for what follows. A size that the application chose is doubled for that reason, and
//! stays: only a size that nobody chose grows.

use crate::config::Config;
use crate::connection::options::SocketOptions;

/// Linux's SOCK_MIN_RCVBUF on 64-bit machines: the least memory of a receive buffer, in bytes.
const LEAST_MEMORY: usize = 2304;
/// The largest window that any scale can describe.
const LARGEST_WINDOW: u32 = 65_535 << 14;

/// What bounds the receive window of one connection, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Memory of the buffer to begin with.
    pub(crate) memory: usize,
    /// Memory that it may grow to.
    pub(crate) max_memory: usize,
    /// The most that any buffer may have (`tcp_rmem`).
    pub(crate) most: usize,
    /// What the window scale must be able to describe.
    pub(crate) describable: u32,
    /// What the application wants never to be exceeded by an offer.
    pub(crate) clamp: u32,
    /// The right edge may move left (`tcp_shrink_window`).
    pub(crate) may_shrink: bool,
}

impl Room {
    pub(crate) fn new(config: &Config, options: &SocketOptions) -> Room {
        let wished = options.window_clamp.filter(|clamp| *clamp > 0);
        let clamp = wished.map_or(LARGEST_WINDOW, least_clamp);
        let most = config.tcp_rmem.max;
        let (memory, max_memory, describable) = match options.receive_buffer {
            Some(_) => {
                let fixed = memory(config, options);
                (fixed, fixed, bounded(fixed / 2))
            }
            None => {
                // The window takes what the application waits for at once.
                let awaited = options.rcvlowat.saturating_mul(2).min(most);
                let least = config.tcp_rmem.default.max(awaited);
                (least, most, bounded(most.max(config.rmem_max)))
            }
        };
        Room {
            memory,
            max_memory,
            most,
            describable: describable.min(clamp),
            clamp,
            may_shrink: config.tcp_shrink_window,
        }
    }
}

/// The memory of a receive buffer: what `getsockopt(SO_RCVBUF)` gives, in bytes.
pub(crate) fn memory(config: &Config, options: &SocketOptions) -> usize {
    match options.receive_buffer {
        Some(size) => size.min(config.rmem_max).saturating_mul(2).max(LEAST_MEMORY),
        None => config.tcp_rmem.default,
    }
}

fn least_clamp(clamp: u32) -> u32 {
    clamp.max(bounded(LEAST_MEMORY / 2))
}

fn bounded(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX).min(LARGEST_WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(change: impl FnOnce(&mut SocketOptions)) -> Room {
        let mut options = SocketOptions::default();
        change(&mut options);
        Room::new(&Config::default(), &options)
    }

    #[test]
    fn a_chosen_buffer_is_doubled_halved_and_stays() {
        let chosen = room(|options| options.receive_buffer = Some(10_000));
        assert_eq!(
            (chosen.memory, chosen.max_memory, chosen.describable),
            (20_000, 20_000, 10_000)
        );
        assert_eq!(room(|options| options.receive_buffer = Some(1)).memory, 2304);
        assert_eq!(room(|options| options.receive_buffer = Some(1 << 30)).memory, 8 << 20);
    }

    #[test]
    fn a_clamp_bounds_the_scale_and_the_offer_but_not_the_buffer() {
        let clamped = room(|options| options.window_clamp = Some(20_000));
        assert_eq!((clamped.clamp, clamped.describable, clamped.memory), (20_000, 20_000, 131_072));
        assert_eq!(room(|options| options.window_clamp = Some(1)).clamp, 1152);
        let free = room(|_| {});
        assert_eq!((free.clamp, free.describable), (65_535 << 14, 33_554_432));
    }
}
