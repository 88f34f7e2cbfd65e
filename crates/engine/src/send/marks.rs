//! Where writes ended: which segments carry PSH, and which bytes do not share one (MSG_EOR).
//!
//! RFC 9293 section 3.9.1.2 asks for PSH on the last segment of what is buffered (MUST-61) and lets
//! the rest to the sender. As Linux decides it: the end of a write is marked; a write that continues
//! a batch which has not left moves the mark to its own end; and a long write is marked whenever a
//! batch is full and more than half of the largest window was written since the last mark. A mark
//! belongs to a byte: whatever segment carries that byte carries PSH.

use std::collections::VecDeque;

/// Linux's largest batch, in bytes: 64 KiB less the headers' room.
const LARGEST_BATCH: u64 = 65_215;
/// Marks that are kept. Beyond, the oldest go: PSH is then missing on a retransmission.
const MAX_MARKS: usize = 1024;

/// What the writer says beside the bytes: `send(2)`'s flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SendFlags {
    /// MSG_MORE: more follows soon; a segment that is not full waits for it.
    pub more: bool,
    /// MSG_EOR: a record ends here; what is written later does not share a segment with it.
    pub end_of_record: bool,
    /// MSG_OOB: the urgent pointer points behind the last of these bytes.
    pub urgent: bool,
}

/// How the sender stands when a write comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The payload of a full segment.
    pub(crate) segment: u64,
    /// The largest window that the peer ever offered.
    pub(crate) max_window: u64,
    /// The offset of the next byte to be sent.
    pub(crate) sent_to: u64,
    /// The offset up to which the windows let segments go now.
    pub(crate) may_go_to: u64,
}

/// The marks of one send buffer, by stream offset.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pushes: VecDeque<u64>,
    records: VecDeque<u64>,
    /// Where the batch begins that the next write continues.
    batch: u64,
    /// Where the last mark was set.
    pushed: u64,
}

impl Marks {
    /// `len` bytes were written at `start`.
    // Implements: 9293 MUST-61, 9293 MAY-15, 9293 MAY-16, 9293 SHLD-27
    pub(crate) fn on_write(&mut self, start: u64, len: u64, flags: SendFlags, standing: Standing) {
        if len == 0 {
            return;
        }
        let half = standing.max_window / 2;
        let goal = if flags.urgent { standing.segment } else { batch_size(standing) }.max(1);
        let end = start + len;
        self.batch = self.batch.max(standing.sent_to.min(start));
        if self.batch < start && start - self.batch < goal {
            // The write goes on where the last one ended: its mark was early.
            if self.pushes.back() == Some(&start) {
                self.pushes.pop_back();
            }
        } else {
            self.batch = start;
        }
        while self.batch + goal < end {
            let full = self.batch + goal;
            if full > self.pushed + half {
                self.push_at(full);
            }
            // What the windows let go leaves at once; the rest is continued if it is less than full.
            self.batch = match standing.may_go_to {
                all if all >= full => full,
                some if some > self.batch => some,
                _ => full,
            };
        }
        if !flags.more || end > self.pushed + half {
            self.push_at(end);
        }
        if flags.end_of_record {
            keep(&mut self.records, end);
            self.batch = end;
        }
    }

    /// Whether a segment with the bytes from `start` to `end` carries PSH.
    pub(crate) fn is_pushed(&self, start: u64, end: u64) -> bool {
        let next = self.pushes.partition_point(|mark| *mark <= start);
        self.pushes.get(next).is_some_and(|mark| *mark <= end)
    }

    /// Where the record ends that the byte at `offset` belongs to, if an end is marked.
    pub(crate) fn record_end(&self, offset: u64) -> Option<u64> {
        let next = self.records.partition_point(|mark| *mark <= offset);
        self.records.get(next).copied()
    }

    /// Everything below `offset` is acknowledged.
    pub(crate) fn forget_below(&mut self, offset: u64) {
        for marks in [&mut self.pushes, &mut self.records] {
            let gone = marks.partition_point(|mark| *mark <= offset);
            marks.drain(..gone);
            if marks.is_empty() {
                // At rest a connection holds no memory.
                *marks = VecDeque::new();
            }
        }
    }

    fn push_at(&mut self, offset: u64) {
        self.pushed = offset;
        keep(&mut self.pushes, offset);
    }
}

/// Whole segments, as many as fit into a batch and into half of the largest window.
fn batch_size(standing: Standing) -> u64 {
    let window = standing.max_window;
    let bound = if window > 536 { window / 2 } else { window };
    let size = if window == 0 { LARGEST_BATCH } else { LARGEST_BATCH.min(bound) };
    let segment = standing.segment.max(1);
    (size / segment * segment).max(segment)
}

fn keep(marks: &mut VecDeque<u64>, offset: u64) {
    if marks.back() == Some(&offset) {
        return;
    }
    if marks.len() == MAX_MARKS {
        marks.pop_front();
    }
    marks.push_back(offset);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: SendFlags = SendFlags { more: true, end_of_record: false, urgent: false };

    fn standing(sent_to: u64, may_go_to: u64) -> Standing {
        Standing { segment: 1000, max_window: 32_792, sent_to, may_go_to }
    }

    fn written(marks: &mut Marks, writes: &[(u64, SendFlags)], standing: Standing) -> Vec<u64> {
        let mut at = 0;
        for (len, flags) in writes {
            marks.on_write(at, *len, *flags, standing);
            at += len;
        }
        marks.pushes.iter().copied().collect()
    }

    // Shows: 9293 MUST-61, 9293 SHLD-27
    #[test]
    fn writes_that_gather_have_one_mark_at_their_end() {
        let plain = SendFlags::default();
        let waiting = standing(0, 0);
        let three = [(100, plain), (200, plain), (300, plain)];
        assert_eq!(written(&mut Marks::default(), &three, waiting), [600]);
        assert_eq!(written(&mut Marks::default(), &[(100, plain), (200, MORE)], waiting), []);
        let mut marks = Marks::default();
        marks.on_write(0, 100, plain, standing(0, 100));
        marks.on_write(100, 200, plain, standing(100, 300));
        assert_eq!(marks.pushes, [100, 300], "what has left keeps its mark");
        assert!(marks.is_pushed(0, 100) && !marks.is_pushed(100, 299) && marks.is_pushed(99, 150));
    }

    #[test]
    fn a_long_write_is_marked_after_more_than_half_of_the_largest_window() {
        let plain = SendFlags::default();
        // Batches of 16 segments; ten segments leave while the first is filled.
        let first_window = standing(0, 10_000);
        assert_eq!(written(&mut Marks::default(), &[(20_000, plain)], first_window), [20_000]);
        let all = standing(0, u64::MAX);
        assert_eq!(written(&mut Marks::default(), &[(50_000, plain)], all), [32_000, 50_000]);
        assert_eq!(written(&mut Marks::default(), &[(50_000, MORE)], all), [32_000, 50_000]);
        assert_eq!(written(&mut Marks::default(), &[(40_000, MORE)], all), [32_000]);
    }

    #[test]
    fn a_record_ends_a_batch() {
        let record = SendFlags { end_of_record: true, ..SendFlags::default() };
        let plain = SendFlags::default();
        let mut marks = Marks::default();
        let ends = written(&mut marks, &[(100, record), (200, plain)], standing(0, 0));
        assert_eq!(ends, [100, 300]);
        assert_eq!(
            (marks.record_end(0), marks.record_end(99), marks.record_end(100)),
            (Some(100), Some(100), None)
        );
        marks.forget_below(100);
        assert_eq!((marks.record_end(0), marks.pushes.len()), (None, 1));
        marks.forget_below(300);
        assert_eq!((marks.pushes.capacity(), marks.records.capacity()), (0, 0));
    }

    #[test]
    fn marks_are_bounded() {
        let mut marks = Marks::default();
        for at in 0..5000 {
            marks.on_write(at, 1, SendFlags::default(), standing(at, at));
        }
        assert_eq!(marks.pushes.len(), MAX_MARKS);
    }
}
