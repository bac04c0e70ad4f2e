//! Prefixes: what PEFT computes with them, and what they change and leave.

mod attach;
mod compose;
mod encoders;
mod files;
mod generation;
mod golden;
mod sight;
mod text;
mod training;

use burn::tensor::{DType, Device, Tensor};
use peft_model::{KvCache, Transformer};
use peft_models::DecoderForCausalLm;
use peft_prefix::{Prefix, PrefixShape, Prefixed};

use crate::fixture::values;
use crate::models::{spread, tiny};

/// Positions of the prefixes here.
const N: usize = 3;

/// A prefix of [`N`] positions with values that matter, unlike in every place.
fn prefix(shape: PrefixShape, device: &Device) -> Prefix {
    let flat = values([N, shape.flat_width()], 5.0, device).mul_scalar(3.0);
    Prefix::new(flat, None, shape).expect("it fits")
}

/// The model with such a prefix; nothing is frozen.
fn prefixed<M: Transformer>(model: M, device: &Device) -> Prefixed<M> {
    let prefix = prefix(PrefixShape::of(&model), device);
    Prefixed {
        model,
        input: Some(prefix),
    }
}

/// Two layers of grouped queries, with heads not as wide as `d_model / n_heads`.
fn decoder(device: &Device) -> Prefixed<DecoderForCausalLm> {
    prefixed(spread(&tiny(), device), device)
}

/// The keys and values by their definition, number by number: PEFT views a position as
/// `[2 n_layers, n_kv_heads, head_dim]`, a layer's keys before its values.
fn by_hand(prefix: &Prefix, batch: usize, device: &Device) -> KvCache {
    let PrefixShape {
        n_layers,
        n_kv_heads,
        head_dim,
    } = prefix.shape();
    let flat: Vec<f32> = prefix.flat().into_data().iter().collect();
    let width = flat.len() / N;
    let part = |index: usize| {
        let mut values = Vec::new();
        for _ in 0..batch {
            for head in 0..n_kv_heads {
                for position in 0..N {
                    let start = position * width + (index * n_kv_heads + head) * head_dim;
                    values.extend_from_slice(&flat[start..start + head_dim]);
                }
            }
        }
        let tensor = Tensor::<1>::from_data(values.as_slice(), (device, DType::F32));
        tensor.reshape([batch, n_kv_heads, N, head_dim])
    };
    let layers = (0..n_layers).map(|layer| (part(2 * layer), part(2 * layer + 1)));
    KvCache::from_layers(layers.collect())
}
