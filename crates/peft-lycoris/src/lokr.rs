//! [`LoKr`]: a Kronecker product, `W' = W + s · W₁ ⊗ W₂`.
//!
//! `x (W₁ ⊗ W₂)` is a product with `W₁` along the blocks of a row and one with `W₂` within each of
//! them, in whichever order is less work; the Kronecker product itself is formed in weight space
//! alone.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, PeftError,
    Placed, Placement,
};
use serde::{Deserialize, Serialize};

use crate::{LycorisSettings, OutputDropout};

/// LoKr on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoKrConfig {
    /// Ranks, scale, dropout and place.
    pub settings: LycorisSettings,
    /// Whether `W₁` is a product of two factors too, where the rank is below half its larger side.
    /// Default: not.
    pub decompose_both: bool,
    /// What the sides of a layer are divided by to give those of `W₂`, or as much of it as divides
    /// them. Default: the largest number up to the root of a side.
    pub factor: Option<usize>,
    /// Whether `W₂` begins at zero, as in LyCORIS, and not `W₁`. Default: `W₁`.
    pub zero_second: bool,
    /// Whether outputs that rank dropout keeps grow by as much as is dropped. Default: not.
    pub scale_dropout: bool,
}

impl Placed for LoKrConfig {
    fn placement(&self) -> &Placement {
        &self.settings.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.settings.placement
    }
}

/// The shapes of the two factors, as Burn has them: `[inputs, outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shapes {
    first: [usize; 2],
    second: [usize; 2],
    /// Whether each is a product of two of the rank.
    products: [bool; 2],
}

impl LoKrConfig {
    /// Of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            settings: LycorisSettings::new(rank, alpha),
            decompose_both: false,
            factor: None,
            zero_second: false,
            scale_dropout: false,
        }
    }

    /// What the sides of a layer are divided by to give those of `W₂`.
    pub fn with_factor(mut self, factor: Option<usize>) -> Self {
        self.factor = factor;
        self
    }

    /// Whether `W₁` is a product of two factors too, where the rank is small enough.
    pub fn with_decompose_both(mut self, both: bool) -> Self {
        self.decompose_both = both;
        self
    }

    fn shapes(&self, [d_in, d_out]: [usize; 2], rank: usize) -> Shapes {
        let (inputs, outputs) = (divided(d_in, self.factor), divided(d_out, self.factor));
        let (first, second) = ([inputs.0, outputs.0], [inputs.1, outputs.1]);
        let pays = |sides: [usize; 2]| 2 * rank < sides[0].max(sides[1]);
        Shapes {
            first,
            second,
            products: [self.decompose_both && pays(first), pays(second)],
        }
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, shape: [usize; 2]) -> AdapterCost {
        let rank = self.settings.rank.min(shape[0].max(shape[1]).max(1024));
        let of = self.shapes(shape, rank);
        let size = |sides: [usize; 2], product: bool| match product {
            true => rank * (sides[0] + sides[1]),
            false => sides[0] * sides[1],
        };
        let [of_first, of_second] = of.products;
        // The second within each block of the inputs, then the first for each of what it gives.
        let width = if of_second { rank } else { of.second[1] };
        let first = size(of.first, of_first) * width;
        AdapterCost {
            parameters: size(of.first, of_first) + size(of.second, of_second),
            products: first + size(of.second, of_second) * of.first[0].max(of.first[1]),
            fixed: 0,
            kept: width * (of.first[0] + of.first[1]),
            keeps_input: true,
            formed: 0,
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, which, shape| {
            // Of a product the second is zero where `W₂` is to be, the first of both of `W₁`.
            let zero = match self.zero_second {
                true => ["w2", "w2_b"],
                false => ["w1", "w1_a"],
            };
            let zero = zero.contains(&which);
            Ok(match zero {
                true => layer.zeros(shape),
                false => layer.kaiming(shape),
            })
        })
    }

    /// As [`attach`](Self::attach), with the tensors that `build` gives for a layer: of a file, for
    /// instance. They are called `w1`, or `w1_a` and `w1_b` where `W₁` is their product, and the
    /// same of `W₂`; each is asked for in its shape, `[inputs, outputs]`, and all of them also
    /// after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, &'static str, [usize; 2]) -> Result<Tensor<2>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let of = &self.settings;
        if self.factor == Some(0) {
            return Err(PeftError::InvalidSetting {
                field: "factor".into(),
                value: "0".into(),
                expected: "at least 1",
            });
        }
        of.attach(model, name, |layer, rank, scale| {
            let shapes = self.shapes(layer.shape, rank);
            let mut factor = |names: [&'static str; 3], [d_in, d_out]: [usize; 2], product| {
                let [whole, a, b] = names;
                Ok(match product {
                    false => Factor::Whole(Param::from_tensor(build(layer, whole, [d_in, d_out])?)),
                    true => {
                        let (a, b) = (
                            build(layer, a, [rank, d_out]),
                            build(layer, b, [d_in, rank]),
                        );
                        Factor::Product(Product::new(b?, a?))
                    }
                })
            };
            let first = factor(["w1", "w1_a", "w1_b"], shapes.first, shapes.products[0]);
            let second = factor(["w2", "w2_a", "w2_b"], shapes.second, shapes.products[1]);
            let dropout =
                OutputDropout::new(of.rank_dropout, of.module_dropout, self.scale_dropout);
            Ok(LoKr::new(first?, second?, scale, dropout))
        })
    }
}

/// A side as a product of two numbers, the first at most `factor`, or no larger than the second:
/// PEFT's `factorization`.
fn divided(side: usize, factor: Option<usize>) -> (usize, usize) {
    match factor {
        Some(factor) if factor > 0 && side.is_multiple_of(factor) => (factor, side / factor),
        _ => {
            let most = factor.unwrap_or(side);
            let divides = |m: &usize| side.is_multiple_of(*m) && *m <= most;
            let root = side.isqrt();
            let m = (1..=root).rev().find(divides).unwrap_or(1);
            (m, side / m)
        }
    }
}

/// One of the two factors of a Kronecker product.
#[derive(Module, Debug)]
pub enum Factor {
    /// A matrix, `[inputs, outputs]`.
    Whole(Param<Tensor<2>>),
    /// A product of two.
    Product(Product),
}

/// A matrix as a product of two.
#[derive(Module, Debug)]
pub struct Product {
    /// What inputs are multiplied by, `[inputs, rank]`.
    pub b: Param<Tensor<2>>,
    /// What that gives outputs by, `[rank, outputs]`.
    pub a: Param<Tensor<2>>,
}

impl Product {
    /// Of `[inputs, rank]` and `[rank, outputs]`.
    pub fn new(b: Tensor<2>, a: Tensor<2>) -> Self {
        Self {
            b: Param::from_tensor(b),
            a: Param::from_tensor(a),
        }
    }
}

impl Factor {
    /// The matrix, `[inputs, outputs]`.
    pub fn value(&self) -> Tensor<2> {
        match self {
            Self::Whole(matrix) => matrix.val(),
            Self::Product(of) => of.b.val().matmul(of.a.val()),
        }
    }

    fn dims(&self) -> [usize; 2] {
        match self {
            Self::Whole(matrix) => matrix.dims(),
            Self::Product(of) => [of.b.dims()[0], of.a.dims()[1]],
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Self::Whole(matrix) => matrix.dtype(),
            Self::Product(of) => of.b.dtype(),
        }
    }

    /// Rows times the matrix.
    fn product(&self, rows: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Whole(matrix) => peft_kernels::linear(rows, matrix.val(), None),
            Self::Product(of) => {
                let hidden = peft_kernels::linear(rows, of.b.val(), None);
                peft_kernels::linear(hidden, of.a.val(), None)
            }
        }
    }

    /// `[rows, inputs, width]` times the matrix along the middle axis: `[rows, outputs, width]`.
    fn across(&self, blocks: Tensor<3>) -> Tensor<3> {
        let ([rows, inputs, width], [_, outputs]) = (blocks.dims(), self.dims());
        let lines = blocks.swap_dims(1, 2).reshape([rows * width, inputs]);
        let lines = self.product(lines).reshape([rows, width, outputs]);
        lines.swap_dims(1, 2)
    }
}

/// A Kronecker product beside a frozen weight.
#[derive(Module, Debug)]
pub struct LoKr {
    /// `W₁`, which mixes the blocks of a row.
    pub first: Factor,
    /// `W₂`, which acts within a block.
    pub second: Factor,
    scale: f64,
    dropout: OutputDropout,
}

impl LoKr {
    /// An adapter from its two factors.
    pub fn new(first: Factor, second: Factor, scale: f64, dropout: OutputDropout) -> Self {
        Self {
            first,
            second,
            scale,
            dropout,
        }
    }

    /// `s · W₁ ⊗ W₂`, `[d_in, d_out]`.
    pub fn delta(&self) -> Tensor<2> {
        let (first, second) = (self.first.value(), self.second.value());
        let ([m, l], [n, k]) = (first.dims(), second.dims());
        let product =
            first.mul_scalar(self.scale).reshape([m, 1, l, 1]) * second.reshape([1, n, 1, k]);
        product.reshape([m * n, l * k])
    }
}

impl Adapter for LoKr {
    const NAME: &'static str = "lokr";

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
        let x = x.into_rows().cast(self.first.dtype());
        let ([rows, _], [m, l], [n, k]) = (x.dims(), self.first.dims(), self.second.dims());
        let delta = match &self.second {
            Factor::Product(of) => {
                let rank = of.b.dims()[1];
                let hidden = peft_kernels::linear(x.reshape([rows * m, n]), of.b.val(), None);
                let mixed = self.first.across(hidden.reshape([rows, m, rank])); // [rows, l, rank]
                let mixed = mixed.mul_scalar(self.scale).reshape([rows * l, rank]);
                peft_kernels::linear(mixed, of.a.val(), None)
            }
            Factor::Whole(second) => {
                let second = second.val().mul_scalar(self.scale);
                let mixed_first = l * n * (m + k);
                let mixed_last = m * k * (n + l);
                match mixed_first < mixed_last {
                    true => {
                        let mixed = self.first.across(x.reshape([rows, m, n])); // [rows, l, n]
                        peft_kernels::linear(mixed.reshape([rows * l, n]), second, None)
                    }
                    false => {
                        let hidden = peft_kernels::linear(x.reshape([rows * m, n]), second, None);
                        let mixed = self.first.across(hidden.reshape([rows, m, k]));
                        mixed.reshape([rows * l, k])
                    }
                }
            }
        };
        let dtype = y.dtype();
        let delta = delta.reshape([rows, l * k]);
        y + self.dropout.forward(delta).cast(dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the documentation of PEFT's `factorization`, and others of its own.
    #[test]
    fn sides_are_divided_as_in_peft() {
        let found = |side, factor| divided(side, factor);
        assert_eq!(found(256, None), (16, 16));
        assert_eq!(found(128, None), (8, 16));
        assert_eq!(found(127, None), (1, 127));
        assert_eq!(found(128, Some(4)), (4, 32));
        assert_eq!(found(576, Some(5)), (4, 144));
        assert_eq!(found(10, Some(3)), (2, 5));
        assert_eq!(found(12, Some(6)), (6, 2));
        assert_eq!(found(1, Some(3)), (1, 1));
    }
}
