//! Where Towpath's packets come from and go to.
//!
//! A [`Device`] is a source and a sink of whole IP packets. It is split once into an [`Rx`], which
//! one driver polls for batches of arriving packets, and a [`Tx`], into which any task may push a
//! batch. The traits are open: a tunnel's own packet loop becomes a device by implementing three
//! short traits, or by being wrapped as a [`packet_stream::PacketStream`].
//!
//! What is here:
//!
//! * [`memory`]: a cable between two stacks of one process, with no privilege and no kernel;
//! * [`packet_stream`]: any `Stream` and `Sink` of packets;
//! * [`impaired`]: any device behind two emulated links that delay, lose, reorder, duplicate and
//!   corrupt packets (`towpath-netem`);
//! * [`pcapng`] and [`captured`]: a capture writer, and any device with a capture of both
//!   directions;
//! * `tun` (feature `tun`, Linux): an interface of the kernel.
//!
//! This crate owns file descriptors, buffers and readiness. It does not look into packets: what
//! they say is judged by `towpath-wire` and the engine.
//!
//! All `unsafe` code of Towpath lives in this crate's private module `sys`.

use std::io;
use std::task::{Context, Poll};

pub mod captured;
mod fault;
pub mod impaired;
pub mod memory;
mod packet;
pub mod packet_stream;
pub mod pcapng;
mod queue;
#[cfg(all(feature = "tun", target_os = "linux"))]
mod sys;
#[cfg(all(feature = "tun", target_os = "linux"))]
pub mod tun;

pub use captured::Captured;
pub use impaired::Impaired;
pub use memory::MemoryDevice;
pub use packet::{
    Gso, GsoKind, RxBatch, RxChecksum, RxPacket, TX_HEADER_BYTES, TX_PAYLOAD_SLICES, TxBatch,
    TxChecksum, TxPacket,
};
pub use packet_stream::PacketStream;
#[cfg(all(feature = "tun", target_os = "linux"))]
pub use tun::{TunConfig, TunDevice, TunError};

/// The emulated link that [`Impaired`] is configured with.
pub use towpath_netem as netem;

/// A source and sink of IP packets, before it is split.
pub trait Device: Send + 'static {
    /// What the device does for its stack. Asked once, before [`split`](Device::split).
    fn capabilities(&self) -> Capabilities;

    /// Takes the device into use: its receiving and its sending half.
    ///
    /// A device that needs a task of its own spawns it here, so this is called inside the tokio
    /// runtime that the stack's driver runs on.
    ///
    /// # Errors
    ///
    /// When the halves cannot be made, for example outside a runtime.
    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)>;

    /// What people call the device: an interface name, or a word.
    fn name(&self) -> &str {
        "device"
    }

    /// Whether a stack over this device may run under tokio's paused clock.
    ///
    /// `true` only when everything at the far end lives by the same clock. With a real network
    /// behind the device, a paused clock would jump over retransmission timers while real packets
    /// are still under way, so a stack refuses that combination.
    fn is_virtual_time_safe(&self) -> bool {
        false
    }
}

/// The receiving half of a device. One task polls it.
pub trait Rx: Send {
    /// Appends arrived packets to `batch`, at most [`RxBatch::room`] of them.
    ///
    /// `Ready(Ok(()))` means that at least one packet was appended (or that the batch had no
    /// room). On `Pending` the task is woken when there may be one. A transient failure is counted
    /// by the device and not reported.
    ///
    /// # Errors
    ///
    /// An error means that the device is gone for good. It is reported again by later calls.
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>>;
}

/// The sending half of a device. Shared by all tasks of a stack.
pub trait Tx: Send + Sync {
    /// Sends packets from the front of `batch`, removing each as it is taken, and says how many
    /// were taken. An empty batch gives `Ok(0)`.
    ///
    /// A packet that fails for a passing reason (the interface is down, memory is short, the
    /// kernel refuses this packet) is dropped, counted in [`statistics`](Tx::statistics), and
    /// counts as taken: the protocol above recovers as from any loss.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when not even the first packet can be taken now;
    /// it is still in the batch. Any other error means that the device is gone for good. An error
    /// that follows packets already taken is reported by the next call.
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize>;

    /// Ready when [`try_send`](Tx::try_send) is worth trying again. Wakes the last caller only.
    ///
    /// # Errors
    ///
    /// When the device is gone for good.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Counters of both directions of the device.
    fn statistics(&self) -> DeviceStatistics {
        DeviceStatistics::default()
    }
}

/// What a device does for its stack.
///
/// ```
/// use towpath_device::Capabilities;
///
/// let plain = Capabilities::new(1500);
/// assert_eq!(plain.mtu, 1500);
/// assert!(!plain.tso && !plain.checksum_tx);
///
/// let offloading = Capabilities::new(9000).with_checksum_tx().with_tso();
/// assert!(offloading.tso && offloading.checksum_tx);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The largest IP packet, header included, that goes out in one piece, in bytes.
    pub mtu: usize,
    /// The device completes a [`TxChecksum::Partial`].
    pub checksum_tx: bool,
    /// The device cuts a TCP super-segment ([`TxPacket::gso`]) into segments.
    pub tso: bool,
}

impl Capabilities {
    /// A device that takes finished packets of up to `mtu` bytes and does nothing more.
    #[must_use]
    pub const fn new(mtu: usize) -> Self {
        Self { mtu, checksum_tx: false, tso: false }
    }

    /// Says that the device completes partial checksums.
    #[must_use]
    pub const fn with_checksum_tx(mut self) -> Self {
        self.checksum_tx = true;
        self
    }

    /// Says that the device cuts TCP super-segments.
    #[must_use]
    pub const fn with_tso(mut self) -> Self {
        self.tso = true;
        self
    }
}

/// Counters of a device since it was opened. A device leaves at zero what it cannot know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceStatistics {
    /// Packets handed to the stack.
    pub rx_packets: u64,
    /// Bytes of the packets handed to the stack.
    pub rx_bytes: u64,
    /// Receive attempts that failed for a passing reason.
    pub rx_errors: u64,
    /// Packets that the device accepted from the stack.
    pub tx_packets: u64,
    /// Bytes of the packets that the device accepted from the stack.
    pub tx_bytes: u64,
    /// Packets taken from the stack and dropped for a passing reason.
    pub tx_dropped: u64,
}

/// A boxed device is a device, so that wrappers compose with devices chosen at run time.
impl Device for Box<dyn Device> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        (*self).split()
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn is_virtual_time_safe(&self) -> bool {
        (**self).is_virtual_time_safe()
    }
}
