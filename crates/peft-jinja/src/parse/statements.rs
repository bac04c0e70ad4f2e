//! Tags.

use std::sync::Arc;

use super::{Parsed, Parser};
use crate::ast::{Block, For, MacroDef, PostfixKind, Stmt, StmtKind, Target, Uses};
use crate::ast::{Expr, Postfix};
use crate::lexer::Tok;

impl Parser {
    pub(super) fn statement(&mut self, line: usize) -> Parsed<Vec<Stmt>> {
        let Tok::Name(tag) = self.tok().clone() else {
            return self.expected("the name of a tag");
        };
        self.next();
        let kind = match &*tag {
            "if" => self.conditional()?,
            "for" => self.repeated()?,
            "set" => self.assigned()?,
            "with" => self.with()?,
            "macro" => {
                let name = self.name()?;
                let (args, defaults) = self.signature()?;
                StmtKind::Macro(self.macro_of(name, args, defaults, "endmacro")?)
            }
            "call" => {
                let (args, defaults) = if self.is_op("(") {
                    self.signature()?
                } else {
                    (Vec::new(), Vec::new())
                };
                let call = self.expression(true)?;
                let is_call = matches!(&call, Expr::Postfix(_, chain) if matches!(chain.last(),
                    Some(Postfix { kind: PostfixKind::Call(_), .. })));
                if !is_call {
                    return self.fail("expected a call");
                }
                let def = self.macro_of("caller".into(), args, defaults, "endcall")?;
                StmtKind::CallBlock(def, call)
            }
            "filter" => {
                let mut chain = Vec::new();
                self.filter(&mut chain)?;
                while self.skip_op("|") {
                    self.filter(&mut chain)?;
                }
                StmtKind::FilterBlock(chain, self.scope("endfilter")?)
            }
            "print" => {
                let mut values = Vec::new();
                while *self.tok() != Tok::BlockEnd {
                    if !values.is_empty() {
                        self.expect_op(",")?;
                    }
                    let kind = StmtKind::Print(self.expression(true)?);
                    values.push(Stmt { line, kind });
                }
                return Ok(values);
            }
            "autoescape" => {
                if !matches!(self.expression(true)?, Expr::Bool(false)) {
                    return self.fail("autoescape can only be switched off: nothing is escaped");
                }
                StmtKind::Scope(self.scope("endautoescape")?)
            }
            "block" => self.named_block()?,
            "generation" => {
                self.generation = true;
                StmtKind::Generation(self.function("endgeneration")?)
            }
            "break" | "continue" if self.breakable == 0 => {
                return self.fail(format!("'{tag}' outside a loop"));
            }
            "break" => StmtKind::Break,
            "continue" => StmtKind::Continue,
            "include" | "import" | "extends" | "from" => self.other_template(&tag)?,
            _ => return self.fail(format!("unknown tag '{tag}'")),
        };
        Ok(vec![Stmt { line, kind }])
    }

    fn conditional(&mut self) -> Parsed<StmtKind> {
        let soft = std::mem::replace(&mut self.soft, true);
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let test = self.tuple(false, &[], false)?;
            let (body, end) = self.block(&["elif", "else", "endif"])?;
            branches.push((test, body));
            match &*end {
                "elif" => {}
                "else" => {
                    otherwise = self.block(&["endif"])?.0;
                    break;
                }
                _ => break,
            }
        }
        self.soft = soft;
        Ok(StmtKind::If(branches, otherwise))
    }

    fn repeated(&mut self) -> Parsed<StmtKind> {
        self.loops += 1;
        let soft = std::mem::replace(&mut self.soft, false);
        let target = self.target(&["in"], false)?;
        self.expect_name("in")?;
        let iter = self.tuple(false, &["recursive"], false)?;
        let test = if self.skip_name("if") {
            Some(self.expression(true)?)
        } else {
            None
        };
        let recursive = self.skip_name("recursive");
        self.breakable += 1;
        let parsed = self.block(&["endfor", "else"]);
        self.breakable -= 1;
        let (body, end) = parsed?;
        let otherwise = if *end == *"else" {
            self.block(&["endfor"])?.0
        } else {
            Vec::new()
        };
        self.soft = soft;
        self.loops -= 1;
        Ok(StmtKind::For(Arc::new(For {
            target,
            iter,
            test,
            recursive,
            body,
            otherwise,
        })))
    }

    fn assigned(&mut self) -> Parsed<StmtKind> {
        let target = self.target(&[], true)?;
        if self.skip_op("=") {
            return Ok(StmtKind::Set(target, self.tuple(true, &[], false)?));
        }
        let mut filters = Vec::new();
        while self.skip_op("|") {
            self.filter(&mut filters)?;
        }
        Ok(StmtKind::SetBlock(target, filters, self.scope("endset")?))
    }

    fn with(&mut self) -> Parsed<StmtKind> {
        let mut values = Vec::new();
        while *self.tok() != Tok::BlockEnd {
            if !values.is_empty() {
                self.expect_op(",")?;
            }
            let target = self.target(&[], false)?;
            self.expect_op("=")?;
            values.push((target, self.expression(true)?));
        }
        Ok(StmtKind::With(values, self.scope("endwith")?))
    }

    fn signature(&mut self) -> Parsed<(Vec<Arc<str>>, Vec<Expr>)> {
        let mut args: Vec<Arc<str>> = Vec::new();
        let mut defaults = Vec::new();
        self.expect_op("(")?;
        while !self.is_op(")") {
            if !args.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.name()?;
            if args.contains(&name) {
                return self.fail(format!("two arguments are named '{name}'"));
            }
            args.push(name);
            if self.skip_op("=") {
                defaults.push(self.expression(true)?);
            } else if !defaults.is_empty() {
                return self.fail("an argument without default follows one with it");
            }
        }
        self.expect_op(")")?;
        Ok((args, defaults))
    }

    fn macro_of(
        &mut self,
        name: Arc<str>,
        args: Vec<Arc<str>>,
        defaults: Vec<Expr>,
        end: &str,
    ) -> Parsed<Arc<MacroDef>> {
        self.macros.push(Uses::default());
        let body = self.function(end);
        let mut uses = self.macros.pop().unwrap_or_default();
        let body = body?;
        let named = |special: &str| args.iter().position(|arg| **arg == *special);
        if uses.caller
            && named("caller").is_some_and(|at| at < args.len().saturating_sub(defaults.len()))
        {
            return self.fail("an argument named 'caller' needs a default");
        }
        uses.kwargs &= named("kwargs").is_none();
        uses.varargs &= named("varargs").is_none();
        Ok(Arc::new(MacroDef {
            name,
            args,
            defaults,
            body,
            uses,
        }))
    }

    fn named_block(&mut self) -> Parsed<StmtKind> {
        let name = self.name()?;
        if !self.blocks.insert(name.clone()) {
            return self.fail(format!("the block '{name}' is defined twice"));
        }
        let scoped = self.skip_name("scoped");
        let required = self.skip_name("required");
        if self.is_op("-") {
            return self.fail("names of blocks have no hyphens");
        }
        let body = self.function("endblock")?;
        self.skip_name(&name);
        Ok(StmtKind::Block(Block {
            scoped,
            required,
            body: Arc::new(body),
        }))
    }

    fn other_template(&mut self, tag: &str) -> Parsed<StmtKind> {
        while !matches!(self.tok(), Tok::BlockEnd | Tok::End) {
            self.next();
        }
        Ok(StmtKind::NoLoader(match tag {
            "include" => "include",
            "extends" => "extends",
            "import" => "import",
            _ => "from … import",
        }))
    }

    /// What is assigned to, up to one of these names.
    fn target(&mut self, ends: &[&str], attributes: bool) -> Parsed<Target> {
        let mut targets = Vec::new();
        let mut tuple = false;
        loop {
            if tuple && (self.ends_tuple(ends) || self.is_op("=")) {
                break;
            }
            targets.push(self.single_target(attributes)?);
            if !self.skip_op(",") {
                break;
            }
            tuple = true;
        }
        if tuple {
            return Ok(Target::Tuple(targets));
        }
        match targets.pop() {
            Some(target) => Ok(target),
            None => self.expected("what to assign to"),
        }
    }

    fn single_target(&mut self, attributes: bool) -> Parsed<Target> {
        if attributes && let (Tok::Name(name), Tok::Op(".")) = (self.tok(), self.ahead()) {
            let name = name.clone();
            self.next();
            self.next();
            return Ok(Target::Attribute(name, self.name()?));
        }
        let value = self.primary()?;
        self.assignable(value)
    }

    fn assignable(&self, value: Expr) -> Parsed<Target> {
        match value {
            Expr::Name(name) if *name == *"loop" && self.loops > 0 => {
                self.fail("'loop' cannot be assigned within a loop")
            }
            Expr::Name(name) => Ok(Target::Name(name)),
            Expr::Tuple(items) => {
                let items = items.into_iter().map(|item| self.assignable(item));
                Ok(Target::Tuple(items.collect::<Parsed<_>>()?))
            }
            _ => self.fail("cannot assign to this"),
        }
    }
}
