//! What the demo and the end-to-end tests share: a place to run in, peers on both sides, data with
//! digests.
//!
//! Everything here stands on Towpath's public surface, as a user's program would. The kernel is the
//! judge: its side of a connection is an ordinary socket, and what it thinks of the connection is
//! read from `/proc`.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

pub mod capture_check;
pub mod chain;
pub mod dissect;
pub mod forged;
pub mod http_client;
pub mod inventory;
pub mod kernel_counters;
pub mod kernel_sockets;
pub mod namespace;
pub mod network;
pub mod payload;
pub mod peer;
pub mod runtime;
pub mod scenario;
pub mod scene;
pub mod skip;
pub mod socket_statistics;
pub mod speed;
pub mod wan;
pub mod watched;
