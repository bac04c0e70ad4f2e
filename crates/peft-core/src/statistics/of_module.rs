//! [`Statistics`]: those of one module that are not in the model now.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

/// Values by path.
pub(crate) type Values = BTreeMap<String, TensorData>;

/// The running statistics of a module that trains whole: the base has some, and each adapter that
/// the module trains with. One of them is in the model.
///
/// They lie in the slot of one of the module's parameters, so what happens to that parameter's
/// copies happens to them.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    module: String,
    /// The owner of those in the model; the base where none.
    live: Option<String>,
    /// By owner, all others.
    apart: BTreeMap<Option<String>, Values>,
}

impl Statistics {
    /// Of a module that no adapter trains yet.
    pub(crate) fn new(module: &str) -> Self {
        Self {
            module: module.into(),
            live: None,
            apart: BTreeMap::new(),
        }
    }

    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    /// Whether those in the model move in training: an adapter's do, the base's never.
    pub(crate) fn moves(&self) -> bool {
        self.live.is_some()
    }

    /// Whether they are at this path.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let mut all = self.apart.values();
        all.any(|values| values.contains_key(path))
    }

    /// The base's, where they are not in the model.
    pub(crate) fn of_base(&self) -> Option<&Values> {
        self.apart.get(&None)
    }

    /// Whose are in the model.
    pub(crate) fn live(&self) -> Option<&str> {
        self.live.as_deref()
    }

    /// Whether this adapter has some.
    pub(crate) fn belong_to(&self, name: &str) -> bool {
        self.live() == Some(name) || self.apart.contains_key(&Some(name.to_owned()))
    }

    /// An adapter's, where they are not in the model.
    pub(crate) fn apart(&self, name: &str) -> Option<&Values> {
        self.apart.get(&Some(name.to_owned()))
    }

    pub(crate) fn set_apart(&mut self, name: &str, values: Values) {
        self.apart.insert(Some(name.into()), values);
    }

    /// `now` gives way to those of `owner`, if there are any, and is kept unless its owner has
    /// gone.
    pub(crate) fn swap(&mut self, owner: Option<&str>, keep: bool, now: Values) -> Option<Values> {
        let owner = owner.map(str::to_owned);
        let next = self.apart.remove(&owner)?;
        let last = std::mem::replace(&mut self.live, owner);
        if keep {
            self.apart.insert(last, now);
        }
        Some(next)
    }

    /// Those of `with` are now those of `name`.
    pub(crate) fn replace(&mut self, name: &str, with: &str) {
        self.remove(name);
        if self.live() == Some(name) {
            // No adapter's name: what is in the model belongs to nothing any more.
            self.live = Some(String::new());
        }
        self.rename(with, name);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.apart.remove(&Some(name.to_owned()));
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if self.live() == Some(from) {
            self.live = Some(to.into());
        }
        if let Some(values) = self.apart.remove(&Some(from.to_owned())) {
            self.set_apart(to, values);
        }
    }
}
