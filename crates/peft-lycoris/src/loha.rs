//! [`LoHa`]: an element-wise product of two low-rank products, `W' = W + s · (B₁ A₁) ∘ (B₂ A₂)`.
//!
//! Column `(i, j)` of `A = B₁ ⊙ B₂` is column `i` of the one times column `j` of the other, element
//! by element, and so are rows of `B`; then the change is `A B`, of rank `r²`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, PeftError,
    Placed, Placement,
};
use serde::{Deserialize, Serialize};

use crate::{LycorisSettings, OutputDropout};

/// LoHa on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoHaConfig {
    /// Ranks, scale, dropout and place.
    pub settings: LycorisSettings,
}

impl Placed for LoHaConfig {
    fn placement(&self) -> &Placement {
        &self.settings.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.settings.placement
    }
}

impl LoHaConfig {
    /// Of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            settings: LycorisSettings::new(rank, alpha),
        }
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let rank = self.settings.rank;
        let square = rank.saturating_mul(rank);
        let sides = d_in.saturating_add(d_out);
        let products = square.saturating_mul(sides);
        let dense = d_in.saturating_mul(d_out);
        AdapterCost {
            parameters: sides.saturating_mul(rank).saturating_mul(2),
            products: products.min(dense),
            fixed: 0,
            kept: if products <= dense { square } else { 0 },
            keeps_input: true,
            // Both factors; or both products and what is made of them.
            formed: products.min(dense.saturating_mul(3)),
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, rank| {
            let [d_in, d_out] = layer.shape;
            let a = || layer.kaiming([rank, d_out]);
            let b = layer.kaiming([d_in, rank]);
            Ok([a(), b, a(), layer.zeros([d_in, rank])])
        })
    }

    /// As [`attach`](Self::attach), with the [factors](LoHa::new) that `build` gives for a layer
    /// and its rank: of a file, for instance. It is asked for every layer, also after one that has
    /// failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize) -> Result<[Tensor<2>; 4], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let of = &self.settings;
        of.attach(model, name, |layer, rank, scale| {
            let dropout = OutputDropout::new(of.rank_dropout, of.module_dropout, true);
            Ok(LoHa::new(build(layer, rank)?, scale, dropout))
        })
    }
}

/// An element-wise product of two low-rank products beside a frozen weight.
#[derive(Module, Debug)]
pub struct LoHa {
    /// `A₁`, `[rank, d_out]`.
    pub a1: Param<Tensor<2>>,
    /// `B₁`, `[d_in, rank]`.
    pub b1: Param<Tensor<2>>,
    /// `A₂`, `[rank, d_out]`.
    pub a2: Param<Tensor<2>>,
    /// `B₂`, `[d_in, rank]`; zero at first.
    pub b2: Param<Tensor<2>>,
    scale: f64,
    dropout: OutputDropout,
}

impl LoHa {
    /// An adapter from `A₁`, `B₁`, `A₂` and `B₂`.
    ///
    /// # Shapes
    ///
    /// `A` is `[rank, d_out]`, `B` `[d_in, rank]`.
    ///
    /// # Panics
    ///
    /// If the ranks differ.
    pub fn new([a1, b1, a2, b2]: [Tensor<2>; 4], scale: f64, dropout: OutputDropout) -> Self {
        let rank = a1.dims()[0];
        assert!(
            b1.dims()[1] == rank && a2.dims()[0] == rank && b2.dims()[1] == rank,
            "the factors of a LoHa share the rank"
        );
        Self {
            a1: Param::from_tensor(a1),
            b1: Param::from_tensor(b1),
            a2: Param::from_tensor(a2),
            b2: Param::from_tensor(b2),
            scale,
            dropout,
        }
    }

    /// `s · (B₁ A₁) ∘ (B₂ A₂)`, `[d_in, d_out]`.
    pub fn delta(&self) -> Tensor<2> {
        let first = self.b1.val().mul_scalar(self.scale).matmul(self.a1.val());
        first * self.b2.val().matmul(self.a2.val())
    }

    /// The factors of the same, `[d_in, rank²]` and `[rank², d_out]`.
    fn factors(&self) -> [Tensor<2>; 2] {
        let (a1, b1, a2, b2) = (self.a1.val(), self.b1.val(), self.a2.val(), self.b2.val());
        let ([rank, d_out], [d_in, _]) = (a1.dims(), b1.dims());
        let of_inputs =
            b1.mul_scalar(self.scale).reshape([d_in, rank, 1]) * b2.reshape([d_in, 1, rank]);
        let of_outputs = a1.reshape([rank, 1, d_out]) * a2.reshape([1, rank, d_out]);
        [
            of_inputs.reshape([d_in, rank * rank]),
            of_outputs.reshape([rank * rank, d_out]),
        ]
    }
}

impl Adapter for LoHa {
    const NAME: &'static str = "loha";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        (training && self.dropout.drops())
            .then_some("dropout acts on what the adapter adds, which no weight can express")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.a1.dtype());
        let ([rank, d_out], [d_in, _]) = (self.a1.dims(), self.b1.dims());
        let delta = match rank * rank * (d_in + d_out) <= d_in * d_out {
            true => {
                let [a, b] = self.factors();
                let hidden = peft_kernels::linear(x, a, None); // [rows, rank²]
                peft_kernels::linear(hidden, b, None)
            }
            false => peft_kernels::linear(x, self.delta(), None),
        };
        let dtype = y.dtype();
        y + self.dropout.forward(delta).cast(dtype)
    }
}
