//! [`Ia3`]: one learned vector on a linear layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{Adapter, FrozenLinear, FrozenWeight, Layer, LayerInput};

/// Which side of the layer the vector rescales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ia3Side {
    /// What the layer gives, its bias included: `y' = (x W + b) ∘ l`.
    Output {
        /// Whether the layer has a bias.
        has_bias: bool,
    },
    /// What the layer takes: `y = (x ∘ l) W + b`.
    Input,
}

impl Ia3Side {
    /// How wide that side of a linear layer is: `d_out` or `d_in`.
    pub fn width(self, layer: &Layer) -> usize {
        let [d_in, d_out] = layer.shape;
        match self {
            Self::Output { .. } => d_out,
            Self::Input => d_in,
        }
    }
}

/// A learned rescaling of a linear layer's output or input.
#[derive(Module, Debug)]
pub struct Ia3 {
    /// `l`: `[d_out]` on the output side, `[d_in]` on the input side.
    pub scaling: Param<Tensor<1>>,
    #[module(skip)]
    side: Ia3Side,
}

impl Ia3 {
    /// An adapter from its vector.
    ///
    /// # Shapes
    ///
    /// `scaling` is `[d_out]` on the output side and `[d_in]` on the input side.
    pub fn new(scaling: Tensor<1>, side: Ia3Side) -> Self {
        Self {
            scaling: Param::from_tensor(scaling),
            side,
        }
    }

    /// Which side it rescales.
    pub fn side(&self) -> Ia3Side {
        self.side
    }

    /// `tensor` times the vector along its last axis.
    fn rescale<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        let dtype = tensor.dtype();
        let scaling = self.along(D - 1);
        (tensor.cast(scaling.dtype()) * scaling).cast(dtype)
    }

    /// The vector along an axis, one wide along the others.
    fn along<const D: usize>(&self, axis: usize) -> Tensor<D> {
        let scaling = self.scaling.val();
        let mut dims = [1; D];
        dims[axis] = scaling.dims()[0];
        scaling.reshape(dims)
    }
}

impl Adapter for Ia3 {
    const NAME: &'static str = "ia3";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let scaling = self.along(match self.side {
            Ia3Side::Output { .. } => D - 1,
            // The input axis is the one before the last: [d_in, d_out].
            Ia3Side::Input => D - 2,
        });
        base.dense_in(scaling.dtype()) * scaling
    }

    fn bias(&self, base: Tensor<1>) -> Tensor<1> {
        match self.side {
            Ia3Side::Output { .. } => self.rescale(base),
            Ia3Side::Input => base,
        }
    }

    fn needs_factored_path(&self, _training: bool) -> Option<&'static str> {
        (self.side == Ia3Side::Output { has_bias: true })
            .then_some("it rescales the layer's bias too, which the weight does not hold")
    }

    fn shares_input(&self) -> bool {
        matches!(self.side, Ia3Side::Output { .. })
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        match self.side {
            Ia3Side::Output { .. } => self.rescale(base.forward(x)),
            Ia3Side::Input => base.forward(self.rescale(x.into_rows())),
        }
    }
}
