//! Time: when packets have to come, when calls return, and how far off is too far.

use crate::{PLAIN, fails, fails_with, passes, passes_with};

/// After 600 ms without an answer (the RTT was 100 ms) a write goes again.
const LOST: &str = "  +0 write(4, ..., 1000) = 1000
  +0 > P. 1:1001(1000) ack 1
";

#[test]
fn a_packet_may_be_off_by_the_tolerance_and_no_more() {
    // The RTO after one sample of 100 ms is 300 ms: SRTT and the least variance of 200 ms.
    passes(PLAIN, &format!("{LOST}+.300 > P. 1:1001(1000) ack 1"));
    // 12.5 percent of the gap.
    passes(PLAIN, &format!("{LOST}+.270 > P. 1:1001(1000) ack 1"));
    passes(PLAIN, &format!("{LOST}+.342 > P. 1:1001(1000) ack 1"));
    fails(PLAIN, &format!("{LOST}+.260 > P. 1:1001(1000) ack 1"), "too late: at 0.500000");
    fails(PLAIN, &format!("{LOST}+.350 > P. 1:1001(1000) ack 1"), "too early: at 0.500000");
    passes(PLAIN, &format!("{LOST}   * > P. 1:1001(1000) ack 1"));
    passes(PLAIN, &format!("{LOST}+.1~+.4 > P. 1:1001(1000) ack 1"));
    passes(PLAIN, &format!("{LOST}.4~.6 > P. 1:1001(1000) ack 1"));
    fails(PLAIN, &format!("{LOST}+.1~+.2 > P. 1:1001(1000) ack 1"), "too late");
}

#[test]
fn the_tolerance_is_the_command_lines() {
    let narrow = ["tolerance_percent=0", "tolerance_usecs=0"];
    passes_with(PLAIN, &format!("{LOST}+.300 > P. 1:1001(1000) ack 1"), &narrow);
    let off = format!("{LOST}+.301 > P. 1:1001(1000) ack 1");
    fails_with(PLAIN, &off, &narrow, "too early");
    passes_with(PLAIN, &off, &["tolerance_percent=0", "tolerance_usecs=1000"]);
}

#[test]
fn the_next_time_counts_from_when_the_packet_came() {
    let again = "   * > P. 1:1001(1000) ack 1
+.600 > P. 1:1001(1000) ack 1";
    passes_with(PLAIN, &format!("{LOST}{again}"), &["tolerance_percent=0", "tolerance_usecs=0"]);
}

#[test]
fn blocking_calls_return_when_they_can_and_in_time() {
    let read = |end: &str| {
        format!(
            "+.1...{end} read(4, ..., 1000) = 1000
+.2 < P. 1:1001(1000) ack 1 win 32792
+0 > . 1:1(0) ack 1001
+0 close(4) = 0
"
        )
    };
    let passing = |end| passes(PLAIN, &read(end));
    passing("0.300");
    passing("0.302");
    for (end, how) in [("0.350", "too early"), ("0.250", "too late")] {
        let script = read(end);
        let told = crate::verdict(PLAIN, &script).reason();
        assert!(told.contains(&format!("read returns {how}: at 0.500000")), "{told}");
    }
    fails(PLAIN, "+0...0.1 read(4, ..., 1000) = 1000", "read still blocks");
}

#[test]
fn a_call_waits_for_the_one_that_blocks() {
    passes(
        PLAIN,
        "+0...0.2 poll([{fd=4, events=POLLIN, revents=0}], 1, 200) = 0
+.2 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
    );
    // One that has to wait is late.
    fails(
        PLAIN,
        "+0...0.2 poll([{fd=4, events=POLLIN, revents=0}], 1, 200) = 0
+.1 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
        "too late: at 0.400000, expected at 0.300000",
    );
    let told = crate::verdict(
        PLAIN,
        "+0...5.0 read(4, ..., 1000) = 0
+0 close(4) = 0",
    );
    assert!(told.reason().contains("read still blocks"), "{told:?}");
}

#[test]
fn what_is_due_before_it_can_be_is_late() {
    fails(PLAIN, ".1 close(4) = 0", "too late: at 0.200000, expected at 0.100000");
}

/// A writer that waits goes on when a third of the buffer is free, not with the first free byte.
#[test]
fn a_write_that_waits_for_room_waits_for_enough_of_it() {
    let write = |end: &str| {
        format!(
            "+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [15000], 4) = 0
+0...{end} write(4, ..., 49000) = 49000
+.1 < . 1:1(0) ack 10001 win 32792
+.1 < . 1:1(0) ack 24001 win 32792
+.1 < . 1:1(0) ack 33001 win 32792
+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
"
        )
    };
    let told = crate::verdict(PLAIN, &write("9")).reason();
    assert!(told.contains("write returns too early"), "{told}");
    // With 24,000 of 42,000 acknowledged, more than two thirds of 30,000 are taken by what is left of
    // the batches; with 33,000 they are not.
    passes(PLAIN, &write("0.3"));
}
