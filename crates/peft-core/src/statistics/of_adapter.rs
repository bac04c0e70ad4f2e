//! The running statistics of an adapter: part of what it is.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::TensorData;

use super::of_module::Values;
use super::values::{read, write};
use crate::{PeftError, edit_slots, slots};

/// The running statistics of the modules that train whole with the adapter `name`, by path: part of
/// what the adapter is, and saved with it.
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
/// [`PeftError::Statistics`] for a path at which the adapter has none, or a value of another shape.
/// The model is then as it was.
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
