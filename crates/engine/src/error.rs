//! What a call can fail with, and why a connection ended.
//!
//! [`SocketError`] is the errno of a socket call, as POSIX and Linux name it, without a number of
//! any one system: the stream crate turns it into the host's. [`CloseReason`] says who ended a
//! connection and why, which an errno cannot.

use core::net::IpAddr;

use thiserror::Error;

/// The outcome of a socket call that did not succeed, named as errno names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SocketError {
    /// EAGAIN: nothing can be done now; wait for readiness.
    #[error("operation would block")]
    WouldBlock,
    /// ECONNREFUSED: the peer answered our SYN with a reset.
    #[error("connection refused")]
    ConnectionRefused,
    /// ECONNRESET: the peer reset the connection.
    #[error("connection reset by peer")]
    ConnectionReset,
    /// ECONNABORTED: the connection was ended on this side.
    #[error("connection aborted")]
    ConnectionAborted,
    /// ETIMEDOUT: the peer did not answer for too long.
    #[error("connection timed out")]
    TimedOut,
    /// EPIPE: the sending direction is shut.
    #[error("broken pipe")]
    BrokenPipe,
    /// EALREADY: the handshake is not complete yet.
    #[error("operation already in progress")]
    AlreadyConnecting,
    /// EISCONN: the socket is connected already.
    #[error("transport endpoint is already connected")]
    IsConnected,
    /// ENOTCONN: there is no connection.
    #[error("transport endpoint is not connected")]
    NotConnected,
    /// EADDRINUSE: the local address and port are taken.
    #[error("address in use")]
    AddressInUse,
    /// EADDRNOTAVAIL: not one of this stack's addresses, or no port is free.
    #[error("address not available")]
    AddressNotAvailable,
    /// ENETUNREACH: no route to the destination.
    #[error("network is unreachable")]
    NetworkUnreachable,
    /// EHOSTUNREACH: the path reported that the host cannot be reached.
    #[error("no route to host")]
    HostUnreachable,
    /// ENETDOWN: the device is gone.
    #[error("network is down")]
    NetworkDown,
    /// EHOSTDOWN: the path reported that there is no such host.
    #[error("host is down")]
    HostDown,
    /// ENONET: the path reported that this host is cut off.
    #[error("machine is not on the network")]
    NotOnNetwork,
    /// EACCES: the path reported that it is not allowed.
    #[error("permission denied")]
    AccessDenied,
    /// EPROTO: the path reported that our packet was not understood.
    #[error("protocol error")]
    Protocol,
    /// EOPNOTSUPP: the path reported that the source route failed.
    #[error("operation not supported")]
    NotSupported,
    /// ENOPROTOOPT: the path reported that the peer does not speak TCP.
    #[error("protocol not available")]
    ProtocolUnreachable,
    /// EMSGSIZE: the path reported a packet as too big.
    #[error("message too long")]
    MessageSize,
    /// EINVAL: an argument that can never be right.
    #[error("invalid argument")]
    InvalidInput,
    /// ENOBUFS: a limit of the stack is reached.
    #[error("no buffer space available")]
    NoBuffers,
    /// EBADF: the id names nothing (any more).
    #[error("no such socket")]
    NoSuchSocket,
}

/// Who ended a connection, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both sides sent FIN and both were acknowledged.
    Closed,
    /// The peer sent an acceptable reset.
    PeerReset,
    /// The peer answered our SYN with a reset.
    Refused,
    /// The application aborted it: zero linger, unread data at close, or an abort.
    Aborted,
    /// Nothing acknowledged what was sent for too long.
    TimedOut {
        /// How often the oldest segment was sent again.
        retransmissions: u32,
    },
    /// Keep-alive probes were not answered.
    KeepAlive {
        /// How many probes went unanswered.
        probes: u32,
    },
    /// A router or the peer's host reported that the destination cannot be reached.
    Icmp {
        /// Who sent the report.
        from: IpAddr,
    },
    /// A limit of the stack ended it.
    Limit,
    /// The user's own congestion control panicked.
    CongestionControl,
    /// The device under the stack failed or was removed.
    DeviceGone,
    /// The stack was shut down.
    Shutdown,
}

impl CloseReason {
    /// What the application's next call fails with; none after an orderly close.
    pub fn error(self) -> Option<SocketError> {
        match self {
            CloseReason::Closed => None,
            CloseReason::PeerReset => Some(SocketError::ConnectionReset),
            CloseReason::Refused => Some(SocketError::ConnectionRefused),
            CloseReason::Aborted
            | CloseReason::Shutdown
            | CloseReason::Limit
            | CloseReason::CongestionControl => Some(SocketError::ConnectionAborted),
            CloseReason::TimedOut { .. } | CloseReason::KeepAlive { .. } => {
                Some(SocketError::TimedOut)
            }
            CloseReason::Icmp { .. } => Some(SocketError::HostUnreachable),
            CloseReason::DeviceGone => Some(SocketError::NetworkDown),
        }
    }
}
