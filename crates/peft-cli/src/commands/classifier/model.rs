//! Models with a head and an adapter.

use peft_model::Transformer;
use peft_store::{Adaptable, Checkpoint, HeadedModel, SavedAdapter};

use crate::commands::adapted::{ADAPTER, warn};
use crate::error::CliError;

/// The checkpoint without its head, where what was trained has one of its own.
pub(in crate::commands) fn without_head(
    checkpoint: Checkpoint,
    saved: Option<&SavedAdapter>,
) -> Result<Checkpoint, CliError> {
    Ok(match saved {
        Some(saved) => checkpoint.without_head_of(saved)?,
        None => checkpoint,
    })
}

/// A model with its adapter, ready to be evaluated.
pub(in crate::commands) fn adapted<M: Transformer>(
    headed: HeadedModel<M>,
    saved: Option<&SavedAdapter>,
    checkpoint: &Checkpoint,
) -> Result<Adaptable<M>, CliError> {
    Ok(match saved {
        Some(saved) => saved.attach_headed(headed, ADAPTER, checkpoint, warn)?,
        None => headed.complete(checkpoint)?,
    })
}

/// The positions that an adapter leaves for a text.
pub(in crate::commands) fn positions(
    checkpoint: &Checkpoint,
    saved: Option<&SavedAdapter>,
) -> Result<usize, CliError> {
    let all = checkpoint.config().max_positions();
    let Some(saved) = saved else {
        return Ok(all);
    };
    let taken = saved.n_virtual_tokens();
    let left = all.checked_sub(taken).filter(|left| *left > 0);
    left.ok_or_else(|| {
        CliError::Usage(format!(
            "{} takes {taken} positions, but the model has {all} in all",
            saved.dir().display()
        ))
    })
}
