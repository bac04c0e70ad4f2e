//! [`Shira`]: values of the weight itself, at few places, `W' = W + S`.
//!
//! *Sparse High Rank Adapters*, Bhardwaj et al. 2024,
//! [arXiv:2406.13175](https://arxiv.org/abs/2406.13175). Rows are multiplied by the change
//! once more than by the weight, and the gradient of all its values is formed, of which few are
//! used.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, TorchRandom, attach_each,
};
use serde::{Deserialize, Serialize};

/// SHiRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiraConfig {
    /// The rank of a LoRA that has as many values, at least 1.
    pub rank: usize,
    /// By what the places are drawn; what PyTorch begins with if none, which is the default.
    pub seed: Option<u64>,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for ShiraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

/// The seed of a `torch.Generator` that was given none.
const TORCH_SEED: u64 = 67_280_421_310_721;

impl ShiraConfig {
    /// With as many values as LoRA of this rank on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            seed: None,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// By what the places are drawn.
    pub fn with_seed(mut self, seed: Option<u64>) -> Self {
        self.seed = seed;
        self
    }

    /// How many values a layer of this shape has.
    pub fn n_values(&self, [d_in, d_out]: [usize; 2]) -> usize {
        self.rank.saturating_mul(d_in.saturating_add(d_out))
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.n_values([d_in, d_out]),
            products: d_in.saturating_mul(d_out),
            fixed: 0,
            kept: 0,
            keeps_input: true,
            formed: d_in.saturating_mul(d_out),
            forming: 0,
        }
    }

    /// The places in a weight of this shape, as PEFT draws them: an output and an input of each, in
    /// that order.
    pub fn places(&self, [d_in, d_out]: [usize; 2]) -> Vec<[usize; 2]> {
        let all = d_in.saturating_mul(d_out);
        let mut random = TorchRandom::new(self.seed.unwrap_or(TORCH_SEED));
        let mut drawn = random.permuted(all, self.n_values([d_in, d_out]).min(all));
        drawn.sort_unstable();
        drawn.into_iter().map(|at| [at / d_in, at % d_in]).collect()
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| {
            Ok((layer.zeros([n]), self.places(layer.shape)))
        })
    }

    /// As [`attach`](Self::attach), with the values that `build` gives for a layer and their
    /// number, and an output and an input of each: of a file, for instance. It is asked for every
    /// layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize) -> Result<(Tensor<1>, Vec<[usize; 2]>), PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let linear = [LayerKind::Linear];
        attach_each(model, name, &self.placement, &linear, |layer| {
            let wrong = |field: &str, value: String, expected| PeftError::InvalidSetting {
                field: format!("{field} of `{}`, which is {:?},", layer.path, layer.shape),
                value,
                expected,
            };
            let ([d_in, d_out], n) = (layer.shape, self.n_values(layer.shape));
            let all = d_in.saturating_mul(d_out);
            if n == 0 || n > all || i32::try_from(all).is_err() {
                let expected = "so many values, rank · (inputs + outputs), as the weight has, of which there are fewer than 2³¹";
                return Err(wrong("rank", self.rank.to_string(), expected));
            }
            let (values, places) = build(layer, n)?;
            let outside = |[output, input]: &&[usize; 2]| *output >= d_out || *input >= d_in;
            if let Some(place) = places.iter().find(outside) {
                return Err(wrong(
                    "a place",
                    format!("{place:?}"),
                    "an output and an input",
                ));
            }
            // Below the number of values, which fits.
            let to = places
                .iter()
                .map(|[output, input]| (input * d_out + output) as i32);
            Ok(Shira {
                values: Param::from_tensor(values),
                to: to.collect(),
                shape: [d_in, d_out],
            })
        })
    }
}

/// Values at few places beside a frozen weight.
#[derive(Module, Debug)]
pub struct Shira {
    /// The values, `[rank · (d_in + d_out)]`; zero at first.
    pub values: Param<Tensor<1>>,
    /// Where they are in the weight, by rows of inputs.
    #[module(skip)]
    to: Arc<[i32]>,
    #[module(skip)]
    shape: [usize; 2],
}

impl Shira {
    /// An output and an input of each value.
    pub fn places(&self) -> Vec<[usize; 2]> {
        let [_, d_out] = self.shape;
        let place = |at: &i32| [*at as usize % d_out, *at as usize / d_out];
        self.to.iter().map(place).collect()
    }

    /// `S`, `[d_in, d_out]`.
    fn delta(&self) -> Tensor<2> {
        let values = self.values.val();
        let ([d_in, d_out], n) = (self.shape, self.to.len());
        let (device, dtype) = (values.device(), values.dtype());
        let to = TensorData::new(self.to.to_vec(), [n]);
        let to: Tensor<1, Int> = Tensor::from_data(to, &device);
        let none = Tensor::<1>::zeros([d_in * d_out], (&device, dtype));
        let delta = none.scatter(0, to, values, IndexingUpdateOp::Add);
        delta.reshape([d_in, d_out])
    }
}

impl Adapter for Shira {
    const NAME: &'static str = "shira";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.values.dtype());
        let delta = peft_kernels::linear(x, self.delta(), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
