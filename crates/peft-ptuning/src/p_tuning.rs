//! [`PTuningConfig`]: vectors that an encoder makes (Liu et al. 2021,
//! <https://arxiv.org/abs/2103.10385>).

use peft_core::{AttachReport, PeftError};
use peft_model::Transformer;
use serde::{Deserialize, Serialize};

use crate::init::device_of;
use crate::soft_prompt::check_count;
use crate::{PromptEncoderConfig, Prompted, SoftPrompt, fresh};

/// P-Tuning: `[encoder(x₁ … xₙ), embed(text)]`, the inputs and the encoder trained.
///
/// Inputs start from `N(0, 1)` and the encoder as PyTorch draws its layers, as in PEFT; the layers
/// bring the vectors down to the scale of embeddings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PTuningConfig {
    /// How many vectors there are.
    pub n_virtual_tokens: usize,
    /// What makes them. Default: [`PromptEncoderConfig::Mlp`].
    pub encoder: PromptEncoderConfig,
    /// Width inside the encoder. Default: that of the model.
    pub hidden: Option<usize>,
    /// Modules, by suffix, that train whole beside it: a fresh head for instance. Default: none.
    #[serde(alias = "modules_to_save")]
    pub whole_modules: Vec<String>,
}

impl PTuningConfig {
    /// The method's name.
    pub const METHOD: &'static str = "p-tuning";

    /// So many vectors, made by an MLP as wide as the model.
    pub fn new(n_virtual_tokens: usize) -> Self {
        Self {
            n_virtual_tokens,
            encoder: PromptEncoderConfig::Mlp,
            hidden: None,
            whole_modules: Vec::new(),
        }
    }

    /// What makes the vectors.
    pub fn with_encoder(mut self, encoder: PromptEncoderConfig) -> Self {
        self.encoder = encoder;
        self
    }

    /// Width inside the encoder.
    pub fn with_hidden(mut self, hidden: usize) -> Self {
        self.hidden = Some(hidden);
        self
    }

    /// Modules that train whole, by suffix.
    pub fn with_whole_modules<S: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = S>,
    ) -> Self {
        self.whole_modules = modules.into_iter().map(Into::into).collect();
        self
    }

    /// Put a fresh prompt before `model` and freeze the model itself; `name` is that of the modules
    /// that train whole. Adapters that the model has train on.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched: no vectors or more than the model has positions
    /// for, an encoder that cannot be, a prompt that is there.
    pub fn attach<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        check_count(self.n_virtual_tokens, model.model.max_positions())?;
        let device = device_of(&model.model);
        let d_model = model.model.d_model();
        let hidden = self.hidden.unwrap_or(d_model);
        self.encoder.validate(hidden)?;
        let inputs = fresh::normal([self.n_virtual_tokens, d_model], 1.0, &device);
        let encoder = self.encoder.init(d_model, hidden, &device);
        let prompt = SoftPrompt::encoded(inputs, encoder);
        let modules = &self.whole_modules;
        prompt.attach(model, name, modules, Self::METHOD, usize::MAX)
    }
}
