//! What holds for any text.

use proptest::prelude::*;

use super::super::{Definitions, parse};
use super::EXAMPLE;

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
