//! Running statistics read from a model, and put into it.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::statistics::Values;
use crate::{PeftError, edit_slots, slots};

/// The values at the paths that `wanted` chooses.
///
/// Threads note what they have seen for themselves; it is brought together first, as Burn does when a model leaves training.
pub(crate) fn read<M: Module>(model: &M, wanted: impl Fn(&str) -> bool) -> Values {
    let _ = model.valid();
    let mut read = Read {
        path: Vec::new(),
        wanted,
        found: Values::new(),
    };
    model.visit(&mut read);
    read.found
}

/// The model with these values. What was a clone of it keeps its own: clones share their running statistics otherwise.
pub(super) fn write<M: Module>(model: M, values: &Values) -> M {
    apart(model).map(&mut Write {
        path: Vec::new(),
        values,
    })
}

/// The same model, sharing its running statistics with no clone.
pub(crate) fn apart<M: Module>(model: M) -> M {
    match model.devices().iter().any(Device::is_autodiff) {
        true => model.valid().train(),
        false => model.valid(),
    }
}

struct Read<F> {
    path: Vec<String>,
    wanted: F,
    found: Values,
}

impl<F: Fn(&str) -> bool> ModuleVisitor for Read<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if (self.wanted)(&path) {
            self.found.insert(path, param.base().into_data());
        }
    }
}

struct Write<'a> {
    path: Vec<String>,
    values: &'a Values,
}

impl ModuleMapper for Write<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.values.get(&self.path.join(".")) else {
            return param;
        };
        let (id, now, mapper) = param.consume();
        let value = Tensor::from_data(data.clone(), (&now.device(), now.dtype()));
        Param::from_mapped_value(id, value, mapper)
    }
}

/// The running statistics of the modules that train whole with the adapter `name`, by path: part of what the adapter is, and saved with it.
///
/// Empty for an adapter that trains no such module.
pub fn statistics<M: Module>(model: &M, name: &str) -> BTreeMap<String, TensorData> {
    let mut found = Values::new();
    for (_, slot) in slots(model) {
        let Some(statistics) = slot.statistics().filter(|kept| kept.belong_to(name)) else {
            continue;
        };
        match statistics.apart(name) {
            Some(values) => found.extend(values.clone()),
            None => found.extend(read(model, |path| statistics.holds(path))),
        }
    }
    found
}

/// Give the adapter `name` these running statistics in place of its own, by path; others stay.
///
/// # Errors
///
/// [`PeftError::Statistics`] for a path at which the adapter has none, or a value of another shape. The model is then as it was.
pub fn set_statistics<M: Module>(
    model: &mut M,
    name: &str,
    values: &BTreeMap<String, TensorData>,
) -> Result<(), PeftError> {
    let mut known = statistics(model, name);
    for (path, value) in values {
        match known.get_mut(path) {
            Some(now) if now.shape() == value.shape() => *now = value.clone(),
            Some(_) => return Err(wrong(path, "have another shape")),
            None => return Err(wrong(path, "are not among those that this adapter trains")),
        }
    }
    let mut live = Values::new();
    edit_slots(model, |_, slot| {
        let Some(kept) = slot.statistics_mut().filter(|kept| kept.belong_to(name)) else {
            return Ok(());
        };
        let own: Values = known
            .iter()
            .filter(|(path, _)| kept.holds(path))
            .map(|(path, value)| (path.clone(), value.clone()))
            .collect();
        match kept.live() == Some(name) {
            true => live.extend(own),
            false => kept.set_apart(name, own),
        }
        Ok(())
    })?;
    if !live.is_empty() {
        *model = write(model.clone(), &live);
    }
    Ok(())
}

fn wrong(path: &str, problem: &'static str) -> PeftError {
    PeftError::Statistics {
        path: path.into(),
        problem,
    }
}
