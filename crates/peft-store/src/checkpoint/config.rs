//! `config.json` to [`LlamaConfig`] and back.

use peft_models::{LlamaConfig, RopeConfig, RopeScaling};
use serde_json::{Map, Value, json};

use super::CheckpointError;

const SUPPORTED_FAMILIES: &str = "llama";
const SUPPORTED_ARCHITECTURE: &str = "LlamaForCausalLM";

/// Read the fields of a Llama's `config.json`, in the spelling of any release of transformers.
///
/// # Errors
///
/// A [`CheckpointError`] that names the field.
pub fn llama_config(map: &Map<String, Value>) -> Result<LlamaConfig, CheckpointError> {
    let fields = Fields(map);
    match fields.get("model_type") {
        Value::String(family) if family == "llama" => {}
        Value::Null => return Err(fields.wrong("model_type", "a model family, such as llama")),
        _ => return Err(fields.unsupported("model_type", SUPPORTED_FAMILIES)),
    }
    match fields.get("architectures") {
        Value::Null => {}
        Value::Array(names) if names.iter().any(is_supported_architecture) => {}
        _ => return Err(fields.unsupported("architectures", SUPPORTED_ARCHITECTURE)),
    }
    for field in ["pretraining_tp", "partial_rotary_factor"] {
        fields.must_be_one(field)?;
    }
    for field in ["quantization_config", "layer_types"] {
        if !fields.get(field).is_null() {
            return Err(fields.unsupported(field, "null"));
        }
    }
    match fields.get("hidden_act") {
        Value::Null => {}
        Value::String(act) if act == "silu" || act == "swish" => {}
        _ => return Err(fields.unsupported("hidden_act", "silu")),
    }
    let d_model = fields.count("hidden_size")?;
    let n_heads = fields.count("num_attention_heads")?;
    let config = LlamaConfig {
        vocab_size: fields.count("vocab_size")?,
        d_model,
        d_ff: fields.count("intermediate_size")?,
        n_layers: fields.count("num_hidden_layers")?,
        n_heads,
        n_kv_heads: fields.count_or("num_key_value_heads", n_heads)?,
        head_dim: fields.count_or("head_dim", d_model / n_heads.max(1))?,
        norm_epsilon: fields.number_or("rms_norm_eps", 1e-6)?,
        max_positions: fields.count_or("max_position_embeddings", 2048)?,
        rope: rope(&fields)?,
        attention_bias: fields.flag("attention_bias")?,
        mlp_bias: fields.flag("mlp_bias")?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
    };
    config.validate()?;
    Ok(config)
}

fn is_supported_architecture(name: &Value) -> bool {
    name.as_str()
        .is_some_and(|name| name.eq_ignore_ascii_case(SUPPORTED_ARCHITECTURE))
}

/// Rotary settings: `rope_parameters`, or `rope_theta` with `rope_scaling`, which wins where both are, as in transformers.
fn rope(fields: &Fields<'_>) -> Result<RopeConfig, CheckpointError> {
    const THETA: f64 = 10_000.0;
    let outer_theta = fields.number_or("rope_theta", THETA)?;
    let (name, scaling) = match (fields.get("rope_scaling"), fields.get("rope_parameters")) {
        (Value::Object(map), _) => ("rope_scaling", map),
        (Value::Null, Value::Object(map)) => ("rope_parameters", map),
        (Value::Null, Value::Null) => {
            return Ok(RopeConfig {
                theta: outer_theta,
                scaling: RopeScaling::Default,
            });
        }
        (Value::Null, _) => return Err(fields.wrong("rope_parameters", "an object or null")),
        _ => return Err(fields.wrong("rope_scaling", "an object or null")),
    };
    let inner = Fields(scaling);
    let within = |error: CheckpointError| error.within(name);
    inner.must_be_one("partial_rotary_factor").map_err(within)?;
    if let Some((field, _)) = scaling.iter().find(|(_, value)| value.is_object()) {
        return Err(within(
            inner.unsupported(field, "settings that all layers share"),
        ));
    }
    let theta = inner.number_or("rope_theta", outer_theta).map_err(within)?;
    let kind = match (inner.get("rope_type"), inner.get("type")) {
        (Value::String(kind), _) | (Value::Null, Value::String(kind)) => kind.as_str(),
        (Value::Null, Value::Null) => "default",
        _ => return Err(within(inner.wrong("rope_type", "a string"))),
    };
    let scaling = match kind {
        "default" => RopeScaling::Default,
        "linear" => RopeScaling::Linear {
            factor: inner.number("factor").map_err(within)?,
        },
        "llama3" => RopeScaling::Llama3 {
            factor: inner.number("factor").map_err(within)?,
            low_freq_factor: inner.number("low_freq_factor").map_err(within)?,
            high_freq_factor: inner.number("high_freq_factor").map_err(within)?,
            original_max_positions: inner
                .count("original_max_position_embeddings")
                .map_err(within)?,
        },
        _ => {
            return Err(CheckpointError::Unsupported {
                field: format!("{name}.rope_type"),
                value: kind.into(),
                supported: "default, linear, llama3",
            });
        }
    };
    Ok(RopeConfig { theta, scaling })
}

/// The `config.json` of a model that is made from scratch.
pub fn fresh_config_json(config: &LlamaConfig) -> Map<String, Value> {
    let mut rope = json!({"rope_theta": config.rope.theta, "rope_type": "default"});
    match config.rope.scaling {
        RopeScaling::Linear { factor } => {
            rope["rope_type"] = json!("linear");
            rope["factor"] = json!(factor);
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } => {
            rope["rope_type"] = json!("llama3");
            rope["factor"] = json!(factor);
            rope["low_freq_factor"] = json!(low_freq_factor);
            rope["high_freq_factor"] = json!(high_freq_factor);
            rope["original_max_position_embeddings"] = json!(original_max_positions);
        }
        _ => {}
    }
    let Value::Object(map) = json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": config.attention_bias,
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
        "rope_parameters": rope,
        "tie_word_embeddings": config.tie_word_embeddings,
        "vocab_size": config.vocab_size,
    }) else {
        unreachable!("an object literal is an object");
    };
    map
}

impl CheckpointError {
    /// The same error for a field inside an object.
    fn within(mut self, object: &str) -> Self {
        if let Self::Field { field, .. } | Self::Unsupported { field, .. } = &mut self {
            *field = format!("{object}.{field}");
        }
        self
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, field: &str) -> &Value {
        self.0.get(field).unwrap_or(&Value::Null)
    }

    fn wrong(&self, field: &str, expected: &'static str) -> CheckpointError {
        CheckpointError::Field {
            field: field.into(),
            found: match self.get(field) {
                Value::Null => "missing".into(),
                value => value.to_string(),
            },
            expected,
        }
    }

    fn unsupported(&self, field: &str, supported: &'static str) -> CheckpointError {
        CheckpointError::Unsupported {
            field: field.into(),
            value: self.get(field).to_string(),
            supported,
        }
    }

    fn count(&self, field: &str) -> Result<usize, CheckpointError> {
        self.get(field)
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| self.wrong(field, "a whole number"))
    }

    fn count_or(&self, field: &str, default: usize) -> Result<usize, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(default),
            _ => self.count(field),
        }
    }

    fn number(&self, field: &str) -> Result<f64, CheckpointError> {
        self.get(field)
            .as_f64()
            .filter(|value| *value > 0.0)
            .ok_or_else(|| self.wrong(field, "a number above zero"))
    }

    fn number_or(&self, field: &str, default: f64) -> Result<f64, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(default),
            _ => self.number(field),
        }
    }

    /// Refuse a setting that changes the result unless it is 1.
    fn must_be_one(&self, field: &str) -> Result<(), CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(()),
            value if value.as_f64() == Some(1.0) => Ok(()),
            _ => Err(self.unsupported(field, "1")),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(false),
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong(field, "true or false")),
        }
    }
}
