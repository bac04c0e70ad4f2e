//! [`TokenRows`]: chosen rows of an embedding that train, `W'[t] = V[i]` of the i-th token `t`.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{Adapter, FrozenEmbedding, FrozenWeight, Layer, LayerKind, PeftError, has_suffix};

/// Which rows of which embedding train beside an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenChoice {
    /// The embedding, by suffix; the one with the most rows, which is that of the tokens, where it
    /// is not said.
    pub module: Option<String>,
    /// The rows, each once.
    pub tokens: Vec<u32>,
}

impl TokenChoice {
    /// These rows of the tokens' embedding.
    pub fn new(tokens: impl IntoIterator<Item = u32>) -> Self {
        Self {
            module: None,
            tokens: tokens.into_iter().collect(),
        }
    }

    /// The embedding among a model's layers that is meant.
    ///
    /// # Errors
    ///
    /// [`PeftError::Unmatched`] where there is none.
    pub fn layer<'a>(&self, layers: &'a [Layer]) -> Result<&'a Layer, PeftError> {
        let embeddings = layers
            .iter()
            .filter(|layer| layer.kind == LayerKind::Embedding);
        let found = match &self.module {
            None => embeddings.clone().max_by_key(|layer| layer.shape[0]),
            Some(name) => embeddings
                .clone()
                .find(|layer| has_suffix(&layer.path, name)),
        };
        found.ok_or_else(|| {
            let available = embeddings.map(|layer| layer.path.clone()).collect();
            let entry = self.module.as_deref().unwrap_or("the embedding of tokens");
            PeftError::unmatched("embedding whose rows train", entry, available)
        })
    }
}

/// Rows of an embedding that train in the place of the frozen ones, which they begin as: PEFT's
/// trainable tokens.
///
/// Neither a copy of the embedding nor a gradient of its shape is formed. An output layer that is
/// tied to the embedding reads them too, so that both stay one.
#[derive(Module, Debug)]
pub struct TokenRows {
    /// `V`, `[tokens, d_model]`.
    pub rows: Param<Tensor<2>>,
    #[module(skip)]
    tokens: Arc<[u32]>,
    /// The place of each token of the vocabulary among those, or how many these are.
    #[module(skip)]
    places: Arc<[i32]>,
}

impl TokenRows {
    /// Rows that begin as what lies below them; `choice` says which.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] where there is no token, one that the embedding has not, or
    /// one twice.
    pub fn of(layer: &Layer, choice: &TokenChoice) -> Result<Self, PeftError> {
        let weight = layer.frozen_weight();
        let n = choice.tokens.len();
        // Checked first, so that the rows exist.
        let own = Self::checked(layer, choice, |device| {
            let width = layer.shape[1];
            Tensor::zeros([n, width], (device, DType::F32))
        })?;
        let ids = own.ids(&layer.device).reshape([1, n]);
        let rows: Tensor<2> = weight.rows(ids).squeeze_dim(0);
        Ok(Self {
            rows: Param::from_tensor(rows.cast(DType::F32).detach()),
            ..own
        })
    }

    /// Rows of these values, `[tokens, d_model]`.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn from_rows(
        layer: &Layer,
        choice: &TokenChoice,
        rows: Tensor<2>,
    ) -> Result<Self, PeftError> {
        Self::checked(layer, choice, |_| rows)
    }

    fn checked(
        layer: &Layer,
        choice: &TokenChoice,
        rows: impl FnOnce(&Device) -> Tensor<2>,
    ) -> Result<Self, PeftError> {
        let (size, tokens) = (layer.shape[0], &choice.tokens);
        let wrong = |value: String, expected| PeftError::InvalidSetting {
            field: format!("a trainable token of `{}`", layer.path),
            value,
            expected,
        };
        if tokens.is_empty() {
            return Err(wrong("not given".into(), "at least one"));
        }
        let none = i32::try_from(tokens.len()).unwrap_or(i32::MAX);
        let mut places = vec![none; size];
        for (i, token) in (0..).zip(tokens) {
            let place = places.get_mut(*token as usize).ok_or_else(|| {
                let value = format!("{token}, and there are {size} rows");
                wrong(
                    value,
                    "below the number of rows: the vocabulary is to be larger first",
                )
            })?;
            if *place != none {
                return Err(wrong(format!("{token}, twice"), "there once"));
            }
            *place = i;
        }
        Ok(Self {
            rows: Param::from_tensor(rows(&layer.device)),
            tokens: tokens.as_slice().into(),
            places: places.into(),
        })
    }

    /// The tokens, in the order of their rows.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The same tokens with other rows, `[tokens, d_model]`.
    pub fn with_rows(self, rows: Tensor<2>) -> Self {
        Self {
            rows: Param::from_tensor(rows),
            ..self
        }
    }

    fn ids(&self, device: &Device) -> Tensor<1, Int> {
        let ids: Vec<i32> = self.tokens.iter().map(|token| *token as i32).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), device)
    }

    fn places(&self, device: &Device) -> Tensor<1, Int> {
        let places = self.places.to_vec();
        let n = places.len();
        Tensor::from_data(TensorData::new(places, [n]), device)
    }

    /// `below`, `[n, d_model]`, with own rows where `places` has some.
    fn put(&self, below: Tensor<2>, places: Tensor<1, Int>) -> Tensor<2> {
        let [n, width] = below.dims();
        let rows = self.rows.val();
        let count = self.tokens.len() as i32;
        let own = places.clone().lower_elem(count).reshape([n, 1]);
        // One more row, which is read where there is none and then passed over.
        let rows = Tensor::cat(vec![rows.clone(), rows.narrow(0, 0, 1).zeros_like()], 0);
        let rows = rows.select(0, places).cast(below.dtype());
        below.mask_where(own.expand([n, width]), rows)
    }
}

impl Adapter for TokenRows {
    const NAME: &'static str = "trainable-tokens";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let dims = base.dims();
        let weight = base.dense_in(self.rows.dtype());
        let width = dims[D - 1];
        let weight: Tensor<2> = weight.reshape([self.places.len(), width]);
        let places = self.places(&weight.device());
        self.put(weight, places).reshape(dims)
    }

    fn changes_tied(&self) -> bool {
        true
    }

    fn tied(&self, states: Tensor<3>, below: Tensor<3>, base: &FrozenWeight) -> Tensor<3> {
        let n = self.tokens.len();
        let ids = self.ids(&below.device());
        let before: Tensor<2> = base.rows(ids.clone().reshape([1, n])).squeeze_dim(0);
        let dtype = states.dtype();
        let more = self.rows.val() - before.cast(self.rows.dtype());
        let more = peft_kernels::transposed_product(states, more.cast(dtype));
        let more = more.cast(below.dtype());
        below.select_assign(2, ids, more, IndexingUpdateOp::Add)
    }

    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        let below = base.forward(ids.clone());
        let [batch, positions, width] = below.dims();
        let ids = ids.reshape([batch * positions]);
        let places = self.places(&ids.device()).select(0, ids);
        let rows = self.put(below.reshape([batch * positions, width]), places);
        rows.reshape([batch, positions, width])
    }
}
