//! What must hold of every application after each of its steps: no byte is lost, none is made.

use towpath_engine::RecoveryPhase;

use super::{PlacedFlow, World};

impl World {
    /// Every byte that an application wrote is acknowledged, under way or waiting; every byte that
    /// arrived in order is read or waits to be; nothing is read that was not written.
    pub(super) fn check_conservation(&self, index: usize) {
        let PlacedFlow { host, flow, other } = &self.flows[index];
        let endpoint = &self.hosts[host.0].endpoint;
        if let Some(info) = endpoint.info(flow.id()).filter(|_| flow.error().is_none()) {
            let kept = info.bytes_acked + info.unacked_bytes + info.notsent_bytes;
            // SYN and FIN have sequence numbers and are no bytes.
            assert!(
                kept.abs_diff(flow.sent()) <= 1,
                "{} bytes were written, of which {} are acknowledged, {} under way, {} not sent",
                flow.sent(),
                info.bytes_acked,
                info.unacked_bytes,
                info.notsent_bytes,
            );
            assert!(
                flow.received() + info.unread_bytes <= info.bytes_received,
                "{} bytes are read and {} wait, but {} have arrived",
                flow.received(),
                info.unread_bytes,
                info.bytes_received,
            );
            // A segment is no longer than half of the largest window that the peer has offered, and
            // options may take 40 bytes of it. A reduction in progress lets out what is in flight,
            // which may be a small segment.
            let reduces = matches!(info.phase, RecoveryPhase::Recovery | RecoveryPhase::Cwr);
            assert!(
                info.snd_cwnd_segments > 0
                    || info.snd_cwnd_bytes + 40 >= u64::from(info.snd_mss.min(536))
                    || reduces && info.snd_cwnd_bytes > 0,
                "a congestion window of {} bytes is less than a segment of {}",
                info.snd_cwnd_bytes,
                info.snd_mss,
            );
        }
        let Some(other) = other.map(|other| &self.flows[other].flow) else { return };
        assert!(flow.received() <= other.sent(), "more was read than written");
        assert!(
            !flow.end_seen() || flow.received() == other.sent(),
            "the stream ended after {} of {} bytes",
            flow.received(),
            other.sent(),
        );
    }
}
