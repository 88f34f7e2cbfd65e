//! How large a segment may be: RFC 9293 section 3.7.1.
//!
//! Eff.snd.MSS = min(SendMSS + 20, MMS_S) - TCP header - IP options, where SendMSS is what the peer
//! asked for, MMS_S what the path carries, and the TCP header has our options.

use core::net::IpAddr;

/// RFC 9293 MUST-15: without an MSS option, over IPv4.
const DEFAULT_V4: u16 = 536;
/// RFC 9293 MUST-15: without an MSS option, over IPv6.
const DEFAULT_V6: u16 = 1220;
const TCP_HEADER: u32 = 20;
/// Timestamps with their padding.
pub(crate) const TIMESTAMPS_LEN: u32 = 12;
/// The least that `tcp_min_snd_mss` may be: what options leave is still something.
const LEAST_FLOOR: u32 = 48;

/// The segment size of the sending side, in bytes of payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendMss {
    peer: u32,
    path_mtu: u32,
    ip_header: u32,
    options: u32,
    floor: u32,
}

impl SendMss {
    /// `option` is what the peer asked for, `wish` what the application allows at most.
    // Implements: 9293 MUST-15, 9293 MUST-16, H-03, H-15
    pub(crate) fn new(
        remote: IpAddr,
        option: Option<u16>,
        wish: Option<u16>,
        path_mtu: u32,
        timestamps: bool,
        floor: u16,
    ) -> SendMss {
        let default = if remote.is_ipv4() { DEFAULT_V4 } else { DEFAULT_V6 };
        // An option of zero is a peer's mistake, not a wish.
        let peer = option.filter(|mss| *mss != 0).unwrap_or(default);
        let peer = peer.min(wish.unwrap_or(u16::MAX)).max(floor);
        SendMss {
            peer: u32::from(peer),
            path_mtu,
            ip_header: ip_header_len(remote),
            options: if timestamps { TIMESTAMPS_LEN } else { 0 },
            floor: u32::from(floor),
        }
    }

    /// Payload bytes of a full segment.
    pub(crate) fn effective(&self) -> u32 {
        let by_path = self.path_mtu.saturating_sub(self.ip_header + TCP_HEADER);
        // A floor that the path does not carry is the peer's or the user's mistake.
        let floor = self.floor.min(by_path.max(LEAST_FLOOR));
        self.peer.min(by_path).max(floor) - self.options.min(floor)
    }

    /// What the path is taken to carry in one packet, in bytes.
    pub(crate) fn path_mtu(&self) -> u32 {
        self.path_mtu
    }

    /// The path carries packets of at most `mtu` bytes.
    pub(crate) fn set_path_mtu(&mut self, mtu: u32) {
        self.path_mtu = mtu;
    }

    /// The segment size to use towards a peer whose greatest window was `max_window`: at most half
    /// of it, so that a small window is not filled by one segment and then waited for.
    // Implements: 9293 MUST-38
    pub(crate) fn bounded_by_window(&self, max_window: u32) -> u32 {
        let cutoff = if max_window > u32::from(DEFAULT_V4) { max_window / 2 } else { max_window };
        let least = 68u32.saturating_sub(TCP_HEADER + self.options);
        if max_window == 0 { self.effective() } else { self.effective().min(cutoff.max(least)) }
    }
}

/// The MSS that we ask for: what our link carries, options not subtracted (RFC 9293 MUST-67).
// Implements: 9293 SHLD-5, 9293 MUST-67
pub(crate) fn advertised(remote: IpAddr, mtu: usize) -> u16 {
    let by_link = mtu.saturating_sub((ip_header_len(remote) + TCP_HEADER) as usize);
    u16::try_from(by_link).unwrap_or(u16::MAX)
}

fn ip_header_len(remote: IpAddr) -> u32 {
    if remote.is_ipv4() { 20 } else { 40 }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Shows: 9293 MUST-14, 9293 MUST-15, 9293 MUST-16, 9293 MUST-67, H-15
    #[test]
    fn segment_sizes_are_the_rfcs() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (remote, option, mtu, timestamps, effective) in [
            (v4, Some(1460), 1500, true, 1448),
            (v4, Some(1460), 1500, false, 1460),
            (v4, Some(1460), 1400, true, 1348),
            (v4, Some(1000), 1500, true, 988),
            (v4, None, 1500, false, 536),
            (v6, None, 1500, true, 1208),
            (v6, Some(1440), 1500, true, 1428),
            (v4, Some(65_495), 65_535, false, 65_495),
            (v4, Some(0), 1500, false, 536),
            (v4, Some(1), 1500, true, 36),
        ] {
            let mss = SendMss::new(remote, option, None, mtu, timestamps, 48);
            assert_eq!(mss.effective(), effective, "{remote} {option:?} {mtu} {timestamps}");
        }
        let wished = SendMss::new(v4, Some(1460), Some(1000), 1500, true, 48);
        assert_eq!(wished.effective(), 988);
        assert_eq!(advertised(v4, 1500), 1460);
        assert_eq!(advertised(v6, 1500), 1440);
        assert_eq!(advertised(v4, 9000), 8960);
    }

    #[test]
    fn towards_a_small_window_a_segment_is_at_most_half_of_it() {
        let mss = SendMss::new("192.0.2.1".parse().unwrap(), Some(1460), None, 1500, false, 48);
        assert_eq!(mss.bounded_by_window(65_535), 1460);
        assert_eq!(mss.bounded_by_window(2000), 1000);
        assert_eq!(mss.bounded_by_window(537), 268);
        assert_eq!(mss.bounded_by_window(536), 536);
        assert_eq!(mss.bounded_by_window(500), 500);
        assert_eq!(mss.bounded_by_window(3), 48);
        assert_eq!(mss.bounded_by_window(0), 1460, "before the first window is known");
    }
}
