//! Arguments of calls, from the tree to numbers.

use crate::drill::ast::{Call, Expr, Field};
use crate::drill::constants::constant;
use crate::drill::verdict::Stop;

/// An expression without the name that may stand before it.
pub(in crate::drill::play) fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Named(_, value) => plain(value),
        other => other,
    }
}

/// The number that an expression stands for.
///
/// # Errors
///
/// A word that Linux's headers may have and ours do not is unsupported; what is no number fails.
pub(in crate::drill::play) fn integer(expr: &Expr) -> Result<i64, Stop> {
    match plain(expr) {
        Expr::Integer(number) => Ok(*number),
        Expr::Word(word) => {
            constant(word).ok_or_else(|| Stop::unsupported(format!("constant {word}")))
        }
        Expr::Or(parts) => parts.iter().try_fold(0, |bits, part| Ok(bits | integer(part)?)),
        Expr::Apply(name, inner) if name == "htons" || name == "htonl" => integer(inner),
        // By-reference numbers are written in brackets.
        Expr::List(elements) if elements.len() == 1 => integer(&elements[0]),
        other => Err(Stop::fail(format!("a number was expected, not {other:?}"))),
    }
}

/// The argument at `place`.
pub(super) fn arg(call: &Call, place: usize) -> Result<&Expr, Stop> {
    call.args.get(place).map(plain).ok_or_else(|| {
        Stop::fail(format!("{} wants more than {} arguments", call.name, call.args.len()))
    })
}

pub(super) fn number(call: &Call, place: usize) -> Result<i64, Stop> {
    integer(arg(call, place)?)
}

/// An `int`, whatever it was written as: 4294967295 is -1.
#[expect(clippy::cast_possible_truncation, reason = "as the call's int does")]
pub(super) fn int(call: &Call, place: usize) -> Result<i64, Stop> {
    Ok(i64::from(number(call, place)? as i32))
}

/// A length in bytes; what is negative is as large as `size_t` makes it.
pub(super) fn length(call: &Call, place: usize) -> Result<usize, Stop> {
    Ok(usize::try_from(number(call, place)?).unwrap_or(usize::MAX))
}

/// Whether a buffer is the null pointer: a literal 0 where `...` is usual.
pub(super) fn buffer(expr: &Expr) -> Result<Buffer, Stop> {
    match plain(expr) {
        Expr::Ellipsis => Ok(Buffer::Zeros),
        Expr::Integer(0) => Ok(Buffer::Null),
        Expr::Word(word) if word == "NULL" => Ok(Buffer::Null),
        other => Err(Stop::unsupported(format!("a buffer that is written as {other:?}"))),
    }
}

/// Where a call's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffer {
    /// In memory of the script: zeros.
    Zeros,
    /// Nowhere: EFAULT.
    Null,
}

/// The member of `{...}` with this name.
pub(super) fn member<'e>(fields: &'e [Field], name: &str) -> Option<&'e Expr> {
    fields.iter().find(|field| field.name.as_deref() == Some(name)).map(|field| plain(&field.value))
}

/// The members of `{...}`.
pub(super) fn braces(expr: &Expr) -> Result<&[Field], Stop> {
    match plain(expr) {
        Expr::Braces(fields) => Ok(fields),
        other => Err(Stop::fail(format!("a structure was expected, not {other:?}"))),
    }
}

/// The elements of `[...]`.
pub(super) fn list(expr: &Expr) -> Result<&[Expr], Stop> {
    match plain(expr) {
        Expr::List(elements) => Ok(elements),
        other => Err(Stop::fail(format!("a list was expected, not {other:?}"))),
    }
}

/// The number of vectors that is written has to be the number of vectors.
pub(super) fn check_count(count: Option<&Expr>, vectors: &Expr) -> Result<(), Stop> {
    let found = list(vectors)?.len();
    match count.map(plain) {
        None | Some(Expr::Ellipsis) => Ok(()),
        Some(count) => {
            let count = integer(count)?;
            if usize::try_from(count) == Ok(found) {
                return Ok(());
            }
            Err(Stop::fail(format!("{found} vectors are written, and {count} are announced")))
        }
    }
}

/// The bytes that an array of `{..., N}` has room for, and whether any of them is nowhere.
pub(super) fn vectors(expr: &Expr) -> Result<(Buffer, usize), Stop> {
    let mut total = 0_usize;
    let mut whole = Buffer::Zeros;
    for vector in list(expr)? {
        let [base, len] = braces(vector)? else {
            return Err(Stop::fail("{..., N} was expected"));
        };
        let len = usize::try_from(integer(&len.value)?).unwrap_or(usize::MAX);
        if len > 0 && buffer(&base.value)? == Buffer::Null {
            whole = Buffer::Null;
        }
        total = total.saturating_add(len);
    }
    Ok((whole, total))
}
