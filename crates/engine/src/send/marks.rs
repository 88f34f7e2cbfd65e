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
/// What Linux counts for a batch beside its bytes.
const BATCH_OVERHEAD: u64 = 1280;
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
    /// What leaves at once of a batch that is full, in bytes.
    pub(crate) burst: u64,
}

impl Standing {
    /// Up to where things have left when the batch from `batch` to `full` is full: a burst of it, or
    /// all that the windows let go if a mark was set.
    fn leaves(&self, sent: u64, batch: u64, full: u64, marked: bool) -> u64 {
        let goes = match marked {
            true => full,
            false if sent >= batch => full.min(sent.saturating_add(self.burst)),
            false => sent,
        };
        goes.min(self.may_go_to).max(sent)
    }
}

/// What the send buffer holds, and what it may hold, when a write comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The offset at which the write would begin.
    pub(crate) start: u64,
    /// Bytes that are kept or promised, without what lies around them.
    pub(crate) held: u64,
    /// SO_SNDBUF.
    pub(crate) capacity: u64,
    /// TCP_NOTSENT_LOWAT.
    pub(crate) unsent_limit: u64,
}

/// The marks of one send buffer, by stream offset.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pushes: VecDeque<u64>,
    /// Where bursts ended that left.
    bursts: VecDeque<u64>,
    records: VecDeque<u64>,
    /// Where the batch begins that the next write continues.
    batch: u64,
    /// Where the batches begin that are not acknowledged in whole.
    batches: VecDeque<u64>,
    /// Where the last write ended.
    end: u64,
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
            self.begin_batch(start);
        }
        let mut sent = standing.sent_to;
        let mut carried = false;
        while self.batch + goal < end {
            let full = self.batch + goal;
            let marked = full > self.pushed + half;
            if marked {
                self.pushed = full;
            }
            // What stays of a batch that has left in part is filled up again, and keeps its mark at
            // its end.
            sent = standing.leaves(sent, self.batch, full, marked);
            carried |= marked;
            if sent > self.batch && sent < full {
                self.begin_batch(sent);
            } else {
                if core::mem::take(&mut carried) {
                    keep(&mut self.pushes, full);
                }
                self.begin_batch(full);
            }
        }
        if carried {
            keep(&mut self.pushes, end);
        }
        self.end = end;
        if !flags.more || end > self.pushed + half {
            self.push_at(end);
        }
        if flags.end_of_record {
            keep(&mut self.records, end);
            self.batch = end;
        }
    }

    fn begin_batch(&mut self, at: u64) {
        self.batch = at;
        keep(&mut self.batches, at);
    }

    /// What batches take beside their bytes.
    pub(crate) fn overhead(&self) -> u64 {
        self.batches.len() as u64 * BATCH_OVERHEAD
    }

    /// How many of `wanted` bytes a write may leave in the buffer: as on Linux, a batch that is begun
    /// is always filled, and another is begun while the buffer is not full and what waits to be sent
    /// is below its limit. A batch that is full leaves as far as the windows let it.
    pub(crate) fn grant(&self, wanted: u64, load: Load, standing: Standing) -> u64 {
        let goal = batch_size(standing);
        let end = load.start.saturating_add(wanted);
        let (mut at, mut sent) = (load.start, standing.sent_to);
        let mut batch = self.batch.max(sent.min(at));
        let mut held = load.held.saturating_add(self.overhead());
        let (half, mut pushed) = (standing.max_window / 2, self.pushed);
        // Every batch that is begun takes of the capacity, so that the loop ends.
        while at < end {
            if batch == at || at - batch >= goal {
                if held >= load.capacity || at.saturating_sub(sent) >= load.unsent_limit {
                    break;
                }
                held += BATCH_OVERHEAD;
                batch = at;
            }
            let step = (goal - (at - batch)).min(end - at);
            at += step;
            held = held.saturating_add(step);
            if at - batch == goal {
                let marked = at > pushed + half;
                if marked {
                    pushed = at;
                }
                sent = standing.leaves(sent, batch, at, marked);
                if sent > batch && sent < at {
                    batch = sent;
                    held += BATCH_OVERHEAD;
                }
            }
        }
        at - load.start
    }

    /// A burst left that ends at `offset`. It may be one of a single segment.
    pub(crate) fn on_burst(&mut self, offset: u64) {
        keep(&mut self.bursts, offset);
    }

    /// Where the burst ended in which the byte at `offset` left, if that is known.
    pub(crate) fn burst_end(&self, offset: u64) -> Option<u64> {
        let next = self.bursts.partition_point(|mark| *mark <= offset);
        self.bursts.get(next).copied()
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
        while self.batches.get(1).map_or(self.end, |next| *next) <= offset {
            if self.batches.pop_front().is_none() {
                break;
            }
        }
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        }
        for marks in [&mut self.pushes, &mut self.bursts, &mut self.records] {
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
        Standing { segment: 1000, max_window: 32_792, sent_to, may_go_to, burst: u64::MAX }
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
    fn a_write_gets_what_fills_its_batches_and_begins_none_beyond_the_limits() {
        let load = |capacity, unsent_limit| Load { start: 0, held: 0, capacity, unsent_limit };
        let wide = u64::MAX;
        // Batches of 16 segments. Ten segments leave, in bursts of five, and what is left of their
        // batch is filled up again.
        let first = Standing { burst: 5000, ..standing(0, 10_000) };
        let marks = Marks::default();
        for (capacity, limit, wanted, granted) in [
            (50_000, wide, 59_000, 58_000),
            (50_000, wide, 20_000, 20_000),
            (50_000, 32_000, 59_000, 42_000),
            (50_000, 4000, 59_000, 26_000),
            (1, wide, 59_000, 26_000),
            (0, wide, 59_000, 0),
            (50_000, 0, 59_000, 0),
        ] {
            assert_eq!(
                marks.grant(wanted, load(capacity, limit), first),
                granted,
                "{capacity} {limit}"
            );
        }
        // Nothing leaves: a batch is filled once.
        assert_eq!(marks.grant(59_000, load(1, wide), standing(0, 0)), 16_000);
        // A window of two segments: batches of one.
        let small = Standing { segment: 988, max_window: 2000, ..standing(0, 1976) };
        assert_eq!(marks.grant(10_000, load(4608, wide), small), 3 * 988);
    }

    #[test]
    fn batches_are_counted_until_they_are_acknowledged_in_whole() {
        let mut marks = Marks::default();
        marks.on_write(0, 58_000, SendFlags::default(), standing(0, 10_000));
        assert_eq!(marks.overhead(), 4 * BATCH_OVERHEAD);
        marks.forget_below(9999);
        assert_eq!(marks.overhead(), 4 * BATCH_OVERHEAD);
        marks.forget_below(26_000);
        assert_eq!(marks.overhead(), 2 * BATCH_OVERHEAD);
        marks.forget_below(58_000);
        assert_eq!((marks.overhead(), marks.batches.capacity()), (0, 0));
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
