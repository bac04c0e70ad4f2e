//! Calls: macros, functions and methods.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::{Flow, Interp};
use crate::args::{Args, text_of};
use crate::error::{Fault, Res, fail};
use crate::limits::MAX_RANGE;
use crate::scope::Scope;
use crate::value::{
    Cycler, Joiner, Macro, Namespace, Span, Undef, Value, depth_over, index_of, printed,
};

impl Interp<'_> {
    pub(crate) fn call(&mut self, callee: &Value, args: Args) -> Res<Value> {
        self.budget
            .steps(args.positional.len() + args.named.len())?;
        match callee {
            Value::Undefined(why) => Err(Fault::Failed(why.message())),
            Value::Macro(value) => self.nested(|i| i.call_macro(value, args)),
            Value::Loop(state) => self.loop_call(state, args),
            Value::Method(method) => self.method(&method.0, method.1, args),
            Value::Joiner(joiner) => {
                args.none("joiner")?;
                if joiner.used.replace(true) {
                    return Ok(joiner.separator.clone());
                }
                Ok(Value::str(""))
            }
            Value::Function(name) => self.function(name, args),
            other => fail!("'{}' object is not callable", other.kind()),
        }
    }

    fn call_macro(&mut self, value: &Rc<Macro>, args: Args) -> Res<Value> {
        let def = &value.def;
        let Args {
            mut positional,
            mut named,
        } = args;
        let scope = Scope::within(&value.scope);
        let mut take = |name: &str| {
            let at = named.iter().position(|(other, _)| **other == *name)?;
            Some(named.remove(at).1)
        };
        let extra = positional.split_off(def.args.len().min(positional.len()));
        let count = positional.len();
        let mut missing = Vec::new();
        let mut caller = count == def.args.len() && def.args.iter().any(|arg| **arg == *"caller");
        for (name, value) in def.args.iter().zip(positional) {
            scope.set(name, value);
        }
        for (i, name) in def.args.iter().enumerate().skip(count) {
            caller |= **name == *"caller";
            match take(name) {
                Some(value) => scope.set(name, value),
                None => {
                    scope.set(
                        name,
                        Value::Undefined(Rc::new(Undef::Parameter(name.clone()))),
                    );
                    missing.push(i);
                }
            }
        }
        if def.uses.caller && !caller {
            let value = take("caller");
            let undefined = || Value::undefined("no caller is defined");
            scope.set(&"caller".into(), value.unwrap_or_else(undefined));
        }
        if def.uses.kwargs {
            let pairs = named
                .into_iter()
                .map(|(name, value)| (Value::Str(name), value));
            let rest = Value::dict(pairs.collect(), &self.budget)?;
            scope.set(&"kwargs".into(), rest);
        } else if let Some((name, _)) = named.first() {
            return fail!("macro '{}' takes no keyword argument '{name}'", def.name);
        }
        if def.uses.varargs {
            scope.set(&"varargs".into(), Value::tuple(extra, &self.budget)?);
        } else if !extra.is_empty() {
            let most = def.args.len();
            return fail!("macro '{}' takes not more than {most} arguments", def.name);
        }
        let required = def.args.len() - def.defaults.len().min(def.args.len());
        for i in missing {
            if let Some(default) = i.checked_sub(required).and_then(|i| def.defaults.get(i)) {
                let value = self.eval(default, &scope)?;
                scope.set(&def.args[i], value);
            }
        }
        let (text, _): (String, Flow) = self.captured(|i| i.body(&def.body, &scope))?;
        Ok(Value::str(text))
    }

    fn function(&mut self, name: &Arc<str>, args: Args) -> Res<Value> {
        match &**name {
            "range" => self.range(args),
            "dict" => self.dict(args),
            "namespace" => {
                let Value::Dict(dict) = self.dict(args)? else {
                    return fail!("a namespace is made of a mapping");
                };
                let space = Rc::new(Namespace::default());
                for (key, value) in &dict.entries {
                    let Value::Str(key) = key else {
                        return fail!("names of attributes are strings");
                    };
                    if key.starts_with('_') {
                        return fail!("a namespace takes no attribute '{key}' with a leading _");
                    }
                    space.set(key, value.clone());
                }
                self.namespaces.push(space.clone());
                Ok(Value::Namespace(space))
            }
            "cycler" => {
                if args.positional.is_empty() || !args.named.is_empty() {
                    return fail!("cycler takes the items to cycle through");
                }
                Ok(Value::Cycler(Rc::new(Cycler {
                    depth: depth_over(&args.positional)?,
                    items: args.positional,
                    at: Cell::new(0),
                })))
            }
            "joiner" => {
                let [separator] = args.bind("joiner", ["sep"], 0)?;
                let separator = separator.unwrap_or_else(|| Value::str(", "));
                Ok(Value::Joiner(Rc::new(Joiner {
                    separator: match separator {
                        Value::Str(_) => separator,
                        other => Value::str(printed(&other, &self.budget)?),
                    },
                    used: Cell::new(false),
                })))
            }
            "lipsum" => fail!("lipsum is random text, which a chat template has no use for"),
            "raise_exception" => {
                let [message] = args.bind("raise_exception", ["message"], 1)?;
                let message = message.unwrap_or(Value::None);
                Err(Fault::Raised(printed(&message, &self.budget)?))
            }
            name => {
                let functions = self.functions;
                let Some((_, function)) = functions.iter().find(|(other, _)| **other == *name)
                else {
                    return fail!("no function named '{name}'");
                };
                let [value] = args.bind(name, ["format"], 1)?;
                let value = value.unwrap_or(Value::None);
                match function(text_of(&value, name)?) {
                    Ok(text) => Ok(Value::str(text)),
                    Err(reason) => fail!("{name}: {reason}"),
                }
            }
        }
    }

    fn range(&self, args: Args) -> Res<Value> {
        if !args.named.is_empty() {
            return fail!("range takes no named arguments");
        }
        let numbers: Vec<i128> = args.positional.iter().map(index_of).collect::<Res<_>>()?;
        let (start, stop, step) = match numbers[..] {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] => (start, stop, step),
            _ => return fail!("range takes one to three numbers"),
        };
        if step == 0 {
            return fail!("range's step is zero");
        }
        let distance = if step > 0 {
            stop.saturating_sub(start)
        } else {
            start.saturating_sub(stop)
        };
        let size = step.unsigned_abs();
        let len = u128::try_from(distance.max(0)).unwrap_or(0).div_ceil(size);
        if len > MAX_RANGE as u128 {
            return Err(Fault::Limit(format!(
                "a range of more than {MAX_RANGE} numbers"
            )));
        }
        Ok(Value::Range(Rc::new(Span {
            start,
            stop,
            step,
            len: len as usize,
        })))
    }

    /// Python's `dict` of a mapping or of pairs, and of named values.
    pub(crate) fn dict(&mut self, args: Args) -> Res<Value> {
        let Args {
            positional, named, ..
        } = args;
        let mut pairs = Vec::new();
        match &positional[..] {
            [] => {}
            [Value::Dict(dict)] => pairs.extend(dict.entries.iter().cloned()),
            [Value::Undefined(why)] => return Err(Fault::Failed(why.message())),
            [values] => {
                for pair in self.items(values)? {
                    let pair = self.items(&pair)?;
                    let Ok([key, value]) = <[Value; 2]>::try_from(pair) else {
                        return fail!("a mapping is made of pairs");
                    };
                    pairs.push((key, value));
                }
            }
            _ => return fail!("a mapping is made of one mapping or of pairs"),
        }
        pairs.extend(
            named
                .into_iter()
                .map(|(name, value)| (Value::Str(name), value)),
        );
        Value::dict(pairs, &self.budget)
    }
}
