//! `config.json` to a model's config and back.

mod decoder;
mod defaults;
mod encoder;
mod fields;
mod gpt2;
mod names;
mod rope;
mod wrapper;

use std::path::Path;

use peft_core::nearest;
use peft_models::{Activation, DecoderConfig, EncoderConfig, LanguageModelConfig, ProjectionBias};
use serde_json::{Map, Value, json};

use super::CheckpointError;
use crate::fields::{FieldError, Fields};
pub(super) use wrapper::text_fields;

/// The file that messages name.
const CONFIG: &str = "config.json";

/// The sizes of a model, by what it is.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckpointConfig {
    /// A decoder.
    LanguageModel(LanguageModelConfig),
    /// An encoder.
    Encoder(EncoderConfig),
}

impl CheckpointConfig {
    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::LanguageModel(config) => config.vocab_size(),
            Self::Encoder(config) => config.vocab_size(),
        }
    }

    /// The longest sequence that the model is made for.
    pub fn max_positions(&self) -> usize {
        match self {
            Self::LanguageModel(config) => config.max_positions(),
            Self::Encoder(config) => config.max_positions(),
        }
    }

    /// The widths and counts that make a model large, by name.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let split =
            |d_model, d_ff, n_heads: usize| (d_model, d_ff, n_heads, n_heads, d_model / n_heads);
        let (d_model, d_ff, n_heads, n_kv_heads, head_dim) = match self {
            Self::LanguageModel(LanguageModelConfig::Decoder(c)) => {
                (c.d_model, c.d_ff, c.n_heads, c.n_kv_heads, c.head_dim)
            }
            Self::LanguageModel(LanguageModelConfig::Gpt2(c)) => {
                split(c.d_model, c.d_ff, c.n_heads)
            }
            Self::Encoder(EncoderConfig::Bert(c) | EncoderConfig::Roberta(c)) => {
                split(c.d_model, c.d_ff, c.n_heads)
            }
            Self::Encoder(EncoderConfig::DistilBert(c)) => split(c.d_model, c.d_ff, c.n_heads),
            Self::Encoder(EncoderConfig::ModernBert(c)) => split(c.d_model, c.d_ff, c.n_heads),
        };
        vec![
            ("d_model", d_model),
            ("d_ff", d_ff),
            ("n_heads", n_heads),
            ("n_kv_heads", n_kv_heads),
            ("head_dim", head_dim),
            ("vocabulary", self.vocab_size()),
            ("positions", self.max_positions()),
        ]
    }

    /// For each block, the number of positions that one sees, its own included; none where it sees
    /// all.
    pub fn windows(&self) -> Vec<Option<usize>> {
        match self {
            Self::LanguageModel(LanguageModelConfig::Decoder(c)) => {
                (0..c.n_layers).map(|i| c.window(i)).collect()
            }
            Self::Encoder(EncoderConfig::ModernBert(c)) => {
                let window = |windowed: &bool| windowed.then_some(2 * c.reach + 1);
                c.windowed.iter().map(window).collect()
            }
            Self::LanguageModel(LanguageModelConfig::Gpt2(_))
            | Self::Encoder(
                EncoderConfig::Bert(_) | EncoderConfig::Roberta(_) | EncoderConfig::DistilBert(_),
            ) => vec![None; self.n_layers()],
        }
    }

    /// Whether the model drops anything in training.
    pub fn has_dropout(&self) -> bool {
        match self {
            Self::LanguageModel(_) => false,
            Self::Encoder(config) => config.has_dropout(),
        }
    }

    /// How many blocks there are.
    pub fn n_layers(&self) -> usize {
        match self {
            Self::LanguageModel(config) => config.n_layers(),
            Self::Encoder(config) => config.n_layers(),
        }
    }
}

/// Read the fields of a `config.json`, in the spelling of any release of transformers. What a model
/// is, `model_type` decides, as in `AutoModel`: the classes that `architectures` names do not.
///
/// # Errors
///
/// A [`CheckpointError`] that names the field.
pub fn checkpoint_config(map: &Map<String, Value>) -> Result<CheckpointConfig, CheckpointError> {
    let fields = Fields::new(Path::new(CONFIG), map);
    let family = match fields.string("model_type")? {
        Some(family) => family,
        None => {
            return Err(fields
                .wrong("model_type", "a model family, such as llama")
                .into());
        }
    };
    fields.must_be_off(&["quantization_config"])?;
    let config = match (family, decoder::Family::of(family)) {
        ("gpt2", _) => {
            CheckpointConfig::LanguageModel(LanguageModelConfig::Gpt2(gpt2::read(&fields)?))
        }
        (_, Some(decoder)) => CheckpointConfig::LanguageModel(LanguageModelConfig::Decoder(
            decoder::read(decoder, &fields)?,
        )),
        (_, None) if encoder::FAMILIES.contains(&family) => {
            CheckpointConfig::Encoder(encoder::read(family, &fields)?)
        }
        (_, None) => return Err(fields.unsupported("model_type", families(family)).into()),
    };
    let valid = match &config {
        CheckpointConfig::LanguageModel(config) => config.validate(),
        CheckpointConfig::Encoder(config) => config.validate(),
    };
    match valid {
        Ok(()) => Ok(config),
        Err(error) => Err(names::in_file(family, &error)),
    }
}

/// The families that there are, the one that is most like `family` before all.
fn families(family: &str) -> String {
    let wrappers = wrapper::WRAPPERS.iter().map(|(name, _)| name);
    let all = decoder::Family::ALL.iter().map(|(name, _)| name);
    let all = all.chain([&"gpt2"]);
    let all = all.chain(encoder::FAMILIES.iter()).chain(wrappers);
    let all: Vec<String> = all.map(|name| (*name).to_owned()).collect();
    match nearest(family, &all) {
        Some(near) => format!("{}; `{near}` is most like it", all.join(", ")),
        None => all.join(", "),
    }
}

/// The elementwise functions of transformers by name; two more have parameters of their own.
const ACTIVATIONS: [(&str, Activation); 22] = [
    ("gelu", Activation::Gelu),
    ("gelu_10", Activation::ClippedGelu),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_python", Activation::Gelu),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("hardswish", Activation::HardSwish),
    ("laplace", Activation::Laplace),
    ("leaky_relu", Activation::LeakyRelu),
    ("linear", Activation::Linear),
    ("mish", Activation::Mish),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::SquaredRelu),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("sqrtsoftplus", Activation::RootSoftplus),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

/// An elementwise function by its name in transformers.
fn activation(
    fields: &Fields<'_>,
    field: &str,
    default: Activation,
) -> Result<Activation, FieldError> {
    let Some(name) = fields.string(field)? else {
        return Ok(default);
    };
    let found = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, activation)| *activation).ok_or_else(|| {
        let known = ACTIVATIONS.map(|(known, _)| known);
        fields.unsupported(field, known.join(", "))
    })
}

/// The `config.json` of a Llama that is made from scratch.
///
/// # Errors
///
/// [`CheckpointError::NotLlama`] for a config with what Llama does not have.
pub fn fresh_config_json(config: &DecoderConfig) -> Result<Map<String, Value>, CheckpointError> {
    if !decoder::is_llama(config) {
        return Err(CheckpointError::NotLlama);
    }
    let fields = json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": config.attention_bias == ProjectionBias::All,
        "attention_dropout": 0.0,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.d_model,
        "initializer_range": 0.02,
        "intermediate_size": config.d_ff,
        "max_position_embeddings": config.max_positions,
        "mlp_bias": config.mlp_bias,
        "model_type": "llama",
        "num_attention_heads": config.n_heads,
        "num_hidden_layers": config.n_layers,
        "num_key_value_heads": config.n_kv_heads,
        "rms_norm_eps": config.norm_epsilon,
        "rope_parameters": rope::to_json(&config.rope),
        "tie_word_embeddings": config.tie_word_embeddings,
        "vocab_size": config.vocab_size,
    });
    match fields {
        Value::Object(map) => Ok(map),
        _ => unreachable!("an object literal is an object"),
    }
}
