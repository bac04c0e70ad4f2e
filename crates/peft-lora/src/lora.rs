//! [`Lora`]: one low-rank adapter, `W' = W + s · A B`.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Int, Tensor, module};
use peft_core::{Adapter, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput};

/// A low-rank adapter on a linear layer or an embedding.
///
/// On a linear layer `y = base(x) + s · drop(x) A B`; on an embedding `y = base(ids) + s · A[ids]
/// B`.
#[derive(Module, Debug)]
pub struct Lora {
    /// `A`: `[d_in, rank]` on a linear layer, `[n_embeddings, rank]` on an embedding.
    pub lora_a: Param<Tensor<2>>,
    /// `B`: `[rank, d_out]`, or `[rank, d_model]`.
    pub lora_b: Param<Tensor<2>>,
    scale: f64,
    dropout: Dropout,
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
            scale,
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// The rank.
    pub fn rank(&self) -> usize {
        self.lora_b.lazy_shape()[0]
    }

    /// The factor `s` of the product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The dropout probability on the adapter's input.
    pub fn dropout(&self) -> f64 {
        self.dropout.prob
    }

    /// `s · A B`, `[d_in, d_out]`.
    pub fn delta(&self) -> Tensor<2> {
        self.lora_a
            .val()
            .matmul(self.lora_b.val().mul_scalar(self.scale))
    }
}

impl Adapter for Lora {
    const NAME: &'static str = "lora";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta().reshape(base.dims());
        base.dense_in(delta.dtype()) + delta
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        (training && self.dropout.prob > 0.0 && self.dropout.training.is_enabled())
            .then_some("dropout acts on the adapter's input, which no weight can express")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = x.into_rows().cast(self.lora_a.dtype());
        let x = self.dropout.forward(x);
        // The scale meets the narrow product: [rows, rank].
        let hidden = peft_kernels::linear(x, self.lora_a.val(), None).mul_scalar(self.scale);
        let delta = peft_kernels::linear(hidden, self.lora_b.val(), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        let y = base.forward(ids.clone());
        let rows = module::embedding(self.lora_a.val(), ids).mul_scalar(self.scale);
        let delta = peft_kernels::linear(rows, self.lora_b.val(), None); // [batch, positions, d_model]
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
