//! Operations on the adapters that a model has: activate, switch off, rename, replace, detach.

use burn::module::Module;

use crate::slot::{known, not_routed, valid_name};
use crate::{PeftError, adapter_names, edit_slots, slots};

/// Make exactly these adapters act, with these strengths, the first closest to the base weight.
///
/// A strength of 1 is the adapter as it was trained; `w` gives `y_below + w (y_adapter − y_below)`.
/// Which adapters train is not touched.
///
/// # Errors
///
/// [`PeftError::UnknownAdapter`]; [`PeftError::InvalidSetting`] for a strength that is not finite
/// or a name given twice; [`PeftError::Routed`].
pub fn set_active<M: Module>(model: &mut M, active: &[(&str, f64)]) -> Result<(), PeftError> {
    not_routed(model)?;
    let available = adapter_names(model);
    for (i, (name, strength)) in active.iter().enumerate() {
        known(name, &available)?;
        if !strength.is_finite() {
            return Err(PeftError::InvalidSetting {
                field: format!("the strength of adapter `{name}`"),
                value: strength.to_string(),
                expected: "finite",
            });
        }
        if active[..i].iter().any(|(other, _)| other == name) {
            return Err(PeftError::InvalidSetting {
                field: format!("adapter `{name}`"),
                value: "named twice".into(),
                expected: "named once",
            });
        }
    }
    edit_slots(model, |_, slot| {
        slot.set_active(active.iter().copied());
        Ok(())
    })
}

/// Switch all adapters off, or on again: off, the model computes what its base does. Which adapters
/// are active is kept.
///
/// # Errors
///
/// [`PeftError::ForeignReparameterization`].
pub fn set_disabled<M: Module>(model: &mut M, disabled: bool) -> Result<(), PeftError> {
    edit_slots(model, |_, slot| {
        slot.set_disabled(disabled);
        Ok(())
    })
}

/// Give an adapter another name.
///
/// # Errors
///
/// [`PeftError::UnknownAdapter`], [`PeftError::DuplicateAdapter`],
/// [`PeftError::InvalidAdapterName`] or [`PeftError::Routed`].
pub fn rename<M: Module>(model: &mut M, from: &str, to: &str) -> Result<(), PeftError> {
    not_routed(model)?;
    let available = adapter_names(model);
    known(from, &available)?;
    valid_name(to)?;
    if available.iter().any(|name| name == to) {
        return Err(PeftError::DuplicateAdapter { name: to.into() });
    }
    edit_slots(model, |_, slot| {
        slot.rename(from, to);
        Ok(())
    })
}

/// Put the adapter `with` in the place of the adapter `name`, which is gone: it gets that one's
/// name, and acts where, in the order and as strongly as that one did.
///
/// So values are swapped under a model that is in use: attach them under a name that is free, from
/// a file for instance, where they do not act, then replace. Both are of the same method and on the
/// same parameters, copies that train beside them included; ranks may differ. What trains is what
/// trained of `with`; an optimizer that knew the old values knows nothing of these.
///
/// # Errors
///
/// [`PeftError::UnknownAdapter`]; [`PeftError::UnlikeAdapters`] with every parameter in which they
/// differ; [`PeftError::Routed`].
pub fn replace<M: Module>(model: &mut M, name: &str, with: &str) -> Result<(), PeftError> {
    not_routed(model)?;
    let available = adapter_names(model);
    known(name, &available)?;
    known(with, &available)?;
    let places: Vec<String> = slots(model)
        .into_iter()
        .filter_map(
            |(path, slot)| match (slot.method(name), slot.method(with)) {
                (Some(old), Some(new)) if old != new => Some(format!("{path}: {old} and {new}")),
                (Some(_), None) => Some(format!("{path}: only {name}")),
                (None, Some(_)) => Some(format!("{path}: only {with}")),
                _ => None,
            },
        )
        .collect();
    if !places.is_empty() {
        return Err(PeftError::UnlikeAdapters {
            name: name.into(),
            with: with.into(),
            places,
        });
    }
    edit_slots(model, |_, slot| {
        slot.replace(name, with);
        Ok(())
    })
}

/// Remove an adapter with all its parameters. Base parameters stay frozen.
///
/// # Errors
///
/// [`PeftError::UnknownAdapter`] or [`PeftError::Routed`].
pub fn detach<M: Module>(model: &mut M, name: &str) -> Result<(), PeftError> {
    not_routed(model)?;
    known(name, &adapter_names(model))?;
    edit_slots(model, |_, slot| {
        slot.remove(name);
        Ok(())
    })
}
