//! Speed beside the kernel: one client on kernel sockets, one server function, and under it Towpath
//! over a TUN interface or the kernel's own stack over veth and loopback, in turns.
//!
//! `responder` is the smallest TCP that does the same: what the device allows at best.
//!
//! `plan` says what a run is, `site` makes its namespaces and interfaces, `server` and `client` are
//! the two ends, `meter` counts what they cost, `run` puts these together in one process, and
//! `bench` makes all runs of a table.

pub mod bench;
pub mod client;
pub mod meter;
pub mod plan;
pub mod responder;
pub mod run;
pub mod server;
pub mod site;
