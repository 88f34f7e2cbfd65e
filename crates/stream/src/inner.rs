//! What a shard's lock protects, and what is done with it under the lock.
//!
//! Owns the end of every call: events become wakers to wake, packets join the FIFO, an earlier
//! deadline or unfinished work asks for the driver. All of it goes into [`After`], which
//! [`Shared`](crate::shared::Shared) carries out when the lock is released.

use std::task::Waker;

use towpath_engine::{
    CloseReason, ConnectionId, Endpoint, Event, Garbage, Instant, ListenerId, Output, Readiness,
    SocketError,
};

use crate::counters::PacketCounters;
use crate::egress::{Egress, Load, Sender};
use crate::life::{Closing, Life, Soundness};
use crate::waiters::{Direction, Target, Waiters};

/// Outputs that one call takes from the engine before it leaves the rest to the driver.
const OUTPUTS_PER_CALL: usize = 64;

/// What the lock protects.
pub(crate) struct Inner {
    pub(crate) endpoint: Endpoint,
    pub(crate) waiters: Waiters,
    pub(crate) egress: Egress,
    pub(crate) packets: PacketCounters,
    pub(crate) life: Life,
    /// What `shutdown` has to close: the engine lists its connections itself.
    pub(crate) listeners: Vec<ListenerId>,
    /// The deadline that the driver's timer is, or is about to be, set to.
    pub(crate) armed: Instant,
    /// The latest time that the engine was told.
    latest: Instant,
}

/// What follows a hold of the lock, after it.
#[derive(Default)]
pub(crate) struct After {
    /// To be woken.
    pub(crate) wake: Vec<Waker>,
    /// To be dropped.
    pub(crate) discard: Option<Waker>,
    /// Whether the driver has something to do.
    pub(crate) driver: bool,
    /// The connection that may have something to send now.
    pub(crate) touched: Option<ConnectionId>,
    pub(crate) load: Option<Load>,
    /// What the engine is done with, to be dropped.
    pub(crate) garbage: Garbage,
}

impl Inner {
    pub(crate) fn new(endpoint: Endpoint, egress_limit: usize) -> Inner {
        Inner {
            endpoint,
            waiters: Waiters::default(),
            egress: Egress::new(egress_limit),
            packets: PacketCounters::default(),
            life: Life::Running,
            listeners: Vec::new(),
            armed: Instant::FAR_FUTURE,
            latest: Instant::ZERO,
        }
    }

    /// The time to tell the engine. The clock is read before the lock, so who gets the lock later
    /// may have read it earlier; the engine's time does not go back, nor do the timestamps that
    /// it puts into segments.
    pub(crate) fn not_before(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// The engine, for calls on what exists.
    pub(crate) fn engine(&mut self) -> Result<&mut Endpoint, SocketError> {
        match self.life.error_of_calls() {
            Some(error) => Err(error),
            None => Ok(&mut self.endpoint),
        }
    }

    /// The engine, for calls on a connection or a listener. A listener of a stack that takes no
    /// connections any more fails.
    pub(crate) fn engine_of(&mut self, target: Target) -> Result<&mut Endpoint, SocketError> {
        match (target, &self.life) {
            (Target::Connection(_), _) | (_, Life::Running) => self.engine(),
            (Target::Listener(_), life) => {
                Err(life.error_of_calls().unwrap_or(SocketError::NetworkDown))
            }
        }
    }

    /// The engine, to let go of something: as long as its state can be trusted.
    pub(crate) fn sound_engine(&mut self) -> Option<&mut Endpoint> {
        match self.life {
            Life::Ended { soundness: Soundness::Doubtful, .. } => None,
            _ => Some(&mut self.endpoint),
        }
    }

    /// The engine, for calls that begin something new.
    pub(crate) fn engine_for_new(&mut self) -> Result<&mut Endpoint, SocketError> {
        match self.life {
            Life::Running => Ok(&mut self.endpoint),
            Life::Closing(_) | Life::Ended { .. } => Err(SocketError::NetworkDown),
        }
    }

    /// Who ended a connection, and why; none while it lives.
    pub(crate) fn close_reason(&self, id: ConnectionId) -> Option<CloseReason> {
        match self.life {
            Life::Ended { reason, soundness: Soundness::Doubtful } => Some(reason),
            Life::Ended { reason, soundness: Soundness::Sound } => {
                Some(self.endpoint.close_reason(id).unwrap_or(reason))
            }
            Life::Running | Life::Closing(_) => self.endpoint.close_reason(id),
        }
    }

    /// The end of a call: outputs, the driver's deadline, the turn.
    pub(crate) fn settle(&mut self, now: Instant, after: &mut After) {
        if self.life.is_ended() {
            self.settle_ended(now, after);
        } else {
            self.settle_running(now, after);
        }
        self.collect(after);
    }

    /// The end of every hold: what the engine is done with is dropped after it.
    pub(crate) fn collect(&mut self, after: &mut After) {
        if let Some(engine) = self.sound_engine() {
            after.garbage = engine.take_garbage();
        }
    }

    fn settle_running(&mut self, now: Instant, after: &mut After) {
        if let Some(id) = after.touched {
            self.pump_connection(id, now, after);
        } else {
            self.pump_events(after);
        }
        // While the FIFO is full the driver is woken by who makes room.
        if !self.egress.is_starved() {
            after.driver |= self.endpoint.is_busy();
            let deadline = self.endpoint.next_deadline();
            if deadline < self.armed {
                self.armed = deadline;
                after.driver = true;
            }
        }
        after.load = self.egress.claim(Sender::Task);
    }

    /// Nothing leaves any more, but what a handle lets go is freed.
    fn settle_ended(&mut self, now: Instant, after: &After) {
        if let (Some(id), Some(engine)) = (after.touched, self.sound_engine()) {
            for _ in 0..OUTPUTS_PER_CALL {
                if let Output::Wait(..) = engine.poll_connection(now, id) {
                    return;
                }
            }
        }
    }

    fn pump_connection(&mut self, id: ConnectionId, now: Instant, after: &mut After) {
        for _ in 0..OUTPUTS_PER_CALL {
            if !self.egress.has_room() {
                return self.pump_events(after);
            }
            match self.endpoint.poll_connection(now, id) {
                Output::Transmit(transmit) => self.egress.push(transmit),
                Output::Event(event) => self.handle_event(event, after),
                Output::Wait(..) => return,
            }
        }
        after.driver = true;
    }

    fn pump_events(&mut self, after: &mut After) {
        for _ in 0..OUTPUTS_PER_CALL {
            match self.endpoint.poll_event() {
                Some(event) => self.handle_event(event, after),
                None => return,
            }
        }
        after.driver = true;
    }

    /// Takes at most `outputs` outputs of all connections from the engine. Says whether there may
    /// be more.
    pub(crate) fn pump_all(&mut self, now: Instant, outputs: usize, after: &mut After) -> bool {
        for _ in 0..outputs {
            if !self.egress.has_room() {
                self.pump_events(after);
                return false;
            }
            match self.endpoint.poll(now) {
                Output::Transmit(transmit) => self.egress.push(transmit),
                Output::Event(event) => self.handle_event(event, after),
                Output::Wait(deadline, _) => return deadline <= now,
            }
        }
        true
    }

    /// Says when the driver has to act by itself, at the latest `until`, and remembers it: a call
    /// that brings an earlier deadline wakes the driver.
    pub(crate) fn arm(&mut self, until: Instant) -> Instant {
        // While the FIFO is full no timer can be served: the device comes first.
        let deadline = if self.egress.is_starved() {
            Instant::FAR_FUTURE
        } else {
            self.endpoint.next_deadline()
        };
        self.armed = deadline.min(until);
        self.armed
    }

    fn handle_event(&mut self, event: Event, after: &mut After) {
        match event {
            Event::Ready(id, readiness) => {
                self.waiters.wake(Target::Connection(id), readiness, &mut after.wake);
            }
            Event::Incoming(id) => {
                self.waiters.wake(Target::Listener(id), Readiness::READABLE, &mut after.wake);
            }
            Event::Released(id) => {
                let anything =
                    Direction::Read.interest() | Direction::Write.interest() | Readiness::CONNECTED;
                self.waiters.wake(Target::Connection(id), anything, &mut after.wake);
            }
            // The engine and this crate are released together; what is new there is added here.
            other => debug_assert!(false, "nobody listens to {other:?}"),
        }
    }

    /// Ends the stack under the lock; the rest is the caller's, after unlocking.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        reason: CloseReason,
        soundness: Soundness,
        after: &mut After,
    ) -> Closing {
        if self.life.is_ended() {
            return Closing::nothing();
        }
        let life = std::mem::replace(&mut self.life, Life::Ended { reason, soundness });
        let mut closing = match life {
            Life::Closing(closing) => closing,
            Life::Running | Life::Ended { .. } => Closing::nothing(),
        };
        if soundness == Soundness::Sound {
            closing.count_resets(&self.endpoint);
            self.endpoint.abort_all(now, reason);
        }
        self.waiters.wake_all(&mut after.wake);
        closing
    }
}
