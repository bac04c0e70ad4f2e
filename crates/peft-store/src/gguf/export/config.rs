//! [`metadata`]: what a file says of a model's sizes.

use peft_gguf::{Metadata, TensorType};
use peft_models::{DecoderConfig, Gpt2Config, LanguageModelConfig, RopeConfig, RopeScaling};
use serde_json::{Map, Value};

use crate::CheckpointError;
use crate::gguf::config::ARCHITECTURES;

/// Tensors beside the parameters, by their names.
type Extra = Vec<(&'static str, Vec<f32>)>;

fn not(what: impl Into<String>) -> CheckpointError {
    CheckpointError::NotGguf { what: what.into() }
}

/// The heads of queries and of keys.
pub(super) fn heads(config: &LanguageModelConfig) -> (usize, usize) {
    match config {
        LanguageModelConfig::Decoder(config) => (config.n_heads, config.n_kv_heads),
        LanguageModelConfig::Gpt2(config) => (config.n_heads, config.n_heads),
    }
}

/// ggml's name of the architecture of a `config.json`.
pub(super) fn architecture(fields: &Map<String, Value>) -> Result<&'static str, CheckpointError> {
    let family = match fields.get("model_type").and_then(Value::as_str) {
        Some("mistral") => "llama",
        family => family.unwrap_or_default(),
    };
    let found = ARCHITECTURES
        .iter()
        .find(|(_, model_type, _)| *model_type == family);
    found
        .map(|(name, _, _)| *name)
        .ok_or_else(|| not(format!("a model of type `{family}`")))
}

/// The architecture, the metadata of a model without its tokenizer, and the tensors that say more.
///
/// What is said is not all that a config may say: what is read back must be the config.
pub(super) fn metadata(
    config: &LanguageModelConfig,
    fields: &Map<String, Value>,
    ty: TensorType,
) -> Result<(&'static str, Metadata, Extra), CheckpointError> {
    let architecture = architecture(fields)?;
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", architecture);
    metadata.insert("general.type", "model");
    let named = fields.get("_name_or_path").and_then(Value::as_str);
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        metadata.insert("general.name", name);
    }
    let file_type: u32 = match ty {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::Q4_0 => 2,
        TensorType::Q8_0 => 7,
        TensorType::BF16 => 32,
        other => return Err(not(format!("weights in {other}"))),
    };
    metadata.insert("general.file_type", file_type);
    metadata.insert("general.quantization_version", 2_u32);
    let mut put = ArchitectureKeys {
        architecture,
        metadata: &mut metadata,
    };
    let extra = match config {
        LanguageModelConfig::Gpt2(config) => gpt2(&mut put, config)?,
        LanguageModelConfig::Decoder(config) => decoder(&mut put, config)?,
    };
    Ok((architecture, metadata, extra))
}

/// Keys that begin with the architecture.
struct ArchitectureKeys<'a> {
    architecture: &'a str,
    metadata: &'a mut Metadata,
}

impl ArchitectureKeys<'_> {
    fn count(&mut self, key: &str, count: usize) -> Result<(), CheckpointError> {
        let small = u32::try_from(count).map_err(|_| not(format!("{count} for `{key}`")))?;
        self.metadata
            .insert(format!("{}.{key}", self.architecture), small);
        Ok(())
    }

    fn number(&mut self, key: &str, number: f64) {
        self.metadata
            .insert(format!("{}.{key}", self.architecture), number as f32);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.metadata
            .insert(format!("{}.{key}", self.architecture), text);
    }
}

fn gpt2(put: &mut ArchitectureKeys<'_>, config: &Gpt2Config) -> Result<Extra, CheckpointError> {
    put.count("vocab_size", config.vocab_size)?;
    put.count("context_length", config.max_positions)?;
    put.count("embedding_length", config.d_model)?;
    put.count("block_count", config.n_layers)?;
    put.count("feed_forward_length", config.d_ff)?;
    put.count("attention.head_count", config.n_heads)?;
    put.number("attention.layer_norm_epsilon", config.norm_epsilon);
    Ok(Vec::new())
}

fn decoder(
    put: &mut ArchitectureKeys<'_>,
    config: &DecoderConfig,
) -> Result<Extra, CheckpointError> {
    put.count("vocab_size", config.vocab_size)?;
    put.count("context_length", config.max_positions)?;
    put.count("embedding_length", config.d_model)?;
    put.count("block_count", config.n_layers)?;
    put.count("feed_forward_length", config.d_ff)?;
    put.count("attention.head_count", config.n_heads)?;
    put.count("attention.head_count_kv", config.n_kv_heads)?;
    put.count("attention.key_length", config.head_dim)?;
    put.count("attention.value_length", config.head_dim)?;
    put.number("attention.layer_norm_rms_epsilon", config.norm_epsilon);
    if let Some(window) = config.windows.iter().flatten().max() {
        put.count("attention.sliding_window", *window)?;
    }
    if let Some(cap) = config.attention_softcap {
        put.number("attn_logit_softcapping", cap);
    }
    if let Some(cap) = config.logit_softcap {
        put.number("final_logit_softcapping", cap);
    }
    if let Some(rope) = &config.window_rope {
        put.number("rope.freq_base_swa", rope.theta);
    }
    rope(put, config, &config.rope)
}

fn rope(
    put: &mut ArchitectureKeys<'_>,
    config: &DecoderConfig,
    rope: &RopeConfig,
) -> Result<Extra, CheckpointError> {
    let rotated = (config.head_dim as f64 * rope.fraction) as usize;
    put.count("rope.dimension_count", rotated)?;
    put.number("rope.freq_base", rope.theta);
    let small = |factors: &[f64]| factors.iter().map(|factor| *factor as f32).collect();
    Ok(match &rope.scaling {
        RopeScaling::Default => Vec::new(),
        RopeScaling::Linear { factor } => {
            put.text("rope.scaling.type", "linear");
            put.number("rope.scaling.factor", *factor);
            Vec::new()
        }
        RopeScaling::Yarn {
            factor,
            original_max_positions,
            ..
        } => {
            put.text("rope.scaling.type", "yarn");
            put.number("rope.scaling.factor", *factor);
            put.count(
                "rope.scaling.original_context_length",
                *original_max_positions,
            )?;
            Vec::new()
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_positions,
        } => {
            let of_pair = |i: usize| {
                let turn = std::f64::consts::TAU * rope.theta.powf(2.0 * i as f64 / rotated as f64);
                let smooth = (*original_max_positions as f64 / turn - low) / (high - low);
                let smooth = smooth.clamp(0.0, 1.0);
                (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
            };
            vec![("rope_freqs.weight", (0..rotated / 2).map(of_pair).collect())]
        }
        RopeScaling::Long {
            short,
            long,
            original_max_positions,
            attention_factor,
        } => {
            put.count(
                "rope.scaling.original_context_length",
                *original_max_positions,
            )?;
            put.number("rope.scaling.attn_factor", *attention_factor);
            vec![
                ("rope_factors_long.weight", small(long)),
                ("rope_factors_short.weight", small(short)),
            ]
        }
        other => return Err(not(format!("rotary settings {other:?}"))),
    })
}
