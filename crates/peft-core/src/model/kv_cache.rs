//! [`KvCache`]: the keys and values of the positions read so far.

use burn::tensor::Tensor;

/// Keys and values of the positions that a model has read, layer by layer; before them there may be some that were given to it and never read.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<Option<(Tensor<4>, Tensor<4>)>>,
    given: usize,
}

impl KvCache {
    /// An empty cache for `n_layers` layers.
    pub fn new(n_layers: usize) -> Self {
        Self {
            layers: vec![None; n_layers],
            given: 0,
        }
    }

    /// A cache that holds these keys and values, one pair a layer: a trained prefix for instance.
    ///
    /// # Shapes
    ///
    /// All are `[batch, n_kv_heads, positions, head_dim]`, keys as attention compares them, after any rotation.
    pub fn from_layers(layers: Vec<(Tensor<4>, Tensor<4>)>) -> Self {
        let mut cache = Self::new(layers.len());
        cache.give(layers);
        cache
    }

    /// Put keys and values, one pair a layer, behind those that were given before: a trained prefix for instance.
    ///
    /// # Shapes
    ///
    /// All are `[batch, n_kv_heads, positions, head_dim]`, keys as attention compares them, after any rotation.
    ///
    /// # Panics
    ///
    /// If a model has read something with this cache, or there are not as many pairs as it has layers.
    pub fn give(&mut self, layers: Vec<(Tensor<4>, Tensor<4>)>) {
        assert!(self.is_unread(), "what is given comes before what is read");
        assert_eq!(layers.len(), self.layers.len(), "a pair for each layer");
        for (layer, (keys, values)) in layers.into_iter().enumerate() {
            self.append(layer, keys, values);
        }
        self.given = self.len();
    }

    /// Whether no model has read anything with this cache: it is empty, or holds what was given to it.
    pub fn is_unread(&self) -> bool {
        self.len() == self.given
    }

    /// The keys and values of a layer, if it has read anything.
    pub fn layer(&self, layer: usize) -> Option<&(Tensor<4>, Tensor<4>)> {
        self.layers.get(layer)?.as_ref()
    }

    /// How many positions are cached.
    pub fn len(&self) -> usize {
        self.len_of(0)
    }

    /// How many positions a layer has read; layers differ only while some of them run.
    pub fn len_of(&self, layer: usize) -> usize {
        self.layer(layer).map_or(0, |(keys, _)| keys.dims()[2])
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        let all = match self.layers[layer].take() {
            None => (keys, values),
            Some((old_keys, old_values)) => (
                Tensor::cat(vec![old_keys, keys], 2),
                Tensor::cat(vec![old_values, values], 2),
            ),
        };
        self.layers[layer] = Some(all.clone());
        all
    }
}
