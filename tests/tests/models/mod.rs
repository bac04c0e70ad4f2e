//! Decoders and their checkpoints: the forward pass, the files, and what transformers computes.

mod activations;
mod checkpoint;
mod damage;
pub(crate) mod encoders;
mod forward;
mod gguf;
mod gguf_export;
mod golden;
mod passes;
mod positions;
mod precedence;
mod too_large;

use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_models::{
    Activation, DecoderConfig, DecoderForCausalLm, Gpt2Config, LanguageModel, ProjectionBias,
};
use peft_store::{Checkpoint, CheckpointError};

/// Grouped queries, and a head width that is not `d_model / n_heads`.
pub(crate) fn tiny() -> DecoderConfig {
    DecoderConfig {
        n_kv_heads: 2,
        head_dim: 6,
        norm_epsilon: 1e-5,
        max_positions: 32,
        attention_bias: ProjectionBias::All,
        mlp_bias: true,
        ..DecoderConfig::llama(23, 12, 20, 2, 4)
    }
}

/// GPT-2 with every switch away from its default.
pub(crate) fn gpt2() -> Gpt2Config {
    Gpt2Config {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 16,
        norm_epsilon: 1e-5,
        activation: Activation::GeluTanh,
        scale_scores: true,
        scale_by_layer: true,
        tie_word_embeddings: true,
    }
}

/// The model of a directory, which is of the architecture of Llama.
pub(crate) fn load(dir: &Path, device: &Device) -> Result<DecoderForCausalLm, CheckpointError> {
    match Checkpoint::open(dir)?.load(device, DType::F32)? {
        LanguageModel::Decoder(model) => Ok(model),
        other => panic!("{other}"),
    }
}

/// A model whose every parameter has values that matter; fresh ones are too small, and biases zero.
pub(crate) fn spread(config: &DecoderConfig, device: &Device) -> DecoderForCausalLm {
    struct Spread(f32);
    impl ModuleMapper for Spread {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let (seed, device) = (self.0, param.lazy_device());
            param.map(|tensor| {
                let shape = tensor.dims();
                let values: Vec<f32> = (0..shape.iter().product())
                    .map(|i: usize| 0.4 * (seed * 1.7 + i as f32 * 2.3).sin() + 0.1)
                    .collect();
                Tensor::from_data(TensorData::new(values, shape), &device)
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }
    config.init(device).map(&mut Spread(0.0))
}

/// Every parameter with its path.
fn params(model: &DecoderForCausalLm) -> Vec<(String, TensorData)> {
    #[derive(Default)]
    struct Read(Vec<String>, Vec<(String, TensorData)>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = peft_tests::read(param.base());
            self.1.push((self.0.join("."), data));
        }
    }
    let mut read = Read::default();
    model.visit(&mut read);
    read.1
}

/// `[batch, positions]`, unlike in every row.
pub(crate) fn ids(batch: usize, positions: usize, vocab: usize, device: &Device) -> Tensor<2, Int> {
    let values: Vec<i64> = (0..batch * positions)
        .map(|i| ((i * 7 + i * i * 3 + 1) % vocab) as i64)
        .collect();
    Tensor::from_data(TensorData::new(values, [batch, positions]), device)
}

/// Padding from `lengths[row]` on, as a segment of its own, `[batch, positions]`.
pub(crate) fn padding(lengths: &[usize], positions: usize, device: &Device) -> Tensor<2, Int> {
    let values: Vec<i64> = lengths
        .iter()
        .flat_map(|length| (0..positions).map(move |position| i64::from(position >= *length)))
        .collect();
    Tensor::from_data(TensorData::new(values, [lengths.len(), positions]), device)
}

/// The largest difference, absolute below one and relative above.
#[track_caller]
pub(crate) fn assert_close<const D: usize>(
    found: &Tensor<D>,
    expected: &Tensor<D>,
    tolerance: f32,
) {
    assert_eq!(found.dims(), expected.dims());
    let read = |tensor: &Tensor<D>| {
        let data = tensor.clone().into_data().convert::<f32>();
        data.try_to_vec::<f32>().expect("f32")
    };
    for (i, (a, b)) in read(found).into_iter().zip(read(expected)).enumerate() {
        let error = (a - b).abs() / b.abs().max(1.0);
        assert!(error <= tolerance, "element {i}: {a}, expected {b}"); // NaN fails too
    }
}
