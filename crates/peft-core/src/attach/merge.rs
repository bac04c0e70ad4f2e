//! [`merge`]: fold the active adapters into the base, so that inference costs nothing more.

use std::collections::HashMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::slot::not_routed;
use crate::slot::strip;
use crate::statistics::apart;
use crate::{AdapterSlot, FrozenWeight, MapParams, ParamPlace, PeftError, map_params, slots};

/// A model as it was before [`merge`]. It shares with the merged model every tensor that merging
/// did not change.
#[derive(Debug)]
#[must_use = "it holds the weights that merging changed: restore them, or drop it to free them"]
pub struct Unmerged<M>(M);

impl<M> Unmerged<M> {
    /// Undo the merge: `model` is again what it was, bit for bit.
    pub fn restore(self, model: &mut M) {
        *model = self.0;
    }
}

/// Fold the active adapters into the base parameters and remove all slots.
///
/// The sum is formed in f32 and rounded once to the base's dtype. The model that comes back in
/// [`Unmerged`] restores the base exactly; drop it to free the unmerged weights.
///
/// A model that reads one parameter in two places, such as an embedding that is the output layer
/// too, reads the merged one in both: where an adapter acts in one of them alone, give the other a
/// parameter of its own first.
///
/// # Errors
///
/// [`PeftError::NoAdapter`]; [`PeftError::InactiveAdapters`] where an adapter would be dropped
/// without having been merged; [`PeftError::CannotMerge`]; [`PeftError::NonFinite`];
/// [`PeftError::Routed`]. The model is then unchanged.
pub fn merge<M: Module>(model: &mut M) -> Result<Unmerged<M>, PeftError> {
    let merged = into_merged(model.clone())?;
    Ok(Unmerged(std::mem::replace(model, merged)))
}

/// As [`merge`], of a model that nothing else is to have: each weight is freed when its merged one
/// is there, so that this takes the memory of the model and of one layer.
///
/// # Errors
///
/// Those of [`merge`]; the model is gone then.
pub fn into_merged<M: Module>(model: M) -> Result<M, PeftError> {
    not_routed(&model)?;
    let slots: HashMap<String, AdapterSlot> = slots(&model).into_iter().collect();
    if slots.is_empty() {
        return Err(PeftError::NoAdapter);
    }
    let mut inactive: Vec<String> = slots
        .values()
        .flat_map(|slot| {
            slot.names()
                .filter(|name| {
                    slot.is_disabled() || !slot.active().iter().any(|(active, _)| active == name)
                })
                .map(str::to_owned)
        })
        .collect();
    inactive.sort();
    inactive.dedup();
    if !inactive.is_empty() {
        return Err(PeftError::InactiveAdapters { names: inactive });
    }
    let cannot = slots.iter().filter_map(|(path, slot)| {
        let (method, reason) = slot.cannot_merge()?;
        Some((path.clone(), method, reason))
    });
    if let Some((path, method, reason)) = cannot.min() {
        return Err(PeftError::CannotMerge {
            method,
            path,
            reason,
        });
    }
    let mut merged = model;
    if slots.values().any(|slot| slot.statistics().is_some()) {
        merged = apart(merged);
    }
    strip(&mut merged)?;
    let mut fold = Fold {
        slots,
        not_finite: None,
    };
    merged = map_params(merged, &mut fold);
    if let Some(path) = fold.not_finite {
        return Err(PeftError::NonFinite { path });
    }
    Ok(merged)
}

struct Fold {
    slots: HashMap<String, AdapterSlot>,
    not_finite: Option<String>,
}

impl Fold {
    /// The slot on the weight of the layer whose bias is at `path`.
    fn weight_slot(&self, path: &str) -> Option<&AdapterSlot> {
        let layer = path.strip_suffix("bias")?;
        self.slots.get(&format!("{layer}weight"))
    }
}

impl MapParams for Fold {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let own = self.slots.get(&path);
        // A bias also follows the adapters on its layer's weight.
        let above = if D == 1 {
            self.weight_slot(&path)
        } else {
            None
        };
        if own.is_none() && above.is_none() {
            return param;
        }
        // What is merged is a dense weight, whatever it was stored as before.
        let base = FrozenWeight::of(&param);
        let mut value = base.dense_in(DType::F32).detach();
        if let Some(slot) = own {
            value = slot.merged_weight(value);
        }
        if let Some(slot) = above {
            let dims = value.dims();
            value = slot.merged_bias(value.reshape([dims[0]])).reshape(dims);
        }
        let value = base.rounded(value).detach();
        if !value.clone().is_finite().all().into_scalar::<bool>() {
            self.not_finite.get_or_insert(path);
            return param;
        }
        param.map(|old| value.set_require_grad(old.is_require_grad()))
    }
}
