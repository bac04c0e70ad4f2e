//! [`AdapterCost`]: how large an adapter of one layer is, known before there is one.

/// How large an adapter of one layer is, and what a step of training with it takes; without a
/// value made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterCost {
    /// Values that train.
    pub parameters: usize,
    /// Multiply-adds of a forward pass for each row, beside those of the layer.
    pub products: usize,
    /// Numbers of each row that are kept for gradients, beside the layer's input.
    pub kept: usize,
    /// Whether the layer's input is kept too.
    pub keeps_input: bool,
}
