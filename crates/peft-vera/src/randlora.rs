//! [`RandLora`]: a sum of products of random matrices, `W' = W + s Σₙ B Λₙ A Γₙ`, of full rank.
//!
//! `A` and the `B`s are shared by all layers and do not train; `Λₙ` and `Γₙ` are diagonal. `A` is
//! on the layer's smaller side, whichever that is.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Tensor, TensorData};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, SharedMatrix, Targets, TorchRandom, attach, dropped_input,
};
use serde::{Deserialize, Serialize};

use crate::vera::{check_dropout, largest_sides, on};

/// RandLoRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandLoraConfig {
    /// The rank of one product, at least 1.
    pub rank: usize,
    /// `α`, finite; the scale is `α / r`.
    pub alpha: f64,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// By what the matrices are drawn. Default: 0.
    pub seed: u64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for RandLoraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl RandLoraConfig {
    /// Of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            dropout: 0.0,
            seed: 0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// By what the matrices are drawn.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many products there are on a layer whose smaller side is this.
    pub fn n_bases(&self, smaller: usize) -> usize {
        smaller.div_ceil(self.rank.max(1))
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let rank = self.rank.min(d_in.max(d_out).max(1024));
        let (smaller, n) = (d_in.min(d_out), self.n_bases(d_in.min(d_out)));
        AdapterCost {
            parameters: n * (rank + smaller),
            products: n * rank * (d_in + d_out),
            fixed: n * rank * d_in.max(d_out),
            kept: if d_in <= d_out { 0 } else { n * rank },
            keeps_input: d_in <= d_out,
            formed: n * rank * smaller,
            forming: 0,
        }
    }

    /// Matrices for layers of at most these sides: `A`, `[rank, smaller]`,
    /// and all `B` side by side, `[larger, n · rank]`. PEFT draws others by the same seed, in bf16
    /// or f16 by the machine that it runs on, so a file has them.
    pub fn projections(&self, [d_in, d_out]: [usize; 2]) -> [TensorData; 2] {
        let (smaller, larger, rank) = (d_in.min(d_out), d_in.max(d_out), self.rank);
        let mut random = TorchRandom::new(self.seed);
        let a = random.uniform(rank * smaller, 1.0 / (smaller as f64).sqrt());
        let n = self.n_bases(smaller);
        let mut b = vec![0.0; larger * n * rank];
        for base in 0..n {
            let drawn = random.uniform(larger * rank, 1.0 / (rank as f64).sqrt());
            for (row, values) in drawn.chunks_exact(rank).enumerate() {
                let at = (row * n + base) * rank;
                b[at..at + rank].copy_from_slice(values);
            }
        }
        [
            TensorData::new(normalised(a), [rank, smaller]),
            TensorData::new(normalised(b), [larger, n * rank]),
        ]
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(
            model,
            name,
            |sides| Ok(self.projections(sides)),
            |layer, n, smaller| {
                let [d_in, d_out] = layer.shape;
                // As PEFT has it: by the longer side of the vectors together.
                let gamma = 1.0 / n.max(d_in.min(d_out)) as f64;
                let gammas = layer.zeros([n, smaller]).add_scalar(gamma);
                Ok([layer.zeros([self.rank, n]), gammas])
            },
        )
    }

    /// As [`attach`](Self::attach), with the matrices that `shared` gives for the largest sides
    /// [as they are drawn](Self::projections), and `Λ`, `[rank, n]`, and `Γ`, `[n, smaller side]`,
    /// that `build` gives for a layer, `n` and that side: of a file, for instance. It is asked for
    /// every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that these give.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        shared: impl FnOnce([usize; 2]) -> Result<[TensorData; 2], PeftError>,
        mut build: impl FnMut(&Layer, usize, usize) -> Result<[Tensor<2>; 2], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        check_dropout(self.dropout)?;
        let scale = self.alpha / self.rank as f64;
        if !(self.alpha as f32).is_finite() {
            return Err(PeftError::InvalidSetting {
                field: "alpha".into(),
                value: format!("{:e}", self.alpha),
                expected: "finite in f32",
            });
        }
        attach(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layers| {
                layers
                    .iter()
                    .try_for_each(|layer| layer.check_rank(self.rank))?;
                let shared = shared(largest_sides(layers)).map(|[a, b]| {
                    let a = SharedMatrix::new("randlora_A", on(a, layers));
                    (a, SharedMatrix::new("randlora_B", on(b, layers)))
                });
                let vectors = |layer: &Layer| {
                    let smaller = layer.shape[0].min(layer.shape[1]);
                    build(layer, self.n_bases(smaller), smaller)
                };
                let built: Vec<Result<[Tensor<2>; 2], PeftError>> =
                    layers.iter().map(vectors).collect();
                let (a, b) = shared?;
                let each = layers.iter().zip(built);
                each.map(|(layer, vectors)| {
                    let [lambda, gamma] = vectors?;
                    let [d_in, d_out] = layer.shape;
                    Ok(RandLora {
                        lambda: Param::from_tensor(lambda),
                        gamma: Param::from_tensor(gamma),
                        a: a.clone(),
                        b: b.clone(),
                        d_in,
                        d_out,
                        scale,
                        dropout: DropoutConfig::new(self.dropout).init(),
                    })
                })
                .collect()
            },
        )
    }
}

/// Divided by the standard deviation of all.
fn normalised(mut values: Vec<f32>) -> Vec<f32> {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (n - 1.0)).sqrt() as f32;
    values.iter_mut().for_each(|x| *x /= deviation);
    values
}

/// Scales of products of random matrices beside a frozen weight.
#[derive(Module, Debug)]
pub struct RandLora {
    /// `Λ`, a column for each product, `[rank, n]`; zero at first.
    pub lambda: Param<Tensor<2>>,
    /// `Γ`, a row for each product, `[n, smaller side]`.
    pub gamma: Param<Tensor<2>>,
    /// `A`, `[rank, largest smaller side]`.
    a: SharedMatrix,
    /// All `B`, `[largest side, n · rank]`.
    b: SharedMatrix,
    d_in: usize,
    d_out: usize,
    scale: f64,
    dropout: Dropout,
}

impl RandLora {
    /// The matrices of all layers, `A` and all `B`.
    pub fn projections(&self) -> [&SharedMatrix; 2] {
        [&self.a, &self.b]
    }

    /// The scaled `A`s below one another, `[rank · n, smaller]`, and the `B`s side by side,
    /// `[larger, n · rank]`. Rows of the one go by rank first and columns of the other by product
    /// first, as in PEFT, whose sum therefore pairs them otherwise than the paper's.
    fn factors(&self) -> [Tensor<2>; 2] {
        let ([rank, n], [_, smaller]) = (self.lambda.dims(), self.gamma.dims());
        let dtype = self.lambda.dtype();
        let a = self.a.value().narrow(1, 0, smaller).cast(dtype);
        let a = a.reshape([rank, 1, smaller]);
        let lambda = self
            .lambda
            .val()
            .mul_scalar(self.scale)
            .reshape([rank, n, 1]);
        let scaled = a * (lambda * self.gamma.val().reshape([1, n, smaller]));
        let larger = self.d_in.max(self.d_out);
        let b = self.b.value().narrow(0, 0, larger);
        let b = b.narrow(1, 0, n * rank).cast(dtype);
        [scaled.reshape([rank * n, smaller]), b]
    }

    fn reads_smaller(&self) -> bool {
        self.d_in <= self.d_out
    }
}

impl Adapter for RandLora {
    const NAME: &'static str = "randlora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let [a, b] = self.factors();
        let delta = match self.reads_smaller() {
            true => a.transpose().matmul(b.transpose()),
            false => b.matmul(a),
        };
        base.dense_in(delta.dtype()) + delta.reshape(base.dims())
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        vec![&mut self.a, &mut self.b]
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = self
            .dropout
            .forward(x.into_rows().cast(self.lambda.dtype()));
        let [a, b] = self.factors();
        let delta = match self.reads_smaller() {
            true => {
                let hidden = peft_kernels::linear(x, a.transpose(), None); // [rows, rank · n]
                peft_kernels::transposed_product(hidden, b)
            }
            false => {
                let hidden = peft_kernels::linear(x, b, None);
                peft_kernels::linear(hidden, a, None)
            }
        };
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
