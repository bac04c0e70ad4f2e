//! `peft inspect`.

use peft_store::{AdapterDir, Checkpoint};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::error::CliError;

pub(crate) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let out = if args.path.join("adapter_config.json").is_file() {
        adapter(args)?
    } else {
        model(args)?
    };
    if args.json {
        println!("{out}");
    } else if let Some(fields) = out.as_object() {
        for (field, value) in fields {
            match value {
                Value::Array(rows) => {
                    println!("{field}:");
                    rows.iter().for_each(|row| println!("  {row}"));
                }
                value => println!("{field}: {value}"),
            }
        }
    }
    Ok(())
}

fn adapter(args: &InspectArgs) -> Result<Value, CliError> {
    let dir = AdapterDir::open(&args.path)?;
    let tensors = dir.tensor_shapes()?;
    let parameters: usize = tensors
        .iter()
        .map(|(_, s)| s.iter().product::<usize>())
        .sum();
    Ok(json!({
        "kind": "adapter",
        "method": dir.config().method(),
        "targets": dir.fields().get("target_modules"),
        "base_model": dir.fields().get("base_model_name_or_path"),
        "parameters": parameters,
        "tensors": tensors.iter().map(|(key, shape)| json!([key, shape])).collect::<Vec<_>>(),
    }))
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
    let layers = peft_core::layers(&checkpoint.config().init(&device));
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
        "dtypes": dtypes,
        "layers": checkpoint.config().n_layers(),
        "targets": targets,
        "tensors": tensors.iter().map(|(key, shape, dtype)| json!([key, shape, dtype])).collect::<Vec<_>>(),
    }))
}
