//! The script runner is judged by scripts that have to fail, each with its reason, by scripts that
//! ask for what is not there, and by the settings that make it stricter or more lenient.

mod error_queue;
mod files;
mod hostile;
mod strict;
mod supported;
mod timing;
mod wrong;

use towpath_lab::drill::run::{Options, run_text};
use towpath_lab::drill::verdict::Verdict;

/// A listener, and a peer that has connected: descriptor 4, with timestamps.
const SERVER: &str = "
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
 +.1 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 700 ecr 0,nop,wscale 7>
  +0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700,nop,wscale 10>
 +.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 701 ecr 100>
  +0 accept(3, ..., ...) = 4
";

/// The same without options but the MSS.
const PLAIN: &str = "
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
 +.1 < S 0:0(0) win 32792 <mss 1000>
  +0 > S. 0:0(0) ack 1 <mss 1460>
 +.1 < . 1:1(0) ack 1 win 32792
  +0 accept(3, ..., ...) = 4
";

fn options(words: &[&str]) -> Options {
    let split = |word: &&str| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*word).to_owned(), None),
    };
    Options { command_line: words.iter().map(split).collect(), ..Options::default() }
}

fn verdict(start: &str, rest: &str) -> Verdict {
    verdict_with(start, rest, &[])
}

fn verdict_with(start: &str, rest: &str, words: &[&str]) -> Verdict {
    run_text(&format!("{start}{rest}"), &options(words)).verdict
}

#[track_caller]
fn passes(start: &str, rest: &str) {
    passes_with(start, rest, &[]);
}

#[track_caller]
fn passes_with(start: &str, rest: &str, words: &[&str]) {
    let verdict = verdict_with(start, rest, words);
    assert_eq!(verdict, Verdict::Pass, "{rest}");
}

#[track_caller]
fn fails(start: &str, rest: &str, reason: &str) {
    fails_with(start, rest, &[], reason);
}

#[track_caller]
fn fails_with(start: &str, rest: &str, words: &[&str], reason: &str) {
    match verdict_with(start, rest, words) {
        Verdict::Fail(failure) => {
            let said = &failure.reason;
            assert!(said.contains(reason), "{rest}\nsaid: {said}\nnot:  {reason}");
            // The last line of a script is the wrong one.
            let lines = u32::try_from(format!("{start}{rest}").trim_end().lines().count());
            assert_eq!(Ok(failure.line), lines, "{rest}\nsaid: {said}");
        }
        other => panic!("{rest}\nhad to fail ({reason}), but: {other:?}"),
    }
}

#[track_caller]
fn unsupported(start: &str, rest: &str, what: &str) {
    match verdict(start, rest) {
        Verdict::Unsupported(said) => assert!(said.contains(what), "{rest}\nsaid: {said}"),
        other => panic!("{rest}\nhad to be unsupported ({what}), but: {other:?}"),
    }
}
