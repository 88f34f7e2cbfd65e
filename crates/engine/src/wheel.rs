//! A hierarchical timing wheel over an index-linked slab: arming, moving and stopping a timer are
//! O(1), whatever the number of timers.
//!
//! (G. Varghese, A. Lauck, "Hashed and Hierarchical Timing Wheels", 1987.) A slot of the lowest
//! level is 2^20 ns, about a millisecond; entries keep their exact deadline and are due to the
//! nanosecond. Each level up has slots 64 times as long, whose entries cascade down when their time
//! comes near.

use core::cell::Cell;

use crate::instant::Instant;

const TICK_BITS: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// 2^(20 + 8 * 6) ns is more than the engine's clock can count.
const LEVELS: usize = 8;
const NIL: u32 = u32::MAX;
/// Entries that come down in one step.
const MOVES: usize = 64;

/// Names an armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId(u32);

#[derive(Debug)]
struct Node<K> {
    /// `None` while the node is on the free list.
    key: Option<K>,
    deadline: Instant,
    level: u8,
    slot: u8,
    previous: u32,
    next: u32,
}

/// What [`pop_due`](Wheel::pop_due) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due<K> {
    /// A timer fired.
    Fired(K),
    /// Timers came nearer: ask again.
    Moved,
    /// No timer is due.
    Nothing,
}

/// Timers with keys of type `K`.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Ticks that have passed: no armed timer lies before.
    elapsed: u64,
    /// The slot whose entries are on their way down: level and number.
    cascading: Option<(usize, usize)>,
    armed: usize,
    /// The answer of `next_wakeup`, while it holds: it is asked far more often than it changes.
    wakeup: Cell<Option<Instant>>,
}

impl<K: Copy> Wheel<K> {
    pub(crate) fn new() -> Wheel<K> {
        Wheel {
            nodes: Vec::new(),
            free: NIL,
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: 0,
            cascading: None,
            armed: 0,
            wakeup: Cell::new(None),
        }
    }

    /// The number of armed timers.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer.
    pub(crate) fn insert(&mut self, key: K, deadline: Instant) -> TimerId {
        let index = match self.nodes.get(self.free as usize) {
            Some(node) => {
                let index = self.free;
                self.free = node.next;
                index
            }
            None => {
                self.nodes.push(Node {
                    key: None,
                    deadline,
                    level: 0,
                    slot: 0,
                    previous: NIL,
                    next: NIL,
                });
                (self.nodes.len() - 1) as u32
            }
        };
        self.nodes[index as usize].key = Some(key);
        self.nodes[index as usize].deadline = deadline;
        self.link(index);
        self.armed += 1;
        if self.wakeup.get().is_some_and(|wakeup| deadline < wakeup) {
            self.wakeup.set(None);
        }
        TimerId(index)
    }

    /// Stops a timer.
    pub(crate) fn remove(&mut self, id: TimerId) {
        if self.nodes.get(id.0 as usize).is_none_or(|node| node.key.is_none()) {
            debug_assert!(false, "timer {id:?} is not armed");
            return;
        }
        self.unlink(id.0);
        let node = &mut self.nodes[id.0 as usize];
        if node.level > 0 || self.wakeup.get().is_some_and(|wakeup| node.deadline <= wakeup) {
            self.wakeup.set(None);
        }
        node.key = None;
        node.next = self.free;
        self.free = id.0;
        self.armed -= 1;
    }

    /// When the timer fires.
    pub(crate) fn deadline(&self, id: TimerId) -> Instant {
        self.nodes[id.0 as usize].deadline
    }

    /// Takes one timer that is due at `now`, or takes a step towards it: no call looks at more than
    /// a few timers.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Due<K> {
        let now_tick = tick(now);
        if self.wakeup.get().is_some_and(|wakeup| wakeup <= now) {
            self.wakeup.set(None);
        }
        loop {
            if let Some((level, slot)) = self.cascading {
                self.cascade(level, slot);
                return Due::Moved;
            }
            let Some((level, slot, start)) = self.first_slot() else {
                self.elapsed = self.elapsed.max(now_tick);
                return Due::Nothing;
            };
            if start > now_tick {
                self.elapsed = self.elapsed.max(now_tick);
                return Due::Nothing;
            }
            self.elapsed = self.elapsed.max(start);
            if level > 0 {
                self.cascading = Some((level, slot));
                continue;
            }
            let mut index = self.heads[0][slot];
            while index != NIL {
                let node = &self.nodes[index as usize];
                if node.deadline <= now {
                    let key = node.key;
                    self.remove(TimerId(index));
                    return key.map_or(Due::Nothing, Due::Fired);
                }
                index = node.next;
            }
            return Due::Nothing;
        }
    }

    /// When to call `pop_due` next: exact for timers that are near, a little early for others.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        if self.wakeup.get().is_none() {
            self.wakeup.set(self.find_wakeup());
        }
        self.wakeup.get()
    }

    fn find_wakeup(&self) -> Option<Instant> {
        if self.cascading.is_some() {
            return Some(Instant::from_nanos(self.elapsed << TICK_BITS));
        }
        let (level, slot, start) = self.first_slot()?;
        if level > 0 {
            return Some(Instant::from_nanos(start << TICK_BITS));
        }
        let mut earliest = Instant::FAR_FUTURE;
        let mut index = self.heads[0][slot];
        while index != NIL {
            let node = &self.nodes[index as usize];
            earliest = earliest.min(node.deadline);
            index = node.next;
        }
        Some(earliest)
    }

    /// The occupied slot whose time comes first, and its first tick.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = level as u32 * SLOT_BITS;
            let current = (self.elapsed >> shift) as u32 & (SLOTS as u32 - 1);
            let ahead = occupied.rotate_right(current).trailing_zeros();
            let slot = (current + ahead) as usize & (SLOTS - 1);
            let start = ((self.elapsed >> shift) + u64::from(ahead)) << shift;
            return Some((level, slot, start));
        }
        None
    }

    /// Moves some of a slot's entries down: the others with the next call.
    fn cascade(&mut self, level: usize, slot: usize) {
        for _ in 0..MOVES {
            let index = self.heads[level][slot];
            if index == NIL {
                break;
            }
            self.unlink(index);
            self.link(index);
        }
        if self.heads[level][slot] == NIL {
            self.cascading = None;
        }
    }

    fn link(&mut self, index: u32) {
        let when = tick(self.nodes[index as usize].deadline).max(self.elapsed);
        // The highest bit in which it differs from now says how far away it is.
        let differs = (when ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = ((63 - differs.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let slot = (when >> (level as u32 * SLOT_BITS)) as usize & (SLOTS - 1);
        let head = std::mem::replace(&mut self.heads[level][slot], index);
        if head != NIL {
            self.nodes[head as usize].previous = index;
        }
        let node = &mut self.nodes[index as usize];
        node.level = level as u8;
        node.slot = slot as u8;
        node.previous = NIL;
        node.next = head;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let node = &self.nodes[index as usize];
        let (level, slot) = (usize::from(node.level), usize::from(node.slot));
        let (previous, next) = (node.previous, node.next);
        if next != NIL {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NIL {
            self.nodes[previous as usize].next = next;
        } else {
            self.heads[level][slot] = next;
            if next == NIL {
                self.occupied[level] &= !(1 << slot);
            }
        }
    }
}

fn tick(instant: Instant) -> u64 {
    instant.as_nanos() >> TICK_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timers_fire_to_the_nanosecond_and_not_before() {
        let mut wheel = Wheel::new();
        let deadline = Instant::from_nanos(123_456_789_012);
        wheel.insert('a', deadline);
        let mut wakeups = 0;
        loop {
            let wakeup = wheel.next_wakeup().unwrap();
            assert!(wakeup <= deadline);
            wakeups += 1;
            match wheel.pop_due(wakeup) {
                Due::Fired(key) => {
                    assert_eq!((key, wakeup), ('a', deadline));
                    break;
                }
                Due::Moved | Due::Nothing => assert!(wakeups < 20),
            }
        }
        assert_eq!((wheel.len(), wheel.next_wakeup()), (0, None));
    }

    #[test]
    fn a_timer_armed_in_the_past_is_due_at_once() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.pop_due(Instant::from_millis(5000)), Due::Nothing);
        wheel.insert(1, Instant::from_millis(10));
        assert_eq!(wheel.pop_due(Instant::from_millis(5000)), Due::Fired(1));
    }

    #[test]
    fn ten_thousand_timers_of_one_slot_come_down_in_steps_and_none_fires_early_or_is_lost() {
        for descending in [false, true] {
            let mut wheel = Wheel::new();
            let minute = 60_000_000_000;
            for step in 0..10_000u64 {
                let number = if descending { 9_999 - step } else { step };
                wheel.insert(number, Instant::from_nanos(minute + number * 1000));
            }
            let middle = Instant::from_nanos(minute + 5_000_500);
            let (mut fired, mut moves) = (Vec::new(), 0u64);
            loop {
                let before = wheel.next_wakeup();
                match wheel.pop_due(middle) {
                    Due::Fired(number) => fired.push(number),
                    Due::Moved => {
                        moves += 1;
                        // Or a driver would sleep while timers are due.
                        assert!(before.is_some_and(|wakeup| wakeup <= middle), "{before:?}");
                    }
                    Due::Nothing => break,
                }
            }
            fired.sort_unstable();
            assert_eq!(fired, (0..=5000).collect::<Vec<_>>());
            assert!(moves >= 10_000 / MOVES as u64, "{moves}");
            assert_eq!(wheel.len(), 4999);
        }
    }

    proptest! {
        #[test]
        fn the_wheel_fires_what_a_sorted_list_fires(
            steps in prop::collection::vec((0u8..4, 0u64..200_000_000_000), 1..200),
        ) {
            let mut wheel = Wheel::new();
            let mut list: Vec<(Instant, usize, TimerId)> = Vec::new();
            let mut now = Instant::ZERO;
            for (number, (what, nanos)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let deadline = Instant::from_nanos(now.as_nanos() + nanos);
                        let id = wheel.insert(number, deadline);
                        list.push((deadline, number, id));
                    }
                    2 if !list.is_empty() => {
                        let (_, _, id) = list.swap_remove(nanos as usize % list.len());
                        wheel.remove(id);
                    }
                    _ => {
                        now = Instant::from_nanos(now.as_nanos() + nanos);
                        let mut fired = Vec::new();
                        loop {
                            match wheel.pop_due(now) {
                                Due::Fired(key) => fired.push(key),
                                Due::Moved => {}
                                Due::Nothing => break,
                            }
                        }
                        fired.sort_unstable();
                        let mut due: Vec<usize> = list
                            .iter()
                            .filter(|(deadline, ..)| *deadline <= now)
                            .map(|(_, key, _)| *key)
                            .collect();
                        due.sort_unstable();
                        list.retain(|(deadline, ..)| *deadline > now);
                        prop_assert_eq!(fired, due);
                    }
                }
                prop_assert_eq!(wheel.len(), list.len());
                let earliest = list.iter().map(|(deadline, ..)| *deadline).min();
                prop_assert_eq!(wheel.next_wakeup(), wheel.find_wakeup());
                match (wheel.next_wakeup(), earliest) {
                    (None, None) => {}
                    (Some(wakeup), Some(earliest)) => prop_assert!(wakeup <= earliest),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
