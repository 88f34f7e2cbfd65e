//! Local ports: who uses them, and which one is chosen (RFC 6056 algorithm 4, double hash, within
//! `ip_local_port_range`).
//!
//! Owns the uses, by port and by address for binding, and by destination for connecting: a port that
//! leads to one server may lead to another as well. Where a search begins is a keyed hash's matter;
//! whether a port is free is read from sets of bits, so that a full range costs no more than a free
//! one, and no look-up in the table of connections.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use hashbrown::HashTable;

use super::port_set::PortBits;
use super::table::FourTuple;
use crate::config::Config;
use crate::instant::Instant;
use crate::secrets::Secrets;

/// RFC 6056 section 3.3.4: the table that separates destinations; Linux's size, since a small one
/// lets a client be recognized (CVE-2022-1012).
const TABLE_SIZE: usize = 1 << 16;
/// Linux's step between two choices is random below this, in ports of one parity.
const MAX_STRIDE: u64 = 8;
/// Up to so many ports of one destination are a list; above, bits.
const FEW: usize = 32;

/// Which local ports are used, and where the next search begins.
#[derive(Debug)]
pub(crate) struct Ports {
    /// First and last port that may be chosen.
    range: (u16, u16),
    /// Ports that anybody uses, and how many do.
    used: HashTable<Use>,
    /// Addresses with their ports.
    names: HashTable<Name>,
    destinations: HashTable<Destination>,
    /// Ports of the range that anybody uses.
    taken: PortBits,
    /// Ports of the range that no connect may choose: reserved, or somebody listens.
    closed: PortBits,
    /// Ports of the range that nobody chooses.
    reserved: PortBits,
    /// How far each destination's search has moved on.
    moved: Vec<u16>,
}

/// A port in use.
#[derive(Debug)]
struct Use {
    port: u16,
    v4: u32,
    v6: u32,
    /// Of the users, listeners.
    listeners: u32,
}

/// An address with a port, in use. Listeners on all addresses have the unspecified one.
#[derive(Debug)]
struct Name {
    name: SocketAddr,
    users: u32,
}

/// What is used of the range towards one destination.
#[derive(Debug)]
struct Destination {
    key: Key,
    ports: Held,
    /// Ports in TIME-WAIT that a connect may take over, and since when, the longest there first. Some
    /// may have been left since.
    reusable: VecDeque<(u16, Instant)>,
}

/// One of our addresses, and where a connect from it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    local: IpAddr,
    remote: SocketAddr,
}

impl Key {
    fn of(tuple: &FourTuple) -> Key {
        Key { local: tuple.local_ip, remote: tuple.remote() }
    }

    fn hash(&self, secrets: &Secrets) -> u64 {
        let local = SocketAddr::new(self.local, 0);
        secrets.table_hash(&FourTuple::new(local, self.remote))
    }
}

/// A set of ports, small or large.
#[derive(Debug)]
enum Held {
    Few(Vec<u16>),
    Many(PortBits),
}

impl Held {
    fn insert(&mut self, range: (u16, u16), port: u16) {
        if let Held::Few(list) = self {
            if list.len() < FEW {
                list.push(port);
                return;
            }
            let mut bits = PortBits::new(range);
            list.iter().for_each(|port| bits.insert(*port));
            *self = Held::Many(bits);
        }
        if let Held::Many(bits) = self {
            bits.insert(port);
        }
    }

    fn remove(&mut self, port: u16) {
        match self {
            Held::Few(list) => {
                if let Some(at) = list.iter().position(|held| *held == port) {
                    list.swap_remove(at);
                }
            }
            Held::Many(bits) => {
                bits.remove(port);
                if bits.len() <= FEW / 2 {
                    *self = Held::Few(bits.iter().collect());
                }
            }
        }
    }

    fn contains(&self, port: u16) -> bool {
        match self {
            Held::Few(list) => list.contains(&port),
            Held::Many(bits) => bits.contains(port),
        }
    }

    fn len(&self) -> usize {
        match self {
            Held::Few(list) => list.len(),
            Held::Many(bits) => bits.len(),
        }
    }
}

/// What a connect found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Free(u16),
    /// Every port is used, but this one came into TIME-WAIT then, before all others; it may have left
    /// it since.
    Reusable(u16, Instant),
}

impl Ports {
    pub(crate) fn new(config: &Config) -> Ports {
        let range = config.ip_local_port_range;
        let mut reserved = PortBits::new(range);
        for (first, last) in config.ip_local_reserved_ports.ranges() {
            (*first..=*last).for_each(|port| reserved.insert(port));
        }
        Ports {
            range,
            used: HashTable::new(),
            names: HashTable::new(),
            destinations: HashTable::new(),
            taken: PortBits::new(range),
            closed: reserved.clone(),
            reserved,
            moved: vec![0; TABLE_SIZE],
        }
    }

    /// Without users, by other settings; searches go on where they were.
    pub(crate) fn emptied(&mut self, config: &Config) -> Ports {
        Ports { moved: core::mem::take(&mut self.moved), ..Ports::new(config) }
    }

    /// A connection, or a record of one, begins to use its four numbers.
    pub(crate) fn acquire(&mut self, secrets: &Secrets, tuple: &FourTuple) {
        self.acquire_name(secrets, tuple.local());
        if !self.taken.covers(tuple.local_port) {
            return;
        }
        let (key, range) = (Key::of(tuple), self.range);
        self.destinations
            .entry(key.hash(secrets), |other| other.key == key, |other| other.key.hash(secrets))
            .or_insert_with(|| Destination {
                key,
                ports: Held::Few(Vec::new()),
                reusable: VecDeque::new(),
            })
            .get_mut()
            .ports
            .insert(range, tuple.local_port);
    }

    /// It uses them no longer.
    pub(crate) fn release(&mut self, secrets: &Secrets, tuple: &FourTuple) {
        self.release_name(secrets, tuple.local());
        let key = Key::of(tuple);
        let found = self.destinations.find_entry(key.hash(secrets), |other| other.key == key);
        let Ok(mut found) = found else { return };
        let destination = found.get_mut();
        destination.ports.remove(tuple.local_port);
        if destination.reusable.front().is_some_and(|(port, _)| *port == tuple.local_port) {
            destination.reusable.pop_front();
        }
        if destination.ports.len() == 0 {
            found.remove();
        }
    }

    /// Its four numbers stay in use from `now` on, but a connect may take them over in a while.
    pub(crate) fn offer_for_reuse(&mut self, now: Instant, secrets: &Secrets, tuple: &FourTuple) {
        let key = Key::of(tuple);
        let found = self.destinations.find_mut(key.hash(secrets), |other| other.key == key);
        let Some(Destination { ports, reusable, .. }) = found else { return };
        if reusable.len() > 2 * ports.len() + FEW {
            // Whoever left by another way than the front is still in the list.
            let mut kept = VecDeque::new();
            let mut seen = PortBits::new(self.range);
            for (port, since) in reusable.drain(..).rev() {
                if ports.contains(port) && !seen.contains(port) {
                    seen.insert(port);
                    kept.push_front((port, since));
                }
            }
            *reusable = kept;
        }
        reusable.push_back((tuple.local_port, now));
    }

    /// The one that [`choose_for_connect`](Self::choose_for_connect) named cannot be taken over, and
    /// will not be.
    pub(crate) fn withdraw(&mut self, secrets: &Secrets, local: IpAddr, remote: SocketAddr) {
        let key = Key { local, remote };
        if let Some(destination) =
            self.destinations.find_mut(key.hash(secrets), |other| other.key == key)
        {
            destination.reusable.pop_front();
        }
    }

    /// A listener begins to use its address and port.
    pub(crate) fn acquire_for_listener(&mut self, secrets: &Secrets, local: SocketAddr) {
        self.acquire_name(secrets, local);
        let port = local.port();
        if let Some(used) = self.used.find_mut(spread(port), |used| used.port == port) {
            used.listeners += 1;
        }
        self.closed.insert(port);
    }

    /// A listener is gone.
    pub(crate) fn release_of_listener(&mut self, secrets: &Secrets, local: SocketAddr) {
        let port = local.port();
        if let Some(used) = self.used.find_mut(spread(port), |used| used.port == port) {
            used.listeners -= 1;
            if used.listeners == 0 && !self.reserved.contains(port) {
                self.closed.remove(port);
            }
        }
        self.release_name(secrets, local);
    }

    fn acquire_name(&mut self, secrets: &Secrets, name: SocketAddr) {
        let port = name.port();
        let used = self
            .used
            .entry(spread(port), |used| used.port == port, |used| spread(used.port))
            .or_insert_with(|| Use { port, v4: 0, v6: 0, listeners: 0 })
            .into_mut();
        *used.of_family(name.ip()) += 1;
        self.taken.insert(port);
        self.names
            .entry(
                hash_name(secrets, name),
                |other| other.name == name,
                |other| hash_name(secrets, other.name),
            )
            .or_insert_with(|| Name { name, users: 0 })
            .into_mut()
            .users += 1;
    }

    fn release_name(&mut self, secrets: &Secrets, name: SocketAddr) {
        let port = name.port();
        if let Ok(mut found) = self.used.find_entry(spread(port), |used| used.port == port) {
            let used = found.get_mut();
            *used.of_family(name.ip()) -= 1;
            if used.v4 == 0 && used.v6 == 0 {
                found.remove();
                self.taken.remove(port);
            }
        }
        let hash = hash_name(secrets, name);
        if let Ok(mut found) = self.names.find_entry(hash, |other| other.name == name) {
            found.get_mut().users -= 1;
            if found.get().users == 0 {
                found.remove();
            }
        }
    }

    /// Whether anybody uses this address and port: an unspecified address means all of its family,
    /// whoever uses it.
    pub(crate) fn is_name_used(&self, secrets: &Secrets, name: SocketAddr) -> bool {
        let port = name.port();
        let Some(used) = self.used.find(spread(port), |used| used.port == port) else {
            return false;
        };
        if name.ip().is_unspecified() {
            return if name.is_ipv4() { used.v4 > 0 } else { used.v6 > 0 };
        }
        let is = |name: SocketAddr| {
            self.names.find(hash_name(secrets, name), |other| other.name == name).is_some()
        };
        is(name) || is(SocketAddr::new(wildcard(name.ip()), port))
    }

    /// The number of ports in use.
    pub(crate) fn len(&self) -> usize {
        self.used.len()
    }

    /// A port for a connect: as Linux, first among those of the range's first port's parity, so that
    /// binds find the others. `None` if all are used, and none can be taken over.
    // Implements: RFC6056 s3.3, RFC6056 s3.3b, H-51, H-75
    pub(crate) fn choose_for_connect(
        &mut self,
        secrets: &mut Secrets,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Option<Choice> {
        let key = Key { local, remote };
        let hash = secrets.port_offset(local, remote.ip(), remote.port());
        let index = hash as usize % TABLE_SIZE;
        let (first, last) = self.range;
        let count = u32::from(last - first) + 1;
        // Each destination's numbers begin at another place of the hash's upper half, and move on by
        // what was chosen.
        let start = ((hash >> 32) as u32).wrapping_add(u32::from(self.moved[index])) % count;
        let destination = self.destinations.find(key.hash(secrets), |other| other.key == key);
        let own = if local == remote.ip() { Some(remote.port()) } else { None };
        let few: &[u16] = match destination.map(|destination| &destination.ports) {
            Some(Held::Few(list)) => list,
            _ => &[],
        };
        let many = match destination.map(|destination| &destination.ports) {
            Some(Held::Many(bits)) => Some(bits),
            _ => None,
        };
        let is_free = |port: u16| own != Some(port) && !few.contains(&port);
        let found = [start & !1, start | 1]
            .into_iter()
            .find_map(|start| PortBits::find_free(&self.closed, many, start, is_free));
        let Some(port) = found else {
            let (port, since) = *destination?.reusable.front()?;
            return Some(Choice::Reusable(port, since));
        };
        let step = (u32::from(port - first) + count - (start & !1) % count) % count;
        let stride = 2 * (secrets.next_number() % MAX_STRIDE) as u32;
        self.moved[index] = self.moved[index].wrapping_add((step.max(stride) + 2) as u16);
        Some(Choice::Free(port))
    }

    /// A port that nobody uses, for a bind: any of them, those of the other parity first.
    // Implements: RFC6056 s3.5
    pub(crate) fn choose_for_bind(&mut self, secrets: &mut Secrets) -> Option<u16> {
        let (first, last) = self.range;
        let count = u32::from(last - first) + 1;
        let start = (secrets.next_number() % u64::from(count)) as u32;
        [start | 1, start & !1].into_iter().find_map(|start| {
            PortBits::find_free(&self.taken, Some(&self.reserved), start, |_| true)
        })
    }
}

impl Use {
    fn of_family(&mut self, ip: IpAddr) -> &mut u32 {
        if ip.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

/// The address that means all of its family.
pub(crate) fn wildcard(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
    }
}

fn hash_name(secrets: &Secrets, name: SocketAddr) -> u64 {
    secrets.table_hash(&FourTuple::new(name, SocketAddr::new(wildcard(name.ip()), 0)))
}

/// Ports are chosen by us or few: a multiplication spreads them well enough.
fn spread(port: u16) -> u64 {
    u64::from(port).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    fn secrets() -> Secrets {
        Secrets::from_seed([3; 32])
    }

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    fn tuple(port: u16, remote: SocketAddr) -> FourTuple {
        FourTuple::new(SocketAddr::new(LOCAL, port), remote)
    }

    fn connect(ports: &mut Ports, secrets: &mut Secrets, remote: SocketAddr) -> Option<u16> {
        match ports.choose_for_connect(secrets, LOCAL, remote)? {
            Choice::Free(port) => {
                ports.acquire(secrets, &tuple(port, remote));
                Some(port)
            }
            Choice::Reusable(..) => None,
        }
    }

    // Shows: H-51, RFC6056 s3.3
    #[test]
    fn ports_to_one_destination_tell_nothing_of_those_to_another() {
        let mut secrets = secrets();
        let mut ports = Ports::new(&Config::default());
        let to_one: Vec<u16> =
            (0..100).filter_map(|_| connect(&mut ports, &mut secrets, server(2))).collect();
        let to_other: Vec<u16> =
            (0..100).filter_map(|_| connect(&mut ports, &mut secrets, server(3))).collect();
        assert!(to_one.iter().chain(&to_other).all(|port| (32_768..=60_999).contains(port)));
        assert!(to_one.iter().chain(&to_other).all(|port| port % 2 == 0));
        let mut distinct = to_one.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100, "a port that leads to the same server is taken");
        let steps = |ports: &[u16]| -> Vec<i32> {
            ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect()
        };
        assert_ne!(steps(&to_one), steps(&to_other));
        // The steps themselves are not to be told from those before.
        let kinds: std::collections::BTreeSet<i32> = steps(&to_one).into_iter().collect();
        assert!(kinds.len() >= 6, "{kinds:?}");
    }

    // Shows: H-75, RFC6056 s3.3b
    #[test]
    fn every_port_is_found_and_then_none() {
        let config = Config::default()
            .ip_local_port_range((1000, 1308))
            .ip_local_reserved_ports([(1002, 1002), (1100, 1109)].into_iter().collect());
        let mut secrets = secrets();
        let mut ports = Ports::new(&config);
        ports.acquire_for_listener(&secrets, SocketAddr::new(LOCAL, 1003));
        for last in [2, 3] {
            let mut found: Vec<u16> =
                core::iter::from_fn(|| connect(&mut ports, &mut secrets, server(last))).collect();
            // Those of the first one's parity come first.
            let even = found.iter().take_while(|port| **port % 2 == 0).count();
            assert_eq!(even, 149);
            assert!(found[even..].iter().all(|port| port % 2 == 1));
            found.sort_unstable();
            let all: Vec<u16> =
                (1000..=1308).filter(|port| !matches!(port, 1002 | 1003 | 1100..=1109)).collect();
            assert_eq!(found, all);
        }
        ports.release(&secrets, &tuple(1201, server(2)));
        assert_eq!(connect(&mut ports, &mut secrets, server(3)), None);
        assert_eq!(connect(&mut ports, &mut secrets, server(2)), Some(1201));
        ports.release_of_listener(&secrets, SocketAddr::new(LOCAL, 1003));
        assert_eq!(connect(&mut ports, &mut secrets, server(3)), Some(1003));
        for last in [2, 3] {
            for port in 1000..=1308 {
                ports.release(&secrets, &tuple(port, server(last)));
            }
        }
        assert_eq!((ports.destinations.len(), ports.taken.len()), (0, 0));
    }

    #[test]
    fn a_port_is_not_chosen_towards_itself() {
        let config = Config::default().ip_local_port_range((80, 80));
        let mut secrets = secrets();
        let mut ports = Ports::new(&config);
        let itself = SocketAddr::new(LOCAL, 80);
        assert_eq!(ports.choose_for_connect(&mut secrets, LOCAL, itself), None);
        assert_eq!(connect(&mut ports, &mut secrets, server(2)), Some(80));
    }

    // Shows: RFC6056 s3.5
    #[test]
    fn a_bind_finds_a_port_that_nobody_uses_and_leaves_the_even_ones_to_connects() {
        let config = Config::default()
            .ip_local_port_range((1000, 1099))
            .ip_local_reserved_ports([(1050, 1059)].into_iter().collect());
        let mut secrets = secrets();
        let mut ports = Ports::new(&config);
        ports.acquire(&secrets, &tuple(1001, server(2)));
        let chosen: Vec<u16> = core::iter::from_fn(|| {
            let port = ports.choose_for_bind(&mut secrets)?;
            ports.acquire_for_listener(&secrets, SocketAddr::new(LOCAL, port));
            Some(port)
        })
        .collect();
        assert_eq!(chosen.len(), 100 - 10 - 1);
        assert!(chosen[..44].iter().all(|port| port % 2 == 1) && !chosen.contains(&1001));
        assert_ne!(chosen[0] + 2, chosen[1], "they do not follow one another");
    }

    #[test]
    fn a_name_is_used_by_its_own_users_and_by_those_of_all_addresses() {
        let secrets = secrets();
        let mut ports = Ports::new(&Config::default());
        let name = |text: &str| -> SocketAddr { text.parse().unwrap() };
        ports.acquire(&secrets, &tuple(80, server(2)));
        for (text, used) in [
            ("192.0.2.1:80", true),
            ("0.0.0.0:80", true),
            ("192.0.2.9:80", false),
            ("192.0.2.1:81", false),
            ("[::]:80", false),
        ] {
            assert_eq!(ports.is_name_used(&secrets, name(text)), used, "{text}");
        }
        ports.acquire_for_listener(&secrets, name("[::]:443"));
        for (text, used) in
            [("[2001:db8::1]:443", true), ("[::]:443", true), ("0.0.0.0:443", false)]
        {
            assert_eq!(ports.is_name_used(&secrets, name(text)), used, "{text}");
        }
    }
}
