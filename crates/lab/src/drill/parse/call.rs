//! Calls: arguments, results, and when a blocking one has to return.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::ast::{Call, Expr, Field, Time};
use super::super::lex::{Kind, Token};
use super::{ParseError, Parser, Result};

/// How deep brackets may be nested; the deepest that a call takes is about five.
const MAX_DEPTH: u32 = 32;

impl Parser {
    /// A call that begins at `time`.
    pub(super) fn call(&mut self, time: Time) -> Result<Call> {
        let end = if self.peek().kind == Kind::Ellipsis {
            let line = self.take().line;
            let end = self.microseconds()?;
            if matches!(time, Time::Absolute(start) if end < start) {
                return Err(ParseError::new(line, "this call ends before it begins"));
            }
            Some(end)
        } else {
            None
        };
        let name = self.word("the name of a call")?;
        self.symbol("(", &format!("after {name}"))?;
        let args = self.list(")", "an argument", Self::argument)?;
        self.symbol("=", "and the result of the call")?;
        let result = self.expression()?;
        // A word here can only be an error's name: the next event begins with a number or a sign.
        let errno = (self.peek().kind == Kind::Word).then(|| self.take().text);
        while self.at_symbol("(") {
            self.note()?;
        }
        Ok(Call { end, name, args, result, errno })
    }

    /// `(whatever, for the reader)`
    fn note(&mut self) -> Result<()> {
        let line = self.take().line;
        let mut open = 1_u32;
        while open > 0 {
            if self.at_symbol("(") {
                open += 1;
            } else if self.at_symbol(")") {
                open -= 1;
            } else if self.peek().kind == Kind::End {
                return Err(ParseError::new(line, "this note has no end: expected )"));
            }
            self.take();
        }
        Ok(())
    }

    /// Elements up to `end`, with commas between them.
    fn list<T>(
        &mut self,
        end: &str,
        what: &str,
        element: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut elements = Vec::new();
        if self.skip_symbol(end) {
            return Ok(elements);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} brackets are open");
            return Err(ParseError::new(self.peek().line, message));
        }
        loop {
            elements.push(element(self)?);
            if !self.skip_symbol(",") {
                break;
            }
        }
        self.depth -= 1;
        self.symbol(end, &format!("or ',' after {what}"))?;
        Ok(elements)
    }

    /// An expression, or `NAME = expression`.
    fn argument(&mut self) -> Result<Expr> {
        let equals = self.ahead(1);
        if self.peek().kind == Kind::Word && equals.kind == Kind::Symbol && equals.text == "=" {
            let name = self.take().text;
            self.take();
            return Ok(Expr::Named(name, Box::new(self.expression()?)));
        }
        self.expression()
    }

    fn expression(&mut self) -> Result<Expr> {
        let first = self.term()?;
        if !self.at_symbol("|") {
            return Ok(first);
        }
        let mut terms = vec![first];
        while self.skip_symbol("|") {
            terms.push(self.term()?);
        }
        Ok(Expr::Or(terms))
    }

    fn term(&mut self) -> Result<Expr> {
        let kind = self.peek().kind;
        Ok(match kind {
            Kind::Ellipsis => {
                self.take();
                Expr::Ellipsis
            }
            Kind::Integer | Kind::Hex => Expr::Integer(self.integer()?),
            Kind::String => {
                let mut text = String::new();
                while self.peek().kind == Kind::String {
                    text.push_str(&self.take().text);
                }
                Expr::String(text)
            }
            Kind::Ipv4 | Kind::Ipv6 => {
                let Token { text, line, .. } = self.take();
                Expr::Address(address(line, &text)?)
            }
            Kind::Word => {
                let name = self.take().text;
                if self.skip_symbol("(") { self.apply(name)? } else { Expr::Word(name) }
            }
            _ if self.skip_symbol("[") => {
                Expr::List(self.list("]", "an element", Self::argument)?)
            }
            _ if self.skip_symbol("{") => Expr::Braces(self.list("}", "a member", Self::field)?),
            _ => return Err(self.expected("a value")),
        })
    }

    /// What follows `name(`. Addresses are read at once; all else is left to the player.
    fn apply(&mut self, name: String) -> Result<Expr> {
        let line = self.peek().line;
        let mut args = self.list(")", "an argument", Self::expression)?;
        let text = match (name.as_str(), args.as_slice()) {
            ("inet_addr" | "inet6_addr", [Expr::String(text)])
            | ("inet_pton", [Expr::Word(_), Expr::String(text)]) => Some(text),
            _ => None,
        };
        if let Some(text) = text {
            return Ok(Expr::Address(address(line, text)?));
        }
        match (args.pop(), args.is_empty()) {
            (Some(arg), true) => Ok(Expr::Apply(name, Box::new(arg))),
            _ => Err(ParseError::new(line, format!("expected one argument for {name}"))),
        }
    }

    /// `value`, `name = value` or `name(count) = value`
    fn field(&mut self) -> Result<Field> {
        if self.peek().kind != Kind::Word {
            return Ok(Field { name: None, count: None, value: self.expression()? });
        }
        let line = self.peek().line;
        let value = self.expression()?;
        if !self.skip_symbol("=") {
            return Ok(Field { name: None, count: None, value });
        }
        let (name, count) = match value {
            Expr::Word(name) => (name, None),
            Expr::Apply(name, count) => (name, Some(*count)),
            _ => return Err(ParseError::new(line, "expected the name of a member before '='")),
        };
        Ok(Field { name: Some(name), count, value: self.expression()? })
    }
}

fn address(line: u32, text: &str) -> Result<IpAddr> {
    let v4 = text.parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::V6))
        .map_err(|_| ParseError::new(line, format!("'{text}' is no IP address")))
}
