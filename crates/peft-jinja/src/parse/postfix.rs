//! What follows a value: attributes, items, calls, filters and tests.

use std::sync::Arc;

use super::expressions::with_chain;
use super::{Parsed, Parser};
use crate::ast::{CallArgs, Expr, Postfix, PostfixKind};
use crate::filters::is_filter;
use crate::lexer::Tok;
use crate::tests::is_test;

impl Parser {
    pub(super) fn postfix(&mut self, chain: &mut Vec<Postfix>) -> Parsed<()> {
        loop {
            let line = self.line();
            let kind = match self.tok() {
                Tok::Op(".") => {
                    self.next();
                    match self.next() {
                        Tok::Name(name) => PostfixKind::Attribute(name),
                        Tok::Int(at) => PostfixKind::Item(Expr::Int(at)),
                        _ => return self.fail("expected a name or a number after '.'"),
                    }
                }
                Tok::Op("[") => {
                    self.next();
                    self.subscript()?
                }
                Tok::Op("(") => {
                    self.call(chain)?;
                    continue;
                }
                _ => return Ok(()),
            };
            chain.push(Postfix { line, kind });
        }
    }

    fn subscript(&mut self) -> Parsed<PostfixKind> {
        if let Some(slice) = self.slice()? {
            self.expect_op("]")?;
            return Ok(slice);
        }
        let mut items = vec![self.expression(true)?];
        if let Some(slice) = self.rest_of_slice(&mut items)? {
            self.expect_op("]")?;
            return Ok(slice);
        }
        let mut tuple = false;
        while self.skip_op(",") {
            tuple = true;
            items.push(self.expression(true)?);
        }
        self.expect_op("]")?;
        match items.pop() {
            Some(item) if !tuple => Ok(PostfixKind::Item(item)),
            last => {
                items.extend(last);
                Ok(PostfixKind::Item(Expr::Tuple(items)))
            }
        }
    }

    /// A slice without start.
    fn slice(&mut self) -> Parsed<Option<PostfixKind>> {
        if self.is_op("]") {
            return Ok(Some(PostfixKind::Item(Expr::Tuple(Vec::new()))));
        }
        self.rest_of_slice(&mut Vec::new())
    }

    /// What follows a slice's start, if this is one.
    fn rest_of_slice(&mut self, start: &mut Vec<Expr>) -> Parsed<Option<PostfixKind>> {
        if !self.skip_op(":") {
            return Ok(None);
        }
        let part = |p: &mut Self| {
            if p.is_op(":") || p.is_op("]") {
                return Ok(None);
            }
            Ok(Some(p.expression(true)?))
        };
        let stop = part(self)?;
        let step = if self.skip_op(":") { part(self)? } else { None };
        Ok(Some(PostfixKind::Slice(Box::new([
            start.pop(),
            stop,
            step,
        ]))))
    }

    pub(super) fn call(&mut self, chain: &mut Vec<Postfix>) -> Parsed<()> {
        let line = self.line();
        let kind = PostfixKind::Call(self.arguments()?);
        chain.push(Postfix { line, kind });
        Ok(())
    }

    fn arguments(&mut self) -> Parsed<CallArgs> {
        self.expect_op("(")?;
        let mut args = CallArgs::default();
        let mut comma = false;
        while !self.is_op(")") {
            if comma {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            comma = true;
            let spread = args.spread.is_some() || args.spread_named.is_some();
            if !spread && self.skip_op("*") {
                args.spread = Some(Box::new(self.expression(true)?));
            } else if args.spread_named.is_none() && self.skip_op("**") {
                args.spread_named = Some(Box::new(self.expression(true)?));
            } else if args.spread_named.is_none()
                && let (Tok::Name(name), Tok::Op("=")) = (self.tok(), self.ahead())
            {
                let name = name.clone();
                if args.named.iter().any(|(other, _)| *other == name) {
                    return self.fail(format!("the argument '{name}' is given twice"));
                }
                self.next();
                self.next();
                args.named.push((name, self.expression(true)?));
            } else if !spread && args.named.is_empty() {
                args.positional.push(self.expression(true)?);
            } else {
                return self.fail("this argument cannot stand after those before it");
            }
        }
        self.expect_op(")")?;
        Ok(args)
    }

    fn dotted(&mut self) -> Parsed<Arc<str>> {
        let mut name = self.name()?;
        while self.skip_op(".") {
            name = format!("{name}.{}", self.name()?).into();
        }
        Ok(name)
    }

    /// A filter after its bar.
    pub(super) fn filter(&mut self, chain: &mut Vec<Postfix>) -> Parsed<()> {
        let line = self.line();
        let name = self.dotted()?;
        let args = if self.is_op("(") {
            self.arguments()?
        } else {
            CallArgs::default()
        };
        if !self.soft && !is_filter(&name) {
            self.unknown
                .push((line, format!("no filter named '{name}'")));
        }
        let kind = PostfixKind::Filter(name, args);
        chain.push(Postfix { line, kind });
        Ok(())
    }

    pub(super) fn test(&mut self, chain: &mut Vec<Postfix>) -> Parsed<()> {
        let line = self.line();
        self.next();
        let negated = self.skip_name("not");
        let name = self.dotted()?;
        let args = match self.tok() {
            Tok::Op("(") => self.arguments()?,
            Tok::Name(name) if **name == *"is" => {
                return self.fail("tests cannot be chained with 'is'");
            }
            Tok::Name(name) if matches!(&**name, "else" | "or" | "and") => CallArgs::default(),
            Tok::Name(_) | Tok::Str(_) | Tok::Int(_) | Tok::Float(_) | Tok::Op("[" | "{") => {
                let value = self.primary()?;
                let mut chain = Vec::new();
                self.postfix(&mut chain)?;
                CallArgs {
                    positional: vec![with_chain(value, chain)],
                    ..CallArgs::default()
                }
            }
            _ => CallArgs::default(),
        };
        if !self.soft && !is_test(&name) {
            self.unknown.push((line, format!("no test named '{name}'")));
        }
        let kind = PostfixKind::Test {
            name,
            args,
            negated,
        };
        chain.push(Postfix { line, kind });
        Ok(())
    }
}
