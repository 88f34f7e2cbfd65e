//! Packets arrive: whose they are, and what happens when they are nobody's.

use core::net::IpAddr;

use super::addresses::{is_ipv4_in_ipv6, is_loopback};
use super::table::{Entry, FourTuple};
use super::{Arrival, ArrivalSource, Endpoint, Timed, time_wait};
use crate::connection::icmp::{IcmpError, IcmpErrorKind};
use crate::event::ConnectionId;
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
            Some(Entry::Listener(_)) | None => self.arrive_at_listener(now, tuple, arrival, None),
        }
    }

    /// An ICMP error arrived about one of our packets.
    // Implements: 9293 MUST-54, RFC5927 s4.1
    pub fn handle_icmp_error(&mut self, now: Instant, error: IcmpError) {
        self.counters.icmp_in += 1;
        if !self.may_arrive(error.from, error.quoted.src, ArrivalSource::Device) {
            return;
        }
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
            || is_ipv4_in_ipv6(src)
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

    fn arrive_at_time_wait(
        &mut self,
        now: Instant,
        index: u32,
        tuple: FourTuple,
        arrival: Arrival,
    ) {
        let listener = self.listener_for(&tuple);
        let Some(record) = self.time_wait.get_mut(index as usize) else { return };
        let text_len = arrival.payload.len();
        let old = record.is_out_of_date(now, &arrival.segment);
        self.counters.paws_time_wait += u64::from(old);
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
            // With nobody to take a new connection the SYN is a stray like any other: as Linux.
            time_wait::Disposition::Reopen(_) if listener.is_none() => {
                let answer = record.acknowledge(now, &self.config);
                self.answer(answer);
            }
            time_wait::Disposition::Acknowledge => {
                let answer = record.acknowledge(now, &self.config);
                self.answer(answer);
            }
            time_wait::Disposition::Reopen(iss) => {
                self.remove_time_wait(index);
                self.arrive_at_listener(now, tuple, arrival, Some(iss));
            }
            time_wait::Disposition::End => {
                self.counters.time_wait_reset += 1;
                self.remove_time_wait(index);
            }
            time_wait::Disposition::Limited => self.counters.ack_skipped_time_wait += 1,
            time_wait::Disposition::Drop => self.counters.drop_no_socket += 1,
        }
    }
}
