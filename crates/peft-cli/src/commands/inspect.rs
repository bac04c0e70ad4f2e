//! `peft inspect`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use peft_core::LayerKind;
use peft_store::{AdapterConfig, Checkpoint, CheckpointConfig, CheckpointError, SavedAdapter};
use serde_json::{Map, Value, json};

use super::adapted::open_alone;
use super::{OUTPUT_LAYER, print_line};
use crate::args::InspectArgs;
use crate::error::CliError;
use crate::say::{clean, say};

pub(crate) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let out: Value = if args.path.join("adapter_config.json").is_file() {
        adapter(args)?
    } else {
        model(args)?
    };
    let fields = match out.as_object() {
        Some(fields) if !args.json => fields,
        _ => return print_line(&out),
    };
    for (field, value) in fields {
        match value {
            Value::Array(rows) => {
                // In one piece: there may be as many as a million.
                let mut text = format!("{field}:");
                for row in rows {
                    text.push('\n');
                    text.push_str(&clean(&format!("  {}", shown(row))));
                }
                print_line(text)?;
            }
            value => print_line(clean(&format!("{field}: {}", shown(value))))?,
        }
    }
    Ok(())
}

/// A value as a person reads it: a row of a table without brackets, a string without quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(row) if row.first().is_some_and(Value::is_string) => {
            row.iter().map(shown).collect::<Vec<_>>().join("  ")
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::Array(names) => {
                    let names: Vec<String> = names.iter().map(shown).collect();
                    format!("{name} ({})", names.join(", "))
                }
                value => format!("{name} {}", shown(value)),
            });
            fields.collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    }
}

/// The bytes of the files in `dir` whose names begin and end so, or of the file that it is.
fn bytes(dir: &Path, start: &str) -> u64 {
    if let Some(file) = fs::metadata(dir).ok().filter(fs::Metadata::is_file) {
        return file.len();
    }
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter(|file| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            name.starts_with(start) && name.ends_with(".safetensors")
        })
        .filter_map(|file| fs::metadata(file.path()).ok())
        .map(|file| file.len())
        .sum()
}

fn adapter(args: &InspectArgs) -> Result<Value, CliError> {
    let saved = open_alone(&args.path)?;
    let mut out = json!({ "kind": "adapter", "method": saved.method() });
    if let SavedAdapter::Peft(dir) = &saved {
        if let AdapterConfig::Lora(lora) = dir.config() {
            out["rank"] = json!(lora.rank);
            out["alpha"] = json!(lora.alpha);
        }
        match saved.n_virtual_tokens() {
            0 => out["targets"] = json!(dir.fields().get("target_modules")),
            n => out["virtual_tokens"] = json!(n),
        }
    }
    let (base, tensors) = (saved.base(), saved.tensor_shapes()?);
    let parameters: usize = tensors
        .iter()
        .map(|(_, s)| s.iter().product::<usize>())
        .sum();
    out["base_model"] = json!(base);
    out["parameters"] = json!(parameters);
    out["bytes"] = json!(bytes(&args.path, "adapter_model"));
    out["tensors"] = tensors
        .iter()
        .map(|(key, shape)| json!([key, shape]))
        .collect();
    Ok(out)
}

fn model(args: &InspectArgs) -> Result<Value, CliError> {
    let checkpoint = Checkpoint::open(&args.path)?;
    let tensors = match checkpoint.tensors() {
        // A config alone says much, and can be trained from.
        Err(error @ CheckpointError::NoWeights { .. }) => {
            say!("{error}");
            Vec::new()
        }
        tensors => tensors?,
    };
    let parameters: usize = tensors
        .iter()
        .map(|(_, s, _)| s.iter().product::<usize>())
        .sum();
    let mut dtypes: Vec<&str> = tensors.iter().map(|(_, _, dtype)| dtype.as_str()).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    let device = crate::device::any()?;
    let layers = match checkpoint.config() {
        CheckpointConfig::LanguageModel(config) => peft_core::layer_names(&config.init(&device)),
        CheckpointConfig::Encoder(config) => peft_core::layer_names(&config.encoder(true, &device)),
    };
    let names = |kind: LayerKind| {
        let named = layers.iter().filter(|(_, of)| *of == kind);
        let names = named.filter_map(|(path, _)| path.rsplit('.').next());
        names.collect::<BTreeSet<&str>>()
    };
    let (linear, embeddings) = (names(LayerKind::Linear), names(LayerKind::Embedding));
    let family = checkpoint.family_targets();
    Ok(json!({
        "kind": "model",
        "family": checkpoint.fields().get("model_type"),
        "parameters": parameters,
        "bytes": bytes(checkpoint.dir(), "model"),
        "dtypes": dtypes,
        "layers": checkpoint.config().n_layers(),
        "sizes": checkpoint.config().sizes().into_iter().map(|(name, size)| (name.to_owned(), size.into())).collect::<Map<_, _>>(),
        "attention": attention(&checkpoint),
        "targets": linear.union(&embeddings).collect::<Vec<_>>(),
        "lora_targets": {
            "all-linear": linear.iter().filter(|name| **name != OUTPUT_LAYER).collect::<Vec<_>>(),
            "attention": family.attention,
            "embeddings": embeddings,
        },
        "ia3_targets": { "all": family.ia3, "feedforward": family.ia3_feedforward },
        "tensors": tensors.iter().map(|(key, shape, dtype)| json!([key, shape, dtype])).collect::<Vec<_>>(),
    }))
}

/// What the positions of each kind of layer see, and how many layers are of it.
fn attention(checkpoint: &Checkpoint) -> Value {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for window in checkpoint.config().windows() {
        let kind = match window {
            Some(window) => format!("window of {window}"),
            None => "all positions".into(),
        };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, layers)) => *layers += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds = kinds
        .into_iter()
        .map(|(kind, layers)| (kind, layers.into()));
    Value::Object(kinds.collect())
}
