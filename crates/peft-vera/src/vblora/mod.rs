//! [`Vblora`]: low-rank factors mixed of the vectors of one bank.

mod config;

use burn::module::{Module, Param};
use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use peft_core::{Adapter, FrozenLinear, FrozenWeight, LayerInput, SharedParam, dropped_input};

pub use config::VbloraConfig;

/// Mixtures of vectors beside a frozen weight.
#[derive(Module, Debug)]
pub struct Vblora {
    /// `[rank, runs of d_in, vectors]`.
    pub logits_a: Param<Tensor<3>>,
    /// `[runs of d_out, rank, vectors]`.
    pub logits_b: Param<Tensor<3>>,
    /// `[vectors, vector_length]`, of all layers.
    pub bank: SharedParam,
    top_k: usize,
    saves_top_k: bool,
    dropout: Dropout,
}

/// The logit of a vector that is not mixed.
const NOT_MIXED: f32 = -1e30;
/// What is below any logit.
const BELOW: f32 = -3e38;

impl Vblora {
    /// Whether a file has what is mixed alone.
    pub fn saves_top_k(&self) -> bool {
        self.saves_top_k
    }

    /// Logits of as many vectors by which these are mixed: their weights, but for the last one's,
    /// which is what is left of 1.
    pub fn logits_of(places: &[usize], weights: &[f32], vectors: usize) -> Vec<f32> {
        let mut logits = vec![NOT_MIXED; vectors];
        let rest = 1.0 - weights.iter().sum::<f32>();
        for (place, weight) in places.iter().zip(weights.iter().chain([&rest])) {
            if let Some(logit) = logits.get_mut(*place) {
                // A weight of nothing is chosen all the same.
                *logit = weight.max(f32::MIN_POSITIVE).ln();
            }
        }
        logits
    }

    /// How many are mixed.
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// The vectors that are mixed by these logits, `[a, b, vectors]`, and their weights: for each
    /// of `a · b` runs the `k` places, from the largest weight on, and the weights.
    pub fn mixed(&self, logits: &Tensor<3>) -> Vec<Vec<(usize, f32)>> {
        let vectors = logits.dims()[2];
        let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
        let one = |logits: &[f32]| {
            let mut order: Vec<usize> = (0..vectors).collect();
            order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            order.truncate(self.top_k);
            let most = order.first().map_or(0.0, |at| logits[*at]);
            let parts: Vec<f32> = order.iter().map(|at| (logits[*at] - most).exp()).collect();
            let sum: f32 = parts.iter().sum();
            let parts = parts.into_iter().map(|part| part / sum);
            order.into_iter().zip(parts).collect()
        };
        values.chunks_exact(vectors).map(one).collect()
    }

    /// `A`, `[d_in, rank]`.
    pub fn factor_a(&self) -> Tensor<2> {
        let logits = self.logits_a.val();
        let rank = logits.dims()[0];
        let runs = self.mixture(logits); // [rank · runs, vector_length]
        let [n, length] = runs.dims();
        runs.reshape([rank, n / rank * length]).transpose()
    }

    /// `B`, `[rank, d_out]`.
    pub fn factor_b(&self) -> Tensor<2> {
        let logits = self.logits_b.val().swap_dims(0, 1);
        let rank = logits.dims()[0];
        let runs = self.mixture(logits);
        let [n, length] = runs.dims();
        runs.reshape([rank, n / rank * length])
    }

    /// A run of values for each row of logits: products, whose gradients are sums in a fixed order,
    /// where gathered vectors would be added to their places in any.
    fn mixture(&self, logits: Tensor<3>) -> Tensor<2> {
        let [a, b, vectors] = logits.dims();
        let logits: Tensor<2> = logits.reshape([a * b, vectors]);
        let mut left = logits.clone().detach();
        let mut chosen = None;
        for _ in 0..self.top_k {
            let largest = left.clone().argmax(1); // [rows, 1]
            let like = (&largest.device(), largest.dtype());
            let all = Tensor::<1, Int>::arange(0..vectors as i64, like).unsqueeze::<2>();
            let here = (all.expand([a * b, vectors])).equal(largest.expand([a * b, vectors]));
            left = left.mask_fill(here.clone(), BELOW);
            chosen = Some(match chosen {
                Some(chosen) => here.bool_or(chosen),
                None => here,
            });
        }
        let logits = match chosen {
            Some(chosen) => logits.mask_fill(chosen.bool_not(), BELOW),
            None => logits,
        };
        let bank = self.bank.val_on(&logits.device());
        softmax(logits, 1).matmul(bank)
    }
}

impl Adapter for Vblora {
    const NAME: &'static str = "vblora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.factor_a().matmul(self.factor_b());
        base.dense_in(delta.dtype()) + delta.reshape(base.dims())
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.logits_a.dtype());
        let x = self.dropout.forward(x);
        let hidden = peft_kernels::linear(x, self.factor_a(), None);
        let delta = peft_kernels::linear(hidden, self.factor_b(), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
