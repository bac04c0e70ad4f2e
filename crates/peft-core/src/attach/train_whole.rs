//! [`train_whole`]: modules that train whole where no weight is adapted.

use burn::module::Module;

use crate::attach::{WholeModules, carriers, place};
use crate::select::params;
use crate::slot::{not_routed, valid_name};
use crate::statistics::Holders;
use crate::{PeftError, slots};

/// Freeze a model's base and let `modules`, by suffix, train whole: a classifier's fresh head
/// beside a soft prompt or a prefix, for instance.
///
/// What [`attach`](crate::attach()) does beside the adapters: each parameter gets a copy that
/// trains, a [`Whole`](crate::Whole) under `name`, so the base stays as it was. The copies act at
/// once, after whatever is active there. The paths of the copied parameters, in the model's order.
///
/// # Errors
///
/// A [`PeftError`], with the model untouched.
pub fn train_whole<M: Module>(
    model: &mut M,
    name: &str,
    modules: &[String],
) -> Result<Vec<String>, PeftError> {
    valid_name(name)?;
    not_routed(model)?;
    let existing = slots(model);
    if existing.iter().any(|(_, slot)| slot.contains(name)) {
        return Err(PeftError::DuplicateAdapter { name: name.into() });
    }
    let disabled = existing.iter().any(|(_, slot)| slot.is_disabled());
    let params = params(model);
    let modules = WholeModules::new(modules, &params)?;
    let holders = Holders::of(model);
    holders.check(|module| !modules.holds_module(module))?;
    let statistics = carriers(&holders, &modules, &params)?;
    let whole: Vec<String> = params
        .into_iter()
        .filter(|param| param.adapter.is_none() && modules.holds(&param.path))
        .map(|param| param.path)
        .filter(|path| !holders.has_state(path))
        .collect();
    place(
        model,
        name,
        existing.into_iter().collect(),
        &whole,
        &statistics,
        |slot| {
            if slot.contains(name) {
                let mut active = slot.active().to_vec();
                active.push((name.into(), 1.0));
                slot.set_active(
                    active
                        .iter()
                        .map(|(name, strength)| (name.as_str(), *strength)),
                );
                slot.set_disabled(disabled);
            }
        },
    )?;
    Ok(whole)
}
