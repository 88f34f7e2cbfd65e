//! `TCP_INFO` by Linux's names and in Linux's units, from the engine's [`TcpInfo`]. A name that is
//! not in the table is not built.

use core::time::Duration;

use towpath_engine::{StateName, TcpInfo};

/// Linux's "infinite" slow-start threshold, in segments.
const INFINITE_SSTHRESH: i64 = 0x7fff_ffff;

/// A field's name, and how it is got.
type Field = (&'static str, fn(&TcpInfo) -> i64);

/// What can be asked of a connection in a script's code.
const FIELDS: &[Field] = &[
    ("tcpi_state", |info| state_number(info.state)),
    ("tcpi_retransmits", |info| i64::from(info.retransmits)),
    ("tcpi_backoff", |info| i64::from(info.retransmits.max(info.probes))),
    ("tcpi_probes", |info| i64::from(info.probes)),
    ("tcpi_options", options),
    ("tcpi_snd_wscale", |info| i64::from(info.snd_wscale)),
    ("tcpi_rcv_wscale", |info| i64::from(info.rcv_wscale)),
    ("tcpi_rto", |info| micros(Some(info.rto))),
    ("tcpi_snd_mss", |info| i64::from(info.snd_mss)),
    ("tcpi_rcv_mss", |info| i64::from(info.rcv_mss)),
    ("tcpi_unacked", |info| segments(info.unacked_bytes, info)),
    ("tcpi_sacked", |info| segments(info.sacked_bytes, info)),
    ("tcpi_lost", |info| segments(info.lost_bytes, info)),
    ("tcpi_rtt", |info| micros(info.rtt)),
    ("tcpi_rttvar", |info| micros(info.rttvar)),
    ("tcpi_min_rtt", |info| micros(info.min_rtt)),
    ("tcpi_snd_ssthresh", |info| match info.snd_ssthresh_bytes {
        u64::MAX => INFINITE_SSTHRESH,
        bytes => segments(bytes, info),
    }),
    ("tcpi_snd_cwnd", |info| segments(info.snd_cwnd_bytes, info)),
    ("tcpi_snd_wnd", |info| i64::from(info.snd_wnd)),
    ("tcpi_rcv_wnd", |info| i64::from(info.rcv_wnd)),
    ("tcpi_total_retrans", |info| number(info.total_retrans)),
    ("tcpi_bytes_acked", |info| number(info.bytes_acked)),
    ("tcpi_bytes_received", |info| number(info.bytes_received)),
    ("tcpi_bytes_sent", |info| number(info.bytes_sent)),
    ("tcpi_bytes_retrans", |info| number(info.bytes_retrans)),
    ("tcpi_segs_in", |info| number(info.segs_in)),
    ("tcpi_segs_out", |info| number(info.segs_out)),
    ("tcpi_notsent_bytes", |info| number(info.notsent_bytes)),
];

/// The names of all fields with their values.
pub(super) fn all(info: &TcpInfo) -> impl Iterator<Item = (&'static str, i64)> {
    FIELDS.iter().map(|(name, get)| (*name, get(info)))
}

/// TCP_LISTEN
pub(super) const LISTEN: i64 = 10;

/// TCP_CLOSE
pub(super) const CLOSE: i64 = 7;

/// The states' numbers in Linux's `include/net/tcp_states.h`.
fn state_number(state: StateName) -> i64 {
    match state {
        StateName::Established => 1,
        StateName::SynSent => 2,
        StateName::SynReceived => 3,
        StateName::FinWait1 => 4,
        StateName::FinWait2 => 5,
        StateName::TimeWait => 6,
        StateName::CloseWait => 8,
        StateName::LastAck => 9,
        StateName::Listen => LISTEN,
        StateName::Closing => 11,
        _ => CLOSE,
    }
}

/// TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE.
fn options(info: &TcpInfo) -> i64 {
    let scaled = info.snd_wscale > 0 || info.rcv_wscale > 0;
    i64::from(info.timestamps) | i64::from(info.sack) << 1 | i64::from(scaled) << 2
}

fn micros(time: Option<Duration>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Linux counts segments where the engine counts bytes.
fn segments(bytes: u64, info: &TcpInfo) -> i64 {
    number(bytes.div_ceil(u64::from(info.snd_mss.max(1))))
}
