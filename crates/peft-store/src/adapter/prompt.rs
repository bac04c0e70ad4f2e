//! Soft prompts in adapter directories: [`AdapterDir::attach_prompt`] and [`save_prompt`].

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{AttachReport, InputAdapter, PeftError, Transformer};
use peft_ptuning::{PTuningConfig, PromptEncoder, PromptTuningConfig, Prompted, SoftPrompt};
use serde_json::{Map, Value, json};

use super::input::{save_input, told_task};
use super::methods::ptuning::{restored, state};
use super::save::name_modules;
use super::{About, AdapterConfig, AdapterDir, AdapterFileError};

/// What a prompt of P-Tuning is trained through; PEFT neither writes nor reads it.
const ENCODER: &str = "prompt_encoder.safetensors";

impl AdapterDir {
    /// Put the soft prompt of the directory before `model`, with the file's weights; `name` is that of the modules that train whole.
    ///
    /// A prompt of P-Tuning comes with its encoder where this directory has it, and trains on as it did; from a directory that PEFT wrote it is the vectors alone.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched; [`PeftError::AttachesElsewhere`] for another method.
    pub fn attach_prompt<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, AdapterFileError> {
        let (n_virtual_tokens, encoder) = match &self.config {
            AdapterConfig::PromptTuning(config) => (config.n_virtual_tokens, None),
            AdapterConfig::PTuning(config) => (config.n_virtual_tokens, Some(config)),
            #[cfg(any(feature = "lora", feature = "ia3", feature = "prefix"))]
            other => return Err(other.elsewhere().into()),
        };
        let d_model = model.model.d_model();
        let device = model.devices().into_iter().next().unwrap_or_default();
        let acts = self.embeddings([n_virtual_tokens, d_model])?;
        let through = match encoder {
            Some(config) => {
                self.trained_through(ENCODER, |file| restored(config, d_model, file, &device))?
            }
            None => None,
        };
        let prompt = match through {
            Some(prompt) => {
                self.check_same(ENCODER, &prompt.valid().vectors().into_data(), &acts)?;
                prompt
            }
            None => SoftPrompt::new(Tensor::from_data(acts, (&device, DType::F32))),
        };
        let (limit, method) = (model.model.max_positions(), self.config.method());
        self.attach_input(model, name, |model, whole| {
            prompt.attach(model, name, whole, method, limit)
        })
    }
}

/// Write the soft prompt of `model`, and the modules that train whole under `name`, as an adapter directory that PEFT loads.
///
/// PEFT reads the vectors. What makes them in P-Tuning lies beside them in a file of ours,
/// `prompt_encoder.safetensors`, the state of PEFT's own `PromptEncoder`; with it the prompt can be
/// trained on. The other arguments are those of [`save_adapter`](super::save_adapter); `about` says
/// the [task](super::TaskType).
///
/// # Errors
///
/// An [`AdapterFileError`]; [`PeftError::NoAdapter`] where there is no prompt,
/// [`AdapterFileError::NoTask`] where no task is said. Files that were there before are then as
/// they were, or already replaced as a whole.
pub fn save_prompt<M: Transformer>(
    model: &Prompted<M>,
    name: &str,
    config: &AdapterConfig,
    about: &About,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    // Without autodiff nothing drops out.
    let prompt = model.input.as_ref().ok_or(PeftError::NoAdapter)?.valid();
    let config = &as_it_is(config, &prompt, model.d_model())?;
    let mut written = config.to_fields(&[]);
    let through = state(&prompt);
    sizes(&mut written, &model.model, about);
    let acts = prompt.vectors().into_data();
    name_modules(&mut written, config, &model.model);
    told_task(config, about)?;
    about.complete(&mut written);
    let beside = (ENCODER, through);
    let dir = dir.as_ref();
    let json = (&written, about);
    save_input(&model.model, name, config, acts, beside, json, dir)
}

/// The config with the sizes that the prompt has.
fn as_it_is(
    config: &AdapterConfig,
    prompt: &SoftPrompt,
    d_model: usize,
) -> Result<AdapterConfig, AdapterFileError> {
    let n_virtual_tokens = prompt.n_virtual_tokens();
    let encoder = prompt.encoder.as_ref().map(PromptEncoder::config);
    match (config, encoder) {
        (AdapterConfig::PromptTuning(config), None) => {
            Ok(AdapterConfig::PromptTuning(PromptTuningConfig {
                n_virtual_tokens,
                ..config.clone()
            }))
        }
        (AdapterConfig::PromptTuning(_), Some(_)) => Err(PeftError::InvalidSetting {
            field: "the method".into(),
            value: "prompt tuning, of a prompt that an encoder makes".into(),
            expected: "P-Tuning",
        }
        .into()),
        (AdapterConfig::PTuning(config), encoder) => {
            let as_made = (config.encoder, config.hidden.unwrap_or(d_model));
            let (encoder, hidden) = encoder.unwrap_or(as_made);
            Ok(AdapterConfig::PTuning(PTuningConfig {
                n_virtual_tokens,
                encoder,
                hidden: Some(hidden),
                ..config.clone()
            }))
        }
        #[cfg(any(feature = "lora", feature = "ia3", feature = "prefix"))]
        (other, _) => Err(other.elsewhere().into()),
    }
}

/// The sizes of the model that PEFT writes. It fills in one that is null from the model's config; the number of heads is told by the width of all where they are as many as the
/// keys', and else by whoever knows the config.
fn sizes<M: Transformer>(written: &mut Map<String, Value>, model: &M, about: &About) {
    let (n_kv_heads, head_dim) = model.kv_shape();
    let n_heads = (n_kv_heads * head_dim == model.d_model()).then_some(n_kv_heads);
    written.insert("num_layers".into(), json!(model.n_blocks()));
    written.insert("token_dim".into(), json!(model.d_model()));
    let given = about.kept("num_attention_heads").cloned();
    let n_heads = given.unwrap_or_else(|| json!(n_heads));
    written.insert("num_attention_heads".into(), n_heads);
}
