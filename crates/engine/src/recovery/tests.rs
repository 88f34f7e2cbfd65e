//! Recovery as a whole, acknowledgment by acknowledgment. What needs a clock and packets is in the
//! lab's scripts.

use super::*;

const UNA: SeqNumber = SeqNumber(u32::MAX - 4000);
const MSS: u32 = 1000;

struct Rig {
    recovery: Recovery,
    counters: Counters,
    now: Instant,
    nxt: SeqNumber,
    una: SeqNumber,
}

impl Rig {
    /// `segments` left at once, and a round trip of 100 ms has passed.
    fn new(sack: bool, segments: u32) -> Rig {
        let mut recovery = Recovery::new(UNA - 1, &Config::default());
        recovery.on_handshake(sack);
        let counters = Counters::default();
        let mut rig = Rig { recovery, counters, now: Instant::ZERO, nxt: UNA, una: UNA };
        rig.send(segments);
        rig.now = Instant::from_millis(100);
        rig
    }

    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            self.nxt += MSS;
            self.recovery.on_sent(self.now, self.nxt, MSS);
        }
    }

    /// An acknowledgment that bears no data, with numbers from UNA on.
    fn ack(&mut self, ack: u32, blocks: &[(u32, u32)]) -> Outcome {
        let sack: Vec<SackBlock> = blocks
            .iter()
            .map(|(left, right)| SackBlock { left: UNA + *left, right: UNA + *right })
            .collect();
        self.ack_at(UNA + ack, &sack)
    }

    fn ack_at(&mut self, at: SeqNumber, sack: &[SackBlock]) -> Outcome {
        let ack = Ack {
            ack: at,
            advanced: at.after(self.una),
            bare: true,
            sack,
            echo: None,
            snd_nxt: self.nxt,
            mss: MSS,
            max_window: 1 << 30,
            may_send_new: false,
        };
        self.una = self.una.max(at);
        let view = RttView {
            min: Some(Duration::from_millis(100)),
            srtt: Some(Duration::from_millis(100)),
        };
        let taken = self.recovery.take(self.now, &ack, &view, &mut self.counters);
        let outcome = self.recovery.judge(self.now, &ack, &taken, &view, &mut self.counters);
        for _ in 0..outcome.congestion {
            self.recovery.begin_reduction(10_000, 7000);
        }
        self.recovery.reduce(&outcome);
        outcome
    }

    /// Sends again what may go in this window; where each begins.
    fn resend(&mut self, window: u64) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some((start, len)) = self.recovery.next_missing()
            && self.recovery.may_resend(self.recovery.window(window), len)
        {
            self.recovery.on_resent(self.now, start, start + len, &mut self.counters);
            sent.push(start.distance_from(UNA));
        }
        sent
    }
}

// Shows: H-37
#[test]
fn ten_thousand_duplicates_take_no_more_out_of_the_pipe_than_is_there() {
    let mut rig = Rig::new(false, 10);
    for _ in 0..10_000 {
        rig.ack(0, &[]);
        assert!(rig.recovery.flight().outstanding().bytes == 10_000);
    }
    assert_eq!(rig.resend(10_000), [0]);
    assert_eq!(rig.recovery.sacked_segments(), 9, "one of ten is the hole");
}

// Shows: H-33, RFC6582 s3.2.2
#[test]
fn gigabytes_after_the_start_three_duplicates_still_begin_recovery() {
    for sack in [false, true] {
        let mut rig = Rig::new(sack, 0);
        for _ in 0..3 << 10 {
            rig.nxt += 1 << 20;
            rig.recovery.on_sent(rig.now, rig.nxt, 1 << 20);
            rig.ack_at(rig.nxt, &[]);
        }
        let una = rig.nxt;
        rig.send(5);
        rig.now = Instant::from_millis(200);
        let mut begun = 0;
        for index in 1..=3 {
            let block = SackBlock { left: una + index * MSS, right: una + (index + 1) * MSS };
            begun = rig.ack_at(una, &[block]).congestion;
            assert_eq!(begun, u32::from(index == 3), "SACK {sack}, {index}");
        }
        assert_eq!(begun, 1);
    }
}

// Shows: RFC6675 s5.2, H-16
#[test]
fn reports_of_what_was_not_sent_or_is_acknowledged_or_upside_down_say_nothing() {
    let mut rig = Rig::new(true, 10);
    for block in [(9000, 10_001), (3000, 2000), (3000, 3000), (0, 1000)] {
        rig.ack(0, &[block]);
        assert_eq!(rig.recovery.flight().sacked().bytes, 0, "{block:?}");
    }
    rig.ack_at(UNA, &[SackBlock { left: UNA - 5000, right: UNA - 4000 }]);
    assert_eq!(rig.recovery.dsacks(), 1);
    assert_eq!(rig.counters.dsack_ignored_dubious, 1, "nothing was sent again");
}

// Shows: RFC2883 s5, RFC2883 s5b
#[test]
fn a_d_sack_is_judged_against_the_ack_it_came_with_and_marks_nothing() {
    let mut rig = Rig::new(true, 10);
    rig.ack(0, &[(2000, 10_000)]);
    assert_eq!(rig.resend(20_000), [0, 1000]);
    rig.ack(2000, &[(1000, 2000)]);
    assert_eq!((rig.counters.dsack_recv, rig.counters.dsack_recv_segs), (1, 1));
    assert_eq!(rig.recovery.flight().sacked().bytes, 8000);
}

// Shows: RFC6298 s3a
#[test]
fn a_sample_is_of_what_was_sent_once() {
    let mut rig = Rig::new(false, 10);
    let view = RttView::default();
    let ack = |rig: &Rig, to: u32| Ack {
        ack: UNA + to,
        advanced: true,
        bare: true,
        sack: &[],
        echo: None,
        snd_nxt: rig.nxt,
        mss: MSS,
        max_window: 1 << 30,
        may_send_new: false,
    };
    let first = ack(&rig, 1000);
    let taken = rig.recovery.take(rig.now, &first, &view, &mut rig.counters);
    assert_eq!(taken.rtt, Some(Duration::from_millis(100)));
    rig.now = Instant::from_millis(400);
    rig.recovery.on_timeout(rig.now, &mut rig.counters);
    assert_eq!(rig.resend(1000), [1000]);
    let second = ack(&rig, 2000);
    let taken = rig.recovery.take(rig.now, &second, &view, &mut rig.counters);
    assert_eq!(taken.rtt, None);
}

// Shows: RFC1191 s6.5
#[test]
fn what_was_too_big_is_sent_again_and_what_fitted_is_no_sign_of_congestion_by_being_reported() {
    for sack in [true, false] {
        let mut rig = Rig::new(sack, 0);
        for len in [1000, 100, 1000, 100, 100, 100] {
            rig.nxt += len;
            rig.recovery.on_sent(rig.now, rig.nxt, MSS);
        }
        rig.recovery.on_too_big(600);
        assert_eq!(rig.recovery.flight().missing_bytes(), 2000);
        assert_eq!(rig.recovery.phase(), RecoveryPhase::Loss);
        for right in [2200, 2300, 2400] {
            let outcome = rig.ack(0, &[(1000, 1100), (2100, right)]);
            assert_eq!(outcome.congestion, 0, "SACK {sack}");
        }
    }
}

// Shows: RFC6675 s5.1, RFC5681 s4.3
#[test]
fn a_time_out_in_a_recovery_reduces_nothing_again_and_one_after_it_does() {
    let mut rig = Rig::new(true, 10);
    assert_eq!(rig.ack(0, &[(1000, 5000)]).congestion, 1);
    rig.resend(10_000);
    rig.now = Instant::from_millis(500);
    assert!(rig.recovery.on_timeout(rig.now, &mut rig.counters).repeated);
    assert_eq!(rig.recovery.phase(), RecoveryPhase::Loss);
    rig.resend(1000);
    rig.now = Instant::from_millis(600);
    assert!(rig.ack(10_000, &[]).recovered);
    assert_eq!(rig.recovery.phase(), RecoveryPhase::Open);
    rig.send(3);
    rig.now = Instant::from_millis(1000);
    assert!(!rig.recovery.on_timeout(rig.now, &mut rig.counters).repeated);
}

// Shows: RFC3168 s6.1.2a
#[test]
fn marks_reduce_once_a_window_and_a_loss_then_does_not_reduce_again() {
    let mut rig = Rig::new(true, 10);
    assert!(rig.recovery.enter_cwr());
    rig.recovery.begin_reduction(10_000, 7000);
    assert!(!rig.recovery.enter_cwr());
    assert_eq!(rig.ack(0, &[(1000, 5000)]).congestion, 0);
    assert_eq!(rig.recovery.phase(), RecoveryPhase::Recovery);
    assert!(rig.ack(10_000, &[]).recovered);
}

// Shows: H-02
#[test]
fn with_as_many_ranges_as_may_be_nothing_new_leaves() {
    let mut rig = Rig::new(true, 0);
    let mut sent = 0;
    while rig.recovery.room(u64::MAX) > 0 {
        rig.nxt += 1;
        rig.recovery.on_sent(rig.now, rig.nxt, MSS);
        sent += 1;
    }
    assert_eq!(sent, 32_768);
    rig.ack(1, &[]);
    assert!(rig.recovery.room(u64::MAX) > 0);
}
