//! [`adapter_names`], and what is asked of a name and of a model before its adapters change.

use burn::module::Module;

use crate::{PeftError, slots};

/// The names of the adapters that a model has, in the order in which they are met.
pub fn adapter_names<M: Module>(model: &M) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, slot) in slots(model) {
        for name in slot.names() {
            if !names.iter().any(|known| known == name) {
                names.push(name.into());
            }
        }
    }
    names
}

/// That there is an adapter of this name.
pub(crate) fn known(name: &str, available: &[String]) -> Result<(), PeftError> {
    if available.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(PeftError::UnknownAdapter {
        name: name.into(),
        available: available.to_vec(),
    })
}

/// An adapter's name becomes a segment of its parameters' paths.
pub(crate) fn valid_name(name: &str) -> Result<(), PeftError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(valid) {
        return Err(PeftError::InvalidAdapterName { name: name.into() });
    }
    Ok(())
}

/// What changes which adapters there are, or act, is not done under rows that have chosen.
pub(crate) fn not_routed<M: Module>(model: &M) -> Result<(), PeftError> {
    match slots(model).iter().any(|(_, slot)| slot.is_routed()) {
        true => Err(PeftError::Routed),
        false => Ok(()),
    }
}

/// Why an adapter that acts on one of a model's parameters acts otherwise in training, as one does
/// that drops some of its input.
pub fn acts_in_training_only<M: Module>(model: &M) -> Option<&'static str> {
    slots(model).iter().find_map(|(_, slot)| {
        slot.acting().iter().find_map(|active| {
            let needs = |training| active.adapter.needs_factored_path(training);
            needs(true).filter(|_| needs(false).is_none())
        })
    })
}
