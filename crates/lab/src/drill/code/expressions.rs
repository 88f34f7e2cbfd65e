//! Expressions, by Python's levels of precedence, and the pieces of f-strings.

use super::CodeError;
use super::lex::{Kind, lex, unsupported};
use super::parse::{KEYWORDS, MAX_STATEMENT_TOKENS, Parser};
use super::syntax::{Binary, Compare, Constant, Expr, Piece, Unary};

/// From the one that binds least to the one that binds most.
const BINARY: &[&[(&str, Binary)]] = &[
    &[("|", Binary::BitOr)],
    &[("^", Binary::BitXor)],
    &[("&", Binary::BitAnd)],
    &[("<<", Binary::ShiftLeft), (">>", Binary::ShiftRight)],
    &[("+", Binary::Add), ("-", Binary::Subtract)],
    &[
        ("*", Binary::Multiply),
        ("/", Binary::Divide),
        ("//", Binary::FloorDivide),
        ("%", Binary::Modulo),
    ],
];

impl Parser<'_> {
    /// One expression, or a tuple without parentheses.
    pub(super) fn expressions(&mut self) -> Result<Expr, CodeError> {
        let first = self.expression()?;
        if *self.peek() != Kind::Operator(",") {
            return Ok(first);
        }
        let mut elements = vec![first];
        while self.skip_operator(",") {
            let ends = [Kind::Newline, Kind::Operator("="), Kind::Operator(";")];
            if ends.contains(self.peek()) {
                break;
            }
            elements.push(self.expression()?);
        }
        Ok(Expr::Tuple(elements))
    }

    pub(super) fn expression(&mut self) -> Result<Expr, CodeError> {
        self.deeper(|parser| {
            let value = parser.either()?;
            if !parser.skip_word("if") {
                return Ok(value);
            }
            let condition = Box::new(parser.either()?);
            if !parser.skip_word("else") {
                return Err(parser.unexpected("else"));
            }
            let otherwise = Box::new(parser.expression()?);
            Ok(Expr::Conditional { condition, then: Box::new(value), otherwise })
        })
    }

    fn either(&mut self) -> Result<Expr, CodeError> {
        let first = self.both()?;
        let mut operands = vec![first];
        while self.skip_word("or") {
            operands.push(self.both()?);
        }
        Ok(single(operands, Expr::Or))
    }

    fn both(&mut self) -> Result<Expr, CodeError> {
        let first = self.negation()?;
        let mut operands = vec![first];
        while self.skip_word("and") {
            operands.push(self.negation()?);
        }
        Ok(single(operands, Expr::And))
    }

    fn negation(&mut self) -> Result<Expr, CodeError> {
        if self.skip_word("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::negation)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, CodeError> {
        let first = self.binary(BINARY)?;
        let mut rest = Vec::new();
        while let Some(compare) = self.compare() {
            rest.push((compare, self.binary(BINARY)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn compare(&mut self) -> Option<Compare> {
        let signs = [
            ("==", Compare::Equal),
            ("!=", Compare::NotEqual),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ];
        for (sign, compare) in signs {
            if self.skip_operator(sign) {
                return Some(compare);
            }
        }
        if self.skip_word("in") {
            return Some(Compare::In);
        }
        if self.skip_word("is") {
            return Some(if self.skip_word("not") { Compare::IsNot } else { Compare::Is });
        }
        let after = self.tokens.get(self.next + 1).map(|token| &token.kind);
        let not_in = matches!(after, Some(Kind::Name(name)) if name == "in");
        (not_in && self.skip_word("not")).then(|| {
            self.take();
            Compare::NotIn
        })
    }

    fn binary(&mut self, levels: &[&[(&'static str, Binary)]]) -> Result<Expr, CodeError> {
        let Some((operators, tighter)) = levels.split_first() else { return self.unary() };
        let mut left = self.binary(tighter)?;
        loop {
            let found = operators.iter().find(|(sign, _)| *self.peek() == Kind::Operator(sign));
            let Some(&(_, operator)) = found else { return Ok(left) };
            self.take();
            left = Expr::Binary(operator, Box::new(left), Box::new(self.binary(tighter)?));
        }
    }

    fn unary(&mut self) -> Result<Expr, CodeError> {
        for (sign, unary) in [("-", Unary::Minus), ("+", Unary::Plus), ("~", Unary::Invert)] {
            if self.skip_operator(sign) {
                return Ok(Expr::Unary(unary, Box::new(self.deeper(Self::unary)?)));
            }
        }
        let base = self.postfix()?;
        if self.skip_operator("**") {
            let exponent = self.deeper(Self::unary)?;
            return Ok(Expr::Binary(Binary::Power, Box::new(base), Box::new(exponent)));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Result<Expr, CodeError> {
        let mut value = self.atom()?;
        loop {
            if self.skip_operator("(") {
                value = Expr::Call(Box::new(value), self.list(")")?);
            } else if self.skip_operator("[") {
                let index = Box::new(self.expression()?);
                self.operator("]")?;
                value = Expr::Index(Box::new(value), index);
            } else if self.skip_operator(".") {
                value = Expr::Unsupported(format!("the attribute .{}", self.name()?));
            } else {
                return Ok(value);
            }
        }
    }

    fn list(&mut self, end: &'static str) -> Result<Vec<Expr>, CodeError> {
        let mut elements = Vec::new();
        while !self.skip_operator(end) {
            elements.push(self.expression()?);
            if !self.skip_operator(",") {
                self.operator(end)?;
                break;
            }
        }
        Ok(elements)
    }

    fn atom(&mut self) -> Result<Expr, CodeError> {
        if matches!(self.peek(), Kind::Str(_) | Kind::FString(_)) {
            return self.text();
        }
        if self.skip_operator("(") {
            let start = self.next;
            let mut elements = self.list(")")?;
            let comma = self.next.checked_sub(2).filter(|&last| last >= start);
            let comma = comma.and_then(|last| self.tokens.get(last));
            let tuple = comma.is_some_and(|token| token.kind == Kind::Operator(","));
            return Ok(match (elements.pop(), elements.is_empty() && !tuple) {
                (Some(only), true) => only,
                (last, _) => {
                    elements.extend(last);
                    Expr::Tuple(elements)
                }
            });
        }
        if self.skip_operator("[") {
            return Ok(Expr::List(self.list("]")?));
        }
        let constant = match self.peek() {
            Kind::Int(value) => Constant::Int(*value),
            Kind::Float(value) => Constant::Float(*value),
            Kind::Name(name) if name == "True" => Constant::Bool(true),
            Kind::Name(name) if name == "False" => Constant::Bool(false),
            Kind::Name(name) if name == "None" => Constant::None,
            Kind::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                return self.name().map(Expr::Name);
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.take();
        Ok(Expr::Constant(constant))
    }

    /// Strings side by side are one.
    fn text(&mut self) -> Result<Expr, CodeError> {
        let mut pieces = Vec::new();
        loop {
            match self.peek().clone() {
                Kind::Str(text) => pieces.push(Piece::Text(text)),
                Kind::FString(text) => self.deeper(|parser| parser.pieces(&text, &mut pieces))?,
                _ => return Ok(Expr::Text(pieces)),
            }
            self.take();
        }
    }

    /// The pieces of an f-string.
    fn pieces(&self, text: &str, pieces: &mut Vec<Piece>) -> Result<(), CodeError> {
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            pieces.push(Piece::Text(before.to_owned()));
            if from.starts_with("{{") || from.starts_with("}}") {
                pieces.push(Piece::Text(from[..1].to_owned()));
                rest = &from[2..];
                continue;
            }
            let Some((inner, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}'))
            else {
                return Err(unsupported("the braces of this f-string"));
            };
            pieces.extend(self.replacement(inner)?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(())
    }

    /// `expression[=][!r][:format]`
    fn replacement(&self, inner: &str) -> Result<Vec<Piece>, CodeError> {
        let (value, format) = inner.split_once(':').unwrap_or((inner, ""));
        let (value, conversion) = match value.rsplit_once('!') {
            Some((value, conversion)) if !conversion.starts_with('=') => (value, conversion),
            _ => (value, ""),
        };
        let shown = value.strip_suffix('=').filter(|value| !value.ends_with(['=', '!', '<', '>']));
        let mut pieces = Vec::new();
        if shown.is_some() {
            pieces.push(Piece::Text(value.to_owned()));
        }
        let repr = match conversion {
            "r" => true,
            "s" => false,
            "" => shown.is_some() && format.is_empty(),
            _ => return Err(unsupported(format!("the conversion !{conversion}"))),
        };
        let block = shown.unwrap_or(value).trim();
        let mut parser = Parser { block, tokens: lex(block)?, next: 0, depth: self.depth };
        let value = parser.expressions()?;
        if *parser.peek() != Kind::Newline || parser.tokens.len() > MAX_STATEMENT_TOKENS {
            return Err(parser.unexpected("the end of the f-string's value"));
        }
        pieces.push(Piece::Value { value, repr, format: format.to_owned() });
        Ok(pieces)
    }
}

fn single(mut operands: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match (operands.pop(), operands.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            operands.extend(last);
            many(operands)
        }
    }
}
