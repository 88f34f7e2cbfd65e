//! The statements and expressions of a code block.

/// A statement with its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) kind: StatementKind,
    /// As it is written, for messages.
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum StatementKind {
    Assert {
        condition: Expr,
        message: Option<Expr>,
    },
    /// Several targets are `a = b = value`.
    Assign {
        targets: Vec<Target>,
        value: Expr,
    },
    /// `name op= value`
    Update {
        name: String,
        operator: Binary,
        value: Expr,
    },
    /// Only its effect counts, which is that of `print`.
    Expression(Expr),
    /// The names that an import binds.
    Import(Vec<String>),
    Pass,
    /// Conditions in their order, each with what is done if it is the first that holds.
    If {
        branches: Vec<(Expr, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Name(String),
    Unpack(Vec<Target>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Constant(Constant),
    Name(String),
    /// The pieces of an f-string, or of strings side by side.
    Text(Vec<Piece>),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a < b <= c`: each operand is compared with the one before it.
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Conditional {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Call(Box<Expr>, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    /// Something in the syntax that has no meaning here.
    Unsupported(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// `{value!r:format}`
    Value {
        value: Expr,
        repr: bool,
        format: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Minus,
    Plus,
    Invert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    BitOr,
    BitXor,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Is,
    IsNot,
}
