//! The ICMP errors that we send (RFC 1122 section 3.2.2, RFC 4443 section 2.4), and how many of them.
//!
//! Owns the limits: one for each host that is answered, so that a flood with one source is not
//! mirrored, and one for all together, so that a flood with many is not either (Linux's
//! `icmp_ratelimit` and `icmp_msgs_per_sec`). What a packet is to be answered with is the codecs' to
//! say (`towpath_wire::icmp::complaint`).

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::icmp::{ErrorKind, emit_error, reportable};
use towpath_wire::{IpHeader, Protocol};

use super::{ArrivalSource, Endpoint, MAX_ANSWERS};
use crate::config::Config;
use crate::connection::emit;
use crate::instant::Instant;
use crate::output::{Transmit, TransmitBody};

/// Linux's XRLIM_BURST_FACTOR: errors that one host gets before it has to wait.
const BURST_PER_HOST: u32 = 6;

/// Hosts whose share is remembered; one that is forgotten begins with a full share again.
const MAX_HOSTS: usize = 1024;

/// RFC 1812 section 4.3.2.5: internetwork control, with the type of service that was asked for.
const INTERNETWORK_CONTROL: u8 = 0x30;
const TYPE_OF_SERVICE: u8 = 0x07;

/// Which limit an error met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// That of the host which would get it.
    Host,
    /// That of the stack.
    Global,
}

/// How many errors may still leave.
#[derive(Debug, Default)]
pub(crate) struct ErrorLimit {
    hosts: BTreeMap<IpAddr, Share>,
    all: Option<Share>,
}

/// A bucket that fills with time.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// What is saved up: the time that it took.
    saved: Duration,
    at: Instant,
}

impl Share {
    fn full(now: Instant, most: Duration) -> Share {
        Share { saved: most, at: now }
    }

    /// Whether there is as much as `price`.
    fn has(&mut self, now: Instant, price: Duration, most: Duration) -> bool {
        self.saved = self.saved.saturating_add(now - self.at).min(most);
        self.at = now;
        self.saved >= price
    }

    /// Takes `price`, or what is there.
    fn take(&mut self, price: Duration) {
        self.saved = self.saved.saturating_sub(price);
    }
}

impl ErrorLimit {
    /// Whether an error may leave for `host`. `noise` is a number that nobody outside can know.
    // Implements: RFC1122 icmp-rate, RFC4443 s2.4f, H-49
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        config: &Config,
        host: IpAddr,
        noise: u64,
    ) -> Result<(), Refusal> {
        let one = Duration::from_secs(1) / config.icmp_msgs_per_sec.max(1);
        let most = one * config.icmp_msgs_burst;
        let all = self.all.get_or_insert_with(|| Share::full(now, most));
        // Before the hosts are looked at: a flood from ever new ones is not to cost a search for each.
        if !all.has(now, one, most) {
            return Err(Refusal::Global);
        }
        let each = config.icmp_ratelimit;
        if !each.is_zero() {
            let most = each.saturating_mul(BURST_PER_HOST);
            make_room(&mut self.hosts, host);
            let share = self.hosts.entry(host).or_insert_with(|| Share::full(now, most));
            if !share.has(now, each, most) {
                return Err(Refusal::Host);
            }
            share.take(each);
        }
        // As Linux, an error costs one on the average: who counts them from outside (SAD DNS) does
        // not learn how many others got.
        all.take(one * (noise % 3) as u32);
        Ok(())
    }
}

/// Room for one more host: whoever was not answered for longest is forgotten.
fn make_room(hosts: &mut BTreeMap<IpAddr, Share>, host: IpAddr) {
    if hosts.len() < MAX_HOSTS || hosts.contains_key(&host) {
        return;
    }
    let oldest = hosts.iter().min_by_key(|(_, share)| share.at).map(|(host, _)| *host);
    if let Some(oldest) = oldest {
        hosts.remove(&oldest);
    }
}

impl Endpoint {
    /// A packet arrived from the device that this host does not take; its sender is told why, if it
    /// may be told and was not told too often.
    // Implements: RFC1122 s3.2.2, RFC4443 s2.4a, RFC791 s3.1c, RFC8200 s4.2
    pub fn handle_refused(&mut self, now: Instant, kind: ErrorKind, packet: &Bytes) {
        let Some(ip) = reportable(kind, packet) else { return };
        let Some(our_ip) = self.reporting_address(&ip) else { return };
        if self.answers.len() >= MAX_ANSWERS {
            self.counters.icmp_rate_limit_global += 1;
            return;
        }
        let noise = self.secrets.next_number();
        match self.errors_sent.admit(now, &self.config, ip.src, noise) {
            Ok(()) => {}
            Err(Refusal::Host) => {
                self.counters.icmp_rate_limit_host += 1;
                return;
            }
            Err(Refusal::Global) => {
                self.counters.icmp_rate_limit_global += 1;
                return;
            }
        }
        match kind {
            ErrorKind::ParameterProblem { .. } => self.counters.icmp_out_parm_probs += 1,
            ErrorKind::ProtocolUnreachable if ip.src.is_ipv6() => {
                self.counters.icmp_out_parm_probs += 1;
            }
            _ => self.counters.icmp_out_dest_unreachs += 1,
        }
        let message = Bytes::from(emit_error(kind, packet, our_ip, ip.src));
        let protocol = if our_ip.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        let mut header = emit::ip_header(our_ip, ip.src, protocol, self.config.ip_default_ttl);
        if our_ip.is_ipv4() {
            header.dscp = ip.dscp & TYPE_OF_SERVICE | INTERNETWORK_CONTROL;
        }
        let body = TransmitBody::IcmpError { message };
        self.answers.push_back(Transmit { ip: header, body });
    }

    /// The address that reports: the one that was addressed, or, where a group was, the one that
    /// speaks to the sender. `None` if the packet is not for this host.
    fn reporting_address(&mut self, ip: &IpHeader) -> Option<IpAddr> {
        if !(ip.dst.is_ipv6() && ip.dst.is_multicast()) {
            return self.may_arrive(ip.src, ip.dst, ArrivalSource::Device).then_some(ip.dst);
        }
        let our_ip = self.addresses.source_for(ip.src).ok()?;
        self.may_arrive(ip.src, our_ip, ArrivalSource::Device).then_some(our_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    // Shows: RFC1122 icmp-rate, RFC4443 s2.4f
    #[test]
    fn a_host_gets_six_at_once_and_one_a_second() {
        let mut limit = ErrorLimit::default();
        let config = Config::default();
        let mut count = |from: u64, to: u64| {
            (from..to)
                .filter(|milli| {
                    limit.admit(Instant::from_millis(*milli), &config, host(1), 1).is_ok()
                })
                .count()
        };
        assert_eq!(count(0, 100), 6);
        assert_eq!(count(100, 999), 0);
        assert_eq!(count(999, 3100), 3);
        // What is not used is saved, up to six.
        assert_eq!(count(100_000, 100_100), 6);
    }

    // Shows: RFC1122 icmp-rate, H-49
    #[test]
    fn all_hosts_together_get_so_many_a_second_and_not_exactly_that() {
        let config = Config::default().icmp_msgs_per_sec(100).icmp_msgs_burst(50);
        let counts = |seed: u64| -> Vec<usize> {
            let mut limit = ErrorLimit::default();
            let mut noise = seed;
            (0..5u64)
                .map(|second| {
                    (0..1000u64)
                        .filter(|milli| {
                            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                            let now = Instant::from_millis(second * 1000 + milli);
                            let host = host((second * 1000 + milli) as u32);
                            limit.admit(now, &config, host, noise >> 33).is_ok()
                        })
                        .count()
                })
                .collect()
        };
        let (one, other) = (counts(1), counts(2));
        assert_ne!(one, other);
        assert!(one.iter().all(|count| (60..=250).contains(count)), "{one:?}");
    }

    // Shows: H-49
    #[test]
    fn a_flood_beyond_what_all_hosts_get_together_leaves_no_trace_of_its_hosts() {
        let config = Config::default().icmp_msgs_per_sec(10).icmp_msgs_burst(5);
        let mut limit = ErrorLimit::default();
        for number in 0..5000 {
            let admitted = limit.admit(Instant::ZERO, &config, host(number), 1);
            assert_eq!(admitted.is_ok(), number < 5, "{number}");
        }
        assert_eq!(limit.hosts.len(), 5);
        assert_eq!(
            limit.admit(Instant::ZERO, &config, host(1), 1),
            Err(Refusal::Global),
            "whoever asks"
        );
    }

    #[test]
    fn a_limit_beyond_all_time_is_a_limit() {
        let config = Config::default().icmp_ratelimit(Duration::MAX);
        let mut limit = ErrorLimit::default();
        for _ in 0..3 {
            let _ = limit.admit(Instant::from_millis(1), &config, host(1), 1);
        }
        assert_eq!(limit.hosts.len(), 1);
    }

    #[test]
    fn no_more_hosts_are_remembered_than_there_is_room_for() {
        let mut limit = ErrorLimit::default();
        for number in 0..5000 {
            let now = Instant::from_millis(number.into());
            let _ = limit.admit(now, &Config::default(), host(number), 1);
        }
        assert_eq!(limit.hosts.len(), MAX_HOSTS);
    }
}
