//! [`complete`]: the layers that PEFT adapts where a config names none.

use serde_json::{Map, Value, json};

/// Put PEFT's layers for this family, a `model_type`, in the place of lists that are missing or
/// null.
///
/// They are those of its `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING` and of its tables for
/// IA3; of a family that is in none the lists stay away.
pub(super) fn complete(fields: &mut Map<String, Value>, family: &str) {
    let method = fields.get("peft_type").and_then(Value::as_str);
    let lists = match method {
        Some("LORA") => [lora(family), None],
        Some("IA3") => [ia3(family), ia3_feedforward(family)],
        _ => return,
    };
    for (field, names) in ["target_modules", "feedforward_modules"].iter().zip(lists) {
        if let (None | Some(Value::Null), Some(names)) = (fields.get(*field), names) {
            fields.insert((*field).into(), json!(names));
        }
    }
}

fn lora(family: &str) -> Option<&'static [&'static str]> {
    Some(match family {
        "llama" | "mistral" | "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => &["q_proj", "v_proj"],
        "gpt2" => &["c_attn"],
        "bert" | "roberta" | "xlm-roberta" => &["query", "value"],
        _ => return None,
    })
}

fn ia3(family: &str) -> Option<&'static [&'static str]> {
    Some(match family {
        "llama" | "mistral" => &["k_proj", "v_proj", "down_proj"],
        "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => &["q_proj", "v_proj", "down_proj"],
        "gpt2" => &["c_attn", "mlp.c_proj"],
        "bert" | "roberta" => &["key", "value", "output.dense"],
        _ => return None,
    })
}

fn ia3_feedforward(family: &str) -> Option<&'static [&'static str]> {
    Some(match family {
        "llama" | "mistral" | "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => &["down_proj"],
        "gpt2" => &["mlp.c_proj"],
        "bert" | "roberta" => &["output.dense"],
        _ => return None,
    })
}
