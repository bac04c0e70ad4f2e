//! [`AdapterFixture`]: what the suite must know of a method.

use burn::module::Module;
use peft_core::{Adapter, AttachReport, LayerKind, PeftError, Placement};

use crate::net::perturbed;

/// A method that adapts weights, in one of its configurations.
pub trait AdapterFixture {
    /// The module that the method puts on each layer.
    type Adapter: Adapter;

    /// What it is called in the table of what holds.
    const COLUMN: &'static str = <Self::Adapter as Adapter>::NAME;

    /// The kinds of layers that it adapts.
    const KINDS: &'static [LayerKind] = &[LayerKind::Linear];

    /// How far a fresh adapter's output is from the base's, at most; none where it is not meant to
    /// start as the base.
    const STARTS_WITHIN: Option<f32> = Some(0.0);

    /// Whether it is defined by its dense weight, so that the factored path forms that too.
    const DENSE: bool = false;

    /// Whether a part of it that its parameters change is a constant to gradients by definition, so
    /// that they are not the slopes of the loss.
    const DETACHED: bool = false;

    /// Whether the weight alone says all that it does to a layer with a bias.
    const BIASED_IN_WEIGHT_SPACE: bool = true;

    /// The last segments of the paths of its parameters that never train.
    const FROZEN: &'static [&'static str] = &[];

    /// Attach a fresh adapter to what `placement` says.
    ///
    /// # Errors
    ///
    /// What [`attach`](peft_core::attach()) gives.
    fn attach<M: Module>(
        model: &mut M,
        name: &str,
        placement: &Placement,
    ) -> Result<AttachReport, PeftError>;

    /// Give every parameter of adapters a value that matters, the same at each call.
    ///
    /// Values of about ±0.25, unlike in each parameter, unless a method needs others. What trains
    /// must stay so.
    fn perturb<M: Module>(model: M) -> M {
        perturbed(model)
    }
}
