//! What the kernel thinks of the TCP sockets of the calling thread's network namespace: the tables
//! `/proc/thread-self/net/tcp` and `tcp6` (proc(5)).

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A socket of the kernel's, TIME-WAIT and half-open ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelSocket {
    /// Its address.
    pub local: SocketAddr,
    /// Its peer's, 0.0.0.0:0 without one.
    pub remote: SocketAddr,
    /// Its state.
    pub state: KernelState,
    /// Bytes that the peer has not acknowledged.
    pub unacknowledged: u32,
    /// Bytes that the application has not read; of a listener, connections not accepted.
    pub unread: u32,
}

/// A state of the kernel's, in the order of its numbers (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9293 section 3.3.2")]
pub enum KernelState {
    Established = 1,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynReceived,
}

const STATES: [(KernelState, &str); 12] = [
    (KernelState::Established, "ESTABLISHED"),
    (KernelState::SynSent, "SYN-SENT"),
    (KernelState::SynReceived, "SYN-RECEIVED"),
    (KernelState::FinWait1, "FIN-WAIT-1"),
    (KernelState::FinWait2, "FIN-WAIT-2"),
    (KernelState::TimeWait, "TIME-WAIT"),
    (KernelState::Close, "CLOSED"),
    (KernelState::CloseWait, "CLOSE-WAIT"),
    (KernelState::LastAck, "LAST-ACK"),
    (KernelState::Listen, "LISTEN"),
    (KernelState::Closing, "CLOSING"),
    (KernelState::NewSynReceived, "SYN-RECEIVED"),
];

impl fmt::Display for KernelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STATES[*self as usize - 1].1)
    }
}

/// All TCP sockets of the calling thread's network namespace.
///
/// # Errors
///
/// When `/proc` cannot be read or a line is not understood.
pub fn all() -> io::Result<Vec<KernelSocket>> {
    let mut sockets = table("/proc/thread-self/net/tcp")?;
    match table("/proc/thread-self/net/tcp6") {
        Ok(more) => sockets.extend(more),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(sockets)
}

/// The state of the socket at `local` whose peer is `remote`, if there is one.
///
/// # Errors
///
/// As [`all`].
pub fn state(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<KernelState>> {
    let found = all()?.into_iter().find(|socket| (socket.local, socket.remote) == (local, remote));
    Ok(found.map(|socket| socket.state))
}

/// The states in which the kernel's client sockets to one server are found, looked at again and
/// again: the short-lived ones may be missed.
#[derive(Debug)]
pub struct StatesSeen {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<KernelState>>>,
}

/// How often the table is read. Reading walks the kernel's whole table of connections.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl StatesSeen {
    /// Watches the sockets whose peer is `server`, on a thread of its own.
    pub fn watch(server: SocketAddr) -> StatesSeen {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                let is_last = stopped.load(Ordering::Acquire);
                for socket in all()?.iter().filter(|socket| socket.remote == server) {
                    if !seen.contains(&socket.state) {
                        seen.push(socket.state);
                    }
                }
                if is_last {
                    return Ok(seen);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        });
        StatesSeen { stop, thread }
    }

    /// Looks once more, and returns the states in the order in which they were first seen.
    ///
    /// # Errors
    ///
    /// As [`all`].
    pub fn stop(self) -> io::Result<Vec<KernelState>> {
        self.stop.store(true, Ordering::Release);
        self.thread
            .join()
            .map_err(|_| io::Error::other("watching the kernel's sockets panicked"))?
    }
}

fn table(path: &str) -> io::Result<Vec<KernelSocket>> {
    let text = fs::read_to_string(path)?;
    let parse = |line: &str| {
        parse(line).ok_or_else(|| io::Error::other(format!("a line of {path}: {line:?}")))
    };
    text.lines().skip(1).map(parse).collect()
}

/// `   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 ...`
fn parse(line: &str) -> Option<KernelSocket> {
    let mut words = line.split_whitespace().skip(1);
    let local = address(words.next()?)?;
    let remote = address(words.next()?)?;
    let number = usize::from_str_radix(words.next()?, 16).ok()?;
    let (unacknowledged, unread) = words.next()?.split_once(':')?;
    Some(KernelSocket {
        local,
        remote,
        state: STATES.get(number.checked_sub(1)?)?.0,
        unacknowledged: u32::from_str_radix(unacknowledged, 16).ok()?,
        unread: u32::from_str_radix(unread, 16).ok()?,
    })
}

/// The address as 32-bit words in the host's order of bytes, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |index: usize| {
        let digits = address.get(8 * index..8 * index + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for (index, four) in octets.chunks_mut(4).enumerate() {
                four.copy_from_slice(&word(index)?);
            }
            // A socket of both families shows an IPv4 peer as a mapped address.
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    /// Loopback packets are handled in the background: what is true soon counts.
    fn soon(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: {:?}", all());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_table_has_the_sockets_of_this_process() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let at = listener.local_addr().unwrap();
            let client = TcpStream::connect(at).unwrap();
            let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let is = |local, remote, state| self::state(local, remote).unwrap() == Some(state);
            soon("the client's end", || is(from, to, KernelState::Established));
            let waits = |socket: &KernelSocket| {
                socket.local == at && socket.state == KernelState::Listen && socket.unread == 1
            };
            soon("one waits to be accepted", || all().unwrap().iter().any(waits));
            drop(client);
            soon("the end that is not accepted", || is(to, from, KernelState::CloseWait));
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_no_socket() {
        for line in ["", "0: 0100007F:0016", "0: 0100007F:0016 0:0 0A 0:0", "0: x y 0D 0:0"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
