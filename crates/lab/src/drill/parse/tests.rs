//! Tables of what is in the language and what is not, and how each is read.

use super::super::ast::{
    Body, Call, Direction, Expr, Field, Icmp, IpInfo, Options, Packet, Quoted, Tcp, TcpFlags,
    TcpOption, Tos,
};
use super::*;

fn read(text: &str) -> Script {
    parse(text, &Definitions::new()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The action of a script that is nothing but `0` and it.
fn action(text: &str) -> Action {
    read(&format!("0 {text}")).events.remove(0).action
}

fn packet(text: &str) -> Packet {
    match action(text) {
        Action::Packet(packet) => packet,
        other => panic!("{text}: {other:?}"),
    }
}

fn tcp(text: &str) -> Tcp {
    match packet(text).body {
        Body::Tcp(tcp) => tcp,
        other => panic!("{text}: {other:?}"),
    }
}

fn call(text: &str) -> Call {
    match action(text) {
        Action::Call(call) => call,
        other => panic!("{text}: {other:?}"),
    }
}

fn word(name: &str) -> Expr {
    Expr::Word(name.to_owned())
}

fn field(name: &str, value: Expr) -> Field {
    Field { name: Some(name.to_owned()), count: None, value }
}

fn element(value: Expr) -> Field {
    Field { name: None, count: None, value }
}

const EXAMPLE: &str = r#"// A server that sends four segments and repairs the loss of one.
--tolerance_usecs=2000
--dry_run
`./defaults.sh
 true`
  0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
 +0...0.150 accept(3, ..., ...) = 4
+.1    < S 0:0(0) win 65535 <mss 1000,sackOK,nop,nop>
 +0    > S. 0:0(0) ack 1 <...>
 +0    %{ assert tcpi_snd_cwnd == 10 }%
 +0~+.03 > P. 1:4001(4000) ack 1
 0.3~0.4 > . 1:1001(1000) ack 1 win 5
 *     > . 4001:4001(0) ack 2
 +1    `sysctl -q net.ipv4.tcp_sack=0`
 1.5   close(4) = 0
`restore`
"#;

#[test]
fn a_whole_script_is_read_with_its_options_commands_times_and_lines() {
    let script = read(EXAMPLE);
    let value = |text: &str| Some(text.to_owned());
    assert_eq!(
        script.options,
        [("tolerance_usecs".to_owned(), value("2000")), ("dry_run".to_owned(), None)]
    );
    assert_eq!(script.init, Some(Command { line: 4, text: "./defaults.sh\n true".to_owned() }));
    assert_eq!(script.cleanup, Some(Command { line: 16, text: "restore".to_owned() }));
    let times: Vec<_> = script.events.iter().map(|event| (event.line, event.time)).collect();
    assert_eq!(
        times,
        [
            (6, Time::Absolute(0)),
            (7, Time::Relative(0)),
            (8, Time::Relative(100_000)),
            (9, Time::Relative(0)),
            (10, Time::Relative(0)),
            (11, Time::RelativeRange(0, 30_000)),
            (12, Time::AbsoluteRange(300_000, 400_000)),
            (13, Time::Any),
            (14, Time::Relative(1_000_000)),
            (15, Time::Absolute(1_500_000)),
        ]
    );
    assert_eq!(
        script.events[1].action,
        Action::Call(Call {
            end: Some(150_000),
            name: "accept".to_owned(),
            args: vec![Expr::Integer(3), Expr::Ellipsis, Expr::Ellipsis],
            result: Expr::Integer(4),
            errno: None,
        })
    );
    assert_eq!(
        script.events[2].action,
        Action::Packet(Packet {
            direction: Direction::Inbound,
            encapsulation: Vec::new(),
            ip: IpInfo::default(),
            ports: None,
            body: Body::Tcp(Tcp {
                flags: TcpFlags { syn: true, ..TcpFlags::default() },
                seq: 0,
                len: 0,
                ack: None,
                window: Some(65_535),
                urgent: None,
                options: Options::List(vec![
                    TcpOption::Mss(1000),
                    TcpOption::SackPermitted,
                    TcpOption::Nop,
                    TcpOption::Nop,
                ]),
            }),
        })
    );
    assert_eq!(script.events[4].action, Action::Code("assert tcpi_snd_cwnd == 10".to_owned()));
    assert_eq!(
        script.events[8].action,
        Action::Command("sysctl -q net.ipv4.tcp_sack=0".to_owned())
    );
}

#[test]
fn times_are_decimals_of_seconds_to_the_microsecond() {
    for (text, micros) in [
        ("0", 0),
        (".1", 100_000),
        ("1.000001", 1_000_001),
        ("0.0000004", 0),
        ("0.0000005", 1),
        ("12.5", 12_500_000),
        ("9000000000", 9_000_000_000_000_000),
    ] {
        let script = read(&format!("0 `a` +{text} `b`"));
        assert_eq!(script.events[1].time, Time::Relative(micros), "{text}");
    }
}

#[test]
fn flags_are_letters_or_a_counter() {
    let none = TcpFlags::default();
    for (text, expected) in [
        ("-", none),
        (".", TcpFlags { ack: true, ..none }),
        ("S", TcpFlags { syn: true, ..none }),
        ("FP.", TcpFlags { fin: true, psh: true, ack: true, ..none }),
        ("R.", TcpFlags { rst: true, ack: true, ..none }),
        ("U.", TcpFlags { urg: true, ack: true, ..none }),
        ("SEW", TcpFlags { syn: true, ace: 3, ..none }),
        ("SEWA.", TcpFlags { syn: true, ack: true, ace: 7, ..none }),
        ("EAP.", TcpFlags { psh: true, ack: true, ace: 5, ..none }),
        (".5", TcpFlags { ack: true, ace: 5, ..none }),
        ("P.6", TcpFlags { psh: true, ack: true, ace: 6, ..none }),
        ("F4.", TcpFlags { fin: true, ack: true, ace: 4, ..none }),
        ("5.", TcpFlags { ack: true, ace: 5, ..none }),
        ("0.", TcpFlags { ack: true, ..none }),
    ] {
        assert_eq!(tcp(&format!("> {text} 1:1(0) ack 1")).flags, expected, "{text}");
    }
}

#[test]
fn a_segment_has_numbers_in_this_order_and_most_are_optional() {
    let full = tcp("< U. 4294967295:99(100) ack 7 win 257 urg 100");
    assert_eq!((full.seq, full.len), (u32::MAX, 100));
    assert_eq!((full.ack, full.window, full.urgent), (Some(7), Some(257), Some(100)));
    let bare = tcp("> . 1:1(0)");
    assert_eq!((bare.ack, bare.window, bare.urgent), (None, None, None));
    assert_eq!(bare.options, Options::None);
}

#[test]
fn every_option_of_a_segment_is_read() {
    use TcpOption::*;
    let cookie = vec![0x30, 0x21, 0xb9, 0xd8];
    for (text, expected) in [
        ("mss 1460", vec![Mss(1460)]),
        ("nop,wscale 7", vec![Nop, WindowScale(7)]),
        ("eol, eol, sackOK", vec![Eol, Eol, SackPermitted]),
        ("nop,nop,TS val 4294967295 ecr 0", vec![Nop, Nop, Timestamps { val: u32::MAX, ecr: 0 }]),
        ("nop,nop,sack 1:2 5:6", vec![Nop, Nop, Sack(vec![(1, 2), (5, 6)])]),
        ("FO,nop,nop", vec![FastOpen(Vec::new()), Nop, Nop]),
        ("FO 3021b9d8,nop,nop", vec![FastOpen(cookie.clone()), Nop, Nop]),
        ("FO 10203040,nop,nop", vec![FastOpen(vec![0x10, 0x20, 0x30, 0x40]), Nop, Nop]),
        ("FOEXP", vec![FastOpenExperimental(Vec::new())]),
        ("FOEXP 3021b9d8", vec![FastOpenExperimental(cookie)]),
        ("md5 000102030405060708090a0b0c0d0e0f,nop,nop", vec![Md5((0..16).collect()), Nop, Nop]),
        ("ECN,nop,nop", vec![AccEcn { e1b_first: false, counters: Vec::new() }, Nop, Nop]),
        (
            "ECN e0b 1 ceb 2 e1b 3 ,nop",
            vec![AccEcn { e1b_first: false, counters: vec![1, 2, 3] }, Nop],
        ),
        ("ECN e1b 1 ceb 2", vec![AccEcn { e1b_first: true, counters: vec![1, 2] }]),
        ("", vec![]),
    ] {
        let options = tcp(&format!("> . 1:1(0) ack 1 <{text}>")).options;
        assert_eq!(options, Options::List(expected), "{text}");
    }
    assert_eq!(tcp("> . 1:1(0) <...>").options, Options::Any);
}

#[test]
fn ip_headers_ports_and_tunnels_stand_before_the_segment() {
    let ip = |text: &str| packet(&format!("> {text} . 1:1(0)")).ip;
    let tos = |tos| IpInfo { tos: Some(tos), ..IpInfo::default() };
    assert_eq!(ip("[noecn]"), tos(Tos::Ecn(0)));
    assert_eq!(ip("(ect1)"), tos(Tos::Ecn(1)));
    assert_eq!(ip("[ect0]"), tos(Tos::Ecn(2)));
    assert_eq!(ip("[ce]"), tos(Tos::Ecn(3)));
    assert_eq!(ip("[ect01]"), tos(Tos::EitherEct));
    assert_eq!(ip("(tos 0x2e)"), tos(Tos::Byte(0x2e)));
    assert_eq!(ip("(ttl 64)").ttl, Some(64));
    let both = IpInfo { flow_label: Some(0xabcde), ..tos(Tos::Ecn(2)) };
    assert_eq!(ip("(ect0, flowlabel 0xabcde)"), both);

    assert_eq!(packet("> 8080 > 40000 . 1:1(0)").ports, Some((8080, 40_000)));
    assert_eq!(packet("> 5. 1:1(0)").ports, None);

    for (text, names) in [
        ("ipv4 192.0.2.1 > 192.0.2.2:", vec!["ipv4"]),
        ("ipv6 2::2 > 1::1: gre:", vec!["ipv6", "gre"]),
        (
            "ipv4 192.0.2.1 > 192.0.2.2 : gre flags 0x2000, key 0x80000001, seq 5:",
            vec!["ipv4", "gre"],
        ),
        ("gre: mpls (label 0, tc 0, ttl 0) (label 5, tc 7, [S], ttl 255):", vec!["gre", "mpls"]),
        ("encap psp spi 12, vc 0x123", vec!["psp"]),
    ] {
        assert_eq!(packet(&format!("> {text} . 1:1(0)")).encapsulation, names, "{text}");
    }
}

#[test]
fn other_protocols_are_read_too() {
    let udp = packet("< udp 1 > 2 (100)");
    assert_eq!((udp.ports, udp.body), (Some((1, 2)), Body::Udp { len: 100 }));
    assert_eq!(packet("> udp (5)").body, Body::Udp { len: 5 });

    let bare =
        Icmp { kind: "unreachable".to_owned(), code: None, mtu: None, id: None, quoted: None };
    for (text, expected) in [
        ("unreachable", bare.clone()),
        (
            "unreachable [1:1001(1000)]",
            Icmp { quoted: Some(Quoted::Tcp { seq: 1, len: 1000 }), ..bare.clone() },
        ),
        (
            "unreachable frag_needed mtu 1200 [udp (8)]",
            Icmp {
                code: Some("frag_needed".to_owned()),
                mtu: Some(1200),
                quoted: Some(Quoted::Udp(8)),
                ..bare.clone()
            },
        ),
        (
            "echo_request id 7 [raw (56)]",
            Icmp {
                kind: "echo_request".to_owned(),
                id: Some(7),
                quoted: Some(Quoted::Raw(56)),
                ..bare
            },
        ),
    ] {
        assert_eq!(packet(&format!("< icmp {text}")).body, Body::Icmp(expected), "{text}");
    }
}

#[test]
fn values_of_calls_are_words_numbers_and_what_holds_them() {
    let value = |text: &str| call(&format!("f({text}) = 0")).args;
    let text = |text: &str| Expr::String(text.to_owned());
    for (written, expected) in [
        ("", vec![]),
        (
            "..., 1, -1, 0x10",
            vec![Expr::Ellipsis, Expr::Integer(1), Expr::Integer(-1), Expr::Integer(16)],
        ),
        ("0xffffffffffffffff, 18446744073709551615", vec![Expr::Integer(-1), Expr::Integer(-1)]),
        ("A|B | C", vec![Expr::Or(vec![word("A"), word("B"), word("C")])]),
        ("\"ab\" \"c\\\"\"", vec![text("abc\\\"")]),
        ("len = 4", vec![Expr::Named("len".to_owned(), Box::new(Expr::Integer(4)))]),
        (
            "[1], [A | B], []",
            vec![
                Expr::List(vec![Expr::Integer(1)]),
                Expr::List(vec![Expr::Or(vec![word("A"), word("B")])]),
                Expr::List(vec![]),
            ],
        ),
        (
            "inet_addr(\"192.0.2.1\"), 192.0.2.1",
            vec![Expr::Address([192, 0, 2, 1].into()), Expr::Address([192, 0, 2, 1].into())],
        ),
        (
            "inet_pton(AF_INET6, \"::1\"), inet6_addr(\"::1\")",
            vec![
                Expr::Address([0, 0, 0, 0, 0, 0, 0, 1_u16].into()),
                Expr::Address([0, 0, 0, 0, 0, 0, 0, 1_u16].into()),
            ],
        ),
        (
            "{..., 10}",
            vec![Expr::Braces(vec![element(Expr::Ellipsis), element(Expr::Integer(10))])],
        ),
        (
            "{onoff=1, linger=0}",
            vec![Expr::Braces(vec![
                field("onoff", Expr::Integer(1)),
                field("linger", Expr::Integer(0)),
            ])],
        ),
        (
            "{sa_family = AF_INET, sin_port = htons(80)}",
            vec![Expr::Braces(vec![
                field("sa_family", word("AF_INET")),
                field("sin_port", Expr::Apply("htons".to_owned(), Box::new(Expr::Integer(80)))),
            ])],
        ),
    ] {
        assert_eq!(value(written), expected, "{written}");
    }
}

#[test]
fn the_nested_members_of_a_message_are_read() {
    let call = call(
        "recvmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {...,20}], msg_flags=MSG_ERRQUEUE,
           msg_control=[{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=1}]}, 0) = 30",
    );
    let counted =
        |name: &str, count, value| Field { name: Some(name.to_owned()), count: Some(count), value };
    let iovec =
        |length| Expr::Braces(vec![element(Expr::Ellipsis), element(Expr::Integer(length))]);
    let control = Expr::Braces(vec![
        field("cmsg_level", word("SOL_TCP")),
        field("cmsg_type", word("TCP_CM_INQ")),
        field("cmsg_data", Expr::Integer(1)),
    ]);
    assert_eq!(
        call.args,
        [
            Expr::Integer(4),
            Expr::Braces(vec![
                counted("msg_name", Expr::Ellipsis, Expr::Ellipsis),
                counted("msg_iov", Expr::Integer(2), Expr::List(vec![iovec(10), iovec(20)])),
                field("msg_flags", word("MSG_ERRQUEUE")),
                field("msg_control", Expr::List(vec![control])),
            ]),
            Expr::Integer(0),
        ]
    );
    assert_eq!(call.result, Expr::Integer(30));
}

#[test]
fn results_come_with_an_error_or_a_note_or_both() {
    for (text, result, errno) in [
        ("0", Expr::Integer(0), None),
        ("-1 EAGAIN (Resource temporarily unavailable)", Expr::Integer(-1), Some("EAGAIN")),
        ("-1 EAGAIN", Expr::Integer(-1), Some("EAGAIN")),
        ("-1 ECONNRESET(Connection reset by peer)", Expr::Integer(-1), Some("ECONNRESET")),
        ("-1 (Invalid Argument)", Expr::Integer(-1), None),
        ("-1 EPIPE (Broken pipe) (a note (nested))", Expr::Integer(-1), Some("EPIPE")),
        ("0x802 (flags O_RDWR|O_NONBLOCK)", Expr::Integer(0x802), None),
        ("O_RDWR|O_NONBLOCK", Expr::Or(vec![word("O_RDWR"), word("O_NONBLOCK")]), None),
    ] {
        let script = read(&format!("0 f() = {text} +0 `next`"));
        assert_eq!(script.events.len(), 2, "{text}");
        let Action::Call(call) = &script.events[0].action else { panic!("{text}") };
        assert_eq!((&call.result, call.errno.as_deref()), (&result, errno), "{text}");
    }
}

#[test]
fn symbols_stand_for_values_in_packets_and_calls() {
    let definitions = [("COOKIE", "3021b9d8"), ("LEVEL", "SOL_IP")].into_iter().collect();
    let script = parse("0 > S 0:0(0) <FO COOKIE,nop,nop> +0 f(LEVEL) = 0", &definitions).unwrap();
    let Action::Packet(Packet { body: Body::Tcp(tcp), .. }) = &script.events[0].action else {
        panic!("{script:?}")
    };
    let cookie = TcpOption::FastOpen(vec![0x30, 0x21, 0xb9, 0xd8]);
    assert_eq!(tcp.options, Options::List(vec![cookie, TcpOption::Nop, TcpOption::Nop]));
    let Action::Call(call) = &script.events[1].action else { panic!("{script:?}") };
    assert_eq!(call.args, [word("SOL_IP")]);
}

#[test]
fn what_is_not_in_the_language_is_told_with_its_line() {
    let deep = format!("0 f({}", "[".repeat(100));
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

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of the language in any order: these come further than random bytes do.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "0",
            "+0",
            "+.1",
            "*",
            "~",
            "<",
            ">",
            "...",
            "S",
            ".",
            "P.5",
            "1:1(0)",
            "1:1001(1000)",
            "ack",
            "win",
            "urg",
            "5",
            "-1",
            "0x1f",
            "mss",
            "sack",
            "TS",
            "val",
            "ecr",
            "FO",
            "ECN",
            "e0b",
            ",",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "=",
            "|",
            "`",
            "`a`",
            "%{",
            "}%",
            "\"",
            "\\",
            "--mtu=1500",
            "--",
            "icmp",
            "udp",
            "mtu",
            "ipv4",
            "192.0.2.1",
            "::1",
            "gre",
            ":",
            "mpls",
            "encap",
            "f(",
            "EAGAIN",
            "htons(",
            "inet_addr(",
            "\"::1\"",
            "//",
            "/*",
            "*/",
            "\n",
            " ",
            "é",
            "\u{2003}",
        ]);
        prop::collection::vec((piece, prop::bool::ANY), 0..60).prop_map(|pieces| {
            let blank = |apart| if apart { " " } else { "" };
            pieces.into_iter().map(|(piece, apart)| format!("{piece}{}", blank(apart))).collect()
        })
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse(&text, &Definitions::new());
        }

        #[test]
        fn any_mixture_of_the_languages_own_pieces_is_read_or_refused(text in pieces()) {
            let _ = parse(&text, &Definitions::new());
        }

        #[test]
        fn a_script_that_is_cut_or_changed_anywhere_is_read_or_refused(
            cut in 0..EXAMPLE.len(),
            with in ".{0,3}",
        ) {
            let (head, tail) = EXAMPLE.split_at(cut);
            let _ = parse(head, &Definitions::new());
            let _ = parse(&format!("{head}{with}{tail}"), &Definitions::new());
        }

        #[test]
        fn errors_name_a_line_that_the_script_has(text in pieces()) {
            if let Err(error) = parse(&text, &Definitions::new()) {
                let lines = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
                prop_assert!((1..=lines).contains(&(error.line as usize)), "{error}");
            }
        }
    }
}
