//! Expressions, by Jinja's precedence: filters and tests bind tighter than arithmetic, `~` tighter
//! than `+`.

use super::{Parsed, Parser};
use crate::ast::{Binary, Comparison, Expr, Postfix, Unary};
use crate::lexer::Tok;

impl Parser {
    pub(super) fn ends_tuple(&self, ends: &[&str]) -> bool {
        matches!(self.tok(), Tok::VariableEnd | Tok::BlockEnd | Tok::Op(")"))
            || ends.iter().any(|end| self.is_name(end))
    }

    /// Expressions between commas, or one.
    pub(super) fn tuple(
        &mut self,
        conditional: bool,
        ends: &[&str],
        parentheses: bool,
    ) -> Parsed<Expr> {
        let mut items = Vec::new();
        let mut tuple = false;
        loop {
            if self.ends_tuple(ends) {
                break;
            }
            items.push(self.expression(conditional)?);
            if !self.skip_op(",") {
                break;
            }
            tuple = true;
        }
        if tuple {
            return Ok(Expr::Tuple(items));
        }
        match items.pop() {
            Some(item) => Ok(item),
            None if parentheses => Ok(Expr::Tuple(Vec::new())),
            None => self.expected("an expression"),
        }
    }

    pub(super) fn expression(&mut self, conditional: bool) -> Parsed<Expr> {
        self.nested(|p| {
            if !conditional {
                return p.or();
            }
            let unknown = p.unknown.len();
            let depth = p.depth;
            let mut value = p.or()?;
            while p.skip_name("if") {
                p.depth += 1;
                value = p.nested(|p| {
                    let test = Box::new(p.or()?);
                    let otherwise = if p.skip_name("else") {
                        Some(Box::new(p.expression(true)?))
                    } else {
                        None
                    };
                    Ok(Expr::Conditional(Box::new(value), test, otherwise))
                })?;
                p.unknown.truncate(unknown);
            }
            p.depth = depth;
            Ok(value)
        })
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.and()?];
        while self.skip_name("or") {
            items.push(self.and()?);
        }
        Ok(single(items, Expr::Or))
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.not()?];
        while self.skip_name("and") {
            items.push(self.not()?);
        }
        Ok(single(items, Expr::And))
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.skip_name("not") {
            return self.nested(|p| Ok(Expr::Unary(Unary::Not, Box::new(p.not()?))));
        }
        self.compare()
    }

    fn compare(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let op = match self.tok() {
                Tok::Op("==") => Comparison::Eq,
                Tok::Op("!=") => Comparison::Ne,
                Tok::Op("<") => Comparison::Lt,
                Tok::Op("<=") => Comparison::Le,
                Tok::Op(">") => Comparison::Gt,
                Tok::Op(">=") => Comparison::Ge,
                Tok::Name(name) if **name == *"in" => Comparison::In,
                Tok::Name(name)
                    if **name == *"not"
                        && matches!(self.ahead(), Tok::Name(next) if **next == *"in") =>
                {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((op, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr::Compare(Box::new(first), rest))
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.chain(Self::concat, |op| match op {
            "+" => Some(Binary::Add),
            "-" => Some(Binary::Sub),
            _ => None,
        })
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.product()?];
        while self.skip_op("~") {
            items.push(self.product()?);
        }
        Ok(single(items, Expr::Concat))
    }

    fn product(&mut self) -> Parsed<Expr> {
        self.chain(Self::power, |op| match op {
            "*" => Some(Binary::Mul),
            "/" => Some(Binary::Div),
            "//" => Some(Binary::FloorDiv),
            "%" => Some(Binary::Mod),
            _ => None,
        })
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.chain(|p| p.unary(true), |op| (op == "**").then_some(Binary::Pow))
    }

    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Parsed<Expr>,
        operator: impl Fn(&str) -> Option<Binary>,
    ) -> Parsed<Expr> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Tok::Op(op) = self.tok() {
            let Some(op) = operator(op) else { break };
            self.next();
            rest.push((op, operand(self)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr::Chain(Box::new(first), rest))
    }

    fn unary(&mut self, filters: bool) -> Parsed<Expr> {
        let unary = match self.tok() {
            Tok::Op("-") => Some(Unary::Negative),
            Tok::Op("+") => Some(Unary::Positive),
            _ => None,
        };
        let value = match unary {
            Some(op) => {
                self.next();
                let value = self.nested(|p| p.unary(false))?;
                Expr::Unary(op, Box::new(value))
            }
            None => self.primary()?,
        };
        let mut chain = Vec::new();
        self.postfix(&mut chain)?;
        loop {
            match self.tok() {
                _ if !filters => break,
                Tok::Op("|") => {
                    self.next();
                    self.filter(&mut chain)?;
                }
                Tok::Name(name) if **name == *"is" => self.test(&mut chain)?,
                Tok::Op("(") => self.call(&mut chain)?,
                _ => break,
            }
        }
        Ok(with_chain(value, chain))
    }

    pub(super) fn primary(&mut self) -> Parsed<Expr> {
        let expr = match self.tok().clone() {
            Tok::Name(name) => match &*name {
                "true" | "True" => Expr::Bool(true),
                "false" | "False" => Expr::Bool(false),
                "none" | "None" => Expr::None,
                _ => {
                    self.reads(&name);
                    Expr::Name(name)
                }
            },
            Tok::Str(mut text) => {
                while let Tok::Str(more) = self.ahead() {
                    text.push_str(more);
                    self.next();
                }
                Expr::Str(text.into())
            }
            Tok::Int(value) => Expr::Int(value),
            Tok::Float(value) => Expr::Float(value),
            Tok::Op("(") => {
                self.next();
                let value = self.nested(|p| p.tuple(true, &[], true))?;
                self.expect_op(")")?;
                return Ok(value);
            }
            Tok::Op("[") => {
                self.next();
                return Ok(Expr::List(self.items("]", |p| p.expression(true))?));
            }
            Tok::Op("{") => {
                self.next();
                return Ok(Expr::Dict(self.items("}", |p| {
                    let key = p.expression(true)?;
                    p.expect_op(":")?;
                    Ok((key, p.expression(true)?))
                })?));
            }
            tok => return self.fail(format!("unexpected {}", super::describe(&tok))),
        };
        self.next();
        Ok(expr)
    }

    /// What is between commas up to this bracket.
    fn items<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.is_op(end) {
            if !items.is_empty() {
                self.expect_op(",")?;
                if self.is_op(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        self.expect_op(end)?;
        Ok(items)
    }
}

pub(super) fn with_chain(value: Expr, chain: Vec<Postfix>) -> Expr {
    match (value, chain) {
        (value, chain) if chain.is_empty() => value,
        (value, chain) => Expr::Postfix(Box::new(value), chain),
    }
}

fn single(mut items: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match items.pop() {
        Some(item) if items.is_empty() => item,
        last => {
            items.extend(last);
            many(items)
        }
    }
}
