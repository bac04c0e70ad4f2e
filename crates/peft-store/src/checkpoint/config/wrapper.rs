//! Models of text and images: what of their `config.json` is the model of text.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::CONFIG;
use crate::fields::{FieldError, Fields};

/// Models whose text part is one of the decoders, as `model_type` names them, and which one where
/// `text_config` does not say.
pub(super) const WRAPPERS: [(&str, &str); 6] = [
    ("gemma3", "gemma3_text"),
    ("llava", "llama"),
    ("llava_next", "llama"),
    ("llava_onevision", "qwen2"),
    ("mistral3", "mistral"),
    ("vipllava", "llama"),
];

/// The fields of the text part, if these are of a model that has one beside others; they are a
/// whole `config.json`.
pub(in super::super) fn text_fields(
    map: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, FieldError> {
    let fields = Fields::new(Path::new(CONFIG), map);
    let family = map.get("model_type").and_then(Value::as_str);
    let Some((_, text)) = WRAPPERS.iter().find(|(name, _)| Some(*name) == family) else {
        return Ok(None);
    };
    fields.must_be_off(&["quantization_config"])?;
    let mut inner = fields.object("text_config")?.cloned().unwrap_or_default();
    if !matches!(inner.get("model_type"), Some(Value::String(_))) {
        inner.insert("model_type".into(), (*text).into());
    }
    // What the whole says of its output layer is what counts, and what its class says where it says
    // nothing.
    let (own, within) = (
        fields.get("tie_word_embeddings"),
        inner.get("tie_word_embeddings"),
    );
    let tied = match family {
        // Old files of these say it of the text part.
        Some("llava" | "llava_onevision") if within == Some(&Value::Bool(true)) => true.into(),
        Some("gemma3" | "mistral3") if own.is_null() => true.into(),
        _ if own.is_null() => false.into(),
        _ => own.clone(),
    };
    inner.insert("tie_word_embeddings".into(), tied);
    let class = match inner["model_type"].as_str().unwrap_or_default() {
        "gemma3_text" => "Gemma3".to_owned(),
        name => name[..1].to_uppercase() + &name[1..],
    };
    inner.insert(
        "architectures".into(),
        json!([format!("{class}ForCausalLM")]),
    );
    for field in [
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "transformers_weights",
    ] {
        if let (false, Some(id)) = (inner.contains_key(field), map.get(field)) {
            inner.insert(field.into(), id.clone());
        }
    }
    Ok(Some(inner))
}
