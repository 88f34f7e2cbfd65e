//! Where the runner is stricter than the language's first interpreter, and the switches that make
//! it stricter or more lenient.

use towpath_lab::drill::play::InitialNumbers;
use towpath_lab::drill::run::{Options, run_text};
use towpath_lab::drill::verdict::Verdict;

use crate::{PLAIN, fails_with, passes, passes_with};

const WRITE: &str = "  +0 write(4, ..., 1000) = 1000\n";

#[test]
fn psh_is_not_compared_when_that_is_asked_for() {
    let packet = format!("{WRITE}  +0 > . 1:1001(1000) ack 1");
    passes_with(PLAIN, &packet, &["ignore-psh"]);
    fails_with(PLAIN, &format!("{WRITE}  +0 > F. 1:1001(1000) ack 1"), &["ignore-psh"], "flags");
}

#[test]
fn order_and_padding_are_not_compared_when_that_is_asked_for() {
    let script = "
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
 +.1 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
";
    let with = |list: &str| format!("  +0 > S. 0:0(0) ack 1 {list}");
    let words = ["options-as-set"];
    passes_with(script, &with("<mss 1460,nop,wscale 10,sackOK,eol,eol>"), &words);
    fails_with(script, &with("<mss 1460,nop,nop,sackOK>"), &words, "options <");
    fails_with(script, &with("<mss 1460,nop,wscale 9,sackOK,eol,eol>"), &words, "options <");
}

#[test]
fn packets_that_are_left_fail_when_that_is_asked_for() {
    passes(PLAIN, WRITE);
    fails_with(PLAIN, WRITE, &["strict-end"], "a packet is left at the end");
    passes_with(PLAIN, &format!("{WRITE} +0 > P. 1:1001(1000) ack 1"), &["strict-end"]);
}

#[test]
fn segments_are_not_joined_when_that_is_asked_for() {
    let script = "  +0 write(4, ..., 2000) = 2000\n  +0 > P. 1:2001(2000) ack 1";
    passes(PLAIN, script);
    fails_with(PLAIN, script, &["strict_segments"], "flags ., expected P.");
}

#[test]
fn the_command_line_wins_over_the_script() {
    let script = format!("--mtu=600\n{}", PLAIN.replace("mss 1460", "mss 560"));
    passes(&script, "");
    fails_over(&script);
}

#[track_caller]
fn fails_over(script: &str) {
    let verdict = crate::verdict_with(script, "", &["mtu=1500"]);
    assert!(verdict.reason().contains("options <mss 1460>"), "{verdict:?}");
}

#[test]
fn a_dry_run_reads_only() {
    passes_with(PLAIN, "  +0 close(99) = 0", &["dry-run"]);
    let told = crate::verdict_with(PLAIN, "  +0 close(", &["dry-run"]);
    assert!(matches!(told, Verdict::Fail(_)));
}

#[test]
fn injected_super_segments_count_as_the_segments_that_they_were() {
    let data = |count| {
        format!(
            "  +0 < P. 1:4001(4000) ack 1 win 32792
  +0 > . 1:1(0) ack 4001
  +0 %{{ assert tcpi_data_segs_in == {count}, tcpi_data_segs_in }}%"
        )
    };
    passes_with(PLAIN, &data(4), &["mss=1000"]);
    passes_with(PLAIN, &data(1), &[]);
}

#[test]
fn initial_numbers_are_those_that_were_asked_for() {
    let script = format!("{PLAIN}{WRITE}  +0 > P. 1:1001(1000) ack 1");
    for local in [0, 0x7fff_ffff, 0xffff_ffff, 12_345] {
        let numbers = InitialNumbers { local: Some(local), remote_shift: 77 };
        let played = run_text(&script, &Options { numbers, ..Options::default() });
        assert_eq!(played.verdict, Verdict::Pass, "{local}");
        for syn in ["[S], seq 77,".to_owned(), format!("[S.], seq {local},")] {
            assert!(played.protocol.contains(&syn), "{syn}:\n{}", played.protocol);
        }
    }
}
