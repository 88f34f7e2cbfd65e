//! Who waits for which connection or listener: wakers by slot and direction.
//!
//! A slot has one waker a direction for the `poll_*` calls (the last caller's, as tokio has it) and
//! a list of any length for the async methods, each entry with an interest of its own. Lists are
//! linked by index inside one slab. Nothing here runs or drops a waker: every waker that leaves is
//! handed to the caller, who holds the shard's lock and deals with it after unlocking.

use std::task::Waker;

use slab::Slab;
use towpath_engine::{ConnectionId, ListenerId, Readiness};

/// What is waited for: a connection or a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Readiness of a connection.
    Connection(ConnectionId),
    /// An arriving connection.
    Listener(ListenerId),
}

/// The two directions in which the `poll_*` calls keep one waker each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Reads, and a listener's accepts.
    Read,
    /// Writes.
    Write,
}

impl Direction {
    /// Any of these ends the wait: an error and the end of a direction make every call return.
    pub(crate) fn interest(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READABLE | Readiness::READ_CLOSED | Readiness::ERROR,
            Direction::Write => Readiness::WRITABLE | Readiness::WRITE_CLOSED | Readiness::ERROR,
        }
    }
}

/// Names one entry of a list, until [`Waiters::remove`].
#[derive(Debug)]
pub(crate) struct WaiterKey {
    node: usize,
    target: Target,
}

/// All waiters of one shard.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    connections: Vec<Slot>,
    listeners: Vec<Slot>,
    nodes: Slab<Node>,
}

#[derive(Debug, Default)]
struct Slot {
    read: Option<Waker>,
    write: Option<Waker>,
    head: Option<usize>,
}

#[derive(Debug)]
struct Node {
    waker: Option<Waker>,
    interest: Readiness,
    previous: Option<usize>,
    next: Option<usize>,
}

impl Waiters {
    /// Sets the waker of a `poll_*` call and returns the one to be dropped.
    #[must_use = "wakers are dropped after unlocking"]
    pub(crate) fn set(
        &mut self,
        target: Target,
        direction: Direction,
        waker: Waker,
    ) -> Option<Waker> {
        let slot = self.slot(target);
        let place = match direction {
            Direction::Read => &mut slot.read,
            Direction::Write => &mut slot.write,
        };
        replace(place, waker)
    }

    /// Puts an async method's waker onto the list.
    pub(crate) fn enlist(
        &mut self,
        target: Target,
        interest: Readiness,
        waker: Waker,
    ) -> WaiterKey {
        let next = self.slot(target).head;
        let node = self.nodes.insert(Node { waker: Some(waker), interest, previous: None, next });
        if let Some(next) = next {
            self.nodes[next].previous = Some(node);
        }
        self.slot(target).head = Some(node);
        WaiterKey { node, target }
    }

    /// Renews the waker of an entry and returns the one to be dropped.
    #[must_use = "wakers are dropped after unlocking"]
    pub(crate) fn refresh(&mut self, key: &WaiterKey, waker: Waker) -> Option<Waker> {
        replace(&mut self.nodes[key.node].waker, waker)
    }

    /// Takes an entry off its list and returns its waker, to be dropped.
    #[must_use = "wakers are dropped after unlocking"]
    pub(crate) fn remove(&mut self, key: WaiterKey) -> Option<Waker> {
        let node = self.nodes.remove(key.node);
        match node.previous {
            Some(previous) => self.nodes[previous].next = node.next,
            None => self.slot(key.target).head = node.next,
        }
        if let Some(next) = node.next {
            self.nodes[next].previous = node.previous;
        }
        node.waker
    }

    /// Moves to `woken` the wakers of all whose interest meets `readiness`. Entries stay on their
    /// lists until their futures are polled again or dropped.
    pub(crate) fn wake(&mut self, target: Target, readiness: Readiness, woken: &mut Vec<Waker>) {
        let slot = match target {
            Target::Connection(id) => self.connections.get_mut(id.slot()),
            Target::Listener(id) => self.listeners.get_mut(id.slot()),
        };
        let Some(slot) = slot else { return };
        if readiness.intersects(Direction::Read.interest()) {
            woken.extend(slot.read.take());
        }
        if readiness.intersects(Direction::Write.interest()) {
            woken.extend(slot.write.take());
        }
        let mut at = slot.head;
        while let Some(index) = at {
            let node = &mut self.nodes[index];
            if readiness.intersects(node.interest) {
                woken.extend(node.waker.take());
            }
            at = node.next;
        }
    }

    /// Moves to `woken` the wakers of the `poll_*` calls of a stream or listener that is dropped.
    pub(crate) fn clear(&mut self, target: Target, woken: &mut Vec<Waker>) {
        let slot = self.slot(target);
        woken.extend(slot.read.take());
        woken.extend(slot.write.take());
    }

    /// Moves every waker of the shard to `woken`: nothing will become ready any more.
    pub(crate) fn wake_all(&mut self, woken: &mut Vec<Waker>) {
        for slot in self.connections.iter_mut().chain(&mut self.listeners) {
            woken.extend(slot.read.take());
            woken.extend(slot.write.take());
        }
        for (_, node) in &mut self.nodes {
            woken.extend(node.waker.take());
        }
    }

    /// How many wakers and list entries there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let slots = self.connections.iter().chain(&self.listeners);
        let polls =
            slots.map(|slot| usize::from(slot.read.is_some()) + usize::from(slot.write.is_some()));
        polls.sum::<usize>() + self.nodes.len()
    }

    fn slot(&mut self, target: Target) -> &mut Slot {
        let (slots, index) = match target {
            Target::Connection(id) => (&mut self.connections, id.slot()),
            Target::Listener(id) => (&mut self.listeners, id.slot()),
        };
        if slots.len() <= index {
            slots.resize_with(index + 1, Slot::default);
        }
        &mut slots[index]
    }
}

/// Keeps the old waker where both wake the same task; returns the one that is not kept.
fn replace(place: &mut Option<Waker>, waker: Waker) -> Option<Waker> {
    match place {
        Some(old) if old.will_wake(&waker) => Some(waker),
        _ => place.replace(waker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    /// Ids can only be had from an engine.
    fn target() -> Target {
        use towpath_engine::{Config, Endpoint, ListenRequest, Secrets};
        let mut engine = Endpoint::new(Config::default(), Secrets::from_seed([0; 32]), 1500);
        engine.add_address([10, 0, 0, 1].into(), 24).unwrap();
        let local = "10.0.0.1:80".parse().unwrap();
        Target::Listener(engine.listen(ListenRequest::new(local)).unwrap())
    }

    fn woken(waiters: &mut Waiters, target: Target, readiness: Readiness) {
        let mut wake = Vec::new();
        waiters.wake(target, readiness, &mut wake);
        wake.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn only_who_waits_for_what_became_ready_is_woken_and_once() {
        let (mut waiters, target) = (Waiters::default(), target());
        let (reader, read_waker) = waker();
        let (writer, write_waker) = waker();
        let (connector, connect_waker) = waker();
        assert!(waiters.set(target, Direction::Read, read_waker).is_none());
        let write_key = waiters.enlist(target, Direction::Write.interest(), write_waker);
        let connect_key = waiters.enlist(target, Readiness::CONNECTED, connect_waker);
        let counts = || [&reader, &writer, &connector].map(|count| count.0.load(Ordering::Relaxed));

        woken(&mut waiters, target, Readiness::WRITABLE);
        assert_eq!(counts(), [0, 1, 0]);
        woken(&mut waiters, target, Readiness::READ_CLOSED | Readiness::WRITABLE);
        assert_eq!(counts(), [1, 1, 0]);
        woken(&mut waiters, target, Readiness::CONNECTED);
        assert_eq!(counts(), [1, 1, 1]);
        drop((waiters.remove(write_key), waiters.remove(connect_key)));
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn the_last_caller_of_a_poll_is_woken_and_every_waiter_of_the_list() {
        let (mut waiters, target) = (Waiters::default(), target());
        let (first, first_waker) = waker();
        let (last, last_waker) = waker();
        assert!(waiters.set(target, Direction::Read, first_waker).is_none());
        drop(waiters.set(target, Direction::Read, last_waker));
        let listed: Vec<_> = (0..5)
            .map(|_| {
                let (count, waker) = waker();
                (count, waiters.enlist(target, Readiness::READABLE, waker))
            })
            .collect();
        woken(&mut waiters, target, Readiness::READABLE);
        assert_eq!(first.0.load(Ordering::Relaxed), 0);
        assert_eq!(last.0.load(Ordering::Relaxed), 1);
        for (count, key) in listed {
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
            assert!(waiters.remove(key).is_none(), "woken, so its waker is gone");
        }
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn a_list_survives_removals_in_any_order() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (mut waiters, target) = (Waiters::default(), target());
            let mut entries: Vec<_> = (0..3)
                .map(|_| {
                    let (count, waker) = waker();
                    (count, Some(waiters.enlist(target, Readiness::READABLE, waker)))
                })
                .collect();
            for gone in order {
                let waker = entries[gone].1.take().and_then(|key| waiters.remove(key));
                assert!(waker.is_some(), "not woken before");
                let mut wake = Vec::new();
                waiters.wake(target, Readiness::READABLE, &mut wake);
                let left = entries.iter().filter(|(_, key)| key.is_some()).count();
                assert_eq!(wake.len(), left, "{order:?}");
                // Puts the wakers back, as polls do that find nothing.
                let keys = entries.iter().filter_map(|(_, key)| key.as_ref());
                for (key, waker) in keys.zip(wake) {
                    assert!(waiters.refresh(key, waker).is_none());
                }
            }
            assert_eq!(waiters.count(), 0);
        }
    }
}
