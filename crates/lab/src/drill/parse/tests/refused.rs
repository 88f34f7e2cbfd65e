//! What is not in the language, and what is said about it.

use super::super::{Definitions, parse};

#[test]
fn what_is_not_in_the_language_is_told_with_its_line() {
    let deep = format!("0 f({}", "[".repeat(33));
    for (text, message) in [
        ("", "line 1: expected the time of the first event, found the end of the script"),
        ("\n+1 `a`", "line 2: the first event has to be at time 0"),
        ("0.1 `a`", "line 1: the first event has to be at time 0"),
        (
            "0 `a`\n`b`\n+0 `c`",
            "line 3: expected the end of the script after a command without a time, found '+'",
        ),
        (
            "0 `a` --mtu=5",
            "line 1: expected options only at the head of the script, found the option --mtu",
        ),
        ("0 `a` close(3) = 0", "line 1: expected the time of an event, found 'close'"),
        (
            "0 `a` +0",
            "line 1: expected a packet, a call, a command or a code block, found the end of the script",
        ),
        ("0 `a` -1 `b`", "line 1: the time -1 is negative"),
        ("0 `a` + `b`", "line 1: expected a time in seconds, found the command `b`"),
        ("0 `a` 99999999999999 `b`", "line 1: the time 99999999999999 is too large"),
        (
            "0 `a` +0~1 > . 1:1(0)",
            "line 1: one end of this range of time has a '+' and the other has none",
        ),
        ("0 `a` 2~1 > . 1:1(0)", "line 1: this range of time ends before it begins"),
        ("0 `a`\n* `b`", "line 2: '*' and ranges of time are for outbound packets only"),
        (
            "0 `a` +0~+1 < . 1:1(0) win 5",
            "line 1: '*' and ranges of time are for outbound packets only",
        ),
        ("0 `a` 1...0.5 read(3) = 0", "line 1: this call ends before it begins"),
        ("0 > . 1:10(10)", "line 1: 1:10(10) does not add up: expected 1:11(10)"),
        ("0 > . 4294967296:0(0)", "line 1: 4294967296 does not fit into the first sequence number"),
        (
            "0 > X. 1:1(0)",
            "line 1: 'X.' are no flags of a segment: 'X' is none of F S R P . U E W A 0-7 -",
        ),
        ("0 > E5. 1:1(0)", "line 1: 'E5.' are no flags of a segment: '5' stands for E, W and A"),
        ("0 > PP. 1:1(0)", "line 1: 'PP.' are no flags of a segment: 'P' is one too many"),
        (
            "0 > -. 1:1(0)",
            "line 1: '-.' are no flags of a segment: '-' is none of F S R P . U E W A 0-7 -",
        ),
        ("0 > `x`", "line 1: expected the flags of a segment, udp or icmp, found the command `x`"),
        ("0 < . 1:1(0) ack 1", "line 1: an inbound segment needs a window: expected win"),
        ("0 < . 1:1(0) win 65536", "line 1: 65536 does not fit into win"),
        (
            "0 < . 1:1(0) win 5 <...>",
            "line 1: <...> is for outbound packets: which options are to be sent?",
        ),
        (
            "0 < [ect01] . 1:1(0) win 5",
            "line 1: ect01 is for outbound packets: which of the two is to be sent?",
        ),
        (
            "0 > [ect0, ce] . 1:1(0)",
            "line 1: 'ce' says again what is already said of the IP header",
        ),
        ("0 > [flowlabel 0x100000] . 1:1(0)", "line 1: 0x100000 does not fit into flowlabel"),
        (
            "0 > [ect0) . 1:1(0)",
            "line 1: expected ']' after what is said of the IP header, found ')'",
        ),
        (
            "0 < . 1:1(0) win 5 <wscale 7>",
            "line 1: these options are 3 bytes long: expected a multiple of 4, at most 40",
        ),
        (
            "0 > . 1:1(0) <sack 1:2 3:4 5:6 7:8,mss 1460,mss 1460,nop,nop>",
            "line 1: these options are 44 bytes long: expected a multiple of 4, at most 40",
        ),
        (
            "0 < . 1:1(0) win 5 <sack 1:2 3:4 5:6 7:8 9:10>",
            "line 1: a SACK option has at most 4 blocks, not 5",
        ),
        (
            "0 < . 1:1(0) win 5 <sack>",
            "line 1: expected a number for the left edge of a SACK block, found '>'",
        ),
        (
            "0 < . 1:1(0) win 5 <mss 1460,mss 1460 nop>",
            "line 1: expected '>' or ',' after an option, found 'nop'",
        ),
        ("0 < . 1:1(0) win 5 <TS 1>", "line 1: expected val and a number, found '1'"),
        (
            "0 < . 1:1(0) win 5 <FO 123,nop>",
            "line 1: '123' is not a fast open cookie: expected hexadecimal digits in pairs",
        ),
        (
            "0 < . 1:1(0) win 5 <mptcp 1>",
            "line 1: 'mptcp' is no TCP option: expected mss, wscale, sackOK, sack, TS, nop, eol, FO, FOEXP, md5 or ECN",
        ),
        (
            "0 > . 1:1(0) <ECN e0b 16777216>",
            "line 1: 16777216 does not fit into the 24 bits of e0b",
        ),
        (
            "0 > ipv4 ::1 > ::2: . 1:1(0)",
            "line 1: expected an ipv4 address as the outer source, found '::1'",
        ),
        ("0 < [1:2(1)] . 1:1(0) win 5", "line 1: expected icmp after what it quotes, found '.'"),
        ("0 > gre . 1:1(0)", "line 1: expected ':' after the gre header, found '.'"),
        ("0 read(3", "line 1: expected ')' or ',' after an argument, found the end of the script"),
        (
            "0 read(3)",
            "line 1: expected '=' and the result of the call, found the end of the script",
        ),
        ("0 read(3,) = 0", "line 1: expected a value, found ')'"),
        ("0 f(htons(1, 2)) = 0", "line 1: expected one argument for htons"),
        ("0 f(inet_addr(\"x\")) = 0", "line 1: 'x' is no IP address"),
        ("0 f({1=2}) = 0", "line 1: expected '}' or ',' after a member, found '='"),
        ("0 f({a|b=2}) = 0", "line 1: expected the name of a member before '='"),
        ("0 f(99999999999999999999) = 0", "line 1: the number 99999999999999999999 is too large"),
        ("0 f() = -1 EAGAIN (text", "line 1: this note has no end: expected )"),
        (deep.as_str(), "line 1: more than 32 brackets are open"),
    ] {
        let error = parse(text, &Definitions::new()).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}
