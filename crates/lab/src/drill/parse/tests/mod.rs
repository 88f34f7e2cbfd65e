//! Tables of what is in the language, and how it is read.

mod calls;
mod properties;
mod refused;

use super::super::ast::{
    Body, Call, Direction, Expr, Icmp, IpInfo, Options, Packet, Quoted, Tcp, TcpFlags, TcpOption,
    Tos,
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

fn word(name: &str) -> Expr {
    Expr::Word(name.to_owned())
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
    let after = packet("< (ttl 5) icmp unreachable [7:8(1)]");
    assert_eq!(packet("< [7:8(1)] (ttl 5) icmp unreachable"), after);
    assert_eq!(packet("< (ttl 5) [7:8(1)] icmp unreachable"), after);
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
