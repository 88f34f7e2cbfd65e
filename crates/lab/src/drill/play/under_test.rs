//! Which connection packets are of (section 5 of the language, tuple and socket mapping): one socket
//! at a time is under test, the latest that was made or accepted; a packet that arrives at a socket
//! without a connection makes one.

use core::net::{IpAddr, SocketAddr};

use super::calls::Effect;
use super::live::Live;
use crate::drill::settings::Settings;

/// The port of the first peer that a script plays; every further one has the next.
const FIRST_PEER_PORT: u16 = 49_153;

/// The connections of a script, and the one under test.
#[derive(Debug)]
pub(super) struct UnderTest {
    lives: Vec<Live>,
    current: Option<usize>,
    /// The descriptor whose `TCP_INFO` code is about.
    subject: Option<i64>,
    local_ip: IpAddr,
    remote_ip: IpAddr,
    bind_port: u16,
    next_port: u16,
    remote_shift: u32,
}

impl UnderTest {
    pub(super) fn new(settings: &Settings, remote_shift: u32) -> UnderTest {
        UnderTest {
            lives: Vec::new(),
            current: None,
            subject: None,
            local_ip: settings.local_ip(),
            remote_ip: settings.remote_ip(),
            bind_port: settings.bind_port,
            next_port: FIRST_PEER_PORT,
            remote_shift,
        }
    }

    /// The descriptor of the latest socket.
    pub(super) fn subject(&self) -> Option<i64> {
        self.subject
    }

    /// A call has changed what is under test; `made` is the descriptor that it gave. False if a
    /// connection was accepted that no packet of the script has made.
    pub(super) fn follow(&mut self, effect: Effect, made: Option<i64>) -> bool {
        match effect {
            Effect::None => {}
            Effect::Created => {
                self.current = None;
                self.subject = made;
            }
            Effect::Connecting { local, remote } => {
                self.lives.push(Live::new(local, remote, self.remote_shift));
                self.current = Some(self.lives.len() - 1);
            }
            Effect::Accepted { remote } => {
                let accepted = self.lives.iter().rposition(|live| live.remote == remote);
                self.current = accepted.or(self.current);
                self.subject = made;
                return accepted.is_some();
            }
        }
        true
    }

    /// The connection that a packet from the peer belongs to; a new one if there is none.
    pub(super) fn for_inbound(&mut self, ports: Option<(u16, u16)>) -> &mut Live {
        let place = match (ports, self.current) {
            (Some((peer, own)), _) => self.find_or_make(own, peer),
            (None, Some(current)) => current,
            (None, None) => {
                let port = self.next_port;
                self.next_port = port.checked_add(1).unwrap_or(FIRST_PEER_PORT);
                let made = self.find_or_make(self.bind_port, port);
                self.current = Some(made);
                made
            }
        };
        &mut self.lives[place]
    }

    /// The connection that a packet of the stack has to be of.
    pub(super) fn for_outbound(&mut self, ports: Option<(u16, u16)>) -> Option<&mut Live> {
        let place = match ports {
            Some((own, peer)) => self.find_or_make(own, peer),
            None => self.current?,
        };
        self.lives.get_mut(place)
    }

    /// The connection that a packet of the stack is of.
    pub(super) fn of_output(&self, src: SocketAddr, dst: SocketAddr) -> Option<&Live> {
        self.lives.iter().rev().find(|live| (live.local, live.remote) == (src, dst))
    }

    fn find_or_make(&mut self, own: u16, peer: u16) -> usize {
        let local = SocketAddr::new(self.local_ip, own);
        let remote = SocketAddr::new(self.remote_ip, peer);
        let found =
            self.lives.iter().rposition(|live| (live.local, live.remote) == (local, remote));
        found.unwrap_or_else(|| {
            self.lives.push(Live::new(local, remote, self.remote_shift));
            self.lives.len() - 1
        })
    }
}
