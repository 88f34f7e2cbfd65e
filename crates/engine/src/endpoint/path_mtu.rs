//! What routers have said of the paths to other hosts: the MTU by destination (RFC 1191, RFC 8201).
//!
//! Owns the reported values and how long each is believed. A report has been judged before it gets
//! here: it is about a segment that is outstanding. A black hole, where large packets vanish and
//! nobody reports, is not found by this (RFC 4821 would find it).

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::config::Config;
use crate::instant::Instant;

/// RFC 8200 section 5.
const MIN_V6: u32 = 1280;

/// RFC 1191 section 7: MTUs of links that there are, for routers that do not name theirs.
// Implements: RFC1191 s3
const PLATEAUS: [u32; 11] =
    [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// The path MTUs of a stack that differ from its link's.
#[derive(Debug, Default)]
pub(crate) struct PathMtus {
    known: BTreeMap<IpAddr, Known>,
    /// How many of them are locked.
    locked: usize,
    changes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mtu: u32,
    locked: bool,
    until: Instant,
}

/// The MTU of a path, and how long that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathMtu {
    /// In bytes of IP packet.
    pub(crate) mtu: u32,
    /// When to ask again.
    until: Instant,
    /// What was known when this was asked.
    changes: u32,
}

impl PathMtu {
    /// Whether nothing has been heard since that could change it.
    pub(crate) fn is_current(&self, now: Instant, paths: &PathMtus) -> bool {
        self.changes == paths.changes && now < self.until
    }
}

impl PathMtus {
    /// The MTU of the path to `remote`, from a link that carries `link_mtu`.
    pub(crate) fn lookup(&self, now: Instant, remote: IpAddr, link_mtu: usize) -> PathMtu {
        let link_mtu = u32::try_from(link_mtu).unwrap_or(u32::MAX);
        match self.known.get(&remote).filter(|known| now < known.until) {
            Some(known) => {
                PathMtu { mtu: known.mtu.min(link_mtu), until: known.until, changes: self.changes }
            }
            None => PathMtu { mtu: link_mtu, until: Instant::FAR_FUTURE, changes: self.changes },
        }
    }

    /// Whether packets to `remote` may be cut by routers, since what was reported is less than we
    /// go down to.
    pub(crate) fn may_fragment(&self, now: Instant, remote: IpAddr) -> bool {
        self.locked > 0
            && self.known.get(&remote).is_some_and(|known| known.locked && now < known.until)
    }

    /// A router says that a packet of `packet_len` bytes was too big for a link that carries `mtu`.
    /// Nothing grows by this, and nothing falls below the floor.
    // Implements: RFC1191 s3, RFC1191 s3b, RFC8201 s4a, RFC8201 s4b, H-46
    pub(crate) fn on_report(
        &mut self,
        now: Instant,
        config: &Config,
        remote: IpAddr,
        link_mtu: usize,
        (mtu, packet_len): (u32, usize),
    ) {
        let before = self.lookup(now, remote, link_mtu).mtu;
        if self.may_fragment(now, remote) || mtu > before {
            return;
        }
        let (mtu, locked) = match remote {
            IpAddr::V6(_) if mtu < MIN_V6 => return,
            IpAddr::V6(_) => (mtu, false),
            IpAddr::V4(_) => {
                let mtu = if mtu == 0 { next_plateau(before, packet_len) } else { mtu };
                let floor = u32::from(config.min_pmtu);
                // As Linux: on a path that carries even less, routers may cut our packets.
                if mtu < floor { (floor.min(before), true) } else { (mtu, false) }
            }
        };
        if !self.known.contains_key(&remote) {
            self.make_room(now, config.path_mtu_cache);
        }
        let known = Known { mtu, locked, until: now + config.mtu_expires };
        self.locked += usize::from(locked);
        if let Some(old) = self.known.insert(remote, known) {
            self.locked -= usize::from(old.locked);
        }
        self.changes = self.changes.wrapping_add(1);
    }

    /// The link carries more or less than before: every path is to be asked for again.
    pub(crate) fn on_link_change(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    /// Makes room for one more: what has expired goes, and if that is nothing, what expires first.
    fn make_room(&mut self, now: Instant, limit: usize) {
        if self.known.len() < limit {
            return;
        }
        let before = self.known.len();
        self.known.retain(|_, known| now < known.until);
        if self.known.len() == before
            && let Some(first) =
                self.known.iter().min_by_key(|(_, known)| known.until).map(|(remote, _)| *remote)
        {
            self.known.remove(&first);
        }
        self.locked = self.known.values().filter(|known| known.locked).count();
    }
}

/// The next MTU below that of the packet that was too big. The length in the quote says what that
/// was, unless it cannot be true.
fn next_plateau(before: u32, packet_len: usize) -> u32 {
    let quoted = u32::try_from(packet_len).unwrap_or(u32::MAX);
    let from = if (68..=before).contains(&quoted) { quoted } else { before };
    PLATEAUS.into_iter().find(|plateau| *plateau < from).unwrap_or(68)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const V4: &str = "192.0.2.1";
    const V6: &str = "2001:db8::1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn after(remote: &str, reports: &[(u32, usize)]) -> (u32, bool) {
        let mut paths = PathMtus::default();
        for report in reports {
            paths.on_report(Instant::ZERO, &Config::default(), ip(remote), 1500, *report);
        }
        let now = Instant::ZERO;
        (paths.lookup(now, ip(remote), 1500).mtu, paths.may_fragment(now, ip(remote)))
    }

    // Shows: RFC1191 s3, RFC1191 s3b, RFC8201 s4a, RFC8201 s4b, H-46
    #[test]
    fn reports_lower_the_mtu_down_to_the_floor_and_never_raise_it() {
        for (remote, reports, mtu, cut) in [
            (V4, &[(1400, 1500)][..], 1400, false),
            (V4, &[(1400, 1500), (1450, 1500)], 1400, false),
            (V4, &[(1600, 1500)], 1500, false),
            (V4, &[(552, 1500)], 552, false),
            (V4, &[(551, 1500)], 552, true),
            (V4, &[(68, 1500), (600, 1500), (1400, 1500)], 552, true),
            // Routers that do not say.
            (V4, &[(0, 1500)], 1492, false),
            (V4, &[(0, 1492)], 1006, false),
            (V4, &[(0, 1500), (0, 1492)], 1006, false),
            (V4, &[(0, 1006)], 552, true),
            // Lengths that cannot be: below any packet, or above what we send.
            (V4, &[(0, 28)], 1492, false),
            (V4, &[(0, 60_000)], 1492, false),
            (V6, &[(1400, 1500)], 1400, false),
            (V6, &[(1280, 1500)], 1280, false),
            (V6, &[(1279, 1500)], 1500, false),
            (V6, &[(0, 1500)], 1500, false),
        ] {
            assert_eq!(after(remote, reports), (mtu, cut), "{remote} {reports:?}");
        }
    }

    // Shows: RFC1191 s6.3
    #[test]
    fn a_report_is_believed_for_ten_minutes_and_only_of_its_destination() {
        let mut paths = PathMtus::default();
        let config = Config::default();
        paths.on_report(Instant::ZERO, &config, ip(V4), 1500, (1000, 1500));
        assert_eq!(paths.lookup(Instant::ZERO, ip("192.0.2.2"), 1500).mtu, 1500);
        let asked = paths.lookup(Instant::from_millis(599_999), ip(V4), 1500);
        assert_eq!(asked.mtu, 1000);
        assert!(asked.is_current(Instant::from_millis(599_999), &paths));
        assert!(!asked.is_current(Instant::from_millis(600_000), &paths));
        assert_eq!(paths.lookup(Instant::from_millis(600_000), ip(V4), 1500).mtu, 1500);
        // Said again, it lasts longer.
        paths.on_report(Instant::from_millis(300_000), &config, ip(V4), 1500, (1000, 1500));
        assert!(!asked.is_current(Instant::from_millis(300_000), &paths));
        assert_eq!(paths.lookup(Instant::from_millis(600_000), ip(V4), 1500).mtu, 1000);
    }

    // Shows: H-46, H-49
    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let config = Config::default().path_mtu_cache(3);
        let mut paths = PathMtus::default();
        for host in 1..=10u8 {
            let remote = IpAddr::from([192, 0, 2, host]);
            let now = Instant::ZERO + Duration::from_secs(host.into());
            paths.on_report(
                now,
                &config,
                remote,
                1500,
                (if host % 2 == 0 { 100 } else { 1000 }, 1500),
            );
            assert!(paths.known.len() <= 3);
            assert_eq!(paths.locked, paths.known.values().filter(|known| known.locked).count());
        }
        let now = Instant::ZERO + Duration::from_secs(10);
        // What is said again of one costs nobody else a place.
        paths.on_report(now, &config, IpAddr::from([192, 0, 2, 9]), 1500, (900, 1500));
        assert_eq!(paths.known.len(), 3);
        assert_eq!(paths.lookup(now, IpAddr::from([192, 0, 2, 7]), 1500).mtu, 1500);
        assert_eq!(paths.lookup(now, IpAddr::from([192, 0, 2, 10]), 1500).mtu, 552);
    }
}
