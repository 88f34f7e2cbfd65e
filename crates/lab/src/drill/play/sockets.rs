//! The application's file descriptors. A descriptor only names something of the engine's; what is
//! kept here is what Linux keeps in its socket layer and not in TCP: blocking or not, a bound
//! address, and whether a connect is under way.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use towpath_engine::{ConnectionId, ListenerId, SocketOptions};

use super::calls::wait::Interest;

/// What a descriptor of the script stands for.
#[derive(Debug)]
pub(super) enum File {
    Socket(Socket),
    Epoll(BTreeMap<i64, Interest>),
}

/// A TCP socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) kind: Kind,
    pub(super) nonblocking: bool,
    pub(super) bound: Option<SocketAddr>,
    /// What the next connect or listen begins with.
    pub(super) options: SocketOptions,
    /// A connect was begun whose outcome no call has told yet.
    pub(super) connecting: bool,
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
            connecting: false,
        }
    }
}

/// The descriptors, by the script's numbers.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<i64, File>);

impl Files {
    pub(super) fn get(&self, fd: i64) -> Option<&File> {
        self.0.get(&fd)
    }

    pub(super) fn get_mut(&mut self, fd: i64) -> Option<&mut File> {
        self.0.get_mut(&fd)
    }

    /// Gives `file` the number that the script has for it. `Err` if that is taken.
    pub(super) fn insert(&mut self, fd: i64, file: File) -> Result<(), String> {
        if self.0.contains_key(&fd) {
            return Err(format!("descriptor {fd} is open already"));
        }
        self.0.insert(fd, file);
        Ok(())
    }

    pub(super) fn remove(&mut self, fd: i64) -> Option<File> {
        for file in self.0.values_mut() {
            if let File::Epoll(interests) = file {
                interests.remove(&fd);
            }
        }
        self.0.remove(&fd)
    }

    /// The socket of this number.
    pub(super) fn socket(&self, fd: i64) -> Option<&Socket> {
        match self.0.get(&fd) {
            Some(File::Socket(socket)) => Some(socket),
            _ => None,
        }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (i64, &Socket)> {
        self.0.iter().filter_map(|(fd, file)| match file {
            File::Socket(socket) => Some((*fd, socket)),
            File::Epoll(_) => None,
        })
    }

    pub(super) fn epolls_mut(&mut self) -> impl Iterator<Item = &mut BTreeMap<i64, Interest>> {
        self.0.values_mut().filter_map(|file| match file {
            File::Epoll(interests) => Some(interests),
            File::Socket(_) => None,
        })
    }
}
