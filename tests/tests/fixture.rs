//! A small model that can read its layers on either path, and ways to look inside any module.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor, TensorData};
use peft_core::{ForwardPath, embedding, linear, slots};

pub(crate) const VOCABULARY: usize = 11;
pub(crate) const D_MODEL: usize = 6;
pub(crate) const D_FF: usize = 10;
pub(crate) const CLASSES: usize = 5;

/// A gated block: no linear layer is square, two have biases.
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) q_proj: Linear,
    pub(crate) v_proj: Linear,
    pub(crate) down_proj: Linear,
}

/// An embedding, gated blocks, a norm and a head.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) embed: Embedding,
    pub(crate) layers: Vec<Block>,
    pub(crate) norm: LayerNorm,
    pub(crate) head: Linear,
}

impl Net {
    /// Three blocks; every parameter holds values that matter, the same at each call.
    pub(crate) fn new(device: &Device) -> Self {
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
    pub(crate) fn forward(&self, ids: Tensor<2, Int>, path: ForwardPath) -> Tensor<3> {
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
    pub(crate) fn output(&self, path: ForwardPath) -> Tensor<3> {
        self.forward(ids(&self.devices()[0]), path)
    }

    /// A loss whose gradient reaches every output.
    pub(crate) fn loss(&self, path: ForwardPath) -> Tensor<1> {
        let y = self.output(path);
        let target = values(y.dims(), 9.0, &y.device());
        (y - target).powi_scalar(2).mean()
    }
}

/// `[2, 4]`, every row another one.
pub(crate) fn ids(device: &Device) -> Tensor<2, Int> {
    Tensor::from_data([[1, 4, 10, 3], [7, 0, 4, 9]], device)
}

/// Values of no pattern that a mistake could keep, about ±0.5.
pub(crate) fn values<const D: usize>(shape: [usize; D], seed: f32, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|i: usize| 0.5 * (seed * 1.7 + i as f32 * 2.3).sin() + 0.05)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Every parameter given [`values`], those of adapters too; what trains stays.
pub(crate) fn filled<M: Module>(model: M) -> M {
    fill(model, |_| true)
}

/// The parameters of adapters given [`values`].
pub(crate) fn filled_adapters<M: Module>(model: M) -> M {
    fill(model, is_adapter)
}

/// Whether a path lies inside a slot.
pub(crate) fn is_adapter(path: &str) -> bool {
    path.contains(".adapters.") || path.starts_with("adapters.")
}

fn fill<M: Module>(model: M, choose: fn(&str) -> bool) -> M {
    struct Fill(Vec<String>, f32, fn(&str) -> bool);
    impl ModuleMapper for Fill {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !(self.2)(&self.0.join(".")) {
                return param;
            }
            self.1 += 1.0;
            let seed = self.1;
            param.map(|tensor| {
                values(tensor.dims(), seed, &tensor.device())
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }
    model.map(&mut Fill(Vec::new(), 0.0, choose))
}

/// What a traversal shows of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) data: TensorData,
    pub(crate) trains: bool,
}

/// Every float parameter by its path, as Burn's own traversal shows it.
pub(crate) fn params<M: Module>(model: &M) -> BTreeMap<String, Seen> {
    #[derive(Default)]
    struct Read(Vec<String>, BTreeMap<String, Seen>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let base = param.base();
            let trains = base.is_require_grad();
            let data = base.into_data();
            self.1.insert(self.0.join("."), Seen { data, trains });
        }
    }
    let mut read = Read::default();
    model.visit(&mut read);
    read.1
}

/// The paths of what trains.
pub(crate) fn trained<M: Module>(model: &M) -> Vec<String> {
    let params = params(model).into_iter();
    params
        .filter_map(|(path, seen)| seen.trains.then_some(path))
        .collect()
}

/// The paths of the parameters inside slots.
pub(crate) fn adapter_paths<M: Module>(model: &M) -> Vec<String> {
    params(model)
        .into_keys()
        .filter(|path| is_adapter(path))
        .collect()
}

/// How a model is adapted, in words; two equal ones have the same slots.
pub(crate) fn slot_state<M: Module>(model: &M) -> Vec<String> {
    let describe = |(path, slot): (String, peft_core::AdapterSlot)| {
        let names: Vec<&str> = slot.names().collect();
        format!(
            "{path}: {names:?} {:?} {}",
            slot.active(),
            slot.is_disabled()
        )
    };
    slots(model).into_iter().map(describe).collect()
}

/// AdamW steps on `loss`; the losses before each.
pub(crate) fn steps<M: Module>(
    mut model: M,
    n: usize,
    loss: impl Fn(&M) -> Tensor<1>,
) -> (M, Vec<f32>) {
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
    let mut losses = Vec::new();
    for _ in 0..n {
        let loss = loss(&model);
        losses.push(loss.clone().into_scalar::<f32>());
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.02, model, grads);
    }
    (model, losses)
}

/// Equal up to `tolerance`, absolute below one and relative above.
#[track_caller]
pub(crate) fn assert_close<const D: usize>(
    found: &Tensor<D>,
    expected: &Tensor<D>,
    tolerance: f32,
) {
    assert_eq!(found.dims(), expected.dims());
    let read = |tensor: &Tensor<D>| tensor.to_data().try_to_vec::<f32>().expect("f32");
    for (i, (a, b)) in read(found).into_iter().zip(read(expected)).enumerate() {
        let error = (a - b).abs() / b.abs().max(1.0);
        assert!(error <= tolerance, "element {i}: {a}, expected {b}"); // NaN fails too
    }
}

/// Equal bit for bit.
#[track_caller]
pub(crate) fn assert_same<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>) {
    assert_eq!(found.to_data(), expected.to_data());
}

/// Not equal: a test of equality that compares unadapted things shows nothing.
#[track_caller]
pub(crate) fn assert_differs<const D: usize>(found: &Tensor<D>, other: &Tensor<D>) {
    let apart = (found.clone() - other.clone()).abs().max();
    let apart = apart.into_scalar::<f32>();
    assert!(apart > 1e-3, "only {apart} apart");
}
