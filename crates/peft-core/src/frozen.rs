//! What an adapter sees of the layer below it: the frozen base, with the adapters activated earlier.

use burn::tensor::{Int, Tensor, module};

use crate::slot::ActiveAdapter;

/// A linear layer below an adapter: the frozen base and the adapters activated earlier.
pub struct FrozenLinear<'a> {
    pub(crate) weight: Tensor<2>,
    pub(crate) bias: Option<Tensor<1>>,
    /// `x W` of the only input that the layer is given, where it is known.
    pub(crate) product: Option<Tensor<3>>,
    pub(crate) below: &'a [ActiveAdapter<'a>],
}

impl FrozenLinear<'_> {
    /// The layer's output, bias included.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, rows, d_in]`, the result `[batch, rows, d_out]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let Some((top, below)) = self.below.split_last() else {
            return match (&self.product, &self.bias) {
                (None, bias) => peft_kernels::linear(x, self.weight.clone(), bias.clone()),
                (Some(product), Some(bias)) => product.clone() + bias.clone().unsqueeze(),
                (Some(product), None) => product.clone(),
            };
        };
        let base = FrozenLinear {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            product: self.product.clone(),
            below,
        };
        top.blend(
            || base.forward(x.clone()),
            || top.adapter.linear_dyn(x.clone(), &base),
        )
    }

    /// The layer's output without its bias.
    ///
    /// # Shapes
    ///
    /// As [`forward`](Self::forward).
    pub fn project(&self, x: Tensor<3>) -> Tensor<3> {
        FrozenLinear {
            weight: self.weight.clone(),
            bias: None,
            product: self.product.clone(),
            below: self.below,
        }
        .forward(x)
    }

    /// The effective weight, `[d_in, d_out]`. With no adapter below this is the stored weight, not a copy.
    pub fn weight(&self) -> Tensor<2> {
        effective_weight(self.weight.clone(), self.below)
    }

    /// The effective bias, `[d_out]`.
    pub fn bias(&self) -> Option<Tensor<1>> {
        self.bias
            .clone()
            .map(|bias| effective_bias(bias, self.below))
    }
}

/// An embedding below an adapter: the frozen base and the adapters activated earlier.
pub struct FrozenEmbedding<'a> {
    pub(crate) weight: Tensor<2>,
    pub(crate) below: &'a [ActiveAdapter<'a>],
}

impl FrozenEmbedding<'_> {
    /// The embedding's rows.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let Some((top, below)) = self.below.split_last() else {
            return module::embedding(self.weight.clone(), ids);
        };
        let base = FrozenEmbedding {
            weight: self.weight.clone(),
            below,
        };
        top.blend(
            || base.forward(ids.clone()),
            || top.adapter.embedding_dyn(ids.clone(), &base),
        )
    }

    /// The effective weight, `[n_embeddings, d_model]`.
    pub fn weight(&self) -> Tensor<2> {
        effective_weight(self.weight.clone(), self.below)
    }
}

/// `base` with `adapters` applied in order.
pub(crate) fn effective_weight<const D: usize>(
    base: Tensor<D>,
    adapters: &[ActiveAdapter<'_>],
) -> Tensor<D> {
    adapters.iter().fold(base, |below, active| {
        active.blend(|| below.clone(), || active.adapter.weight_of(below.clone()))
    })
}

/// The bias with `adapters` applied in order.
pub(crate) fn effective_bias(base: Tensor<1>, adapters: &[ActiveAdapter<'_>]) -> Tensor<1> {
    adapters.iter().fold(base, |below, active| {
        active.blend(|| below.clone(), || active.adapter.bias_dyn(below.clone()))
    })
}
