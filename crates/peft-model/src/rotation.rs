//! [`Rotation`]: cosines and sines of the places of a pass.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_kernels::rotate;

use crate::{Context, RopeConfig, select_positions};

/// The rotation of a pass's new positions, for all blocks of one setting.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    keys: Table,
    queries: Table,
}

/// Cosines and sines, `[1 or batch, 1, positions, rotary_dim / 2]`.
#[derive(Debug, Clone)]
struct Table {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotation {
    pub(crate) fn new(
        config: &RopeConfig,
        head_dim: usize,
        context: &Context,
        device: &Device,
    ) -> Self {
        let factor = config.attention_factor() as f32;
        let rows = context.rows_of_places();
        let half = config.rotary_dim(head_dim) / 2;
        let mut angles: Vec<f32> = Vec::new();
        for (places, length) in &rows {
            let frequencies = config.frequencies(head_dim, *length);
            for place in places {
                angles.extend(frequencies.iter().map(|f| *place as f32 * f));
            }
        }
        let positions = angles.len() / (half * rows.len());
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|angle| f(*angle) * factor).collect();
            let data = TensorData::new(values, [rows.len(), 1, positions, half]);
            Tensor::from_data(data, (device, DType::F32))
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

    /// The same, with queries at these positions alone, `[batch, read]`.
    pub(crate) fn at(&self, at: &Tensor<2, Int>) -> Self {
        let batch = at.dims()[0];
        let rows = |table: &Tensor<4>| {
            let [_, _, positions, half] = table.dims();
            let table = table.clone().expand([batch, 1, positions, half]);
            let table = table.squeeze_dim::<3>(1);
            select_positions(table, at.clone()).unsqueeze_dim::<4>(1)
        };
        Self {
            queries: Table {
                cos: rows(&self.keys.cos),
                sin: rows(&self.keys.sin),
            },
            keys: self.keys.clone(),
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
