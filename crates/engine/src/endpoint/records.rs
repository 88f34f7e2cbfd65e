//! The life of records: a connection enters the slab and the table, leaves a small record in
//! TIME-WAIT, and goes; ports and timers follow it.

use super::syn_received::SynReceived;
use super::table::Entry;
use super::time_wait::TimeWait;
use super::{Endpoint, Slot, Timed};
use crate::connection::state::StateName;
use crate::connection::{Connection, Context};
use crate::error::CloseReason;
use crate::event::{ConnectionId, Event};
use crate::instant::Instant;
use crate::memory::Supply;

impl Endpoint {
    /// Adds a connection to the slab and the table.
    pub(super) fn add_connection(&mut self, connection: Connection) -> ConnectionId {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let tuple = *connection.tuple();
        let index = self.connections.insert(Slot {
            connection,
            generation,
            timer: None,
            touched: true,
            on_wire: true,
            orphan: false,
            waits_for_memory: false,
            charge: 0,
        }) as u32;
        let id = ConnectionId { index, generation };
        self.table.insert(&self.secrets, tuple, Entry::Connection(index));
        self.ports.acquire(&self.secrets, &tuple);
        self.touched.push_back(id);
        self.recharge(id);
        id
    }

    /// Which ports may be chosen has changed: those in use are entered anew.
    pub(super) fn rebuild_ports(&mut self) {
        let mut ports = self.ports.emptied(&self.config);
        for (_, listener) in &self.listeners {
            ports.acquire_for_listener(&self.secrets, listener.local);
        }
        for (_, slot) in self.connections.iter().filter(|(_, slot)| slot.on_wire) {
            ports.acquire(&self.secrets, slot.connection.tuple());
        }
        for (_, record) in &self.half_open {
            ports.acquire(&self.secrets, &record.tuple);
        }
        let mut left: Vec<&TimeWait> = self.time_wait.iter().map(|(_, record)| record).collect();
        left.sort_unstable_by_key(|record| record.entered_at());
        for record in left {
            ports.acquire(&self.secrets, &record.tuple);
            if record.is_reusable(&self.config) {
                ports.offer_for_reuse(record.entered_at(), &self.secrets, &record.tuple);
            }
        }
        self.ports = ports;
    }

    /// After a connection's buffers may have changed: the budget follows.
    pub(super) fn recharge(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.get_mut(id.index as usize) else { return };
        let charge = size_of::<Slot>() + slot.connection.charge();
        if charge != slot.charge {
            let gives_back = charge < slot.charge;
            self.memory.change(&mut self.counters, slot.charge, charge);
            slot.charge = charge;
            if gives_back
                && slot.waits_for_memory
                && self.memory.supply(charge, self.connections.len()) != Supply::Refused
            {
                // It is still among those who wait, and is asked once more when its turn comes.
                self.connections[id.index as usize].connection.on_memory(&self.config);
            }
        }
    }

    /// Nobody holds a connection any more, but it is not over: one more orphan, if there may be one
    /// more. Else it is reset.
    // Implements: H-40, I-36
    pub(super) fn orphan(&mut self, id: ConnectionId) {
        let Ok(slot) = self.slot(id) else { return };
        if slot.orphan || slot.connection.is_attached() || slot.connection.is_over() {
            return;
        }
        let (send, _) = slot.connection.held_bytes();
        let hungry = self.memory.is_exhausted() && send > self.config.tcp_wmem.min;
        if self.orphans >= self.config.tcp_max_orphans || hungry {
            self.counters.abort_on_memory += 1;
            let _ = self.with_connection(id, |connection, context| {
                connection.end_by_stack(context, CloseReason::Limit);
            });
            return;
        }
        self.orphans += 1;
        self.connections[id.index as usize].orphan = true;
    }

    /// Tells writers that waited for memory, so many in one go. Whoever cannot be helped does not come
    /// up again for every byte that somebody gives back: a crowd of them would make each ACK dear.
    pub(super) fn wake_writers(&mut self, budget: usize) {
        for _ in 0..budget {
            if self.memory.is_exhausted() {
                self.memory.rest();
                return;
            }
            let Some(id) = self.memory.take_waiting() else { break };
            let Ok(slot) = self.slot(id) else { continue };
            let over = slot.connection.is_over();
            if !over && self.memory.supply(slot.charge, self.connections.len()) == Supply::Refused {
                let connections = &self.connections;
                self.memory.park(id, connections.len(), |parked| {
                    connections
                        .get(parked.index as usize)
                        .is_some_and(|slot| slot.generation == parked.generation)
                });
                continue;
            }
            self.connections[id.index as usize].waits_for_memory = false;
            let _ = self.with_connection(id, |connection, context| {
                connection.on_memory(context.config);
            });
        }
    }

    /// Adds a half-open record to the slab, the table and its listener's queue.
    pub(super) fn add_half_open(&mut self, record: SynReceived, deadline: Instant) {
        let (tuple, listener) = (record.tuple, record.listener);
        let index = self.half_open.insert(record) as u32;
        self.half_open[index as usize].timer =
            Some(self.wheel.insert(Timed::SynReceived(index), deadline));
        self.table.insert(&self.secrets, tuple, Entry::SynReceived(index));
        self.ports.acquire(&self.secrets, &tuple);
        self.memory.change(&mut self.counters, 0, size_of::<SynReceived>());
        if let Some(listener) = self.listeners.get_mut(listener.index as usize) {
            listener.half_open += 1;
            listener.young += 1;
        }
    }

    /// After a connection has said all it had to say: its timer, its place in the table, its end.
    pub(super) fn settle(&mut self, now: Instant, id: ConnectionId) {
        self.tell_news(id);
        let Ok(slot) = self.slot(id) else { return };
        if slot.on_wire && slot.connection.state() == StateName::TimeWait {
            self.move_to_time_wait(now, id);
        }
        let index = id.index;
        let slot = &mut self.connections[index as usize];
        if slot.on_wire && slot.connection.state() == StateName::Closed {
            slot.on_wire = false;
            let tuple = *slot.connection.tuple();
            self.table.remove(&self.secrets, &tuple, Entry::Connection(index));
            self.ports.release(&self.secrets, &tuple);
        }
        let slot = &mut self.connections[index as usize];
        if !slot.on_wire && !slot.connection.is_attached() {
            if let Some(timer) = slot.timer.take() {
                self.wheel.remove(timer);
            }
            let slot = self.connections.remove(index as usize);
            self.memory.change(&mut self.counters, slot.charge, 0);
            self.orphans -= usize::from(slot.orphan);
            self.garbage.add_connection(slot.connection);
            self.events.push_back(Event::Released(id));
            return;
        }
        let wanted = slot.connection.next_deadline();
        match (slot.timer, wanted) {
            // An earlier entry may stay: it fires early and is put back.
            (Some(timer), Some((deadline, _))) if self.wheel.deadline(timer) <= deadline => {}
            (Some(timer), Some((deadline, _))) => {
                self.wheel.remove(timer);
                slot.timer = Some(self.wheel.insert(Timed::Connection(index), deadline));
            }
            (None, Some((deadline, _))) => {
                slot.timer = Some(self.wheel.insert(Timed::Connection(index), deadline));
            }
            // At rest a connection has no entry: nothing wakes for it.
            (Some(timer), None) => {
                self.wheel.remove(timer);
                slot.timer = None;
            }
            (None, None) => {}
        }
    }

    /// The last ACK of a connection is on its way: a small record takes its place.
    pub(super) fn move_to_time_wait(&mut self, now: Instant, id: ConnectionId) {
        self.counters.time_wait += 1;
        let slot = &mut self.connections[id.index as usize];
        let tuple = *slot.connection.tuple();
        let (snd_nxt, recv, timestamps) = slot.connection.time_wait_view();
        let scale = recv.window().scale();
        let record = TimeWait::new(now, tuple, snd_nxt, recv.nxt(), recv.wnd(), scale, timestamps)
            .codepoint(slot.connection.bare_codepoint());
        let offered = record.is_reusable(&self.config);
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
            supply: Supply::Plenty,
        };
        slot.connection.leave_wire(&mut context);
        slot.on_wire = false;
        self.tell_news(id);
        if self.time_wait.len() >= self.config.tcp_max_tw_buckets {
            self.counters.time_wait_overflow += 1;
            self.table.remove(&self.secrets, &tuple, Entry::Connection(id.index));
            self.ports.release(&self.secrets, &tuple);
            return;
        }
        let index = self.time_wait.insert(record) as u32;
        self.memory.change(&mut self.counters, 0, size_of::<TimeWait>());
        if offered {
            self.ports.offer_for_reuse(now, &self.secrets, &tuple);
        }
        let deadline = now + self.config.time_wait;
        self.time_wait[index as usize].timer =
            Some(self.wheel.insert(Timed::TimeWait(index), deadline));
        self.table.insert(&self.secrets, tuple, Entry::TimeWait(index));
    }

    pub(super) fn remove_time_wait(&mut self, index: u32) -> TimeWait {
        let record = self.time_wait.remove(index as usize);
        self.memory.change(&mut self.counters, size_of::<TimeWait>(), 0);
        if let Some(timer) = record.timer {
            self.wheel.remove(timer);
        }
        self.table.remove(&self.secrets, &record.tuple, Entry::TimeWait(index));
        self.ports.release(&self.secrets, &record.tuple);
        record
    }

    pub(super) fn remove_half_open(&mut self, index: u32) -> SynReceived {
        let record = self.half_open.remove(index as usize);
        self.memory.change(&mut self.counters, size_of::<SynReceived>(), 0);
        if let Some(timer) = record.timer {
            self.wheel.remove(timer);
        }
        self.table.remove(&self.secrets, &record.tuple, Entry::SynReceived(index));
        self.ports.release(&self.secrets, &record.tuple);
        if let Some(listener) = self.listeners.get_mut(record.listener.index as usize)
            && listener.generation == record.listener.generation
        {
            listener.half_open = listener.half_open.saturating_sub(1);
            listener.young = listener.young.saturating_sub(usize::from(record.is_young()));
        }
        record
    }
}
