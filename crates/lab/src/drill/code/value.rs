//! The values of a code block, and what Python's operators make of them.

use core::cmp::Ordering;
use core::fmt;

use super::CodeError;
use super::lex::unsupported;
use super::syntax::{Binary, Compare, Unary};

/// The most bytes that a string, or elements that a list or tuple, may grow to.
const MAX_SIZE: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Range {
        start: i128,
        end: i128,
    },
    /// What an import binds: nothing can be done with it.
    Module(String),
}

/// A number as the operators see it; booleans are 0 and 1.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl Value {
    pub(super) fn number(&self) -> Option<Number> {
        match *self {
            Self::Bool(value) => Some(Number::Int(value.into())),
            Self::Int(value) => Some(Number::Int(value)),
            Self::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i128> {
        match self.number() {
            Some(Number::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether a condition of this value holds.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Tuple(elements) | Self::List(elements) => !elements.is_empty(),
            Self::Range { start, end } => start < end,
            Self::Module(_) => true,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Tuple(_) => "tuple",
            Self::List(_) => "list",
            Self::Range { .. } => "range",
            Self::Module(_) => "module",
        }
    }

    /// How many elements are in it, those of elements included.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tuple(elements) | Self::List(elements) => {
                elements.iter().map(|element| 1 + element.size()).sum()
            }
            _ => 1,
        }
    }

    /// The value, if it is not too large to go on with.
    pub(super) fn bounded(self) -> Result<Self, CodeError> {
        if self.size() > MAX_SIZE { Err(unsupported("a value this large")) } else { Ok(self) }
    }

    /// As `repr` writes it.
    pub(super) fn repr(&self) -> String {
        match self {
            Self::Text(text) => {
                let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
                match text.contains('\'') && !text.contains('"') {
                    true => format!("\"{escaped}\""),
                    false => format!("'{}'", escaped.replace('\'', "\\'")),
                }
            }
            _ => self.to_string(),
        }
    }
}

/// As `str` writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |elements: &[Self]| elements.iter().map(Self::repr).collect::<Vec<_>>().join(", ");
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(text),
            Self::Tuple(elements) if elements.len() == 1 => write!(f, "({},)", list(elements)),
            Self::Tuple(elements) => write!(f, "({})", list(elements)),
            Self::List(elements) => write!(f, "[{}]", list(elements)),
            Self::Range { start, end } => write!(f, "range({start}, {end})"),
            Self::Module(name) => write!(f, "<module '{name}'>"),
        }
    }
}

/// An exception that Python would raise.
pub(super) fn exception(what: impl Into<String>) -> CodeError {
    CodeError::Failed { what: what.into(), values: Vec::new() }
}

fn too_large() -> CodeError {
    unsupported("an integer of more than 128 bits")
}

pub(super) fn unary(operator: Unary, value: &Value) -> Result<Value, CodeError> {
    match (operator, value.number()) {
        (Unary::Minus, Some(Number::Int(value))) => {
            value.checked_neg().map(Value::Int).ok_or_else(too_large)
        }
        (Unary::Minus, Some(Number::Float(value))) => Ok(Value::Float(-value)),
        (Unary::Plus, Some(Number::Int(value))) => Ok(Value::Int(value)),
        (Unary::Plus, Some(Number::Float(value))) => Ok(Value::Float(value)),
        (Unary::Invert, Some(Number::Int(value))) => Ok(Value::Int(!value)),
        _ => Err(exception(format!("TypeError: bad operand for unary operator: {}", value.kind()))),
    }
}

/// All of the operators but `%` with a string on its left, which is formatting.
pub(super) fn binary(operator: Binary, left: Value, right: Value) -> Result<Value, CodeError> {
    match (left.number(), right.number()) {
        (Some(Number::Int(left)), Some(Number::Int(right))) => int_binary(operator, left, right),
        (Some(left), Some(right)) => float_binary(operator, left.float(), right.float()),
        _ => other_binary(operator, left, right),
    }
}

fn int_binary(operator: Binary, left: i128, right: i128) -> Result<Value, CodeError> {
    let divides = matches!(operator, Binary::Divide | Binary::FloorDivide | Binary::Modulo);
    if divides && right == 0 {
        return Err(exception("ZeroDivisionError: division by zero"));
    }
    let amount = || match u32::try_from(right) {
        Ok(amount) => Ok(amount),
        Err(_) if right < 0 => Err(exception("ValueError: negative shift count")),
        Err(_) => Err(too_large()),
    };
    let value = match operator {
        Binary::BitOr => Some(left | right),
        Binary::BitXor => Some(left ^ right),
        Binary::BitAnd => Some(left & right),
        Binary::Add => left.checked_add(right),
        Binary::Subtract => left.checked_sub(right),
        Binary::Multiply => left.checked_mul(right),
        Binary::ShiftLeft => 1_i128
            .checked_shl(amount()?)
            .filter(|&power| power > 0)
            .and_then(|power| left.checked_mul(power)),
        Binary::ShiftRight => Some(left >> amount()?.min(127)),
        // Towards minus infinity, so that the remainder has the divisor's sign.
        Binary::FloorDivide => left.checked_div(right).map(|quotient| {
            let inexact = left.wrapping_rem(right) != 0 && (left < 0) != (right < 0);
            quotient - i128::from(inexact)
        }),
        Binary::Modulo => {
            let rest = left.wrapping_rem(right);
            Some(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest })
        }
        Binary::Divide => return Ok(Value::Float(left as f64 / right as f64)),
        Binary::Power if right < 0 => {
            return float_binary(operator, left as f64, right as f64);
        }
        Binary::Power => u32::try_from(right).ok().and_then(|power| left.checked_pow(power)),
    };
    value.map(Value::Int).ok_or_else(too_large)
}

fn float_binary(operator: Binary, left: f64, right: f64) -> Result<Value, CodeError> {
    let divides = matches!(operator, Binary::Divide | Binary::FloorDivide | Binary::Modulo);
    if divides && right == 0.0 || operator == Binary::Power && left == 0.0 && right < 0.0 {
        return Err(exception("ZeroDivisionError: division by zero"));
    }
    Ok(Value::Float(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => left / right,
        Binary::FloorDivide => (left / right).floor(),
        Binary::Modulo => {
            let rest = left % right;
            if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }
        }
        Binary::Power if left < 0.0 && right.fract() != 0.0 => {
            return Err(unsupported("a complex number"));
        }
        Binary::Power => left.powf(right),
        _ => return Err(exception("TypeError: a bit operation needs integers")),
    }))
}

fn other_binary(operator: Binary, left: Value, right: Value) -> Result<Value, CodeError> {
    match (operator, left, right) {
        (Binary::Add, Value::Text(left), Value::Text(right)) => {
            Value::Text(left + &right).bounded()
        }
        (Binary::Add, Value::Tuple(mut left), Value::Tuple(right)) => {
            left.extend(right);
            Value::Tuple(left).bounded()
        }
        (Binary::Add, Value::List(mut left), Value::List(right)) => {
            left.extend(right);
            Value::List(left).bounded()
        }
        (Binary::Multiply, ..) => Err(unsupported("a product of what are not numbers")),
        (_, left, right) => {
            Err(exception(format!("TypeError: bad operands: {} and {}", left.kind(), right.kind())))
        }
    }
}

pub(super) fn compare(operator: Compare, left: &Value, right: &Value) -> Result<bool, CodeError> {
    match operator {
        Compare::Equal => Ok(equal(left, right)),
        Compare::NotEqual => Ok(!equal(left, right)),
        Compare::In => contains(right, left),
        Compare::NotIn => contains(right, left).map(|contained| !contained),
        Compare::Is | Compare::IsNot => {
            let same = match (left, right) {
                (Value::None | Value::Bool(_), _) | (_, Value::None | Value::Bool(_)) => {
                    left == right
                }
                _ => return Err(unsupported("'is' between other values than None and booleans")),
            };
            Ok(same == (operator == Compare::Is))
        }
        Compare::Less | Compare::LessOrEqual | Compare::Greater | Compare::GreaterOrEqual => {
            // Nothing is true of a number that is none.
            let Some(order) = order(left, right)? else { return Ok(false) };
            Ok(match operator {
                Compare::Less => order.is_lt(),
                Compare::LessOrEqual => order.is_le(),
                Compare::Greater => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Tuple(left), Value::Tuple(right)) | (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        _ => match (left.number(), right.number()) {
            (Some(Number::Int(left)), Some(Number::Int(right))) => left == right,
            (Some(left), Some(right)) => left.float() == right.float(),
            _ => left == right,
        },
    }
}

fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, CodeError> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => return Ok(Some(left.cmp(right))),
        (Value::Tuple(left), Value::Tuple(right)) | (Value::List(left), Value::List(right)) => {
            let differ = left.iter().zip(right).find(|(left, right)| !equal(left, right));
            return match differ {
                Some((left, right)) => order(left, right),
                None => Ok(Some(left.len().cmp(&right.len()))),
            };
        }
        _ => {}
    }
    match (left.number(), right.number()) {
        (Some(Number::Int(left)), Some(Number::Int(right))) => Ok(Some(left.cmp(&right))),
        (Some(left), Some(right)) => Ok(left.float().partial_cmp(&right.float())),
        _ => Err(exception(format!(
            "TypeError: no order between {} and {}",
            left.kind(),
            right.kind()
        ))),
    }
}

fn contains(whole: &Value, part: &Value) -> Result<bool, CodeError> {
    match (whole, part) {
        (Value::Text(whole), Value::Text(part)) => Ok(whole.contains(part.as_str())),
        (Value::Tuple(elements) | Value::List(elements), _) => {
            Ok(elements.iter().any(|element| equal(element, part)))
        }
        (Value::Range { start, end }, _) => match part.number() {
            Some(Number::Int(part)) => Ok((*start..*end).contains(&part)),
            Some(Number::Float(_)) => Err(unsupported("a float in a range")),
            None => Ok(false),
        },
        _ => Err(exception(format!("TypeError: {} cannot be in {}", part.kind(), whole.kind()))),
    }
}
