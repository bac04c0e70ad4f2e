//! [`Adapter`]: what a method must give to live on a parameter.

use burn::module::Module;
use burn::tensor::{Int, Tensor, module};

use crate::{FrozenEmbedding, FrozenLinear};

/// One adapter on one weight: an ordinary module that changes what the frozen weight does.
///
/// [`weight`](Adapter::weight) defines the method. The other methods have defaults that follow from it;
/// a method overrides them where a form without the dense weight exists. Whatever is overridden must give
/// what the default gives, up to rounding and to randomness while training.
///
/// Adapters on one weight compose like functions: `base` is what lies below this adapter, that is the
/// frozen weight with the adapters activated before this one already applied.
///
/// # Shapes
///
/// A linear weight is `[d_in, d_out]` and an embedding `[n_embeddings, d_model]`, as Burn stores them.
pub trait Adapter: Module + Sync + 'static {
    /// The method's name in reports and paths, such as `lora`.
    const NAME: &'static str;

    /// The effective weight `W'` for the weight below.
    ///
    /// # Shapes
    ///
    /// `base` and the result have the shape of the adapted parameter.
    fn weight<const D: usize>(&self, base: Tensor<D>) -> Tensor<D>;

    /// The effective bias for the bias below, `[d_out]`.
    fn bias(&self, base: Tensor<1>) -> Tensor<1> {
        base
    }

    /// Why the effective weight alone does not say what this adapter does, if so.
    ///
    /// LoRA's dropout acts on the adapter's input, which no weight can express while training; IA3 scales the bias too.
    /// Attaching to a model that runs in weight space is then refused with this reason.
    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        let _ = training;
        None
    }

    /// Whether [`linear`](Adapter::linear) gives the layer below its own `x`, as LoRA does, and nothing made of it.
    ///
    /// Where rows of a batch go through different adapters, the rows of those that do share one product with the base weight:
    /// what the layer below is given is then not looked at. An adapter that says no multiplies its own rows.
    fn shares_input(&self) -> bool {
        false
    }

    /// The output of the adapted linear layer, bias included.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, rows, d_in]`, the result `[batch, rows, d_out]`.
    fn linear(&self, x: Tensor<3>, base: &FrozenLinear<'_>) -> Tensor<3> {
        module::linear(
            x,
            self.weight(base.weight()),
            base.bias().map(|bias| self.bias(bias)),
        )
    }

    /// The rows of the adapted embedding.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        module::embedding(self.weight(base.weight()), ids)
    }
}
