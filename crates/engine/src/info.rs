//! What can be seen of a connection: the fields of Linux's `struct tcp_info` that exist here, by
//! their names, with real units. Where Linux counts segments and this engine bytes, both are here.
//!
//! There is no clock in it: what Linux gives as a time since, is here the instant itself.

use core::time::Duration;

use crate::config::EcnForm;
use crate::congestion::{PathModel, RecoveryPhase};
use crate::connection::chronograph::Chronograph;
use crate::connection::state::StateName;
use crate::instant::Instant;

/// A connection's numbers at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of RFC 9293.
    pub state: StateName,
    /// Where loss recovery stands (`tcpi_ca_state`).
    pub phase: RecoveryPhase,
    /// Whether timestamps are on.
    pub timestamps: bool,
    /// Whether SACK is on.
    pub sack: bool,
    /// Whether both sides scale their windows.
    pub window_scaling: bool,
    /// The shift of the windows that the peer offers.
    pub snd_wscale: u8,
    /// The shift of the windows that we offer.
    pub rcv_wscale: u8,
    /// The retransmission time-out, back-off included.
    pub rto: Duration,
    /// How long an acknowledgment is delayed that nothing hurries.
    pub ato: Duration,
    /// SRTT, once measured.
    pub rtt: Option<Duration>,
    /// RTTVAR, once measured.
    pub rttvar: Option<Duration>,
    /// The least round-trip time.
    pub min_rtt: Option<Duration>,
    /// The round-trip time as the receiver sees it, once measured.
    pub rcv_rtt: Option<Duration>,
    /// How often the time-out, or the wait between probes, was doubled.
    pub backoff: u32,
    /// Payload bytes of a full segment that we send.
    pub snd_mss: u32,
    /// Payload bytes of the segments that arrive, estimated.
    pub rcv_mss: u32,
    /// Payload bytes of the segments that we ask for.
    pub advmss: u32,
    /// What the path is taken to carry in one packet, in bytes.
    pub pmtu: u32,
    /// The congestion window, in bytes.
    pub snd_cwnd_bytes: u64,
    /// The congestion window, in full segments.
    pub snd_cwnd_segments: u64,
    /// The slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    pub snd_ssthresh_bytes: u64,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// What is left of the window that we offer, in bytes.
    pub rcv_wnd: u32,
    /// What of the buffer may be offered for now, in bytes.
    pub rcv_ssthresh: u32,
    /// What the application takes in a round trip, in bytes.
    pub rcv_space: u64,
    /// The memory of the receive buffer, in bytes, of which a share is window (SO_MEMINFO's
    /// `SK_MEMINFO_RCVBUF`).
    pub rcv_buf: usize,
    /// Sequence numbers sent and not acknowledged.
    pub unacked_bytes: u64,
    /// Of those, reported by SACK.
    pub sacked_bytes: u64,
    /// Of those, lost and not sent again.
    pub lost_bytes: u64,
    /// Segments sent and not acknowledged (`tcpi_unacked`).
    pub unacked_segments: u64,
    /// Of those, reported by SACK (`tcpi_sacked`).
    pub sacked_segments: u64,
    /// Of those, taken for lost, whether sent again or not (`tcpi_lost`).
    pub lost_segments: u64,
    /// Of those, sent again (`tcpi_retrans`).
    pub retrans_segments: u64,
    /// Segments that the peer has, as it told, the SYN among them (`tcpi_delivered`).
    pub delivered_segments: u64,
    /// Bytes taken for lost, in all.
    pub lost_bytes_total: u64,
    /// How fast the path delivers, in bytes per second, once measured.
    pub delivery_rate: Option<u64>,
    /// Whether the application, not the path, sets that rate at present.
    pub delivery_rate_app_limited: bool,
    /// How fast data leaves, in bytes of payload per second, if it is spread over the time.
    pub pacing_rate: Option<u64>,
    /// SO_MAX_PACING_RATE.
    pub max_pacing_rate: Option<u64>,
    /// What the congestion control believes of the path (TCP_CC_INFO), if it has a model of it.
    pub model: Option<PathModel>,
    /// Which form of ECN was agreed on.
    pub ecn: EcnForm,
    /// Whether something arrived that the network could have marked (`TCPI_OPT_ECN_SEEN`).
    pub ecn_seen: bool,
    /// Segments that were delivered with a mark, as the peer told (`tcpi_delivered_ce`).
    pub delivered_ce: u32,
    /// Marked segments that arrived; with accurate ECN (`tcpi_received_ce`).
    pub received_ce: u32,
    /// Bytes that the peer says arrived with ECT(1), ECT(0) and CE; with accurate ECN
    /// (`tcpi_delivered_e1_bytes` and its like).
    pub delivered_ecn_bytes: [u32; 3],
    /// Bytes that arrived with ECT(1), ECT(0) and CE; with accurate ECN
    /// (`tcpi_received_e1_bytes` and its like).
    pub received_ecn_bytes: [u32; 3],
    /// Bytes written and not sent.
    pub notsent_bytes: u64,
    /// Bytes that arrived and were not read.
    pub unread_bytes: u64,
    /// Time-outs in a row.
    pub retransmits: u32,
    /// How many duplicate acknowledgments make a loss.
    pub reordering: u32,
    /// How often the network was seen to reorder (`tcpi_reord_seen`).
    pub reord_seen: u64,
    /// Zero-window or keep-alive probes without an answer.
    pub probes: u32,
    /// Segments sent again, in all.
    pub total_retrans: u64,
    /// Retransmission time-outs, in all.
    pub total_rto: u32,
    /// Runs of time-outs, in all.
    pub total_rto_recoveries: u32,
    /// How long the runs that are over took; see [`total_rto_time`](TcpInfo::total_rto_time).
    pub finished_rto_time: Duration,
    /// When the present run of time-outs began.
    pub in_rto_since: Option<Instant>,
    /// Duplicates that the peer reported (RFC 2883).
    pub dsack_dups: u64,
    /// Segments that arrived out of order.
    pub rcv_ooopack: u64,
    /// Payload bytes acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload bytes sent again.
    pub bytes_retrans: u64,
    /// Segments received.
    pub segs_in: u64,
    /// Segments sent.
    pub segs_out: u64,
    /// Of those received, with payload.
    pub data_segs_in: u64,
    /// Of those sent, with payload.
    pub data_segs_out: u64,
    /// When payload was last sent.
    pub last_data_sent_at: Option<Instant>,
    /// When payload was last received in order.
    pub last_data_recv_at: Option<Instant>,
    /// When an acceptable acknowledgment was last received.
    pub last_ack_recv_at: Option<Instant>,
    /// What the sender spent its time on: `tcpi_busy_time`, `tcpi_rwnd_limited` and
    /// `tcpi_sndbuf_limited`.
    pub chronograph: Chronograph,
}

impl TcpInfo {
    /// The time in retransmission time-outs, in all: from the first of a run to the acknowledgment
    /// that ends it, or to `now`.
    pub fn total_rto_time(&self, now: Instant) -> Duration {
        let running = self.in_rto_since.map_or(Duration::ZERO, |since| now.saturating_since(since));
        self.finished_rto_time + running
    }
}
