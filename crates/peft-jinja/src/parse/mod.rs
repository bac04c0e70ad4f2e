//! Tokens to a tree, by the rules of `jinja2/parser.py` and what its compiler refuses.

mod expressions;
mod postfix;
mod statements;

use std::collections::HashSet;
use std::sync::Arc;

use crate::ast::{Body, Stmt, StmtKind, Uses};
use crate::error::JinjaError;
use crate::lexer::{Tok, Token, lex};
use crate::limits::{MAX_SOURCE, MAX_SYNTAX_DEPTH};

type Parsed<T> = Result<T, JinjaError>;

/// A template's statements, and whether there is a `{% generation %}` block.
pub(crate) fn parse(source: &str) -> Parsed<(Body, bool)> {
    if source.len() > MAX_SOURCE {
        let limit = format!("a template of more than {MAX_SOURCE} bytes");
        return Err(JinjaError::Limit { line: 1, limit });
    }
    let mut parser = Parser {
        tokens: lex(source)?,
        ..Parser::default()
    };
    let body = parser.body(&[])?;
    if let Some((line, reason)) = parser.unknown.into_iter().next() {
        return Err(JinjaError::Syntax { line, reason });
    }
    Ok((body, parser.generation))
}

#[derive(Default)]
struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Loops around this place that `break` would leave.
    breakable: usize,
    /// Loops around this place, in which `loop` cannot be assigned.
    loops: usize,
    /// Within a condition, where an unknown filter fails only when it is reached.
    soft: bool,
    /// Filters and tests that do not exist, outside conditions.
    unknown: Vec<(usize, String)>,
    /// What the bodies of the macros around this place read.
    macros: Vec<Uses>,
    blocks: HashSet<Arc<str>>,
    generation: bool,
}

impl Parser {
    fn tok(&self) -> &Tok {
        &self.tokens[self.at].tok
    }

    fn ahead(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].tok
    }

    fn line(&self) -> usize {
        self.tokens[self.at].line
    }

    fn next(&mut self) -> Tok {
        let tok = self.tok().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        tok
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.tok(), Tok::Op(o) if *o == op)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.tok(), Tok::Name(n) if **n == *name)
    }

    fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.next();
        }
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        Err(JinjaError::Syntax {
            line: self.line(),
            reason: reason.into(),
        })
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        self.fail(format!("expected {what}, got {}", describe(self.tok())))
    }

    fn expect_op(&mut self, op: &str) -> Parsed<()> {
        if self.skip_op(op) {
            return Ok(());
        }
        self.expected(&format!("'{op}'"))
    }

    fn expect_name(&mut self, name: &str) -> Parsed<()> {
        if self.skip_name(name) {
            return Ok(());
        }
        self.expected(&format!("'{name}'"))
    }

    fn name(&mut self) -> Parsed<Arc<str>> {
        match self.tok() {
            Tok::Name(name) => {
                let name = name.clone();
                self.next();
                Ok(name)
            }
            _ => self.expected("a name"),
        }
    }

    fn expect(&mut self, tok: &Tok) -> Parsed<()> {
        if self.tok() == tok {
            self.next();
            return Ok(());
        }
        self.expected(&describe(tok))
    }

    /// One level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_SYNTAX_DEPTH {
            return Err(JinjaError::Limit {
                line: self.line(),
                limit: format!("more than {MAX_SYNTAX_DEPTH} levels of brackets and blocks"),
            });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Statements up to a tag of one of these names, which is left.
    fn body(&mut self, ends: &[&str]) -> Parsed<Body> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.tok() {
                Tok::Data(_) => match self.next() {
                    Tok::Data(text) => StmtKind::Text(text),
                    _ => continue,
                },
                Tok::VariableBegin => {
                    self.next();
                    let value = self.tuple(true, &[], false)?;
                    self.expect(&Tok::VariableEnd)?;
                    StmtKind::Print(value)
                }
                Tok::BlockBegin => {
                    self.next();
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let stmts = self.nested(|p| p.statement(line))?;
                    self.expect(&Tok::BlockEnd)?;
                    body.extend(stmts);
                    continue;
                }
                _ if ends.is_empty() => return Ok(body),
                _ => {
                    let ends: Vec<String> = ends.iter().map(|end| format!("'{end}'")).collect();
                    return self.fail(format!(
                        "unexpected end of template; looking for {}",
                        ends.join(" or ")
                    ));
                }
            };
            body.push(Stmt { line, kind });
        }
    }

    /// The inside of a tag's end, and statements up to one of these tags, which is passed but for
    /// its closing; its name.
    fn block(&mut self, ends: &[&str]) -> Parsed<(Body, Arc<str>)> {
        self.skip_op(":");
        self.expect(&Tok::BlockEnd)?;
        let body = self.body(ends)?;
        Ok((body, self.name()?))
    }

    /// [`block`](Self::block) with one end, in a scope of its own: an unknown filter in it is
    /// always a fault.
    fn scope(&mut self, end: &str) -> Parsed<Body> {
        let soft = std::mem::replace(&mut self.soft, false);
        let parsed = self.block(&[end]);
        self.soft = soft;
        Ok(parsed?.0)
    }

    /// [`scope`](Self::scope) that is a function, out of which no `break` leads.
    fn function(&mut self, end: &str) -> Parsed<Body> {
        let breakable = std::mem::replace(&mut self.breakable, 0);
        let parsed = self.scope(end);
        self.breakable = breakable;
        parsed
    }

    /// What is read here by name, for the macros around.
    fn reads(&mut self, name: &str) {
        for uses in &mut self.macros {
            match name {
                "caller" => uses.caller = true,
                "kwargs" => uses.kwargs = true,
                "varargs" => uses.varargs = true,
                _ => {}
            }
        }
    }
}

fn describe(tok: &Tok) -> String {
    match tok {
        Tok::Data(_) => "text".into(),
        Tok::VariableBegin => "'{{'".into(),
        Tok::VariableEnd => "'}}'".into(),
        Tok::BlockBegin => "'{%'".into(),
        Tok::BlockEnd => "'%}'".into(),
        Tok::Name(name) => format!("'{name}'"),
        Tok::Str(_) => "a string".into(),
        Tok::Int(_) | Tok::Float(_) => "a number".into(),
        Tok::Op(op) => format!("'{op}'"),
        Tok::End => "the end of the template".into(),
    }
}
