//! What can be seen of a connection: the fields of Linux's `struct tcp_info` that exist here, by
//! their names, with real units.

use core::time::Duration;

use crate::connection::state::StateName;

/// A connection's numbers at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of RFC 9293.
    pub state: StateName,
    /// Whether timestamps are on.
    pub timestamps: bool,
    /// Whether SACK is on.
    pub sack: bool,
    /// The shift of the windows that the peer offers.
    pub snd_wscale: u8,
    /// The shift of the windows that we offer.
    pub rcv_wscale: u8,
    /// The retransmission time-out, back-off included.
    pub rto: Duration,
    /// SRTT, once measured.
    pub rtt: Option<Duration>,
    /// RTTVAR, once measured.
    pub rttvar: Option<Duration>,
    /// The least round-trip time.
    pub min_rtt: Option<Duration>,
    /// Payload bytes of a full segment that we send.
    pub snd_mss: u32,
    /// Payload bytes of the segments that arrive, estimated.
    pub rcv_mss: u32,
    /// The congestion window, in bytes.
    pub snd_cwnd_bytes: u64,
    /// The slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    pub snd_ssthresh_bytes: u64,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// What is left of the window that we offer, in bytes.
    pub rcv_wnd: u32,
    /// Sequence numbers sent and not acknowledged.
    pub unacked_bytes: u64,
    /// Of those, reported by SACK.
    pub sacked_bytes: u64,
    /// Of those, lost and not sent again.
    pub lost_bytes: u64,
    /// Bytes written and not sent.
    pub notsent_bytes: u64,
    /// Bytes that arrived and were not read.
    pub unread_bytes: u64,
    /// Time-outs in a row.
    pub retransmits: u32,
    /// Zero-window or keep-alive probes in a row.
    pub probes: u32,
    /// Segments sent again, in all.
    pub total_retrans: u64,
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
}
