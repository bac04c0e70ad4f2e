//! [`Net`]: a small model that can read its layers on either path.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::tanh;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::{ForwardPath, embedding, linear};

use crate::look::is_adapter;

/// The rows of [`Net`]'s embedding.
pub const VOCABULARY: usize = 11;
/// The width of [`Net`].
pub const D_MODEL: usize = 6;
/// The width inside a [`Block`].
pub const D_FF: usize = 10;
/// The outputs of [`Net`].
pub const CLASSES: usize = 5;

/// A gated block: no linear layer is square, two have biases.
#[derive(Module, Debug)]
pub struct Block {
    /// `[D_MODEL, D_FF]`, with a bias.
    pub q_proj: Linear,
    /// `[D_MODEL, D_FF]`, without a bias.
    pub v_proj: Linear,
    /// `[D_FF, D_MODEL]`, with a bias.
    pub down_proj: Linear,
}

/// An embedding, gated blocks, a norm and a head.
#[derive(Module, Debug)]
pub struct Net {
    /// `[VOCABULARY, D_MODEL]`.
    pub embed: Embedding,
    /// Three of them.
    pub layers: Vec<Block>,
    /// Over `D_MODEL`.
    pub norm: LayerNorm,
    /// `[D_MODEL, CLASSES]`, with a bias.
    pub head: Linear,
}

impl Net {
    /// Three blocks; every parameter holds values that matter, the same at each call.
    pub fn new(device: &Device) -> Self {
        let config = |d_in, d_out, bias| LinearConfig::new(d_in, d_out).with_bias(bias);
        let block = || Block {
            q_proj: config(D_MODEL, D_FF, true).init(device),
            v_proj: config(D_MODEL, D_FF, false).init(device),
            down_proj: config(D_FF, D_MODEL, true).init(device),
        };
        filled(Self {
            embed: EmbeddingConfig::new(VOCABULARY, D_MODEL).init(device),
            layers: (0..3).map(|_| block()).collect(),
            norm: LayerNormConfig::new(D_MODEL).init(device),
            head: config(D_MODEL, CLASSES, true).init(device),
        })
    }

    /// `[batch, positions]` to `[batch, positions, CLASSES]`.
    pub fn forward(&self, ids: Tensor<2, Int>, path: ForwardPath) -> Tensor<3> {
        let apply = |layer: &Linear, x: Tensor<3>| match path {
            ForwardPath::Weight => layer.forward(x),
            ForwardPath::Factored => linear(layer, x),
        };
        let mut x = match path {
            ForwardPath::Weight => self.embed.forward(ids),
            ForwardPath::Factored => embedding(&self.embed, ids),
        };
        for block in &self.layers {
            let gate = tanh(apply(&block.q_proj, x.clone()));
            let hidden = gate * apply(&block.v_proj, x.clone());
            x = x + apply(&block.down_proj, hidden);
        }
        apply(&self.head, self.norm.forward(x))
    }

    /// Its output on fixed ids.
    pub fn output(&self, path: ForwardPath) -> Tensor<3> {
        self.forward(ids(&self.devices()[0]), path)
    }

    /// A loss whose gradient reaches every output.
    pub fn loss(&self, path: ForwardPath) -> Tensor<1> {
        let y = self.output(path);
        let target = values(y.dims(), 9.0, &y.device()).cast(y.dtype());
        (y - target).powi_scalar(2).mean()
    }
}

/// `[2, 4]`, every row another one.
pub fn ids(device: &Device) -> Tensor<2, Int> {
    Tensor::from_data([[1, 4, 10, 3], [7, 0, 4, 9]], device)
}

/// Values of no pattern that a mistake could keep, about ±0.5.
pub fn values<const D: usize>(shape: [usize; D], seed: f32, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|i: usize| 0.5 * (seed * 1.7 + i as f32 * 2.3).sin() + 0.05)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Every parameter given [`values`], those of adapters too; what trains stays.
pub fn filled<M: Module>(model: M) -> M {
    fill(model, 0.0, 1.0, |_| true)
}

/// The parameters of adapters given [`values`].
pub fn filled_adapters<M: Module>(model: M) -> M {
    fill(model, 0.0, 1.0, is_adapter)
}

/// The parameters of adapters given values of about ±0.25, none of which is what [`filled`] gives
/// to a base.
pub fn perturbed<M: Module>(model: M) -> M {
    fill(model, 100.0, 0.5, is_adapter)
}

/// Every parameter given values of ±0.6, and a vector that is no bias, which will be a norm's,
/// values between 0.2 and 1.4. They are scattered: a plain wave would make matrices of rank two,
/// and values of one sign flatten what goes through many layers. What trains stays.
pub fn scattered<M: Module>(model: M) -> M {
    struct Scatter(Vec<String>, f32);
    impl ModuleMapper for Scatter {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.1 += 1.0;
            let (seed, device) = (self.1, param.lazy_device());
            let name = self.0.last().map_or("", String::as_str);
            let scales = D == 1 && !["bias", "beta"].contains(&name);
            let least = if scales { 0.2 } else { -0.6 };
            param.map(|tensor| {
                let shape = tensor.dims();
                let values: Vec<f32> = (0..shape.iter().product())
                    .map(|i: usize| (seed * 12.9898 + i as f32 * 78.233).sin() * 43758.547)
                    .map(|x| 1.2 * (x - x.floor()) + least)
                    .collect();
                Tensor::from_data(TensorData::new(values, shape), &device)
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }
    model.map(&mut Scatter(Vec::new(), 0.0))
}

/// The model in another type.
pub(crate) fn cast<M: Module>(model: M, dtype: DType) -> M {
    struct Cast(DType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let trains = tensor.is_require_grad();
                // Detached: it would be the result of a cast and not a parameter.
                tensor.cast(self.0).detach().set_require_grad(trains)
            })
        }
    }
    model.map(&mut Cast(dtype))
}

fn fill<M: Module>(model: M, seed: f32, size: f32, choose: fn(&str) -> bool) -> M {
    struct Fill(Vec<String>, f32, f32, fn(&str) -> bool);
    impl ModuleMapper for Fill {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !(self.3)(&self.0.join(".")) {
                return param;
            }
            self.1 += 1.0;
            let (seed, size) = (self.1, self.2);
            param.map(|tensor| {
                values(tensor.dims(), seed, &tensor.device())
                    .mul_scalar(size)
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }
    model.map(&mut Fill(Vec::new(), seed, size, choose))
}
