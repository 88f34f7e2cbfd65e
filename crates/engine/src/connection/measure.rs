//! What a connection counts of itself, and `TcpInfo`, which shows it.

use core::time::Duration;

use super::Connection;
use super::chronograph::{Activity, Chronograph};
use crate::config::Config;
use crate::ecn::accurate::Accurate;
use crate::info::TcpInfo;
use crate::instant::Instant;

/// The counts of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_retrans: u64,
    pub(super) segs_in: u64,
    pub(super) segs_out: u64,
    pub(super) data_segs_in: u64,
    pub(super) data_segs_out: u64,
    pub(super) total_retrans: u64,
    pub(super) out_of_order: u64,
    pub(super) total_rto: u32,
    pub(super) rto_recoveries: u32,
    /// Time-outs that are over, from the first to the acknowledgment that ended them.
    pub(super) rto_time: Duration,
    /// When the first of the present time-outs was.
    pub(super) in_rto_since: Option<Instant>,
    pub(super) last_data_sent: Option<Instant>,
    pub(super) last_data_received: Option<Instant>,
    pub(super) last_ack_received: Option<Instant>,
    pub(super) chronograph: Chronograph,
}

impl Traffic {
    /// A retransmission time-out.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        self.total_rto = self.total_rto.saturating_add(1);
        if self.in_rto_since.is_none() {
            self.rto_recoveries = self.rto_recoveries.saturating_add(1);
            self.in_rto_since = Some(now);
        }
    }

    /// Something new was acknowledged: the time-outs are over.
    pub(super) fn on_progress(&mut self, now: Instant) {
        if let Some(since) = self.in_rto_since.take() {
            self.rto_time += now - since;
        }
    }
}

impl Connection {
    /// Notes what limits the sender from now on.
    pub(super) fn note_activity(&mut self, now: Instant) {
        let activity = if !self.state.may_transmit() || self.send.is_delivered() {
            None
        } else if self.send.is_window_limited() && self.has_congestion_room() {
            Some(Activity::WindowLimited)
        } else if self.user.was_refused && self.send.unsent() == 0 {
            Some(Activity::BufferLimited)
        } else {
            Some(Activity::Busy)
        };
        self.traffic.chronograph.switch(now, activity);
    }

    /// Whether the congestion window would let a segment go.
    fn has_congestion_room(&self) -> bool {
        self.recovery.room(self.window()) >= u64::from(self.send.segment_size())
    }

    pub(crate) fn info(&self, config: &Config) -> TcpInfo {
        let flight = self.recovery.flight();
        let controller = self.congestion.controller();
        let mss = self.send.mss();
        let window_scaling = self.recv.is_scaled();
        let traffic = &self.traffic;
        let accurate = self.ecn.accurate();
        TcpInfo {
            state: self.state.name(),
            phase: self.recovery.phase(),
            timestamps: self.timestamps.is_some(),
            sack: self.sack,
            window_scaling,
            snd_wscale: self.send.scale().shift(),
            rcv_wscale: self.recv.window().scale().shift(),
            rto: self.rtt.rto(),
            ato: self.recv.policy().delay(),
            rtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min(),
            rcv_rtt: self.recv.rtt(),
            backoff: self.rtt.backoff().max(self.send.probes()),
            snd_mss: mss.effective(),
            rcv_mss: self.recv.rcv_mss(),
            advmss: self.recv.advertised_mss(),
            pmtu: mss.path_mtu(),
            snd_cwnd_bytes: self.window(),
            snd_cwnd_segments: self.window() / u64::from(self.send.segment_size().max(1)),
            snd_ssthresh_bytes: controller.slow_start_threshold(),
            snd_wnd: self.send.wnd(),
            rcv_wnd: self.recv.wnd(),
            rcv_buf: self.recv.window().memory(),
            rcv_ssthresh: self.recv.window().slow_start(),
            rcv_space: self.recv.space(),
            unacked_bytes: flight.outstanding().bytes,
            sacked_bytes: flight.sacked().bytes,
            lost_bytes: flight.missing_bytes(),
            unacked_segments: flight.outstanding().segments,
            sacked_segments: self.recovery.sacked_segments(),
            lost_segments: flight.lost().segments,
            retrans_segments: flight.resent().segments,
            delivered_segments: self.recovery.delivered(),
            lost_bytes_total: self.recovery.rate().lost(),
            delivery_rate: self.recovery.rate().latest().map(|(rate, _)| rate),
            delivery_rate_app_limited: self.recovery.rate().is_app_limited(),
            pacing_rate: self.pacing_rate(config),
            max_pacing_rate: self.user.options.max_pacing_rate,
            model: controller.model(),
            ecn: self.ecn.form(),
            ecn_seen: self.ecn.is_seen(),
            delivered_ce: self.ecn.delivered_ce(),
            received_ce: accurate.map_or(0, Accurate::received_ce),
            delivered_ecn_bytes: accurate.map_or([0; 3], Accurate::delivered_bytes),
            received_ecn_bytes: accurate.map_or([0; 3], Accurate::received_bytes),
            notsent_bytes: self.send.unsent(),
            unread_bytes: self.recv.readable() as u64,
            retransmits: self.recovery.timeouts(),
            reordering: self.recovery.reordering(),
            reord_seen: self.recovery.reorderings_seen(),
            probes: self.send.unanswered_probes().max(self.keep_alive_probes),
            total_retrans: traffic.total_retrans,
            total_rto: traffic.total_rto,
            total_rto_recoveries: traffic.rto_recoveries,
            finished_rto_time: traffic.rto_time,
            in_rto_since: traffic.in_rto_since,
            dsack_dups: self.recovery.dsacks(),
            rcv_ooopack: traffic.out_of_order,
            bytes_acked: traffic.bytes_acked,
            bytes_received: traffic.bytes_received,
            bytes_sent: traffic.bytes_sent,
            bytes_retrans: traffic.bytes_retrans,
            segs_in: traffic.segs_in,
            segs_out: traffic.segs_out,
            data_segs_in: traffic.data_segs_in,
            data_segs_out: traffic.data_segs_out,
            last_data_sent_at: traffic.last_data_sent,
            last_data_recv_at: traffic.last_data_received,
            last_ack_recv_at: traffic.last_ack_received,
            chronograph: traffic.chronograph,
        }
    }
}
