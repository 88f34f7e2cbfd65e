//! A laboratory for the engine: virtual networks in virtual time.
//!
//! [`world`] joins engine endpoints by emulated links and runs them as a discrete-event simulation;
//! [`single`] plays one engine against a peer scripted in Rust, packet by packet. Both pass every
//! packet through the codecs, keep a [`trace`] that is printed as tcpdump would when a test fails,
//! and check the [`invariants`] after every packet. One seed decides everything, so a run replays
//! to the bit.
//!
//! [`scenario`] plays scenario files (a bottleneck, the flows that share it) with one congestion
//! control or another, [`record`]s them over time and [`plot`]s them; the command is `towpath lab`.
//! [`soak`] plays random runs; the command is `cargo xtask lab-soak`.
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
//!
//! A scenario, with two congestion controls:
//!
//! ```
//! use towpath_engine::CongestionControl;
//! use towpath_lab::scenario::{self, Scenario};
//!
//! let file = r#"
//!     title = "10 Mbit/s, 20 ms, one in a hundred lost"
//!     duration = "2s"
//!     [bottleneck]
//!     rate = "10Mbit"
//!     delay = "10ms"
//!     there.loss = "1%"
//! "#;
//! let scenario = Scenario::parse("lossy.toml", file)?;
//! let seed = 1;
//! let reports = [CongestionControl::Cubic, CongestionControl::Reno]
//!     .map(|control| scenario::run(&scenario, control, seed, |_progress| {}));
//! print!("{}", scenario::table(&reports.each_ref()));
//! assert!(reports[0].summary.retransmitted > 0.0);
//! # Ok::<(), String>(())
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
