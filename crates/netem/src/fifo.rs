//! A queue that drops from its tail, and may mark by one step.
//!
//! Packets leave in the order in which they came, so the moment at which a packet's last bit is on
//! the wire is known when it arrives. The stage keeps those moments and no packets.

use std::collections::VecDeque;

use crate::config::{LinkConfig, NotCapable, StepMarking, Threshold};
use crate::ip::{self, Mark};
use crate::link::{DropReason, QueueLength};
use crate::payload::Payload;
use crate::wire::Wire;

/// The most that may be in a queue, what is being sent included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    packets: usize,
    bytes: u64,
}

impl Limits {
    pub(crate) fn new(config: &LinkConfig) -> Self {
        Self {
            packets: config.get_queue_packets().unwrap_or(usize::MAX),
            bytes: config.get_queue_bytes().unwrap_or(u64::MAX),
        }
    }

    /// Whether there is room for one more.
    pub(crate) fn admit(self, queue: QueueLength, len_bytes: usize) -> bool {
        queue.packets < self.packets && queue.bytes.saturating_add(len_bytes as u64) <= self.bytes
    }
}

/// When an admitted packet is on the wire, and whether it was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) departs_ns: u64,
    pub(crate) mark: Option<Mark>,
}

/// A tail-drop queue.
#[derive(Debug)]
pub(crate) struct Fifo {
    limits: Limits,
    marking: Option<StepMarking>,
    /// Those that wait or are being sent, in order.
    packets: VecDeque<Queued>,
    /// The bytes of all packets that have ever left.
    bytes_left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    departs_ns: u64,
    /// The bytes of all packets that have ever come, this one the last.
    bytes_through: u64,
}

impl Fifo {
    pub(crate) fn new(config: &LinkConfig, marking: Option<StepMarking>) -> Self {
        Self { limits: Limits::new(config), marking, packets: VecDeque::new(), bytes_left: 0 }
    }

    pub(crate) fn admit(
        &mut self,
        wire: &mut Wire,
        now_ns: u64,
        packet: &mut impl Payload,
    ) -> Result<Admitted, DropReason> {
        self.forget_departed(now_ns);
        let len_bytes = packet.len();
        let waiting = self.length(now_ns);
        if !self.limits.admit(waiting, len_bytes) {
            return Err(DropReason::Overflow);
        }
        let mut mark = None;
        if let Some(marking) = self.marking
            && is_above(marking.above, waiting, || {
                wire.would_send(now_ns, len_bytes).begins_ns.saturating_sub(now_ns)
            })
        {
            let done = ip::mark(packet);
            if done == Mark::Refused && marking.others == NotCapable::Dropped {
                return Err(DropReason::Managed);
            }
            mark = Some(done);
        }
        let departs_ns = wire.send(now_ns, len_bytes).ends_ns;
        if departs_ns > now_ns {
            let bytes_through = self.bytes_through().saturating_add(len_bytes as u64);
            self.packets.push_back(Queued { departs_ns, bytes_through });
        }
        Ok(Admitted { departs_ns, mark })
    }

    fn forget_departed(&mut self, now_ns: u64) {
        while let Some(first) = self.packets.front()
            && first.departs_ns <= now_ns
        {
            self.bytes_left = first.bytes_through;
            self.packets.pop_front();
        }
    }

    pub(crate) fn length(&self, now_ns: u64) -> QueueLength {
        let departed = self.packets.partition_point(|packet| packet.departs_ns <= now_ns);
        let before = departed.checked_sub(1).and_then(|at| self.packets.get(at));
        let left = before.map_or(self.bytes_left, |packet| packet.bytes_through);
        QueueLength {
            packets: self.packets.len() - departed,
            bytes: self.bytes_through().saturating_sub(left),
        }
    }

    fn bytes_through(&self) -> u64 {
        self.packets.back().map_or(self.bytes_left, |packet| packet.bytes_through)
    }
}

fn is_above(threshold: Threshold, queue: QueueLength, wait_ns: impl FnOnce() -> u64) -> bool {
    match threshold {
        Threshold::Bytes(bytes) => queue.bytes > bytes,
        Threshold::Packets(packets) => queue.packets > packets,
        Threshold::Wait(wait) => u128::from(wait_ns()) > wait.as_nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte a nanosecond.
    fn fast() -> LinkConfig {
        LinkConfig::new().rate_bits_per_second(Some(8_000_000_000))
    }

    fn departs(
        fifo: &mut Fifo,
        wire: &mut Wire,
        now_ns: u64,
        len: usize,
    ) -> Result<u64, DropReason> {
        fifo.admit(wire, now_ns, &mut vec![0; len]).map(|admitted| admitted.departs_ns)
    }

    #[test]
    fn a_queue_drops_the_packet_that_finds_it_full_and_takes_the_next_when_one_has_left() {
        let config = fast().queue_packets(2);
        let (mut fifo, mut wire) = (Fifo::new(&config, None), Wire::new(&config));
        let mut admit = |now_ns| departs(&mut fifo, &mut wire, now_ns, 100);
        assert_eq!(admit(0), Ok(100));
        assert_eq!(admit(0), Ok(200));
        assert_eq!(admit(0), Err(DropReason::Overflow));
        assert_eq!(admit(99), Err(DropReason::Overflow));
        assert_eq!(admit(100), Ok(300));
        assert_eq!(admit(100), Err(DropReason::Overflow));
    }

    #[test]
    fn a_queue_of_bytes_is_full_to_the_byte() {
        let config = fast().queue_bytes(1_000);
        let (mut fifo, mut wire) = (Fifo::new(&config, None), Wire::new(&config));
        let mut admit = |now_ns, len| departs(&mut fifo, &mut wire, now_ns, len);
        assert_eq!(admit(0, 600), Ok(600));
        assert_eq!(admit(0, 401), Err(DropReason::Overflow));
        assert_eq!(admit(0, 400), Ok(1_000));
        assert_eq!(admit(0, 0), Ok(1_000), "nothing needs no room");
        assert_eq!(admit(0, 1), Err(DropReason::Overflow));
        assert_eq!(
            admit(599, 1),
            Err(DropReason::Overflow),
            "a packet that is half sent counts whole"
        );
        assert_eq!(admit(600, 600), Ok(1_600));
        assert_eq!(fifo.length(600), QueueLength { packets: 3, bytes: 1_000 });
        assert_eq!(fifo.length(1_000), QueueLength { packets: 1, bytes: 600 });
        assert_eq!(fifo.length(1_600), QueueLength { packets: 0, bytes: 0 });
    }

    #[test]
    fn half_a_megabyte_before_a_hundred_megabits_is_forty_milliseconds() {
        let config = LinkConfig::new().rate_bits_per_second(Some(100_000_000)).queue_bytes(500_000);
        let (mut fifo, mut wire) = (Fifo::new(&config, None), Wire::new(&config));
        let mut last = 0;
        for _ in 0..400 {
            assert!(departs(&mut fifo, &mut wire, 7, 1_250).map(|at| last = at).is_ok());
        }
        assert_eq!(last, 40_000_007);
        assert_eq!(departs(&mut fifo, &mut wire, 7, 1), Err(DropReason::Overflow));
    }

    #[test]
    fn both_limits_hold_at_once() {
        let config = fast().queue_bytes(1_000).queue_packets(3);
        let (mut fifo, mut wire) = (Fifo::new(&config, None), Wire::new(&config));
        let mut admit = |len| departs(&mut fifo, &mut wire, 0, len).is_ok();
        assert_eq!([1, 1, 999, 1, 0].map(&mut admit), [true, true, false, true, false]);
    }

    #[test]
    fn without_a_rate_packets_leave_as_they_come() {
        let config = LinkConfig::new().queue_packets(1);
        let (mut fifo, mut wire) = (Fifo::new(&config, None), Wire::new(&config));
        for now_ns in [5, 5, 5, u64::MAX] {
            assert_eq!(departs(&mut fifo, &mut wire, now_ns, 1500), Ok(now_ns));
        }
    }
}
