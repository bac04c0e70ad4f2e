//! [`Adapted`]: a model that takes an adapter of any kind.

use std::path::Path;

use peft_core::{AttachReport, ForwardPath, PeftError, Transformer};
use peft_prefix::Prefixed;
use peft_ptuning::Prompted;
use peft_store::{
    AdapterConfig, AdapterDir, AdapterFileError, save_adapter, save_prefix, save_prompt,
};
use serde_json::{Map, Value};

/// The name under which the command attaches an adapter.
const ADAPTER: &str = "default";

/// A model with room for a soft prompt and for a prefix; without them it is the model.
pub(super) type Adapted<M> = Prompted<Prefixed<M>>;

/// A model that has nothing attached.
pub(super) fn bare<M>(model: M) -> Adapted<M> {
    Prompted::new(Prefixed::new(model))
}

/// Attach a fresh adapter.
pub(super) fn attach_fresh<M: Transformer>(
    config: &AdapterConfig,
    model: &mut Adapted<M>,
) -> Result<AttachReport, PeftError> {
    match config {
        AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
            config.attach_prompt(model, ADAPTER)
        }
        AdapterConfig::Prefix(_) => config.attach_prefix(&mut model.model, ADAPTER),
        _ => config.attach(model, ADAPTER),
    }
}

/// Attach what a directory holds.
pub(super) fn attach_saved<M: Transformer>(
    dir: &AdapterDir,
    model: &mut Adapted<M>,
) -> Result<AttachReport, AdapterFileError> {
    match dir.config() {
        AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
            dir.attach_prompt(model, ADAPTER)
        }
        AdapterConfig::Prefix(_) => dir.attach_prefix(&mut model.model, ADAPTER),
        _ => dir.attach(model, ADAPTER, ForwardPath::Factored),
    }
}

/// Write the adapter of a model.
pub(super) fn save<M: Transformer>(
    model: &Adapted<M>,
    config: &AdapterConfig,
    base: &str,
    fields: &Map<String, Value>,
    dir: &Path,
) -> Result<(), AdapterFileError> {
    let base = Some(base);
    match config {
        AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
            save_prompt(model, ADAPTER, config, base, fields, dir)
        }
        AdapterConfig::Prefix(_) => save_prefix(&model.model, ADAPTER, config, base, fields, dir),
        _ => save_adapter(model, ADAPTER, config, base, fields, dir),
    }
}

/// How many positions the adapter of a directory takes from a text.
pub(super) fn virtual_tokens(dir: &AdapterDir) -> usize {
    match dir.config() {
        AdapterConfig::PromptTuning(config) => config.n_virtual_tokens,
        AdapterConfig::PTuning(config) => config.n_virtual_tokens,
        AdapterConfig::Prefix(config) => config.n_virtual_tokens,
        _ => 0,
    }
}
