//! Errors: the host's errno for calls that tokio has, [`Error`] for calls that only Towpath has.
//!
//! The engine names an outcome as POSIX does; the number belongs to the host, so it is chosen here.
//! Programs match on `raw_os_error()` as well as on `kind()`, and on Unix the kind follows from the
//! number.

use std::io;
use std::net::IpAddr;

use thiserror::Error;
use towpath_engine::{ConfigError, SocketError};

/// Why a stack was not built, or is not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder has no device.
    #[error("the stack has no device: give it one with `.device(..)`")]
    NoDevice,
    /// The driver has no runtime to run on.
    #[error(
        "there is no tokio runtime here for the stack's driver: build inside one, or say `.own_thread()`"
    )]
    NoRuntime,
    /// The runtime's clock is paused, but real packets do not wait for it.
    #[error(
        "the runtime's clock is paused and the device `{device}` is not a virtual one: its timers would run ahead of its packets"
    )]
    PausedClock {
        /// The name of the device.
        device: String,
    },
    /// Not an address with a prefix length.
    #[error("`{text}` is not an address with a prefix length, such as 10.77.0.2/24 or fd00::2/64")]
    InvalidAddress {
        /// What was given.
        text: String,
    },
    /// The address or route cannot be used.
    #[error("{address}/{prefix_len}: {reason}")]
    Unusable {
        /// The address, or the route's destination.
        address: IpAddr,
        /// The length of its prefix.
        prefix_len: u8,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The device's MTU is below what its address families need.
    #[error("the device's MTU of {mtu} is below {needed}, the least that IP{family} needs")]
    MtuTooSmall {
        /// The device's MTU.
        mtu: usize,
        /// The least MTU.
        needed: usize,
        /// 4 or 6.
        family: u8,
    },
    /// The settings contradict each other.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The device could not be opened.
    #[error("{0}")]
    Open(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The device could not be taken into use.
    #[error("the device: {0}")]
    Device(#[source] io::Error),
    /// The system gave no thread for the driver.
    #[error("the driver's thread: {0}")]
    Thread(#[source] io::Error),
    /// The system gave no random bytes for the stack's keys.
    #[error("no random bytes from the system: {0}")]
    Random(#[source] io::Error),
    /// The process has a default stack already.
    #[error("this process has a default stack already")]
    DefaultIsSet,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Device(error) | Error::Thread(error) | Error::Random(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidInput, other),
        }
    }
}

/// The host's error for an outcome of the engine.
pub(crate) fn io_error(error: SocketError) -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(errno(error));
    #[cfg(not(unix))]
    return io::Error::new(kind(error), error);
}

#[cfg(unix)]
fn errno(error: SocketError) -> i32 {
    match error {
        SocketError::WouldBlock => libc::EAGAIN,
        SocketError::ConnectionRefused => libc::ECONNREFUSED,
        SocketError::ConnectionReset => libc::ECONNRESET,
        SocketError::ConnectionAborted => libc::ECONNABORTED,
        SocketError::TimedOut => libc::ETIMEDOUT,
        SocketError::BrokenPipe => libc::EPIPE,
        SocketError::NotConnected => libc::ENOTCONN,
        SocketError::AlreadyConnecting => libc::EALREADY,
        SocketError::IsConnected => libc::EISCONN,
        SocketError::AddressInUse => libc::EADDRINUSE,
        SocketError::AddressNotAvailable => libc::EADDRNOTAVAIL,
        SocketError::NetworkUnreachable => libc::ENETUNREACH,
        SocketError::HostUnreachable => libc::EHOSTUNREACH,
        SocketError::NetworkDown => libc::ENETDOWN,
        SocketError::ProtocolUnreachable => libc::ENOPROTOOPT,
        SocketError::HostDown => libc::EHOSTDOWN,
        #[cfg(target_os = "linux")]
        SocketError::NotOnNetwork => libc::ENONET,
        #[cfg(not(target_os = "linux"))]
        SocketError::NotOnNetwork => libc::ENETUNREACH,
        SocketError::AccessDenied => libc::EACCES,
        SocketError::Protocol => libc::EPROTO,
        SocketError::NotSupported => libc::EOPNOTSUPP,
        SocketError::MessageSize => libc::EMSGSIZE,
        SocketError::InvalidInput => libc::EINVAL,
        SocketError::NoBuffers => libc::ENOBUFS,
        SocketError::NoSuchSocket => libc::EBADF,
        // The engine and this crate are released together; what is new there is added here.
        _ => libc::EIO,
    }
}

#[cfg(not(unix))]
fn kind(error: SocketError) -> io::ErrorKind {
    match error {
        SocketError::WouldBlock => io::ErrorKind::WouldBlock,
        SocketError::ConnectionRefused => io::ErrorKind::ConnectionRefused,
        SocketError::ConnectionReset => io::ErrorKind::ConnectionReset,
        SocketError::ConnectionAborted => io::ErrorKind::ConnectionAborted,
        SocketError::TimedOut => io::ErrorKind::TimedOut,
        SocketError::BrokenPipe => io::ErrorKind::BrokenPipe,
        SocketError::NotConnected => io::ErrorKind::NotConnected,
        SocketError::AddressInUse => io::ErrorKind::AddrInUse,
        SocketError::AddressNotAvailable => io::ErrorKind::AddrNotAvailable,
        SocketError::NetworkUnreachable => io::ErrorKind::NetworkUnreachable,
        SocketError::HostUnreachable => io::ErrorKind::HostUnreachable,
        SocketError::NetworkDown => io::ErrorKind::NetworkDown,
        SocketError::InvalidInput => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn outcomes_carry_the_hosts_number_and_its_kind() {
        for (outcome, number, kind) in [
            (SocketError::ConnectionRefused, libc::ECONNREFUSED, io::ErrorKind::ConnectionRefused),
            (SocketError::ConnectionReset, libc::ECONNRESET, io::ErrorKind::ConnectionReset),
            (SocketError::TimedOut, libc::ETIMEDOUT, io::ErrorKind::TimedOut),
            (SocketError::BrokenPipe, libc::EPIPE, io::ErrorKind::BrokenPipe),
            (SocketError::NotConnected, libc::ENOTCONN, io::ErrorKind::NotConnected),
            (SocketError::AddressInUse, libc::EADDRINUSE, io::ErrorKind::AddrInUse),
            (
                SocketError::AddressNotAvailable,
                libc::EADDRNOTAVAIL,
                io::ErrorKind::AddrNotAvailable,
            ),
            (SocketError::NetworkDown, libc::ENETDOWN, io::ErrorKind::NetworkDown),
            (SocketError::WouldBlock, libc::EAGAIN, io::ErrorKind::WouldBlock),
        ] {
            let error = io_error(outcome);
            assert_eq!(error.raw_os_error(), Some(number), "{outcome}");
            assert_eq!(error.kind(), kind, "{outcome}");
        }
    }
}
