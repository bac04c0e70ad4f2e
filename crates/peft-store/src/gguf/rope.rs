//! Rotary settings, which files have in their metadata and as tensors of factors.

use peft_gguf::{Contents, TensorPlace, TensorType};
use serde_json::{Map, Value, json};

use super::metadata::Keys;
use crate::CheckpointError;

/// As many factors as are read: one for each pair of a head.
const MOST: usize = 4096;
/// What Llama 3.1 and its like are scaled by, but for the factor: `low_freq_factor`,
/// `high_freq_factor`, `original_max_position_embeddings`.
const LLAMA3: (f64, f64, f64) = (1.0, 4.0, 8192.0);

/// Put the settings into the fields of a config.
pub(super) fn put(
    keys: &Keys<'_>,
    opened: &Contents,
    head_dim: u64,
    fields: &mut Map<String, Value>,
) -> Result<(), CheckpointError> {
    let theta = keys.optional_number("rope.freq_base")?.unwrap_or(10_000.0);
    fields.insert("rope_theta".into(), json!(theta));
    if let Some(window) = keys.optional_number("rope.freq_base_swa")? {
        fields.insert("rope_local_base_freq".into(), json!(window));
    }
    let rotated = keys
        .optional_count("rope.dimension_count")?
        .unwrap_or(head_dim);
    if rotated != head_dim {
        if keys.architecture != "phi3" {
            let key = format!("{}.rope.dimension_count", keys.architecture);
            let expected = format!("{head_dim}, all of a head");
            return Err(keys.wrong(key, rotated.to_string(), expected));
        }
        let fraction = rotated as f64 / head_dim.max(1) as f64;
        fields.insert("partial_rotary_factor".into(), json!(fraction));
    }
    let factors = |name: &str| -> Result<Option<Vec<f64>>, CheckpointError> {
        let found = opened.tensors.iter().find(|place| place.key() == name);
        found.map(|place| read(keys, place)).transpose()
    };
    let original = keys.optional_count("rope.scaling.original_context_length")?;
    let attention = keys.optional_number("rope.scaling.attn_factor")?;
    let long = factors("rope_factors_long.weight")?;
    let short = factors("rope_factors_short.weight")?;
    let scaling = match (long, short) {
        (Some(long), Some(short)) => {
            // Phi-3's config has it outside of the settings.
            fields.insert("original_max_position_embeddings".into(), json!(original));
            Some(json!({
                "rope_type": "longrope", "short_factor": short, "long_factor": long,
                "attention_factor": attention.unwrap_or(1.0),
            }))
        }
        _ => match factors("rope_freqs.weight")? {
            Some(factors) => Some(by_factors(factors, theta, rotated, fields)),
            None => scaling(keys, original, attention)?,
        },
    };
    if let Some(scaling) = scaling {
        fields.insert("rope_scaling".into(), scaling);
    }
    Ok(())
}

/// By the metadata alone.
fn scaling(
    keys: &Keys<'_>,
    original: Option<u64>,
    attention: Option<f64>,
) -> Result<Option<Value>, CheckpointError> {
    let factor = match keys.optional_number("rope.scaling.factor")? {
        None => keys.optional_number("rope.scale_linear")?,
        found => found,
    };
    let factor = factor.filter(|factor| *factor != 1.0);
    let kind = keys.optional_text("rope.scaling.type")?;
    Ok(match (kind.unwrap_or("linear"), factor) {
        ("none", _) | ("linear", None) => None,
        ("linear", Some(factor)) => Some(json!({ "rope_type": "linear", "factor": factor })),
        ("yarn", factor) => {
            let factor = factor.unwrap_or(1.0);
            let mut settings = json!({ "rope_type": "yarn", "factor": factor });
            if let Some(original) = original {
                settings["original_max_position_embeddings"] = json!(original);
            }
            // ggml multiplies the paper's rule by it.
            if let Some(attention) = attention.filter(|attention| *attention != 1.0) {
                let own = 0.1 * factor.max(1.0).ln() + 1.0;
                settings["attention_factor"] = json!(attention * own);
            }
            Some(settings)
        }
        (other, _) => {
            let key = format!("{}.rope.scaling.type", keys.architecture);
            return Err(keys.wrong(key, other, "none, linear, yarn"));
        }
    })
}

/// By a factor for each pair, whatever the length: Llama 3's rule where it gives them, and else
/// LongRoPE's with the same factors for both lengths.
fn by_factors(factors: Vec<f64>, theta: f64, rotated: u64, fields: &Map<String, Value>) -> Value {
    let largest = factors.iter().copied().fold(1.0, f64::max);
    let (low, high, original) = LLAMA3;
    let is_rule = factors.iter().enumerate().all(|(i, found)| {
        let turn = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / rotated.max(1) as f64);
        let smooth = ((original / turn - low) / (high - low)).clamp(0.0, 1.0);
        let rule = 1.0 / ((1.0 - smooth) / largest + smooth);
        (found - rule).abs() <= 1e-4 * rule
    });
    match is_rule && largest > 1.0 {
        true => json!({
            "rope_type": "llama3", "factor": largest.round(), "low_freq_factor": low,
            "high_freq_factor": high, "original_max_position_embeddings": original as u64,
        }),
        false => json!({
            "rope_type": "longrope", "short_factor": factors, "long_factor": factors,
            "attention_factor": 1.0,
            "original_max_position_embeddings": fields["max_position_embeddings"],
        }),
    }
}

fn read(keys: &Keys<'_>, place: &TensorPlace) -> Result<Vec<f64>, CheckpointError> {
    let values: usize = place.shape().iter().product();
    if place.ty() != TensorType::F32 || values > MOST {
        let expected = format!("at most {MOST} of F32");
        return Err(keys.wrong(place.key(), format!("{values} of {}", place.ty()), expected));
    }
    let mut bytes = vec![0; place.bytes()];
    place.read_at(0, &mut bytes)?;
    let mut values = vec![0.0; values];
    place.ty().unpack(&bytes, &mut values);
    Ok(values.into_iter().map(f64::from).collect())
}
