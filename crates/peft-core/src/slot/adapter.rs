//! [`Adapter`]: what a method must give to live on a parameter.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::{FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, SharedMatrix};

/// One adapter on one weight: an ordinary module that changes what the frozen weight does.
///
/// [`weight`](Adapter::weight) defines the method. The other methods have defaults that follow from
/// it; a method overrides them where a form without the dense weight exists. Whatever is overridden
/// must give what the default gives, up to rounding and to randomness while training.
///
/// Adapters on one weight compose like functions: `base` is what lies below this adapter, that is
/// the frozen weight with the adapters activated before this one already applied.
///
/// # Shapes
///
/// A linear weight is `[d_in, d_out]` and an embedding `[n_embeddings, d_model]`, as Burn stores
/// them.
pub trait Adapter: Module + Sync + 'static {
    /// The method's name in reports and paths, such as `lora`.
    const NAME: &'static str;

    /// The effective weight `W'` for the weight below, in any float precision: it is rounded to
    /// that of the weight.
    ///
    /// # Shapes
    ///
    /// `base` and the result have the shape of the adapted parameter.
    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D>;

    /// The effective bias for the bias below, `[d_out]`.
    fn bias(&self, base: Tensor<1>) -> Tensor<1> {
        base
    }

    /// Why the effective weight alone does not say what this adapter does, if so.
    ///
    /// LoRA's dropout acts on the adapter's input, which no weight can express while training; IA3
    /// scales the bias too. Attaching to a model that runs in weight space is then refused with
    /// this reason.
    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        let _ = training;
        None
    }

    /// Why a merged model cannot hold it, if so: a bias on a layer that has none, for instance.
    fn cannot_merge(&self) -> Option<&'static str> {
        None
    }

    /// The matrices that it shares with the adapters of other layers; most methods have none.
    fn shared(&mut self) -> Vec<&mut SharedMatrix> {
        Vec::new()
    }

    /// Whether [`linear`](Adapter::linear) gives the layer below its own `x`, as LoRA does, and
    /// nothing made of it.
    ///
    /// Where rows of a batch go through different adapters, those that do share one product with
    /// the base weight: their [`LayerInput`] has it already. It is a matter of time alone: rows
    /// without a product are multiplied by themselves.
    fn shares_input(&self) -> bool {
        false
    }

    /// The output of the adapted linear layer, bias included.
    ///
    /// # Shapes
    ///
    /// `x` is `[rows, d_in]`, the result `[rows, d_out]`.
    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let below = base.weight();
        let weight = FrozenWeight::from(below.rounded(self.weight(&below)));
        weight.product(x.into_rows(), base.bias().map(|bias| self.bias(bias)))
    }

    /// Whether an output layer that is tied to the embedding is changed by it too: where it is not,
    /// that layer is the base's, and what is merged makes two of them.
    fn changes_tied(&self) -> bool {
        false
    }

    /// What an output layer gives that is tied to the adapted embedding, where the adapter
    /// [changes](Self::changes_tied) it: `below` is what it gives without, and `base` the weight
    /// that `below` was made of.
    ///
    /// # Shapes
    ///
    /// `states` is `[batch, positions, d_model]`, `below` and the result `[batch, positions,
    /// n_embeddings]`.
    fn tied(&self, states: Tensor<3>, below: Tensor<3>, base: &FrozenWeight) -> Tensor<3> {
        let _ = (states, base);
        below
    }

    /// The rows of the adapted embedding.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embedding(&self, ids: Tensor<2, Int>, base: &FrozenEmbedding<'_>) -> Tensor<3> {
        let below = base.weight();
        FrozenWeight::from(below.rounded(self.weight(&below))).rows(ids)
    }
}
