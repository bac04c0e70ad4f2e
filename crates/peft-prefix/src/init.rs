//! [`PrefixInit`]: what a prefix starts from.

use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use peft_core::PeftError;
use peft_model::{KvCache, Transformer};
use serde::{Deserialize, Serialize};

use crate::PrefixShape;

/// Standard deviation of fresh keys and values. PEFT draws them from `N(0, 1)`: such keys score as
/// high as a text's own and such values stand beside them as noise, which training has to remove
/// from every layer before it can add anything. Small ones take their share of the attention and
/// else leave the model as it is.
const STD: f64 = 0.02;

/// What a prefix starts from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixInit {
    /// Keys and values from `N(0, 0.02²)`. With a projection its input is from `N(0, 1)`, as in
    /// PEFT, and its layers bring that down.
    #[default]
    Random,
    /// All keys and values zero. Without a projection all positions get the same gradient and stay
    /// equal, so that they are worth one: for comparisons.
    Zero,
    /// The keys and values that the model itself computes for these tokens, cut or repeated to the
    /// number of positions: a model with this prefix begins by reading a text as if they stood
    /// before it. Not through a projection, which cannot be turned round.
    Tokens(Vec<u32>),
}

impl PrefixInit {
    /// What of it cannot be.
    pub(crate) fn check(&self, projected: bool) -> Result<(), PeftError> {
        let Self::Tokens(ids) = self else {
            return Ok(());
        };
        let wrong = |value: &str, expected| {
            Err(PeftError::InvalidSetting {
                field: "the prefix's init".into(),
                value: value.into(),
                expected,
            })
        };
        if projected {
            return wrong(
                "a text",
                "random or zero with a projection, which cannot be solved for the text's keys and values",
            );
        }
        match ids.is_empty() {
            true => wrong("a text without tokens", "at least one token"),
            false => Ok(()),
        }
    }
}

/// `[rows, width]` from the distribution of fresh ones, in f32.
pub(crate) fn random(rows: usize, width: usize, projected: bool, device: &Device) -> Tensor<2> {
    let std = if projected { 1.0 } else { STD };
    let normal = Distribution::Normal(0.0, std);
    Tensor::random([rows, width], normal, (device, DType::F32))
}

/// The keys and values of a model outside of training for the first `n` of these tokens, repeated,
/// `[n, n_layers · 2 · width]`, in f32.
pub(crate) fn read<M: Transformer>(
    model: &M,
    shape: &PrefixShape,
    ids: &[u32],
    n: usize,
) -> Result<TensorData, PeftError> {
    let device = model.devices().into_iter().next().unwrap_or_default();
    let ids: Vec<i64> = ids
        .iter()
        .cycle()
        .take(n)
        .map(|id| i64::from(*id))
        .collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, n]), (&device, DType::I64));
    let mut cache = KvCache::new(shape.n_layers);
    model.hidden(ids, None, Some(&mut cache));
    let expected = [1, shape.n_kv_heads, n, shape.head_dim];
    let mut all = Vec::new(); // [1, n_kv_heads, n, head_dim] each
    for layer in 0..shape.n_layers {
        let (keys, values) = match cache.layer(layer) {
            Some(pair) if pair.0.dims() == expected && pair.1.dims() == expected => pair,
            found => {
                return Err(PeftError::InvalidSetting {
                    field: "the prefix's init".into(),
                    value: format!(
                        "a text whose keys are {:?} in layer {layer}, where a prefix has {expected:?}",
                        found.map(|(keys, _)| keys.dims()).unwrap_or_default(),
                    ),
                    expected: "random or zero on a model that reads other virtual tokens, or caches keys of another shape",
                });
            }
        };
        all.extend([keys, values]);
    }
    let stacked = Tensor::cat(all, 0).permute([2, 0, 1, 3]); // [n, 2 n_layers, n_kv_heads, head_dim]
    let flat = stacked.reshape([n, shape.flat_width()]);
    Ok(flat.cast(DType::F32).into_data())
}
