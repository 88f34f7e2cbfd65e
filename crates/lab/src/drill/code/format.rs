//! Values as text: the formats of f-strings, and the operator `%` with a string on its left.

use super::CodeError;
use super::lex::unsupported;
use super::value::{Number, Value, exception};

/// The widest that a field may be.
const MAX_WIDTH: usize = 1000;

/// How one value is written.
#[derive(Default)]
struct Format {
    left: bool,
    right: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Format {
    /// `[-<>][0][width][.precision][kind]`; numbers stand on the right if nothing is said.
    fn parse(text: &str) -> Result<Self, CodeError> {
        let refuse = || unsupported(format!("the format '{text}'"));
        let mut format = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|flag| "-<>0".contains(*flag)) {
            match flag {
                '0' => format.zeros = true,
                '>' => format.right = true,
                _ => format.left = true,
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        if format.right && format.left {
            return Err(refuse());
        }
        let number = |rest: &mut &str| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits)?;
            *rest = after;
            number.parse::<usize>().ok().filter(|&number| number <= MAX_WIDTH)
        };
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            format.width = number(&mut rest).ok_or_else(refuse)?;
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            format.precision = Some(number(&mut rest).ok_or_else(refuse)?);
        }
        let mut kind = rest.chars();
        format.kind = kind.next();
        match (format.kind, kind.next()) {
            (None | Some('d' | 'f' | 's' | 'x' | 'X'), None) => Ok(format),
            _ => Err(refuse()),
        }
    }

    fn apply(&self, value: &Value) -> Result<String, CodeError> {
        let wrong = || exception(format!("TypeError: cannot be formatted: {}", value.repr()));
        let text = match (self.kind, value.number()) {
            (Some('d'), Some(Number::Int(int))) => int.to_string(),
            (Some('x'), Some(Number::Int(int))) => hex(int),
            (Some('X'), Some(Number::Int(int))) => hex(int).to_uppercase(),
            (Some('f'), Some(number)) => {
                format!("{:.*}", self.precision.unwrap_or(6), number.float())
            }
            (Some('d' | 'x' | 'X' | 'f'), _) => return Err(wrong()),
            _ => match self.precision {
                Some(_) if value.number().is_some() => {
                    return Err(unsupported("a precision without the kind f"));
                }
                Some(precision) => value.to_string().chars().take(precision).collect(),
                None => value.to_string(),
            },
        };
        let missing = self.width.saturating_sub(text.chars().count());
        let numeric = value.number().is_some();
        Ok(if self.left || !self.right && !numeric {
            format!("{text}{}", " ".repeat(missing))
        } else if self.zeros && numeric {
            let (sign, digits) = text.split_at(usize::from(text.starts_with('-')));
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{text}", " ".repeat(missing))
        })
    }
}

fn hex(int: i128) -> String {
    let sign = if int < 0 { "-" } else { "" };
    format!("{sign}{:x}", int.unsigned_abs())
}

/// A value in an f-string, with what follows its colon.
pub(super) fn formatted(value: &Value, format: &str) -> Result<String, CodeError> {
    Format::parse(format)?.apply(value)
}

/// `template % values`
pub(super) fn percent(template: &str, values: &Value) -> Result<Value, CodeError> {
    let mut values = match values {
        Value::Tuple(values) => values.as_slice(),
        value => core::slice::from_ref(value),
    };
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let end = after.find(|c: char| c.is_ascii_alphabetic() && c != 'l');
        let conversion = end.and_then(|end| after.get(end..=end));
        let (Some(end), Some(conversion)) = (end, conversion) else {
            return Err(exception("ValueError: incomplete format"));
        };
        let Some((value, others)) = values.split_first() else {
            return Err(exception("TypeError: not enough arguments for format string"));
        };
        values = others;
        let flags = after.get(..end).unwrap_or_default().replace('l', "");
        let (value, kind) = match conversion {
            "i" | "u" | "d" => (integral(value)?, "d"),
            "r" => (Value::Text(value.repr()), "s"),
            "s" => (Value::Text(value.to_string()), "s"),
            kind => (value.clone(), kind),
        };
        // This operator puts strings on the right as well.
        let side = if flags.contains('-') { "" } else { ">" };
        text.push_str(&formatted(&value, &format!("{side}{flags}{kind}"))?);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    if !values.is_empty() {
        return Err(exception("TypeError: not all arguments converted during string formatting"));
    }
    text.push_str(rest);
    Value::Text(text).bounded()
}

/// `%d` takes the whole part of a float.
fn integral(value: &Value) -> Result<Value, CodeError> {
    match value.number() {
        Some(Number::Float(float)) => whole(float),
        _ => Ok(value.clone()),
    }
}

/// The whole part of a float.
pub(super) fn whole(float: f64) -> Result<Value, CodeError> {
    // 2^126 is exact as a float, and what is below it fits.
    if float.abs() < 2_f64.powi(126) {
        Ok(Value::Int(float.trunc() as i128))
    } else {
        Err(unsupported("an integer of more than 128 bits"))
    }
}
