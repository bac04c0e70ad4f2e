//! [`KvCache`]: the keys and values of the positions read so far.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData, s};

use crate::rows::Rows;

/// Keys and values of the positions that a model has read, layer by layer; before them there may be
/// some that were given to it and never read.
///
/// It grows by doubling: a new position is written into room that is there, and no tensor is
/// copied.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<Layer>,
    given: usize,
    /// Where rows are of different lengths.
    rows: Option<Arc<Rows>>,
}

#[derive(Debug, Clone, Default)]
struct Layer {
    /// `[batch, n_kv_heads, room, head_dim]` each.
    pair: Option<(Tensor<4>, Tensor<4>)>,
    len: usize,
}

impl KvCache {
    /// An empty cache for `n_layers` layers.
    pub fn new(n_layers: usize) -> Self {
        Self {
            layers: vec![Layer::default(); n_layers],
            given: 0,
            rows: None,
        }
    }

    /// A cache that holds these keys and values, one pair a layer: a trained prefix for instance.
    ///
    /// # Shapes
    ///
    /// All are `[batch, n_kv_heads, positions, head_dim]`, keys as attention compares them, after
    /// any rotation.
    pub fn from_layers(layers: Vec<(Tensor<4>, Tensor<4>)>) -> Self {
        let mut cache = Self::new(layers.len());
        for (layer, (keys, values)) in layers.into_iter().enumerate() {
            cache.append(layer, keys, values);
        }
        cache.given = cache.len();
        cache
    }

    /// Whether no model has read anything with this cache: it is empty, or holds what was given to
    /// it.
    pub fn is_unread(&self) -> bool {
        self.len() == self.given
    }

    /// The keys and values of a layer, if it has read anything,
    /// `[batch, n_kv_heads, len, head_dim]`.
    pub fn layer(&self, layer: usize) -> Option<(Tensor<4>, Tensor<4>)> {
        let Layer { pair, len } = self.layers.get(layer)?;
        let (keys, values) = pair.clone()?;
        Some((filled(keys, *len), filled(values, *len)))
    }

    /// How many positions are cached; in rows of different lengths padding counts.
    pub fn len(&self) -> usize {
        self.len_of(0)
    }

    /// How many positions a layer has read; layers differ only while some of them run.
    pub fn len_of(&self, layer: usize) -> usize {
        self.layers.get(layer).map_or(0, |layer| layer.len)
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forget what was read behind the first `len` positions, those that were given among them.
    ///
    /// Rows of different lengths stay as they are: their columns are not alike.
    pub fn truncate(&mut self, len: usize) {
        if self.rows.is_some() {
            return;
        }
        let len = len.max(self.given);
        for layer in &mut self.layers {
            layer.len = layer.len.min(len);
        }
    }

    /// Keep these rows, in this order, and forget the others.
    pub fn keep_rows(&mut self, rows: &[usize]) {
        for Layer { pair, len } in &mut self.layers {
            let kept = |x: Tensor<4>| {
                let indices: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
                let indices = TensorData::new(indices, [rows.len()]);
                let options = (&x.device(), DType::I64);
                filled(x, *len).select(0, Tensor::from_data(indices, options))
            };
            *pair = pair.take().map(|(keys, values)| (kept(keys), kept(values)));
        }
        let kept = |all: Arc<Rows>| Arc::new(all.kept(rows));
        self.rows = self.rows.take().map(kept);
    }

    pub(crate) fn rows(&self) -> Option<Arc<Rows>> {
        self.rows.clone()
    }

    pub(crate) fn set_rows(&mut self, rows: Option<Arc<Rows>>) {
        self.rows = rows;
    }

    /// Append a layer's new keys and values, and return all of them.
    ///
    /// # Shapes
    ///
    /// All are `[batch, n_kv_heads, positions, head_dim]`.
    pub fn append(
        &mut self,
        layer: usize,
        keys: Tensor<4>,
        values: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let Layer { pair, len } = &mut self.layers[layer];
        let new = keys.dims()[2];
        let all = match pair.take() {
            None => (keys, values),
            Some((old_keys, old_values)) => (
                joined(old_keys, keys, *len),
                joined(old_values, values, *len),
            ),
        };
        *len += new;
        *pair = Some(all.clone());
        (filled(all.0, *len), filled(all.1, *len))
    }
}

/// The positions that are there, of as many as there is room for.
fn filled(x: Tensor<4>, len: usize) -> Tensor<4> {
    match x.dims()[2] == len {
        true => x,
        false => x.narrow(2, 0, len),
    }
}

/// `new` behind the first `len` positions of `old`, in its room if there is enough, else in twice
/// as much. What trains is joined as it is: its graph is to hold no room.
fn joined(old: Tensor<4>, new: Tensor<4>, len: usize) -> Tensor<4> {
    let ([batch, heads, room, width], n) = (old.dims(), new.dims()[2]);
    if old.is_tracked() || new.is_tracked() {
        return Tensor::cat(vec![filled(old, len), new], 2);
    }
    if len + n <= room {
        return old.slice_assign(s![.., .., len..len + n, ..], new);
    }
    let free = (2 * len).max(len + n) - len - n;
    let shape = [batch, heads, free, width];
    let free = Tensor::zeros(shape, (&new.device(), new.dtype()));
    Tensor::cat(vec![filled(old, len), new, free], 2)
}
