//! Values that only templates have.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::Value;
use crate::ast::{For, MacroDef};
use crate::error::{Fault, Res};
use crate::scope::Scope;

/// Why a value is undefined.
#[derive(Debug)]
pub(crate) enum Undef {
    Name(Arc<str>),
    /// An attribute that a value of this kind has not.
    Attribute(&'static str, Arc<str>),
    /// An item that a value of this kind has not, as `repr` gives its key.
    Element(&'static str, String),
    /// An attribute of a value of this kind that the sandbox forbids.
    Unsafe(&'static str, Arc<str>),
    Hint(&'static str),
    Parameter(Arc<str>),
}

impl Undef {
    pub(crate) fn message(&self) -> String {
        let object = |kind: &str| match kind {
            "NoneType" => "None".into(),
            kind => format!("{kind} object"),
        };
        match self {
            Self::Name(name) => format!("'{name}' is undefined"),
            Self::Attribute(kind, name) => {
                format!("'{}' has no attribute '{name}'", object(kind))
            }
            Self::Element(kind, key) => format!("{} has no element {key}", object(kind)),
            Self::Unsafe(kind, name) => {
                format!("access to attribute '{name}' of '{kind}' object is unsafe")
            }
            Self::Hint(hint) => (*hint).into(),
            Self::Parameter(name) => format!("parameter '{name}' was not provided"),
        }
    }
}

/// What is read once, such as what `map` gives.
#[derive(Debug)]
pub(crate) struct Iter {
    pub(crate) name: &'static str,
    pub(crate) depth: usize,
    items: RefCell<std::vec::IntoIter<Value>>,
    /// What failed after these items; it is told to who reads so far.
    failed: RefCell<Option<Fault>>,
}

impl Iter {
    pub(super) fn new(name: &'static str, items: Vec<Value>, failed: Option<Fault>) -> Self {
        Self {
            name,
            depth: 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            items: RefCell::new(items.into_iter()),
            failed: RefCell::new(failed),
        }
    }

    pub(crate) fn next(&self) -> Res<Option<Value>> {
        match self.items.borrow_mut().next() {
            Some(item) => Ok(Some(item)),
            None => self.failed.take().map_or(Ok(None), Err),
        }
    }

    pub(crate) fn rest(&self) -> Res<Vec<Value>> {
        let rest = self.items.borrow_mut().by_ref().collect();
        self.failed.take().map_or(Ok(rest), Err)
    }
}

/// What `namespace` gives. The interpreter holds each until its end and empties it then, since one
/// may hold itself.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) attributes: RefCell<Vec<(Arc<str>, Value)>>,
}

impl Namespace {
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let attributes = self.attributes.borrow();
        let found = attributes.iter().find(|(key, _)| **key == *name);
        found.map(|(_, value)| value.clone())
    }

    pub(crate) fn set(&self, name: &Arc<str>, value: Value) {
        let mut attributes = self.attributes.borrow_mut();
        let replaced = match attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                attributes.push((name.clone(), value));
                None
            }
        };
        drop(attributes);
        drop(replaced);
    }
}

/// The variable `loop`. The interpreter holds each until its end.
#[derive(Debug)]
pub(crate) struct LoopState {
    pub(crate) def: Arc<For>,
    pub(crate) scope: Rc<Scope>,
    pub(crate) source: RefCell<Rc<Iter>>,
    /// The number of items where it is known without reading them.
    pub(crate) len: Cell<Option<usize>>,
    /// Whether what is left has passed the loop's condition.
    pub(crate) tested: Cell<bool>,
    pub(crate) index0: Cell<usize>,
    pub(crate) started: Cell<bool>,
    pub(crate) depth0: usize,
    pub(crate) before: RefCell<Option<Value>>,
    pub(crate) current: RefCell<Option<Value>>,
    /// The next item, if it was looked at.
    pub(crate) after: RefCell<Option<Option<Value>>>,
    pub(crate) changed: RefCell<Option<Value>>,
}

impl LoopState {
    /// Lets go of all values.
    pub(crate) fn clear(&self) {
        let rest = self.source.borrow().rest();
        drop(rest);
        self.before.replace(None);
        self.current.replace(None);
        self.after.replace(None);
        self.changed.replace(None);
    }
}

/// What `cycler` gives.
#[derive(Debug)]
pub(crate) struct Cycler {
    pub(crate) items: Vec<Value>,
    pub(crate) depth: usize,
    pub(crate) at: Cell<usize>,
}

/// What `joiner` gives.
#[derive(Debug)]
pub(crate) struct Joiner {
    pub(crate) separator: Value,
    pub(crate) used: Cell<bool>,
}

/// A macro with the scope in which it was defined.
#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) def: Arc<MacroDef>,
    pub(crate) scope: Rc<Scope>,
}
