//! A laboratory for the engine: virtual networks in virtual time.
//!
//! [`world`] joins engine endpoints by emulated links and runs them as a discrete-event simulation;
//! [`single`] plays one engine against a peer scripted in Rust, packet by packet. Both pass every
//! packet through the codecs, keep a [`trace`] that is printed as tcpdump would when a test fails,
//! and check the [`invariants`] after every packet. One seed decides everything, so a run replays
//! to the bit.
//!
//! ```
//! use towpath_lab::single::{Setup, Single};
//! use towpath_lab::segment::{ack, syn, syn_ack};
//!
//! let mut single = Single::server(Setup::default());
//! let listener = single.listen();
//! single.inject(syn().mss(1460));
//! single.expect(syn_ack().mss(1460));
//! single.inject(ack(1, 1));
//! let connection = single.accept(listener);
//! single.write(connection, 100);
//! single.expect(towpath_lab::segment::data(1, 100, 1).psh());
//! single.finish();
//! ```
#![forbid(unsafe_code)]

pub mod drill;
pub mod flow;
pub mod host;
pub mod invariants;
pub mod packet;
pub mod pattern;
pub mod plot;
pub mod record;
pub mod scenario;
pub mod segment;
pub mod single;
pub mod soak;
pub mod trace;
pub mod world;
