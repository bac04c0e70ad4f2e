//! [`Boft`]: rotations of unlike blocks of the inputs one after the other, and a scale of each
//! output: `W' = B_{m−1} … B_0 W ∘ s`.
//!
//! `B_i` rotates blocks of inputs that lie apart, by steps that double with `i`, as the butterflies
//! of a fast Fourier transform do; so after a few of them every input is mixed with every other.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each,
};
use serde::{Deserialize, Serialize};

use crate::Blocks;
use crate::cayley::{cayley, in_blocks};

/// BOFT on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoftConfig {
    /// How many blocks the inputs of a layer fall into, exactly. Default: of four.
    pub blocks: Blocks,
    /// How many rotations there are. Default: 1, which is OFT.
    pub factors: usize,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for BoftConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl BoftConfig {
    /// In these blocks on every linear layer.
    pub fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            factors: 1,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// How many rotations there are.
    pub fn with_factors(mut self, factors: usize) -> Self {
        self.factors = factors;
        self
    }

    /// How many blocks there are of so many inputs, and how wide each is; none where they do not
    /// fall into them.
    fn sizes(&self, d_in: usize) -> Option<(usize, usize)> {
        let (Blocks::Size(given) | Blocks::Number(given)) = self.blocks;
        if given == 0 || self.factors == 0 || !d_in.is_multiple_of(given) {
            return None;
        }
        let (n, b) = match self.blocks {
            Blocks::Size(size) => (d_in / size, size),
            Blocks::Number(n) => (n, d_in / n),
        };
        // Each of the further rotations takes twice the step of the one before.
        let step = u32::try_from(self.factors - 1)
            .ok()
            .and_then(|doublings| 1usize.checked_shl(doublings))?;
        let fits = self.factors == 1 || (n.is_multiple_of(step) && b.is_multiple_of(2));
        fits.then_some((n, b))
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let (n, b) = self.sizes(d_in).unwrap_or((1, d_in));
        AdapterCost {
            parameters: self.factors.saturating_mul(n * b * b).saturating_add(d_out),
            products: self.factors.saturating_mul(d_in * b),
            fixed: 0,
            kept: (self.factors.saturating_sub(1))
                .saturating_mul(d_in)
                .saturating_add(d_out),
            keeps_input: true,
            formed: 0,
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; [`PeftError::InvalidSetting`] for a layer whose
    /// inputs do not fall into the blocks.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, shape| {
            let ones = layer.zeros([layer.shape[1]]).add_scalar(1.0);
            Ok((layer.zeros(shape), ones))
        })
    }

    /// As [`attach`](Self::attach), with the matrices, `[factors, n, b, b]`, and the scales,
    /// `[d_out]`, that `build` gives for a layer: of a file, for instance. It is asked for every
    /// layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach); the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, [usize; 4]) -> Result<(Tensor<4>, Tensor<1>), PeftError>,
    ) -> Result<AttachReport, PeftError> {
        attach_each(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layer| {
                let [d_in, _] = layer.shape;
                let (n, b) = self.sizes(d_in).ok_or_else(|| PeftError::InvalidSetting {
                field: format!("blocks of `{}`, which has {d_in} inputs,", layer.path),
                value: format!("{:?} in {} rotations", self.blocks, self.factors),
                expected: "a divisor of them, and of an even size and a number that doubles with each further rotation",
            })?;
                let (matrices, scales) = build(layer, [self.factors, n, b, b])?;
                Ok(Boft {
                    matrices: Param::from_tensor(matrices),
                    scales: Param::from_tensor(scales),
                })
            },
        )
    }
}

/// Rotations of the inputs of a layer and scales of its outputs.
#[derive(Module, Debug)]
pub struct Boft {
    /// The matrices whose skew parts give the rotations, `[factors, n, b, b]`; zero at first.
    pub matrices: Param<Tensor<4>>,
    /// `s`, `[d_out]`; one at first.
    pub scales: Param<Tensor<1>>,
}

impl Boft {
    /// Rows of inputs, rotated; against the turn, for what lies `[d_out, d_in]`.
    fn turned(&self, rows: Tensor<2>, against: bool) -> Tensor<2> {
        let [factors, n, b, _] = self.matrices.dims();
        let matrices = self.matrices.val();
        let mut rows = rows;
        let order: Vec<usize> = match against {
            true => (0..factors).collect(),
            false => (0..factors).rev().collect(),
        };
        for factor in order {
            let of = matrices.clone().narrow(0, factor, 1).reshape([n, b, b]);
            let skew = (of.clone() - of.swap_dims(1, 2)).mul_scalar(0.5);
            let rotation = cayley(skew);
            let rotation = if against {
                rotation.swap_dims(1, 2)
            } else {
                rotation
            };
            let apart = apart(n * b, b, factor, factors);
            rows = match apart {
                None => in_blocks(rows, rotation),
                Some([together, back]) => {
                    let place = |places: Vec<i32>| {
                        let places = TensorData::new(places, [n * b]);
                        Tensor::<1, Int>::from_data(places, &rows.device())
                    };
                    let (together, back) = (place(together), place(back));
                    in_blocks(rows.select(1, together), rotation).select(1, back)
                }
            };
        }
        rows
    }
}

/// Which inputs are put where so that those of a block of rotation `factor` lie together, and which
/// of the results where so that they are back; none where they lie so.
fn apart(d_in: usize, b: usize, factor: usize, factors: usize) -> Option<[Vec<i32>; 2]> {
    if factors == 1 || factor == 0 {
        return None;
    }
    let (width, half) = (b << factor, b / 2);
    // Halves of blocks, the even ones before the odd ones.
    let steps = width / half;
    let halves = (0..steps).step_by(2).chain((1..steps).step_by(2));
    let order: Vec<usize> = halves.flat_map(|at| at * half..(at + 1) * half).collect();
    let mut places = vec![0; d_in];
    let mut back = vec![0; d_in];
    for (i, back) in back.iter_mut().enumerate() {
        let from = i / width * width + order[i % width];
        *back = from as i32;
        places[from] = i as i32;
    }
    Some([places, back])
}

impl Adapter for Boft {
    const NAME: &'static str = "boft";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let dims = base.dims();
        let weight = base
            .dense_in(self.scales.dtype())
            .reshape([dims[D - 2], dims[D - 1]]);
        let turned = self.turned(weight.transpose(), true).transpose();
        (turned * self.scales.val().unsqueeze()).reshape(dims)
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let x = x.into_rows();
        let dtype = x.dtype();
        let turned = self.turned(x.cast(self.scales.dtype()), false).cast(dtype);
        let y = base.project(turned);
        let dtype = y.dtype();
        let y = (y.cast(self.scales.dtype()) * self.scales.val().unsqueeze()).cast(dtype);
        match base.bias() {
            Some(bias) => y + bias.cast(dtype).unsqueeze(),
            None => y,
        }
    }
}
