//! `tokio::net`'s TCP types over a Towpath stack: the same names, the same semantics.
//!
//! [`TcpStream::connect`] and [`TcpListener::bind`] mean the ambient stack, so that `use
//! tokio::net` becomes `use towpath::net` and no more changes; see [`Stack`](crate::Stack) for the
//! ways to name one. What depends on a file descriptor of the kernel (`from_std`, `AsRawFd`,
//! `into_std`, ...) is not here.
//!
//! These types translate between tokio's traits and the engine; what a call does to a connection
//! and what it answers is the engine's.

mod pieces;
mod split;
mod split_owned;
mod stream_options;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;

pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_socket::TcpSocket;
pub use tcp_stream::TcpStream;

/// Tokio's trait for what an address is given as, so that nothing has to be imported beside this
/// module. Names are resolved by the host.
pub use tokio::net::{ToSocketAddrs, lookup_host};
