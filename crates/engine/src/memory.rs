//! How much memory the connections and records of one stack take, and who still gets some: one
//! budget for all of them, as Linux's `tcp_mem`.
//!
//! Owns the sum, which every change of a record's charge moves by its difference, and those who wait
//! for memory. What a record is charged, and what it does without, is its own business.

use std::collections::VecDeque;

use crate::config::MemoryLimits;
use crate::counters::Counters;
use crate::event::ConnectionId;

/// What a connection gets at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Supply {
    /// What it asks for.
    #[default]
    Plenty,
    /// What it asks for, but it should not ask for more than it needs: there is pressure.
    Short,
    /// Nothing but what keeps its stream going: the limit is reached, or under pressure it holds
    /// more than its share.
    Refused,
}

/// With less than this left, in bytes, the limit counts as reached: writers get no crumbs.
const LEAST: usize = 512;

/// The budget.
#[derive(Debug)]
pub(crate) struct Memory {
    limits: MemoryLimits,
    /// What a connection gets even under pressure.
    guaranteed: usize,
    used: usize,
    pressed: bool,
    /// Something was given back since the waiting were last looked at.
    freed: bool,
    /// Writers who were refused, whoever has waited longest first.
    waiting: VecDeque<ConnectionId>,
    /// Those of them who hold more than their share: while there is pressure, nothing helps them but
    /// what they give back themselves.
    parked: VecDeque<ConnectionId>,
}

impl Memory {
    pub(crate) fn new(limits: MemoryLimits, guaranteed: usize) -> Memory {
        Memory {
            limits,
            guaranteed,
            used: 0,
            pressed: false,
            freed: false,
            waiting: VecDeque::new(),
            parked: VecDeque::new(),
        }
    }

    /// Other limits, from now on.
    pub(crate) fn set_limits(
        &mut self,
        counters: &mut Counters,
        limits: MemoryLimits,
        guaranteed: usize,
    ) {
        self.limits = limits;
        self.guaranteed = guaranteed;
        // Who was refused may be helped now.
        self.freed = true;
        self.waiting.append(&mut self.parked);
        self.change(counters, 0, 0);
    }

    /// What is taken, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// A record that was charged `before` is charged `after`.
    pub(crate) fn change(&mut self, counters: &mut Counters, before: usize, after: usize) {
        self.used = self.used.saturating_sub(before).saturating_add(after);
        self.freed |= after < before;
        if self.used <= self.limits.relief {
            if self.pressed {
                self.waiting.append(&mut self.parked);
            }
            self.pressed = false;
        } else if self.used > self.limits.pressure && !self.pressed {
            self.pressed = true;
            counters.memory_pressures += 1;
        }
    }

    /// What is left until the limit.
    pub(crate) fn left(&self) -> usize {
        self.limits.limit.saturating_sub(self.used)
    }

    /// Whether nothing new may begin: less is left than is worth giving.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left() < LEAST
    }

    /// What a connection gets that is charged `held`, one of so many.
    pub(crate) fn supply(&self, held: usize, connections: usize) -> Supply {
        if self.is_exhausted() {
            return Supply::Refused;
        }
        if !self.pressed {
            return Supply::Plenty;
        }
        let share = self.limits.limit / connections.max(1);
        if held > share.max(self.guaranteed) { Supply::Refused } else { Supply::Short }
    }

    /// A writer was refused. It must not be waiting or parked already.
    pub(crate) fn wait(&mut self, id: ConnectionId) {
        self.waiting.push_back(id);
    }

    /// Whether somebody waits for what was given back.
    pub(crate) fn has_news(&self) -> bool {
        self.freed && !self.waiting.is_empty()
    }

    /// A writer who was waiting holds more than its share: it is taken up again when pressure is over.
    /// Where more are parked than there are connections twice over, those that are no more are
    /// forgotten.
    pub(crate) fn park(
        &mut self,
        id: ConnectionId,
        connections: usize,
        exists: impl Fn(ConnectionId) -> bool,
    ) {
        if self.parked.len() > 2 * connections {
            self.parked.retain(|parked| exists(*parked));
        }
        self.parked.push_back(id);
    }

    /// Who has waited longest. `None` when all were looked at.
    pub(crate) fn take_waiting(&mut self) -> Option<ConnectionId> {
        self.waiting.pop_front()
    }

    /// Nobody who waits can be helped until more is given back.
    pub(crate) fn rest(&mut self) {
        self.freed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { relief: 5000, pressure: 7000, limit: 10_000 };

    #[test]
    fn pressure_begins_above_one_mark_and_ends_below_another() {
        let mut memory = Memory::new(LIMITS, 10);
        let mut counters = Counters::default();
        let mut before = 0;
        for (used, supply, pressures) in [
            (7000, Supply::Plenty, 0),
            (7001, Supply::Short, 1),
            (5001, Supply::Short, 1),
            (9488, Supply::Short, 1),
            (5000, Supply::Plenty, 1),
            (7000, Supply::Plenty, 1),
            (8000, Supply::Short, 2),
            (9489, Supply::Refused, 2),
            (0, Supply::Plenty, 2),
        ] {
            memory.change(&mut counters, before, used);
            before = used;
            assert_eq!(memory.supply(0, 1), supply, "{used}");
            assert_eq!(counters.memory_pressures, pressures, "{used}");
        }
    }

    #[test]
    fn who_holds_too_much_is_taken_up_again_when_pressure_is_over_or_the_limits_change() {
        let id = |index| ConnectionId { index, generation: 0 };
        let mut counters = Counters::default();
        let mut memory = Memory::new(LIMITS, 10);
        memory.change(&mut counters, 0, 8000);
        memory.wait(id(1));
        memory.park(id(2), 10, |_| true);
        assert_eq!(memory.take_waiting(), Some(id(1)));
        memory.change(&mut counters, 8000, 6000);
        assert_eq!(memory.take_waiting(), None);
        memory.change(&mut counters, 6000, 5000);
        assert!(memory.has_news());
        assert_eq!(memory.take_waiting(), Some(id(2)));
        memory.park(id(2), 10, |_| true);
        memory.set_limits(&mut counters, LIMITS, 10);
        assert_eq!(memory.take_waiting(), Some(id(2)));
    }

    #[test]
    fn those_who_left_while_there_was_pressure_are_not_kept() {
        let mut memory = Memory::new(LIMITS, 10);
        memory.change(&mut Counters::default(), 0, 8000);
        for index in 0..1000 {
            let id = ConnectionId { index, generation: 0 };
            memory.park(id, 3, |other| other.index + 3 > index);
            assert!(memory.parked.len() <= 7);
        }
    }

    #[test]
    fn under_pressure_nobody_gets_more_than_a_share_or_what_is_guaranteed() {
        let mut memory = Memory::new(LIMITS, 10);
        memory.change(&mut Counters::default(), 0, 8000);
        assert_eq!(memory.supply(1000, 10), Supply::Short);
        assert_eq!(memory.supply(1001, 10), Supply::Refused);
        assert_eq!(memory.supply(10, 1_000_000), Supply::Short);
        assert_eq!(memory.supply(11, 1_000_000), Supply::Refused);
    }
}
