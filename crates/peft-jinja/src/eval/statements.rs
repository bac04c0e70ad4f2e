//! Statements.

use std::rc::Rc;
use std::sync::Arc;

use super::{Flow, Interp};
use crate::ast::{Body, MacroDef, Postfix, PostfixKind, Stmt, StmtKind, Target};
use crate::error::{Fault, Res, fail};
use crate::scope::Scope;
use crate::value::{Macro, Value, printed};

impl Interp<'_> {
    pub(super) fn body(&mut self, body: &Body, scope: &Rc<Scope>) -> Res<Flow> {
        for stmt in body {
            let flow = self.nested(|i| i.statement(stmt, scope))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, stmt: &Stmt, scope: &Rc<Scope>) -> Res<Flow> {
        self.line = stmt.line;
        match &stmt.kind {
            StmtKind::Text(text) => self.write(text)?,
            StmtKind::Print(expr) => {
                let value = self.eval(expr, scope)?;
                match &value {
                    Value::Str(text) => self.write(text)?,
                    value => self.write(&printed(value, &self.budget)?)?,
                }
            }
            StmtKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.eval(test, scope)?.truth() {
                        return self.body(body, scope);
                    }
                }
                return self.body(otherwise, scope);
            }
            StmtKind::For(def) => self.for_loop(def, scope)?,
            StmtKind::Set(target, expr) => {
                self.check(target, scope)?;
                let value = self.eval(expr, scope)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::SetBlock(target, filters, body) => {
                let inner = Scope::within(scope);
                let (text, flow) = self.captured(|i| i.body(body, &inner))?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                let value = self.filtered(Value::str(text), filters, &inner)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::With(values, body) => {
                let inner = Scope::within(scope);
                for (target, expr) in values {
                    let value = self.eval(expr, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.body(body, &inner);
            }
            StmtKind::Macro(def) => {
                let value = self.macro_value(def, scope);
                scope.set(&def.name, value);
            }
            StmtKind::CallBlock(def, call) => {
                let caller = self.macro_value(def, scope);
                let value = self.call_with(call, caller, scope)?;
                self.write(&printed(&value, &self.budget)?)?;
            }
            StmtKind::FilterBlock(filters, body) => {
                let inner = Scope::within(scope);
                let (text, flow) = self.captured(|i| i.body(body, &inner))?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                let value = self.filtered(Value::str(text), filters, &inner)?;
                self.write(&printed(&value, &self.budget)?)?;
            }
            StmtKind::Scope(body) => return self.body(body, &Scope::within(scope)),
            StmtKind::Block(block) => {
                if block.required {
                    return fail!("a required block is defined by no other template");
                }
                let outer = if block.scoped {
                    scope.clone()
                } else {
                    self.root.clone()
                };
                self.body(&block.body, &Scope::within(&outer))?;
            }
            StmtKind::Generation(body) => {
                let inner = Scope::within(scope);
                let (text, _) = self.captured(|i| i.body(body, &inner))?;
                // As transformers has it: from the end of what the template itself has written.
                let start = self.out.first().map_or(0, String::len);
                self.generated.push(start..start + text.len());
                self.write(&text)?;
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::NoLoader(tag) => {
                return fail!("'{tag}' takes another template, and a chat template has none");
            }
        }
        Ok(Flow::Next)
    }

    fn filtered(&mut self, value: Value, filters: &[Postfix], scope: &Rc<Scope>) -> Res<Value> {
        let mut value = value;
        for filter in filters {
            self.line = filter.line;
            if let PostfixKind::Filter(name, args) = &filter.kind {
                let args = self.args(args, scope)?;
                value = self.filter(name, value, args)?;
            }
        }
        Ok(value)
    }

    fn macro_value(&mut self, def: &Arc<MacroDef>, scope: &Rc<Scope>) -> Value {
        self.hold(scope);
        Value::Macro(Rc::new(Macro {
            def: def.clone(),
            scope: scope.clone(),
        }))
    }

    /// Keeps a scope that a value refers to.
    pub(super) fn hold(&mut self, scope: &Rc<Scope>) {
        let mut scope = Some(scope);
        while let Some(here) = scope {
            if !here.hold() {
                break;
            }
            self.scopes.push(here.clone());
            scope = here.parent();
        }
    }

    /// Attributes are set on namespaces only, which is told before the value is evaluated.
    fn check(&self, target: &Target, scope: &Scope) -> Res<()> {
        match target {
            Target::Name(_) => Ok(()),
            Target::Tuple(targets) => targets.iter().try_for_each(|t| self.check(t, scope)),
            Target::Attribute(name, attribute) => match scope.get(name) {
                Some(Value::Namespace(_)) => Ok(()),
                Some(other) => fail!(
                    "cannot assign '{attribute}' on '{name}', a {}: only namespaces take attributes",
                    other.kind()
                ),
                None => fail!("cannot assign '{attribute}' on '{name}', which is undefined"),
            },
        }
    }

    pub(super) fn assign(&mut self, target: &Target, value: Value, scope: &Scope) -> Res<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Attribute(name, attribute) => {
                self.check(target, scope)?;
                if attribute.starts_with('_') {
                    return fail!("a namespace takes no attribute '{attribute}' with a leading _");
                }
                if let Some(Value::Namespace(space)) = scope.get(name) {
                    space.set(attribute, value);
                }
            }
            Target::Tuple(targets) => {
                if let Value::Undefined(why) = &value
                    && !targets.is_empty()
                {
                    return Err(Fault::Failed(format!(
                        "{} names for the values of nothing: {}",
                        targets.len(),
                        why.message()
                    )));
                }
                let values = self.items(&value)?;
                if values.len() != targets.len() {
                    return fail!("{} values for {} names", values.len(), targets.len());
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
        }
        Ok(())
    }
}
