//! An address with the length of its network's prefix, and the other hosts of that network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `10.77.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) address: IpAddr,
    pub(crate) len: u8,
}

impl Prefix {
    /// Whether `other` is of the same network.
    pub(crate) fn contains(&self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4() && self.network() == self.network_of(other)
    }

    /// The first host of the network that is not this address.
    pub(crate) fn first_other_host(&self) -> Option<IpAddr> {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        let host_bits = bits - u32::from(self.len);
        // The first address names the network, or, in IPv6, any router; not between two (RFC 3021,
        // RFC 6164).
        let first = if host_bits > 1 { 1 } else { 0 };
        let count = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        (first..count.min(3)).map(|host| self.host(host)).find(|host| *host != self.address)
    }

    fn network(&self) -> u128 {
        self.network_of(self.address)
    }

    fn network_of(&self, address: IpAddr) -> u128 {
        let (value, bits) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let host_bits = bits - u32::from(self.len);
        value.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0)
    }

    fn host(&self, host: u128) -> IpAddr {
        let value = self.network() | host;
        match self.address {
            IpAddr::V4(_) => Ipv4Addr::from_bits(value as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(value).into(),
        }
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let parsed = || {
            let (address, len) = text.split_once('/')?;
            let (address, len) = (address.parse::<IpAddr>().ok()?, len.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            (len <= most).then_some(Prefix { address, len })
        };
        parsed().ok_or_else(|| {
            "not an address with a prefix length, such as 10.77.0.2/24 or fd00::2/64".to_owned()
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_other_host_is_the_lowest_that_is_free() {
        for (own, other) in [
            ("10.77.0.2/24", Some("10.77.0.1")),
            ("10.77.0.1/24", Some("10.77.0.2")),
            ("10.77.0.200/24", Some("10.77.0.1")),
            ("192.168.3.77/16", Some("192.168.0.1")),
            ("10.0.0.5/30", Some("10.0.0.6")),
            ("10.0.0.4/31", Some("10.0.0.5")),
            ("10.0.0.5/31", Some("10.0.0.4")),
            ("10.0.0.5/32", None),
            ("10.0.0.5/0", Some("0.0.0.1")),
            ("fd00::2/64", Some("fd00::1")),
            ("fd00::1/64", Some("fd00::2")),
            ("fd00::6/127", Some("fd00::7")),
            ("fd00::6/128", None),
            ("fd00::6/0", Some("::1")),
        ] {
            let expected = other.map(|text| text.parse().unwrap());
            assert_eq!(prefix(own).first_other_host(), expected, "{own}");
        }
    }

    #[test]
    fn a_network_contains_its_hosts_and_no_others() {
        assert!(prefix("10.77.0.2/24").contains("10.77.0.99".parse().unwrap()));
        assert!(!prefix("10.77.0.2/24").contains("10.77.1.1".parse().unwrap()));
        assert!(!prefix("10.77.0.2/0").contains("fd00::1".parse().unwrap()));
        assert!(prefix("fd00::2/64").contains("fd00::ffff:1".parse().unwrap()));
    }

    #[test]
    fn an_address_without_a_fitting_length_is_refused() {
        for text in ["10.0.0.1", "10.0.0.1/33", "fd00::/129", "x/1", "10.0.0.1/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
