//! [`Rotation`]: cosines and sines of a run of positions.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_kernels::rotate;

use super::RopeConfig;

/// The rotation of a run of positions, made once a forward for all layers of one setting.
pub(crate) struct Rotation {
    keys: Table,
    queries: Table,
}

/// Cosines and sines.
#[derive(Clone)]
struct Table {
    cos: Tensor<4>, // [1 or batch, 1, positions, rotary_dim / 2]
    sin: Tensor<4>,
}

impl Rotation {
    pub(crate) fn new(
        config: &RopeConfig,
        head_dim: usize,
        start: usize,
        positions: usize,
        device: &Device,
    ) -> Self {
        let frequencies = config.frequencies(head_dim, start + positions);
        let factor = config.attention_factor() as f32;
        let angles: Vec<f32> = (start..start + positions)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|angle| f(*angle) * factor).collect();
            Tensor::from_data(
                TensorData::new(values, [1, 1, positions, frequencies.len()]),
                (device, DType::F32),
            )
        };
        let keys = Table {
            cos: table(f32::cos),
            sin: table(f32::sin),
        };
        Self {
            queries: keys.clone(),
            keys,
        }
    }

    /// The same, with queries at these positions of the run alone, `[batch, read]`, where there are any.
    pub(crate) fn asked_at(self, at: Option<Tensor<2, Int>>) -> Self {
        let Some(at) = at else {
            return self;
        };
        let [batch, read] = at.dims();
        let flat = at.reshape([batch * read]);
        let rows = |table: &Tensor<4>| {
            let half = table.dims()[3];
            let rows = table.clone().select(2, flat.clone());
            rows.reshape([batch, 1, read, half])
        };
        Self {
            queries: Table {
                cos: rows(&self.keys.cos),
                sin: rows(&self.keys.sin),
            },
            ..self
        }
    }

    /// Rotate keys, `[batch, heads, positions, head_dim]`.
    pub(crate) fn keys(&self, k: Tensor<4>) -> Tensor<4> {
        rotate(k, &self.keys.cos, &self.keys.sin)
    }

    /// Rotate queries, `[batch, heads, positions or read, head_dim]`.
    pub(crate) fn queries(&self, q: Tensor<4>) -> Tensor<4> {
        rotate(q, &self.queries.cos, &self.queries.sin)
    }
}
