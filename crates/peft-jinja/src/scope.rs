//! [`Scope`]: names and their values.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::value::Value;

#[derive(Debug, Default)]
pub(crate) struct Scope {
    names: RefCell<HashMap<Arc<str>, Value>>,
    parent: Option<Rc<Scope>>,
    held: Cell<bool>,
}

impl Scope {
    pub(crate) fn within(parent: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self {
            names: RefCell::default(),
            parent: Some(parent.clone()),
            held: Cell::new(false),
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some(value) = here.names.borrow().get(name) {
                return Some(value.clone());
            }
            scope = here.parent.as_deref();
        }
        None
    }

    pub(crate) fn set(&self, name: &Arc<str>, value: Value) {
        let replaced = self.names.borrow_mut().insert(name.clone(), value);
        drop(replaced);
    }

    pub(crate) fn parent(&self) -> Option<&Rc<Self>> {
        self.parent.as_ref()
    }

    /// Marks it as held; whether it was not.
    pub(crate) fn hold(&self) -> bool {
        !self.held.replace(true)
    }

    pub(crate) fn clear(&self) {
        let names = self.names.take();
        drop(names);
    }
}
