//! [`AdapterSlot`]: the one reparameterization that this project puts on a parameter.

mod erased;
mod traverse;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Reparameterization};
use burn::tensor::{Device, Tensor};

pub(crate) use erased::DynAdapter;
use erased::erase;
pub(crate) use traverse::{REPARAMETERIZATION, install, strip};
pub use traverse::{edit_slots, slots};

use crate::Adapter;
use crate::frozen::{effective_bias, effective_weight};

/// Named adapters on one parameter, and which of them act, in which order and how strongly.
#[derive(Clone, Debug, Default)]
pub struct AdapterSlot {
    entries: Vec<Entry>,
    /// Names with strengths, in order of application.
    active: Vec<(String, f64)>,
    disabled: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    adapter: Box<dyn DynAdapter>,
}

/// An adapter that takes part in the forward, with its strength.
pub(crate) struct ActiveAdapter<'a> {
    pub(crate) adapter: &'a dyn DynAdapter,
    strength: f64,
}

impl ActiveAdapter<'_> {
    /// `below + strength · (adapted − below)`, evaluating `below` only where the strength asks for it.
    pub(crate) fn blend<const D: usize>(
        &self,
        below: impl FnOnce() -> Tensor<D>,
        adapted: impl FnOnce() -> Tensor<D>,
    ) -> Tensor<D> {
        if self.strength == 1.0 {
            return adapted();
        }
        let below = below();
        below.clone() + (adapted() - below).mul_scalar(self.strength)
    }
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

    /// The active adapters with their strengths, in order of application; all of them even while disabled.
    pub fn active(&self) -> &[(String, f64)] {
        &self.active
    }

    /// Whether the slot is switched off: the parameter is then its base.
    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Switch the slot off or on; which adapters are active stays as it is.
    pub fn set_disabled(&mut self, disabled: bool) {
        self.disabled = disabled;
    }

    /// The method name of an adapter.
    pub fn method(&self, name: &str) -> Option<&'static str> {
        self.entry(name).map(|entry| entry.adapter.method())
    }

    /// The adapter of this name, if it is an `A`.
    pub fn get<A: Adapter>(&self, name: &str) -> Option<&A> {
        self.entry(name)?.adapter.as_any().downcast_ref()
    }

    /// Add an adapter, or replace the one of the same name; it is not active unless it was.
    pub fn insert<A: Adapter>(&mut self, name: impl Into<String>, adapter: A) {
        let (name, adapter) = (name.into(), erase(adapter));
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.adapter = adapter,
            None => self.entries.push(Entry { name, adapter }),
        }
    }

    /// Remove an adapter; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.name != name);
        self.active.retain(|(active, _)| active != name);
        self.entries.len() < before
    }

    /// Rename an adapter; whether there was one.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        for (name, _) in &mut self.active {
            if name == from {
                *name = to.into();
            }
        }
        match self.entries.iter_mut().find(|entry| entry.name == from) {
            Some(entry) => {
                entry.name = to.into();
                true
            }
            None => false,
        }
    }

    /// Make exactly these adapters act, in this order; names that are not in this slot are passed over.
    pub fn set_active<'a>(&mut self, active: impl IntoIterator<Item = (&'a str, f64)>) {
        self.active = active
            .into_iter()
            .filter(|(name, _)| self.contains(name))
            .map(|(name, strength)| (name.to_owned(), strength))
            .collect();
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// What acts in the forward now.
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

    /// Why weight space does not carry an active adapter, with its method's name.
    pub(crate) fn weight_space_gap(&self, training: bool) -> Option<(&'static str, &'static str)> {
        self.acting().iter().find_map(|active| {
            let reason = active.adapter.needs_factored_path(training)?;
            Some((active.adapter.method(), reason))
        })
    }

    /// The effective weight as a merge writes it: dropout has no part in it.
    pub(crate) fn merged_weight<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        effective_weight(base, &self.acting())
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
    /// Where an active adapter cannot be expressed by the weight alone: the model then has to call
    /// [`linear`](crate::linear) for this layer.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        if traverse::stripping() || self.acting().is_empty() {
            return base;
        }
        if let Some((method, reason)) = self.weight_space_gap(base.device().is_autodiff()) {
            panic!(
                "a weight with an active {method} adapter was read in weight space, which cannot carry it: \
                 {reason}; call peft_core::linear for this layer"
            );
        }
        self.merged_weight(base)
    }
}

impl AdapterSlot {
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
        self.map_adapters(|_, adapter| adapter.fork_dyn(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_adapters(|_, adapter| adapter.to_device_dyn(device))
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
