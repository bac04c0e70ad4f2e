//! The interpreter of templates.

mod access;
mod calls;
mod expressions;
mod loops;
mod statements;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::Function;
use crate::ast::Body;
use crate::budget::Budget;
use crate::error::{Fault, JinjaError, Res};
use crate::limits::{MAX_EVAL_DEPTH, MAX_TEXT};
use crate::scope::Scope;
use crate::value::{Iter, LoopState, Namespace, Value};

/// Functions that every template has.
const GLOBALS: [&str; 7] = [
    "range",
    "dict",
    "lipsum",
    "cycler",
    "joiner",
    "namespace",
    "raise_exception",
];

pub(crate) struct Interp<'t> {
    pub(crate) budget: Budget,
    functions: &'t [(Arc<str>, Function)],
    line: usize,
    depth: usize,
    /// The text of the template, and of what is being captured within it.
    out: Vec<String>,
    generated: Vec<Range<usize>>,
    root: Rc<Scope>,
    /// What may hold itself is held here and emptied at the end.
    namespaces: Vec<Rc<Namespace>>,
    loops: Vec<Rc<LoopState>>,
    scopes: Vec<Rc<Scope>>,
}

/// Where a body left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// A template's text with the bytes of its `{% generation %}` blocks.
pub(crate) type Output = (String, Vec<Range<usize>>);

pub(crate) fn render(
    body: &Body,
    functions: &[(Arc<str>, Function)],
    context: &serde_json::Map<String, serde_json::Value>,
) -> Result<Output, JinjaError> {
    let base = Rc::new(Scope::default());
    let mut interp = Interp {
        budget: Budget::default(),
        functions,
        line: 1,
        depth: 0,
        out: vec![String::new()],
        generated: Vec::new(),
        root: Scope::within(&base),
        namespaces: Vec::new(),
        loops: Vec::new(),
        scopes: Vec::new(),
    };
    for name in GLOBALS.into_iter().map(Arc::from) {
        base.set(&name, Value::Function(name.clone()));
    }
    for (name, _) in functions {
        base.set(name, Value::Function(name.clone()));
    }
    let root = interp.root.clone();
    let rendered = interp
        .context(&base, context)
        .and_then(|()| interp.body(body, &root));
    match rendered {
        Ok(_) => Ok((
            interp.out.swap_remove(0),
            std::mem::take(&mut interp.generated),
        )),
        Err(fault) => Err(fault.at(interp.line)),
    }
}

impl Drop for Interp<'_> {
    fn drop(&mut self) {
        // All are emptied before any is let go, so that no chain of them is freed by recursion.
        for space in &self.namespaces {
            space.attributes.take();
        }
        for state in &self.loops {
            state.clear();
        }
        for scope in &self.scopes {
            scope.clear();
        }
        self.root.clear();
    }
}

impl Interp<'_> {
    fn context(
        &self,
        base: &Scope,
        context: &serde_json::Map<String, serde_json::Value>,
    ) -> Res<()> {
        // What is given is not the template's work.
        let unlimited = Budget::default();
        for (name, value) in context {
            base.set(&name.as_str().into(), Value::from_json(value, &unlimited)?);
        }
        Ok(())
    }

    /// One level deeper.
    pub(crate) fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        self.budget.step()?;
        if self.depth >= MAX_EVAL_DEPTH {
            return Err(Fault::Limit(format!("{MAX_EVAL_DEPTH} levels of calls")));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn write(&mut self, text: &str) -> Res<()> {
        self.budget.text(text.len())?;
        if let Some(out) = self.out.last_mut() {
            if out.len() + text.len() > MAX_TEXT {
                return Err(Fault::text_limit());
            }
            out.push_str(text);
        }
        Ok(())
    }

    /// What this writes.
    fn captured(&mut self, run: impl FnOnce(&mut Self) -> Res<Flow>) -> Res<(String, Flow)> {
        self.out.push(String::new());
        let result = run(self);
        let text = self.out.pop().unwrap_or_default();
        Ok((text, result?))
    }

    /// What a value gives one after another.
    pub(crate) fn iterate(&mut self, value: &Value) -> Res<Rc<Iter>> {
        if let Value::Iter(iter) = value {
            return Ok(iter.clone());
        }
        match Value::iter("generator", self.items(value)?, &self.budget)? {
            Value::Iter(iter) => Ok(iter),
            other => crate::error::fail!("'{}' object is not iterable", other.kind()),
        }
    }

    /// All that a value gives one after another.
    pub(crate) fn items(&mut self, value: &Value) -> Res<Vec<Value>> {
        use crate::value::View;
        let items: Vec<Value> = match value {
            Value::Undefined(_) => Vec::new(),
            Value::Str(text) => text.chars().map(|c| Value::str(String::from(c))).collect(),
            Value::List(seq) | Value::Tuple(seq) => seq.items.clone(),
            Value::Dict(dict) | Value::View(View::Keys, dict) => {
                dict.entries.iter().map(|(key, _)| key.clone()).collect()
            }
            Value::View(View::Values, dict) => dict
                .entries
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
            Value::View(View::Items, dict) => {
                let pair = |(key, value): &(Value, Value)| {
                    Value::tuple(vec![key.clone(), value.clone()], &self.budget)
                };
                dict.entries.iter().map(pair).collect::<Res<_>>()?
            }
            Value::Range(span) => (0..span.len).map(|i| span.at(i)).collect(),
            Value::Iter(iter) => iter.rest()?,
            Value::Loop(state) => {
                let mut items = Vec::new();
                while let Some(item) = self.advance(state)? {
                    items.push(Value::tuple(vec![item, value.clone()], &self.budget)?);
                }
                items
            }
            other => return crate::error::fail!("'{}' object is not iterable", other.kind()),
        };
        self.budget.items(items.len())?;
        Ok(items)
    }
}
