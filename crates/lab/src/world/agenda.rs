//! The event queue: who of a world has something to do next, and when.
//!
//! Each actor has at most one entry that counts, the earliest that it was booked for. Deadlines move
//! later all the time; such an entry stays where it is, and who owns the actor looks, when it comes
//! up, whether there is anything to do. At one instant wires come before flows and flows before
//! hosts, each in the order in which they were made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use towpath_engine::Instant;

/// Who may have something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Actor {
    /// A packet arrives.
    Wire(usize),
    /// An application has slept enough.
    Flow(usize),
    /// A timer of an engine fires.
    Host(usize),
}

/// The bookings of all actors.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    queue: BinaryHeap<Reverse<(Instant, Actor)>>,
    wires: Vec<Instant>,
    flows: Vec<Instant>,
    hosts: Vec<Instant>,
}

impl Agenda {
    /// Has `actor` come up at `at`, or earlier if it was booked earlier. Never if that is
    /// [`Instant::FAR_FUTURE`].
    pub(super) fn book(&mut self, actor: Actor, at: Instant) {
        let booked = self.booked(actor);
        if at < *booked {
            *booked = at;
            self.queue.push(Reverse((at, actor)));
        }
    }

    /// Who comes up next, and when.
    pub(super) fn peek(&mut self) -> Option<(Instant, Actor)> {
        while let Some(&Reverse((at, actor))) = self.queue.peek() {
            if *self.booked(actor) == at {
                return Some((at, actor));
            }
            // An earlier booking took its place.
            self.queue.pop();
        }
        None
    }

    /// Strikes out what [`peek`](Agenda::peek) gave; the actor has no booking any more.
    pub(super) fn pop(&mut self) {
        if let Some(Reverse((_, actor))) = self.queue.pop() {
            *self.booked(actor) = Instant::FAR_FUTURE;
        }
    }

    fn booked(&mut self, actor: Actor) -> &mut Instant {
        let (list, index) = match actor {
            Actor::Wire(index) => (&mut self.wires, index),
            Actor::Flow(index) => (&mut self.flows, index),
            Actor::Host(index) => (&mut self.hosts, index),
        };
        if list.len() <= index {
            list.resize(index + 1, Instant::FAR_FUTURE);
        }
        &mut list[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_booking_counts_and_equal_times_have_one_order() {
        let at = Instant::from_millis;
        let mut agenda = Agenda::default();
        agenda.book(Actor::Host(0), at(5));
        agenda.book(Actor::Flow(1), at(3));
        agenda.book(Actor::Wire(7), at(3));
        agenda.book(Actor::Flow(0), at(3));
        agenda.book(Actor::Host(0), at(9));
        agenda.book(Actor::Host(0), at(3));
        agenda.book(Actor::Host(1), Instant::FAR_FUTURE);
        let mut order = Vec::new();
        while let Some(next) = agenda.peek() {
            order.push(next);
            agenda.pop();
        }
        let actors = [Actor::Wire(7), Actor::Flow(0), Actor::Flow(1), Actor::Host(0)];
        assert_eq!(order, actors.map(|actor| (at(3), actor)));
    }

    #[test]
    fn an_actor_that_came_up_can_be_booked_again() {
        let at = Instant::from_millis;
        let mut agenda = Agenda::default();
        agenda.book(Actor::Flow(0), at(2));
        agenda.pop();
        assert_eq!(agenda.peek(), None);
        agenda.book(Actor::Flow(0), at(4));
        assert_eq!(agenda.peek(), Some((at(4), Actor::Flow(0))));
    }
}
