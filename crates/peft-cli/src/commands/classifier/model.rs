//! Models with a head and an adapter.

use std::path::Path;

use burn::module::Module;
use peft_core::Transformer;
use peft_store::{Checkpoint, Headed};

use crate::commands::adapted::{Adapted, Saved, bare};
use crate::error::CliError;

/// The checkpoint without its head, where what was trained has one of its own.
pub(in crate::commands) fn without_head(
    checkpoint: Checkpoint,
    adapter: Option<&Path>,
) -> Result<Checkpoint, CliError> {
    let outputs = adapter.map(|dir| Saved::open(dir, Some(&checkpoint))?.outputs());
    let outputs = outputs.transpose()?;
    Ok(match outputs.flatten() {
        Some(_) => checkpoint.with_new_head(),
        None => checkpoint,
    })
}

/// A model with its adapter, ready to be evaluated.
pub(in crate::commands) fn adapted<M: Transformer>(
    Headed { model, fresh }: Headed<M>,
    adapter: Option<&Path>,
    checkpoint: &Checkpoint,
) -> Result<Adapted<M>, CliError> {
    let mut model = bare(model);
    match adapter {
        Some(dir) => {
            let attached = Saved::open(dir, Some(checkpoint))?.attach(&mut model)?;
            let held = attached.whole.iter().chain(&attached.replaced);
            let missing = fresh.iter().find(|module| {
                let within = format!("{module}.");
                let is_within = |path: &String| {
                    path.starts_with(&within) || path.contains(&format!(".{within}"))
                };
                !held.clone().any(is_within)
            });
            if let Some(module) = missing {
                return Err(CliError::Usage(format!(
                    "neither {} nor {} has the weights of `{module}`",
                    checkpoint.dir().display(),
                    dir.display()
                )));
            }
        }
        None => {
            if let Some(module) = fresh.first() {
                return Err(CliError::Usage(format!(
                    "{} has no weights of `{module}`; give the adapter that was trained with it",
                    checkpoint.dir().display()
                )));
            }
        }
    }
    Ok(model.valid())
}

/// The positions that an adapter leaves for a text.
pub(in crate::commands) fn positions(
    checkpoint: &Checkpoint,
    adapter: Option<&Path>,
) -> Result<usize, CliError> {
    let all = checkpoint.config().max_positions();
    let Some(dir) = adapter else {
        return Ok(all);
    };
    let taken = Saved::open(dir, Some(checkpoint))?.virtual_tokens();
    let left = all.checked_sub(taken).filter(|left| *left > 0);
    left.ok_or_else(|| {
        CliError::Usage(format!(
            "{} takes {taken} positions, but the model has {all} in all",
            dir.display()
        ))
    })
}
