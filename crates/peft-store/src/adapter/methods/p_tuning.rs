//! P-Tuning in PEFT's files.

use burn::tensor::Device;
use peft_core::{AttachReport, PeftError};
use peft_model::{InputAdapter, Transformer};
use peft_ptuning::{PTuningConfig, PromptEncoder, PromptEncoderConfig, Prompted, SoftPrompt};
use serde_json::{Map, Value, json};

use super::super::AdapterFileError;
use super::super::tensors::TensorsFile;
use super::prompt_encoder::restored;
use super::{InputMethod, insert, virtual_tokens};
use crate::fields::{FieldError, Fields};

/// Layers that a file may ask of an encoder.
const MAX_LAYERS: usize = 64;

impl InputMethod for PTuningConfig {
    type Input = SoftPrompt;
    const PEFT_TYPE: &'static str = "P_TUNING";
    const NAME: &'static str = Self::METHOD;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let encoder = match fields.string("encoder_reparameterization_type")? {
            Some("MLP") | None => PromptEncoderConfig::Mlp,
            Some("LSTM") => {
                let n_layers = fields.count_or("encoder_num_layers", 2)?;
                if !(1..=MAX_LAYERS).contains(&n_layers) {
                    return Err(fields.wrong("encoder_num_layers", "1 to 64"));
                }
                let dropout = fields.number_or_default("encoder_dropout", 0.0)?;
                if !(0.0..1.0).contains(&dropout) {
                    return Err(fields.wrong("encoder_dropout", "at least 0 and below 1"));
                }
                PromptEncoderConfig::Lstm { n_layers, dropout }
            }
            Some(_) => {
                return Err(fields.wrong("encoder_reparameterization_type", "`MLP` or `LSTM`"));
            }
        };
        let hidden = match fields.count_or("encoder_hidden_size", 0)? {
            0 if fields.get("encoder_hidden_size").is_null() => None,
            0 => return Err(fields.wrong("encoder_hidden_size", "at least 1")),
            hidden => Some(hidden),
        };
        Ok(Self {
            n_virtual_tokens: virtual_tokens(fields)?,
            encoder,
            hidden,
            whole_modules: fields.strings("modules_to_save")?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>) {
        let (kind, n_layers, dropout) = match self.encoder {
            PromptEncoderConfig::Mlp => ("MLP", 2, 0.0),
            PromptEncoderConfig::Lstm { n_layers, dropout } => ("LSTM", n_layers, dropout),
        };
        let own = json!({
            "encoder_dropout": dropout,
            "encoder_hidden_size": self.hidden,
            "encoder_num_layers": n_layers,
            "encoder_reparameterization_type": kind,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.n_virtual_tokens,
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
        model: &M,
        open: impl FnOnce() -> Result<Option<TensorsFile>, AdapterFileError>,
        device: &Device,
    ) -> Result<Option<SoftPrompt>, AdapterFileError> {
        let file = open()?;
        file.map(|file| restored(self, model.d_model(), file, device))
            .transpose()
    }

    fn sized_as(&self, prompt: &SoftPrompt, d_model: usize) -> Result<Self, AdapterFileError> {
        let as_made = (self.encoder, self.hidden.unwrap_or(d_model));
        let encoder = prompt.encoder.as_ref().map(PromptEncoder::config);
        let (encoder, hidden) = encoder.unwrap_or(as_made);
        Ok(Self {
            n_virtual_tokens: prompt.n_virtual_tokens(),
            encoder,
            hidden: Some(hidden),
            ..self.clone()
        })
    }
}
