//! [`save_adapter`], [`save_prompt`] and [`save_prefix`]: adapter directories, written.

use std::path::Path;

use burn::module::Module;
use peft_model::Transformer;
use peft_prefix::Prefixed;
use peft_ptuning::Prompted;

use super::{AdapterConfig, AdapterFileError, AdapterInfo};

/// Write adapter `name` of `model` as an adapter directory that PEFT loads.
///
/// `config` is what the adapter was attached with, `about` what else readers are told. Each file is
/// written beside its place and renamed.
///
/// ```no_run
/// # use peft_store::{AdapterInfo, AdapterConfig, AdapterFileError, save_adapter};
/// # fn save(model: burn::nn::Linear, config: AdapterConfig) -> Result<(), AdapterFileError> {
/// save_adapter(&model, "default", &config, &AdapterInfo::new(), "adapter")
/// # }
/// ```
///
/// # Errors
///
/// An [`AdapterFileError`]; files that were there before are then as they were, or already replaced
/// as a whole.
pub fn save_adapter<M: Module>(
    model: &M,
    name: &str,
    config: &AdapterConfig,
    about: &AdapterInfo,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    config.save(model, name, about, dir.as_ref())
}

/// Write the soft prompt of `model`, and the modules that train whole under `name`, as an adapter
/// directory that PEFT loads.
///
/// PEFT reads the vectors. What makes them in P-Tuning lies beside them in a file of ours,
/// `prompt_encoder.safetensors`, the state of PEFT's own `PromptEncoder`; with it the prompt can be
/// trained on. The other arguments are those of [`save_adapter`]; `about` says the
/// [task](super::TaskType).
///
/// # Errors
///
/// An [`AdapterFileError`]; [`PeftError::NoAdapter`](peft_core::PeftError::NoAdapter) where there
/// is no prompt, [`AdapterFileError::NoTask`] where no task is said. Files that were there before
/// are then as they were, or already replaced as a whole.
pub fn save_prompt<M: Transformer>(
    model: &Prompted<M>,
    name: &str,
    config: &AdapterConfig,
    about: &AdapterInfo,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    config.save_prompt(model, name, about, dir.as_ref())
}

/// Write the prefix of `model`, and the modules that train whole under `name`, as an adapter
/// directory that PEFT loads.
///
/// PEFT reads the keys and values. The projection that makes them lies beside them in a file of
/// ours, `prefix_encoder.safetensors`, the state of PEFT's own `PrefixEncoder`; with it the prefix
/// can be trained on. The other arguments are those of [`save_adapter`]; `about` says the
/// [task](super::TaskType).
///
/// # Errors
///
/// An [`AdapterFileError`]; [`PeftError::NoAdapter`](peft_core::PeftError::NoAdapter) where there
/// is no prefix, [`AdapterFileError::NoTask`] where no task is said. Files that were there before
/// are then as they were, or already replaced as a whole.
pub fn save_prefix<M: Transformer>(
    model: &Prefixed<M>,
    name: &str,
    config: &AdapterConfig,
    about: &AdapterInfo,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    config.save_prefix(model, name, about, dir.as_ref())
}
