//! [`fields`]: the metadata of a file as the fields of a `config.json`.

use peft_gguf::{Contents, TensorPlace};
use serde_json::{Map, Value, json};

use super::metadata::Keys;
use super::rope;
use crate::CheckpointError;

/// The architectures that are read, by ggml's names, with `model_type` and class.
pub(super) const ARCHITECTURES: [(&str, &str, &str); 7] = [
    ("llama", "llama", "LlamaForCausalLM"),
    ("qwen2", "qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "qwen3", "Qwen3ForCausalLM"),
    ("gemma2", "gemma2", "Gemma2ForCausalLM"),
    ("gemma3", "gemma3_text", "Gemma3ForCausalLM"),
    ("phi3", "phi3", "Phi3ForCausalLM"),
    ("gpt2", "gpt2", "GPT2LMHeadModel"),
];

/// The fields of a `config.json` that says what a file's metadata says.
///
/// # Errors
///
/// [`CheckpointError::Metadata`] by the key.
pub(super) fn fields(
    keys: &Keys<'_>,
    opened: &Contents,
) -> Result<Map<String, Value>, CheckpointError> {
    let known = ARCHITECTURES
        .iter()
        .find(|(name, _, _)| *name == keys.architecture);
    let (_, model_type, class) = known.ok_or_else(|| {
        let names = ARCHITECTURES.map(|(name, _, _)| name);
        keys.wrong("general.architecture", keys.architecture, names.join(", "))
    })?;
    let tensor = |name: &str| opened.tensors.iter().find(|place| place.key() == name);
    let mut fields = Map::new();
    fields.insert("architectures".into(), json!([class]));
    fields.insert("model_type".into(), json!(model_type));
    let embedding = tensor("token_embd.weight").map(TensorPlace::shape);
    let Some([vocab_size, _]) = embedding else {
        return Err(keys.wrong(
            "token_embd.weight",
            "missing or no matrix",
            "the embeddings",
        ));
    };
    fields.insert("vocab_size".into(), json!(vocab_size));
    let tied = tensor("output.weight").is_none();
    fields.insert("tie_word_embeddings".into(), json!(tied));
    if keys
        .optional_count("expert_count")?
        .is_some_and(|count| count > 0)
    {
        let key = format!("{}.expert_count", keys.architecture);
        return Err(keys.wrong(key, "above 0", "a model without experts, which are not run"));
    }
    match keys.architecture {
        "gpt2" => gpt2(keys, &mut fields)?,
        _ => decoder(keys, opened, &mut fields)?,
    }
    for (field, key) in [
        ("bos_token_id", "bos_token_id"),
        ("eos_token_id", "eos_token_id"),
        ("pad_token_id", "padding_token_id"),
    ] {
        let id = keys.metadata.get(&format!("tokenizer.ggml.{key}"));
        fields.insert(field.into(), json!(id.and_then(peft_gguf::Value::as_u64)));
    }
    Ok(fields)
}

fn gpt2(keys: &Keys<'_>, fields: &mut Map<String, Value>) -> Result<(), CheckpointError> {
    for (field, key) in [
        ("n_positions", "context_length"),
        ("n_embd", "embedding_length"),
        ("n_inner", "feed_forward_length"),
        ("n_layer", "block_count"),
        ("n_head", "attention.head_count"),
    ] {
        fields.insert(field.into(), json!(keys.count(key)?));
    }
    let epsilon = keys.optional_number("attention.layer_norm_epsilon")?;
    fields.insert("layer_norm_epsilon".into(), json!(epsilon.unwrap_or(1e-5)));
    Ok(())
}

/// Llama and the decoders after it.
fn decoder(
    keys: &Keys<'_>,
    opened: &Contents,
    fields: &mut Map<String, Value>,
) -> Result<(), CheckpointError> {
    let mut put = |field: &str, value: Value| drop(fields.insert(field.into(), value));
    let d_model = keys.count("embedding_length")?;
    let heads = keys.count("attention.head_count")?;
    let layers = keys.count("block_count")?;
    let kv_heads = keys
        .optional_count("attention.head_count_kv")?
        .unwrap_or(heads);
    let key_length = keys.optional_count("attention.key_length")?;
    let head_dim = match (key_length, d_model.checked_div(heads)) {
        (Some(length), _) | (None, Some(length)) => length,
        (None, None) => {
            let key = format!("{}.attention.head_count", keys.architecture);
            return Err(keys.wrong(key, "0", "a number of heads"));
        }
    };
    if let Some(length) = keys.optional_count("attention.value_length")?
        && length != head_dim
    {
        let key = format!("{}.attention.value_length", keys.architecture);
        return Err(keys.wrong(key, length.to_string(), format!("{head_dim}, as keys have")));
    }
    put(
        "max_position_embeddings",
        json!(keys.count("context_length")?),
    );
    put("hidden_size", json!(d_model));
    put(
        "intermediate_size",
        json!(keys.count("feed_forward_length")?),
    );
    put("num_hidden_layers", json!(layers));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(kv_heads));
    put("head_dim", json!(head_dim));
    let epsilon = keys.optional_number("attention.layer_norm_rms_epsilon")?;
    put("rms_norm_eps", json!(epsilon.unwrap_or(1e-6)));
    let has = |name: &str| opened.tensors.iter().any(|place| place.key() == name);
    if keys.architecture != "qwen2" {
        put("attention_bias", json!(has("blk.0.attn_q.bias")));
    }
    if keys.architecture == "llama" {
        put("mlp_bias", json!(has("blk.0.ffn_up.bias")));
    }
    let window = keys
        .optional_count("attention.sliding_window")?
        .filter(|window| *window > 0);
    match keys.architecture {
        // What is one with Llama but for its window is a Mistral.
        "llama" if window.is_some() => {
            put("model_type", json!("mistral"));
            put("architectures", json!(["MistralForCausalLM"]));
            put("sliding_window", json!(window));
        }
        "phi3" => put("sliding_window", json!(window)),
        "gemma2" | "gemma3" => {
            if window.is_some() {
                put("sliding_window", json!(window));
            }
            // The metadata does not say; ggml tells the largest models by their layers.
            let largest = matches!((keys.architecture, layers), ("gemma2", 46) | ("gemma3", 62));
            let scalar = match largest {
                true => d_model.checked_div(heads).unwrap_or(head_dim),
                false => head_dim,
            };
            put("query_pre_attn_scalar", json!(scalar));
            let cap = keys.optional_number("final_logit_softcapping")?;
            match (keys.architecture, cap) {
                ("gemma2", None) => {}
                (_, cap) => put("final_logit_softcapping", json!(cap)),
            }
            if let Some(cap) = keys.optional_number("attn_logit_softcapping")? {
                put("attn_logit_softcapping", json!(cap));
            }
        }
        _ => {}
    }
    rope::put(keys, opened, head_dim, fields)
}
