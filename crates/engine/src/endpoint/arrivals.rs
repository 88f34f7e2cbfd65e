//! Packets arrive: whose they are, and what happens when they are nobody's.

use core::net::IpAddr;

use towpath_wire::tcp::Flags;

use super::addresses::is_loopback;
use super::syn_received::{self, Syn, SynReceived};
use super::table::{Entry, FourTuple};
use super::{Arrival, ArrivalSource, Endpoint, Timed, reset, time_wait};
use crate::connection::icmp::{IcmpError, IcmpErrorKind};
use crate::connection::{Connection, Context};
use crate::event::{ConnectionId, Event, ListenerId};
use crate::instant::Instant;

impl Endpoint {
    /// A TCP segment arrived. Nothing is sent here: poll afterwards.
    pub fn handle_segment(&mut self, now: Instant, arrival: Arrival) {
        self.counters.in_segs += u64::from(arrival.segment_count());
        if !self.may_arrive(arrival.ip.src, arrival.ip.dst, arrival.source) {
            return;
        }
        let tuple = FourTuple {
            local_ip: arrival.ip.dst,
            remote_ip: arrival.ip.src,
            local_port: arrival.segment.dst_port,
            remote_port: arrival.segment.src_port,
        };
        match self.table.get(&self.secrets, &tuple) {
            Some(Entry::Connection(index)) => self.arrive_at_connection(now, index, arrival),
            Some(Entry::SynReceived(index)) => self.arrive_at_half_open(now, index, arrival),
            Some(Entry::TimeWait(index)) => self.arrive_at_time_wait(now, index, tuple, arrival),
            Some(Entry::Listener(_)) | None => self.arrive_at_listener(now, tuple, &arrival, None),
        }
    }

    /// An ICMP error arrived about one of our packets.
    // Implements: 9293 MUST-54, RFC5927 s4.1
    pub fn handle_icmp_error(&mut self, now: Instant, error: IcmpError) {
        self.counters.icmp_in += 1;
        match self.table.get(&self.secrets, &error.tuple()) {
            Some(Entry::Connection(index)) => {
                let Some(id) = self.id_at(index) else { return };
                let _ = self.with_connection(id, |connection, context| {
                    connection.handle_icmp_error(now, context, &error);
                });
            }
            Some(Entry::SynReceived(index)) => self.report_to_half_open(index, &error),
            // Nothing of it is outstanding that would be sent again.
            Some(Entry::TimeWait(_)) => {}
            Some(Entry::Listener(_)) | None => self.counters.icmp_no_socket += 1,
        }
    }

    /// A report about our SYN-ACK: a host that cannot be reached is not kept in the queue.
    fn report_to_half_open(&mut self, index: u32, error: &IcmpError) {
        let Some(record) = self.half_open.get(index as usize) else { return };
        if error.quoted.seq != record.iss() {
            self.counters.out_of_window_icmps += 1;
            return;
        }
        if matches!(error.kind, IcmpErrorKind::NotDelivered { ends_half_open: true, .. }) {
            self.counters.attempt_fails += 1;
            self.counters.listen_drops += 1;
            self.remove_half_open(index);
        }
    }

    /// Takes up to `budget` packets that this host sent to itself. Whether more wait.
    pub fn handle_loopback(&mut self, now: Instant, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(transmit) = self.loopback.pop_front() else { return false };
            if let Some(arrival) = Arrival::looped(transmit) {
                self.handle_segment(now, arrival);
            }
        }
        self.has_loopback()
    }

    /// Whether packets wait that this host sent to itself.
    pub fn has_loopback(&self) -> bool {
        !self.loopback.is_empty()
    }

    /// Whether a packet with these addresses may be taken at all.
    // Implements: 9293 MUST-57, 9293 MUST-63, RFC1122 s3.2.1.3b, RFC1122 s3.2.1.3c, H-28, H-57, H-58
    pub(super) fn may_arrive(&mut self, src: IpAddr, dst: IpAddr, source: ArrivalSource) -> bool {
        let counter = if self.addresses.is_not_unicast(dst) {
            &mut self.counters.drop_not_unicast
        } else if source == ArrivalSource::Device
            && (is_loopback(src) || is_loopback(dst) || self.addresses.is_local(src))
            || self.addresses.is_not_unicast(src)
        {
            &mut self.counters.drop_martian
        } else if !self.addresses.is_local(dst) {
            &mut self.counters.drop_not_ours
        } else {
            return true;
        };
        *counter += 1;
        false
    }

    pub(super) fn id_at(&self, index: u32) -> Option<ConnectionId> {
        let slot = self.connections.get(index as usize)?;
        Some(ConnectionId { index, generation: slot.generation })
    }

    fn arrive_at_connection(&mut self, now: Instant, index: u32, arrival: Arrival) {
        let Some(id) = self.id_at(index) else { return };
        let _ = self.with_connection(id, |connection, context| {
            connection.handle_segment(now, context, arrival);
        });
    }

    fn arrive_at_half_open(&mut self, now: Instant, index: u32, arrival: Arrival) {
        let Some(record) = self.half_open.get_mut(index as usize) else { return };
        let text_len = arrival.payload.len();
        match record.judge(now, &arrival.segment, text_len) {
            syn_received::Disposition::Complete
                if record.defers(arrival.segment.sequence_len(text_len)) =>
            {
                self.counters.defer_accept_drops += 1;
            }
            syn_received::Disposition::Complete => self.complete(now, index, arrival),
            syn_received::Disposition::AnswerAgain | syn_received::Disposition::Challenge
                if !record.may_answer(now, &self.config) =>
            {
                self.counters.ack_skipped_syn_recv += 1;
            }
            syn_received::Disposition::AnswerAgain => {
                let answer = record.answer(now, &self.config);
                self.answer(answer);
            }
            syn_received::Disposition::Challenge => {
                let challenge = record.challenge(now);
                self.answer(challenge);
            }
            syn_received::Disposition::Forget => {
                self.counters.attempt_fails += 1;
                self.remove_half_open(index);
            }
            syn_received::Disposition::Reset => {
                let tuple = record.tuple;
                self.answer_with_reset(&tuple, &arrival);
            }
            syn_received::Disposition::Drop => self.counters.drop_out_of_window += 1,
        }
    }

    /// The final ACK of a handshake: the record becomes a connection, if there is room for it.
    // Implements: H-74
    fn complete(&mut self, now: Instant, index: u32, arrival: Arrival) {
        let Some(record) = self.half_open.get(index as usize) else { return };
        let listener_id = record.listener;
        let Ok(listener) = self.listener(listener_id) else {
            self.remove_half_open(index);
            return;
        };
        let full = listener.is_accept_queue_full();
        let options = listener.options;
        if full || self.connections.len() >= self.config.max_connections {
            self.counters.listen_overflows += 1;
            self.counters.listen_drops += 1;
            if self.config.tcp_abort_on_overflow {
                let tuple = self.remove_half_open(index).tuple;
                self.answer_with_reset(&tuple, &arrival);
            }
            // Else the record stays: the peer's next segment, or our next SYN-ACK, tries again.
            return;
        }
        let record = self.remove_half_open(index);
        let handshake = record.handshake(now, &arrival.segment);
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
        };
        let connection =
            Connection::accept(now, &mut context, record.tuple, listener_id, &handshake, options);
        let id = self.add_connection(connection);
        if let Some(listener) = self.listeners.get_mut(listener_id.index as usize) {
            listener.ready.push_back(id);
            self.events.push_back(Event::Incoming(listener_id));
        }
        // The ACK may carry text or a FIN.
        let _ = self.with_connection(id, |connection, context| {
            connection.handle_segment(now, context, arrival);
        });
    }

    fn arrive_at_time_wait(
        &mut self,
        now: Instant,
        index: u32,
        tuple: FourTuple,
        arrival: Arrival,
    ) {
        let Some(record) = self.time_wait.get_mut(index as usize) else { return };
        let text_len = arrival.payload.len();
        match record.judge(now, &self.config, &arrival.segment, text_len) {
            time_wait::Disposition::AcknowledgeAndRestart => {
                let answer = record.acknowledge(now, &self.config);
                if let Some(timer) = record.timer.take() {
                    self.wheel.remove(timer);
                }
                let deadline = now + self.config.time_wait;
                record.timer = Some(self.wheel.insert(Timed::TimeWait(index), deadline));
                self.answer(answer);
            }
            time_wait::Disposition::Acknowledge => {
                let answer = record.acknowledge(now, &self.config);
                self.answer(answer);
            }
            time_wait::Disposition::Reopen(iss) => {
                if self.listener_for(&tuple).is_some() {
                    self.remove_time_wait(index);
                }
                self.arrive_at_listener(now, tuple, &arrival, Some(iss));
            }
            time_wait::Disposition::Limited => self.counters.ack_skipped_time_wait += 1,
            time_wait::Disposition::Drop => self.counters.drop_no_socket += 1,
        }
    }

    /// The listener that takes connections of this tuple: of the very address, else of any.
    fn listener_for(&self, tuple: &FourTuple) -> Option<ListenerId> {
        let wildcard = match tuple.local_ip {
            IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        };
        [tuple.local_ip, wildcard].into_iter().find_map(|ip| {
            let key = Endpoint::listener_key(ip, tuple.local_port);
            match self.table.get(&self.secrets, &key) {
                Some(Entry::Listener(index)) => {
                    let generation = self.listeners.get(index as usize)?.generation;
                    Some(ListenerId { index, generation })
                }
                _ => None,
            }
        })
    }

    /// LISTEN and CLOSED: RFC 9293 sections 3.10.7.2 and 3.10.7.1.
    // Implements: RFC9293 s3.10.7.2a, RFC9293 s3.10.7.2b, H-29, H-63
    fn arrive_at_listener(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        arrival: &Arrival,
        iss: Option<towpath_wire::SeqNumber>,
    ) {
        let flags = arrival.segment.flags;
        let Some(id) = self.listener_for(&tuple) else {
            self.counters.drop_no_socket += u64::from(flags.contains(Flags::RST));
            self.answer_with_reset(&tuple, arrival);
            return;
        };
        if flags.contains(Flags::RST) {
            self.counters.drop_flags += 1;
            return;
        }
        if flags.contains(Flags::ACK) {
            self.answer_with_reset(&tuple, arrival);
            return;
        }
        if !flags.contains(Flags::SYN) || flags.contains(Flags::FIN) {
            self.counters.drop_flags += 1;
            return;
        }
        let listener = &self.listeners[id.index as usize];
        if listener.is_accept_queue_full() {
            self.counters.listen_overflows += 1;
            self.counters.listen_drops += 1;
            return;
        }
        if listener.half_open >= self.config.tcp_max_syn_backlog {
            self.counters.syn_queue_full += 1;
            self.counters.listen_drops += 1;
            return;
        }
        let syn = Syn {
            tuple,
            segment: &arrival.segment,
            iss: iss.unwrap_or_else(|| self.secrets.initial_sequence_number(now, &tuple)),
            timestamp_offset: self.secrets.timestamp_offset(&tuple),
            options: &listener.options,
        };
        let mut record = SynReceived::new(now, &self.config, self.mtu, id, &syn);
        let answer = record.answer(now, &self.config);
        let deadline = record.deadline(&self.config);
        let index = self.half_open.insert(record) as u32;
        self.half_open[index as usize].timer =
            Some(self.wheel.insert(Timed::SynReceived(index), deadline));
        self.table.insert(&self.secrets, tuple, Entry::SynReceived(index));
        self.ports.acquire(tuple.local_port);
        self.listeners[id.index as usize].half_open += 1;
        self.counters.passive_opens += 1;
        self.answer(answer);
    }

    fn answer_with_reset(&mut self, tuple: &FourTuple, arrival: &Arrival) {
        if let Some(reset) = reset::answer(tuple, self.config.ip_default_ttl, arrival) {
            self.counters.out_rsts += 1;
            self.answer(reset);
        }
    }
}
