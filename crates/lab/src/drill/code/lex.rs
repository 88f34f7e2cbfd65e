//! The tokens of a code block, with Python's rules for lines and indentation.

use super::CodeError;

/// One token, and where in the block it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Name(String),
    Int(i128),
    Float(f64),
    Str(String),
    /// What is between the quotes of an f-string, its escapes decoded.
    FString(String),
    Operator(&'static str),
    /// A logical line ends.
    Newline,
    Indent,
    Dedent,
    End,
}

/// Longer ones first, so that the first that fits is the right one.
const OPERATORS: &[&str] = &[
    "**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", ":=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "=",
    "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "@",
];

/// Cuts a block into tokens.
pub(super) fn lex(block: &str) -> Result<Vec<Token>, CodeError> {
    let mut lexer = Lexer { block, at: 0, open: 0, indents: vec![0], tokens: Vec::new() };
    while lexer.line()? {}
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    block: &'a str,
    at: usize,
    /// Brackets that are open: inside them a newline is a blank.
    open: usize,
    indents: Vec<usize>,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.block.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let start = self.at;
        self.at += length;
        self.tokens.push(Token { kind, start, end: self.at });
    }

    /// One logical line; whether there may be another.
    fn line(&mut self) -> Result<bool, CodeError> {
        let blanks = self.blanks();
        if self.rest().is_empty() {
            for _ in 1..self.indents.len() {
                self.push(Kind::Dedent, 0);
            }
            self.push(Kind::End, 0);
            return Ok(false);
        }
        if self.rest().starts_with('\n') {
            self.at += 1;
            return Ok(true);
        }
        self.indent(blanks)?;
        loop {
            self.blanks();
            let rest = self.rest();
            if rest.is_empty() || rest.starts_with('\n') && self.open == 0 {
                self.push(Kind::Newline, usize::from(!rest.is_empty()));
                return Ok(true);
            }
            if rest.starts_with('\n') {
                self.at += 1;
            } else {
                self.token()?;
            }
        }
    }

    /// Goes over blanks, a comment and joined lines; how many columns that was.
    fn blanks(&mut self) -> usize {
        let start = self.at;
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\u{c}']);
            let comment = if trimmed.starts_with('#') {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else {
                0
            };
            self.at += rest.len() - trimmed.len() + comment;
            let joined = ["\\\n", "\\\r\n"].iter().find(|end| self.rest().starts_with(**end));
            match joined {
                Some(end) => self.at += end.len(),
                // A block may end with a back-slash, since what follows it was trimmed.
                None if self.rest() == "\\" => self.at += 1,
                None => return self.at - start,
            }
        }
    }

    fn indent(&mut self, blanks: usize) -> Result<(), CodeError> {
        let current = self.indents.last().copied().unwrap_or(0);
        if blanks > current {
            self.indents.push(blanks);
            self.push(Kind::Indent, 0);
        }
        while self.indents.last().is_some_and(|&open| open > blanks) {
            self.indents.pop();
            self.push(Kind::Dedent, 0);
        }
        match self.indents.last() {
            Some(&open) if open == blanks => Ok(()),
            _ => Err(unsupported("this indentation")),
        }
    }

    fn token(&mut self) -> Result<(), CodeError> {
        let rest = self.rest();
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..word).unwrap_or_default();
        let quote = rest.get(word..).and_then(|rest| rest.chars().next());
        if let Some(quote @ ('"' | '\'')) = quote {
            return self.string(name, quote);
        }
        if rest.starts_with(|c: char| c.is_ascii_digit())
            || rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return self.number();
        }
        if word > 0 {
            self.push(Kind::Name(name.to_owned()), word);
            return Ok(());
        }
        let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) else {
            let character = rest.chars().next().unwrap_or_default();
            return Err(unsupported(format!("the character '{character}'")));
        };
        match *operator {
            "(" | "[" | "{" => self.open += 1,
            ")" | "]" | "}" => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.push(Kind::Operator(operator), operator.len());
        Ok(())
    }

    fn number(&mut self) -> Result<(), CodeError> {
        let rest = self.rest();
        let mut length = 0;
        let mut previous = ' ';
        for c in rest.chars() {
            let exponent = matches!(previous, 'e' | 'E') && !rest.starts_with("0x");
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || exponent && "+-".contains(c))
            {
                break;
            }
            length += c.len_utf8();
            previous = c;
        }
        let written = rest.get(..length).unwrap_or_default();
        let digits = written.replace('_', "").to_ascii_lowercase();
        let radix = |prefix, radix| {
            digits.strip_prefix(prefix).and_then(|digits| i128::from_str_radix(digits, radix).ok())
        };
        let int = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
        let decimal = !digits.starts_with('0') || digits.bytes().all(|digit| digit == b'0');
        let int = int.or_else(|| digits.parse::<i128>().ok().filter(|_| decimal));
        let float = || digits.parse::<f64>().ok().filter(|_| digits.contains(['.', 'e']));
        match int.map(Kind::Int).or_else(|| float().map(Kind::Float)) {
            Some(kind) => self.push(kind, length),
            None => return Err(unsupported(format!("the number {written}"))),
        }
        Ok(())
    }

    fn string(&mut self, prefix: &str, quote: char) -> Result<(), CodeError> {
        let (raw, formatted) = match prefix.to_ascii_lowercase().as_str() {
            "" => (false, false),
            "r" => (true, false),
            "f" => (false, true),
            "rf" | "fr" => (true, true),
            _ => return Err(unsupported(format!("a string with the prefix {prefix}"))),
        };
        let start = prefix.len() + 1;
        let inner = self.rest().get(start..).unwrap_or_default();
        if inner.strip_prefix(quote).is_some_and(|inner| inner.starts_with(quote)) {
            return Err(unsupported("a string in three quotes"));
        }
        let mut text = String::new();
        let mut characters = inner.char_indices();
        while let Some((at, character)) = characters.next() {
            if character == quote {
                let kind = if formatted { Kind::FString(text) } else { Kind::Str(text) };
                self.push(kind, start + at + 1);
                return Ok(());
            }
            if character != '\\' || raw {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, escaped @ ('\\' | '\'' | '"'))) => text.push(escaped),
                Some((_, '\n')) => {}
                Some((_, other)) => return Err(unsupported(format!("the escape \\{other}"))),
                None => break,
            }
        }
        Err(unsupported("a string without an end"))
    }
}

pub(super) fn unsupported(what: impl Into<String>) -> CodeError {
    CodeError::Unsupported(what.into())
}
