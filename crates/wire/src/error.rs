//! Why a packet was refused.
//!
//! One enum for the whole crate: each variant doubles as a drop-reason counter of the stack above,
//! so it is small, `Copy` and has a stable name. Who counts, and who answers with an ICMP error, is
//! decided elsewhere.

/// The reason why bytes are not a packet that a receiver may act on.
///
/// # Examples
///
/// ```
/// use towpath_wire::Malformed;
///
/// assert_eq!(Malformed::DataOffset.name(), "data_offset");
/// assert!(Malformed::ALL.contains(&Malformed::ZeroPort));
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the fixed header takes.
    #[error("the packet ends inside a fixed header")]
    Truncated,
    /// The version nibble is neither 4 nor 6.
    #[error("the IP version is neither 4 nor 6")]
    IpVersion,
    /// IPv4: the header length is below 20 bytes or beyond the total length.
    #[error("the IPv4 header length is below 20 bytes or beyond the total length")]
    HeaderLength,
    /// The length that the IP header announces is beyond the bytes that arrived.
    #[error("the announced IP length is beyond the packet")]
    TotalLength,
    /// IPv4: the header checksum is wrong.
    #[error("the IPv4 header checksum is wrong")]
    HeaderChecksum,
    /// IPv4: an option has an impossible length.
    #[error("an IPv4 option has an impossible length")]
    Ipv4Options,
    /// IPv6: an extension header has a bad length, or the chain is too long.
    #[error("the IPv6 extension headers are too many, too long or cut short")]
    ExtensionHeaders,
    /// IPv6: a hop-by-hop options header that does not stand directly after the IPv6 header.
    #[error("an IPv6 hop-by-hop header stands in the wrong place")]
    ExtensionOrder,
    /// IPv6: an option that is not known and forbids to ignore it.
    #[error("an unknown IPv6 option demands that the packet be dropped")]
    ExtensionOption,
    /// IPv6: a routing header of an unknown type with segments left.
    #[error("an IPv6 routing header of unknown type has segments left")]
    RoutingHeader,
    /// A fragment is empty, or is not the last and its length is not a multiple of 8.
    #[error("a fragment is empty or not a multiple of 8 bytes long")]
    FragmentLength,
    /// A fragment ends beyond the largest packet there can be.
    #[error("a fragment ends beyond 65,535 bytes")]
    FragmentOffset,
    /// TCP: the data offset is below 5 or beyond the segment.
    #[error("the TCP data offset is below 5 or beyond the segment")]
    DataOffset,
    /// TCP: a port is zero.
    #[error("a TCP port is zero")]
    ZeroPort,
    /// The checksum of the TCP segment or ICMP message is wrong.
    #[error("the transport checksum is wrong")]
    Checksum,
    /// ICMP: fewer bytes than the message needs.
    #[error("the ICMP message is too short")]
    IcmpLength,
}

impl Malformed {
    /// Every reason, in the order of the layers.
    pub const ALL: &[Malformed] = &[
        Malformed::Truncated,
        Malformed::IpVersion,
        Malformed::HeaderLength,
        Malformed::TotalLength,
        Malformed::HeaderChecksum,
        Malformed::Ipv4Options,
        Malformed::ExtensionHeaders,
        Malformed::ExtensionOrder,
        Malformed::ExtensionOption,
        Malformed::RoutingHeader,
        Malformed::FragmentLength,
        Malformed::FragmentOffset,
        Malformed::DataOffset,
        Malformed::ZeroPort,
        Malformed::Checksum,
        Malformed::IcmpLength,
    ];

    /// The name of the reason's counter, in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Malformed::Truncated => "truncated",
            Malformed::IpVersion => "ip_version",
            Malformed::HeaderLength => "header_length",
            Malformed::TotalLength => "total_length",
            Malformed::HeaderChecksum => "header_checksum",
            Malformed::Ipv4Options => "ipv4_options",
            Malformed::ExtensionHeaders => "extension_headers",
            Malformed::ExtensionOrder => "extension_order",
            Malformed::ExtensionOption => "extension_option",
            Malformed::RoutingHeader => "routing_header",
            Malformed::FragmentLength => "fragment_length",
            Malformed::FragmentOffset => "fragment_offset",
            Malformed::DataOffset => "data_offset",
            Malformed::ZeroPort => "zero_port",
            Malformed::Checksum => "checksum",
            Malformed::IcmpLength => "icmp_length",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Malformed;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_stands_at_its_own_index() {
        let names: HashSet<_> = Malformed::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Malformed::ALL.len());
        for (index, reason) in Malformed::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index, "{} can index a table of counters", reason.name());
        }
        assert_eq!(
            Malformed::ALL.last(),
            Some(&Malformed::IcmpLength),
            "the last variant is listed"
        );
    }
}
