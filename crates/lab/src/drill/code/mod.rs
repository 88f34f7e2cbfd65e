//! The code blocks of a script: a subset of Python 3, enough for statements about `TCP_INFO`.
//!
//! In it: `assert`, assignments, `if`, `print`, arithmetic, bit operations, chains of comparisons,
//! `in`, `and`/`or`/`not`, conditional expressions, tuples and lists, strings with `%` and
//! f-strings, and a dozen functions. A block that uses anything else is *unsupported*: it neither
//! passes nor fails. Variables live as long as the [`Code`]. An import is accepted, but what it
//! binds cannot be used.
//!
//! `lex`, `parse` and `expressions` read a block into the tree of `syntax`; `value`, `format` and
//! `functions` know what things are; here statements are carried out.

mod expressions;
mod format;
mod functions;
mod lex;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use core::fmt;
use std::collections::BTreeMap;

use super::constants::constant;
use lex::unsupported;
use syntax::{Binary, Constant, Expr, Piece, Statement, StatementKind, Target};
use value::{Value, exception};

/// How many lines of `print` are kept.
const MAX_PRINTED: usize = 1000;

/// Why a block did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// An assertion does not hold, or Python would raise another exception.
    Failed {
        /// The statement, and what was said about it.
        what: String,
        /// The names in an assertion's condition with their values.
        values: Vec<(String, String)>,
    },
    /// The block uses what this subset of Python does not have, or a name that has no value here.
    Unsupported(String),
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, values } => {
                f.write_str(what)?;
                for (at, (name, value)) in values.iter().enumerate() {
                    write!(f, "{}{name} = {value}", if at == 0 { "; " } else { ", " })?;
                }
                Ok(())
            }
            Self::Unsupported(what) => write!(f, "unsupported in a code block: {what}"),
        }
    }
}

impl core::error::Error for CodeError {}

/// What the code blocks of one script share.
#[derive(Clone, Debug, Default)]
pub struct Code {
    variables: BTreeMap<String, Value>,
    printed: Vec<String>,
}

impl Code {
    /// No variables yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out a block, after `globals` were assigned.
    ///
    /// # Errors
    ///
    /// The first statement that fails or is unsupported. Those before it had their effect; if the
    /// text of the block is no Python of this subset, none had.
    pub fn run(&mut self, block: &str, globals: &[(String, i64)]) -> Result<(), CodeError> {
        for (name, value) in globals {
            self.variables.insert(name.clone(), Value::Int(i128::from(*value)));
        }
        let statements = parse::parse(block)?;
        self.statements(&statements)
    }

    /// What the blocks printed, line by line.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), CodeError> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), CodeError> {
        let outcome = match &statement.kind {
            StatementKind::Pass => Ok(()),
            StatementKind::Assert { condition, message } => {
                return self.assert(condition, message.as_ref(), &statement.text);
            }
            StatementKind::Assign { targets, value } => self.value(value).and_then(|value| {
                targets.iter().try_for_each(|target| self.assign(target, &value))
            }),
            StatementKind::Update { name, operator, value } => self
                .value(value)
                .and_then(|right| self.operate(*operator, self.variable(name)?, right))
                .map(|value| drop(self.variables.insert(name.clone(), value))),
            StatementKind::Expression(value) => self.effect(value),
            StatementKind::Import(names) => {
                for name in names {
                    self.variables.insert(name.clone(), Value::Module(name.clone()));
                }
                Ok(())
            }
            StatementKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.value(condition)?.holds() {
                        return self.statements(body);
                    }
                }
                return self.statements(otherwise);
            }
        };
        outcome.map_err(|error| error.in_statement(&statement.text))
    }

    fn assert(
        &self,
        condition: &Expr,
        message: Option<&Expr>,
        text: &str,
    ) -> Result<(), CodeError> {
        match self.value(condition) {
            Ok(value) if value.holds() => Ok(()),
            Ok(_) => {
                // A message that cannot be made does not change that the assertion failed.
                let said = message.and_then(|message| self.value(message).ok());
                let said = said.map(|said| format!(": {said}")).unwrap_or_default();
                Err(CodeError::Failed {
                    what: format!("{text}{said}"),
                    values: self.values_in(condition),
                })
            }
            Err(CodeError::Failed { what, .. }) => Err(CodeError::Failed {
                what: format!("{text}: {what}"),
                values: self.values_in(condition),
            }),
            Err(error) => Err(error),
        }
    }

    /// The names in an expression, in the order in which they are first used, with their values.
    fn values_in(&self, expr: &Expr) -> Vec<(String, String)> {
        let mut names = Vec::new();
        names_in(expr, &mut names);
        let value = |name: String| self.variable(&name).ok().map(|value| (name, value.repr()));
        names.into_iter().filter_map(value).collect()
    }

    fn assign(&mut self, target: &Target, value: &Value) -> Result<(), CodeError> {
        match target {
            Target::Name(name) => {
                self.variables.insert(name.clone(), value.clone());
                Ok(())
            }
            Target::Unpack(targets) => {
                let elements = functions::elements(value)?;
                if elements.len() != targets.len() {
                    let what = format!("ValueError: {} names for {value}", targets.len());
                    return Err(exception(what));
                }
                let mut pairs = targets.iter().zip(elements);
                pairs.try_for_each(|(target, element)| self.assign(target, element))
            }
        }
    }

    /// An expression as a statement: `print` prints, any other value is dropped.
    fn effect(&mut self, expr: &Expr) -> Result<(), CodeError> {
        match expr {
            Expr::Call(function, args) if is_print(function) => {
                let args = self.values(args)?;
                if self.printed.len() < MAX_PRINTED {
                    let words: Vec<_> = args.iter().map(Value::to_string).collect();
                    self.printed.push(words.join(" "));
                }
                Ok(())
            }
            _ => self.value(expr).map(drop),
        }
    }

    fn values(&self, exprs: &[Expr]) -> Result<Vec<Value>, CodeError> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    fn variable(&self, name: &str) -> Result<Value, CodeError> {
        match self.variables.get(name) {
            Some(Value::Module(name)) => Err(unsupported(format!("the module {name}"))),
            Some(value) => Ok(value.clone()),
            // What packetdrill itself defines beside the fields of TCP_INFO.
            None => match constant(name).filter(|_| name.starts_with("TCP")) {
                Some(value) => Ok(Value::Int(i128::from(value))),
                None => Err(unsupported(format!("the name {name}, which has no value"))),
            },
        }
    }

    fn value(&self, expr: &Expr) -> Result<Value, CodeError> {
        Ok(match expr {
            Expr::Constant(Constant::None) => Value::None,
            Expr::Constant(Constant::Bool(value)) => Value::Bool(*value),
            Expr::Constant(Constant::Int(value)) => Value::Int(*value),
            Expr::Constant(Constant::Float(value)) => Value::Float(*value),
            Expr::Name(name) => self.variable(name)?,
            Expr::Text(pieces) => self.text(pieces)?,
            Expr::Tuple(elements) => Value::Tuple(self.values(elements)?).bounded()?,
            Expr::List(elements) => Value::List(self.values(elements)?).bounded()?,
            Expr::Unary(operator, value) => value::unary(*operator, &self.value(value)?)?,
            Expr::Binary(operator, left, right) => {
                self.operate(*operator, self.value(left)?, self.value(right)?)?
            }
            Expr::Compare(first, rest) => {
                let mut left = self.value(first)?;
                for (operator, right) in rest {
                    let right = self.value(right)?;
                    if !value::compare(*operator, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expr::And(operands) => self.first(operands, false)?,
            Expr::Or(operands) => self.first(operands, true)?,
            Expr::Not(value) => Value::Bool(!self.value(value)?.holds()),
            Expr::Conditional { condition, then, otherwise } => {
                self.value(if self.value(condition)?.holds() { then } else { otherwise })?
            }
            Expr::Call(function, args) => self.call(function, args)?,
            Expr::Index(whole, index) => self.index(&self.value(whole)?, &self.value(index)?)?,
            Expr::Unsupported(what) => return Err(unsupported(what.clone())),
        })
    }

    /// The first operand that decides, or else the last.
    fn first(&self, operands: &[Expr], decides: bool) -> Result<Value, CodeError> {
        let mut last = Value::None;
        for operand in operands {
            last = self.value(operand)?;
            if last.holds() == decides {
                break;
            }
        }
        Ok(last)
    }

    fn operate(&self, operator: Binary, left: Value, right: Value) -> Result<Value, CodeError> {
        match (operator, left) {
            (Binary::Modulo, Value::Text(template)) => format::percent(&template, &right),
            (_, left) => value::binary(operator, left, right),
        }
    }

    fn call(&self, function: &Expr, args: &[Expr]) -> Result<Value, CodeError> {
        let Expr::Name(name) = function else {
            return Err(match function {
                Expr::Unsupported(what) => unsupported(what.clone()),
                _ => unsupported("a call of what is no name"),
            });
        };
        if let Some(value) = self.variables.get(name) {
            return Err(unsupported(format!("a call of {value}")));
        }
        let value = functions::call(name, &self.values(args)?)?;
        value.ok_or_else(|| unsupported(format!("the function {name}")))
    }

    fn index(&self, whole: &Value, index: &Value) -> Result<Value, CodeError> {
        let Some(index) = index.int() else {
            return Err(unsupported("an index that is no integer"));
        };
        let elements = functions::elements(whole)?;
        let length = i128::try_from(elements.len()).unwrap_or(i128::MAX);
        let at = if index < 0 { index.saturating_add(length) } else { index };
        let element = usize::try_from(at).ok().and_then(|at| elements.get(at));
        element.cloned().ok_or_else(|| exception(format!("IndexError: {index} of {whole}")))
    }

    fn text(&self, pieces: &[Piece]) -> Result<Value, CodeError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Value { value, repr, format } => {
                    let value = self.value(value)?;
                    let value = if *repr { Value::Text(value.repr()) } else { value };
                    text.push_str(&format::formatted(&value, format)?);
                }
            }
        }
        Value::Text(text).bounded()
    }
}

impl CodeError {
    /// An exception is told with the statement that raised it.
    fn in_statement(self, text: &str) -> Self {
        match self {
            Self::Failed { what, values } => {
                Self::Failed { what: format!("{text}: {what}"), values }
            }
            unsupported @ Self::Unsupported(_) => unsupported,
        }
    }
}

fn is_print(function: &Expr) -> bool {
    matches!(function, Expr::Name(name) if name == "print")
}

fn names_in(expr: &Expr, names: &mut Vec<String>) {
    match expr {
        Expr::Name(name) => {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Expr::Constant(_) | Expr::Text(_) | Expr::Unsupported(_) => {}
        Expr::Tuple(exprs) | Expr::List(exprs) | Expr::And(exprs) | Expr::Or(exprs) => {
            exprs.iter().for_each(|expr| names_in(expr, names));
        }
        Expr::Call(_, args) => args.iter().for_each(|arg| names_in(arg, names)),
        Expr::Unary(_, value) | Expr::Not(value) => names_in(value, names),
        Expr::Binary(_, left, right) | Expr::Index(left, right) => {
            names_in(left, names);
            names_in(right, names);
        }
        Expr::Compare(first, rest) => {
            names_in(first, names);
            rest.iter().for_each(|(_, operand)| names_in(operand, names));
        }
        Expr::Conditional { condition, then, otherwise } => {
            for expr in [condition, then, otherwise] {
                names_in(expr, names);
            }
        }
    }
}
