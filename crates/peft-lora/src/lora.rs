//! [`Lora`]: one low-rank adapter, `W' = W + s · A B`, and its variants.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Int, Tensor, module};
use peft_core::{
    Adapter, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, dropped_input, drops,
};
use peft_kernels::scale_columns;

use crate::dora::{Factors, Magnitude};

/// A low-rank adapter on a linear layer or an embedding.
///
/// On a linear layer `y = base(x) + s · drop(x) A B`; on an embedding `y = base(ids) + s · A[ids]
/// B`. A convolution is one with the change of its weight, which multiplies each window by `s · A
/// B`: what a convolution to `r` channels with the layer's kernel gives, and behind it one of a
/// single point (of several groups, one `A` for all of them). Beside that it may have
///
/// - a [magnitude](Self::with_magnitude), as DoRA: each column of `W + s · A B` has a length of its
///   own;
/// - a [bias](Self::with_bias) of `B`: `y` has `s · b` too;
/// - factors that it [begins with](Self::from_initial) and that are not zero: what acts is then the
///   difference to them, `A B − A₀ B₀`, so that the base need not be changed;
/// - an `A` that [stays as it is](Self::with_frozen_a), as LoRA-FA.
#[derive(Module, Debug)]
pub struct Lora {
    /// `A`: `[d_in, rank]` on a linear layer, `[n_embeddings, rank]` on an embedding,
    /// `[channels of a group · sides of the kernel, rank]` on a convolution.
    pub lora_a: Param<Tensor<2>>,
    /// `B`: `[rank, d_out]`, or `[rank, d_model]`.
    pub lora_b: Param<Tensor<2>>,
    /// What `B` adds to every row before it is scaled, `[d_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The lengths of the adapted weight's columns.
    pub magnitude: Option<Magnitude>,
    initial: Option<Initial>,
    bias_merges: bool,
    scale: f64,
    dropout: Dropout,
}

/// What the factors were at first, where that acts.
#[derive(Module, Debug)]
struct Initial {
    /// `A₀`.
    a: Param<Tensor<2>>,
    /// `B₀`.
    b: Param<Tensor<2>>,
}

impl Lora {
    /// An adapter from its factors.
    ///
    /// # Shapes
    ///
    /// `lora_a` is `[d_in, rank]`, `lora_b` is `[rank, d_out]`.
    ///
    /// # Panics
    ///
    /// If the ranks of the factors differ, or `dropout` is not in `[0, 1)`.
    pub fn new(lora_a: Tensor<2>, lora_b: Tensor<2>, scale: f64, dropout: f64) -> Self {
        assert_eq!(
            lora_a.dims()[1],
            lora_b.dims()[0],
            "the factors of a low-rank adapter share the rank"
        );
        Self {
            lora_a: Param::from_tensor(lora_a),
            lora_b: Param::from_tensor(lora_b),
            bias: None,
            magnitude: None,
            initial: None,
            bias_merges: true,
            scale,
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// One that begins at factors whose product is not zero, and at which it does nothing:
    /// `W' = W + s (A B − A₀ B₀)`. The first two stay as they are.
    ///
    /// # Shapes
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn from_initial(lora_a: Tensor<2>, lora_b: Tensor<2>, scale: f64, dropout: f64) -> Self {
        let fixed = |factor: &Tensor<2>| Param::from_tensor(factor.clone()).set_require_grad(false);
        let initial = Initial {
            a: fixed(&lora_a),
            b: fixed(&lora_b),
        };
        Self {
            initial: Some(initial),
            ..Self::new(lora_a, lora_b, scale, dropout)
        }
    }

    /// With a magnitude of each column, as DoRA has it.
    ///
    /// # Shapes
    ///
    /// `vector` is `[d_out]`.
    pub fn with_magnitude(mut self, vector: Tensor<1>) -> Self {
        self.magnitude = Some(Magnitude::new(vector));
        self
    }

    /// With the magnitudes at which it does what it does without: the lengths of the columns.
    pub fn with_magnitude_of(mut self, base: &FrozenWeight) -> Self {
        self.magnitude = Some(Magnitude::of(base, &self.factors()));
        self
    }

    /// With a bias of `B`, `[d_out]`; `layer_has_bias` says whether a merged layer has a place for
    /// it.
    pub fn with_bias(mut self, bias: Tensor<1>, layer_has_bias: bool) -> Self {
        self.bias = Some(Param::from_tensor(bias));
        self.bias_merges = layer_has_bias;
        self
    }

    /// With an `A` that does not train, of which no gradient is formed and for which no input is
    /// kept: *LoRA-FA: Memory-efficient Low-rank Adaptation*, Zhang et al. 2023,
    /// [arXiv:2308.03303](https://arxiv.org/abs/2308.03303).
    pub fn with_frozen_a(mut self) -> Self {
        self.lora_a = self.lora_a.set_require_grad(false);
        self
    }

    /// The rank of what acts: twice that of `A` where factors begin at others than zero.
    pub fn rank(&self) -> usize {
        let rank = self.lora_b.lazy_shape()[0];
        match self.initial {
            None => rank,
            Some(_) => 2 * rank,
        }
    }

    /// The factor `s` of the product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The dropout probability on the adapter's input.
    pub fn dropout(&self) -> f64 {
        self.dropout.prob
    }

    /// Two factors of what acts, of its [rank](Self::rank): `A` and `B`, or `[A A₀]` and
    /// `[B; −B₀]`.
    pub fn acting(&self) -> [Tensor<2>; 2] {
        let (a, b) = (self.lora_a.val(), self.lora_b.val());
        match &self.initial {
            None => [a, b],
            Some(initial) => [
                Tensor::cat(vec![a, initial.a.val()], 1),
                Tensor::cat(vec![b, initial.b.val().neg()], 0),
            ],
        }
    }

    fn factors(&self) -> Factors {
        let [a, b] = self.acting();
        Factors {
            a,
            b,
            scale: self.scale,
        }
    }

    /// `s · A B`, `[d_in, d_out]`.
    pub fn delta(&self) -> Tensor<2> {
        let [a, b] = self.acting();
        a.matmul(b.mul_scalar(self.scale))
    }

    /// `s · b`, `[d_out]`.
    fn scaled_bias(&self) -> Option<Tensor<1>> {
        let bias = self.bias.as_ref()?;
        Some(bias.val().mul_scalar(self.scale))
    }

    /// As [`Adapter::linear`], of a weight whose columns have magnitudes.
    fn decomposed(
        &self,
        magnitude: &Magnitude,
        x: LayerInput,
        base: &FrozenLinear<'_>,
    ) -> Tensor<2> {
        let of = self.factors();
        let factors = magnitude.factors(&base.weight(), &of);
        let dtype = self.lora_a.dtype();
        let low_rank = |x: Tensor<2>, bias: Option<Tensor<1>>| {
            let hidden = peft_kernels::linear(x, of.a.clone(), None).mul_scalar(self.scale);
            let b = scale_columns(of.b.clone(), factors.clone());
            peft_kernels::linear(hidden, b, bias)
        };
        let rows = x.rows().cast(dtype);
        if drops(&self.dropout) && rows.is_autodiff() {
            // As in PEFT, what is dropped is dropped from the weight's own rows too, but for once.
            let y = base.forward(x);
            let of_y = y.dtype();
            let rows = self.dropout.forward(rows);
            let dropped = base.project(rows.clone().cast(of_y)).cast(dtype);
            let more = scale_columns(dropped, factors.clone().sub_scalar(1.0));
            return y + (more + low_rank(rows, None)).cast(of_y);
        }
        let y = base.project(x);
        let of_y = y.dtype();
        let bias = base.bias().map(|bias| bias.cast(dtype));
        (scale_columns(y.cast(dtype), factors.clone()) + low_rank(rows, bias)).cast(of_y)
    }
}

impl Adapter for Lora {
    const NAME: &'static str = "lora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta();
        let [d_in, d_out] = delta.dims();
        let weight = base.dense_in(delta.dtype());
        // A convolution's is [d_out, …], of which the factors have the axes but the first as one.
        let is_conv = D > 2;
        let laid = |matrix: Tensor<2>| match is_conv {
            true => matrix.transpose().reshape(base.dims()),
            false => matrix.reshape(base.dims()),
        };
        let Some(magnitude) = &self.magnitude else {
            return weight + laid(delta);
        };
        let weight = match is_conv {
            true => weight.reshape([d_out, d_in]).transpose(),
            false => weight.reshape([d_in, d_out]),
        };
        let factors = magnitude.factors(&weight.clone().into(), &self.factors());
        laid(scale_columns(weight + delta, factors))
    }

    fn bias(&self, base: Tensor<1>) -> Tensor<1> {
        match self.scaled_bias() {
            None => base,
            Some(bias) => {
                let dtype = base.dtype();
                (base.cast(bias.dtype()) + bias).cast(dtype)
            }
        }
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        if self.bias.is_some() {
            return Some("it adds a bias, which the weight does not hold");
        }
        dropped_input(&self.dropout, training)
    }

    fn cannot_merge(&self) -> Option<&'static str> {
        (!self.bias_merges).then_some("it adds a bias, for which the layer has no place")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        if let Some(magnitude) = &self.magnitude {
            return self.decomposed(magnitude, x, base);
        }
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.lora_a.dtype());
        let x = self.dropout.forward(x);
        let [a, b] = self.acting();
        // The scale meets the narrow product: [rows, rank].
        let hidden = peft_kernels::linear(x, a, None).mul_scalar(self.scale);
        let delta = peft_kernels::linear(hidden, b, self.scaled_bias());
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        let y = base.forward(ids.clone());
        let dtype = y.dtype();
        let [a, b] = self.acting();
        let rows = module::embedding(a, ids).mul_scalar(self.scale);
        let delta = peft_kernels::linear(rows, b, None); // [batch, positions, d_model]
        let Some(magnitude) = &self.magnitude else {
            return y + delta.cast(dtype);
        };
        let factors = magnitude.factors(&base.weight(), &self.factors());
        let dims = y.dims();
        let sum = (y.cast(delta.dtype()) + delta).reshape([dims[0] * dims[1], dims[2]]);
        scale_columns(sum, factors).reshape(dims).cast(dtype)
    }
}
