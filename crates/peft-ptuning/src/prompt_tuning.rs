//! [`PromptTuningConfig`]: vectors that are trained by themselves (Lester et al. 2021,
//! <https://arxiv.org/abs/2104.08691>).

use peft_core::{AttachReport, PeftError};
use peft_model::Transformer;
use serde::{Deserialize, Serialize};

use crate::soft_prompt::check_count;
use crate::{PromptInit, Prompted, SoftPrompt};

/// Prompt tuning: `[p₁ … pₙ, embed(text)]`, the vectors trained by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptTuningConfig {
    /// How many vectors there are.
    pub n_virtual_tokens: usize,
    /// What they start from. Default: [`PromptInit::Vocabulary`].
    pub init: PromptInit,
    /// Modules, by suffix, that train whole beside them: a fresh head for instance. Default: none.
    #[serde(alias = "modules_to_save")]
    pub whole_modules: Vec<String>,
}

impl PromptTuningConfig {
    /// The method's name.
    pub const METHOD: &'static str = "prompt-tuning";

    /// So many vectors, which start as tokens drawn from the vocabulary.
    pub fn new(n_virtual_tokens: usize) -> Self {
        Self {
            n_virtual_tokens,
            init: PromptInit::default(),
            whole_modules: Vec::new(),
        }
    }

    /// What the vectors start from.
    pub fn with_init(mut self, init: PromptInit) -> Self {
        self.init = init;
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
    /// for, tokens that it does not know, a prompt that is there.
    pub fn attach<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        check_count(self.n_virtual_tokens, model.model.max_positions())?;
        let vectors = self.init.vectors(&model.model, self.n_virtual_tokens)?;
        let prompt = SoftPrompt::new(vectors);
        let modules = &self.whole_modules;
        prompt.attach(model, name, modules, Self::METHOD, usize::MAX)
    }
}
