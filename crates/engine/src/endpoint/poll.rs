//! What leaves the endpoint: events, packets, and how long to wait; and the timers.

use towpath_wire::Protocol;

use super::syn_received::Overdue;
use super::table::FourTuple;
use super::{Arrival, ArrivalSource, Endpoint, Timed};
use crate::event::{ConnectionId, Event};
use crate::garbage::Garbage;
use crate::instant::Instant;
use crate::output::{Output, Transmit, TransmitBody};
use crate::wheel::Due;

/// Writers told of memory at once, which counts as much as a timer.
const WAKES_PER_TURN: usize = 16;

impl Endpoint {
    /// The next output: events first, then packets, then due timers (which make packets and events),
    /// else how long to wait.
    ///
    /// A `Wait` that is not later than `now` means: the bound on work for one call is reached
    /// (`towpath.timers_per_hold`), call again.
    pub fn poll(&mut self, now: Instant) -> Output {
        let mut timers = 0;
        loop {
            if let Some(event) = self.poll_event() {
                return Output::Event(event);
            }
            if let Some(transmit) = self.answers.pop_front() {
                match self.route(now, transmit) {
                    Some(transmit) => return Output::Transmit(transmit),
                    None => continue,
                }
            }
            if let Some(id) = self.touched.front().copied() {
                match self.emit(now, id) {
                    Some(transmit) => return Output::Transmit(transmit),
                    None => {
                        self.touched.pop_front();
                        if let Some(slot) = self.touched_slot(id) {
                            slot.touched = false;
                        }
                        self.settle(now, id);
                        continue;
                    }
                }
            }
            if timers >= self.config.timers_per_hold {
                return Output::Wait(now, None);
            }
            if self.memory.has_news() {
                self.wake_writers(WAKES_PER_TURN);
                timers += 1;
                continue;
            }
            match self.wheel.pop_due(now) {
                Due::Fired(timed) => self.expire(now, timed),
                Due::Moved => {}
                Due::Nothing => {
                    let (deadline, kind) = self.next_timer();
                    return Output::Wait(deadline, kind);
                }
            }
            timers += 1;
        }
    }

    /// The next output that concerns one connection: events first, then its packets, else the wait
    /// of the whole endpoint.
    pub fn poll_connection(&mut self, now: Instant, id: ConnectionId) -> Output {
        if let Some(event) = self.poll_event() {
            return Output::Event(event);
        }
        if let Some(transmit) = self.emit(now, id) {
            return Output::Transmit(transmit);
        }
        if self.touched.back() == Some(&id) {
            self.touched.pop_back();
            if let Some(slot) = self.touched_slot(id) {
                slot.touched = false;
            }
        }
        self.settle(now, id);
        if let Some(event) = self.poll_event() {
            return Output::Event(event);
        }
        let (deadline, kind) = self.next_timer();
        Output::Wait(deadline, kind)
    }

    /// The next event, if there is one: for when no packet can be taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is done with and waits to be dropped. Take it at the end of each hold of the lock that
    /// guards the endpoint, and drop it after.
    pub fn take_garbage(&mut self) -> Garbage {
        std::mem::take(&mut self.garbage)
    }

    /// When the earliest timer is due; [`Instant::FAR_FUTURE`] if none is armed. It may be a little
    /// early for timers that are far away.
    pub fn next_deadline(&self) -> Instant {
        self.next_timer().0
    }

    /// Whether there is something to do before the next deadline.
    pub fn is_busy(&self) -> bool {
        !self.touched.is_empty()
            || !self.answers.is_empty()
            || !self.events.is_empty()
            || self.memory.has_news()
            || self.has_loopback()
    }

    /// The next packet of a connection that leaves this host.
    fn emit(&mut self, now: Instant, id: ConnectionId) -> Option<Transmit> {
        loop {
            let supply = self.supply(id).ok()?;
            let slot = &mut self.connections[id.index as usize];
            let mut context = crate::connection::Context {
                config: &self.config,
                counters: &mut self.counters,
                garbage: &mut self.garbage,
                paths: &mut self.paths,
                mtu: self.mtu,
                supply,
            };
            slot.connection.on_supply(supply);
            let transmit = slot.connection.poll_transmit(now, &mut context)?;
            if let Some(transmit) = self.route(now, transmit) {
                return Some(transmit);
            }
        }
    }

    /// A packet to ourselves goes to the loopback queue; one that leaves gets what its IP header says
    /// of the way.
    fn route(&mut self, now: Instant, mut transmit: Transmit) -> Option<Transmit> {
        if !self.addresses.is_local(transmit.ip.dst) {
            self.mark(now, &mut transmit);
            return Some(transmit);
        }
        if self.loopback.len() < self.config.loopback_queue {
            self.loopback.push_back(transmit);
        } else {
            self.counters.drop_loopback_full += 1;
        }
        None
    }

    /// IPv4: whole and without a number, unless the path needs it cut. IPv6: the flow's label.
    // Implements: RFC6864 s4.1, RFC6437, H-50
    fn mark(&mut self, now: Instant, transmit: &mut Transmit) {
        let ip = &mut transmit.ip;
        if ip.dst.is_ipv4() {
            // As Linux, ICMP does not take part in path MTU discovery: it cannot send again.
            let whole = ip.protocol == Protocol::TCP
                && self.config.discovers_path_mtu()
                && !self.paths.may_fragment(now, ip.dst);
            ip.dont_fragment = whole;
            ip.identification = if whole { 0 } else { self.identifications.next() };
        } else if self.config.auto_flowlabels
            && let TransmitBody::Tcp { segment, .. } = &transmit.body
        {
            ip.flow_label = self.secrets.flow_label(&FourTuple {
                local_ip: ip.src,
                remote_ip: ip.dst,
                local_port: segment.src_port,
                remote_port: segment.dst_port,
            });
        }
    }

    fn touched_slot(&mut self, id: ConnectionId) -> Option<&mut super::Slot> {
        self.connections.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    fn expire(&mut self, now: Instant, timed: Timed) {
        match timed {
            Timed::Connection(index) => {
                let Some(id) = self.id_at(index) else { return };
                self.connections[index as usize].timer = None;
                let due = self.connections[index as usize]
                    .connection
                    .next_deadline()
                    .is_some_and(|(deadline, _)| deadline <= now);
                if !due {
                    // Fired early: the deadline has moved since.
                    self.settle(now, id);
                    return;
                }
                let _ = self.with_connection(id, |connection, context| {
                    connection.handle_timeout(now, context);
                });
            }
            Timed::SynReceived(index) => self.expire_half_open(now, index),
            Timed::TimeWait(index) => {
                if let Some(record) = self.time_wait.get_mut(index as usize) {
                    record.timer = None;
                    self.remove_time_wait(index);
                }
            }
        }
    }

    fn expire_half_open(&mut self, now: Instant, index: u32) {
        let Some(record) = self.half_open.get_mut(index as usize) else { return };
        record.timer = None;
        let deadline = record.deadline(&self.config);
        if deadline > now {
            // The SYN-ACK was sent again in between, because the SYN came again.
            record.timer = Some(self.wheel.insert(Timed::SynReceived(index), deadline));
            return;
        }
        let Some(listener) = self
            .listeners
            .get_mut(record.listener.index as usize)
            .filter(|listener| listener.generation == record.listener.generation)
        else {
            // Its listener was closed.
            self.remove_half_open(index);
            return;
        };
        self.counters.timeouts += 1;
        let most = listener.options.syn_retries.unwrap_or(self.config.tcp_synack_retries);
        let retries = listener.synack_retries(most);
        let was_young = record.is_young();
        let overdue = record.on_timeout(now, retries);
        if overdue != Overdue::Forget && was_young {
            listener.young = listener.young.saturating_sub(1);
        }
        if overdue == Overdue::Forget {
            self.counters.attempt_fails += 1;
            self.remove_half_open(index);
            return;
        }
        let answer = (overdue == Overdue::AnswerAgain).then(|| record.answer(now, &self.config));
        let deadline = record.deadline(&self.config);
        record.timer = Some(self.wheel.insert(Timed::SynReceived(index), deadline));
        let Some(answer) = answer else { return };
        self.answer_again(answer);
    }
}

impl Arrival {
    /// A packet of ours as it arrives at ourselves.
    pub(super) fn looped(transmit: Transmit) -> Option<Arrival> {
        match transmit.body {
            TransmitBody::Tcp { segment, payload, gso_size } => Some(Arrival {
                ip: transmit.ip,
                segment,
                payload,
                gso_size,
                source: ArrivalSource::Loopback,
            }),
            TransmitBody::EchoReply { .. } | TransmitBody::IcmpError { .. } => None,
        }
    }
}
