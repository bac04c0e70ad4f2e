//! [`exchange`]: the statistics in a model are those of what acts.

use burn::module::Module;

use super::find::SetFlags;
use super::of_module::Values;
use super::values::{read, write};
use crate::AdapterSlot;

/// Put the statistics into the model that belong to what acts now by these slots, which are to be
/// put on it, and keep those that were there.
///
/// The last active adapter that has statistics of a module gives them, at any strength; where none
/// has, or adapters are switched off, they are the base's. The base's stand still in training.
pub(crate) fn exchange<M: Module>(model: &mut M, slots: &mut [(String, AdapterSlot)]) {
    let due = slots.iter().any(|(_, slot)| {
        let statistics = slot.statistics();
        statistics.is_some_and(|kept| kept.live() != slot.owner_of_statistics())
    });
    if !due {
        return;
    }
    let now = read(model, |path| {
        let mut kept = slots.iter().filter_map(|(_, slot)| slot.statistics());
        kept.any(|kept| kept.holds(path))
    });
    let mut next = Values::new();
    for (_, slot) in slots.iter_mut() {
        let owner = slot.owner_of_statistics().map(str::to_owned);
        let last = slot.statistics().and_then(|kept| kept.live());
        let keep = last.is_none_or(|last| slot.contains(last));
        let Some(kept) = slot.statistics_mut() else {
            continue;
        };
        if kept.live() == owner.as_deref() {
            continue;
        }
        let own = now.iter().filter(|(path, _)| kept.holds(path));
        let own = own.map(|(path, value)| (path.clone(), value.clone()));
        let own: Values = own.collect();
        next.extend(kept.swap(owner.as_deref(), keep, own).unwrap_or_default());
    }
    let model_with = write(model.clone(), &next);
    *model = SetFlags::apply(model_with, |module| {
        let mut kept = slots.iter().filter_map(|(_, slot)| slot.statistics());
        kept.find(|kept| kept.module() == module)
            .map(|kept| kept.moves())
    });
}
