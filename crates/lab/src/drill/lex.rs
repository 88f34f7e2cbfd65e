//! The words of a script: what becomes a token, and where symbols are replaced by what they stand for.
//!
//! Newlines are blanks here. A token keeps the text it was written with, since the same digits are a
//! number in one place and a cookie in another; the parser reads it as what it needs.

use core::net::Ipv6Addr;
use std::collections::BTreeMap;

use super::parse::ParseError;

/// Symbols that stand for something else, as `-D NAME=value` gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions(BTreeMap<String, String>);

impl Definitions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `name` stands for `value`; a value that begins with a double quote or a
    /// back-quote becomes a string or a command, digits become a number, all else a word.
    pub fn define(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Definitions {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `.1`, `0.25`, `-1.5`
    Float,
    /// `10`, `-1`
    Integer,
    /// `0x1f`
    Hex,
    /// Letters, digits and underscores that are no number.
    Word,
    /// Without its quotes; nothing in it is decoded.
    String,
    /// A command without its back-quotes.
    BackQuoted,
    /// A code block without its braces.
    Code,
    /// The name of an option, without its dashes.
    Option,
    /// What follows an option's name and `=`.
    OptionValue,
    /// A dotted quad.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// `...`
    Ellipsis,
    /// Any other character.
    Symbol,
    /// The script ends here.
    End,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) line: u32,
    /// Nothing, not even a blank, is between this token and the one before it.
    pub(super) joined: bool,
}

impl Token {
    /// How a message names it.
    pub(super) fn describe(&self) -> String {
        let shown = || {
            let start: String = self.text.chars().take(24).collect();
            if start.len() < self.text.len() { format!("{start}...") } else { start }
        };
        match self.kind {
            Kind::End => "the end of the script".to_owned(),
            Kind::String => format!("the string \"{}\"", shown()),
            Kind::BackQuoted => format!("the command `{}`", shown()),
            Kind::Code => "a code block".to_owned(),
            Kind::Option => format!("the option --{}", shown()),
            _ => format!("'{}'", shown()),
        }
    }
}

/// Words that the language itself uses. A symbol of that name is never replaced.
const RESERVED: &[&str] = &[
    "FO",
    "FOEXP",
    "ECN",
    "TS",
    "ack",
    "ce",
    "ceb",
    "cmsg_data",
    "cmsg_level",
    "cmsg_type",
    "e0b",
    "e1b",
    "ecr",
    "ect0",
    "ect01",
    "ect1",
    "ee_code",
    "ee_data",
    "ee_errno",
    "ee_info",
    "ee_origin",
    "ee_type",
    "eol",
    "events",
    "fd",
    "flags",
    "flowlabel",
    "gre",
    "htons",
    "icmp",
    "id",
    "inet6_addr",
    "inet_addr",
    "ipv4",
    "ipv6",
    "label",
    "linger",
    "md5",
    "mpls",
    "msg_control",
    "msg_flags",
    "msg_iov",
    "msg_name",
    "mss",
    "mtu",
    "noecn",
    "nop",
    "onoff",
    "ptr",
    "raw",
    "revents",
    "sa_family",
    "sack",
    "sackOK",
    "scm_nsec",
    "scm_sec",
    "sin_addr",
    "sin_port",
    "tc",
    "tos",
    "ttl",
    "u32",
    "u64",
    "udp",
    "urg",
    "val",
    "win",
    "wscale",
];

/// Cuts a script into tokens, the last of which is [`Kind::End`].
pub(super) fn lex(text: &str, definitions: &Definitions) -> Result<Vec<Token>, ParseError> {
    let (own, tokens) = (Definitions::new(), Vec::new());
    let mut lexer = Lexer { rest: text, line: 1, joined: false, definitions, own, tokens };
    while lexer.skip_blanks()? {
        lexer.token()?;
    }
    let line = lexer.line;
    lexer.push(Kind::End, String::new(), line);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    /// What is not read yet.
    rest: &'a str,
    /// The line it begins in.
    line: u32,
    /// Nothing was skipped since the last token.
    joined: bool,
    /// Those of the command line, which win over those at the script's head.
    definitions: &'a Definitions,
    own: Definitions,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    /// Goes over blanks and comments; whether anything is left.
    fn skip_blanks(&mut self) -> Result<bool, ParseError> {
        loop {
            let trimmed = self.rest.trim_start();
            let blanks = self.rest.len() - trimmed.len();
            let skipped = if blanks > 0 {
                blanks
            } else if self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                match self.rest.get(2..).and_then(|inner| inner.find("*/")) {
                    Some(length) => length + 4,
                    None => return Err(self.unterminated("comment", "*/")),
                }
            } else {
                return Ok(!self.rest.is_empty());
            };
            self.advance(skipped);
            self.joined = false;
        }
    }

    /// Takes the token that the rest begins with.
    fn token(&mut self) -> Result<(), ParseError> {
        let line = self.line;
        let rest = self.rest;
        if let Some(inner) = rest.strip_prefix('"') {
            let length = end_of_string(inner).ok_or_else(|| self.unterminated("string", "\""))?;
            self.take(Kind::String, length + 2, inner.get(..length));
        } else if let Some(inner) = rest.strip_prefix('`') {
            let length = inner.find('`').ok_or_else(|| self.unterminated("command", "`"))?;
            self.take(Kind::BackQuoted, length + 2, inner.get(..length));
        } else if let Some(inner) = rest.strip_prefix("%{") {
            let length = inner.find("}%").ok_or_else(|| self.unterminated("code block", "}%"))?;
            self.take(Kind::Code, length + 4, inner.get(..length).map(str::trim));
        } else if rest.starts_with("...") {
            self.take(Kind::Ellipsis, 3, None);
        } else if let Some(length) = option_name(rest) {
            self.take(Kind::Option, length, rest.get(2..length));
            self.option_value()?;
        } else if let Some(length) = ipv6(rest) {
            self.take(Kind::Ipv6, length, None);
        } else if let Some((kind, length)) = longest(rest) {
            match self.definition(kind, length) {
                Some((kind, value)) => {
                    self.advance(length);
                    self.push(kind, value, line);
                }
                None => self.take(kind, length, None),
            }
        } else {
            self.take(Kind::Symbol, rest.chars().next().map_or(0, char::len_utf8), None);
        }
        Ok(())
    }

    /// After an option's name: `=` and all up to the next blank or comment. Addresses with a prefix
    /// length, paths and decimals are all fine there.
    fn option_value(&mut self) -> Result<(), ParseError> {
        let blanks = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
        let before = blanks(self.rest);
        let Some(after) = self.rest.get(before..).and_then(|rest| rest.strip_prefix('=')) else {
            return Ok(());
        };
        let start = before + 1 + blanks(after);
        self.advance(start);
        let (line, rest) = (self.line, self.rest);
        if let Some(inner) = rest.strip_prefix('"') {
            let length = end_of_string(inner).ok_or_else(|| self.unterminated("string", "\""))?;
            self.take(Kind::OptionValue, length + 2, inner.get(..length));
            return Ok(());
        }
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let value = word.split("//").next().unwrap_or_default();
        let value = value.split("/*").next().unwrap_or_default();
        let length = value.len();
        let defined = self.meaning(value).map(|value| value.trim_matches('"').to_owned());
        let is_define = self.tokens.last().is_some_and(|option| option.text == "define");
        self.advance(length);
        self.push(Kind::OptionValue, defined.unwrap_or_else(|| value.to_owned()), line);
        if let (true, Some((name, meaning))) = (is_define, value.split_once('=')) {
            self.own.define(name, meaning);
        }
        Ok(())
    }

    /// What a word stands for, if it was defined.
    fn meaning(&self, word: &str) -> Option<&str> {
        self.definitions.0.get(word).or_else(|| self.own.0.get(word)).map(String::as_str)
    }

    /// What the word at the front stands for, if it is a symbol.
    fn definition(&self, kind: Kind, length: usize) -> Option<(Kind, String)> {
        let word = self.rest.get(..length).filter(|_| kind == Kind::Word)?;
        let value = self.meaning(word).filter(|_| !RESERVED.contains(&word))?;
        let quoted = |quote| value.strip_prefix(quote).map(|v| v.strip_suffix(quote).unwrap_or(v));
        Some(if let Some(inner) = quoted('"') {
            (Kind::String, inner.to_owned())
        } else if let Some(inner) = quoted('`') {
            (Kind::BackQuoted, inner.to_owned())
        } else {
            let kind = match longest(value) {
                Some((kind @ (Kind::Integer | Kind::Hex), all)) if all == value.len() => kind,
                _ => Kind::Word,
            };
            (kind, value.to_owned())
        })
    }

    /// Takes `length` bytes as one token whose text is `text`, or else those bytes.
    fn take(&mut self, kind: Kind, length: usize, text: Option<&str>) {
        let line = self.line;
        let text = text.or(self.rest.get(..length)).unwrap_or_default().to_owned();
        self.advance(length);
        self.push(kind, text, line);
    }

    fn push(&mut self, kind: Kind, text: String, line: u32) {
        self.tokens.push(Token { kind, text, line, joined: self.joined });
        self.joined = true;
    }

    fn advance(&mut self, length: usize) {
        let (over, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        let newlines = over.bytes().filter(|&byte| byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    fn unterminated(&self, what: &str, end: &str) -> ParseError {
        ParseError::new(self.line, format!("this {what} has no end: expected {end}"))
    }
}

/// Where the string ends whose opening quote was before `inner`.
fn end_of_string(inner: &str) -> Option<usize> {
    let mut escaped = false;
    inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The length of `--name` at the front.
fn option_name(rest: &str) -> Option<usize> {
    let name = rest.strip_prefix("--")?;
    let length = run(name, is_word);
    (length > 0).then_some(length + 2)
}

/// The longest of the tokens that begin with a letter, a digit, a dot or a minus sign.
fn longest(rest: &str) -> Option<(Kind, usize)> {
    let digit = |byte: u8| byte.is_ascii_digit();
    let sign = usize::from(rest.starts_with('-'));
    let unsigned = rest.get(sign..)?;
    let whole = run(unsigned, digit);
    let fraction = unsigned.get(whole..).and_then(|rest| rest.strip_prefix('.'));
    let decimals = fraction.map_or(0, |rest| run(rest, digit));
    let hex = rest.strip_prefix("0x").map_or(0, |rest| run(rest, |byte| byte.is_ascii_hexdigit()));
    // In the order of preference among those of one length.
    [
        (Kind::Ipv4, ipv4(rest)),
        (Kind::Float, if decimals > 0 { sign + whole + 1 + decimals } else { 0 }),
        (Kind::Integer, if whole > 0 { sign + whole } else { 0 }),
        (Kind::Hex, if hex > 0 { hex + 2 } else { 0 }),
        (Kind::Word, run(rest, is_word)),
    ]
    .into_iter()
    .filter(|&(_, length)| length > 0)
    .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// The length of a dotted quad at the front, 0 if there is none.
fn ipv4(rest: &str) -> usize {
    let quad = front(rest, 15, |byte| byte.is_ascii_digit() || byte == b'.').trim_end_matches('.');
    let parts = quad.split('.').filter(|part| (1..=3).contains(&part.len())).count();
    if parts == 4 && quad.split('.').count() == 4 { quad.len() } else { 0 }
}

/// The length of an IPv6 address at the front. `1:1001` is none, and neither is the colon that may
/// follow an address a part of it.
fn ipv6(rest: &str) -> Option<usize> {
    let run = front(rest, 45, |byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    if !run.contains("::") && run.bytes().filter(|&byte| byte == b':').count() < 7 {
        return None;
    }
    (2..=run.len()).rev().find(|&length| {
        let follows = rest.as_bytes().get(length).is_some_and(|&byte| is_word(byte));
        !follows && run.get(..length).is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
    })
}

/// What the text begins with of such bytes, at most `limit` of them.
fn front(text: &str, limit: usize, belongs: impl Fn(u8) -> bool) -> &str {
    let length = text.bytes().take(limit).take_while(|&byte| belongs(byte)).count();
    text.get(..length).unwrap_or_default()
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|&byte| belongs(byte)).count()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, String)> {
        tokens(text, &Definitions::new())
    }

    fn tokens(text: &str, definitions: &Definitions) -> Vec<(Kind, String)> {
        let mut tokens = lex(text, definitions).unwrap();
        assert_eq!(tokens.pop().unwrap().kind, Kind::End);
        tokens.into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn every_kind_of_token_is_cut_where_it_ends() {
        use Kind::*;
        let table: &[(&str, &[(Kind, &str)])] = &[
            (".1 0.25 -1.5", &[(Float, ".1"), (Float, "0.25"), (Float, "-1.5")]),
            ("1. 5", &[(Integer, "1"), (Symbol, "."), (Integer, "5")]),
            ("10 -1 - 1", &[(Integer, "10"), (Integer, "-1"), (Symbol, "-"), (Integer, "1")]),
            ("0x1F 0x1g", &[(Hex, "0x1F"), (Word, "0x1g")]),
            ("3021b9 30", &[(Word, "3021b9"), (Integer, "30")]),
            ("S. P.5", &[(Word, "S"), (Symbol, "."), (Word, "P"), (Float, ".5")]),
            ("+0...0.150", &[(Symbol, "+"), (Integer, "0"), (Ellipsis, "..."), (Float, "0.150")]),
            (".01...0.02", &[(Float, ".01"), (Ellipsis, "..."), (Float, "0.02")]),
            ("<...>", &[(Symbol, "<"), (Ellipsis, "..."), (Symbol, ">")]),
            (r#""a \" b" "\\""#, &[(String, r#"a \" b"#), (String, r"\\")]),
            ("`a\nb`", &[(BackQuoted, "a\nb")]),
            ("%{  a\n  b }%", &[(Code, "a\n  b")]),
            (
                "1:1001(1000)",
                &[
                    (Integer, "1"),
                    (Symbol, ":"),
                    (Integer, "1001"),
                    (Symbol, "("),
                    (Integer, "1000"),
                    (Symbol, ")"),
                ],
            ),
            ("192.0.2.1 1.2.3", &[(Ipv4, "192.0.2.1"), (Float, "1.2"), (Float, ".3")]),
            (
                "::1 2::2222: 1:2:3:4:5:6:7:8",
                &[(Ipv6, "::1"), (Ipv6, "2::2222"), (Symbol, ":"), (Ipv6, "1:2:3:4:5:6:7:8")],
            ),
            ("192.0.2.1...", &[(Ipv4, "192.0.2.1"), (Ellipsis, "...")]),
            ("::1g", &[(Symbol, ":"), (Symbol, ":"), (Word, "1g")]),
            ("::ffff:192.0.2.1", &[(Ipv6, "::ffff:192.0.2.1")]),
            ("--dry_run // no value", &[(Option, "dry_run")]),
            (
                "--tolerance_percent=12.5//x",
                &[(Option, "tolerance_percent"), (OptionValue, "12.5")],
            ),
            (
                "--remote_ip=192.0.2.1/24 +0",
                &[
                    (Option, "remote_ip"),
                    (OptionValue, "192.0.2.1/24"),
                    (Symbol, "+"),
                    (Integer, "0"),
                ],
            ),
            ("a // b\nc /* d\n */ e", &[(Word, "a"), (Word, "c"), (Word, "e")]),
            ("a//", &[(Word, "a")]),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected.iter().map(|&(k, t)| (k, t.to_owned())).collect();
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn symbols_are_replaced_by_what_their_values_look_like() {
        let definitions: Definitions = [
            ("COOKIE", "3021b9d889017eeb"),
            ("NUMBER", "17"),
            ("NAME", "\"eth0\""),
            ("SETUP", "`true`"),
            ("ack", "never"),
            ("ADDRESS", "192.0.2.1"),
        ]
        .into_iter()
        .collect();
        use Kind::*;
        assert_eq!(
            tokens("COOKIE NUMBER NAME SETUP ack \"NUMBER\"", &definitions),
            [
                (Word, "3021b9d889017eeb".to_owned()),
                (Integer, "17".to_owned()),
                (String, "eth0".to_owned()),
                (BackQuoted, "true".to_owned()),
                (Word, "ack".to_owned()),
                (String, "NUMBER".to_owned()),
            ]
        );
        assert_eq!(tokens("--local_ip=ADDRESS", &definitions)[1].1, "192.0.2.1");
    }

    #[test]
    fn lines_are_counted_through_comments_and_commands() {
        let tokens = lex("a\n/* b\n */ `c\nd` e\n// f\ng", &Definitions::new()).unwrap();
        let lines: Vec<_> = tokens.iter().map(|token| (token.text.as_str(), token.line)).collect();
        assert_eq!(lines, [("a", 1), ("c\nd", 3), ("e", 4), ("g", 6), ("", 6)]);
    }

    #[test]
    fn what_is_opened_has_to_be_closed() {
        for (text, message) in [
            ("\n\"abc", "line 2: this string has no end: expected \""),
            ("`abc", "line 1: this command has no end: expected `"),
            ("%{ abc }", "line 1: this code block has no end: expected }%"),
            ("/* abc", "line 1: this comment has no end: expected */"),
        ] {
            assert_eq!(lex(text, &Definitions::new()).unwrap_err().to_string(), message);
        }
    }
}
