//! [`Oft`]: inputs in blocks, each rotated: `W' = diag(R₁, …, Rₙ) W`.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each,
};
use serde::{Deserialize, Serialize};

use crate::Blocks;
use crate::cayley::{cayley, in_blocks, on_weight, one};

/// How a skew matrix `Q` gives a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cayley {
    /// `(I − Q)(I + Q)⁻¹`, which is orthogonal. As in PEFT, its turn is against that of the series.
    Exact,
    /// So many terms of the series `I + 2 Q + 2 Q² + …`, which is near to orthogonal for a small
    /// `Q`, the last one once.
    Series(usize),
}

/// OFT on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OftConfig {
    /// How many blocks the inputs of a layer fall into; where its inputs do not, the nearest number
    /// by which they do.
    pub blocks: Blocks,
    /// Whether all blocks of a layer are rotated alike. Default: not.
    pub share: bool,
    /// How rotations are made. Default: five terms of the series.
    pub cayley: Cayley,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for OftConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl OftConfig {
    /// In these blocks on every linear layer.
    pub fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            share: false,
            cayley: Cayley::Series(5),
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// How rotations are made.
    pub fn with_cayley(mut self, cayley: Cayley) -> Self {
        self.cayley = cayley;
        self
    }

    /// Whether all blocks of a layer are rotated alike.
    pub fn with_share(mut self, share: bool) -> Self {
        self.share = share;
        self
    }

    /// How many matrices there are on a layer of so many inputs, and how wide each is.
    fn sizes(&self, d_in: usize) -> (usize, usize) {
        let b = match self.blocks {
            Blocks::Size(size) => nearest_divisor(d_in, size),
            Blocks::Number(n) => d_in / nearest_divisor(d_in, n),
        };
        (if self.share { 1 } else { d_in / b }, b)
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, _]: [usize; 2]) -> AdapterCost {
        let (n, b) = self.sizes(d_in);
        AdapterCost {
            parameters: n * (b * (b - 1) / 2),
            products: d_in * b,
            fixed: 0,
            kept: 0,
            keeps_input: true,
            // Of the series, the matrices and three of their powers.
            formed: (d_in * b).saturating_mul(4),
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, shape| Ok(layer.zeros(shape)))
    }

    /// As [`attach`](Self::attach), with the numbers that `build` gives for a layer: those above
    /// the diagonal of `Q`, row by row, a row for each matrix; of a file, for instance. It is asked
    /// for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, [usize; 2]) -> Result<Tensor<2>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let (Blocks::Size(n) | Blocks::Number(n)) = self.blocks;
        let terms = match self.cayley {
            Cayley::Series(terms) => terms,
            Cayley::Exact => 1,
        };
        if n == 0 || !(1..=MOST_TERMS).contains(&terms) {
            let (field, value, expected) = match n {
                0 => ("blocks", n, "at least 1"),
                _ => ("terms of the series", terms, "1 to 64"),
            };
            return Err(PeftError::InvalidSetting {
                field: field.into(),
                value: value.to_string(),
                expected,
            });
        }
        attach_each(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layer| {
                let (n, b) = self.sizes(layer.shape[0]);
                let numbers = build(layer, [n, b * (b - 1) / 2])?;
                Ok(Oft {
                    numbers: Param::from_tensor(numbers),
                    block: b,
                    series: match self.cayley {
                        Cayley::Exact => 0,
                        Cayley::Series(terms) => terms,
                    },
                })
            },
        )
    }
}

/// More terms add nothing in f32.
const MOST_TERMS: usize = 64;

/// What divides a side and is nearest to a number, the smaller of two: as PEFT adjusts it.
fn nearest_divisor(side: usize, n: usize) -> usize {
    let side = side.max(1);
    if n >= side {
        return side;
    }
    let divides = |m: &usize| side.is_multiple_of(*m);
    let lower = (1..=n.max(1)).rev().find(divides).unwrap_or(1);
    let higher = (n.max(1)..=side).find(divides).unwrap_or(side);
    match n - lower <= higher - n {
        true => lower,
        false => higher,
    }
}

/// Rotations of blocks of the inputs of a layer.
#[derive(Module, Debug)]
pub struct Oft {
    /// What is above the diagonal of `Q`, a row for each matrix, `[n, b (b − 1) / 2]`; zero at
    /// first.
    pub numbers: Param<Tensor<2>>,
    block: usize,
    /// Terms of the series; 0 for the rotation itself.
    series: usize,
}

impl Oft {
    /// The matrices by which blocks of rows are multiplied, `[n, b, b]`.
    pub fn rotations(&self) -> Tensor<3> {
        let q = self.skew();
        let [n, _, _] = q.dims();
        if self.series == 0 {
            return cayley(q);
        }
        let mut sum = one(&q).unsqueeze::<3>().repeat_dim(0, n);
        if self.series > 1 {
            sum = sum + q.clone().mul_scalar(2.0);
        }
        if self.series > 2 {
            let mut power = q.clone().matmul(q.clone());
            sum = sum + power.clone().mul_scalar(2.0);
            for _ in 3..self.series - 1 {
                power = power.matmul(q.clone());
                sum = sum + power.clone().mul_scalar(2.0);
            }
            sum = sum + power.matmul(q);
        }
        sum
    }

    /// `Q`, `[n, b, b]`.
    fn skew(&self) -> Tensor<3> {
        let (numbers, b) = (self.numbers.val(), self.block);
        let ([n, _], device) = (numbers.dims(), numbers.device());
        // Where a pair of a row and a column lies in the row of numbers.
        let at = |i: usize, j: usize| i * (2 * b - i - 1) / 2 + (j - i - 1);
        let of = |index: usize| match (index / b, index % b) {
            (i, j) if i < j => (at(i, j), 1.0),
            (i, j) if i > j => (at(j, i), -1.0),
            _ => (0, 0.0),
        };
        if b < 2 {
            return Tensor::zeros([n, b, b], (&device, numbers.dtype()));
        }
        let (places, signs): (Vec<usize>, Vec<f32>) = (0..b * b).map(of).unzip();
        let places: Vec<i32> = places.into_iter().map(|at| at as i32).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [b * b]), &device);
        let signs = TensorData::new(signs, [1, b * b]);
        let signs = Tensor::<2>::from_data(signs, (&device, numbers.dtype()));
        (numbers.select(1, places) * signs).reshape([n, b, b])
    }
}

impl Adapter for Oft {
    const NAME: &'static str = "oft";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let dims = base.dims();
        let weight = base
            .dense_in(self.numbers.dtype())
            .reshape([dims[D - 2], dims[D - 1]]);
        on_weight(weight, self.rotations()).reshape(dims)
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let x = x.into_rows();
        let dtype = x.dtype();
        let turned = in_blocks(x.cast(self.numbers.dtype()), self.rotations());
        base.forward(turned.cast(dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PEFT's `adjust_oft_parameters` gives.
    #[test]
    fn blocks_are_the_nearest_that_fit() {
        assert_eq!(nearest_divisor(576, 32), 32);
        assert_eq!(nearest_divisor(576, 33), 32);
        assert_eq!(nearest_divisor(10, 4), 5);
        assert_eq!(nearest_divisor(12, 5), 4);
        assert_eq!(nearest_divisor(7, 3), 1);
        assert_eq!(nearest_divisor(7, 5), 7);
        assert_eq!(nearest_divisor(7, 9), 7);
    }
}
