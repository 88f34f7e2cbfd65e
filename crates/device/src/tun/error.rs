//! Why a TUN device could not be opened: the step, the reason, and what helps, in one line.

use std::io;

use crate::sys::TUN_PATH;

/// A TUN device could not be opened.
///
/// Printed, it names the step that failed, the system's reason, and a remedy:
///
/// ```text
/// opening /dev/net/tun: Permission denied (EACCES): run as root, or let this user read and write
/// /dev/net/tun
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunError {
    /// The configuration makes no sense; nothing was touched.
    #[error("TUN configuration: {0}")]
    Config(String),
    /// [`TunDevice::open`](super::TunDevice::open) was called outside a tokio runtime.
    #[error("opening a TUN device: no tokio runtime here: call it inside one, with I/O enabled")]
    NoRuntime,
    /// A step failed. Nothing is left open or created.
    #[error("{step}: {}: {remedy}", reason(error))]
    #[non_exhaustive]
    Step {
        /// What was being done.
        step: String,
        /// The system's answer.
        #[source]
        error: io::Error,
        /// What helps.
        remedy: String,
    },
}

impl From<TunError> for io::Error {
    fn from(error: TunError) -> Self {
        let kind = match &error {
            TunError::Config(_) => io::ErrorKind::InvalidInput,
            TunError::NoRuntime => io::ErrorKind::Other,
            TunError::Step { error, .. } => error.kind(),
        };
        Self::new(kind, error)
    }
}

/// The steps of opening, for their remedies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Control,
    Find,
    OpenDriver,
    Attach,
    Create,
    Framing,
    Offload,
    Describe,
    TxQueueLen(u32),
    Mtu(u32),
    Address(std::net::IpAddr, u8),
    Up,
    Register,
}

impl Step {
    /// Makes a failure of this step of opening the interface `name` into an error.
    pub(super) fn failed(self, name: &str, error: io::Error) -> TunError {
        let remedy = self.remedy(name, error.raw_os_error().unwrap_or(0));
        TunError::Step { step: self.describe(name), error, remedy }
    }

    fn describe(self, name: &str) -> String {
        match self {
            Self::Control => "opening a control socket".to_owned(),
            Self::Find => format!("looking for interface {name}"),
            Self::OpenDriver => format!("opening {TUN_PATH}"),
            Self::Attach => format!("attaching to interface {name}"),
            Self::Create => format!("creating interface {name}"),
            Self::Framing => format!("checking how {name} frames its packets"),
            Self::Offload => format!("turning off the offloads of {name}"),
            Self::Describe => format!("reading the settings of {name}"),
            Self::TxQueueLen(packets) => {
                format!("setting the transmit queue of {name} to {packets} packets")
            }
            Self::Mtu(bytes) => format!("setting the MTU of {name} to {bytes}"),
            Self::Address(address, prefix) => {
                format!("giving {name} the address {address}/{prefix}")
            }
            Self::Up => format!("bringing {name} up"),
            Self::Register => format!("registering {name} with the tokio runtime"),
        }
    }

    fn remedy(self, name: &str, errno: i32) -> String {
        const ADMIN: &str = "run as root or with CAP_NET_ADMIN";
        let generic = "see the kernel log";
        match (self, errno) {
            (_, libc::EMFILE | libc::ENFILE) => "raise the limit of open files (ulimit -n)".into(),
            (Self::OpenDriver, libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                format!("load the driver (modprobe tun); in a container, pass {TUN_PATH} in")
            }
            (Self::OpenDriver, _) => {
                format!("run as root, or let this user read and write {TUN_PATH}")
            }
            (Self::Create, libc::EPERM) => format!(
                "{ADMIN}, or make it once as root for this user: ip tuntap add dev {name} mode tun user USER"
            ),
            (Self::Attach, libc::EPERM) => format!(
                "{name} belongs to another user: {ADMIN}, or make it again with: ip tuntap add dev {name} mode tun user USER"
            ),
            (Self::Attach | Self::Create, libc::EBUSY) => {
                format!("another program has {name} open: stop it, or choose another name")
            }
            (Self::Attach | Self::Create, libc::EINVAL) => {
                format!("{name} exists and is no TUN interface: choose another name")
            }
            (Self::Attach, libc::ENODEV) => {
                format!("make it first: ip tuntap add dev {name} mode tun")
            }
            (Self::Create, libc::EEXIST) => {
                format!("remove it first (ip link del {name}), or attach to it")
            }
            (Self::Framing, _) => format!(
                "another program uses {name} with packet headers: stop it, or choose another name"
            ),
            (Self::TxQueueLen(packets), _) => {
                format!(
                    "until then bursts may be lost: ip link set dev {name} txqueuelen {packets}"
                )
            }
            (Self::Mtu(_), libc::EINVAL) => "give an MTU between 68 and 65535".into(),
            (Self::Address(address, _), libc::EACCES | libc::EAFNOSUPPORT | libc::ENODEV)
                if address.is_ipv6() =>
            {
                format!(
                    "IPv6 is off here: sysctl net.ipv6.conf.{name}.disable_ipv6=0, or give no IPv6 address"
                )
            }
            (Self::Address(..), libc::EEXIST) => {
                "the address is there already: give another".into()
            }
            (_, libc::EPERM | libc::EACCES) => ADMIN.into(),
            _ => generic.into(),
        }
    }
}

/// An error as people read it: the system's text and the name of its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    let bare = text.split(" (os error").next().unwrap_or(&text);
    match errno_name(code) {
        Some(name) => format!("{bare} ({name})"),
        None => text,
    }
}

/// The names of the numbers that these calls give.
fn errno_name(code: i32) -> Option<&'static str> {
    Some(match code {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ENXIO => "ENXIO",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::EMFILE => "EMFILE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::EBADFD => "EBADFD",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENOBUFS => "ENOBUFS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_step_the_reason_and_the_remedy_in_one_line() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(
            Step::OpenDriver.failed("tun0", denied).to_string(),
            "opening /dev/net/tun: Permission denied (EACCES): run as root, or let this user read \
             and write /dev/net/tun"
        );
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        assert_eq!(
            Step::Attach.failed("tun0", busy).to_string(),
            "attaching to interface tun0: Device or resource busy (EBUSY): another program has \
             tun0 open: stop it, or choose another name"
        );
    }

    #[test]
    fn an_error_keeps_its_kind_when_it_becomes_an_io_error() {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        let error = io::Error::from(Step::Create.failed("tun0", denied));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    }
}
