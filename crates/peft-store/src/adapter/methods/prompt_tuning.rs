//! Prompt tuning in PEFT's files.

use burn::tensor::Device;
use peft_core::{AttachReport, PeftError};
use peft_model::{InputAdapter, Transformer};
use peft_ptuning::{PromptInit, PromptTuningConfig, Prompted, SoftPrompt};
use serde_json::{Map, Value, json};

use super::super::AdapterFileError;
use super::super::tensors::TensorsFile;
use super::{InputMethod, insert, virtual_tokens};
use crate::fields::{FieldError, Fields};

impl InputMethod for PromptTuningConfig {
    type Input = SoftPrompt;
    const PEFT_TYPE: &'static str = "PROMPT_TUNING";
    const NAME: &'static str = Self::METHOD;

    /// The tokens of a text that the vectors began as are not in the file.
    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let init = match fields.string("prompt_tuning_init")? {
            Some("RANDOM") | None => PromptInit::Random,
            Some("SAMPLE_VOCAB" | "TEXT") => PromptInit::Vocabulary,
            Some(_) => {
                return Err(
                    fields.wrong("prompt_tuning_init", "`RANDOM`, `SAMPLE_VOCAB` or `TEXT`")
                );
            }
        };
        Ok(Self {
            n_virtual_tokens: virtual_tokens(fields)?,
            init,
            whole_modules: fields.strings("modules_to_save")?,
        })
    }

    /// PEFT takes `TEXT` only with the text and its tokenizer, which a caller may add.
    fn write(&self, fields: &mut Map<String, Value>) {
        let own = json!({
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.n_virtual_tokens,
            "prompt_tuning_init": match self.init {
                PromptInit::Random => "RANDOM",
                PromptInit::Vocabulary | PromptInit::Tokens(_) => "SAMPLE_VOCAB",
            },
            "prompt_tuning_init_text": null,
            "tokenizer_kwargs": null,
            "tokenizer_name_or_path": null,
        });
        insert(fields, own);
    }

    fn modules_to_save(&self) -> &[String] {
        &self.whole_modules
    }

    fn n_virtual_tokens(&self) -> usize {
        self.n_virtual_tokens
    }

    fn attach<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn restore<M: Transformer>(
        &self,
        _model: &M,
        _open: impl FnOnce() -> Result<Option<TensorsFile>, AdapterFileError>,
        _device: &Device,
    ) -> Result<Option<SoftPrompt>, AdapterFileError> {
        Ok(None)
    }

    fn sized_as(&self, prompt: &SoftPrompt, _d_model: usize) -> Result<Self, AdapterFileError> {
        if prompt.encoder.is_some() {
            return Err(PeftError::InvalidSetting {
                field: "the method".into(),
                value: "prompt tuning, of a prompt that an encoder makes".into(),
                expected: "P-Tuning",
            }
            .into());
        }
        Ok(Self {
            n_virtual_tokens: prompt.n_virtual_tokens(),
            ..self.clone()
        })
    }
}
