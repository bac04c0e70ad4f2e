//! Bases in blocks of a few bits a value. They are multiplied on `flex`; elsewhere they are
//! refused.

mod models;
mod products;
mod training;
mod values;
mod vocabulary;

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_core::FrozenWeight;
use peft_kernels::{Packed, PackedFormat, Packer};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, Held, Quantise};
use safetensors::SafeTensors;

use crate::models::ids;

pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// Whether a device has packed weights.
pub(crate) fn packs(device: &Device) -> bool {
    peft_kernels::multiplies_packed(device)
}

/// Values of many sizes, in no order.
fn numbers(n: usize, seed: f32) -> Vec<f32> {
    let value = |i: usize| (seed + i as f32 * 1.7).sin() * (0.2 + (i / 50 % 7) as f32);
    (0..n).map(value).collect()
}

/// A weight `[d_in, d_out]` in a format. What is not made here is any bytes but for their halves.
pub(crate) fn packed(format: PackedFormat, dims: [usize; 2], seed: f32) -> Packed {
    let n = dims[0] * dims[1];
    if let Ok(mut packer) = Packer::new(format, dims) {
        packer.push(&numbers(n, seed));
        return packer.finish(dims).expect("as many values");
    }
    let length = format.bytes(n).expect("a small weight");
    let any = |i: usize| (i * 131 + i / 7 * 17 + seed as usize) as u8;
    let mut bytes: Vec<u8> = (0..length).map(any).collect();
    // Where a block has halves, of a size like the others'.
    let halves: (usize, &[usize]) = match format {
        PackedFormat::Q4_1 => (20, &[0, 2]),
        PackedFormat::Q5_0 => (22, &[0]),
        PackedFormat::Q5_1 => (24, &[0, 2]),
        PackedFormat::Q4_K => (144, &[0, 2]),
        PackedFormat::Q5_K => (176, &[0, 2]),
        PackedFormat::Q6_K => (210, &[208]),
        // The upper half of an f32.
        PackedFormat::Int8 => (68, &[2]),
        _ => (length, &[]),
    };
    for (i, block) in bytes.chunks_exact_mut(halves.0).enumerate() {
        for at in halves.1 {
            // 2⁻⁷ and less.
            block[*at..at + 2].copy_from_slice(&[i as u8, 0x20 | (i % 4) as u8]);
        }
    }
    if format == PackedFormat::Nf4Double {
        let floats = numbers(257 + n.div_ceil(64 * 256), seed);
        let floats = floats.iter().flat_map(|x| (x * 0.1).to_le_bytes());
        bytes
            .iter_mut()
            .zip(floats)
            .for_each(|(byte, of)| *byte = of);
    }
    Packed::new(format, dims, bytes).expect("as many bytes")
}

/// A tensor's elements of a file.
pub(crate) fn floats(file: &SafeTensors<'_>, key: &str) -> Vec<f32> {
    let bytes = file.tensor(key).expect("it is there").data();
    let each = bytes.chunks_exact(4);
    each.map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
        .collect()
}

pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).expect("a golden")
}

const NF4: Quantise = Quantise::To(PackedFormat::Nf4);
const Q8: Quantise = Quantise::To(PackedFormat::Q8_0);

fn open(path: impl AsRef<Path>, quantise: Quantise) -> Checkpoint {
    let checkpoint = Checkpoint::open(goldens().join(path)).expect("it opens");
    checkpoint.with_quantise(quantise)
}

fn load(path: impl AsRef<Path>, quantise: Quantise, device: &Device) -> LanguageModel {
    let checkpoint = open(path, quantise);
    checkpoint.load(device, DType::F32).expect("it loads")
}

fn logits(model: &LanguageModel) -> Tensor<3> {
    let device = model.devices().remove(0);
    let ids = ids(2, 9, model.vocab_size(), &device);
    model.logits(model.hidden(ids, None, None))
}

/// The model with each packed weight replaced by its dense value: the second path.
fn dense<M: Module>(model: &M) -> M {
    struct Dense;
    impl ModuleMapper for Dense {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let trains = tensor.is_require_grad();
                let dense = FrozenWeight::from(tensor).dense();
                dense.detach().set_require_grad(trains)
            })
        }
    }
    let dense = model.clone().map(&mut Dense);
    assert!(Held::of(&dense).packed.is_empty());
    dense
}
