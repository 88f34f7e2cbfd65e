//! Scripts that mean harm: each ends soon, with one line that says where and why.

use towpath_lab::drill::run::{Options, run_text};
use towpath_lab::drill::verdict::Verdict;

use crate::{PLAIN, fails, passes};

#[test]
fn numbers_that_fit_nowhere_are_refused() {
    fails(PLAIN, "  +0 < P. 1:4294967295(4294967294) ack 1 win 1", "do not fit into an IP packet");
    fails(PLAIN, "  +9223372036854 close(4) = 0", "at most 1000000000 seconds");
    fails(PLAIN, "  +999999999 close(4) = 0\n +999999999 close(3) = 0", "1000000000 seconds");
    fails(PLAIN, "  +0...9223372036854 read(4, ..., 1) = 0", "at most 1000000000 seconds");
    fails(PLAIN, "  +0 > P. 1:4294967295(4294967294) ack 1", "no packet comes");
    let forever = "poll([{fd=4, events=POLLIN, revents=0}], 1, 9223372036854775807) = 0";
    fails(PLAIN, &format!("  +0 {forever}"), "poll would block");
    passes(PLAIN, "  +0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n +0 read(4, ..., -1) = -1 EAGAIN (x)");
}

#[test]
fn time_in_which_too_much_happens_is_cut_short() {
    let probes = "  +0 setsockopt(4, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0
  +0 setsockopt(4, SOL_TCP, TCP_KEEPIDLE, [1], 4) = 0
  +0 setsockopt(4, SOL_TCP, TCP_KEEPINTVL, [1], 4) = 0
";
    // A connection that nobody answers ends by itself; a million years of writing would not.
    fails(PLAIN, &format!("{probes}+999999 read(4, ..., 1) = 0"), "ETIMEDOUT");
}

#[test]
fn every_beginning_of_a_script_is_judged_without_a_panic() {
    let whole = format!(
        "{PLAIN}  +0 %{{ assert tcpi_snd_cwnd == 10 }}%
  +0 `sysctl -q net.ipv4.tcp_sack=1`
  +0 sendmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,10}}], msg_flags=0}}, 0) = 10
  +0 > [tos 0x0, ttl 64] P. 1:11(10) ack 1 win 64240
+.1~+.2 > P. 1:11(10) ack 1
"
    );
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let verdict = run_text(&whole[..end], &Options::default()).verdict;
        assert!(!verdict.reason().contains("panic"), "{end}: {verdict:?}");
        if let Verdict::Fail(failure) = verdict {
            assert!(failure.line > 0 && !failure.reason.contains('\n'), "{end}: {failure:?}");
        }
    }
}

/// Exit code and standard output of the runner for these words.
fn told(words: &[&std::path::Path]) -> (Option<i32>, String) {
    let runner = std::process::Command::new(env!("CARGO_BIN_EXE_towpath-drill"))
        .arg("--json")
        .args(words)
        .output()
        .unwrap();
    (runner.status.code(), String::from_utf8(runner.stdout).unwrap())
}

#[test]
fn what_is_no_script_is_said_and_the_others_run() {
    let folder = std::env::temp_dir().join(format!("towpath-drill-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("empty")).unwrap();
    assert_eq!(told(&[&folder.join("empty")]), (Some(2), "[]\n".to_owned()));
    assert_eq!(told(&[&folder.join("missing")]), (Some(2), String::new()));
    std::fs::write(folder.join("good.pkt"), PLAIN).unwrap();
    assert_eq!(told(&[&folder]).0, Some(0));
    std::fs::create_dir_all(folder.join("folder.pkt")).unwrap();
    std::fs::write(folder.join("wrong.pkt"), b"0 \xff").unwrap();
    let (code, json) = told(&[&folder]);
    assert_eq!(code, Some(1));
    assert_eq!(json.matches("\"verdict\": \"pass\"").count(), 1, "{json}");
    assert_eq!(json.matches("line 1: cannot be parsed").count(), 1, "{json}");
    std::fs::remove_dir_all(&folder).unwrap();
}
