//! Fresh parameters as PyTorch draws them, in f32, and drawn at once: Burn's own layers draw when
//! they are first read, each copy of a model by itself.

use burn::module::Param;
use burn::nn::{BiLstm, BiLstmConfig, GateController, Linear};
use burn::tensor::{DType, Device, Distribution, Tensor};

fn uniform<const D: usize>(shape: [usize; D], bound: f64, device: &Device) -> Param<Tensor<D>> {
    let range = Distribution::Uniform(-bound, bound);
    Param::from_tensor(Tensor::random(shape, range, (device, DType::F32)))
}

/// A linear layer with weights and bias in `±bound`.
fn bounded(d_in: usize, d_out: usize, bound: f64, device: &Device) -> Linear {
    Linear {
        weight: uniform([d_in, d_out], bound, device),
        bias: Some(uniform([d_out], bound, device)),
    }
}

/// A linear layer with weights and bias in `±1/√d_in`.
pub(crate) fn linear(d_in: usize, d_out: usize, device: &Device) -> Linear {
    bounded(d_in, d_out, 1.0 / (d_in as f64).sqrt(), device)
}

/// A layer of an LSTM in both directions, all of it in `±1/√hidden`; each gate has two biases, as
/// in PyTorch.
pub(crate) fn bi_lstm(d_in: usize, hidden: usize, device: &Device) -> BiLstm {
    let bound = 1.0 / (hidden as f64).sqrt();
    let mut layer = BiLstmConfig::new(d_in, hidden, true).init(device);
    for lstm in [&mut layer.forward, &mut layer.reverse] {
        let gates = [
            &mut lstm.input_gate,
            &mut lstm.cell_gate,
            &mut lstm.output_gate,
        ];
        for gate in gates.into_iter().chain(lstm.forget_gate.as_mut()) {
            *gate = GateController {
                input_transform: bounded(d_in, hidden, bound, device),
                hidden_transform: bounded(hidden, hidden, bound, device),
            };
        }
    }
    layer
}

/// `N(0, std²)`.
///
/// # Shapes
///
/// `[rows, columns]`.
pub(crate) fn normal(shape: [usize; 2], std: f64, device: &Device) -> Tensor<2> {
    let normal = Distribution::Normal(0.0, std);
    Tensor::random(shape, normal, (device, DType::F32))
}
