//! The stack's addresses and routes: what is ours, and from which address we speak.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::SocketError;

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    fn new(address: IpAddr, len: u8) -> Result<Prefix, SocketError> {
        let max = if address.is_ipv4() { 32 } else { 128 };
        if len > max { Err(SocketError::InvalidInput) } else { Ok(Prefix { address, len }) }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.len)).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.len)).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }

    /// The directed broadcast address of an IPv4 prefix that has one.
    fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(own) if self.len < 31 => {
                let host = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                Some(Ipv4Addr::from_bits(own.to_bits() | host))
            }
            _ => None,
        }
    }
}

/// Addresses and routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    own: Vec<Prefix>,
    routes: Vec<Prefix>,
}

impl Addresses {
    pub(crate) fn add_address(&mut self, address: IpAddr, len: u8) -> Result<(), SocketError> {
        if address.is_unspecified() || address.is_multicast() || is_loopback(address) {
            return Err(SocketError::InvalidInput);
        }
        let prefix = Prefix::new(address, len)?;
        self.own.push(prefix);
        self.routes.push(prefix);
        Ok(())
    }

    pub(crate) fn add_route(&mut self, destination: IpAddr, len: u8) -> Result<(), SocketError> {
        self.routes.push(Prefix::new(destination, len)?);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.own.iter().map(|prefix| (prefix.address, prefix.len))
    }

    /// Whether packets to `ip` end here.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        is_loopback(ip) || self.own.iter().any(|prefix| prefix.address == ip)
    }

    /// Whether `ip` cannot be one host's: multicast, broadcast, unspecified.
    pub(crate) fn is_not_unicast(&self, ip: IpAddr) -> bool {
        ip.is_multicast()
            || ip.is_unspecified()
            || match ip {
                IpAddr::V4(v4) => {
                    v4.is_broadcast()
                        || v4.octets()[0] == 0
                        || self.own.iter().any(|prefix| prefix.broadcast() == Some(v4))
                }
                IpAddr::V6(_) => false,
            }
    }

    /// The address to speak from to `remote` (RFC 9293 MUST-44).
    // Implements: 9293 MUST-44, RFC1122 s3.2.1.3
    pub(crate) fn source_for(&self, remote: IpAddr) -> Result<IpAddr, SocketError> {
        if is_loopback(remote) || self.is_local(remote) {
            return Ok(remote);
        }
        if !self.routes.iter().any(|route| route.contains(remote)) {
            return Err(SocketError::NetworkUnreachable);
        }
        let mut family =
            self.own.iter().filter(|prefix| prefix.address.is_ipv4() == remote.is_ipv4());
        let on_link = family.clone().filter(|prefix| prefix.contains(remote));
        // Of equal prefixes the first, as Linux takes the primary address; `max_by_key` gives the last.
        on_link
            .rev()
            .max_by_key(|prefix| prefix.len)
            .or_else(|| family.next())
            .map(|prefix| prefix.address)
            .ok_or(SocketError::AddressNotAvailable)
    }
}

/// 127.0.0.0/8 and ::1.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST,
    }
}

/// ::ffff:0.0.0.0/96, which programs use for IPv4 addresses: no packet has one.
pub(crate) fn is_ipv4_in_ipv6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn addresses() -> Addresses {
        let mut addresses = Addresses::default();
        addresses.add_address(ip("10.0.0.1"), 24).unwrap();
        addresses.add_address(ip("10.0.0.2"), 24).unwrap();
        addresses.add_address(ip("192.0.2.9"), 16).unwrap();
        addresses.add_address(ip("2001:db8::1"), 64).unwrap();
        addresses.add_route(ip("198.51.100.0"), 24).unwrap();
        addresses
    }

    // Shows: 9293 MUST-44
    #[test]
    fn the_source_is_the_first_address_on_the_destinations_link_else_the_first_of_all() {
        let addresses = addresses();
        for (remote, source) in [
            ("10.0.0.77", Ok("10.0.0.1")),
            ("192.0.77.1", Ok("192.0.2.9")),
            ("198.51.100.5", Ok("10.0.0.1")),
            ("203.0.113.1", Err(SocketError::NetworkUnreachable)),
            ("2001:db8::2", Ok("2001:db8::1")),
            ("2001:db9::2", Err(SocketError::NetworkUnreachable)),
            ("127.3.4.5", Ok("127.3.4.5")),
            ("10.0.0.1", Ok("10.0.0.1")),
        ] {
            assert_eq!(addresses.source_for(ip(remote)), source.map(ip), "{remote}");
        }
    }

    // Shows: 9293 MUST-57
    #[test]
    fn broadcast_and_multicast_are_nobodys() {
        let addresses = addresses();
        for text in ["10.0.0.255", "255.255.255.255", "224.0.0.1", "0.0.0.0", "0.1.2.3", "ff02::1"]
        {
            assert!(addresses.is_not_unicast(ip(text)), "{text}");
        }
        for text in ["10.0.0.254", "192.0.2.255", "2001:db8::ffff"] {
            assert!(!addresses.is_not_unicast(ip(text)), "{text}");
        }
    }

    #[test]
    fn prefixes_of_every_length_contain_what_they_should() {
        assert!(Prefix::new(ip("1.2.3.4"), 0).unwrap().contains(ip("9.9.9.9")));
        assert!(!Prefix::new(ip("1.2.3.4"), 32).unwrap().contains(ip("1.2.3.5")));
        assert!(Prefix::new(ip("::"), 0).unwrap().contains(ip("2001:db8::1")));
        assert!(!Prefix::new(ip("::"), 0).unwrap().contains(ip("1.2.3.4")));
        assert_eq!(Prefix::new(ip("1.2.3.4"), 33), Err(SocketError::InvalidInput));
    }
}
