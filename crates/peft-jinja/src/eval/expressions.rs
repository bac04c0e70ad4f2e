//! Expressions.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Interp;
use crate::args::Args;
use crate::ast::{CallArgs, Comparison, Expr, PostfixKind, Unary};
use crate::error::{Fault, Res, fail};
use crate::scope::Scope;
use crate::value::{Number, Undef, Value, binary, compare, contains, equal, number, printed};

impl Interp<'_> {
    pub(super) fn eval(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        self.nested(|i| i.expression(expr, scope))
    }

    fn expression(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        Ok(match expr {
            Expr::None => Value::None,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Int(value) => Value::Int(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Str(text) => Value::Str(text.clone()),
            Expr::Name(name) => match scope.get(name) {
                Some(value) => value,
                None => Value::Undefined(Rc::new(Undef::Name(name.clone()))),
            },
            Expr::List(items) => Value::list(self.all(items, scope)?, &self.budget)?,
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?, &self.budget)?,
            Expr::Dict(pairs) => {
                let mut entries = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    entries.push((self.eval(key, scope)?, self.eval(value, scope)?));
                }
                Value::dict(entries, &self.budget)?
            }
            Expr::Unary(op, value) => {
                let value = self.eval(value, scope)?;
                unary(*op, &value)?
            }
            Expr::Chain(first, rest) => {
                let mut value = self.eval(first, scope)?;
                for (op, operand) in rest {
                    let operand = self.eval(operand, scope)?;
                    value = binary(*op, &value, &operand, &self.budget)?;
                }
                value
            }
            Expr::Concat(items) => {
                let mut text = String::new();
                for item in items {
                    let item = self.eval(item, scope)?;
                    text.push_str(&printed(&item, &self.budget)?);
                    self.budget.text(text.len() / 64)?;
                }
                self.budget.text(text.len())?;
                Value::str(text)
            }
            Expr::And(items) => self.until(items, scope, false)?,
            Expr::Or(items) => self.until(items, scope, true)?,
            Expr::Compare(first, rest) => {
                let mut left = self.eval(first, scope)?;
                for (op, right) in rest {
                    let right = self.eval(right, scope)?;
                    if !self.compared(*op, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expr::Conditional(value, test, otherwise) => {
                if self.eval(test, scope)?.truth() {
                    return self.eval(value, scope);
                }
                match otherwise {
                    Some(otherwise) => self.eval(otherwise, scope)?,
                    None => Value::undefined(
                        "the inline if-expression evaluated to false and no else section was defined",
                    ),
                }
            }
            Expr::Postfix(value, chain) => {
                let mut value = self.eval(value, scope)?;
                for step in chain {
                    self.line = step.line;
                    value = self.postfix(value, &step.kind, scope)?;
                }
                value
            }
        })
    }

    fn postfix(&mut self, value: Value, kind: &PostfixKind, scope: &Rc<Scope>) -> Res<Value> {
        self.budget.step()?;
        match kind {
            PostfixKind::Attribute(name) => self.attribute(&value, name),
            PostfixKind::Item(key) => {
                let key = self.eval(key, scope)?;
                self.item(&value, &key)
            }
            PostfixKind::Slice(parts) => {
                let mut given = [Value::None, Value::None, Value::None];
                for (slot, part) in given.iter_mut().zip(parts.iter()) {
                    if let Some(part) = part {
                        *slot = self.eval(part, scope)?;
                    }
                }
                self.slice(&value, given)
            }
            PostfixKind::Call(args) => {
                let args = self.args(args, scope)?;
                self.call(&value, args)
            }
            PostfixKind::Filter(name, args) => {
                let args = self.args(args, scope)?;
                self.filter(name, value, args)
            }
            PostfixKind::Test {
                name,
                args,
                negated,
            } => {
                let args = self.args(args, scope)?;
                Ok(Value::Bool(self.test(name, &value, args)? != *negated))
            }
        }
    }

    /// A call expression with one more argument, the body that it gets.
    pub(super) fn call_with(
        &mut self,
        call: &Expr,
        caller: Value,
        scope: &Rc<Scope>,
    ) -> Res<Value> {
        let Expr::Postfix(value, chain) = call else {
            return fail!("expected a call");
        };
        let mut value = self.eval(value, scope)?;
        for (i, step) in chain.iter().enumerate() {
            self.line = step.line;
            value = match &step.kind {
                PostfixKind::Call(args) if i + 1 == chain.len() => {
                    let mut args = self.args(args, scope)?;
                    args.named.push(("caller".into(), caller.clone()));
                    self.call(&value, args)?
                }
                kind => self.postfix(value, kind, scope)?,
            };
        }
        Ok(value)
    }

    fn all(&mut self, items: &[Expr], scope: &Rc<Scope>) -> Res<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    /// The first value of this truth, or the last.
    fn until(&mut self, items: &[Expr], scope: &Rc<Scope>, truth: bool) -> Res<Value> {
        let mut last = Value::None;
        for item in items {
            last = self.eval(item, scope)?;
            if last.truth() == truth {
                break;
            }
        }
        Ok(last)
    }

    pub(crate) fn compared(&self, op: Comparison, a: &Value, b: &Value) -> Res<bool> {
        let order = |wanted: &[Ordering]| {
            let order = compare(a, b, &self.budget)?;
            Ok(order.is_some_and(|order| wanted.contains(&order)))
        };
        match op {
            Comparison::Eq => equal(a, b, &self.budget),
            Comparison::Ne => Ok(!equal(a, b, &self.budget)?),
            Comparison::Lt => order(&[Ordering::Less]),
            Comparison::Le => order(&[Ordering::Less, Ordering::Equal]),
            Comparison::Gt => order(&[Ordering::Greater]),
            Comparison::Ge => order(&[Ordering::Greater, Ordering::Equal]),
            Comparison::In => contains(b, a, &self.budget),
            Comparison::NotIn => Ok(!contains(b, a, &self.budget)?),
        }
    }

    pub(super) fn args(&mut self, given: &CallArgs, scope: &Rc<Scope>) -> Res<Args> {
        let mut args = Args::of(self.all(&given.positional, scope)?);
        for (name, value) in &given.named {
            args.named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(spread) = &given.spread {
            let spread = self.eval(spread, scope)?;
            args.positional.extend(self.items(&spread)?);
        }
        if let Some(spread) = &given.spread_named {
            let Value::Dict(dict) = self.eval(spread, scope)? else {
                return fail!("what follows ** has to be a mapping");
            };
            for (key, value) in &dict.entries {
                let Value::Str(key) = key else {
                    return fail!("names of arguments are strings");
                };
                if args.named.iter().any(|(name, _)| name == key) {
                    return fail!("two values for the argument '{key}'");
                }
                args.named.push((key.clone(), value.clone()));
            }
        }
        Ok(args)
    }
}

fn unary(op: Unary, value: &Value) -> Res<Value> {
    if let (Unary::Negative | Unary::Positive, Value::Undefined(why)) = (op, value) {
        return Err(Fault::Failed(why.message()));
    }
    Ok(match (op, number(value)) {
        (Unary::Not, _) => Value::Bool(!value.truth()),
        (Unary::Negative, Some(Number::Int(n))) => Value::Int(n.saturating_neg()),
        (Unary::Negative, Some(Number::Float(n))) => Value::Float(-n),
        (Unary::Positive, Some(Number::Int(n))) => Value::Int(n),
        (Unary::Positive, Some(Number::Float(n))) => Value::Float(n),
        (_, None) => return fail!("'{}' has no sign", value.kind()),
    })
}
