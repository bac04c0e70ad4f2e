//! `peft inspect`.

use std::fs;
use std::path::Path;

use peft_store::{AdapterConfig, AdapterDir, Checkpoint, CheckpointConfig};
use serde_json::{Value, json};

use super::print_line;
use crate::args::InspectArgs;
use crate::error::CliError;

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
                print_line(format!("{field}:"))?;
                for row in rows {
                    print_line(format!("  {}", shown(row)))?;
                }
            }
            value => print_line(format!("{field}: {}", shown(value)))?,
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
        value => value.to_string(),
    }
}

/// The bytes of the files in `dir` whose names begin and end so.
fn bytes(dir: &Path, start: &str) -> u64 {
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
    let dir = AdapterDir::open(&args.path)?;
    let tensors = dir.tensor_shapes()?;
    let parameters: usize = tensors
        .iter()
        .map(|(_, s)| s.iter().product::<usize>())
        .sum();
    let mut out = json!({
        "kind": "adapter",
        "method": dir.config().method(),
    });
    if let AdapterConfig::Lora(lora) = dir.config() {
        out["rank"] = json!(lora.rank);
        out["alpha"] = json!(lora.alpha);
    }
    let more = json!({
        "targets": dir.fields().get("target_modules"),
        "base_model": dir.fields().get("base_model_name_or_path"),
        "parameters": parameters,
        "bytes": bytes(&args.path, "adapter_model"),
        "tensors": tensors.iter().map(|(key, shape)| json!([key, shape])).collect::<Vec<_>>(),
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        out[field] = value.clone();
    }
    Ok(out)
}

fn model(args: &InspectArgs) -> Result<Value, CliError> {
    let checkpoint = Checkpoint::open(&args.path)?;
    let tensors = checkpoint.tensors()?;
    let parameters: usize = tensors
        .iter()
        .map(|(_, s, _)| s.iter().product::<usize>())
        .sum();
    let mut dtypes: Vec<&str> = tensors.iter().map(|(_, _, dtype)| dtype.as_str()).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    let device = crate::device::any()?;
    let layers = match checkpoint.config() {
        CheckpointConfig::LanguageModel(config) => peft_core::layers(&config.init(&device)),
        CheckpointConfig::Encoder(config) => peft_core::layers(&config.encoder(true, &device)),
        _ => Vec::new(),
    };
    let mut targets: Vec<&str> = layers
        .iter()
        .filter_map(|layer| layer.path.rsplit('.').next())
        .collect();
    targets.sort_unstable();
    targets.dedup();
    Ok(json!({
        "kind": "model",
        "family": checkpoint.fields().get("model_type"),
        "parameters": parameters,
        "bytes": bytes(&args.path, "model"),
        "dtypes": dtypes,
        "layers": checkpoint.config().n_layers(),
        "targets": targets,
        "tensors": tensors.iter().map(|(key, shape, dtype)| json!([key, shape, dtype])).collect::<Vec<_>>(),
    }))
}
