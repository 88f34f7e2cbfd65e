//! The TCP connection engine of Towpath.
//!
//! Sans-I/O: an [`Endpoint`] is told of packets that arrived and of what applications want, and
//! says what to send, what to tell and how long to wait. It reads no clock (`now` is an argument),
//! has no source of randomness (a seed is an argument) and does no I/O.
#![forbid(unsafe_code)]

pub mod chunks;
mod config;
pub mod congestion;
mod connection;
mod counters;
mod ecn;
mod endpoint;
mod error;
mod event;
mod garbage;
mod info;
mod instant;
mod memory;
mod output;
mod ranges;
mod recovery;
mod recv;
mod rtt;
mod secrets;
mod send;
mod timer;
mod timestamps;
mod wheel;

pub use chunks::Chunks;
pub use config::{
    BufferSizes, Config, ConfigError, CongestionControl, EcnForm, EcnUse, MemoryLimits, PortSet,
    Setting, SynCookies, TimeWaitReuse,
};
pub use congestion::RecoveryPhase;
pub use connection::adjust::QuickAck;
pub use connection::chronograph::Chronograph;
pub use connection::icmp::{IcmpError, IcmpErrorKind};
pub use connection::options::{FinWait2, KeepAlive, SocketOptions};
pub use connection::state::{StateName, TRANSITIONS, Transition, TransitionRow};
pub use connection::user::Queues;
pub use counters::Counters;
pub use endpoint::{Arrival, ArrivalSource, Census, ConnectRequest, Endpoint, ListenRequest};
pub use error::{CloseReason, SocketError};
pub use event::{ConnectionId, Event, ListenerId, Readiness};
pub use garbage::Garbage;
pub use info::TcpInfo;
pub use instant::Instant;
pub use output::{Output, Transmit, TransmitBody};
pub use secrets::Secrets;
pub use send::marks::SendFlags;
pub use timer::TimerKind;
pub use towpath_wire as wire;
