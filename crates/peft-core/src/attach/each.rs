//! [`attach_each`]: adapters that are made a layer at a time.

use burn::module::Module;

use crate::{Adapter, AttachReport, Layer, LayerKind, PeftError, Placement, attach};

/// As [`attach`](crate::attach()), where `build` makes the adapter of one layer: of a file's
/// tensors, for instance. It is asked for every layer, also after one that has failed.
///
/// # Errors
///
/// A [`PeftError`], with the model untouched; the first that `build` gives.
pub fn attach_each<M: Module, A: Adapter>(
    model: &mut M,
    name: &str,
    placement: &Placement,
    supported: &[LayerKind],
    build: impl FnMut(&Layer) -> Result<A, PeftError>,
) -> Result<AttachReport, PeftError> {
    attach(model, name, placement, supported, |layers| {
        let built: Vec<Result<A, PeftError>> = layers.iter().map(build).collect();
        built.into_iter().collect()
    })
}
