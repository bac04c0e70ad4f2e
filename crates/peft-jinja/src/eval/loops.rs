//! `for` and what `loop` gives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::{Flow, Interp};
use crate::args::Args;
use crate::ast::For;
use crate::error::{Res, fail};
use crate::scope::Scope;
use crate::value::{LoopState, Value, equal};

impl Interp<'_> {
    pub(super) fn for_loop(&mut self, def: &Arc<For>, scope: &Rc<Scope>) -> Res<()> {
        let values = self.eval(&def.iter, scope)?;
        if def.recursive {
            let text = self.recursion(def, &values, scope, 0)?;
            return self.write(&text);
        }
        self.run(def, &values, scope, 0)
    }

    /// What a recursive loop writes of these values.
    fn recursion(
        &mut self,
        def: &Arc<For>,
        values: &Value,
        scope: &Rc<Scope>,
        depth0: usize,
    ) -> Res<String> {
        let (text, _) = self.captured(|i| {
            i.run(def, values, scope, depth0)?;
            Ok(Flow::Next)
        })?;
        Ok(text)
    }

    fn run(&mut self, def: &Arc<For>, values: &Value, scope: &Rc<Scope>, depth0: usize) -> Res<()> {
        let len = values.len().filter(|_| def.test.is_none());
        let source = self.iterate(values)?;
        self.hold(scope);
        let state = Rc::new(LoopState {
            def: def.clone(),
            scope: scope.clone(),
            source: RefCell::new(source),
            len: Cell::new(len),
            tested: Cell::new(false),
            index0: Cell::new(0),
            started: Cell::new(false),
            depth0,
            before: RefCell::default(),
            current: RefCell::default(),
            after: RefCell::default(),
            changed: RefCell::default(),
        });
        self.loops.push(state.clone());
        let name: Arc<str> = "loop".into();
        // As in Jinja, a pass that `break` or `continue` ends does not count.
        let mut finished = false;
        while let Some(item) = self.advance(&state)? {
            let inner = Scope::within(scope);
            inner.set(&name, Value::Loop(state.clone()));
            self.assign(&def.target, item, &inner)?;
            match self.body(&def.body, &inner)? {
                Flow::Next => finished = true,
                Flow::Continue => {}
                Flow::Break => break,
            }
        }
        if !finished {
            let inner = Scope::within(scope);
            self.body(&def.otherwise, &inner)?;
        }
        Ok(())
    }

    /// The next item that the loop's condition lets pass.
    fn pull(&mut self, state: &LoopState) -> Res<Option<Value>> {
        loop {
            self.budget.step()?;
            let next = state.source.borrow().next()?;
            let test = state.def.test.as_ref().filter(|_| !state.tested.get());
            let (Some(item), Some(test)) = (next.clone(), test) else {
                return Ok(next);
            };
            let inner = Scope::within(&state.scope);
            self.assign(&state.def.target, item, &inner)?;
            if self.eval(test, &inner)?.truth() {
                return Ok(next);
            }
        }
    }

    fn peek(&mut self, state: &LoopState) -> Res<Option<Value>> {
        if let Some(after) = &*state.after.borrow() {
            return Ok(after.clone());
        }
        let next = self.pull(state)?;
        state.after.replace(Some(next.clone()));
        Ok(next)
    }

    pub(super) fn advance(&mut self, state: &LoopState) -> Res<Option<Value>> {
        let looked = state.after.take();
        let next = match looked {
            Some(next) => next,
            None => self.pull(state)?,
        };
        if let Some(item) = &next {
            if state.started.replace(true) {
                state.index0.set(state.index0.get() + 1);
            }
            let before = state.current.replace(Some(item.clone()));
            state.before.replace(before);
        }
        Ok(next)
    }

    fn loop_len(&mut self, state: &LoopState) -> Res<usize> {
        if let Some(len) = state.len.get() {
            return Ok(len);
        }
        let mut rest = Vec::new();
        let looked = state.after.borrow().is_some();
        while let Some(item) = self.pull(state)? {
            rest.push(item);
        }
        let ahead =
            usize::from(looked && state.after.borrow().as_ref().is_some_and(Option::is_some));
        let len = state.index0.get() + 1 + ahead + rest.len();
        if let Value::Iter(rest) = Value::iter("generator", rest, &self.budget)? {
            state.source.replace(rest);
            state.tested.set(true);
        }
        state.len.set(Some(len));
        Ok(len)
    }

    pub(super) fn loop_attribute(
        &mut self,
        state: &Rc<LoopState>,
        name: &str,
    ) -> Res<Option<Value>> {
        let index0 = state.index0.get();
        Ok(Some(match name {
            "index" => (index0 + 1).into(),
            "index0" => index0.into(),
            "length" => self.loop_len(state)?.into(),
            "revindex" => self.loop_len(state)?.saturating_sub(index0).into(),
            "revindex0" => self.loop_len(state)?.saturating_sub(index0 + 1).into(),
            "first" => (index0 == 0).into(),
            "last" => self.peek(state)?.is_none().into(),
            "depth" => (state.depth0 + 1).into(),
            "depth0" => state.depth0.into(),
            "previtem" if index0 == 0 => Value::undefined("there is no previous item"),
            "previtem" => match &*state.before.borrow() {
                Some(item) => item.clone(),
                None => Value::undefined("there is no previous item"),
            },
            "nextitem" => match self.peek(state)? {
                Some(item) => item,
                None => Value::undefined("there is no next item"),
            },
            "cycle" => Value::Method(Rc::new((Value::Loop(state.clone()), "cycle"))),
            "changed" => Value::Method(Rc::new((Value::Loop(state.clone()), "changed"))),
            _ => return Ok(None),
        }))
    }

    pub(crate) fn loop_method(&mut self, state: &LoopState, name: &str, args: Args) -> Res<Value> {
        if !args.named.is_empty() {
            return fail!("loop.{name} takes no named arguments");
        }
        match name {
            "cycle" => {
                let items = args.positional;
                if items.is_empty() {
                    return fail!("no items for cycling given");
                }
                Ok(items[state.index0.get() % items.len()].clone())
            }
            _ => {
                let value = Value::tuple(args.positional, &self.budget)?;
                let same = match &*state.changed.borrow() {
                    Some(last) => equal(last, &value, &self.budget)?,
                    None => false,
                };
                if !same {
                    let last = state.changed.replace(Some(value));
                    drop(last);
                }
                Ok((!same).into())
            }
        }
    }

    /// `loop(values)`.
    pub(super) fn loop_call(&mut self, state: &Rc<LoopState>, args: Args) -> Res<Value> {
        let [values] = args.bind("loop", ["iterable"], 1)?;
        if !state.def.recursive {
            return fail!("the loop must have the 'recursive' marker to be called recursively");
        }
        let values = values.unwrap_or(Value::None);
        let text =
            self.nested(|i| i.recursion(&state.def, &values, &state.scope, state.depth0 + 1))?;
        Ok(Value::str(text))
    }
}
