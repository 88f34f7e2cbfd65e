//! The application's file descriptors. A descriptor only names something of the engine's; what is
//! kept here is what Linux keeps in its socket layer and not in TCP: blocking or not, a bound
//! address, options that wait for their connection.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use towpath_engine::{ConnectionId, ListenerId, SocketOptions};

use super::calls::wait::Interest;
use super::error_queue::ErrorQueue;

/// What a descriptor of the script stands for.
#[derive(Debug)]
pub(super) enum File {
    Socket(Box<Socket>),
    Epoll(BTreeMap<i64, Interest>),
    /// A file of zeros.
    Zeros(Zeros),
    /// One end of a pipe, by the pipe's number.
    Pipe(usize, End),
}

/// A file that is open: all its bytes are zeros, as are all that scripts write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zeros {
    pub(super) len: u64,
    /// Where the next read begins.
    pub(super) at: u64,
}

/// The two ends of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Read,
    Write,
}

/// A TCP socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) kind: Kind,
    pub(super) nonblocking: bool,
    pub(super) bound: Option<SocketAddr>,
    /// What the next connect or listen begins with.
    pub(super) options: SocketOptions,
    /// TCP_INQ: what is left to read is told with each recvmsg.
    pub(super) tells_unread: bool,
    pub(super) errors: ErrorQueue,
    /// There is room again since a write was refused.
    pub(super) has_room: bool,
}

/// What the engine has for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Fresh,
    Listening(ListenerId),
    Connection(ConnectionId),
}

impl Socket {
    pub(super) fn new(kind: Kind, nonblocking: bool) -> Socket {
        Socket {
            kind,
            nonblocking,
            bound: None,
            options: SocketOptions::default(),
            tells_unread: false,
            errors: ErrorQueue::default(),
            has_room: true,
        }
    }
}

/// The descriptors, by the script's numbers.
#[derive(Debug, Default)]
pub(super) struct Files {
    by_number: BTreeMap<i64, File>,
    /// The bytes that lie in each pipe.
    pub(super) pipes: Vec<usize>,
    /// The files that commands have made, with their lengths.
    pub(super) on_disk: BTreeMap<String, u64>,
    /// A socket does not discover its path's MTU: reports of it would not mean what they mean here.
    pub(super) ignores_reports_of_mtu: bool,
}

impl Files {
    pub(super) fn get(&self, fd: i64) -> Option<&File> {
        self.by_number.get(&fd)
    }

    pub(super) fn get_mut(&mut self, fd: i64) -> Option<&mut File> {
        self.by_number.get_mut(&fd)
    }

    /// Gives `file` the number that the script has for it. `Err` if that is taken.
    pub(super) fn insert(&mut self, fd: i64, file: File) -> Result<(), String> {
        if self.by_number.contains_key(&fd) {
            return Err(format!("descriptor {fd} is open already"));
        }
        self.by_number.insert(fd, file);
        Ok(())
    }

    pub(super) fn remove(&mut self, fd: i64) -> Option<File> {
        for file in self.by_number.values_mut() {
            if let File::Epoll(interests) = file {
                interests.remove(&fd);
            }
        }
        self.by_number.remove(&fd)
    }

    /// The length of a file that a command has made.
    pub(super) fn length_of(&self, path: &str) -> Option<u64> {
        self.on_disk.get(path).copied()
    }

    /// The socket of this number.
    pub(super) fn socket(&self, fd: i64) -> Option<&Socket> {
        match self.by_number.get(&fd) {
            Some(File::Socket(socket)) => Some(socket),
            _ => None,
        }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (i64, &Socket)> {
        self.by_number.iter().filter_map(|(fd, file)| match file {
            File::Socket(socket) => Some((*fd, &**socket)),
            _ => None,
        })
    }

    pub(super) fn sockets_mut(&mut self) -> impl Iterator<Item = (i64, &mut Socket)> {
        self.by_number.iter_mut().filter_map(|(fd, file)| match file {
            File::Socket(socket) => Some((*fd, &mut **socket)),
            _ => None,
        })
    }

    pub(super) fn epolls_mut(&mut self) -> impl Iterator<Item = &mut BTreeMap<i64, Interest>> {
        self.by_number.values_mut().filter_map(|file| match file {
            File::Epoll(interests) => Some(interests),
            _ => None,
        })
    }
}
