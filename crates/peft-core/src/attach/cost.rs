//! [`AdapterCost`]: how large an adapter of one layer is, known before there is one.

/// How large an adapter of one layer is, and what a step of training with it takes; without a
/// value made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterCost {
    /// Values that train.
    pub parameters: usize,
    /// Multiply-adds of a forward pass for each row, beside those of the layer.
    pub products: usize,
    /// Those of them with factors that do not train, of which no gradient is formed.
    pub fixed: usize,
    /// Numbers of each row that are kept for gradients, beside the layer's input.
    pub kept: usize,
    /// Whether the layer's input is kept too.
    pub keeps_input: bool,
    /// Numbers that are made of the parameters in each pass and kept for its gradients, however
    /// many rows there are.
    pub formed: usize,
    /// Multiply-adds of making them and of their gradients.
    pub forming: usize,
}
