//! The passive side: LISTEN, the SYN queue, the accept queue, and what happens when one is full
//! (RFC 9293 sections 3.10.7.1 and 3.10.7.2, RFC 4987).
//!
//! A SYN makes a small record, or none at all: then the answer's sequence number is a cookie. Either
//! way a connection is made from a `Handshake` alone, when the peer's ACK has shown that it is
//! there.

use core::net::IpAddr;

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, WindowScale};

use super::syn_received::{self, Fault, Syn, SynAck, SynReceived};
use super::table::{Entry, FourTuple};
use super::{Arrival, Endpoint, reset, syn_cookies};
use crate::config::SynCookies;
use crate::connection::negotiate::Handshake;
use crate::connection::{Connection, Context};
use crate::ecn::negotiate::Agreement;
use crate::event::{Event, ListenerId};
use crate::instant::Instant;
use crate::memory::Supply;

/// How a SYN is answered.
enum Answer {
    /// A record remembers it.
    Record,
    /// The peer does.
    Cookie,
}

impl Endpoint {
    pub(super) fn arrive_at_half_open(&mut self, now: Instant, index: u32, arrival: Arrival) {
        let Some(record) = self.half_open.get(index as usize) else { return };
        if self.listener(record.listener).is_err() {
            // Its listener was closed. Another may be there by now, which knows nothing of it.
            let tuple = self.remove_half_open(index).tuple;
            self.arrive_at_listener(now, tuple, arrival, None);
            return;
        }
        let Some(record) = self.half_open.get_mut(index as usize) else { return };
        let text_len = arrival.payload.len();
        let disposition = record.judge(now, &arrival.segment, text_len);
        match disposition {
            syn_received::Disposition::Challenge(Fault::OutOfDate) => self.counters.paws_estab += 1,
            syn_received::Disposition::Challenge(Fault::ForeignEcho) => {
                self.counters.ts_ecr_rejected += 1;
            }
            _ => {}
        }
        match disposition {
            syn_received::Disposition::Complete
                if record.defers(arrival.segment.sequence_len(text_len)) =>
            {
                self.counters.defer_accept_drops += 1;
            }
            syn_received::Disposition::Complete => self.complete(now, index, arrival),
            syn_received::Disposition::AnswerAgain | syn_received::Disposition::Challenge(_)
                if !record.may_answer(now, &self.config) =>
            {
                self.counters.ack_skipped_syn_recv += 1;
            }
            syn_received::Disposition::AnswerAgain => {
                record.on_syn_again(arrival.segment.flags, arrival.ip.ecn);
                let answer = record.answer(now, &self.config);
                self.answer_again(answer);
            }
            syn_received::Disposition::Challenge(_) => {
                let challenge = record.challenge(now);
                self.answer(challenge);
            }
            syn_received::Disposition::Forget => {
                self.counters.attempt_fails += 1;
                self.counters.embryonic_rsts += 1;
                self.remove_half_open(index);
            }
            syn_received::Disposition::Reset => {
                // Its first SYN may have been answered with a cookie, and that may be the answer
                // which it got.
                let (tuple, listener) = (record.tuple, record.listener);
                self.arrive_with_cookie(now, listener, tuple, arrival);
            }
            syn_received::Disposition::Drop => self.counters.drop_out_of_window += 1,
        }
    }

    /// The final ACK of a handshake: the record becomes a connection, if there is room for it.
    // Implements: H-74
    fn complete(&mut self, now: Instant, index: u32, arrival: Arrival) {
        let Some(record) = self.half_open.get(index as usize) else { return };
        let listener_id = record.listener;
        if !self.has_room_for_connection(listener_id) {
            if self.config.tcp_abort_on_overflow {
                self.counters.embryonic_rsts += 1;
                let tuple = self.remove_half_open(index).tuple;
                self.answer_with_reset(&tuple, &arrival);
            }
            // Else the record stays: the peer's next segment, or our next SYN-ACK, tries again.
            return;
        }
        let record = self.remove_half_open(index);
        let handshake =
            record.handshake(now, &self.config, &arrival.segment, arrival.payload.len());
        let tuple = record.tuple;
        self.open_passively(now, tuple, listener_id, &handshake, record.dscp(), arrival);
    }

    /// Whether a listener can take one more complete connection. What cannot come in is counted.
    fn has_room_for_connection(&mut self, id: ListenerId) -> bool {
        let full = self.listener(id).is_ok_and(|listener| listener.is_accept_queue_full());
        let limited = !full
            && (self.connections.len() >= self.config.max_connections
                || self.memory.is_exhausted());
        self.counters.listen_overflows += u64::from(full);
        self.counters.drop_limit += u64::from(limited);
        self.counters.listen_drops += u64::from(full || limited);
        !full && !limited
    }

    /// A handshake is complete: the connection begins, with the segment that completed it. `dscp` is
    /// the SYN-ACK's.
    fn open_passively(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        listener_id: ListenerId,
        handshake: &Handshake,
        dscp: u8,
        arrival: Arrival,
    ) {
        let Ok(listener) = self.listener(listener_id) else { return };
        let mut options = listener.options;
        if self.config.tcp_reflect_tos {
            options.tos = dscp << 2;
        }
        self.counters.passive_opens += 1;
        let mut context = Context {
            config: &self.config,
            counters: &mut self.counters,
            garbage: &mut self.garbage,
            paths: &mut self.paths,
            mtu: self.mtu,
            supply: Supply::Plenty,
        };
        let seed = self.secrets.controller_seed(&tuple, handshake.iss);
        let connection =
            Connection::accept(now, &mut context, tuple, listener_id, (handshake, seed), options);
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

    /// The listener that takes connections of this tuple: of the very address, else of any.
    pub(super) fn listener_for(&self, tuple: &FourTuple) -> Option<ListenerId> {
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

    /// LISTEN and CLOSED: RFC 9293 sections 3.10.7.2 and 3.10.7.1. With `iss`, the four numbers were
    /// in TIME-WAIT, and the new connection begins there.
    // Implements: RFC9293 s3.10.7.2a, RFC9293 s3.10.7.2b, H-29, H-63
    pub(super) fn arrive_at_listener(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        arrival: Arrival,
        iss: Option<towpath_wire::SeqNumber>,
    ) {
        let flags = arrival.segment.flags;
        let Some(id) = self.listener_for(&tuple) else {
            self.counters.drop_no_socket += u64::from(flags.contains(Flags::RST));
            self.answer_with_reset(&tuple, &arrival);
            return;
        };
        if flags.contains(Flags::RST) {
            self.counters.drop_flags += 1;
            return;
        }
        if flags.contains(Flags::ACK) {
            self.arrive_with_cookie(now, id, tuple, arrival);
            return;
        }
        if !flags.contains(Flags::SYN) || flags.contains(Flags::FIN) {
            self.counters.drop_flags += 1;
            return;
        }
        let Some(answer) = self.judge_syn(id, iss.is_some()) else {
            self.counters.listen_drops += 1;
            return;
        };
        let mut options = self.listeners[id.index as usize].options;
        if self.config.tcp_reflect_tos {
            options.tos = arrival.ip.dscp << 2;
        }
        let syn = Syn {
            tuple,
            segment: &arrival.segment,
            codepoint: arrival.ip.ecn,
            iss: iss.unwrap_or_else(|| self.secrets.initial_sequence_number(now, &tuple)),
            timestamp_offset: self.secrets.timestamp_offset(&tuple),
            options: &options,
        };
        match answer {
            Answer::Record => self.remember_syn(now, id, &syn),
            Answer::Cookie => self.answer_with_cookie(now, id, &syn),
        }
    }

    /// How a SYN is answered, if it is, by what the queues of its listener hold.
    // Implements: RFC4987 s3, H-25, I-12
    fn judge_syn(&mut self, id: ListenerId, from_time_wait: bool) -> Option<Answer> {
        let listener = &self.listeners[id.index as usize];
        let cookies = self.config.tcp_syncookies;
        let mut answer = Answer::Record;
        // Who was here before, and shows it by a number or timestamp that nobody else knows, is no
        // flood: as Linux.
        if !from_time_wait && (cookies == SynCookies::Always || listener.is_syn_queue_full()) {
            if cookies == SynCookies::Never {
                self.counters.syn_queue_full += 1;
                return None;
            }
            self.counters.syn_queue_cookies += 1;
            answer = Answer::Cookie;
        }
        if listener.is_accept_queue_full() {
            self.counters.listen_overflows += 1;
            return None;
        }
        if self.memory.is_exhausted() || self.connections.len() >= self.config.max_connections {
            self.counters.drop_limit += 1;
            return None;
        }
        let most = self.config.tcp_max_syn_backlog;
        let left = most.saturating_sub(listener.half_open);
        if !from_time_wait && cookies == SynCookies::Never && left < most / 4 {
            // Linux keeps the last quarter for peers that it knows; here nobody is known.
            return None;
        }
        Some(answer)
    }

    fn remember_syn(&mut self, now: Instant, id: ListenerId, syn: &Syn<'_>) {
        let mut record = SynReceived::new(now, &self.config, self.mtu, id, syn);
        let answer = record.answer(now, &self.config);
        let deadline = record.deadline(&self.config);
        self.add_half_open(record, deadline);
        self.answer(answer);
    }

    // Implements: Cookie r2
    fn answer_with_cookie(&mut self, now: Instant, id: ListenerId, syn: &Syn<'_>) {
        let peer = &syn.segment.options;
        let agreed = syn_cookies::agree(&self.config, &syn.tuple, peer);
        let irs = syn.segment.seq;
        let answer = SynAck {
            tuple: &syn.tuple,
            iss: syn_cookies::make(&self.secrets, now, &syn.tuple, irs, peer.mss),
            irs,
            agreed: &agreed,
            // Nobody would remember it.
            ecn: (Flags::empty(), false),
            codepoint: Codepoint::NotEct,
            offer: &syn.offer(&self.config, self.mtu, &agreed),
            timestamp: syn_cookies::timestamp(now, syn.timestamp_offset, &agreed),
            ttl: syn.options.hop_limit(&self.config),
            dscp: syn.options.dscp(),
        };
        let answer = answer.packet(&self.config);
        self.listeners[id.index as usize].cookie_sent = Some(now);
        let sent = self.answer(answer);
        self.counters.syncookies_sent += u64::from(sent);
    }

    /// A segment with ACK belongs to nothing but a listener: it completes a handshake if it brings
    /// one of our cookies, else it is answered with a reset.
    // Implements: RFC4987 A-b, Cookie r1, Cookie r2, Cookie r3, H-27
    fn arrive_with_cookie(
        &mut self,
        now: Instant,
        id: ListenerId,
        tuple: FourTuple,
        arrival: Arrival,
    ) {
        let Some(handshake) = self.recall_handshake(now, id, &tuple, &arrival) else {
            self.answer_with_reset(&tuple, &arrival);
            return;
        };
        if !self.has_room_for_connection(id) {
            // The peer's next segment tries again.
            return;
        }
        if let Some(Entry::SynReceived(index)) = self.table.get(&self.secrets, &tuple) {
            self.remove_half_open(index);
        }
        let dscp = arrival.ip.dscp;
        self.open_passively(now, tuple, id, &handshake, dscp, arrival);
    }

    /// The handshake that a cookie stands for.
    fn recall_handshake(
        &mut self,
        now: Instant,
        id: ListenerId,
        tuple: &FourTuple,
        arrival: &Arrival,
    ) -> Option<Handshake> {
        let segment = &arrival.segment;
        let listener = self.listener(id).ok()?;
        let recent = listener.cookie_sent.is_some_and(|sent| now - sent <= syn_cookies::VALID);
        let off = self.config.tcp_syncookies == SynCookies::Never;
        if off || !recent || segment.flags.contains(Flags::SYN) {
            return None;
        }
        let (iss, irs) = (segment.ack - 1, segment.seq - 1);
        let Some(mss) = syn_cookies::check(&self.secrets, now, tuple, irs, iss) else {
            self.counters.syncookies_failed += 1;
            return None;
        };
        self.counters.syncookies_recv += 1;
        let timestamp_offset = self.secrets.timestamp_offset(tuple);
        let agreed = syn_cookies::recall(&self.config, mss, timestamp_offset, &segment.options)?;
        let scale = WindowScale::new(agreed.window_scale.unwrap_or(0));
        Some(Handshake {
            iss,
            irs,
            window: scale.scale_up(segment.window),
            window_seq: segment.seq,
            agreed,
            timestamp_offset,
            timestamp_at: now,
            // Nobody remembers when the SYN-ACK left.
            rtt: None,
            retransmissions: 0,
            ecn: Agreement::Off,
            promised: None,
        })
    }

    pub(super) fn answer_with_reset(&mut self, tuple: &FourTuple, arrival: &Arrival) {
        if let Some(reset) = reset::answer(tuple, self.config.ip_default_ttl, arrival) {
            let sent = self.answer(reset);
            self.counters.out_rsts += u64::from(sent);
        }
    }
}
