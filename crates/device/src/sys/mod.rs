//! The kernel's interface calls: the only `unsafe` code of Towpath.
//!
//! Typed wrappers around the ioctls of netdevice(7) and of the TUN driver
//! (Documentation/networking/tuntap.rst), with `netlink` for what they cannot do, and nothing above
//! them: what is called in which order,
//! and what a failure means to a person, is decided in [`tun`](crate::tun). Each call takes
//! borrowed descriptors and gives owned ones, so a failure leaves nothing open.
#![allow(unsafe_code)]

mod netlink;

use std::fs::OpenOptions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use libc::{c_int, c_short, c_void};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The driver's control device.
pub(crate) const TUN_PATH: &str = "/dev/net/tun";

/// The longest interface name, in bytes: IFNAMSIZ less its final NUL.
pub(crate) const LONGEST_NAME: usize = libc::IFNAMSIZ - 1;

/// How a descriptor is attached to a TUN interface, as the driver counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TunFlags(c_int);

impl TunFlags {
    /// Whole IP packets without a header of the driver's, one queue.
    pub(crate) const SINGLE_QUEUE: Self = Self(libc::IFF_TUN | libc::IFF_NO_PI);
    /// The same, one of several queues.
    pub(crate) const MULTI_QUEUE: Self =
        Self(libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE);

    /// Whether reads and writes carry an IP packet and nothing else.
    pub(crate) fn frames_are_packets(self) -> bool {
        let framing = libc::IFF_TUN | libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        self.0 & framing == libc::IFF_TUN | libc::IFF_NO_PI
    }
}

/// Opens the TUN driver, attached to no interface.
pub(crate) fn open_tun() -> io::Result<OwnedFd> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN_PATH)?;
    Ok(file.into())
}

/// TUNSETIFF: attaches `tun` to the interface `name`, which is created when it does not exist.
pub(crate) fn attach(tun: BorrowedFd<'_>, name: &str, flags: TunFlags) -> io::Result<()> {
    let mut request = request(name)?;
    // The kernel's field is 16 bits wide; every flag that is set here fits.
    request.ifr_ifru.ifru_flags = flags.0 as c_short;
    ioctl_interface(tun, libc::TUNSETIFF, &mut request)
}

/// TUNGETIFF: how `tun` is attached.
pub(crate) fn attached_flags(tun: BorrowedFd<'_>) -> io::Result<TunFlags> {
    let mut request = empty_request();
    ioctl_interface(tun, libc::TUNGETIFF, &mut request)?;
    // SAFETY: the kernel has filled in `ifru_flags`; all of the union's bytes are initialised in
    // any case, and every bit pattern is a short.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    // Without sign extension: IFF_NO_FILTER..IFF_VNET_HDR lie below bit 16.
    Ok(TunFlags(c_int::from(flags as u16)))
}

/// TUNSETOFFLOAD 0: no checksum or segmentation is left to the reader of `tun`.
///
/// The setting belongs to the interface and outlives whoever made it; a persistent interface may
/// come with offloads that an earlier program left on.
// Implements: I-34
pub(crate) fn set_no_offload(tun: BorrowedFd<'_>) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours; the
    // descriptor is open for as long as it is borrowed.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, none) })
}

/// A second descriptor of the same open file as `file`'s.
///
/// For a type that shows its descriptor as a number only.
pub(crate) fn duplicate(file: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: `file` owns the descriptor and is borrowed here, so it stays open meanwhile.
    let borrowed = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
    borrowed.try_clone_to_owned()
}

/// Registers `file` with the current tokio runtime, for reading, writing and errors.
///
/// Panics when the runtime's I/O driver is not enabled.
pub(crate) fn watch(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let interest = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
    // SAFETY: an `OwnedFd` is open, always names the same open file, and is owned by the `AsyncFd`
    // until that is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(file, interest) }?)
}

/// Asks and sets the properties of interfaces, in the network namespace of the calling thread.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
}

impl Control {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: datagram_socket(libc::AF_INET, 0)? })
    }

    /// The index of the interface, if there is one of this name.
    pub(crate) fn index(&self, name: &str) -> io::Result<Option<c_int>> {
        let mut request = request(name)?;
        match self.ask(libc::SIOCGIFINDEX, &mut request) {
            // SAFETY: the kernel has filled in `ifru_ifindex`, an integer.
            Ok(()) => Ok(Some(unsafe { request.ifr_ifru.ifru_ifindex })),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn existing_index(&self, name: &str) -> io::Result<c_int> {
        self.index(name)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    pub(crate) fn mtu(&self, name: &str) -> io::Result<c_int> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the kernel has filled in `ifru_mtu`, an integer.
        Ok(unsafe { request.ifr_ifru.ifru_mtu })
    }

    pub(crate) fn set_mtu(&self, name: &str, mtu: c_int) -> io::Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_mtu = mtu;
        self.ask(libc::SIOCSIFMTU, &mut request)
    }

    /// The length of the interface's transmit queue, in packets.
    pub(crate) fn tx_queue_len(&self, name: &str) -> io::Result<c_int> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFTXQLEN, &mut request)?;
        // SAFETY: the kernel has filled in its `ifr_qlen`, an integer at the place of `ifru_mtu`.
        Ok(unsafe { request.ifr_ifru.ifru_mtu })
    }

    pub(crate) fn set_tx_queue_len(&self, name: &str, packets: u32) -> io::Result<()> {
        netlink::set_tx_queue_len(self.existing_index(name)?, packets)
    }

    pub(crate) fn is_up(&self, name: &str) -> io::Result<bool> {
        Ok(self.flags(name)? & libc::IFF_UP as c_short != 0)
    }

    /// Whether the interface is up and the kernel passes packets to it.
    pub(crate) fn is_running(&self, name: &str) -> io::Result<bool> {
        Ok(self.flags(name)? & libc::IFF_RUNNING as c_short != 0)
    }

    pub(crate) fn set_up(&self, name: &str) -> io::Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_flags = self.flags(name)? | libc::IFF_UP as c_short;
        self.ask(libc::SIOCSIFFLAGS, &mut request)
    }

    fn flags(&self, name: &str) -> io::Result<c_short> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the kernel has filled in `ifru_flags`, a short.
        Ok(unsafe { request.ifr_ifru.ifru_flags })
    }

    /// Gives the interface an address. An IPv4 address replaces the one it has.
    pub(crate) fn set_address(&self, name: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                self.set_v4(libc::SIOCSIFADDR, name, address)?;
                self.set_v4(libc::SIOCSIFNETMASK, name, netmask(prefix))
            }
            IpAddr::V6(address) => self.add_v6(name, address, prefix),
        }
    }

    fn set_v4(&self, call: libc::c_ulong, name: &str, address: Ipv4Addr) -> io::Result<()> {
        let mut request = request(name)?;
        let octets = address.octets();
        let mut sockaddr = libc::sockaddr { sa_family: libc::AF_INET as _, sa_data: [0; 14] };
        // A `sockaddr_in` seen as a `sockaddr`: two bytes of port, then the address.
        for (place, octet) in sockaddr.sa_data[2..6].iter_mut().zip(octets) {
            *place = octet as libc::c_char;
        }
        request.ifr_ifru.ifru_addr = sockaddr;
        self.ask(call, &mut request)
    }

    fn add_v6(&self, name: &str, address: Ipv6Addr, prefix: u8) -> io::Result<()> {
        let mut request = libc::in6_ifreq {
            ifr6_addr: libc::in6_addr { s6_addr: address.octets() },
            ifr6_prefixlen: u32::from(prefix),
            ifr6_ifindex: self.existing_index(name)?,
        };
        let socket = datagram_socket(libc::AF_INET6, 0)?;
        let argument: *mut c_void = (&raw mut request).cast();
        // SAFETY: on an IPv6 socket SIOCSIFADDR reads one `in6_ifreq`, which `request` is, and
        // keeps no pointer to it.
        check(unsafe {
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as libc::Ioctl, argument)
        })
    }

    fn ask(&self, call: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        ioctl_interface(self.socket.as_fd(), call as libc::Ioctl, request)
    }
}

fn netmask(prefix: u8) -> Ipv4Addr {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// A socket that never blocks.
fn datagram_socket(family: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket(2) takes three integers.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    check(fd)?;
    // SAFETY: the call succeeded, so `fd` is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn empty_request() -> libc::ifreq {
    // SAFETY: `ifreq` is made of integers, arrays and unions of them, and a pointer; all bytes zero
    // is a value of each.
    unsafe { std::mem::zeroed() }
}

/// A request about the interface `name`.
fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.len() > LONGEST_NAME {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let mut request = empty_request();
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// An ioctl whose argument is an `ifreq`.
fn ioctl_interface(
    fd: BorrowedFd<'_>,
    call: libc::Ioctl,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    let argument: *mut libc::ifreq = request;
    // SAFETY: every caller passes a call that reads and writes one `ifreq` and keeps no pointer to
    // it; `request` is one, fully initialised and exclusively borrowed.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), call, argument) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Leaves the interface `name`, which persists, with checksums left to its reader, as a program
/// that used offloads does.
#[cfg(test)]
pub(crate) fn leave_offloads_on(name: &str) -> io::Result<()> {
    let tun = open_tun()?;
    attach(tun.as_fd(), name, TunFlags::SINGLE_QUEUE)?;
    // SAFETY: as in `set_no_offload`.
    check(unsafe {
        libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, libc::TUN_F_CSUM as libc::c_ulong)
    })
}

/// Refuses netlink sockets to this thread from now on, and to the programs that it starts, as a
/// sandbox does that allows Internet sockets only.
#[cfg(test)]
pub(crate) fn refuse_netlink() -> io::Result<()> {
    // Where `seccomp_data` has the number of the call and (the low half of) its first argument.
    const CALL_AT: u32 = 0;
    const FIRST_ARGUMENT_AT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    let instruction = |code: u32, skip_unless_equal: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip_unless_equal,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let compare = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        instruction(load, 0, CALL_AT),
        instruction(compare, 3, libc::SYS_socket as u32),
        instruction(load, 0, FIRST_ARGUMENT_AT),
        instruction(compare, 1, libc::AF_NETLINK as u32),
        instruction(answer, 0, libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32),
        instruction(answer, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (on, off): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: PR_SET_NO_NEW_PRIVS takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, off, off, off) })?;
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: PR_SET_SECCOMP with this mode reads one `sock_fprog`, which `program` is, and the
    // instructions that it points at, an array of that length; it keeps no pointer to them.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_answers_questions() {
        let control = Control::open().unwrap();
        assert!(control.index("lo").unwrap().is_some());
        assert!(control.mtu("lo").unwrap() >= 1280);
        assert!(control.tx_queue_len("lo").unwrap() > 0);
    }

    #[test]
    fn an_interface_that_is_not_there_is_no_error_to_look_for() {
        let control = Control::open().unwrap();
        assert_eq!(control.index("towpath-none").unwrap(), None);
        let error = control.mtu("towpath-none").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused_and_not_cut() {
        let error = Control::open().unwrap().index("sixteen-bytes-xx").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }

    #[test]
    fn a_prefix_becomes_a_netmask() {
        for (prefix, mask) in
            [(0, "0.0.0.0"), (1, "128.0.0.0"), (24, "255.255.255.0"), (32, "255.255.255.255")]
        {
            assert_eq!(netmask(prefix).to_string(), mask);
        }
    }

    #[test]
    fn only_bare_tun_frames_count_as_packets() {
        assert!(TunFlags::SINGLE_QUEUE.frames_are_packets());
        assert!(TunFlags::MULTI_QUEUE.frames_are_packets());
        for (what, flags) in [
            ("packet information", libc::IFF_TUN),
            ("a TAP", libc::IFF_TAP | libc::IFF_NO_PI),
            ("a virtio-net header", libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR),
        ] {
            assert!(!TunFlags(flags).frames_are_packets(), "{what}");
        }
    }
}
