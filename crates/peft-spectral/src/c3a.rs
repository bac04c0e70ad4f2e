//! [`C3a`]: circulant blocks, `W' = W + C / d_in`: `y[t] += Σᵤ w[u] x[t + u] / d_in` of each block.

use std::collections::HashMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    Patterns, PeftError, Placed, Placement, SharedMatrix, Targets, attach,
};
use serde::{Deserialize, Serialize};

use crate::waves::waves;

/// C3A on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct C3aConfig {
    /// The side `b` of a block, which divides both sides of each layer.
    pub block_size: usize,
    /// Other sides for some layers. Default: none.
    pub block_size_pattern: Patterns<usize>,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for C3aConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl C3aConfig {
    /// In blocks of this side on every linear layer.
    pub fn new(block_size: usize) -> Self {
        Self {
            block_size,
            block_size_pattern: Patterns::default(),
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let block = self.block_size.max(1);
        let (products, dense) = (
            by_frequency([d_in, d_out], block),
            d_in.saturating_mul(d_out),
        );
        AdapterCost {
            parameters: dense / block,
            products: products.min(dense),
            fixed: if products <= dense {
                transforms([d_in, d_out], block)
            } else {
                0
            },
            kept: if products <= dense { d_in } else { 0 },
            keeps_input: products > dense,
            formed: if products <= dense { 0 } else { dense },
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

    /// As [`attach`](Self::attach), with the rows of the blocks, `[d_out / b, d_in / b, b]`, that
    /// `build` gives for a layer: of a file, for instance. It is asked for every layer, also after
    /// one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, [usize; 3]) -> Result<Tensor<3>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let mut transforms: HashMap<usize, [SharedMatrix; 2]> = HashMap::new();
        let linear = [LayerKind::Linear];
        attach(model, name, &self.placement, &linear, |layers| {
            let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
            let sides =
                self.block_size_pattern
                    .resolve("pattern of blocks", &paths, &self.block_size)?;
            for (layer, side) in layers.iter().zip(&sides) {
                let divides = |of: usize| *side > 0 && of.is_multiple_of(*side);
                if !layer.shape.into_iter().all(divides) {
                    return Err(PeftError::InvalidSetting {
                        field: format!(
                            "block size of `{}`, which is {:?},",
                            layer.path, layer.shape
                        ),
                        value: side.to_string(),
                        expected: "a divisor of both sides",
                    });
                }
            }
            let mut one = |(layer, side): (&Layer, usize)| {
                let [d_in, d_out] = layer.shape;
                let kernel = build(layer, [d_out / side, d_in / side, side])?;
                let [there, back] = transforms
                    .entry(side)
                    .or_insert_with(|| transform(side, &layer.device))
                    .clone();
                Ok(C3a {
                    kernel: Param::from_tensor(kernel),
                    there,
                    back,
                })
            };
            let built: Vec<Result<C3a, PeftError>> =
                layers.iter().zip(sides).map(&mut one).collect();
            built.into_iter().collect()
        })
    }
}

/// How many frequencies blocks of real numbers have.
fn n_frequencies(block: usize) -> usize {
    block / 2 + 1
}

/// Multiply-adds of a row that goes there and back.
fn by_frequency([d_in, d_out]: [usize; 2], block: usize) -> usize {
    let n = n_frequencies(block);
    let blocks = (d_in / block).saturating_mul(d_out / block);
    let transforms = transforms([d_in, d_out], block);
    blocks.saturating_mul(4 * n).saturating_add(transforms)
}

/// Those of the transforms alone.
fn transforms([d_in, d_out]: [usize; 2], block: usize) -> usize {
    let n = n_frequencies(block);
    d_in.saturating_add(d_out).saturating_mul(2 * n)
}

/// The transform of a block to the frequencies up to half its side, and back.
fn transform(block: usize, device: &Device) -> [SharedMatrix; 2] {
    let n = n_frequencies(block);
    let there = waves(
        block,
        (0..n).collect::<Vec<_>>().into_iter(),
        [1.0, 1.0],
        device,
    );
    // Those between the first and the last stand for two.
    let one = |f: usize| f == 0 || 2 * f == block;
    let weights: Vec<f32> = (0..2 * n)
        .map(|i| if one(i % n) { 1.0 } else { 2.0 } / block as f32)
        .collect();
    let back = waves(
        block,
        (0..n).collect::<Vec<_>>().into_iter(),
        [1.0, -1.0],
        device,
    );
    let weights = TensorData::new(weights, [1, 2 * n]);
    let weights = Tensor::<2>::from_data(weights, (device, DType::F32));
    [
        SharedMatrix::new(&format!("c3a_there_{block}"), there),
        SharedMatrix::new(&format!("c3a_back_{block}"), back * weights),
    ]
}

/// Circulant blocks beside a frozen weight.
#[derive(Module, Debug)]
pub struct C3a {
    /// The first row of each block, `[d_out / b, d_in / b, b]`; zero at first.
    pub kernel: Param<Tensor<3>>,
    /// Real and imaginary parts of the transform, `[b, 2 · frequencies]`.
    there: SharedMatrix,
    /// And of its inverse.
    back: SharedMatrix,
}

impl C3a {
    /// `C / d_in`, `[d_in, d_out]`.
    fn delta(&self) -> Tensor<2> {
        let [outputs, inputs, block] = self.kernel.dims();
        let scaled = self.kernel.val().div_scalar((inputs * block) as f64);
        // The row `t` begins at `t (2b − 1)`, which is `−t` in a run of rows: one to the right.
        let width = 2 * block - 1;
        let rows = scaled.repeat_dim(2, width);
        let rows: Tensor<4> = rows.reshape([outputs, inputs, block, width]);
        let blocks = rows.narrow(3, 0, block); // [outputs, inputs, t, s]
        let blocks = blocks.permute([1, 3, 0, 2]);
        blocks.reshape([inputs * block, outputs * block])
    }

    /// What multiplies parts of frequencies, real before imaginary: `[frequencies, 2 · inputs,
    /// 2 · outputs]`.
    fn by_frequency(&self, there: Tensor<2>) -> Tensor<3> {
        let [outputs, inputs, block] = self.kernel.dims();
        let n = n_frequencies(block);
        let scaled = self.kernel.val().div_scalar((inputs * block) as f64);
        let rows = scaled.reshape([outputs * inputs, block]);
        let parts = rows.matmul(there).reshape([outputs, inputs, 2, n]);
        let part = |i| {
            let part: Tensor<4> = parts.clone().narrow(2, i, 1);
            part.permute([3, 1, 0, 2]).reshape([n, inputs, outputs])
        };
        let (re, im) = (part(0), part(1));
        let of_re = Tensor::cat(vec![re.clone(), im.clone()], 2);
        let of_im = Tensor::cat(vec![im, re.neg()], 2);
        Tensor::cat(vec![of_re, of_im], 1)
    }

    /// `x C / d_in` by the frequencies of the blocks.
    fn convolved(&self, x: Tensor<2>) -> Tensor<2> {
        let ([outputs, inputs, block], [rows, _]) = (self.kernel.dims(), x.dims());
        let n = n_frequencies(block);
        let dtype = self.kernel.dtype();
        let [there, back] = [&self.there, &self.back].map(|of| of.value().cast(dtype));
        let blocks = x.reshape([rows * inputs, block]);
        let parts = peft_kernels::linear(blocks, there.clone(), None);
        let parts = parts.reshape([rows, inputs, 2, n]).permute([3, 0, 2, 1]);
        let parts: Tensor<3> = parts.reshape([n, rows, 2 * inputs]);
        let parts = peft_kernels::matmul(parts, self.by_frequency(there)); // [n, rows, 2 · outputs]
        let parts = parts.reshape([n, rows, 2, outputs]).permute([1, 3, 2, 0]);
        let parts = parts.reshape([rows * outputs, 2 * n]);
        let y = peft_kernels::transposed_product(parts, back);
        y.reshape([rows, outputs * block])
    }
}

impl Adapter for C3a {
    const NAME: &'static str = "c3a";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        vec![&mut self.there, &mut self.back]
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.kernel.dtype());
        let [outputs, inputs, block] = self.kernel.dims();
        let shape = [inputs * block, outputs * block];
        let delta = match by_frequency(shape, block) <= shape[0] * shape[1] {
            true => self.convolved(x),
            false => peft_kernels::linear(x, self.delta(), None),
        };
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
