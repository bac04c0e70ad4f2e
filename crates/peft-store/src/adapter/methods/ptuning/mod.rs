//! Prompt tuning and P-Tuning in PEFT's files.

mod state;

use peft_ptuning::{PTuningConfig, PromptEncoderConfig, PromptInit, PromptTuningConfig};
use serde_json::{Value, json};

pub(in super::super) use state::{restored, state};

use super::super::AdapterFileError;
use super::super::fields::Fields;
use super::virtual_tokens;

/// Layers that a file may ask of an encoder.
const MAX_LAYERS: usize = 64;

/// The config of prompt tuning that a file's fields give. The tokens of a text that the vectors began as are not in the file.
pub(in super::super) fn prompt_from_fields(
    fields: &Fields<'_>,
) -> Result<PromptTuningConfig, AdapterFileError> {
    let init = match fields.string("prompt_tuning_init")? {
        Some("RANDOM") | None => PromptInit::Random,
        Some("SAMPLE_VOCAB" | "TEXT") => PromptInit::Vocabulary,
        Some(_) => {
            return Err(fields.wrong("prompt_tuning_init", "`RANDOM`, `SAMPLE_VOCAB` or `TEXT`"));
        }
    };
    Ok(PromptTuningConfig {
        n_virtual_tokens: virtual_tokens(fields)?,
        init,
        modules_to_save: fields.strings("modules_to_save")?,
    })
}

/// The fields of prompt tuning. PEFT takes `TEXT` only with the text and its tokenizer, which a caller may add.
pub(in super::super) fn prompt_to_fields(config: &PromptTuningConfig) -> Value {
    json!({
        "peft_type": "PROMPT_TUNING",
        "num_transformer_submodules": 1,
        "num_virtual_tokens": config.n_virtual_tokens,
        "prompt_tuning_init": match config.init {
            PromptInit::Random => "RANDOM",
            PromptInit::Vocabulary | PromptInit::Tokens(_) => "SAMPLE_VOCAB",
        },
        "prompt_tuning_init_text": null,
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    })
}

/// The config of P-Tuning that a file's fields give.
pub(in super::super) fn encoder_from_fields(
    fields: &Fields<'_>,
) -> Result<PTuningConfig, AdapterFileError> {
    let encoder = match fields.string("encoder_reparameterization_type")? {
        Some("MLP") | None => PromptEncoderConfig::Mlp,
        Some("LSTM") => {
            let n_layers = fields.count("encoder_num_layers", 2)?;
            if !(1..=MAX_LAYERS).contains(&n_layers) {
                return Err(fields.wrong("encoder_num_layers", "1 to 64"));
            }
            let dropout = fields.number("encoder_dropout", 0.0)?;
            if !(0.0..1.0).contains(&dropout) {
                return Err(fields.wrong("encoder_dropout", "at least 0 and below 1"));
            }
            PromptEncoderConfig::Lstm { n_layers, dropout }
        }
        Some(_) => return Err(fields.wrong("encoder_reparameterization_type", "`MLP` or `LSTM`")),
    };
    let hidden = match fields.count("encoder_hidden_size", 0)? {
        0 if fields.get("encoder_hidden_size").is_null() => None,
        0 => return Err(fields.wrong("encoder_hidden_size", "at least 1")),
        hidden => Some(hidden),
    };
    Ok(PTuningConfig {
        n_virtual_tokens: virtual_tokens(fields)?,
        encoder,
        hidden,
        modules_to_save: fields.strings("modules_to_save")?,
    })
}

/// The fields of P-Tuning.
pub(in super::super) fn encoder_to_fields(config: &PTuningConfig) -> Value {
    let (kind, n_layers, dropout) = match config.encoder {
        PromptEncoderConfig::Mlp => ("MLP", 2, 0.0),
        PromptEncoderConfig::Lstm { n_layers, dropout } => ("LSTM", n_layers, dropout),
    };
    json!({
        "peft_type": "P_TUNING",
        "encoder_dropout": dropout,
        "encoder_hidden_size": config.hidden,
        "encoder_num_layers": n_layers,
        "encoder_reparameterization_type": kind,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": config.n_virtual_tokens,
    })
}
