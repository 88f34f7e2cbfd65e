//! What a stack counts: packets before they reach the engine, the engine's own counters, the
//! device's.

use std::borrow::Cow;

use towpath_device::DeviceStatistics;
use towpath_wire::Malformed;

/// The counters of a stack at one moment, with SNMP's names where there is one and a reason for
/// every dropped packet.
///
/// ```
/// # let counters = towpath::Counters::default();
/// for (name, value) in counters.iter().filter(|(_, value)| *value > 0) {
///     println!("{name} {value}");
/// }
/// assert_eq!(counters.get("TcpInSegs"), Some(0));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// What the protocol counts.
    pub protocol: towpath_engine::Counters,
    /// What is counted before a packet reaches the protocol.
    pub packets: PacketCounters,
    /// What the device counts.
    pub device: DeviceStatistics,
}

/// Packets as they come from the device, before the protocol sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketCounters {
    /// Packets that came from the device.
    pub in_receives: u64,
    /// Dropped: the IP header, or the extension headers, are malformed.
    pub in_header_errors: u64,
    /// Dropped: a protocol that the stack does not speak.
    pub in_unknown_protocols: u64,
    /// Dropped: fragments are not put together.
    pub in_fragments: u64,
    /// Dropped: the sender prescribes the packet's route.
    pub in_source_routed: u64,
    /// Dropped: the TCP segment is malformed, its checksum wrong ones included.
    pub in_errors: u64,
    /// Of the above, those whose TCP checksum is wrong.
    pub in_checksum_errors: u64,
    /// Dropped: the ICMP message is malformed.
    pub icmp_in_errors: u64,
    /// ICMP messages of a kind that asks for nothing.
    pub icmp_ignored: u64,
    reasons: [u64; Malformed::ALL.len()],
}

impl PacketCounters {
    pub(crate) fn count_reason(&mut self, reason: Malformed) {
        let position = Malformed::ALL.iter().position(|listed| *listed == reason);
        if let Some(count) = position.and_then(|position| self.reasons.get_mut(position)) {
            *count += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &PacketCounters) {
        self.in_receives += other.in_receives;
        self.in_header_errors += other.in_header_errors;
        self.in_unknown_protocols += other.in_unknown_protocols;
        self.in_fragments += other.in_fragments;
        self.in_source_routed += other.in_source_routed;
        self.in_errors += other.in_errors;
        self.in_checksum_errors += other.in_checksum_errors;
        self.icmp_in_errors += other.icmp_in_errors;
        self.icmp_ignored += other.icmp_ignored;
        for (count, more) in self.reasons.iter_mut().zip(other.reasons) {
            *count += more;
        }
    }

    fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("IpInReceives", self.in_receives),
            ("IpInHdrErrors", self.in_header_errors),
            ("IpInUnknownProtos", self.in_unknown_protocols),
            ("TowpathDropFragment", self.in_fragments),
            ("TowpathDropSourceRoute", self.in_source_routed),
            ("TcpInErrs", self.in_errors),
            ("TcpInCsumErrors", self.in_checksum_errors),
            ("IcmpInErrors", self.icmp_in_errors),
            ("TowpathIcmpIgnored", self.icmp_ignored),
        ]
    }
}

impl Counters {
    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'static, str>, u64)> {
        let device = &self.device;
        let of_device = [
            ("TowpathDeviceRxPackets", device.rx_packets),
            ("TowpathDeviceRxBytes", device.rx_bytes),
            ("TowpathDeviceRxErrors", device.rx_errors),
            ("TowpathDeviceTxPackets", device.tx_packets),
            ("TowpathDeviceTxBytes", device.tx_bytes),
            ("TowpathDeviceTxDropped", device.tx_dropped),
        ];
        let reasons = Malformed::ALL.iter().zip(self.packets.reasons);
        let reasons = reasons.map(|(reason, count)| {
            (Cow::Owned(format!("TowpathMalformed.{}", reason.name())), count)
        });
        self.protocol
            .iter()
            .chain(self.packets.named())
            .chain(of_device)
            .map(|(name, count)| (Cow::Borrowed(name), count))
            .chain(reasons)
    }

    /// The counter of this name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.iter().find(|(listed, _)| listed == name).map(|(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name_of_its_own_and_is_found_by_it() {
        let mut counters = Counters::default();
        counters.packets.in_fragments = 7;
        counters.packets.count_reason(Malformed::ZeroPort);
        let mut names: Vec<_> = counters.iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(counters.get("TowpathDropFragment"), Some(7));
        assert_eq!(counters.get("TowpathMalformed.zero_port"), Some(1));
        assert_eq!(counters.get("TowpathMalformed.truncated"), Some(0));
        assert_eq!(counters.get("NoSuchCounter"), None);
    }
}
