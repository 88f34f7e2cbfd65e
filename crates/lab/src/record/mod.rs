//! What a run leaves to look at: numbers of flows and of queues over time, taken at equal intervals
//! of virtual time, and the [`sequence`] of one flow.
//!
//! Everything is kept in columns and in whole numbers, so that the JSON of two runs of one seed is
//! the same to the byte.

pub mod sequence;

use core::time::Duration;

use serde::Serialize;
use towpath_engine::{Instant, TcpInfo};
use towpath_netem::QueueLength;

/// Numbers over time: column `i` of every series was taken at `at_us[i]`.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    #[serde(skip)]
    interval: Duration,
    /// When, in microseconds from the start of the run.
    pub at_us: Vec<u64>,
    /// Of each flow that is watched.
    pub flows: Vec<FlowSeries>,
    /// Of each link that is watched.
    pub queues: Vec<QueueSeries>,
}

/// The numbers of one flow over time. A column is empty (`None`) where the flow has no connection,
/// or where the connection cannot say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FlowSeries {
    /// Bytes that the receiving application has read.
    pub received_bytes: Vec<u64>,
    /// The congestion window.
    pub cwnd_bytes: Vec<Option<u64>>,
    /// The slow-start threshold, once there is one.
    pub ssthresh_bytes: Vec<Option<u64>>,
    /// The smoothed round-trip time, in microseconds.
    pub srtt_us: Vec<Option<u64>>,
    /// What is taken to be on its way.
    pub in_flight_bytes: Vec<Option<u64>>,
    /// How fast the path delivers, in bytes per second.
    pub delivery_rate: Vec<Option<u64>>,
    /// How fast the congestion control sends, in bytes per second.
    pub pacing_rate: Vec<Option<u64>>,
    /// Taken for lost, in all.
    pub lost_bytes: Vec<Option<u64>>,
    /// Sent again, in all.
    pub retransmitted_bytes: Vec<Option<u64>>,
    /// The last state of the connection that was seen.
    #[serde(skip)]
    pub last: Option<TcpInfo>,
}

/// The length of one queue over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QueueSeries {
    /// In bytes.
    pub bytes: Vec<u64>,
    /// In packets.
    pub packets: Vec<u64>,
}

impl Record {
    /// An empty record of what there is every `interval`.
    pub fn new(interval: Duration) -> Record {
        assert!(!interval.is_zero(), "time has to pass between two samples");
        Record { interval, at_us: Vec::new(), flows: Vec::new(), queues: Vec::new() }
    }

    /// Begins with a flow; its columns are empty so far.
    pub(crate) fn add_flow(&mut self) {
        let mut series = FlowSeries::default();
        (0..self.at_us.len()).for_each(|_| series.push(0, None));
        self.flows.push(series);
    }

    /// Begins with a queue, which was empty so far.
    pub(crate) fn add_queue(&mut self) {
        let none = vec![0; self.at_us.len()];
        self.queues.push(QueueSeries { bytes: none.clone(), packets: none });
    }

    /// When the next sample is to be taken.
    pub(crate) fn next_at(&self) -> Instant {
        Instant::ZERO + self.interval * self.at_us.len() as u32
    }

    pub(crate) fn push_time(&mut self, now: Instant) {
        self.at_us.push(now.as_micros());
    }
}

impl FlowSeries {
    pub(crate) fn push(&mut self, received: u64, info: Option<TcpInfo>) {
        let seen = info.as_ref();
        self.received_bytes.push(received);
        self.cwnd_bytes.push(seen.map(|info| info.snd_cwnd_bytes));
        let threshold = seen.map(|info| info.snd_ssthresh_bytes);
        self.ssthresh_bytes.push(threshold.filter(|bytes| *bytes < u64::from(u32::MAX)));
        let srtt = seen.and_then(|info| info.rtt);
        self.srtt_us.push(srtt.map(|rtt| rtt.as_micros() as u64));
        self.in_flight_bytes.push(seen.map(in_flight));
        self.delivery_rate.push(seen.and_then(|info| info.delivery_rate));
        self.pacing_rate.push(seen.and_then(|info| info.pacing_rate));
        self.lost_bytes.push(seen.map(|info| info.lost_bytes_total));
        self.retransmitted_bytes.push(seen.map(|info| info.bytes_retrans));
        if info.is_some() {
            self.last = info;
        }
    }
}

impl QueueSeries {
    pub(crate) fn push(&mut self, length: QueueLength) {
        self.bytes.push(length.bytes);
        self.packets.push(length.packets as u64);
    }
}

/// As Linux counts `tcp_packets_in_flight`.
fn in_flight(info: &TcpInfo) -> u64 {
    let out = info.unacked_segments + info.retrans_segments;
    out.saturating_sub(info.sacked_segments + info.lost_segments) * u64::from(info.snd_mss)
}
