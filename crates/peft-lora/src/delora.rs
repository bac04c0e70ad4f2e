//! [`Delora`]: a low-rank product whose norm is bounded,
//! `W' = W + diag(w) A diag(λ / (r ‖aᵢ‖ ‖bᵢ‖)) B`.
//!
//! Each product of a column of `A` and a row of `B` has the norm `λ / r`, whatever the factors
//! learn, before the rows of the weight scale it by their own norms `w`.
//! *DeLoRA: Decoupling Angles and Strength in Low-rank Adaptation*, Bini et al., ICLR 2025,
//! [arXiv:2503.18225](https://arxiv.org/abs/2503.18225).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{DType, Tensor};
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    Patterns, PeftError, Placed, Placement, Targets, attach, dropped_input,
};
use serde::{Deserialize, Serialize};

/// Norms of factors are at least this, as in PEFT.
const LEAST_NORM: f64 = 1e-4;

/// DeLoRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeloraConfig {
    /// The rank `r`, at least 1.
    pub rank: usize,
    /// The bound `λ` at first, finite. Default: 15.
    pub lambda: f64,
    /// Other ranks for some layers. Default: none.
    pub rank_pattern: Patterns<usize>,
    /// Other bounds for some layers. Default: none.
    pub lambda_pattern: Patterns<f64>,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for DeloraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

/// What an adapter is made of: `A`, `[d_in, rank]`, `B`, `[rank, d_out]`, `λ`, `[1]`, and the norms
/// of the rows of the weight, `[d_in]`, which do not train.
pub type DeloraParts = (Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>);

impl DeloraConfig {
    /// Of this rank on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            lambda: 15.0,
            rank_pattern: Patterns::default(),
            lambda_pattern: Patterns::default(),
            dropout: 0.0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// The bound at first.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        let factors = self.rank.saturating_mul(d_in.saturating_add(d_out));
        AdapterCost {
            parameters: factors.saturating_add(1),
            products: factors,
            fixed: 0,
            kept: self.rank.saturating_add(d_in),
            keeps_input: false,
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
        self.attach_with(model, name, |layer, rank, lambda| {
            let [d_in, d_out] = layer.shape;
            let (a, b) = (layer.kaiming([d_in, rank]), layer.zeros([rank, d_out]));
            let weight = layer.frozen_weight().without_autodiff();
            let rows = weight.dense_in(DType::F32).square().sum_dim(1).sqrt();
            // With the autodiff context of the layer's device.
            let norms = Tensor::from_data(
                rows.reshape([d_in]).into_data(),
                (&layer.device, DType::F32),
            );
            Ok((a, b, layer.zeros([1]).add_scalar(lambda), norms))
        })
    }

    /// As [`attach`](Self::attach), with the parts that `build` gives for a layer, its rank and its
    /// bound: of a file, for instance. It is asked for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize, f64) -> Result<DeloraParts, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let wrong = |field: &str, value: f64, expected| PeftError::InvalidSetting {
            field: field.into(),
            value: format!("{value:e}"),
            expected,
        };
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(wrong("dropout", self.dropout, "at least 0 and below 1"));
        }
        let others = self.lambda_pattern.iter().map(|(_, lambda)| *lambda);
        let mut lambdas = others.chain([self.lambda]);
        if let Some(lambda) = lambdas.find(|lambda| !(*lambda as f32).is_finite()) {
            return Err(wrong("lambda", lambda, "finite in f32"));
        }
        let linear = [LayerKind::Linear];
        attach(model, name, &self.placement, &linear, |layers| {
            let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
            let ranks = (self.rank_pattern).resolve("rank pattern", &paths, &self.rank)?;
            let lambdas = (self.lambda_pattern).resolve("lambda pattern", &paths, &self.lambda)?;
            let mut sizes = layers.iter().zip(&ranks);
            sizes.try_for_each(|(layer, rank)| layer.check_rank(*rank))?;
            let each = layers.iter().zip(ranks).zip(lambdas);
            let built: Vec<Result<DeloraParts, PeftError>> = each
                .map(|((layer, rank), lambda)| build(layer, rank, lambda))
                .collect();
            let adapters = built.into_iter().map(|parts| {
                let (a, b, lambda, norms) = parts?;
                Ok(Delora {
                    a: Param::from_tensor(a),
                    b: Param::from_tensor(b),
                    lambda: Param::from_tensor(lambda),
                    norms: Param::from_tensor(norms).set_require_grad(false),
                    dropout: DropoutConfig::new(self.dropout).init(),
                })
            });
            adapters.collect()
        })
    }
}

/// A low-rank product of a bounded norm beside a frozen weight.
#[derive(Module, Debug)]
pub struct Delora {
    /// `A`, `[d_in, rank]`.
    pub a: Param<Tensor<2>>,
    /// `B`, `[rank, d_out]`; zero at first.
    pub b: Param<Tensor<2>>,
    /// The bound `λ`, `[1]`.
    pub lambda: Param<Tensor<1>>,
    /// The norms of the rows of the weight, `[d_in]`; they do not train.
    pub norms: Param<Tensor<1>>,
    dropout: Dropout,
}

impl Delora {
    /// What each direction is scaled by, `[1, rank]`.
    fn scales(&self) -> Tensor<2> {
        let (a, b) = (self.a.val(), self.b.val());
        let [_, rank] = a.dims();
        // Bounded before the root, whose slope at zero is none.
        let norm = |squares: Tensor<2>| squares.clamp_min(LEAST_NORM * LEAST_NORM).sqrt();
        let of_a = norm(a.square().sum_dim(0));
        let of_b = norm(b.square().sum_dim(1)).reshape([1, rank]);
        let lambda: Tensor<2> = self.lambda.val().div_scalar(rank as f64).unsqueeze();
        lambda / (of_a * of_b)
    }
}

impl Adapter for Delora {
    const NAME: &'static str = "delora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let [d_in, _] = self.a.dims();
        let a = self.a.val() * self.norms.val().reshape([d_in, 1]);
        let delta = (a * self.scales()).matmul(self.b.val());
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
        let x = self.dropout.forward(x.into_rows().cast(self.a.dtype()));
        let x = x * self.norms.val().unsqueeze();
        let hidden = peft_kernels::linear(x, self.a.val(), None) * self.scales(); // [rows, rank]
        let delta = peft_kernels::linear(hidden, self.b.val(), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
