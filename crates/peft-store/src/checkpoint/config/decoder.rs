//! The configs of Llama and of the decoders after it.

use peft_models::{Activation, DecoderConfig, ProjectionBias, RopeConfig};
use serde_json::Value;

use super::super::CheckpointError;
use super::defaults::Defaults;
use super::fields::Fields;
use super::{activation, rope};

/// The decoders whose architecture is one with Llama's, as `model_type` names them.
pub(super) const FAMILIES: [&str; 7] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "phi3",
    "gemma2",
    "gemma3_text",
];

/// Read the config of one of [`FAMILIES`].
pub(super) fn read(family: &str, fields: &Fields<'_>) -> Result<DecoderConfig, CheckpointError> {
    fields.must_be_off(&["use_bidirectional_attention"])?;
    let gemma = family.starts_with("gemma");
    let default = Defaults::of(family);
    let d_model = fields.count_if("hidden_size", default.hidden_size)?;
    let n_heads = fields.count_if("num_attention_heads", default.num_attention_heads)?;
    let head_dim = match family {
        "qwen3" => 128,
        "gemma2" | "gemma3_text" => 256,
        _ => d_model / n_heads.max(1),
    };
    // A field that is missing is the family's default, one that is null is as many as there are
    // heads.
    let n_kv_heads = match (
        default.num_key_value_heads,
        fields.has("num_key_value_heads"),
    ) {
        (Some(default), false) => default,
        _ => fields.count_or("num_key_value_heads", n_heads)?,
    };
    let n_layers = fields.layers("num_hidden_layers", default.num_hidden_layers)?;
    let max_positions = match family {
        "qwen2" | "qwen3" => 32_768,
        "mistral" | "gemma3_text" => 131_072,
        "phi3" => 4096,
        "gemma2" => 8192,
        _ => 2048,
    };
    let mut windows = windows(family, fields, n_layers)?;
    if windows.iter().all(Option::is_none) {
        windows.clear();
    }
    let (rope, window_rope) = match family {
        "gemma3_text" => {
            let (full, window) = rope::gemma3(fields)?;
            (full, Some(window))
        }
        _ => (rope::shared(fields)?, None),
    };
    Ok(DecoderConfig {
        vocab_size: fields.count_if("vocab_size", default.vocab_size)?,
        d_model,
        d_ff: fields.count_if("intermediate_size", default.intermediate_size)?,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim: fields.count_or("head_dim", head_dim)?,
        norm_epsilon: fields
            .number_or("rms_norm_eps", if family == "phi3" { 1e-5 } else { 1e-6 })?,
        max_positions: fields.count_or("max_position_embeddings", max_positions)?,
        rope,
        window_rope,
        windows,
        fused_projections: family == "phi3",
        attention_bias: match family {
            "qwen2" => ProjectionBias::Inputs,
            "mistral" | "phi3" => ProjectionBias::None,
            _ if fields.flag("attention_bias")? => ProjectionBias::All,
            _ => ProjectionBias::None,
        },
        mlp_bias: family == "llama" && fields.flag("mlp_bias")?,
        activation: match gemma {
            true => activation(fields, "hidden_activation", Activation::GeluTanh)?,
            false => activation(fields, "hidden_act", Activation::Silu)?,
        },
        qk_norm: matches!(family, "qwen3" | "gemma3_text"),
        sandwich_norms: gemma,
        norms_from_one: gemma,
        embedding_scale: gemma.then(|| (d_model as f64).sqrt()),
        query_scale: match gemma {
            true => Some(1.0 / fields.number_or("query_pre_attn_scalar", 256.0)?.sqrt()),
            false => None,
        },
        // Gemma 3 has the field too, but does not use it.
        attention_softcap: cap(
            fields,
            "attn_logit_softcapping",
            family == "gemma2",
            Some(50.0),
        )?,
        logit_softcap: match family {
            "gemma2" => cap(fields, "final_logit_softcapping", true, Some(30.0))?,
            _ => cap(fields, "final_logit_softcapping", gemma, None)?,
        },
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", gemma)?,
    })
}

/// A bound on scores: a field that is missing is the family's default, one that is null is none.
fn cap(
    fields: &Fields<'_>,
    field: &str,
    applies: bool,
    default: Option<f64>,
) -> Result<Option<f64>, CheckpointError> {
    match (applies, fields.has(field)) {
        (false, _) => Ok(None),
        (true, false) => Ok(default),
        (true, true) => fields.optional_number(field),
    }
}

/// The window of each layer.
fn windows(
    family: &str,
    fields: &Fields<'_>,
    n_layers: usize,
) -> Result<Vec<Option<usize>>, CheckpointError> {
    const WINDOW: usize = 4096;
    let window = match (family, fields.has("sliding_window")) {
        ("llama", _) => None,
        ("qwen2" | "qwen3", _) if !fields.flag("use_sliding_window")? => None,
        ("mistral" | "gemma2" | "gemma3_text" | "qwen2" | "qwen3", false) => Some(WINDOW),
        _ => fields.optional_count("sliding_window")?,
    };
    let types = match fields.get("layer_types") {
        Value::Null => None,
        Value::Array(types) if types.len() == n_layers => Some(types),
        _ => return Err(fields.wrong("layer_types", "a list with an entry for each layer")),
    };
    // These models do not read it: all their layers are of one kind. (A Mistral with a list is a
    // Ministral.)
    let types = types.filter(|_| !matches!(family, "llama" | "phi3"));
    let windowed: Vec<bool> = match types {
        Some(types) => {
            let kind = |kind: &Value| match kind.as_str() {
                Some("sliding_attention") => Ok(true),
                Some("full_attention") => Ok(false),
                _ => Err(fields.unsupported("layer_types", "full_attention, sliding_attention")),
            };
            types.iter().map(kind).collect::<Result<_, _>>()?
        }
        None => {
            let first = fields.count_or("max_window_layers", 28)?;
            let pattern = fields.count_or("sliding_window_pattern", 6)?.max(1);
            let rule = |i: usize| match family {
                "gemma2" => i.is_multiple_of(2),
                "gemma3_text" => !(i + 1).is_multiple_of(pattern),
                "qwen2" | "qwen3" => window.is_some() && i >= first,
                _ => window.is_some(),
            };
            (0..n_layers).map(rule).collect()
        }
    };
    if window.is_none() && windowed.contains(&true) {
        let field = match fields.get("use_sliding_window") {
            Value::Null => "sliding_window",
            _ => "use_sliding_window",
        };
        return Err(fields.wrong(field, "the window of the layers that have one"));
    }
    let window_of = |windowed: &bool| windowed.then_some(window).flatten();
    Ok(windowed.iter().map(window_of).collect())
}

/// The settings of a decoder as the `config.json` of a Llama: what its family adds is not said.
pub(super) fn is_llama(config: &DecoderConfig) -> bool {
    let sizes = DecoderConfig {
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
        norm_epsilon: config.norm_epsilon,
        max_positions: config.max_positions,
        rope: RopeConfig {
            ..config.rope.clone()
        },
        attention_bias: config.attention_bias,
        mlp_bias: config.mlp_bias,
        tie_word_embeddings: config.tie_word_embeddings,
        ..DecoderConfig::llama(
            config.vocab_size,
            config.d_model,
            config.d_ff,
            config.n_layers,
            config.n_heads,
        )
    };
    sizes == *config && config.attention_bias != ProjectionBias::Inputs
}
