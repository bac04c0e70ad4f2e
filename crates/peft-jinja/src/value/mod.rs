//! Values as Python has them. Lists, tuples and mappings never change once made, as the sandbox
//! forbids it; a namespace is the one thing that does.

mod compare;
mod numbers;
mod objects;
mod repr;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use compare::{Key, compare, contains, equal, key_of};
pub(crate) use numbers::{Number, binary, index_of, number, power, whole};
pub(crate) use objects::{Cycler, Iter, Joiner, LoopState, Macro, Namespace, Undef};
pub(crate) use repr::{float_text, printed, repr};

use crate::budget::Budget;
use crate::error::{Fault, Res};
use crate::limits::{MAX_ITEMS, MAX_VALUE_DEPTH};

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Undefined(Rc<Undef>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    List(Rc<Seq>),
    Tuple(Rc<Seq>),
    Dict(Rc<Dict>),
    Range(Rc<Span>),
    View(View, Rc<Dict>),
    /// What is read once.
    Iter(Rc<Iter>),
    Namespace(Rc<Namespace>),
    Loop(Rc<LoopState>),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
    Macro(Rc<Macro>),
    Method(Rc<(Value, &'static str)>),
    /// A function by its name.
    Function(Arc<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Keys,
    Values,
    Items,
}

/// Items of a list or tuple.
#[derive(Debug)]
pub(crate) struct Seq {
    pub(crate) items: Vec<Value>,
    depth: usize,
    /// The pair of `groupby`, which has names for its parts.
    pub(crate) group: bool,
}

/// Integers with a distance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i128,
    pub(crate) stop: i128,
    pub(crate) step: i128,
    pub(crate) len: usize,
}

impl Span {
    pub(crate) fn at(&self, i: usize) -> Value {
        Value::Int(self.start + self.step * i as i128)
    }
}

/// A mapping in the order of its making.
#[derive(Debug)]
pub(crate) struct Dict {
    pub(crate) entries: Vec<(Value, Value)>,
    /// Places of keys that are strings.
    strings: HashMap<Arc<str>, usize>,
    others: HashMap<Key, usize>,
    depth: usize,
}

impl Dict {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        match key {
            Key::Str(key) => self.get_str(key),
            key => self.others.get(key).map(|&at| &self.entries[at].1),
        }
    }

    pub(crate) fn get_str(&self, key: &str) -> Option<&Value> {
        self.strings.get(key).map(|&at| &self.entries[at].1)
    }
}

impl Value {
    pub(crate) fn str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn list(items: Vec<Self>, budget: &Budget) -> Res<Self> {
        Ok(Self::List(Rc::new(seq(items, budget)?)))
    }

    pub(crate) fn tuple(items: Vec<Self>, budget: &Budget) -> Res<Self> {
        Ok(Self::Tuple(Rc::new(seq(items, budget)?)))
    }

    pub(crate) fn group(key: Self, items: Vec<Self>, budget: &Budget) -> Res<Self> {
        let mut pair = seq(vec![key, Self::list(items, budget)?], budget)?;
        pair.group = true;
        Ok(Self::Tuple(Rc::new(pair)))
    }

    /// The last value of a key is taken, at the place of its first.
    pub(crate) fn dict(pairs: Vec<(Self, Self)>, budget: &Budget) -> Res<Self> {
        budget.items(pairs.len())?;
        let mut entries: Vec<(Self, Self)> = Vec::with_capacity(pairs.len());
        let mut strings = HashMap::new();
        let mut others = HashMap::new();
        for (key, value) in pairs {
            let free = entries.len();
            let at = match key_of(&key, budget)? {
                Key::Str(key) => *strings.entry(key).or_insert(free),
                key => *others.entry(key).or_insert(free),
            };
            match entries.get_mut(at) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        let values = entries.iter().flat_map(|(key, value)| [key, value]);
        let depth = depth_over(values)?;
        Ok(Self::Dict(Rc::new(Dict {
            entries,
            strings,
            others,
            depth,
        })))
    }

    pub(crate) fn iter(name: &'static str, items: Vec<Self>, budget: &Budget) -> Res<Self> {
        Self::lazy(name, items, Ok(()), budget)
    }

    /// What Python would make item by item: a failure after the items made is told only to who
    /// reads so far.
    pub(crate) fn lazy(
        name: &'static str,
        items: Vec<Self>,
        made: Res<()>,
        budget: &Budget,
    ) -> Res<Self> {
        budget.items(items.len())?;
        depth_over(&items)?;
        let failed = match made {
            Ok(()) => None,
            Err(fault @ Fault::Failed(_)) => Some(fault),
            Err(fault) => return Err(fault),
        };
        Ok(Self::Iter(Rc::new(Iter::new(name, items, failed))))
    }

    pub(crate) fn undefined(hint: &'static str) -> Self {
        Self::Undefined(Rc::new(Undef::Hint(hint)))
    }

    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::List(seq) | Self::Tuple(seq) => seq.depth,
            Self::Dict(dict) | Self::View(_, dict) => dict.depth,
            Self::Method(method) => method.0.depth() + 1,
            Self::Iter(iter) => iter.depth,
            Self::Cycler(cycler) => cycler.depth,
            Self::Undefined(_)
            | Self::None
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Range(_)
            | Self::Namespace(_)
            | Self::Loop(_)
            | Self::Joiner(_)
            | Self::Macro(_)
            | Self::Function(_) => 0,
        }
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            _ => self.len().is_none_or(|len| len > 0),
        }
    }

    /// Python's `len`, in characters for a string.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Str(text) => Some(crate::text::chars(text)),
            Self::List(seq) | Self::Tuple(seq) => Some(seq.items.len()),
            Self::Dict(dict) | Self::View(_, dict) => Some(dict.entries.len()),
            Self::Range(span) => Some(span.len),
            _ => None,
        }
    }

    /// The name of its type, as Python's messages have it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Iter(_) => "generator",
            Self::Namespace(_) => "TemplateNamespace",
            Self::Loop(_) => "LoopContext",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
            Self::Macro(_) => "Macro",
            Self::Method(_) => "builtin_function_or_method",
            Self::Function(_) => "function",
        }
    }

    pub(crate) fn from_json(value: &serde_json::Value, budget: &Budget) -> Res<Self> {
        Ok(match value {
            serde_json::Value::Null => Self::None,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::str(text.as_str()),
            serde_json::Value::Array(items) => {
                let items = items.iter().map(|item| Self::from_json(item, budget));
                Self::list(items.collect::<Res<_>>()?, budget)?
            }
            serde_json::Value::Object(map) => {
                let pair = |(key, value): (&String, _)| {
                    Ok((Self::str(key.as_str()), Self::from_json(value, budget)?))
                };
                Self::dict(map.iter().map(pair).collect::<Res<_>>()?, budget)?
            }
        })
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(value as i128)
    }
}

fn seq(items: Vec<Value>, budget: &Budget) -> Res<Seq> {
    budget.items(items.len())?;
    Ok(Seq {
        depth: depth_over(&items)?,
        items,
        group: false,
    })
}

/// The depth of what holds these values. It is bounded, since values are compared, written and
/// freed by recursion.
pub(crate) fn depth_over<'a>(values: impl IntoIterator<Item = &'a Value>) -> Res<usize> {
    let depth = 1 + values.into_iter().map(Value::depth).max().unwrap_or(0);
    if depth > MAX_VALUE_DEPTH {
        return Err(Fault::Limit(format!("lists {MAX_VALUE_DEPTH} levels deep")));
    }
    Ok(depth)
}

/// How many items a repetition makes.
pub(crate) fn repeated_len(len: usize, times: i128) -> Res<usize> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let total = len.saturating_mul(times);
    if total > MAX_ITEMS {
        return Err(Fault::item_limit());
    }
    Ok(total)
}
