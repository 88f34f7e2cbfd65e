//! The life of records: a connection enters the slab and the table, leaves a small record in
//! TIME-WAIT, and goes; ports and timers follow it.

use super::syn_received::SynReceived;
use super::table::Entry;
use super::time_wait::TimeWait;
use super::{Endpoint, Slot, Timed};
use crate::connection::state::StateName;
use crate::connection::{Connection, Context};
use crate::event::{ConnectionId, Event};
use crate::instant::Instant;

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
        }) as u32;
        let id = ConnectionId { index, generation };
        self.table.insert(&self.secrets, tuple, Entry::Connection(index));
        self.ports.acquire(tuple.local_port);
        self.touched.push_back(id);
        id
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
            self.ports.release(tuple.local_port);
        }
        let slot = &mut self.connections[index as usize];
        if !slot.on_wire && !slot.connection.is_attached() {
            if let Some(timer) = slot.timer.take() {
                self.wheel.remove(timer);
            }
            let slot = self.connections.remove(index as usize);
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
        let record = TimeWait::new(tuple, snd_nxt, recv.nxt(), recv.wnd(), scale, timestamps);
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
        };
        slot.connection.leave_wire(&mut context);
        slot.on_wire = false;
        self.tell_news(id);
        if self.time_wait.len() >= self.config.tcp_max_tw_buckets {
            self.counters.time_wait_overflow += 1;
            self.table.remove(&self.secrets, &tuple, Entry::Connection(id.index));
            self.ports.release(tuple.local_port);
            return;
        }
        let index = self.time_wait.insert(record) as u32;
        let deadline = now + self.config.time_wait;
        self.time_wait[index as usize].timer =
            Some(self.wheel.insert(Timed::TimeWait(index), deadline));
        self.table.insert(&self.secrets, tuple, Entry::TimeWait(index));
    }

    pub(super) fn remove_time_wait(&mut self, index: u32) {
        let record = self.time_wait.remove(index as usize);
        if let Some(timer) = record.timer {
            self.wheel.remove(timer);
        }
        self.table.remove(&self.secrets, &record.tuple, Entry::TimeWait(index));
        self.ports.release(record.tuple.local_port);
    }

    pub(super) fn remove_half_open(&mut self, index: u32) -> SynReceived {
        let record = self.half_open.remove(index as usize);
        if let Some(timer) = record.timer {
            self.wheel.remove(timer);
        }
        self.table.remove(&self.secrets, &record.tuple, Entry::SynReceived(index));
        self.ports.release(record.tuple.local_port);
        if let Some(listener) = self.listeners.get_mut(record.listener.index as usize)
            && listener.generation == record.listener.generation
        {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
        record
    }
}
