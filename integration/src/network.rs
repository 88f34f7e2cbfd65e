//! A further network namespace of a scenario: where a peer lives that is not at the other end of
//! our interface, or a router.
//!
//! A thread that moves into a namespace is the only thing there; the rest of the process stays.
//! Sockets stay where they were made, so a task of any thread uses them. The namespace goes with
//! its last descriptor, socket and interface (network_namespaces(7)).

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::net::{TcpListener, TcpSocket};

/// How long the kernel may take to find out that a link works, or that an address is free.
const SOON_UP: Duration = Duration::from_secs(10);

/// A network namespace.
#[derive(Debug)]
pub struct Network {
    namespace: File,
}

impl Network {
    /// A fresh one, with nothing in it but a loopback interface.
    ///
    /// # Panics
    ///
    /// When the kernel gives none.
    pub fn create() -> Network {
        let network = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            Network::here()
        });
        network.ip("link set lo up");
        network.without_duplicate_detection();
        network
    }

    /// Lets interfaces that come from now on use their IPv6 addresses at once: nobody else can have
    /// them, and the search takes two seconds (RFC 4862 section 5.4).
    pub(crate) fn without_duplicate_detection(&self) {
        self.sysctl("net.ipv6.conf.all.accept_dad", "0");
        self.sysctl("net.ipv6.conf.default.accept_dad", "0");
    }

    /// The one that the calling thread is in.
    ///
    /// # Panics
    ///
    /// When `/proc` cannot be read.
    pub fn here() -> Network {
        let namespace = File::open("/proc/thread-self/ns/net").expect("this thread's namespace");
        Network { namespace }
    }

    /// Does something inside, on a thread of its own, and waits for it.
    ///
    /// # Panics
    ///
    /// When `act` does.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("entering the namespace");
            act()
        })
    }

    /// Has `ip` carry out these lines inside, each as it would stand behind `ip` in a shell.
    ///
    /// # Panics
    ///
    /// When one of them fails.
    pub fn ip(&self, lines: &str) {
        let output = self.within(|| {
            let mut command = Command::new("ip");
            command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("starting ip");
            let mut stdin = child.stdin.take().expect("its input");
            stdin.write_all(lines.as_bytes()).expect("telling ip");
            drop(stdin);
            child.wait_with_output().expect("waiting for ip")
        });
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip: {}: {lines}", words.trim());
    }

    /// Waits until an interface carries packets: some time after its other end was set up, and until
    /// then what is sent is lost without a word.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub fn wait_until_up(&self, interface: &str) {
        let deadline = Instant::now() + SOON_UP;
        let show = || Command::new("ip").args(["-oneline", "link", "show", interface]).output();
        loop {
            let output = self.within(show).expect("starting ip");
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains(" state UP ") {
                return;
            }
            assert!(Instant::now() < deadline, "{interface} is not up: {text}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sets what sysctl(8) calls `name` inside.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let set = self.within(|| fs::write(&path, value));
        set.unwrap_or_else(|error| panic!("sysctl {name}={value}: {error}"));
    }

    /// What opens it from any process that may.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// A socket inside, bound to `at`, whose port may be in TIME-WAIT. An IPv6 address that was just
    /// added is waited for: the kernel makes it usable in the background.
    ///
    /// # Panics
    ///
    /// When the kernel gives none.
    pub fn socket(&self, at: SocketAddr) -> TcpSocket {
        let made =
            self.within(|| if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() });
        let socket = made.expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        let deadline = Instant::now() + SOON_UP;
        while let Err(error) = socket.bind(at) {
            let may_come = error.kind() == io::ErrorKind::AddrNotAvailable && at.is_ipv6();
            assert!(may_come && Instant::now() < deadline, "binding to {at}: {error}");
            thread::sleep(Duration::from_millis(2));
        }
        socket
    }

    /// A listener inside.
    ///
    /// # Panics
    ///
    /// When the kernel gives none.
    pub fn listener(&self, at: SocketAddr) -> TcpListener {
        self.socket(at).listen(128).expect("the kernel listens")
    }
}

fn on_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Whether `ip` starts here.
///
/// # Errors
///
/// Why not, and what helps, in one line.
pub fn find_ip() -> Result<(), String> {
    match Command::new("ip").arg("-V").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ip -V ended with {status}: install iproute2 anew")),
        Err(error) => Err(format!("starting ip: {error}: install it (package iproute2)")),
    }
}
