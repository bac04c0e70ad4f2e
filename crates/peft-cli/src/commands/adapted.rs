//! Adapters in directories, as the command opens and attaches them.

use std::path::Path;

use peft_model::Transformer;
use peft_store::{Adaptable, AdapterFileError, AttachedAdapter, Checkpoint, SavedAdapter};

use crate::error::CliError;
use crate::say::say;

/// The name under which the command attaches an adapter.
pub(super) const ADAPTER: &str = "default";

/// What is in a directory without a base, to look at.
pub(super) fn open_alone(dir: &Path) -> Result<SavedAdapter, AdapterFileError> {
    known(SavedAdapter::open_alone(dir)?)
}

/// What is in a directory; layers that it does not name are those of the base's family, if that is
/// known.
pub(super) fn open(
    dir: &Path,
    base: Option<&Checkpoint>,
) -> Result<SavedAdapter, AdapterFileError> {
    known(match base {
        Some(base) => SavedAdapter::open_on(dir, base)?,
        None => SavedAdapter::open(dir)?,
    })
}

/// The command has no methods of its own.
fn known(saved: SavedAdapter) -> Result<SavedAdapter, AdapterFileError> {
    match saved {
        SavedAdapter::Own(own) => Err(own.unknown_method()),
        saved => Ok(saved),
    }
}

/// What is in a directory, for a model of this kind.
pub(super) fn open_for_task(dir: &Path, checkpoint: &Checkpoint) -> Result<SavedAdapter, CliError> {
    let saved = open(dir, Some(checkpoint))?;
    saved.check_task(checkpoint)?;
    Ok(saved)
}

/// Attach it, and say what may be amiss.
pub(super) fn attach<M: Transformer>(
    saved: &SavedAdapter,
    model: &mut Adaptable<M>,
) -> Result<AttachedAdapter, AdapterFileError> {
    attach_as(saved, model, ADAPTER)
}

/// The same under another name.
pub(super) fn attach_as<M: Transformer>(
    saved: &SavedAdapter,
    model: &mut Adaptable<M>,
    name: &str,
) -> Result<AttachedAdapter, AdapterFileError> {
    let attached = saved.attach(model, name)?;
    attached.warnings.iter().for_each(|warning| warn(warning));
    Ok(attached)
}

/// An error where what a directory holds cannot stand beside other adapters, or act in part.
pub(super) fn check_acts_with_others(saved: &SavedAdapter, dir: &Path) -> Result<(), CliError> {
    match (saved, saved.n_virtual_tokens()) {
        (SavedAdapter::Peft(_), 0) => Ok(()),
        _ => Err(CliError::Usage(format!(
            "{} is no adapter of weights ({}), so it acts whole and alone: give it as the one --adapter, without a weight",
            dir.display(),
            saved.method().as_str().unwrap_or_default()
        ))),
    }
}

/// An error where what a directory holds is no part of the weights.
pub(super) fn check_merges(saved: &SavedAdapter, dir: &Path) -> Result<(), CliError> {
    match saved.n_virtual_tokens() {
        0 => Ok(()),
        _ => Err(CliError::Usage(format!(
            "{} holds what stands beside a text ({}) and is no part of the weights, so it cannot be merged; run the model with --adapter, or train --method lora for a model that needs none",
            dir.display(),
            saved.method().as_str().unwrap_or_default()
        ))),
    }
}

pub(super) fn warn(warning: &str) {
    say!("warning: {warning}");
}
