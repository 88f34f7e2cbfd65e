//! What a TUN device is to be.

use std::net::IpAddr;

use super::error::TunError;
use crate::sys::LONGEST_NAME;

/// How a [`TunDevice`](super::TunDevice) is opened.
///
/// By default an interface of this name that exists is attached to and left as it is, and one that
/// does not exist is created, set up, and vanishes when the device is dropped. The settings below
/// are for an interface that is created.
///
/// ```
/// use towpath_device::TunConfig;
///
/// let config = TunConfig::new("tow0")
///     .mtu(9000)
///     .address([192, 0, 2, 1].into(), 24)
///     .address("2001:db8::1".parse().unwrap(), 64);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunConfig {
    pub(super) name: String,
    pub(super) presence: Presence,
    pub(super) mtu: u32,
    pub(super) tx_queue_len: u32,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) link: LinkState,
}

/// What is expected of the interface before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Either,
    MustExist,
    MustNotExist,
}

/// What becomes of a created interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    BroughtUp,
    LeftDown,
}

const DEFAULT_MTU: u32 = 1500;
/// The least MTU that IPv4 allows (RFC 791 §3.2) and the most that a packet length can say.
const MTU_RANGE: std::ops::RangeInclusive<u32> = 68..=65_535;
/// RFC 8200 §5. Linux turns IPv6 off on an interface below it.
const LEAST_IPV6_MTU: u32 = 1280;
/// A queue that holds a window of several connections at 1,500 bytes a packet; the driver's own
/// default of 500 loses the bursts of a single one.
const DEFAULT_TX_QUEUE_LEN: u32 = 10_000;

impl TunConfig {
    /// A TUN interface called `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            presence: Presence::Either,
            mtu: DEFAULT_MTU,
            tx_queue_len: DEFAULT_TX_QUEUE_LEN,
            addresses: Vec::new(),
            link: LinkState::BroughtUp,
        }
    }

    /// Attach only: it is an error when the interface does not exist.
    #[must_use]
    pub fn attach(mut self) -> Self {
        self.presence = Presence::MustExist;
        self
    }

    /// Create only: it is an error when the interface exists.
    #[must_use]
    pub fn create(mut self) -> Self {
        self.presence = Presence::MustNotExist;
        self
    }

    /// The MTU of a created interface, in bytes. 1,500 unless set.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = bytes;
        self
    }

    /// How many packets the kernel queues towards us. 10,000 unless set. Where the kernel does not
    /// let us set it, there is a [warning](super::TunDevice::warnings).
    #[must_use]
    pub fn tx_queue_len(mut self, packets: u32) -> Self {
        self.tx_queue_len = packets;
        self
    }

    /// An address for the kernel's side of a created interface, with the length of its network's
    /// prefix; the kernel routes that network to the interface. At most one IPv4 address, any
    /// number of IPv6 addresses.
    #[must_use]
    pub fn address(mut self, address: IpAddr, prefix_length: u8) -> Self {
        self.addresses.push((address, prefix_length));
        self
    }

    /// Leave a created interface down.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.link = LinkState::LeftDown;
        self
    }

    /// Checks the settings together. [`TunDevice::open`](super::TunDevice::open) does it as well.
    ///
    /// # Errors
    ///
    /// [`TunError::Config`] for the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), TunError> {
        let refuse = |problem: String| Err(TunError::Config(problem));
        let name = &self.name;
        if name.is_empty() || name.len() > LONGEST_NAME {
            return refuse(format!("{name:?} is no interface name: 1 to {LONGEST_NAME} bytes"));
        }
        // `%` would ask the kernel for a number; the rest it refuses with a bare EINVAL.
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
        if name.contains(odd) || name == "." || name == ".." {
            return refuse(format!("{name:?} is no interface name: no spaces, '/', ':' or '%'"));
        }
        if !MTU_RANGE.contains(&self.mtu) {
            return refuse(format!("an MTU of {} is out of range: 68 to 65535", self.mtu));
        }
        if i32::try_from(self.tx_queue_len).is_err() {
            return refuse(format!(
                "a transmit queue of {} packets is too long",
                self.tx_queue_len
            ));
        }
        for &(address, prefix) in &self.addresses {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            if prefix > longest {
                return refuse(format!("{address}/{prefix}: a prefix has at most {longest} bits"));
            }
            if address.is_unspecified() || address.is_multicast() {
                return refuse(format!("{address} is no address for an interface"));
            }
            if address.is_ipv6() && self.mtu < LEAST_IPV6_MTU {
                return refuse(format!(
                    "{address} needs an MTU of at least {LEAST_IPV6_MTU}, not {}",
                    self.mtu
                ));
            }
        }
        if self.addresses.iter().filter(|(address, _)| address.is_ipv4()).count() > 1 {
            return refuse("more than one IPv4 address: give one, and routes for the rest".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_with_a_word_on_what_does() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (what, config, says) in [
            ("no name", TunConfig::new(""), "1 to 15 bytes"),
            ("a long name", TunConfig::new("sixteen-bytes-xx"), "1 to 15 bytes"),
            ("a path", TunConfig::new("a/b"), "no spaces"),
            ("a pattern", TunConfig::new("tun%d"), "'%'"),
            ("an alias", TunConfig::new("tun0:1"), "':'"),
            ("a dot", TunConfig::new(".."), "no interface name"),
            ("a small MTU", TunConfig::new("t").mtu(67), "68 to 65535"),
            ("a large MTU", TunConfig::new("t").mtu(65_536), "68 to 65535"),
            ("a long prefix", TunConfig::new("t").address(v4, 33), "at most 32 bits"),
            ("a long prefix", TunConfig::new("t").address(v6, 129), "at most 128 bits"),
            ("IPv6 on a small MTU", TunConfig::new("t").mtu(1279).address(v6, 64), "1280"),
            ("two IPv4", TunConfig::new("t").address(v4, 24).address(v4, 24), "more than one"),
            ("nobody", TunConfig::new("t").address([0; 4].into(), 8), "no address"),
            ("a group", TunConfig::new("t").address([224, 0, 0, 1].into(), 8), "no address"),
            ("a queue", TunConfig::new("t").tx_queue_len(u32::MAX), "too long"),
        ] {
            let error = config.validate().expect_err(what).to_string();
            assert!(error.contains(says), "{what}: {error}");
        }
    }

    #[test]
    fn the_ends_of_each_range_are_accepted() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for config in [
            TunConfig::new("fifteen-bytes-x").mtu(68).address([192, 0, 2, 1].into(), 32),
            TunConfig::new("t").mtu(65_535).address(v6, 128).address([192, 0, 2, 1].into(), 0),
            TunConfig::new("t").mtu(1280).address(v6, 0).tx_queue_len(0).down(),
        ] {
            assert!(config.validate().is_ok(), "{config:?}");
        }
    }
}
