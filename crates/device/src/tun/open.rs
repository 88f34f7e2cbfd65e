//! Opening a TUN interface, step by step, so that a failure leaves nothing behind.

use std::io;
use std::net::{IpAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_tun::Tun;

use super::config::{LinkState, Presence};
use super::error::Step;
use super::io::TunIo;
use super::{TunConfig, TunDevice, TunError, TunOrigin};
use crate::sys::{self, Control, TunFlags};

/// A transmit queue shorter than this loses the bursts of a single connection.
const LEAST_GOOD_TX_QUEUE_LEN: i32 = 1_000;

/// How often we look whether the kernel's work queues are done with what we asked for, and how long
/// between two looks: milliseconds are usual, and its link watch may put its work off for a second.
const LOOKS: u32 = 2_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

pub(super) fn open(config: &TunConfig) -> Result<TunDevice, TunError> {
    config.validate()?;
    Handle::try_current().map_err(|_| TunError::NoRuntime)?;
    let name = config.name.as_str();
    let failed = |step: Step| move |error| step.failed(name, error);

    let control = Control::open().map_err(failed(Step::Control))?;
    let exists = control.index(name).map_err(failed(Step::Find))?.is_some();
    let (origin, step) = match (config.presence, exists) {
        (Presence::MustNotExist, true) => return Err(failed(Step::Create)(os(libc::EEXIST))),
        (Presence::MustExist, false) => return Err(failed(Step::Attach)(os(libc::ENODEV))),
        (_, true) => (TunOrigin::Attached, Step::Attach),
        (_, false) => (TunOrigin::Created, Step::Create),
    };

    let queues = rehearse(name, step)?;
    let tun = build(name, queues).map_err(failed(step))?;
    let file = sys::duplicate(&tun).map_err(failed(Step::Register))?;
    check_framing(&file).map_err(failed(Step::Framing))?;
    if origin == TunOrigin::Attached {
        wait_until_running(&control, name).map_err(failed(Step::Describe))?;
    }
    // Also waits for the lock under which the kernel marks an interface as running and then lets
    // packets to it.
    sys::set_no_offload(file.as_fd()).map_err(failed(Step::Offload))?;
    let warnings = match origin {
        TunOrigin::Created => set_up(&control, config)?,
        TunOrigin::Attached => warnings(&control, config).map_err(failed(Step::Describe))?,
    };
    let mtu = control.mtu(name).map_err(failed(Step::Describe))?;
    let io = TunIo::new(tun, file).map_err(failed(Step::Register))?;
    Ok(TunDevice {
        io: Arc::new(io),
        name: name.to_owned(),
        mtu: usize::try_from(mtu).unwrap_or(0),
        origin,
        warnings,
    })
}

/// How many queues `tokio-tun` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queues {
    /// An interface of one queue.
    Single,
    /// An interface of several; its builder knows them only from two upwards.
    Multi,
}

/// Does what the builder is going to do, on a descriptor that is closed whatever happens, and
/// finds out whether an interface that exists has one queue or several.
fn rehearse(name: &str, step: Step) -> Result<Queues, TunError> {
    let failed = |step: Step| move |error| step.failed(name, error);
    let open = || sys::open_tun().map_err(failed(Step::OpenDriver));

    let probe = open()?;
    let (probe, queues) = match sys::attach(probe.as_fd(), name, TunFlags::SINGLE_QUEUE) {
        Ok(()) => (probe, Queues::Single),
        // EINVAL: the interface has several queues, or is no TUN.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            drop(probe);
            let probe = open()?;
            sys::attach(probe.as_fd(), name, TunFlags::MULTI_QUEUE).map_err(failed(step))?;
            (probe, Queues::Multi)
        }
        Err(error) => return Err(failed(step)(error)),
    };
    // Tokio panics here, and not inside the builder, when its I/O driver is off.
    sys::watch(probe).map_err(failed(Step::Register))?;
    Ok(queues)
}

fn build(name: &str, queues: Queues) -> io::Result<Tun> {
    let builder = Tun::builder().name(name);
    let builder = match queues {
        Queues::Single => builder,
        Queues::Multi => builder.queues(2),
    };
    let tuns = builder.build().map_err(|error| match error {
        tokio_tun::Error::NixError(code) => os(code as i32),
        tokio_tun::Error::IoError(error) => error,
    })?;
    // Dropping a surplus queue detaches it, and the kernel gives its flows to the one that stays.
    tuns.into_iter().next().ok_or_else(|| os(libc::ENODEV))
}

/// Another program that holds a queue of the interface decides its framing for all.
fn check_framing(file: &OwnedFd) -> io::Result<()> {
    if sys::attached_flags(file.as_fd())?.frames_are_packets() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "packets carry a header"))
    }
}

/// Sets up an interface that we created, and says what is left to be told. On failure its only
/// descriptor closes and it vanishes.
fn set_up(control: &Control, config: &TunConfig) -> Result<Vec<String>, TunError> {
    let name = config.name.as_str();
    let failed = |step: Step| move |error| step.failed(name, error);
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);

    let mut warnings = Vec::new();
    // With a short queue packets pass, if not all of them: worth a word, not a failure. A sandbox
    // that forbids netlink leaves the rest possible.
    if let Err(error) = control.set_tx_queue_len(name, config.tx_queue_len) {
        warnings.push(Step::TxQueueLen(config.tx_queue_len).failed(name, error).to_string());
    }
    control.set_mtu(name, number(config.mtu)).map_err(failed(Step::Mtu(config.mtu)))?;
    for &(address, prefix) in &config.addresses {
        control
            .set_address(name, address, prefix)
            .map_err(failed(Step::Address(address, prefix)))?;
    }
    // Before the interface goes up: that waits for the lock under which the kernel clears an
    // address and then adds the route to it.
    let index = control.index(name).map_err(failed(Step::Find))?.unwrap_or(0);
    for &(address, _) in &config.addresses {
        if !becomes_usable(address, index) {
            warnings
                .push(format!("{address} of {name} is not usable yet: ip addr show dev {name}"));
        }
    }
    if config.link == LinkState::BroughtUp {
        control.set_up(name).map_err(failed(Step::Up))?;
    }
    Ok(warnings)
}

/// Waits until an interface that is up passes packets to us.
///
/// Without a reader an interface has no carrier, and the kernel drops what is sent to it. When a
/// reader comes its link watch notices, a moment later.
fn wait_until_running(control: &Control, name: &str) -> io::Result<()> {
    if control.is_up(name)? {
        comes_true(|| control.is_running(name).unwrap_or(true));
    }
    Ok(())
}

/// Waits until a socket may be bound to `address`, of the interface with this index, and says
/// whether it may.
fn becomes_usable(address: IpAddr, index: libc::c_int) -> bool {
    let IpAddr::V6(address) = address else { return true };
    // The scope counts for a link-local address only.
    let scope = u32::try_from(index).unwrap_or(0);
    comes_true(|| match UdpSocket::bind(SocketAddrV6::new(address, 0, 0, scope)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    })
}

fn comes_true(condition: impl Fn() -> bool) -> bool {
    for _ in 0..LOOKS {
        if condition() {
            return true;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    false
}

fn warnings(control: &Control, config: &TunConfig) -> io::Result<Vec<String>> {
    let name = config.name.as_str();
    let mut warnings = Vec::new();
    if !config.addresses.is_empty() {
        warnings.push(format!("{name} existed: it is left as it was, without the addresses given"));
    }
    if !control.is_up(name)? {
        warnings.push(format!("{name} is down, nothing passes: ip link set dev {name} up"));
    }
    let queue = control.tx_queue_len(name)?;
    if queue < LEAST_GOOD_TX_QUEUE_LEN {
        warnings.push(format!(
            "{name} queues only {queue} packets and will lose bursts: \
             ip link set dev {name} txqueuelen {LEAST_GOOD_TX_QUEUE_LEN}"
        ));
    }
    Ok(warnings)
}

fn os(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
