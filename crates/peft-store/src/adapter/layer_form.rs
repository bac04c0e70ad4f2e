//! [`LayerForm`]: what a file's tensors go by on a layer.

use peft_core::{Layer, LayerKind};

/// What a layer is, and of a convolution the axes behind the first of its weight.
#[derive(Debug, Clone)]
pub(super) struct LayerForm {
    pub(super) kind: LayerKind,
    window: Vec<usize>,
}

impl LayerForm {
    pub(super) fn of(layer: &Layer) -> Self {
        let axes = layer.axes();
        let window = match layer.kind {
            LayerKind::Conv => axes[1..].to_vec(),
            LayerKind::Linear | LayerKind::Embedding => Vec::new(),
        };
        Self {
            kind: layer.kind,
            window,
        }
    }

    /// The shape of a matrix of `rows` by what the layer reads, which a convolution reads as the
    /// channels of a group and the sides of its kernel: `[rows, d_in]`, `[rows, channels, sides…]`.
    pub(super) fn reading(&self, [rows, d_in]: [usize; 2]) -> Vec<usize> {
        match self.kind {
            LayerKind::Linear | LayerKind::Embedding => vec![rows, d_in],
            LayerKind::Conv => [&[rows][..], &self.window].concat(),
        }
    }

    /// The shape of a tensor that a convolution has as a kernel of one point: these axes, with one
    /// of 1 for each side.
    pub(super) fn point(&self, axes: &[usize]) -> Vec<usize> {
        let sides = self.window.len().saturating_sub(1);
        [axes, &vec![1; sides]].concat()
    }

    /// The shape of a vector of the layer's outputs: `[d_out]`, or `[1, d_out, 1…]`.
    pub(super) fn outputs(&self, d_out: usize) -> Vec<usize> {
        match self.kind {
            LayerKind::Linear | LayerKind::Embedding => vec![d_out],
            LayerKind::Conv => self.point(&[1, d_out]),
        }
    }
}

impl From<LayerKind> for LayerForm {
    /// Of a layer that is no convolution.
    fn from(kind: LayerKind) -> Self {
        let window = Vec::new();
        Self { kind, window }
    }
}
