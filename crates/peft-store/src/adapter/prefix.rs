//! Prefixes in adapter directories: [`AdapterDir::attach_prefix`] and [`save_prefix`].

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{AttachReport, PeftError, Transformer};
use peft_prefix::{Prefix, PrefixShape, Prefixed};
use serde_json::json;

use super::input::{save_input, told_task};
use super::methods::prefix::{restored, state};
use super::save::name_modules;
use super::{About, AdapterConfig, AdapterDir, AdapterFileError};

/// What a prefix is trained through; PEFT neither writes nor reads it.
const ENCODER: &str = "prefix_encoder.safetensors";

impl AdapterDir {
    /// Put the prefix of the directory before `model`, with the file's weights; `name` is that of the modules that train whole.
    ///
    /// A prefix that was trained through a projection comes with it where this directory has it, and trains on as it did; from a directory that PEFT wrote it is the keys and
    /// values alone.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched; [`PeftError::AttachesElsewhere`] for another method.
    pub fn attach_prefix<M: Transformer>(
        &self,
        model: &mut Prefixed<M>,
        name: &str,
    ) -> Result<AttachReport, AdapterFileError> {
        let config = match &self.config {
            AdapterConfig::Prefix(config) => config,
            #[cfg(any(feature = "lora", feature = "ia3", feature = "ptuning"))]
            other => return Err(other.elsewhere().into()),
        };
        let n = config.n_virtual_tokens;
        let shape = PrefixShape::of(&model.model);
        let device = model.devices().into_iter().next().unwrap_or_default();
        let acts = self.embeddings([n, shape.flat_width()])?;
        let through = match config.projection {
            Some(hidden) => {
                self.trained_through(ENCODER, |file| restored(n, hidden, shape, file, &device))?
            }
            None => None,
        };
        let prefix = match through {
            Some(prefix) => {
                self.check_same(ENCODER, &prefix.valid().flat().into_data(), &acts)?;
                prefix
            }
            None => Prefix::new(Tensor::from_data(acts, (&device, DType::F32)), None, shape)?,
        };
        self.attach_input(model, name, |model, whole| {
            prefix.attach(model, name, whole)
        })
    }
}

/// Write the prefix of `model`, and the modules that train whole under `name`, as an adapter directory that PEFT loads.
///
/// PEFT reads the keys and values. The projection that makes them lies beside them in a file of
/// ours, `prefix_encoder.safetensors`, the state of PEFT's own `PrefixEncoder`; with it the prefix
/// can be trained on. The other arguments are those of [`save_adapter`](super::save_adapter);
/// `about` says the [task](super::TaskType).
///
/// # Errors
///
/// An [`AdapterFileError`]; [`PeftError::NoAdapter`] where there is no prefix,
/// [`AdapterFileError::NoTask`] where no task is said. Files that were there before are then as
/// they were, or already replaced as a whole.
pub fn save_prefix<M: Transformer>(
    model: &Prefixed<M>,
    name: &str,
    config: &AdapterConfig,
    about: &About,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    match config {
        AdapterConfig::Prefix(_) => {}
        #[cfg(any(feature = "lora", feature = "ia3", feature = "ptuning"))]
        other => return Err(other.elsewhere().into()),
    }
    let prefix = model.input.as_ref().ok_or(PeftError::NoAdapter)?.valid();
    let mut written = config.to_fields(&[]);
    // PEFT's sizes are those of the keys where queries share them.
    let shape = prefix.shape();
    written.insert("num_layers".into(), json!(shape.n_layers));
    written.insert("token_dim".into(), json!(shape.width()));
    written.insert("num_attention_heads".into(), json!(shape.n_kv_heads));
    name_modules(&mut written, config, &model.model);
    told_task(config, about)?;
    about.complete(&mut written);
    save_input(
        &model.model,
        name,
        config,
        prefix.flat().into_data(),
        (ENCODER, state(&prefix)),
        (&written, about),
        dir.as_ref(),
    )
}
