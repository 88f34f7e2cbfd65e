//! Controlled delay (RFC 8289): a queue that drops from its head when packets have waited for too
//! long.
//!
//! [`Control`] is the control loop of section 5, [`CoDelQueue`] the packets before the wire. A
//! packet's fate is decided when the wire takes it, so unlike the tail-drop queue this one keeps
//! the packets, and when they depart is not known before.

use std::collections::VecDeque;

use crate::config::{CoDel, CoDelVerdict, LinkConfig};
use crate::delay::nanos;
use crate::fifo::Limits;
use crate::ip::{self, Mark};
use crate::link::{DropReason, QueueLength};
use crate::payload::Payload;
use crate::stage::PacketNumber;
use crate::wire::Wire;

/// The packets before a wire, and who of them gets onto it.
#[derive(Debug)]
pub(crate) struct CoDelQueue<P> {
    limits: Limits,
    verdict: CoDelVerdict,
    control: Control,
    waiting: VecDeque<Waiting<P>>,
    waiting_bytes: u64,
    /// The longest packet so far, in place of the interface's MTU that the RFC asks for.
    longest_bytes: u64,
    /// Until when the last one is being sent, and its length.
    sending: (u64, u64),
}

#[derive(Debug)]
struct Waiting<P> {
    came_ns: u64,
    number: PacketNumber,
    payload: P,
}

/// What is known of the first packet in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextEvent {
    Departure { at_ns: u64 },
    Decision { at_ns: u64 },
}

/// What the wire took from the queue at one moment.
#[derive(Debug)]
pub(crate) struct Taken<P> {
    /// The lengths of those that were dropped from the head.
    pub(crate) dropped_bytes: Vec<u64>,
    /// The one that is being sent.
    pub(crate) sent: Option<Sent<P>>,
}

#[derive(Debug)]
pub(crate) struct Sent<P> {
    pub(crate) departs_ns: u64,
    pub(crate) number: PacketNumber,
    pub(crate) payload: P,
    pub(crate) mark: Option<Mark>,
}

impl<P: Payload> CoDelQueue<P> {
    pub(crate) fn new(config: &LinkConfig, codel: &CoDel) -> Self {
        Self {
            limits: Limits::new(config),
            verdict: codel.verdict,
            control: Control::new(nanos(codel.target), nanos(codel.interval)),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            longest_bytes: 0,
            sending: (0, 0),
        }
    }

    pub(crate) fn offer(
        &mut self,
        now_ns: u64,
        number: PacketNumber,
        payload: P,
    ) -> Result<(), DropReason> {
        let len_bytes = payload.len();
        if !self.limits.admit(self.length(now_ns), len_bytes) {
            return Err(DropReason::Overflow);
        }
        self.longest_bytes = self.longest_bytes.max(len_bytes as u64);
        self.waiting_bytes = self.waiting_bytes.saturating_add(len_bytes as u64);
        self.waiting.push_back(Waiting { came_ns: now_ns, number, payload });
        Ok(())
    }

    pub(crate) fn length(&self, now_ns: u64) -> QueueLength {
        let (until_ns, sending_bytes) = self.sending;
        let sending = until_ns > now_ns;
        QueueLength {
            packets: self.waiting.len() + usize::from(sending),
            bytes: self.waiting_bytes.saturating_add(if sending { sending_bytes } else { 0 }),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When the wire takes the next packet.
    pub(crate) fn next_taken_ns(&self, wire: &Wire) -> Option<u64> {
        self.waiting.front().map(|first| wire.would_send(first.came_ns, 0).begins_ns)
    }

    /// When the first packet departs, if nothing else comes; or, where it may be dropped and a
    /// shorter one take its place, when that is decided.
    pub(crate) fn next_event(&self, wire: &Wire) -> Option<NextEvent> {
        let first = self.waiting.front()?;
        let sending = wire.would_send(first.came_ns, first.payload.len());
        Some(if self.control.may_strike(sending.begins_ns) {
            NextEvent::Decision { at_ns: sending.begins_ns }
        } else {
            NextEvent::Departure { at_ns: sending.ends_ns }
        })
    }

    /// Lets the wire take a packet at `now_ns`: `deque` of RFC 8289, section 5.5.
    pub(crate) fn take(&mut self, now_ns: u64, wire: &mut Wire) -> Taken<P> {
        let mut dropped_bytes = Vec::new();
        let mut mark = None;
        let mut head = self.pull(now_ns);
        if self.control.dropping {
            self.control.dropping = is_over(&head);
            while self.control.dropping && now_ns >= self.control.drop_next_ns {
                self.control.count = self.control.count.saturating_add(1);
                mark = self.try_mark(&mut head);
                if mark.is_none() {
                    dropped_bytes.extend(head.map(|head| head.packet.payload.len() as u64));
                    head = self.pull(now_ns);
                    self.control.dropping = is_over(&head);
                }
                if self.control.dropping {
                    self.control.schedule(self.control.drop_next_ns);
                }
                if mark.is_some() {
                    break;
                }
            }
        } else if is_over(&head) {
            mark = self.try_mark(&mut head);
            if mark.is_none() {
                dropped_bytes.extend(head.map(|head| head.packet.payload.len() as u64));
                head = self.pull(now_ns);
            }
            self.control.begin(now_ns);
        }
        let sent = head.map(|Head { packet, .. }| {
            let sending = wire.send(now_ns, packet.payload.len());
            self.sending = (sending.ends_ns, packet.payload.len() as u64);
            let Waiting { number, payload, .. } = packet;
            Sent { departs_ns: sending.ends_ns, number, payload, mark }
        });
        Taken { dropped_bytes, sent }
    }

    fn pull(&mut self, now_ns: u64) -> Option<Head<P>> {
        let Some(packet) = self.waiting.pop_front() else {
            self.control.judge(now_ns, None);
            return None;
        };
        self.waiting_bytes = self.waiting_bytes.saturating_sub(packet.payload.len() as u64);
        // A queue of no more than one packet cannot be shorter: what waits there has to.
        let wait_ns = now_ns.saturating_sub(packet.came_ns);
        let counts = self.waiting_bytes > self.longest_bytes;
        let over = self.control.judge(now_ns, counts.then_some(wait_ns));
        Some(Head { packet, over })
    }

    fn try_mark(&self, head: &mut Option<Head<P>>) -> Option<Mark> {
        if self.verdict == CoDelVerdict::Drop {
            return None;
        }
        let done = ip::mark(&mut head.as_mut()?.packet.payload);
        (done != Mark::Refused).then_some(done)
    }
}

/// A packet that has been taken from the head of the queue, and whether the delay has been above
/// the target for an interval when it was.
struct Head<P> {
    packet: Waiting<P>,
    over: Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Yes,
    No,
}

fn is_over<P>(head: &Option<Head<P>>) -> bool {
    head.as_ref().is_some_and(|head| head.over == Over::Yes)
}

/// The estimator and the control loop.
#[derive(Debug)]
struct Control {
    target_ns: u64,
    interval_ns: u64,
    /// When the delay will have been above the target for an interval.
    first_above_ns: Option<u64>,
    dropping: bool,
    drop_next_ns: u64,
    /// Drops since the dropping began, and what it began with.
    count: u32,
    last_count: u32,
}

impl Control {
    fn new(target_ns: u64, interval_ns: u64) -> Self {
        Self {
            target_ns,
            interval_ns,
            first_above_ns: None,
            dropping: false,
            drop_next_ns: 0,
            count: 0,
            last_count: 0,
        }
    }

    /// The estimator: `dodequeue` of section 5.6. A wait is `None` when it cannot count.
    fn judge(&mut self, now_ns: u64, wait_ns: Option<u64>) -> Over {
        if wait_ns.is_none_or(|wait_ns| wait_ns < self.target_ns) {
            self.first_above_ns = None;
            return Over::No;
        }
        match self.first_above_ns {
            None => {
                self.first_above_ns = Some(now_ns.saturating_add(self.interval_ns));
                Over::No
            }
            Some(at_ns) if now_ns >= at_ns => Over::Yes,
            Some(_) => Over::No,
        }
    }

    /// Whether a packet that the wire takes at `at_ns` may be struck, whatever it has waited.
    fn may_strike(&self, at_ns: u64) -> bool {
        let over = self.first_above_ns.is_some_and(|above_ns| at_ns >= above_ns);
        over && (!self.dropping || at_ns >= self.drop_next_ns)
    }

    /// Dropping begins: where it ended if that is not long ago, since the rate of drops that held
    /// the queue then is a good one to begin with.
    fn begin(&mut self, now_ns: u64) {
        self.dropping = true;
        let last_cycle = self.count.saturating_sub(self.last_count);
        let recent = now_ns.saturating_sub(self.drop_next_ns) < self.interval_ns.saturating_mul(16);
        self.count = if last_cycle > 1 && recent { last_cycle } else { 1 };
        self.schedule(now_ns);
        self.last_count = self.count;
    }

    /// The control law of section 5.4: the drops of a cycle come closer with the square root of
    /// their number, so that the throughput of TCP falls linearly.
    fn schedule(&mut self, from_ns: u64) {
        // A square root is exact to the last bit on every platform.
        let gap = self.interval_ns as f64 / f64::from(self.count.max(1)).sqrt();
        self.drop_next_ns = from_ns.saturating_add(gap as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    /// One packet of 1,000 bytes every millisecond.
    fn config() -> LinkConfig {
        LinkConfig::new().rate_bits_per_second(Some(8_000_000)).codel(CoDel::new())
    }

    fn fill(queue: &mut CoDelQueue<Vec<u8>>, now_ns: u64, packets: u64) {
        for n in 0..packets {
            let offered = queue.offer(now_ns, PacketNumber::original(n), vec![0; 1_000]);
            assert_eq!(offered, Ok(()));
        }
    }

    /// When packets are dropped while the wire takes one after another until `until_ns`.
    fn drops(queue: &mut CoDelQueue<Vec<u8>>, wire: &mut Wire, until_ns: u64) -> Vec<u64> {
        let mut drops = Vec::new();
        while let Some(at_ns) = queue.next_taken_ns(wire).filter(|&at_ns| at_ns < until_ns) {
            let taken = queue.take(at_ns, wire);
            drops.extend(taken.dropped_bytes.iter().map(|_| at_ns));
        }
        drops
    }

    #[test]
    fn drops_come_by_the_interval_over_the_square_root_of_their_number() {
        let config = config();
        let (mut queue, mut wire) = (CoDelQueue::new(&config, &CoDel::new()), Wire::new(&config));
        fill(&mut queue, 0, 1_000);
        let drops = drops(&mut queue, &mut wire, 700 * MS);
        // The wait reaches 5 ms with the sixth packet, at 5 ms; an interval later drops begin. The
        // n-th follows the one before by 100 ms / sqrt(n - 1), and a packet is taken each
        // millisecond.
        let mut exact = 105.0_f64;
        let mut expected = vec![105 * MS];
        for n in 1.. {
            exact += 100.0 / f64::from(n).sqrt();
            if exact >= 699.0 {
                break;
            }
            expected.push(exact.ceil() as u64 * MS);
        }
        assert_eq!(expected[..4], [105 * MS, 205 * MS, 276 * MS, 334 * MS]);
        assert_eq!(drops, expected);
    }

    #[test]
    fn a_wait_below_the_target_is_never_punished() {
        let config = config();
        let (mut queue, mut wire) = (CoDelQueue::new(&config, &CoDel::new()), Wire::new(&config));
        for ms in 0..2_000 {
            // Four wait and one is sent: 4 ms.
            fill(&mut queue, ms * MS, if ms == 0 { 5 } else { 1 });
            assert_eq!(drops(&mut queue, &mut wire, ms * MS + 1), [], "at {ms} ms");
        }
    }

    #[test]
    fn one_packet_that_waited_for_less_ends_the_dropping() {
        let config = config();
        let (mut queue, mut wire) = (CoDelQueue::new(&config, &CoDel::new()), Wire::new(&config));
        fill(&mut queue, 0, 220);
        assert_eq!(drops(&mut queue, &mut wire, 210 * MS), [105 * MS, 205 * MS]);
        // The queue runs empty and fills again: another interval passes before the next drop, and
        // the rate of drops starts afresh, since a cycle of two drops says nothing.
        assert_eq!(drops(&mut queue, &mut wire, 300 * MS), []);
        fill(&mut queue, 300 * MS, 300);
        assert_eq!(drops(&mut queue, &mut wire, 550 * MS), [405 * MS, 505 * MS]);
    }

    #[test]
    fn dropping_resumes_at_the_rate_that_held_the_queue_before() {
        let mut control = Control::new(5 * MS, 100 * MS);
        control.begin(1_000 * MS);
        assert_eq!((control.count, control.drop_next_ns), (1, 1_100 * MS));
        for _ in 0..9 {
            control.count += 1;
            control.schedule(control.drop_next_ns);
        }
        let ended_ns = control.drop_next_ns;
        control.begin(ended_ns + 16 * 100 * MS - 1);
        assert_eq!((control.count, control.last_count), (9, 9), "ten drops less the first");
        let gap_ns = control.drop_next_ns - (ended_ns + 16 * 100 * MS - 1);
        assert_eq!(gap_ns, 33_333_333, "100 ms / sqrt(9)");
        control.count = 18;
        control.begin(control.drop_next_ns + 16 * 100 * MS);
        assert_eq!(control.count, 1, "sixteen intervals are long ago");
    }

    #[test]
    fn the_last_packet_of_a_queue_is_not_dropped_however_long_it_waited() {
        let config = config().queue_packets(10_000);
        let codel = CoDel::new().target(Duration::ZERO).interval(Duration::from_nanos(1));
        let (mut queue, mut wire) = (CoDelQueue::new(&config, &codel), Wire::new(&config));
        fill(&mut queue, 0, 200);
        let mut last = None;
        while let Some(at_ns) = queue.next_taken_ns(&wire) {
            last = queue.take(at_ns, &mut wire).sent.map(|sent| sent.number.ordinal());
        }
        assert_eq!(last, Some(200));
    }

    #[test]
    fn the_limits_of_the_queue_hold_beside_the_law() {
        let config = config().queue_packets(3);
        let (mut queue, mut wire) = (CoDelQueue::new(&config, &CoDel::new()), Wire::new(&config));
        fill(&mut queue, 0, 1);
        assert!(queue.take(0, &mut wire).sent.is_some());
        fill(&mut queue, 0, 2);
        let offer = |queue: &mut CoDelQueue<_>, now_ns| {
            queue.offer(now_ns, PacketNumber::original(9), vec![0; 1_000])
        };
        assert_eq!(offer(&mut queue, MS - 1), Err(DropReason::Overflow), "one is still being sent");
        assert_eq!(offer(&mut queue, MS), Ok(()));
        assert_eq!(queue.length(MS), QueueLength { packets: 3, bytes: 3_000 });
    }
}
