//! Slots, selection, freezing and merging, whatever the method.

mod convolutions;
mod freezing;
mod frozen_weight;
mod graph;
mod managing;
mod merging;
mod paths;
mod refusals;
mod shared_matrix;
mod shared_param;
mod statistics;
mod stock;
mod targets;
mod traversal;

use burn::tensor::Device;
use peft_core::{ForwardPath, Placed, Targets};
use peft_lora::LoraConfig;

use crate::fixture::{Net, filled_adapters};

/// LoRA of scale 1.5 on the queries and the down projections.
fn lora(path: ForwardPath) -> LoraConfig {
    LoraConfig::new(2, 3.0)
        .with_targets(Targets::suffixes(["q_proj", "down_proj"]))
        .with_path(path)
}

/// A [`Net`] with [`lora`] attached as `default`, `B ≠ 0`.
fn adapted(device: &Device, path: ForwardPath) -> Net {
    let mut model = Net::new(device);
    lora(path)
        .attach(&mut model, "default")
        .expect("it attaches");
    filled_adapters(model)
}
