//! The configs of Llama and of the decoders after it.

use peft_models::{Activation, DecoderConfig, ProjectionBias, RopeConfig};
use serde_json::Value;

use super::defaults::Defaults;
use super::{activation, rope};
use crate::fields::{FieldError, Fields};

/// The decoders whose architecture is one with Llama's. Each is asked for whatever differs among
/// them: there is no default that a new one would get in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Phi3,
    Gemma2,
    Gemma3,
}

use Family::{Gemma2, Gemma3, Llama, Mistral, Phi3, Qwen2, Qwen3};

impl Family {
    /// All of them, as `model_type` names them.
    pub(super) const ALL: [(&str, Self); 7] = [
        ("llama", Llama),
        ("mistral", Mistral),
        ("qwen2", Qwen2),
        ("qwen3", Qwen3),
        ("phi3", Phi3),
        ("gemma2", Gemma2),
        ("gemma3_text", Gemma3),
    ];

    pub(super) fn of(model_type: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == model_type);
        found.map(|(_, family)| *family)
    }
}

/// Read the config of a decoder.
pub(super) fn read(family: Family, fields: &Fields<'_>) -> Result<DecoderConfig, FieldError> {
    fields.must_be_off(&["use_bidirectional_attention"])?;
    let gemma = match family {
        Gemma2 | Gemma3 => true,
        Llama | Mistral | Qwen2 | Qwen3 | Phi3 => false,
    };
    let default = Defaults::of(family);
    let d_model = fields.count_if("hidden_size", default.hidden_size)?;
    let n_heads = fields.count_if("num_attention_heads", default.num_attention_heads)?;
    let head_dim = match family {
        Qwen3 => 128,
        Gemma2 | Gemma3 => 256,
        Llama | Mistral | Qwen2 | Phi3 => d_model / n_heads.max(1),
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
        Llama => 2048,
        Phi3 => 4096,
        Gemma2 => 8192,
        Qwen2 | Qwen3 => 32_768,
        Mistral | Gemma3 => 131_072,
    };
    let mut windows = windows(family, fields, n_layers)?;
    if windows.iter().all(Option::is_none) {
        windows.clear();
    }
    let (rope, window_rope) = match family {
        Gemma3 => {
            let (full, window) = rope::gemma3(fields)?;
            (full, Some(window))
        }
        Llama | Mistral | Qwen2 | Qwen3 | Phi3 | Gemma2 => (rope::shared(fields)?, None),
    };
    let norm_epsilon = match family {
        Phi3 => 1e-5,
        Llama | Mistral | Qwen2 | Qwen3 | Gemma2 | Gemma3 => 1e-6,
    };
    Ok(DecoderConfig {
        vocab_size: fields.count_if("vocab_size", default.vocab_size)?,
        d_model,
        d_ff: fields.count_if("intermediate_size", default.intermediate_size)?,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim: fields.count_or("head_dim", head_dim)?,
        norm_epsilon: fields.number_or("rms_norm_eps", norm_epsilon)?,
        max_positions: fields.count_or("max_position_embeddings", max_positions)?,
        rope,
        window_rope,
        windows,
        fused_projections: match family {
            Phi3 => true,
            Llama | Mistral | Qwen2 | Qwen3 | Gemma2 | Gemma3 => false,
        },
        attention_bias: match family {
            Qwen2 => ProjectionBias::Inputs,
            Mistral | Phi3 => ProjectionBias::None,
            Llama | Qwen3 | Gemma2 | Gemma3 => match fields.flag("attention_bias")? {
                true => ProjectionBias::All,
                false => ProjectionBias::None,
            },
        },
        mlp_bias: match family {
            Llama => fields.flag("mlp_bias")?,
            Mistral | Qwen2 | Qwen3 | Phi3 | Gemma2 | Gemma3 => false,
        },
        activation: match gemma {
            true => activation(fields, "hidden_activation", Activation::GeluTanh)?,
            false => activation(fields, "hidden_act", Activation::Silu)?,
        },
        qk_norm: match family {
            Qwen3 | Gemma3 => true,
            Llama | Mistral | Qwen2 | Phi3 | Gemma2 => false,
        },
        sandwich_norms: gemma,
        norms_from_one: gemma,
        embedding_scale: gemma.then(|| (d_model as f64).sqrt()),
        query_scale: match gemma {
            true => Some(1.0 / fields.number_or("query_pre_attn_scalar", 256.0)?.sqrt()),
            false => None,
        },
        attention_softcap: match family {
            Gemma2 => cap(fields, "attn_logit_softcapping", Some(50.0))?,
            // Gemma 3 has the field too, but does not use it.
            Llama | Mistral | Qwen2 | Qwen3 | Phi3 | Gemma3 => None,
        },
        logit_softcap: match family {
            Gemma2 => cap(fields, "final_logit_softcapping", Some(30.0))?,
            Gemma3 => cap(fields, "final_logit_softcapping", None)?,
            Llama | Mistral | Qwen2 | Qwen3 | Phi3 => None,
        },
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", gemma)?,
    })
}

/// A bound on scores: a field that is missing is the family's default, one that is null is none.
fn cap(fields: &Fields<'_>, field: &str, default: Option<f64>) -> Result<Option<f64>, FieldError> {
    match fields.has(field) {
        true => fields.optional_number(field),
        false => Ok(default),
    }
}

/// The window of each layer.
fn windows(
    family: Family,
    fields: &Fields<'_>,
    n_layers: usize,
) -> Result<Vec<Option<usize>>, FieldError> {
    const WINDOW: usize = 4096;
    let default = match family {
        Llama | Phi3 => None,
        Mistral | Qwen2 | Qwen3 | Gemma2 | Gemma3 => Some(WINDOW),
    };
    let has_windows = match family {
        Llama => false,
        Qwen2 | Qwen3 => fields.flag("use_sliding_window")?,
        Mistral | Phi3 | Gemma2 | Gemma3 => true,
    };
    let window = match (has_windows, fields.has("sliding_window")) {
        (false, _) => None,
        (true, false) => default,
        (true, true) => fields.optional_count("sliding_window")?,
    };
    // Some models do not read it: all their layers are of one kind. (A Mistral with a list is a
    // Ministral.)
    let reads = match family {
        Llama | Phi3 => false,
        Mistral | Qwen2 | Qwen3 | Gemma2 | Gemma3 => true,
    };
    let windowed = match fields.layer_types(n_layers)?.filter(|_| reads) {
        Some(kinds) => fields.windowed(kinds)?,
        None => {
            let first = fields.count_or("max_window_layers", 28)?;
            let pattern = fields.count_or("sliding_window_pattern", 6)?.max(1);
            let rule = |i: usize| match family {
                Gemma2 => i.is_multiple_of(2),
                Gemma3 => !(i + 1).is_multiple_of(pattern),
                Qwen2 | Qwen3 => window.is_some() && i >= first,
                Llama | Mistral | Phi3 => window.is_some(),
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
