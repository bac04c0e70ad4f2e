//! Rotary settings of a `config.json`.

use crate::fields::{FieldError, Fields};
use peft_models::{RopeConfig, RopeScaling};
use serde_json::{Map, Value, json};

const THETA: f64 = 10_000.0;
const TYPES: &str = "default, linear, dynamic, llama3, yarn, longrope";

/// The settings that all layers share: `rope_parameters`, or `rope_theta` with `rope_scaling`,
/// which wins where both are, as in transformers.
pub(super) fn shared(fields: &Fields<'_>) -> Result<RopeConfig, FieldError> {
    let theta = fields.number_or("rope_theta", THETA)?;
    match parameters(fields)? {
        Some(inner) => rope(fields, &inner, theta),
        None => rope(fields, &fields.inner("rope_parameters", &Map::new()), theta),
    }
}

/// ModernBERT's settings, of layers that see all positions and of those with a window.
pub(super) fn modernbert(fields: &Fields<'_>) -> Result<(RopeConfig, RopeConfig), FieldError> {
    let full = fields.number_or("global_rope_theta", 160_000.0)?;
    let window = fields.number_or("local_rope_theta", 10_000.0)?;
    by_sight(fields, full, window, true)
}

/// Gemma 3's settings, of layers that see all positions and of those with a window.
pub(super) fn gemma3(fields: &Fields<'_>) -> Result<(RopeConfig, RopeConfig), FieldError> {
    let full = fields.number_or("rope_theta", 1e6)?;
    let window = fields.number_or("rope_local_base_freq", 1e4)?;
    by_sight(fields, full, window, false)
}

/// The settings of layers that see all positions, and of those with a window, which may differ.
/// Those of `rope_scaling`, which is older, are put over those of `rope_parameters`: for the layers
/// that see all, and where `both`, for those with a window too.
fn by_sight(
    fields: &Fields<'_>,
    full: f64,
    window: f64,
    both: bool,
) -> Result<(RopeConfig, RopeConfig), FieldError> {
    let nested = fields.object("rope_parameters")?;
    let scaling = fields.object("rope_scaling")?;
    let of = |name: &'static str, theta: f64, scaled: bool| {
        let own = match nested.map(|map| map.get(name)) {
            Some(Some(Value::Object(map))) => Some(map),
            None | Some(None | Some(Value::Null)) => None,
            Some(Some(_)) => return Err(fields.wrong("rope_parameters", "an object of objects")),
        };
        let mut settings = own.cloned().unwrap_or_default();
        if own.is_none() {
            settings.insert("rope_type".into(), "default".into());
        }
        let over = scaling.filter(|map| scaled && !map.is_empty());
        settings.extend(
            over.into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        let within = if over.is_some() { "rope_scaling" } else { name };
        rope(fields, &fields.inner(within, &settings), theta)
    };
    Ok((
        of("full_attention", full, true)?,
        of("sliding_attention", window, both)?,
    ))
}

/// The object of settings that counts.
fn parameters<'a>(fields: &Fields<'a>) -> Result<Option<Fields<'a>>, FieldError> {
    let [scaling, parameters] = ["rope_scaling", "rope_parameters"];
    // An empty object says nothing.
    let older = fields.object(scaling)?.filter(|map| !map.is_empty());
    if let Some(map) = older {
        return Ok(Some(fields.inner(scaling, map)));
    }
    let newer = fields.object(parameters)?;
    Ok(newer.map(|map| fields.inner(parameters, map)))
}

/// One object of settings; `outer` has what they take from the config around them.
fn rope(outer: &Fields<'_>, inner: &Fields<'_>, theta: f64) -> Result<RopeConfig, FieldError> {
    if let Some((field, _)) = inner.iter().find(|(_, value)| value.is_object()) {
        return Err(inner.unsupported(field, "settings that all layers share"));
    }
    let kind = match (inner.string("rope_type")?, inner.string("type")?) {
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => "default",
    };
    let long = kind == "su" || (kind == "yarn" && inner.has("long_factor"));
    let theta = inner.number_or("rope_theta", theta)?;
    let fraction = match inner.optional_number("partial_rotary_factor")? {
        Some(fraction) => fraction,
        None => outer.number_or("partial_rotary_factor", 1.0)?,
    };
    let fraction = match outer.string("model_type")? {
        Some("phi3") => fraction,
        // Settings without scaling do not read it but in Phi-3; with scaling no other model takes
        // it.
        _ if kind == "default" => 1.0,
        _ => {
            inner.must_be_one("partial_rotary_factor")?;
            outer.must_be_one("partial_rotary_factor")?;
            1.0
        }
    };
    let max_positions = || outer.count("max_position_embeddings");
    // The field of the config around them wins over their own.
    let original = || match outer.optional_count("original_max_position_embeddings")? {
        Some(count) => Ok(count),
        None => match inner.optional_count("original_max_position_embeddings")? {
            Some(count) => Ok(count),
            None => max_positions(),
        },
    };
    let factor = || -> Result<f64, FieldError> {
        Ok(match inner.optional_number("factor")? {
            Some(factor) => factor,
            None => max_positions()? as f64 / original()?.max(1) as f64,
        })
    };
    let scaling = match kind {
        "default" => RopeScaling::Default,
        "linear" => RopeScaling::Linear {
            factor: inner.number("factor")?,
        },
        "dynamic" => RopeScaling::Dynamic {
            factor: inner.number("factor")?,
            max_positions: max_positions()?,
        },
        "llama3" => RopeScaling::Llama3 {
            factor: inner.number("factor")?,
            low_freq_factor: inner.number("low_freq_factor")?,
            high_freq_factor: inner.number("high_freq_factor")?,
            original_max_positions: original()?,
        },
        "longrope" | "su" | "yarn" if long || kind == "longrope" => {
            let original = original()?;
            let stretch = factor()?;
            let factor = match inner.optional_number("attention_factor")? {
                Some(factor) => factor,
                None if stretch <= 1.0 => 1.0,
                None => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
            };
            RopeScaling::Long {
                short: inner.numbers("short_factor")?,
                long: inner.numbers("long_factor")?,
                original_max_positions: original,
                attention_factor: factor,
            }
        }
        "yarn" => RopeScaling::Yarn {
            factor: factor()?,
            original_max_positions: original()?,
            attention_factor: yarn_attention_factor(inner, factor()?)?,
            beta_fast: inner.number_or("beta_fast", 32.0)?,
            beta_slow: inner.number_or("beta_slow", 1.0)?,
            truncate: inner.flag_or("truncate", true)?,
        },
        _ => {
            return Err(inner.unsupported(
                if inner.has("rope_type") {
                    "rope_type"
                } else {
                    "type"
                },
                TYPES,
            ));
        }
    };
    Ok(RopeConfig {
        theta,
        scaling,
        fraction,
    })
}

/// What YaRN multiplies queries and keys by, from the settings or by its paper's rule.
fn yarn_attention_factor(inner: &Fields<'_>, factor: f64) -> Result<f64, FieldError> {
    if let Some(given) = inner.optional_number("attention_factor")? {
        return Ok(given);
    }
    let of = |scale: f64| match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * scale * factor.ln() + 1.0,
    };
    let scale = |field| inner.get(field).as_f64().filter(|scale| *scale != 0.0);
    Ok(match (scale("mscale"), scale("mscale_all_dim")) {
        (Some(scale), Some(all)) => of(scale) / of(all),
        _ => of(1.0),
    })
}

/// The settings as transformers writes them.
pub(super) fn to_json(rope: &RopeConfig) -> Value {
    let mut map = Map::new();
    let mut put = |field: &str, value: Value| map.insert(field.into(), value);
    put("rope_theta", json!(rope.theta));
    if rope.fraction != 1.0 {
        put("partial_rotary_factor", json!(rope.fraction));
    }
    match &rope.scaling {
        RopeScaling::Linear { factor } => {
            put("rope_type", json!("linear"));
            put("factor", json!(factor));
        }
        RopeScaling::Dynamic { factor, .. } => {
            put("rope_type", json!("dynamic"));
            put("factor", json!(factor));
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } => {
            put("rope_type", json!("llama3"));
            put("factor", json!(factor));
            put("low_freq_factor", json!(low_freq_factor));
            put("high_freq_factor", json!(high_freq_factor));
            put(
                "original_max_position_embeddings",
                json!(original_max_positions),
            );
        }
        RopeScaling::Yarn {
            factor,
            original_max_positions,
            attention_factor,
            beta_fast,
            beta_slow,
            truncate,
        } => {
            put("rope_type", json!("yarn"));
            put("factor", json!(factor));
            put("attention_factor", json!(attention_factor));
            put("beta_fast", json!(beta_fast));
            put("beta_slow", json!(beta_slow));
            put("truncate", json!(truncate));
            put(
                "original_max_position_embeddings",
                json!(original_max_positions),
            );
        }
        RopeScaling::Long {
            short,
            long,
            original_max_positions,
            attention_factor,
        } => {
            put("rope_type", json!("longrope"));
            put("short_factor", json!(short));
            put("long_factor", json!(long));
            put("attention_factor", json!(attention_factor));
            put(
                "original_max_position_embeddings",
                json!(original_max_positions),
            );
        }
        RopeScaling::Default => {
            put("rope_type", json!("default"));
        }
    }
    Value::Object(map)
}
