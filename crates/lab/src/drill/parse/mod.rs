//! From a script's text to its tree.
//!
//! Here is the shape of a file: options, commands, events and their times. `packet`, `options` and
//! `call` know what an event may be. Checked on the way is what can be told without playing:
//! `END = START + LEN`, times and results that make no sense, options that fit no header. Whether a
//! constant or a call exists is the player's business.

mod call;
mod options;
mod packet;
#[cfg(test)]
mod tests;

use core::fmt;

use super::ast::{Action, Command, Event, Script, Time};
use super::lex::{Kind, Token, lex};

pub use super::lex::Definitions;

/// Why a script is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, from 1.
    pub line: u32,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl core::error::Error for ParseError {}

type Result<T> = core::result::Result<T, ParseError>;

/// Reads a script.
///
/// # Errors
///
/// The first place where the text is not in the language, or says what cannot be.
pub fn parse(text: &str, definitions: &Definitions) -> Result<Script> {
    Parser { tokens: lex(text, definitions)?, next: 0, depth: 0 }.script()
}

struct Parser {
    /// Ends with [`Kind::End`], which is never gone past.
    tokens: Vec<Token>,
    next: usize,
    /// How many brackets and braces are open.
    depth: u32,
}

/// What stands behind the last token.
static END: Token = Token { kind: Kind::End, text: String::new(), line: 0, joined: false };

impl Parser {
    fn script(&mut self) -> Result<Script> {
        let mut script = Script::default();
        while self.peek().kind == Kind::Option {
            let name = self.take().text;
            let given = self.peek().kind == Kind::OptionValue;
            script.options.push((name, given.then(|| self.take().text)));
        }
        script.init = self.command();
        while self.at_time() {
            let event = self.event(script.events.is_empty())?;
            script.events.push(event);
        }
        if script.events.is_empty() {
            return Err(self.expected("the time of the first event"));
        }
        script.cleanup = self.command();
        match self.peek().kind {
            Kind::End => Ok(script),
            _ if script.cleanup.is_some() => {
                Err(self.expected("the end of the script after a command without a time"))
            }
            Kind::Option => Err(self.expected("options only at the head of the script")),
            _ => Err(self.expected("the time of an event")),
        }
    }

    /// A command without a time.
    fn command(&mut self) -> Option<Command> {
        (self.peek().kind == Kind::BackQuoted).then(|| {
            let Token { line, text, .. } = self.take();
            Command { line, text }
        })
    }

    fn event(&mut self, first: bool) -> Result<Event> {
        let line = self.peek().line;
        let time = self.time()?;
        if first && !matches!(time, Time::Absolute(0) | Time::Relative(0) | Time::Any) {
            return Err(ParseError::new(line, "the first event has to be at time 0"));
        }
        let outbound = self.at_symbol(">");
        if !outbound && !matches!(time, Time::Absolute(_) | Time::Relative(_)) {
            let message = "'*' and ranges of time are for outbound packets only";
            return Err(ParseError::new(line, message));
        }
        let action = match self.peek().kind {
            Kind::BackQuoted => Action::Command(self.take().text),
            Kind::Code => Action::Code(self.take().text),
            Kind::Ellipsis | Kind::Word => Action::Call(self.call(time)?),
            _ if outbound || self.at_symbol("<") => Action::Packet(self.packet()?),
            _ => return Err(self.expected("a packet, a call, a command or a code block")),
        };
        Ok(Event { line, time, action })
    }

    fn at_time(&self) -> bool {
        let Token { kind, text, .. } = self.peek();
        matches!(kind, Kind::Float | Kind::Integer)
            || *kind == Kind::Symbol && (text == "+" || text == "*")
    }

    fn time(&mut self) -> Result<Time> {
        if self.skip_symbol("*") {
            return Ok(Time::Any);
        }
        let relative = self.skip_symbol("+");
        let start = self.microseconds()?;
        if !self.at_symbol("~") {
            return Ok(if relative { Time::Relative(start) } else { Time::Absolute(start) });
        }
        let line = self.take().line;
        if self.skip_symbol("+") != relative {
            let message = "one end of this range of time has a '+' and the other has none";
            return Err(ParseError::new(line, message));
        }
        let end = self.microseconds()?;
        if end < start {
            return Err(ParseError::new(line, "this range of time ends before it begins"));
        }
        Ok(if relative { Time::RelativeRange(start, end) } else { Time::AbsoluteRange(start, end) })
    }

    /// Seconds as a decimal, in microseconds; digits after the sixth are rounded.
    fn microseconds(&mut self) -> Result<i64> {
        if !matches!(self.peek().kind, Kind::Float | Kind::Integer) {
            return Err(self.expected("a time in seconds"));
        }
        let Token { text, line, .. } = self.take();
        if text.starts_with('-') {
            return Err(ParseError::new(line, format!("the time {text} is negative")));
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digit =
            |place: usize| fraction.as_bytes().get(place).map_or(0, |b| i64::from(b - b'0'));
        let micros = (0..6).fold(0, |sum, place| sum * 10 + digit(place)) + digit(6) / 5;
        let seconds = if seconds.is_empty() { Ok(0) } else { seconds.parse::<i64>() };
        seconds
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000)?.checked_add(micros))
            .ok_or_else(|| ParseError::new(line, format!("the time {text} is too large")))
    }

    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Token {
        self.tokens.get(self.next + count).or(self.tokens.last()).unwrap_or(&END)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if token.kind != Kind::End {
            self.next += 1;
        }
        token
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        self.peek().kind == Kind::Symbol && self.peek().text == symbol
    }

    fn skip_symbol(&mut self, symbol: &str) -> bool {
        let there = self.at_symbol(symbol);
        if there {
            self.take();
        }
        there
    }

    fn symbol(&mut self, symbol: &str, purpose: &str) -> Result<()> {
        if self.skip_symbol(symbol) {
            Ok(())
        } else {
            Err(self.expected(format!("'{symbol}' {purpose}")))
        }
    }

    fn at_word(&self, word: &str) -> bool {
        self.peek().kind == Kind::Word && self.peek().text == word
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        if there {
            self.take();
        }
        there
    }

    fn word(&mut self, purpose: &str) -> Result<String> {
        if self.peek().kind == Kind::Word {
            Ok(self.take().text)
        } else {
            Err(self.expected(purpose))
        }
    }

    /// The number after `word`, if the word is there.
    fn number_after<T: TryFrom<i64>>(&mut self, word: &str) -> Result<Option<T>> {
        if self.skip_word(word) { self.number(word).map(Some) } else { Ok(None) }
    }

    /// A number that is in the range of `T`.
    fn number<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T> {
        if !matches!(self.peek().kind, Kind::Integer | Kind::Hex) {
            return Err(self.expected(format!("a number for {what}")));
        }
        let line = self.peek().line;
        let number = self.integer()?;
        T::try_from(number)
            .map_err(|_| ParseError::new(line, format!("{number} does not fit into {what}")))
    }

    /// An integer of whatever base. One of 64 bits without a sign keeps its bits.
    fn integer(&mut self) -> Result<i64> {
        let Token { kind, text, line, .. } = self.take();
        let value = match (kind, text.strip_prefix("0x")) {
            (Kind::Hex, Some(digits)) => u64::from_str_radix(digits, 16).map(u64::cast_signed),
            _ => text.parse::<i64>().or_else(|_| text.parse::<u64>().map(u64::cast_signed)),
        };
        value.map_err(|_| ParseError::new(line, format!("the number {text} is too large")))
    }

    /// What is here is not what was expected.
    fn expected(&self, what: impl fmt::Display) -> ParseError {
        let found = self.peek();
        ParseError::new(found.line, format!("expected {what}, found {}", found.describe()))
    }
}
