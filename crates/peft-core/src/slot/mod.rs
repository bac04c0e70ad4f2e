//! [`AdapterSlot`]: the one reparameterization that this project puts on a parameter.

mod active;
mod adapter;
mod adapter_names;
mod dropped_input;
mod erased;
mod manage;
mod schedule;
mod shared_matrix;
mod shared_param;
mod traverse;

use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Reparameterization};
use burn::tensor::{Device, Tensor};

pub(crate) use active::{ActiveAdapter, effective_bias, effective_weight};
pub use adapter::Adapter;
pub use adapter_names::{acts_in_training_only, adapter_names};
pub(crate) use adapter_names::{known, not_routed, valid_name};
pub use dropped_input::{dropped_input, drops};
pub(crate) use erased::DynAdapter;
use erased::erase;
pub use manage::{detach, rename, replace, set_active, set_disabled};
pub use schedule::AdapterSchedule;
pub use shared_matrix::{SharedMatrix, set_shared_matrices, shared_matrices};
pub use shared_param::SharedParam;
pub(crate) use traverse::{REPARAMETERIZATION, install, strip};
pub use traverse::{edit_all_slots, edit_slots, slots};

use crate::route::Routes;
use crate::statistics::Statistics;

/// Named adapters on one parameter, and which of them act, in which order and how strongly.
///
/// Which adapters there are, and which act, is a matter of the whole model:
/// [`attach`](crate::attach()), [`set_active`](crate::set_active) and their like change it. Whoever
/// edits a slot can put [other values](Self::set) in the place of an adapter's, and no more.
#[derive(Clone, Debug, Default)]
pub struct AdapterSlot {
    entries: Vec<Entry>,
    /// Names with strengths, in order of application.
    active: Vec<(String, f64)>,
    disabled: bool,
    /// Where rows of a batch choose for themselves, their choice; `active` then waits.
    routes: Option<Arc<Routes>>,
    /// The running statistics of the parameter's module that are not in the model, where it trains
    /// whole.
    statistics: Option<Statistics>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    adapter: Box<dyn DynAdapter>,
}

impl AdapterSlot {
    /// The names of all adapters, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Whether an adapter of this name is here.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|found| found == name)
    }

    /// Whether there is no adapter at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The active adapters with their strengths, in order of application; all of them even while
    /// disabled.
    pub fn active(&self) -> &[(String, f64)] {
        &self.active
    }

    /// Whether the slot is switched off: the parameter is then its base.
    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Switch the slot off or on; which adapters are active stays as it is.
    pub(crate) fn set_disabled(&mut self, disabled: bool) {
        self.disabled = disabled;
    }

    /// Whether the rows of a batch go through an adapter each, as [`route`](crate::route) says, and
    /// not through the active ones.
    pub fn is_routed(&self) -> bool {
        self.routes.is_some()
    }

    /// The method name of an adapter.
    pub fn method(&self, name: &str) -> Option<&'static str> {
        self.entry(name).map(|entry| entry.adapter.method())
    }

    /// The adapter of this name, if it is an `A`.
    pub fn get<A: Adapter>(&self, name: &str) -> Option<&A> {
        self.entry(name)?.adapter.as_any().downcast_ref()
    }

    /// Put another adapter in the place of the one of this name, which must be an `A` too; whether
    /// it was there.
    pub fn set<A: Adapter>(&mut self, name: &str, adapter: A) -> bool {
        let found = self.get::<A>(name).is_some();
        if found {
            self.insert(name, adapter);
        }
        found
    }

    /// Add an adapter, or replace the one of the same name; it is not active unless it was.
    pub(crate) fn insert<A: Adapter>(&mut self, name: impl Into<String>, adapter: A) {
        let (name, adapter) = (name.into(), erase(adapter));
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.adapter = adapter,
            None => self.entries.push(Entry { name, adapter }),
        }
    }

    /// Remove an adapter; whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.name != name);
        self.active.retain(|(active, _)| active != name);
        if let Some(statistics) = &mut self.statistics {
            statistics.remove(name);
        }
        self.entries.len() < before
    }

    /// Put the adapter `with` in the place of the adapter `name`: it gets that one's name, activity
    /// and order. Whether both were there.
    pub(crate) fn replace(&mut self, name: &str, with: &str) -> bool {
        let at = |name: &str| self.names().position(|found| found == name);
        let (Some(old), Some(new)) = (at(name), at(with)) else {
            return false;
        };
        self.entries[old].adapter = self.entries[new].adapter.clone();
        if name != with
            && let Some(statistics) = &mut self.statistics
        {
            statistics.replace(name, with);
        }
        name == with || self.remove(with)
    }

    /// Rename an adapter; whether there was one.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        for (name, _) in &mut self.active {
            if name == from {
                *name = to.into();
            }
        }
        if let Some(statistics) = &mut self.statistics {
            statistics.rename(from, to);
        }
        match self.entries.iter_mut().find(|entry| entry.name == from) {
            Some(entry) => {
                entry.name = to.into();
                true
            }
            None => false,
        }
    }

    /// Make exactly these adapters act, in this order; names that are not in this slot are passed
    /// over.
    pub(crate) fn set_active<'a>(&mut self, active: impl IntoIterator<Item = (&'a str, f64)>) {
        self.active = active
            .into_iter()
            .filter(|(name, _)| self.contains(name))
            .map(|(name, strength)| (name.to_owned(), strength))
            .collect();
    }

    /// What the adapter of this name shares with those of other slots.
    pub(crate) fn shared(&mut self, name: &str) -> Vec<&mut SharedMatrix> {
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| entry.name == name);
        entry.map_or_else(Vec::new, |entry| entry.adapter.shared())
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_ref()
    }

    pub(crate) fn statistics_mut(&mut self) -> Option<&mut Statistics> {
        self.statistics.as_mut()
    }

    /// Those of a module, made by `new` where none are held yet.
    pub(crate) fn statistics_or(&mut self, new: impl FnOnce() -> Statistics) -> &mut Statistics {
        self.statistics.get_or_insert_with(new)
    }

    /// The adapter whose statistics the model is to have: the last active one that has some, or the
    /// base.
    pub(crate) fn owner_of_statistics(&self) -> Option<&str> {
        let statistics = self.statistics.as_ref().filter(|_| !self.disabled)?;
        let mut active = self.active.iter().rev().map(|(name, _)| name.as_str());
        active.find(|name| statistics.belong_to(name))
    }

    /// Let rows of a batch choose, or no longer.
    pub(crate) fn set_routes(&mut self, routes: Option<Arc<Routes>>) {
        self.routes = routes;
    }

    /// How rows of a batch choose, where they do.
    pub(crate) fn routes(&self) -> Option<&Routes> {
        self.routes.as_deref()
    }

    /// What acts on the rows of one adapter, or of the base; the base where the adapter is not in
    /// this slot.
    pub(crate) fn chosen(&self, name: Option<&str>) -> Option<ActiveAdapter<'_>> {
        let entry = self.entry(name?)?;
        (!self.disabled).then(|| ActiveAdapter {
            adapter: entry.adapter.as_ref(),
            strength: 1.0,
        })
    }

    /// What acts on every row; none where rows differ.
    fn acting_on_all(&self) -> Option<Vec<ActiveAdapter<'_>>> {
        let Some(routes) = self.routes() else {
            return Some(self.acting());
        };
        let here = |name: Option<&str>| {
            name.filter(|name| !self.disabled && self.contains(name))
                .map(str::to_owned)
        };
        let mut choices = routes.groups().map(|(name, _)| here(name));
        let first = choices.next()?;
        let alike = choices.all(|choice| choice == first);
        alike.then(|| self.chosen(first.as_deref()).into_iter().collect())
    }

    /// What acts in the forward now, where rows do not choose.
    pub(crate) fn acting(&self) -> Vec<ActiveAdapter<'_>> {
        if self.disabled {
            return Vec::new();
        }
        self.active
            .iter()
            .filter_map(|(name, strength)| {
                Some(ActiveAdapter {
                    adapter: self.entry(name)?.adapter.as_ref(),
                    strength: *strength,
                })
            })
            .collect()
    }

    /// Whether it has an adapter that a layer tied to the parameter is
    /// [not changed by](Adapter::changes_tied).
    pub fn leaves_tied(&self) -> bool {
        let mut all = self.entries.iter();
        all.any(|entry| !entry.adapter.changes_tied())
    }

    /// The method of an acting adapter that a merged model cannot hold, and why.
    pub(crate) fn cannot_merge(&self) -> Option<(&'static str, &'static str)> {
        self.acting().iter().find_map(|active| {
            let reason = active.adapter.cannot_merge()?;
            Some((active.adapter.method(), reason))
        })
    }

    /// The effective weight as a merge writes it: dropout has no part in it.
    pub(crate) fn merged_weight<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        effective_weight(base.into(), &self.acting()).dense()
    }

    /// The effective bias of the layer whose weight carries this slot.
    pub(crate) fn merged_bias(&self, base: Tensor<1>) -> Tensor<1> {
        effective_bias(base, &self.acting())
    }
}

impl Reparameterization for AdapterSlot {
    const NAME: &'static str = "adapters";

    /// # Panics
    ///
    /// Where an active adapter cannot be expressed by the weight alone, or rows of a batch go
    /// through different adapters: the model then has to call [`linear`](crate::linear),
    /// [`embedding`](crate::embedding) or [`features`](crate::features) for this layer.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        if traverse::stripping() {
            return base;
        }
        let Some(acting) = self.acting_on_all() else {
            panic!(
                "a parameter was read in weight space, which cannot carry that rows go through different adapters; \
                 call peft_core::linear, embedding or features for this layer"
            );
        };
        let training = base.device().is_autodiff();
        for active in &acting {
            if let Some(reason) = active.adapter.needs_factored_path(training) {
                let method = active.adapter.method();
                panic!(
                    "a weight with an active {method} adapter was read in weight space, which cannot carry it: \
                     {reason}; call peft_core::linear for this layer"
                );
            }
        }
        effective_weight(base.into(), &acting).dense()
    }
}

impl AdapterSlot {
    fn with_routes_on(mut self, device: &Device) -> Self {
        let moved = self.routes().map(|routes| routes.to_device(device));
        self.routes = moved.map(Arc::new);
        self
    }

    fn map_adapters(
        mut self,
        mut f: impl FnMut(&str, Box<dyn DynAdapter>) -> Box<dyn DynAdapter>,
    ) -> Self {
        self.entries = self
            .entries
            .into_iter()
            .map(|Entry { name, adapter }| {
                let adapter = f(&name, adapter);
                Entry { name, adapter }
            })
            .collect();
        self
    }
}

impl Module for AdapterSlot {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.entries.iter().fold(devices, |devices, entry| {
            entry.adapter.collect_devices_dyn(devices)
        })
    }

    fn fork(self, device: &Device) -> Self {
        self.with_routes_on(device)
            .map_adapters(|_, adapter| adapter.fork_dyn(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with_routes_on(device)
            .map_adapters(|_, adapter| adapter.to_device_dyn(device))
    }

    fn train(self) -> Self {
        self.map_adapters(|_, adapter| adapter.train_dyn())
    }

    fn valid(&self) -> Self {
        self.clone().map_adapters(|_, adapter| adapter.valid_dyn())
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if traverse::offer(self) {
            return;
        }
        for Entry { name, adapter } in &self.entries {
            visitor.enter_module(name, adapter.method());
            erased::visit(adapter.as_ref(), visitor);
            visitor.exit_module(name, adapter.method());
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        if let Some(replacement) = traverse::take_replacement() {
            return replacement;
        }
        self.map_adapters(|name, adapter| {
            let method = adapter.method();
            mapper.enter_module(name, method);
            let adapter = erased::map(adapter, mapper);
            mapper.exit_module(name, method);
            adapter
        })
    }
}
