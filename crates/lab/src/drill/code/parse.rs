//! From the tokens of a code block to its statements; `expressions` reads what is in them.

use super::CodeError;
use super::lex::{Kind, Token, lex, unsupported};
use super::syntax::{Binary, Constant, Expr, Statement, StatementKind, Target};

/// Words that are no names.
pub(super) const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// How deep expressions and statements may be nested.
const MAX_DEPTH: u32 = 40;
/// How long a statement may be: its tree is at most as deep as this, and is walked by recursion.
pub(super) const MAX_STATEMENT_TOKENS: usize = 500;

/// Reads a block.
pub(super) fn parse(block: &str) -> Result<Vec<Statement>, CodeError> {
    let mut parser = Parser { block, tokens: lex(block)?, next: 0, depth: 0 };
    for statement in parser.tokens.split(|token| token.kind == Kind::Newline) {
        if statement.len() > MAX_STATEMENT_TOKENS {
            return Err(unsupported("a statement this long"));
        }
    }
    parser.statements(&Kind::End)
}

pub(super) struct Parser<'a> {
    pub(super) block: &'a str,
    /// Ends with [`Kind::End`], which is never gone past.
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    pub(super) depth: u32,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Kind {
        self.tokens.get(self.next).map_or(&Kind::End, |token| &token.kind)
    }

    pub(super) fn take(&mut self) -> Kind {
        let kind = self.peek().clone();
        if kind != Kind::End {
            self.next += 1;
        }
        kind
    }

    fn skip(&mut self, kind: &Kind) -> bool {
        let there = self.peek() == kind;
        if there {
            self.take();
        }
        there
    }

    pub(super) fn skip_operator(&mut self, operator: &'static str) -> bool {
        self.skip(&Kind::Operator(operator))
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Name(name) if name == word)
    }

    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        if there {
            self.take();
        }
        there
    }

    pub(super) fn operator(&mut self, operator: &'static str) -> Result<(), CodeError> {
        if self.skip_operator(operator) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{operator}'")))
        }
    }

    pub(super) fn name(&mut self) -> Result<String, CodeError> {
        match self.peek() {
            Kind::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                let name = name.clone();
                self.take();
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// Text that is in Python but not in the subset, or in neither.
    pub(super) fn unexpected(&self, expected: &str) -> CodeError {
        let token = self.tokens.get(self.next);
        if matches!(self.peek(), Kind::Indent | Kind::Dedent) {
            return unsupported("this indentation");
        }
        let text = token.and_then(|token| self.block.get(token.start..token.end));
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => unsupported(format!("'{text}' where {expected} is expected")),
            None => unsupported(format!("a line that ends where {expected} is expected")),
        }
    }

    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, CodeError>,
    ) -> Result<T, CodeError> {
        if self.depth >= MAX_DEPTH {
            return Err(unsupported("code nested this deep"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn statements(&mut self, end: &Kind) -> Result<Vec<Statement>, CodeError> {
        let mut statements = Vec::new();
        while !self.skip(end) {
            let first = self.next;
            if self.at_word("if") {
                let kind = self.deeper(Self::conditional)?;
                statements.push(Statement { kind, text: self.text_from(first) });
            } else {
                self.line(&mut statements)?;
            }
            if *self.peek() == Kind::End && *end != Kind::End {
                return Err(unsupported("this indentation"));
            }
        }
        Ok(statements)
    }

    /// Statements with semicolons between them, up to the end of the line.
    fn line(&mut self, statements: &mut Vec<Statement>) -> Result<(), CodeError> {
        loop {
            if self.skip(&Kind::Newline) {
                return Ok(());
            }
            let first = self.next;
            let kind = self.simple()?;
            statements.push(Statement { kind, text: self.text_from(first) });
            if !self.skip_operator(";") && *self.peek() != Kind::Newline {
                return Err(self.unexpected("the end of the statement"));
            }
        }
    }

    /// The text of what was read since `first`, on one line.
    fn text_from(&self, first: usize) -> String {
        let start = self.tokens.get(first).map_or(0, |token| token.start);
        let last = self.next.checked_sub(1).and_then(|last| self.tokens.get(last));
        let text = self.block.get(start..last.map_or(start, |token| token.end)).unwrap_or_default();
        text.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ")
    }

    fn simple(&mut self) -> Result<StatementKind, CodeError> {
        if self.skip_word("pass") {
            return Ok(StatementKind::Pass);
        }
        if self.skip_word("assert") {
            let condition = self.expression()?;
            let message = if self.skip_operator(",") { Some(self.expression()?) } else { None };
            return Ok(StatementKind::Assert { condition, message });
        }
        if self.skip_word("import") {
            return self.imported(Self::dotted).map(StatementKind::Import);
        }
        if self.skip_word("from") {
            self.dotted()?;
            if !self.skip_word("import") {
                return Err(self.unexpected("import"));
            }
            return self.imported(Self::name).map(StatementKind::Import);
        }
        let first = self.expressions()?;
        let update = [
            ("+=", Binary::Add),
            ("-=", Binary::Subtract),
            ("*=", Binary::Multiply),
            ("/=", Binary::Divide),
            ("//=", Binary::FloorDivide),
            ("%=", Binary::Modulo),
            ("**=", Binary::Power),
            ("&=", Binary::BitAnd),
            ("|=", Binary::BitOr),
            ("^=", Binary::BitXor),
            ("<<=", Binary::ShiftLeft),
            (">>=", Binary::ShiftRight),
        ];
        for (sign, operator) in update {
            if self.skip_operator(sign) {
                let Expr::Name(name) = first else { return Err(not_a_target()) };
                return Ok(StatementKind::Update { name, operator, value: self.expressions()? });
            }
        }
        let mut sides = vec![first];
        while self.skip_operator("=") {
            sides.push(self.expressions()?);
        }
        let value = sides.pop().unwrap_or(Expr::Constant(Constant::None));
        if sides.is_empty() {
            return Ok(StatementKind::Expression(value));
        }
        let targets = sides.into_iter().map(target).collect::<Result<_, _>>()?;
        Ok(StatementKind::Assign { targets, value })
    }

    /// The names that are bound: each by itself, or what follows `as`.
    fn imported(
        &mut self,
        each: impl Fn(&mut Self) -> Result<String, CodeError>,
    ) -> Result<Vec<String>, CodeError> {
        let mut names = Vec::new();
        loop {
            let name = each(self)?;
            names.push(if self.skip_word("as") { self.name()? } else { name });
            if !self.skip_operator(",") {
                return Ok(names);
            }
        }
    }

    /// The first name of `a.b.c`, which is the one that an import binds.
    fn dotted(&mut self) -> Result<String, CodeError> {
        let name = self.name()?;
        while self.skip_operator(".") {
            self.name()?;
        }
        Ok(name)
    }

    fn conditional(&mut self) -> Result<StatementKind, CodeError> {
        let mut branches = Vec::new();
        while self.skip_word(if branches.is_empty() { "if" } else { "elif" }) {
            let condition = self.expression()?;
            branches.push((condition, self.body()?));
        }
        let otherwise = if self.skip_word("else") { self.body()? } else { Vec::new() };
        Ok(StatementKind::If { branches, otherwise })
    }

    fn body(&mut self) -> Result<Vec<Statement>, CodeError> {
        self.operator(":")?;
        if !self.skip(&Kind::Newline) {
            let mut statements = Vec::new();
            self.line(&mut statements)?;
            return Ok(statements);
        }
        if !self.skip(&Kind::Indent) {
            return Err(self.unexpected("an indented line"));
        }
        self.statements(&Kind::Dedent)
    }
}

fn target(side: Expr) -> Result<Target, CodeError> {
    match side {
        Expr::Name(name) => Ok(Target::Name(name)),
        Expr::Tuple(sides) | Expr::List(sides) => {
            sides.into_iter().map(target).collect::<Result<_, _>>().map(Target::Unpack)
        }
        _ => Err(not_a_target()),
    }
}

fn not_a_target() -> CodeError {
    unsupported("an assignment to what is no name")
}
