//! A TUN interface of the Linux kernel as a device.
//!
//! Packets go through the `tokio-tun` crate. Around it stands what it leaves open:
//!
//! * A build of its that fails leaves its descriptors open, so everything that can fail is
//!   rehearsed on a descriptor of our own first, and the builder is given a name and a number of
//!   queues only; the interface is set up by the private module `sys`.
//! * It waits for readability only, and a deleted interface is never readable again, it is in
//!   error. So readiness is our own, on a duplicate of the descriptor, and the error is waited for
//!   as well.
//! * Its `try_recv` and `try_sendv` neither ask nor clear tokio's readiness; we do both around
//!   them.
//! * A packet is cut when the buffer is short: the receive buffer holds any.
//! * Offloads that an earlier program left on the interface would give us segments with partial
//!   checksums and nothing that says so: they are turned off, and the framing is checked.
//!
//! Two things the kernel does from a work queue, a moment after it was asked, and opening waits for
//! them. It skips duplicate address detection on an interface without link-layer addresses, but
//! only then may a program bind to an IPv6 address. And it lets packets to an existing interface
//! when it has noticed the carrier that a reader brings.

mod buffer;
mod config;
mod error;
mod io;
mod open;
#[cfg(test)]
mod tests;

pub use config::TunConfig;
pub use error::TunError;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use self::io::{TunIo, TunRx, TunTx};
use crate::{Capabilities, Device, Rx, Tx};

/// A TUN interface.
///
/// Dropping it, or both of its halves, closes it: an interface that [`open`](Self::open) created
/// vanishes, one that it attached to stays.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use towpath_device::{TunConfig, TunDevice};
///
/// let device = TunDevice::open(TunConfig::new("tow0").address([192, 0, 2, 1].into(), 24))?;
/// for warning in device.warnings() {
///     eprintln!("{warning}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TunDevice {
    io: Arc<TunIo>,
    name: String,
    mtu: usize,
    origin: TunOrigin,
    warnings: Vec<String>,
}

/// Where an open interface came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunOrigin {
    /// [`TunDevice::open`] created it; it vanishes when the device is dropped.
    Created,
    /// It existed; it is left as it was.
    Attached,
}

impl TunDevice {
    /// Opens the interface: attaches to it when it exists, creates it when it does not.
    ///
    /// Creating takes CAP_NET_ADMIN over the network namespace: root has it, and so has the root of
    /// a user namespace with a network of its own (`unshare --user --map-root-user --net`), provided
    /// that it may read and write `/dev/net/tun`. Attaching to an interface that was made for this user
    /// (`ip tuntap add ... user USER`) takes no privilege.
    ///
    /// Blocks the thread, for milliseconds as a rule and seconds at worst, until the interface passes
    /// packets and the kernel's side of it has its addresses.
    ///
    /// # Errors
    ///
    /// A [`TunError`] that names the step, the reason and a remedy. Nothing is left open or
    /// created.
    ///
    /// # Panics
    ///
    /// In a tokio runtime whose I/O driver is not enabled, as tokio's own types do.
    pub fn open(config: TunConfig) -> Result<Self, TunError> {
        open::open(&config)
    }

    /// What is worth telling the person who runs this, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Whether the interface was created or attached to.
    #[must_use]
    pub fn origin(&self) -> TunOrigin {
        self.origin
    }
}

/// The open interface itself, for programs that move packets without tokio: whoever duplicates it
/// reads and writes one IP packet a call, never blocks, and keeps the interface.
impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl Device for TunDevice {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.mtu)
    }

    fn split(self: Box<Self>) -> std::io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let rx = TunRx::new(Arc::clone(&self.io));
        Ok((Box::new(rx), Box::new(TunTx::new(self.io))))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
