//! The functions that a code block may call.

use super::CodeError;
use super::format::whole;
use super::lex::unsupported;
use super::syntax::{Binary, Compare};
use super::value::{Number, Value, binary, compare, exception};

/// Calls `name`, which is not `print`; none if there is no function of that name.
pub(super) fn call(name: &str, args: &[Value]) -> Result<Option<Value>, CodeError> {
    let value = match (name, args) {
        ("abs", [value]) => match value.number() {
            Some(Number::Int(int)) => match int.checked_abs() {
                Some(int) => Value::Int(int),
                None => return Err(unsupported("an integer of more than 128 bits")),
            },
            Some(Number::Float(float)) => Value::Float(float.abs()),
            None => return Err(exception(format!("TypeError: no absolute value: {value}"))),
        },
        ("min", _) => extreme(args, Compare::Less)?,
        ("max", _) => extreme(args, Compare::Greater)?,
        ("len", [value]) => match value {
            Value::Text(text) => count(text.chars().count()),
            Value::Tuple(elements) | Value::List(elements) => count(elements.len()),
            Value::Range { start, end } => {
                let length = end.checked_sub(*start).map(|length| Value::Int(length.max(0)));
                length.ok_or_else(|| unsupported("an integer of more than 128 bits"))?
            }
            _ => return Err(exception(format!("TypeError: no length: {value}"))),
        },
        ("int", []) => Value::Int(0),
        ("int", [value]) => match (value, value.number()) {
            (_, Some(Number::Int(int))) => Value::Int(int),
            (_, Some(Number::Float(float))) => whole(float)?,
            (Value::Text(text), None) => match text.trim().parse() {
                Ok(int) => Value::Int(int),
                Err(_) => return Err(exception(format!("ValueError: no integer: {value}"))),
            },
            _ => return Err(exception(format!("TypeError: no integer: {value}"))),
        },
        ("float", []) => Value::Float(0.0),
        ("float", [value]) => match (value, value.number()) {
            (_, Some(number)) => Value::Float(number.float()),
            (Value::Text(text), None) => match text.trim().parse() {
                Ok(float) => Value::Float(float),
                Err(_) => return Err(exception(format!("ValueError: no number: {value}"))),
            },
            _ => return Err(exception(format!("TypeError: no number: {value}"))),
        },
        ("round", [value]) => round(value, None)?,
        ("round", [value, digits]) => round(value, digits.int())?,
        ("str", []) => Value::Text(String::new()),
        ("str", [value]) => Value::Text(value.to_string()),
        ("repr", [value]) => Value::Text(value.repr()),
        ("bool", []) => Value::Bool(false),
        ("bool", [value]) => Value::Bool(value.holds()),
        ("tuple", []) => Value::Tuple(Vec::new()),
        ("tuple", [value]) => Value::Tuple(elements(value)?.to_vec()),
        ("list", []) => Value::List(Vec::new()),
        ("list", [value]) => Value::List(elements(value)?.to_vec()),
        ("any", [value]) => Value::Bool(elements(value)?.iter().any(Value::holds)),
        ("all", [value]) => Value::Bool(elements(value)?.iter().all(Value::holds)),
        ("sum", [value]) => elements(value)?
            .iter()
            .try_fold(Value::Int(0), |sum, element| binary(Binary::Add, sum, element.clone()))?,
        ("range", [end]) => range(&Value::Int(0), end)?,
        ("range", [start, end]) => range(start, end)?,
        ("hex", [value]) => match value.int() {
            Some(int) if int < 0 => Value::Text(format!("-{:#x}", int.unsigned_abs())),
            Some(int) => Value::Text(format!("{int:#x}")),
            None => return Err(exception(format!("TypeError: no integer: {value}"))),
        },
        (
            "abs" | "len" | "int" | "float" | "round" | "str" | "repr" | "bool" | "tuple" | "list"
            | "any" | "all" | "sum" | "range" | "hex",
            _,
        ) => {
            return Err(unsupported(format!("{name} with {} arguments", args.len())));
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn count(length: usize) -> Value {
    Value::Int(i128::try_from(length).unwrap_or(i128::MAX))
}

/// The elements of a tuple or list.
pub(super) fn elements(value: &Value) -> Result<&[Value], CodeError> {
    match value {
        Value::Tuple(elements) | Value::List(elements) => Ok(elements),
        Value::Text(_) | Value::Range { .. } => {
            Err(unsupported("the elements of a string or range"))
        }
        _ => Err(exception(format!("TypeError: no elements: {value}"))),
    }
}

/// The first of the arguments, or of the only argument's elements, that the others do not beat.
fn extreme(args: &[Value], beats: Compare) -> Result<Value, CodeError> {
    let mut values = match args {
        [only] => elements(only)?.iter(),
        _ => args.iter(),
    };
    let first = values.next().ok_or_else(|| exception("ValueError: nothing to choose from"))?;
    let best = values.try_fold(first, |best, value| {
        compare(beats, value, best).map(|beaten| if beaten { value } else { best })
    });
    best.cloned()
}

fn range(start: &Value, end: &Value) -> Result<Value, CodeError> {
    match (start.int(), end.int()) {
        (Some(start), Some(end)) => Ok(Value::Range { start, end }),
        _ => Err(exception("TypeError: a range needs integers")),
    }
}

/// To the nearest, and halves to the even one.
fn round(value: &Value, digits: Option<i128>) -> Result<Value, CodeError> {
    match (value.number(), digits) {
        (Some(Number::Int(int)), None | Some(0..)) => Ok(Value::Int(int)),
        (Some(Number::Float(float)), None) => whole(float.round_ties_even()),
        (Some(Number::Float(float)), Some(digits @ 0..=100)) => {
            let digits = usize::try_from(digits).unwrap_or(0);
            let rounded = format!("{float:.digits$}").parse();
            rounded.map(Value::Float).map_err(|_| unsupported("this rounding"))
        }
        (Some(_), _) => Err(unsupported("this rounding")),
        (None, _) => Err(exception(format!("TypeError: cannot be rounded: {value}"))),
    }
}
