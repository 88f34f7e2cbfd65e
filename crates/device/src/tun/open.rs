//! Opening a TUN interface, step by step, so that a failure leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_tun::Tun;

use super::config::{LinkState, Presence};
use super::error::Step;
use super::io::TunIo;
use super::{TunConfig, TunDevice, TunError, TunOrigin};
use crate::sys::{self, Control, TunFlags};

/// A transmit queue shorter than this loses the bursts of a single connection.
const LEAST_GOOD_TX_QUEUE_LEN: i32 = 1_000;

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
    sys::set_no_offload(file.as_fd()).map_err(failed(Step::Offload))?;
    if origin == TunOrigin::Created {
        set_up(&control, config)?;
    }

    let mtu = control.mtu(name).map_err(failed(Step::Describe))?;
    let warnings = match origin {
        TunOrigin::Created => Vec::new(),
        TunOrigin::Attached => warnings(&control, config).map_err(failed(Step::Describe))?,
    };
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

/// Sets up an interface that we created. On failure its only descriptor closes and it vanishes.
fn set_up(control: &Control, config: &TunConfig) -> Result<(), TunError> {
    let name = config.name.as_str();
    let failed = |step: Step| move |error| step.failed(name, error);
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);

    control
        .set_tx_queue_len(name, number(config.tx_queue_len))
        .map_err(failed(Step::TxQueueLen(config.tx_queue_len)))?;
    control.set_mtu(name, number(config.mtu)).map_err(failed(Step::Mtu(config.mtu)))?;
    for &(address, prefix) in &config.addresses {
        control
            .set_address(name, address, prefix)
            .map_err(failed(Step::Address(address, prefix)))?;
    }
    if config.link == LinkState::BroughtUp {
        control.set_up(name).map_err(failed(Step::Up))?;
    }
    Ok(())
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
