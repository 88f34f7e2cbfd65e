//! A link emulator without I/O and without a clock.
//!
//! A [`Link`] carries packets one way. Whoever drives it says what time it is, offers packets, asks
//! when the next one arrives and takes those that have. Between the two ends the link loses,
//! duplicates, polices, queues, marks, paces, corrupts, delays and reorders them, as its
//! [`LinkConfig`] says. A [`Duplex`] is a link each way.
//!
//! Every decision is a function of the seed, the stage and the number of the packet, so a run
//! replays to the bit, and changing one stage leaves the decisions of the others alone: the
//! packets that a link duplicates are the same with and without loss.
//!
//! ```
//! use std::time::Duration;
//! use towpath_netem::{Link, LinkConfig};
//!
//! # fn main() -> Result<(), towpath_netem::LinkError> {
//! // 1 Mbit/s and 5 ms: a packet of 125 bytes takes 1 ms to put on the wire.
//! let config = LinkConfig::new()
//!     .rate_bits_per_second(Some(1_000_000))
//!     .delay(Duration::from_millis(5));
//! let mut link = Link::new(config, 42)?;
//!
//! link.offer(0, vec![0_u8; 125]);
//! assert_eq!(link.next_delivery_ns(), Some(6_000_000));
//! assert!(link.deliver(5_999_999).is_none());
//! assert!(link.deliver(6_000_000).is_some());
//! assert!(link.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! The link owns the packets on their way and the counters. It leaves to its caller the clock,
//! the wake-ups, and what a packet is ([`Payload`]).
//!
//! Times are nanoseconds since an epoch of the caller's; they should not go backwards, and when
//! they do the link treats the earlier time as it would treat any other, without panicking.
#![forbid(unsafe_code)]

mod codel;
mod config;
mod delay;
mod duplex;
mod fifo;
mod harm;
mod ip;
mod jitter;
mod link;
mod loss;
mod payload;
mod policer;
mod seed;
mod stage;
mod wire;

pub use config::{
    AckCompression, CoDel, DuplexConfig, Gilbert, Jitter, LinkConfig, LinkError, Outage, PacketSet,
    Policer, RateChange, RouteChange, SettingsError, StepMarking, Threshold,
};
pub use duplex::{Direction, Duplex};
pub use link::{IN_FLIGHT_LIMIT, Link, LinkStatistics, QueueLength};
pub use payload::Payload;
