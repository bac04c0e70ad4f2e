//! Which keys a query may see.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::{EVERY_SEQUENCE, select_positions};

/// Added to the score of a key that may not be seen. Finite, so that a row of nothing else is not NaN.
const HIDDEN: f32 = -1e30;

/// Which keys a query sees by their places alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sight {
    /// Only keys up to the query's own position.
    pub(crate) causal: bool,
    /// Only keys at most this many positions away.
    pub(crate) reach: Option<usize>,
}

impl Sight {
    /// All keys.
    pub(crate) const ALL: Self = Self {
        causal: false,
        reach: None,
    };

    /// All keys up to the query's own position.
    pub(crate) const CAUSAL: Self = Self {
        causal: true,
        reach: None,
    };

    /// What is cached before a text that is read in both directions is a prefix, which all of it sees.
    fn sees(self, query: usize, key: usize, cached: usize) -> bool {
        (!self.causal && key < cached)
            || (!self.causal || key <= query)
                && self.reach.is_none_or(|reach| query.abs_diff(key) <= reach)
    }
}

/// Which positions ask, and what is added to the scores of their attention; made once a forward for all layers of one sight and all heads.
pub(crate) struct AttentionBias {
    /// `[1 or batch, 1, 1, asking, keys]`; none where every query sees every key.
    bias: Option<Tensor<5>>,
    /// The new positions that ask, `[batch, read]`; all where there is none.
    at: Option<Tensor<2, Int>>,
}

impl AttentionBias {
    /// A query sees the keys in its sight that are of its own segment; `segments` is `[batch, cached + positions]`.
    pub(crate) fn new(
        sight: Sight,
        positions: usize,
        cached: usize,
        segments: Option<Tensor<2, Int>>,
        device: &Device,
    ) -> Self {
        let keys = cached + positions;
        let seen: Vec<bool> = (0..positions)
            .flat_map(|query| (0..keys).map(move |key| sight.sees(cached + query, key, cached)))
            .collect();
        let by_place = (!seen.iter().all(|seen| *seen)).then(|| {
            let values: Vec<f32> = seen
                .iter()
                .map(|seen| if *seen { 0.0 } else { HIDDEN })
                .collect();
            Tensor::<5>::from_data(
                TensorData::new(values, [1, 1, 1, positions, keys]),
                (device, DType::F32),
            )
        });
        let by_segment = segments.map(|segments| {
            let [batch, keys] = segments.dims();
            let queries = segments
                .clone()
                .narrow(1, cached, positions)
                .reshape([batch, positions, 1]);
            let keyed = segments.reshape([batch, 1, keys]);
            let shared = keyed.clone().equal_elem(EVERY_SEQUENCE);
            let other = queries.not_equal(keyed).float().cast(DType::F32);
            let hidden = other * shared.bool_not().float().cast(DType::F32);
            hidden
                .mul_scalar(HIDDEN)
                .reshape([batch, 1, 1, positions, keys])
        });
        Self {
            bias: match (by_place, by_segment) {
                (Some(place), Some(segment)) => Some(place + segment),
                (place, segment) => place.or(segment),
            },
            at: None,
        }
    }

    /// The same, of these new positions of each row alone, `[batch, read]`, where there are any: a block gives their states.
    pub(crate) fn asked_at(self, at: Option<Tensor<2, Int>>) -> Self {
        let Some(at) = at else {
            return self;
        };
        let [batch, read] = at.dims();
        let bias = self.bias.map(|bias| {
            let [rows, _, _, positions, keys] = bias.dims();
            let bias = bias.reshape([rows, positions, keys]);
            let bias = match rows {
                1 => bias.select(1, at.clone().reshape([batch * read])),
                _ => select_positions(bias, at.clone()),
            };
            bias.reshape([batch, 1, 1, read, keys])
        });
        Self { bias, at: Some(at) }
    }

    /// Of a value of every new position, `[batch, positions, width]`, those of the positions that ask.
    pub(crate) fn asking(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.at {
            Some(at) => select_positions(x, at.clone()),
            None => x,
        }
    }

    /// # Shapes
    ///
    /// `scores` is `[batch, kv_heads, groups · positions, keys]`.
    pub(crate) fn add_to(&self, scores: Tensor<4>, groups: usize) -> Tensor<4> {
        let Some(bias) = &self.bias else {
            return scores;
        };
        let [batch, heads, rows, keys] = scores.dims();
        let grouped = scores.reshape([batch, heads, groups, rows / groups, keys]);
        (grouped + bias.clone()).reshape([batch, heads, rows, keys])
    }
}
