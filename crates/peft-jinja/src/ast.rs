//! A compiled template. Chains of operators are flat, so that a tree is no deeper than its source's
//! brackets and blocks.

use std::sync::Arc;

#[derive(Debug)]
pub(crate) enum Expr {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    Name(Arc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Unary(Unary, Box<Expr>),
    /// Operators of one precedence, from the left.
    Chain(Box<Expr>, Vec<(Binary, Expr)>),
    /// Joined by `~`.
    Concat(Vec<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// A value, the condition under which it is taken, and the other.
    Conditional(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Postfix(Box<Expr>, Vec<Postfix>),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Unary {
    Negative,
    Positive,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

#[derive(Debug)]
pub(crate) struct Postfix {
    pub(crate) line: usize,
    pub(crate) kind: PostfixKind,
}

#[derive(Debug)]
pub(crate) enum PostfixKind {
    Attribute(Arc<str>),
    Item(Expr),
    Slice(Box<[Option<Expr>; 3]>),
    Call(CallArgs),
    Filter(Arc<str>, CallArgs),
    Test {
        name: Arc<str>,
        args: CallArgs,
        negated: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct CallArgs {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Arc<str>, Expr)>,
    pub(crate) spread: Option<Box<Expr>>,
    pub(crate) spread_named: Option<Box<Expr>>,
}

#[derive(Debug)]
pub(crate) enum Target {
    Name(Arc<str>),
    /// An attribute of a namespace.
    Attribute(Arc<str>, Arc<str>),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) struct Stmt {
    pub(crate) line: usize,
    pub(crate) kind: StmtKind,
}

pub(crate) type Body = Vec<Stmt>;

#[derive(Debug)]
pub(crate) enum StmtKind {
    Text(String),
    Print(Expr),
    If(Vec<(Expr, Body)>, Body),
    For(Arc<For>),
    Set(Target, Expr),
    /// The text of a body, through filters.
    SetBlock(Target, Vec<Postfix>, Body),
    With(Vec<(Target, Expr)>, Body),
    Macro(Arc<MacroDef>),
    /// A body that is given to a call as `caller`.
    CallBlock(Arc<MacroDef>, Expr),
    FilterBlock(Vec<Postfix>, Body),
    Scope(Body),
    Block(Block),
    Generation(Body),
    Break,
    Continue,
    /// A tag that needs other templates.
    NoLoader(&'static str),
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iter: Expr,
    pub(crate) test: Option<Expr>,
    pub(crate) recursive: bool,
    pub(crate) body: Body,
    pub(crate) otherwise: Body,
}

#[derive(Debug)]
pub(crate) struct MacroDef {
    pub(crate) name: Arc<str>,
    pub(crate) args: Vec<Arc<str>>,
    /// Those of the last arguments.
    pub(crate) defaults: Vec<Expr>,
    pub(crate) body: Body,
    /// Which of the names that Jinja gives a macro its body reads.
    pub(crate) uses: Uses,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    pub(crate) caller: bool,
    pub(crate) kwargs: bool,
    pub(crate) varargs: bool,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) scoped: bool,
    pub(crate) required: bool,
    pub(crate) body: Arc<Body>,
}
