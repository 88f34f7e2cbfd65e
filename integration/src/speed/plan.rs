//! What a run is: who serves, what the client does, how long and on which processors; and what came
//! of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much both ends read and write at once.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// How many bytes go back and forth in a ping-pong.
pub const MESSAGE_BYTES: usize = 64;

/// The congestion control of every kernel socket: Towpath's own default, whatever the machine's is.
/// A socket is told, not its namespace, which may not have what the machine's administrator has not
/// allowed to everyone.
pub const CONGESTION_CONTROL: &str = "cubic";

/// How long the client works before anything is counted: slow start is over by then.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Writes as fast as it may; the server reads and counts.
    Upload,
    /// Reads what the server writes as fast as it may.
    Download,
    /// One message there and back at a time.
    Rr,
}

impl Workload {
    /// All, in the order of the table.
    pub const ALL: [Workload; 3] = [Workload::Upload, Workload::Download, Workload::Rr];

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Workload::Upload => "upload",
            Workload::Download => "download",
            Workload::Rr => "rr",
        }
    }

    /// Where client and server run unless told otherwise. A ping-pong is measured on one processor, so
    /// that no idle one has to be woken. A transfer is measured both ways: with a processor for either
    /// end, segments that the kernel sends over veth overtake each other now and then.
    pub fn pinnings(self) -> &'static [Pinning] {
        match self {
            Workload::Upload | Workload::Download => &[Pinning::One, Pinning::Split],
            Workload::Rr => &[Pinning::One],
        }
    }
}

/// Whose TCP serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The kernel's, over a pair of veth interfaces with all their offloads.
    Veth,
    /// The kernel's, over the loopback interface.
    Loopback,
    /// Towpath's, over a TUN interface that carries plain packets.
    TowpathPlain,
    /// The smallest TCP that answers, over the same interface.
    ResponderPlain,
}

impl Side {
    /// All. The first is what the others are compared with.
    pub const ALL: [Side; 4] =
        [Side::Veth, Side::Loopback, Side::TowpathPlain, Side::ResponderPlain];

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Side::Veth => "veth",
            Side::Loopback => "loopback",
            Side::TowpathPlain => "towpath-plain",
            Side::ResponderPlain => "responder-plain",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Veth => "kernel, veth",
            Side::Loopback => "kernel, loopback",
            Side::TowpathPlain => "Towpath, plain",
            Side::ResponderPlain => "responder, plain",
        })
    }
}

/// Which processors the two processes may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Pinning {
    /// All.
    Free,
    /// The first, both.
    One,
    /// The server the first, the client the second.
    Split,
}

impl Pinning {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Pinning::Free => "free",
            Pinning::One => "one",
            Pinning::Split => "split",
        }
    }

    /// The server's processor, if it has one of its own.
    pub fn servers(self) -> Option<usize> {
        match self {
            Pinning::Free => None,
            Pinning::One | Pinning::Split => Some(0),
        }
    }

    /// The client's.
    pub fn clients(self) -> Option<usize> {
        match self {
            Pinning::Free => None,
            Pinning::One => Some(0),
            Pinning::Split => Some(1),
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Plan {
    /// What the client does.
    #[arg(long, value_enum)]
    pub workload: Workload,
    /// Whose TCP serves.
    #[arg(long, value_enum)]
    pub side: Side,
    /// How many connections.
    #[arg(long)]
    pub flows: usize,
    /// How long is measured, behind [`WARM_UP`].
    #[arg(long)]
    pub seconds: f64,
    /// The MTU of the interfaces; loopback keeps its own.
    #[arg(long)]
    pub mtu: u32,
    /// Which processors.
    #[arg(long, value_enum)]
    pub pin: Pinning,
}

/// What came of a run. Times are seconds unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How long was measured, by whoever counted `bytes`.
    pub seconds: f64,
    /// Payload that its reader had in that time, client or server.
    pub bytes: u64,
    /// What the client noticed.
    pub client: Told,
    /// Busy time of all processors (user, system, irq, softirq) less what they did before.
    pub machine_cpu: f64,
    /// What they did before, as a part of one processor.
    pub idle_baseline: f64,
    /// Of the server's process.
    pub server_cpu: f64,
    /// Segments that the server sent again; `None` where nobody counts them apart from the client's.
    pub server_retransmitted: Option<u64>,
    /// Packets that found no room in the queues of the server's interfaces.
    pub tx_dropped: u64,
}

/// What the client reports of the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How long that time was.
    pub seconds: f64,
    /// Payload read or, where the client only writes, written.
    pub bytes: u64,
    /// The longest that a read or write took, in milliseconds: a stall shows here.
    pub longest_wait_ms: f64,
    /// Round trips, if it made any.
    pub exchanges: Option<Exchanges>,
    /// CPU of its process.
    pub cpu: f64,
    /// Segments that the client's kernel sent again.
    pub retransmitted: u64,
}

/// How long round trips took, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchanges {
    /// How many there were.
    pub count: u64,
    /// Half took no longer.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1000.
    pub p999_us: f64,
}

/// What was said on a command line must be fit to measure with.
///
/// # Errors
///
/// For a duration that is none.
pub fn duration(seconds: f64) -> anyhow::Result<Duration> {
    let duration = Duration::try_from_secs_f64(seconds)?;
    anyhow::ensure!(!duration.is_zero(), "nothing can be measured in 0 seconds");
    Ok(duration)
}
