//! A path for the tests of controllers: one bottleneck with a queue and a fixed delay behind it, a
//! sender that paces exactly, and an acknowledgment for each segment. Nothing of the engine but the
//! delivery-rate samples takes part.

use core::time::Duration;
use std::collections::VecDeque;

use towpath_wire::SeqNumber;

use super::dice::Dice;
use super::rate_sample::{DeliveryRate, Departure};
use super::samples::sample;
use super::usage::{Sent, WindowUsage};
use super::{AckSample, CongestionEvent, CongestionKind, Controller, RecoveryPhase};
use crate::instant::Instant;

pub(crate) const MSS: u64 = 1000;
/// As many later segments must arrive for one to count as lost.
const REORDERING: u64 = 3;

/// A path with a sender.
pub(crate) struct Path<C> {
    pub(crate) controller: C,
    pub(crate) now: Instant,
    pub(crate) bytes_per_second: u64,
    pub(crate) rtt: Duration,
    pub(crate) queue: u64,
    pub(crate) loss_per_mille: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) longest_queue: Duration,
    pub(crate) in_flight: u64,
    rate: DeliveryRate,
    flight: VecDeque<Segment>,
    next: u64,
    turn: Instant,
    free_at: Instant,
    /// Everything below this number, sent again or not, ends recovery.
    recovery_ends: Option<u64>,
    /// What is to be sent again for that, and what has been.
    to_repair: u64,
    repairs: u64,
    usage: WindowUsage,
    min_rtt: Duration,
    dice: Dice,
}

#[derive(Clone, Copy)]
struct Segment {
    number: u64,
    sent_at: Instant,
    departure: Departure,
    is_repair: bool,
    /// When its acknowledgment arrives; never if it is dropped.
    acked_at: Option<Instant>,
}

impl<C: Controller> Path<C> {
    pub(crate) fn new(controller: C, bytes_per_second: u64, rtt: Duration, queue: u64) -> Path<C> {
        Path {
            controller,
            now: Instant::ZERO,
            bytes_per_second,
            rtt,
            queue,
            loss_per_mille: 0,
            delivered: 0,
            dropped: 0,
            longest_queue: Duration::ZERO,
            in_flight: 0,
            rate: DeliveryRate::default(),
            flight: VecDeque::new(),
            next: 0,
            turn: Instant::ZERO,
            free_at: Instant::ZERO,
            recovery_ends: None,
            to_repair: 0,
            repairs: 0,
            usage: WindowUsage::new(SeqNumber(0)),
            min_rtt: Duration::MAX,
            dice: Dice::new(42),
        }
    }

    /// The bandwidth-delay product.
    pub(crate) fn product(&self) -> u64 {
        super::model::product(self.bytes_per_second, self.rtt)
    }

    /// Runs to `end`, and calls `look` after each acknowledgment.
    pub(crate) fn run(&mut self, end: Instant, mut look: impl FnMut(&Path<C>)) {
        loop {
            let ack = self.flight.iter().find_map(|segment| segment.acked_at);
            let room = self.in_flight + MSS <= self.controller.window() || self.in_flight == 0;
            let send = room.then_some(self.turn.max(self.now));
            let Some(next) = ack.into_iter().chain(send).min() else { panic!("nothing happens") };
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if ack == Some(next) {
                self.acknowledge();
                look(self);
            } else {
                self.send();
            }
        }
    }

    /// The rate of delivery since `before` at `from`, in percent of the path's.
    pub(crate) fn share(&self, before: u64, from: Instant) -> u64 {
        let rate = super::model::per_second(self.delivered - before, self.now - from);
        rate * 100 / self.bytes_per_second
    }

    fn send(&mut self) {
        let rate = self.controller.pacing_rate().expect("these controllers pace").max(1);
        let was_idle = self.flight.is_empty();
        self.in_flight += MSS;
        let departure = self.rate.on_sent(self.now, was_idle, self.in_flight);
        self.turn = self.turn.max(self.now) + Duration::from_nanos(MSS * 1_000_000_000 / rate);
        let queued = self.free_at - self.now;
        let waiting = super::model::product(self.bytes_per_second, queued);
        let is_lost = self.dice.below(1000) < self.loss_per_mille;
        let acked_at = (waiting + MSS <= self.queue && !is_lost).then(|| {
            self.longest_queue = self.longest_queue.max(queued);
            let time = Duration::from_nanos(MSS * 1_000_000_000 / self.bytes_per_second);
            self.free_at = self.free_at.max(self.now) + time;
            self.free_at + self.rtt
        });
        self.dropped += u64::from(acked_at.is_none());
        let is_repair = self.to_repair > 0;
        self.to_repair -= u64::from(is_repair);
        self.repairs += u64::from(is_repair);
        let (number, sent_at) = (self.next, self.now);
        self.flight.push_back(Segment { number, sent_at, departure, is_repair, acked_at });
        self.next += 1;
        let limited = self.in_flight + MSS > self.controller.window();
        let una = self.flight.front().map_or(self.next, |segment| segment.number);
        self.usage.on_sent(Sent {
            snd_una: SeqNumber(una as u32),
            snd_nxt: SeqNumber(self.next as u32),
            outstanding: self.in_flight,
            limited,
        });
    }

    fn acknowledge(&mut self) {
        let prior_in_flight_bytes = self.in_flight;
        let was_open = self.recovery_ends.is_none();
        let Some(index) = self.flight.iter().position(|segment| segment.acked_at.is_some()) else {
            return;
        };
        let Some(acked) = self.flight.remove(index) else { return };
        self.in_flight -= MSS;
        self.delivered += MSS;
        self.rate.on_delivered(MSS, &acked.departure, acked.sent_at, false);
        self.repairs -= u64::from(acked.is_repair);
        let mut lost = 0;
        while let Some(first) = self.flight.front().copied() {
            if first.acked_at.is_some() || first.number + REORDERING > acked.number {
                break;
            }
            self.flight.pop_front();
            self.in_flight -= MSS;
            lost += MSS;
            let ends = *self.recovery_ends.get_or_insert(self.next);
            if first.is_repair || first.number < ends {
                self.to_repair += 1;
                self.repairs -= u64::from(first.is_repair);
            }
            let start = first.number * MSS;
            self.rate.on_lost(start, start + MSS, &first.departure);
        }
        self.min_rtt = self.min_rtt.min(self.now - acked.sent_at);
        let rate = self.rate.finish(self.now, Some(self.min_rtt));
        if lost > 0 && was_open {
            self.controller.on_congestion(&CongestionEvent {
                now: self.now,
                kind: CongestionKind::Loss,
                in_flight_bytes: self.in_flight,
                left_in_flight_bytes: 0,
                mss: MSS as u32,
            });
        }
        for range in self.rate.take_losses() {
            self.controller.on_lost(self.now, &range);
        }
        let is_repaired = self.to_repair + self.repairs == 0;
        if self.recovery_ends.is_some_and(|end| acked.number >= end) && is_repaired {
            self.recovery_ends = None;
            self.controller.on_recovered(self.now);
        }
        let phase = match self.recovery_ends {
            Some(_) => RecoveryPhase::Recovery,
            None => RecoveryPhase::Open,
        };
        self.controller.on_ack(&AckSample {
            now: self.now,
            acked_bytes: MSS,
            delivered_bytes: MSS,
            newly_lost_bytes: lost,
            in_flight_bytes: self.in_flight,
            prior_in_flight_bytes,
            rtt: rate.rtt,
            min_rtt: Some(self.min_rtt),
            srtt: Some(self.rtt),
            window_full: self.usage.was_full(),
            phase,
            delivered_total: self.rate.delivered(),
            lost_total: self.rate.lost(),
            rate,
            ..sample()
        });
        if self.controller.holds_back() {
            self.rate.on_app_limited(self.in_flight);
        }
    }
}
