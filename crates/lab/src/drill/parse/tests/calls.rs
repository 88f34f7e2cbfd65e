//! How calls are read: arguments, members and results.

use super::super::super::ast::{Action, Call, Expr, Field};
use super::{action, read, word};

fn field(name: &str, value: Expr) -> Field {
    Field { name: Some(name.to_owned()), count: None, value }
}

fn element(value: Expr) -> Field {
    Field { name: None, count: None, value }
}

fn call(text: &str) -> Call {
    match action(text) {
        Action::Call(call) => call,
        other => panic!("{text}: {other:?}"),
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
fn brackets_may_be_nested_as_deep_as_any_call_needs() {
    let mut value = &call(&format!("f({}1{}) = 0", "[".repeat(30), "]".repeat(30))).args[0];
    for _ in 0..30 {
        let Expr::List(elements) = value else { panic!("{value:?}") };
        value = &elements[0];
    }
    assert_eq!(value, &Expr::Integer(1));
}
