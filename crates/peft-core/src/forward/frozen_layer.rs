//! What an adapter sees of the layer below it: the frozen base, with the adapters activated
//! earlier.

use burn::tensor::{Int, Tensor};

use crate::FrozenWeight;
use crate::slot::{ActiveAdapter, effective_bias, effective_weight};

/// The input of a linear layer: rows, and their product with its stored weight where that has been
/// formed already.
///
/// Where rows of a batch go through different adapters, those that give the layer below their own
/// input share one product. Only the layer makes an input that has one; a tensor becomes an input
/// without.
#[derive(Debug, Clone)]
pub struct LayerInput {
    rows: Tensor<2>,
    product: Option<Tensor<2>>,
}

impl From<Tensor<2>> for LayerInput {
    fn from(rows: Tensor<2>) -> Self {
        Self {
            rows,
            product: None,
        }
    }
}

impl LayerInput {
    pub(crate) fn multiplied(rows: Tensor<2>, product: Option<Tensor<2>>) -> Self {
        Self { rows, product }
    }

    /// The rows, `[rows, d_in]`.
    pub fn rows(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// The rows, `[rows, d_in]`.
    pub fn into_rows(self) -> Tensor<2> {
        self.rows
    }

    /// Their product with the layer's stored weight, `[rows, d_out]`, where it has been formed
    /// already.
    pub fn product(&self) -> Option<Tensor<2>> {
        self.product.clone()
    }
}

/// A linear layer below an adapter: the frozen base and the adapters activated earlier.
#[derive(Debug)]
pub struct FrozenLinear<'a> {
    pub(crate) weight: FrozenWeight,
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) below: &'a [ActiveAdapter<'a>],
}

impl FrozenLinear<'static> {
    /// A layer with no adapters: what a method's own test gives its
    /// [`linear`](crate::Adapter::linear).
    ///
    /// # Shapes
    ///
    /// `weight` is `[d_in, d_out]`, `bias` `[d_out]`.
    pub fn new(weight: impl Into<FrozenWeight>, bias: Option<Tensor<1>>) -> Self {
        Self {
            weight: weight.into(),
            bias,
            below: &[],
        }
    }
}

impl FrozenLinear<'_> {
    /// The layer's output, bias included.
    ///
    /// # Shapes
    ///
    /// `x` is `[rows, d_in]`, the result `[rows, d_out]`.
    pub fn forward(&self, x: impl Into<LayerInput>) -> Tensor<2> {
        let x = x.into();
        let Some((top, below)) = self.below.split_last() else {
            let bias = self.bias.clone();
            return match x.product {
                None => self.weight.product(x.rows, bias),
                Some(product) => match bias {
                    Some(bias) => product + bias.unsqueeze(),
                    None => product,
                },
            };
        };
        let base = FrozenLinear {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
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
    pub fn project(&self, x: impl Into<LayerInput>) -> Tensor<2> {
        FrozenLinear {
            weight: self.weight.clone(),
            bias: None,
            below: self.below,
        }
        .forward(x)
    }

    /// The effective weight, `[d_in, d_out]`. With no adapter below this is the stored weight, not
    /// a copy.
    pub fn weight(&self) -> FrozenWeight {
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
#[derive(Debug)]
pub struct FrozenEmbedding<'a> {
    pub(crate) weight: FrozenWeight,
    pub(crate) below: &'a [ActiveAdapter<'a>],
}

impl FrozenEmbedding<'static> {
    /// An embedding with no adapters, `[n_embeddings, d_model]`: what a method's own test gives its
    /// [`embedding`](crate::Adapter::embedding).
    pub fn new(weight: impl Into<FrozenWeight>) -> Self {
        Self {
            weight: weight.into(),
            below: &[],
        }
    }
}

impl FrozenEmbedding<'_> {
    /// The embedding's rows.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let Some((top, below)) = self.below.split_last() else {
            return self.weight.rows(ids);
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
    pub fn weight(&self) -> FrozenWeight {
        effective_weight(self.weight.clone(), self.below)
    }
}
