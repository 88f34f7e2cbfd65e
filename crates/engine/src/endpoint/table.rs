//! The demultiplexer: from a connection's four numbers to what handles it.
//!
//! One table holds connections, half-open records and TIME-WAIT records, since a segment can belong
//! to only one of them. The hash is keyed (H-76); the tuple is packed and hashed once.

use core::net::{IpAddr, SocketAddr};

use hashbrown::HashTable;

use crate::secrets::Secrets;

/// The four numbers that name a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FourTuple {
    pub(crate) local_ip: IpAddr,
    pub(crate) remote_ip: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl FourTuple {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> FourTuple {
        FourTuple {
            local_ip: local.ip(),
            remote_ip: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip, self.local_port)
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_ip, self.remote_port)
    }

    /// A fixed form for hashing; IPv4 addresses as IPv4-mapped ones.
    pub(crate) fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&octets(self.local_ip));
        bytes[16..32].copy_from_slice(&octets(self.remote_ip));
        bytes[32..34].copy_from_slice(&self.local_port.to_be_bytes());
        bytes[34..].copy_from_slice(&self.remote_port.to_be_bytes());
        bytes
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// What handles a connection's segments: an index into the slab of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Connection(u32),
    SynReceived(u32),
    TimeWait(u32),
    /// Under a key with no remote end.
    Listener(u32),
}

/// Four numbers to entry.
#[derive(Debug)]
pub(crate) struct Table {
    entries: HashTable<(FourTuple, Entry)>,
    /// How often it was asked.
    #[cfg(test)]
    pub(crate) asked: core::cell::Cell<u64>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            entries: HashTable::new(),
            #[cfg(test)]
            asked: core::cell::Cell::new(0),
        }
    }

    pub(crate) fn get(&self, secrets: &Secrets, tuple: &FourTuple) -> Option<Entry> {
        #[cfg(test)]
        self.asked.set(self.asked.get() + 1);
        let hash = secrets.table_hash(tuple);
        self.entries.find(hash, |(key, _)| key == tuple).map(|(_, entry)| *entry)
    }

    /// Adds an entry, or replaces the one of these four numbers.
    pub(crate) fn insert(&mut self, secrets: &Secrets, tuple: FourTuple, entry: Entry) {
        let hash = secrets.table_hash(&tuple);
        match self.entries.find_mut(hash, |(key, _)| *key == tuple) {
            Some(slot) => slot.1 = entry,
            None => {
                self.entries
                    .insert_unique(hash, (tuple, entry), |(key, _)| secrets.table_hash(key));
            }
        }
    }

    /// Removes the entry of these four numbers, if it is the given one.
    pub(crate) fn remove(&mut self, secrets: &Secrets, tuple: &FourTuple, entry: Entry) {
        let hash = secrets.table_hash(tuple);
        if let Ok(found) = self.entries.find_entry(hash, |(key, _)| key == tuple)
            && found.get().1 == entry
        {
            found.remove();
        }
    }
}
