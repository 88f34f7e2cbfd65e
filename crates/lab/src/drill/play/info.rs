//! `TCP_INFO` by Linux's names and in Linux's units, from the engine's [`TcpInfo`]. A name that is
//! not in the table is not built.

use core::time::Duration;

use towpath_engine::congestion::PathModel;
use towpath_engine::{EcnForm, Instant, StateName, TcpInfo};

/// Linux's "infinite" slow-start threshold, in segments.
const INFINITE_SSTHRESH: i64 = 0x7fff_ffff;

/// A field's name, and how it is got.
type Field = (&'static str, fn(&TcpInfo, Instant) -> i64);

/// What can be asked of a connection in a script's code.
const FIELDS: &[Field] = &[
    ("tcpi_state", |info, _| state_number(info.state)),
    ("tcpi_ca_state", |info, _| info.phase as i64),
    ("tcpi_retransmits", |info, _| i64::from(info.retransmits)),
    ("tcpi_backoff", |info, _| i64::from(info.backoff)),
    ("tcpi_probes", |info, _| i64::from(info.probes)),
    ("tcpi_options", |info, _| options(info)),
    ("tcpi_snd_wscale", |info, _| i64::from(info.snd_wscale)),
    ("tcpi_rcv_wscale", |info, _| i64::from(info.rcv_wscale)),
    ("tcpi_rto", |info, _| micros(Some(info.rto))),
    ("tcpi_snd_mss", |info, _| i64::from(info.snd_mss)),
    ("tcpi_rcv_mss", |info, _| i64::from(info.rcv_mss)),
    ("tcpi_unacked", |info, _| number(info.unacked_segments)),
    ("tcpi_sacked", |info, _| number(info.sacked_segments)),
    ("tcpi_lost", |info, _| number(info.lost_segments)),
    ("tcpi_retrans", |info, _| number(info.retrans_segments)),
    ("tcpi_last_data_sent", |info, now| millis_since(info.last_data_sent_at, now)),
    ("tcpi_last_data_recv", |info, now| millis_since(info.last_data_recv_at, now)),
    ("tcpi_last_ack_recv", |info, now| millis_since(info.last_ack_recv_at, now)),
    ("tcpi_pmtu", |info, _| i64::from(info.pmtu)),
    ("tcpi_rcv_ssthresh", |info, _| i64::from(info.rcv_ssthresh)),
    ("tcpi_advmss", |info, _| i64::from(info.advmss)),
    ("tcpi_ato", |info, _| micros(Some(info.ato))),
    ("tcpi_reordering", |info, _| i64::from(info.reordering)),
    ("tcpi_reord_seen", |info, _| number(info.reord_seen)),
    ("tcpi_rcv_rtt", |info, _| micros(info.rcv_rtt)),
    ("tcpi_rcv_space", |info, _| number(info.rcv_space)),
    ("SK_MEMINFO_RCVBUF", |info, _| i64::try_from(info.rcv_buf).unwrap_or(i64::MAX)),
    ("tcpi_data_segs_in", |info, _| number(info.data_segs_in)),
    ("tcpi_data_segs_out", |info, _| number(info.data_segs_out)),
    ("tcpi_delivered", |info, _| number(info.delivered_segments)),
    ("tcpi_busy_time", |info, now| micros(Some(info.chronograph.busy_time(now)))),
    ("tcpi_rwnd_limited", |info, now| micros(Some(info.chronograph.window_limited(now)))),
    ("tcpi_sndbuf_limited", |info, now| micros(Some(info.chronograph.buffer_limited(now)))),
    ("tcpi_delivered_ce", |info, _| i64::from(info.delivered_ce)),
    ("tcpi_received_ce", |info, _| i64::from(info.received_ce)),
    ("tcpi_delivered_e1_bytes", |info, _| i64::from(info.delivered_ecn_bytes[0])),
    ("tcpi_delivered_e0_bytes", |info, _| i64::from(info.delivered_ecn_bytes[1])),
    ("tcpi_delivered_ce_bytes", |info, _| i64::from(info.delivered_ecn_bytes[2])),
    ("tcpi_received_e1_bytes", |info, _| i64::from(info.received_ecn_bytes[0])),
    ("tcpi_received_e0_bytes", |info, _| i64::from(info.received_ecn_bytes[1])),
    ("tcpi_received_ce_bytes", |info, _| i64::from(info.received_ecn_bytes[2])),
    ("tcpi_dsack_dups", |info, _| number(info.dsack_dups)),
    ("tcpi_rcv_ooopack", |info, _| number(info.rcv_ooopack)),
    ("tcpi_total_rto", |info, _| i64::from(info.total_rto)),
    ("tcpi_total_rto_recoveries", |info, _| i64::from(info.total_rto_recoveries)),
    ("tcpi_total_rto_time", |info, now| millis(info.total_rto_time(now))),
    ("tcpi_rtt", |info, _| micros(info.rtt)),
    ("tcpi_rttvar", |info, _| micros(info.rttvar)),
    ("tcpi_min_rtt", |info, _| micros(info.min_rtt)),
    ("tcpi_snd_ssthresh", |info, _| match info.snd_ssthresh_bytes {
        u64::MAX => INFINITE_SSTHRESH,
        bytes => segments(bytes, info),
    }),
    ("tcpi_snd_cwnd", |info, _| number(info.snd_cwnd_segments)),
    ("tcpi_snd_wnd", |info, _| i64::from(info.snd_wnd)),
    ("tcpi_rcv_wnd", |info, _| i64::from(info.rcv_wnd)),
    ("tcpi_total_retrans", |info, _| number(info.total_retrans)),
    ("tcpi_bytes_acked", |info, _| number(info.bytes_acked)),
    ("tcpi_bytes_received", |info, _| number(info.bytes_received)),
    ("tcpi_bytes_sent", |info, _| number(info.bytes_sent)),
    ("tcpi_bytes_retrans", |info, _| number(info.bytes_retrans)),
    ("tcpi_segs_in", |info, _| number(info.segs_in)),
    ("tcpi_segs_out", |info, _| number(info.segs_out)),
    ("tcpi_notsent_bytes", |info, _| number(info.notsent_bytes)),
    ("tcpi_pacing_rate", |info, _| info.pacing_rate.map_or(UNLIMITED, number)),
    ("tcpi_max_pacing_rate", |info, _| info.max_pacing_rate.map_or(UNLIMITED, number)),
    ("tcpi_delivery_rate", |info, _| number(info.delivery_rate.unwrap_or(0))),
    ("tcpi_delivery_rate_app_limited", |info, _| i64::from(info.delivery_rate_app_limited)),
];

/// A rate without a limit.
const UNLIMITED: i64 = i64::MAX;

/// A field of what BBR believes of the path (TCP_CC_INFO).
type ModelField = (&'static str, fn(&PathModel) -> i64);

/// What can be asked beside where the congestion control has a model: under BBR.
const MODEL: &[ModelField] = &[
    ("bbr_bw", |model| number(model.bandwidth)),
    ("bbr_bw_lo", |model| number(model.bandwidth & 0xffff_ffff)),
    ("bbr_bw_hi", |model| number(model.bandwidth >> 32)),
    ("bbr_min_rtt", |model| micros(model.min_rtt)),
    ("bbr_pacing_gain", |model| number(model.pacing_gain)),
    ("bbr_cwnd_gain", |model| number(model.window_gain)),
];

/// The names of all fields with their values.
pub(super) fn all(info: &TcpInfo, now: Instant) -> impl Iterator<Item = (&'static str, i64)> {
    let model = info
        .model
        .into_iter()
        .flat_map(|model| MODEL.iter().map(move |(name, get)| (*name, get(&model))));
    FIELDS.iter().map(move |(name, get)| (*name, get(info, now))).chain(model)
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
    let ecn = info.ecn != EcnForm::Off;
    i64::from(info.timestamps)
        | i64::from(info.sack) << 1
        | i64::from(info.window_scaling) << 2
        | i64::from(ecn) << 3
        | i64::from(info.ecn_seen) << 4
}

fn micros(time: Option<Duration>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Before it has happened Linux counts from the making of the socket; here it is then 0.
fn millis_since(at: Option<Instant>, now: Instant) -> i64 {
    at.map_or(0, |at| millis(now.saturating_since(at)))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Linux counts segments where the engine counts bytes.
fn segments(bytes: u64, info: &TcpInfo) -> i64 {
    number(bytes.div_ceil(u64::from(info.snd_mss.max(1))))
}
