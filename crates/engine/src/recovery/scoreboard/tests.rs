//! The scoreboard against a model that keeps one record a byte.

use proptest::prelude::*;

use super::*;
use crate::recovery::rack::Rack;

const UNA: SeqNumber = SeqNumber(u32::MAX - 2500);
const MSS: u32 = 100;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn board(segments: u32) -> Scoreboard {
    let mut board = Scoreboard::new(UNA);
    for index in 1..=segments {
        board.push(at(0), UNA + index * MSS, MSS);
    }
    board
}

impl Scoreboard {
    fn report(&mut self, left: u32, right: u32) -> u64 {
        let mut news = 0;
        let una = self.offset(UNA);
        self.on_sack(una + u64::from(left), una + u64::from(right), |range| news += range.len());
        news
    }

    fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.by_start.values().map(|slot| &self.slab[*slot])
    }

    /// Every sum and set says what the ranges say.
    fn check(&self) {
        let sum = |keep: fn(&Range) -> bool| {
            let mut sum = Sum::default();
            self.ranges().filter(|range| keep(range)).for_each(|range| sum.add(range));
            sum
        };
        assert_eq!(self.outstanding, sum(|_| true));
        assert_eq!(self.sacked, sum(|range| range.sacked));
        assert_eq!(self.lost, sum(|range| range.lost));
        assert_eq!(self.resent, sum(|range| range.resent));
        assert_eq!(self.missing_bytes, sum(Range::is_missing).bytes);
        let starts = |keep: fn(&Range) -> bool| {
            self.ranges().filter(|range| keep(range)).map(|range| range.start).collect::<Vec<_>>()
        };
        assert_eq!(self.missing.iter().copied().collect::<Vec<_>>(), starts(Range::is_missing));
        assert_eq!(self.reported.iter().copied().collect::<Vec<_>>(), starts(|it| it.sacked));
        let mut end = self.una_at;
        for (start, slot) in &self.by_start {
            let range = &self.slab[*slot];
            assert_eq!((*start, range.start), (end, end));
            assert!(range.start < range.end && !(range.sacked && range.lost));
            let in_order = !range.sacked && !range.is_missing();
            assert!(!in_order || self.slab.is_listed(*slot), "RACK never looks at {range:?}");
            end = range.end;
        }
        let (mut slot, mut sent_at) = (self.slab.oldest(), Instant::ZERO);
        while let Some(this) = slot {
            assert!(self.slab[this].sent_at >= sent_at, "out of order");
            sent_at = self.slab[this].sent_at;
            slot = self.slab.newer(slot);
        }
    }
}

// Shows: RFC2018 s5c
#[test]
fn a_block_reports_the_segments_that_lie_wholly_in_it() {
    let mut board = board(10);
    assert_eq!(board.report(150, 350), 100);
    assert_eq!(board.report(250, 390), 0);
    assert_eq!(board.report(250, 500), 200);
    assert_eq!(board.sacked(), Sum { bytes: 300, segments: 3 });
    board.check();
}

#[test]
fn a_large_segment_is_split_between_those_that_it_was_cut_into() {
    let mut board = Scoreboard::new(UNA);
    board.push(at(0), UNA + 1000, MSS);
    assert_eq!(board.outstanding().segments, 10);
    assert_eq!(board.report(250, 630), 300);
    assert_eq!(board.sacked(), Sum { bytes: 300, segments: 3 });
    assert_eq!(board.outstanding(), Sum { bytes: 1000, segments: 10 });
    assert!(board.mark_first_lost());
    assert_eq!(board.lost(), Sum { bytes: 100, segments: 1 });
    board.check();
}

// Shows: H-02
#[test]
fn a_flood_of_reports_makes_no_more_ranges_than_there_are_segments() {
    let mut board = Scoreboard::new(UNA);
    board.push(at(0), UNA + 1000 * MSS, MSS);
    for byte in 0..40_000 {
        board.report(2 * byte + 1, 2 * byte + 2);
    }
    assert_eq!(board.by_start.len(), 1, "single bytes are no news");
    for segment in 0..500 {
        board.report(2 * segment * MSS, (2 * segment + 1) * MSS);
    }
    assert_eq!(board.by_start.len(), 1000);
    board.report(0, 1000 * MSS);
    assert_eq!((board.by_start.len(), board.sacked().segments), (1, 1000));
    board.check();
}

// Shows: RFC6675 s4a, RFC6675 s4b
#[test]
fn by_counts_a_hole_is_lost_below_three_runs_or_more_than_two_segments() {
    let mut three = board(10);
    three.report(100, 300);
    three.mark_lost_below_sacks(200, 3);
    assert_eq!(three.lost().segments, 0);
    three.report(300, 400);
    three.mark_lost_below_sacks(200, 3);
    assert_eq!((three.lost().bytes, three.pipe()), (100, 600));
    three.check();
    let mut runs = Scoreboard::new(UNA);
    for (index, len) in [100, 10, 100, 10, 100, 10, 100].into_iter().enumerate() {
        runs.push(at(index as u64), runs.seq(runs.nxt()) + len, MSS);
    }
    runs.report(100, 110);
    runs.report(210, 220);
    runs.mark_lost_below_sacks(200, 3);
    assert_eq!(runs.lost().segments, 0);
    runs.report(320, 330);
    runs.mark_lost_below_sacks(200, 3);
    assert_eq!(runs.lost().bytes, 100);
    runs.check();
}

// Shows: 9293 SHLD-16
#[test]
fn small_segments_are_sent_again_together() {
    let mut board = Scoreboard::new(UNA);
    for end in [30, 60, 90, 120] {
        board.push(at(0), UNA + end, MSS);
    }
    assert!(board.mark_first_lost());
    assert_eq!(board.next_missing(MSS), Some((UNA, 90)));
    board.on_resent(at(5), UNA, UNA + 90, Again::Lost);
    assert_eq!((board.outstanding().segments, board.resent().bytes), (2, 90));
    assert_eq!(board.next_missing(MSS), None);
    board.check();
}

#[test]
fn what_leaves_with_nothing_in_flight_gives_all_memory_back_when_acknowledged() {
    let mut board = board(3);
    board.acknowledge(UNA + 300, |_| {});
    assert!(board.is_empty() && board.by_start.is_empty());
    assert_eq!((board.una(), board.delivered()), (board.offset(UNA + 300), 3));
    board.check();
}

/// A byte of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Byte {
    sent_at: Instant,
    /// Where the segment that it left in ends.
    end: usize,
    sacked: bool,
    lost: bool,
    resent: bool,
}

/// What RACK says, byte by byte: lost if it left before what arrived last, and is overdue.
fn model_detect(
    bytes: &mut [Byte],
    now: Instant,
    rtt: core::time::Duration,
    newest: (Instant, usize),
) {
    for byte in bytes {
        let before = (byte.sent_at, byte.end) < newest;
        let missing = byte.lost && !byte.resent;
        if before && !byte.sacked && !missing && now.saturating_since(byte.sent_at) >= rtt {
            (byte.lost, byte.resent) = (true, false);
        }
    }
}

fn take_ends(board: &Scoreboard, base: u64, bytes: &mut [Byte]) {
    for range in board.ranges() {
        let (start, end) = ((range.start - base) as usize, (range.end - base) as usize);
        bytes[start..end].iter_mut().for_each(|byte| byte.end = end);
    }
}

proptest! {
    #[test]
    fn it_says_what_a_record_of_every_byte_says(
        steps in prop::collection::vec((0u8..8, 0u32..40, 1u32..12), 0..120),
    ) {
        const SEGMENTS: u32 = 40;
        let size = MSS as usize;
        let mut board = board(SEGMENTS);
        let mut bytes = vec![Byte::default(); (SEGMENTS * MSS) as usize];
        let (mut una, mut now) = (0usize, 0u64);
        let base = board.offset(UNA);
        let mut rack = Rack::new();
        let mut newest = (Instant::ZERO, 0usize);
        for (what, segment, count) in steps {
            now += 1;
            let (left, right) = (segment * MSS, ((segment + count) * MSS).min(SEGMENTS * MSS));
            match what {
                0 | 1 => {
                    let mut rtt = core::time::Duration::ZERO;
                    if left as usize >= una {
                        board.on_sack(base + u64::from(left), base + u64::from(right), |range| {
                            rack.on_delivered(at(now), range, None);
                            newest = newest.max((range.sent_at, (range.end - base) as usize));
                        });
                        for byte in &mut bytes[left as usize..right as usize] {
                            if !byte.sacked {
                                rtt = at(now).saturating_since(byte.sent_at);
                                byte.resent &= !byte.lost;
                                (byte.sacked, byte.lost) = (true, false);
                            }
                        }
                        if rack.take_advanced() {
                            rack.detect(at(now), &mut board, core::time::Duration::ZERO);
                            take_ends(&board, base, &mut bytes);
                            model_detect(&mut bytes[una..], at(now), rtt, newest);
                        }
                    }
                }
                2 => if let Some((seq, len)) = board.next_missing(MSS) {
                    let end = seq + len.min(MSS);
                    let start = seq.distance_from(UNA) as usize;
                    board.on_resent(at(now), seq, end, Again::Lost);
                    for byte in &mut bytes[start..end.distance_from(UNA) as usize] {
                        prop_assert!(byte.lost && !byte.resent);
                        (byte.sent_at, byte.resent) = (at(now), true);
                    }
                },
                3 if segment < 8 => {
                    una = una.max(left as usize);
                    board.acknowledge(UNA + una as u32, |_| {});
                }
                4 if segment < 4 => {
                    board.mark_lost_where(|_| true);
                    for byte in bytes[una..].iter_mut().filter(|byte| !byte.sacked) {
                        (byte.lost, byte.resent) = (true, false);
                    }
                }
                5 if segment < 4 => {
                    board.unmark_lost();
                    bytes[una..].iter_mut().for_each(|byte| byte.lost = false);
                }
                6 if segment < 4 => {
                    board.forget_sacks();
                    bytes[una..].iter_mut().for_each(|byte| byte.sacked = false);
                    board.mark_lost_where(|_| true);
                    for byte in &mut bytes[una..] {
                        (byte.lost, byte.resent) = (true, false);
                    }
                    // What was joined has one time.
                    for range in board.ranges() {
                        let (start, end) = ((range.start - base) as usize, (range.end - base) as usize);
                        bytes[start..end].iter_mut().for_each(|byte| byte.sent_at = range.sent_at);
                    }
                }
                _ => if board.mark_first_lost() {
                    for byte in &mut bytes[una..una + size] {
                        (byte.lost, byte.resent) = (true, false);
                    }
                },
            }
            board.check();
            let count = |keep: fn(&Byte) -> bool| bytes[una..].iter().filter(|it| keep(it)).count() as u64;
            prop_assert_eq!(board.outstanding().bytes, count(|_| true));
            prop_assert_eq!(board.sacked().bytes, count(|byte| byte.sacked));
            prop_assert_eq!(board.lost().bytes, count(|byte| byte.lost));
            prop_assert_eq!(board.resent().bytes, count(|byte| byte.resent));
            let missing = bytes[una..].iter().position(|byte| byte.lost && !byte.resent);
            let first = board.next_missing(MSS).map(|(seq, _)| seq.distance_from(UNA) as usize);
            prop_assert_eq!(first, missing.map(|index| una + index));
            prop_assert!(board.by_start.len() <= SEGMENTS as usize);
        }
    }
}
