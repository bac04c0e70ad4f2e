//! LoRA in PEFT's files.

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{AdapterSlot, LayerKind, LayerRange, Patterns, TrainBias};
use peft_lora::{Lora, LoraConfig, LoraInit, LoraScaling};
use serde_json::{Map, Value, json};

use super::super::AdapterFileError;
use super::super::config::placement_from;
use super::super::fields::{Fields, as_count, as_number};
use super::Part;
use crate::params::in_out;

/// Fields that change what LoRA computes and have no counterpart here; each must be absent, null, false or empty.
const LORA_UNSUPPORTED: [&str; 15] = [
    "alora_invocation_tokens",
    "arrow_config",
    "ensure_weight_tying",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
    "use_kappatune",
];

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The config that a file's fields give.
pub(in super::super) fn from_fields(fields: &Fields<'_>) -> Result<LoraConfig, AdapterFileError> {
    for field in LORA_UNSUPPORTED {
        if !is_default(fields.get(field)) {
            return Err(fields.unsupported(field, "null"));
        }
    }
    let mut placement = placement_from(fields)?;
    placement.train_bias = match fields.string("bias")? {
        None | Some("none") => TrainBias::None,
        Some("all") => TrainBias::All,
        Some("lora_only") => TrainBias::Adapted,
        Some(_) => return Err(fields.wrong("bias", "`none`, `all` or `lora_only`")),
    };
    let init = match fields.get("init_lora_weights") {
        Value::Null | Value::Bool(_) => LoraInit::KaimingUniform,
        Value::String(init) if init == "gaussian" => LoraInit::Gaussian,
        // These start the factors from something else, and leave the base alone.
        Value::String(init) if ["orthogonal", "eva", "mica"].contains(&init.as_str()) => {
            LoraInit::KaimingUniform
        }
        // The others subtract their first product from the base weights, which a plain load would not.
        Value::String(_) => {
            return Err(fields.unsupported(
                "init_lora_weights",
                "true, false, gaussian, orthogonal, eva, mica",
            ));
        }
        _ => return Err(fields.wrong("init_lora_weights", "true, false or a string")),
    };
    let scaling = match fields.bool("use_rslora")? {
        true => LoraScaling::RankStabilised,
        false => LoraScaling::Standard,
    };
    Ok(LoraConfig {
        rank: fields.count("r", 8)?,
        alpha: fields.number("lora_alpha", 8.0)?,
        scaling,
        dropout: fields.number("lora_dropout", 0.0)?,
        init,
        rank_pattern: Patterns::new(fields.patterns("rank_pattern", as_count)?),
        alpha_pattern: Patterns::new(fields.patterns("alpha_pattern", as_number)?),
        placement,
    })
}

/// The fields of a config.
pub(in super::super) fn to_fields(config: &LoraConfig, adapted: &[String]) -> Value {
    let targets = &config.placement.targets;
    let layers = (*targets.range() != LayerRange::All).then(|| {
        let mut indices: Vec<usize> = adapted
            .iter()
            .filter_map(|path| targets.layer_index(path))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    });
    // The first that matches counts.
    let after = Some(targets.index_after()).filter(|after| layers.is_some() && !after.is_empty());
    json!({
        "peft_type": "LORA",
        "alora_invocation_tokens": null,
        "alpha_pattern": config.alpha_pattern.iter().map(|(at, alpha)| (at.to_owned(), number(*alpha))).collect::<Map<_, _>>(),
        "arrow_config": null,
        "bias": match config.placement.train_bias {
            TrainBias::All => "all",
            TrainBias::Adapted => "lora_only",
            TrainBias::None => "none",
        },
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "init_lora_weights": match config.init {
            LoraInit::KaimingUniform => json!(true),
            LoraInit::Gaussian => json!("gaussian"),
        },
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": after,
        "layers_to_transform": layers,
        "loftq_config": {},
        "lora_alpha": number(config.alpha),
        "lora_bias": false,
        "lora_dropout": config.dropout,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "monteclora_config": null,
        "qalora_group_size": 16,
        "r": config.rank,
        "rank_pattern": config.rank_pattern.iter().map(|(at, rank)| (at.to_owned(), json!(rank))).collect::<Map<_, _>>(),
        "target_parameters": null,
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": false,
        "use_qalora": false,
        "use_rslora": config.scaling == LoraScaling::RankStabilised,
        "velora_config": null,
    })
}

/// PEFT declares alpha as an integer; whole numbers are written as such.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// The tensors of the LoRA in `slot`, if that is what it holds: `lora_A` is `[rank, in]` in a file, and `lora_B` `[out, rank]`.
pub(in super::super) fn parts(
    slot: &AdapterSlot,
    name: &str,
    kind: Option<LayerKind>,
) -> Option<Vec<Part>> {
    let lora = slot.get::<Lora>(name)?;
    let (a, b) = match kind {
        Some(LayerKind::Embedding) => ("lora_embedding_A", "lora_embedding_B"),
        _ => ("lora_A.weight", "lora_B.weight"),
    };
    let [d_in, rank] = lora.lora_a.lazy_shape().dims();
    let [_, d_out] = lora.lora_b.lazy_shape().dims();
    Some(vec![
        Part {
            suffix: a.into(),
            shape: vec![rank, d_in],
            read: |slot, name| {
                let lora = slot.get::<Lora>(name)?;
                Some(lora.lora_a.val().transpose().into_data())
            },
            write: |slot, name, data, device| {
                let a = matrix(data, device);
                change(slot, name, |old| (a, old.lora_b.val().detach()));
            },
        },
        Part {
            suffix: b.into(),
            shape: vec![d_out, rank],
            read: |slot, name| {
                let lora = slot.get::<Lora>(name)?;
                Some(lora.lora_b.val().transpose().into_data())
            },
            write: |slot, name, data, device| {
                let b = matrix(data, device);
                change(slot, name, |old| (old.lora_a.val().detach(), b));
            },
        },
    ])
}

fn matrix(data: TensorData, device: &Device) -> Tensor<2> {
    in_out(data, (device, DType::F32))
}

fn change(
    slot: &mut AdapterSlot,
    name: &str,
    factors: impl FnOnce(&Lora) -> (Tensor<2>, Tensor<2>),
) {
    if let Some(old) = slot.get::<Lora>(name) {
        let (a, b) = factors(old);
        let lora = Lora::new(a, b, old.scale(), old.dropout());
        slot.set(name, lora);
    }
}
