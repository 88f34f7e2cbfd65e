//! The choice of local ports: RFC 6056 algorithm 4 (double hash) within `ip_local_port_range`.

use core::net::IpAddr;

use hashbrown::HashTable;

use crate::secrets::Secrets;

/// RFC 6056 section 3.3.4: the table that separates destinations.
const TABLE_SIZE: usize = 256;

/// Which local ports are used, and where the next search begins.
#[derive(Debug)]
pub(crate) struct Ports {
    used: HashTable<Use>,
    next: Box<[u32; TABLE_SIZE]>,
}

/// A port in use.
#[derive(Debug)]
struct Use {
    port: u16,
    users: u32,
    /// Of the users, listeners.
    listeners: u32,
}

impl Ports {
    pub(crate) fn new(secrets: &mut Secrets) -> Ports {
        let mut next = Box::new([0; TABLE_SIZE]);
        for entry in next.iter_mut() {
            *entry = secrets.next_number() as u32;
        }
        Ports { used: HashTable::new(), next }
    }

    /// One more user of `port`.
    pub(crate) fn acquire(&mut self, port: u16) {
        match self.used.find_mut(spread(port), |used| used.port == port) {
            Some(used) => used.users += 1,
            None => {
                let first = Use { port, users: 1, listeners: 0 };
                self.used.insert_unique(spread(port), first, |used| spread(used.port));
            }
        }
    }

    /// One more user of `port`, which listens.
    pub(crate) fn acquire_for_listener(&mut self, port: u16) {
        self.acquire(port);
        if let Some(used) = self.used.find_mut(spread(port), |used| used.port == port) {
            used.listeners += 1;
        }
    }

    /// One listener less.
    pub(crate) fn release_of_listener(&mut self, port: u16) {
        if let Some(used) = self.used.find_mut(spread(port), |used| used.port == port) {
            used.listeners -= 1;
        }
        self.release(port);
    }

    /// Whether somebody listens on `port`, at whatever address.
    pub(crate) fn is_listening(&self, port: u16) -> bool {
        self.used
            .find(spread(port), |used| used.port == port)
            .is_some_and(|used| used.listeners > 0)
    }

    /// One user less.
    pub(crate) fn release(&mut self, port: u16) {
        if let Ok(mut entry) = self.used.find_entry(spread(port), |used| used.port == port) {
            entry.get_mut().users -= 1;
            if entry.get().users == 0 {
                entry.remove();
            }
        }
    }

    pub(crate) fn is_used(&self, port: u16) -> bool {
        self.used.find(spread(port), |used| used.port == port).is_some()
    }

    /// The number of ports in use.
    pub(crate) fn len(&self) -> usize {
        self.used.len()
    }

    /// A port that `is_free` accepts. Each port of the range is asked about once at most (H-75).
    // Implements: H-51, H-75
    pub(crate) fn choose(
        &mut self,
        secrets: &mut Secrets,
        range: (u16, u16),
        local: IpAddr,
        remote: (IpAddr, u16),
        mut is_free: impl FnMut(&Ports, u16) -> bool,
    ) -> Option<u16> {
        let (first, last) = range;
        let count = u32::from(last - first) + 1;
        let hash = secrets.port_offset(local, remote.0, remote.1);
        let offset = hash as u32;
        let index = (hash >> 32) as usize % TABLE_SIZE;
        let start = offset.wrapping_add(self.next[index]) % count;
        for step in 0..count {
            let port = first + ((start + step) % count) as u16;
            if is_free(self, port) {
                // A small random stride keeps the next choice from being told by this one.
                let stride = 1 + (secrets.next_number() % 8) as u32;
                self.next[index] = self.next[index].wrapping_add(step + stride);
                return Some(port);
            }
        }
        None
    }
}

/// Ports are chosen by us or few: a multiplication spreads them well enough.
fn spread(port: u16) -> u64 {
    u64::from(port).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    // Shows: H-51, RFC6056 s3.3
    #[test]
    fn ports_stay_in_their_range_and_differ_by_destination() {
        let mut secrets = Secrets::from_seed([3; 32]);
        let mut ports = Ports::new(&mut secrets);
        let mut choose = |remote: u8| {
            ports
                .choose(&mut secrets, (32_768, 60_999), ip(1), (ip(remote), 80), |_, _| true)
                .unwrap()
        };
        let to_one: Vec<u16> = (0..50).map(|_| choose(2)).collect();
        let to_other: Vec<u16> = (0..50).map(|_| choose(3)).collect();
        assert!(to_one.iter().chain(&to_other).all(|port| (32_768..=60_999).contains(port)));
        let mut distinct = to_one.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 50);
        let steps = |ports: &[u16]| -> Vec<i32> {
            ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect()
        };
        assert_ne!(steps(&to_one), steps(&to_other));
    }

    // Shows: H-75
    #[test]
    fn a_full_range_is_found_full_after_one_round() {
        let mut secrets = Secrets::from_seed([3; 32]);
        let mut ports = Ports::new(&mut secrets);
        let mut asked = 0;
        let none = ports.choose(&mut secrets, (1000, 1009), ip(1), (ip(2), 80), |_, _| {
            asked += 1;
            false
        });
        assert_eq!((none, asked), (None, 10));
        for port in 1000..1009 {
            ports.acquire(port);
        }
        let last = ports.choose(&mut secrets, (1000, 1009), ip(1), (ip(2), 80), |ports, port| {
            !ports.is_used(port)
        });
        assert_eq!(last, Some(1009));
        ports.release(1004);
        assert!(!ports.is_used(1004) && ports.is_used(1003));
    }
}
