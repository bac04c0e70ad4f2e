//! Weights of the base in an adapter's file: PEFT saves them beside adapters on embeddings and,
//! where it is asked to or the vocabulary was changed, those of both ends of the model.
//!
//! PEFT puts them over the base's when it loads the adapter, whatever the config names. So here:
//! where one differs from the base's, the base has the file's from then on.

use std::collections::{BTreeMap, HashSet};

use super::AdapterFileError;
use super::fitted::OUTPUT_LAYER;
use super::tensors::{NamedTensors, TensorsFile};
use crate::TensorProblem;
use crate::params::{in_out, stored_params};
use crate::tensor_file::run_dtype;
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{
    Adapter, Layer, LayerKind, MapParams, ParamPlace, Whole, layers, map_params, slots,
};

/// Weights that the base is to have, by path, as a file lays them out.
#[derive(Default)]
pub(super) struct BaseCopies {
    values: BTreeMap<String, TensorData>,
    /// The paths of all that the file has.
    held: HashSet<String>,
    transposed: HashSet<String>,
}

/// A tensor of the file, and the layer whose weight it is.
struct BaseTensor<'a> {
    key: String,
    layer: &'a Layer,
    /// Whether it is the output layer's, which is the embedding.
    tied: bool,
}

impl BaseCopies {
    /// Take the base's weights out of the file; those that differ from the model's are kept.
    ///
    /// `name` is the adapter's, which is attached; `layers` are the model's.
    pub(super) fn take<M: Module>(
        file: &mut TensorsFile,
        model: &M,
        (name, prefix): (&str, &str),
        layers: &[Layer],
    ) -> Result<Self, AdapterFileError> {
        let wrapped = wrapped(model, name);
        let keys = file.places().keys();
        let mut copies: Vec<BaseTensor<'_>> = keys
            .filter_map(|key| copy(key, prefix, layers, &wrapped))
            .collect();
        if copies.is_empty() {
            return Ok(Self::default());
        }
        // Of two tensors for one weight, torch keeps the output layer's.
        copies.sort_by_key(|copy| copy.tied);
        let mut found = Self {
            transposed: transposed(model),
            ..Self::default()
        };
        for BaseTensor { key, layer, .. } in copies {
            let weight = found.weight(layer);
            let [rows, width] = weight.dims();
            let Some(place) = file.places().get(&key) else {
                continue;
            };
            let stored = run_dtype(place.dtype()).unwrap_or(DType::F32);
            if let &[others, found] = place.shape()
                && others != rows
                && found == width
            {
                file.pass_over(&key);
                file.refuse(TensorProblem::Vocabulary {
                    key,
                    rows,
                    found: others,
                });
                continue;
            }
            let Some(data) = file.take(&key, &[rows, width])? else {
                continue;
            };
            let path = layer.weight_path();
            match is_same(weight, &data, stored) {
                true => found.values.remove(&path),
                false => found.values.insert(path.clone(), data),
            };
            found.held.insert(path);
        }
        found.share(layers);
        Ok(found)
    }

    /// Where both ends of the model were one weight until the adapter needed two, which the same
    /// values tell, a tensor of the one alone is the other's too: it was one when it was saved.
    fn share(&mut self, layers: &[Layer]) {
        let embedding = layers
            .iter()
            .find(|layer| layer.kind == LayerKind::Embedding);
        let head = layers.iter().find(|layer| layer.path == OUTPUT_LAYER);
        let (Some(embedding), Some(head)) = (embedding, head) else {
            return;
        };
        for (from, to) in [(embedding, head), (head, embedding)] {
            let (path, other) = (from.weight_path(), to.weight_path());
            let Some(data) = self
                .values
                .get(&path)
                .filter(|_| !self.held.contains(&other))
            else {
                continue;
            };
            let (a, b) = (self.weight(from), self.weight(to));
            if a.dims() == b.dims() && a.into_data() == b.into_data() {
                let data = data.clone();
                self.held.insert(other.clone());
                self.values.insert(other, data);
            }
        }
    }

    /// A layer's weight as a file lays it out.
    fn weight(&self, layer: &Layer) -> Tensor<2> {
        match self.transposed.contains(&layer.weight_path()) {
            true => layer.frozen_weight().dense().transpose(),
            false => layer.frozen_weight().dense(),
        }
    }

    /// The paths of the weights that the file has.
    pub(super) fn held(&self) -> impl Iterator<Item = &String> {
        self.held.iter()
    }

    /// ReplaceWeights them over the base's; the paths of what has changed.
    pub(super) fn put<M: Module>(self, model: &mut M) -> Vec<String> {
        let paths = self.values.keys().cloned().collect();
        if !self.values.is_empty() {
            *model = map_params(model.clone(), &mut ReplaceWeights { copies: self });
        }
        paths
    }
}

/// Weights of the base in a file's layout, under the keys that PEFT has for them beside adapter
/// `name`.
pub(super) fn base_tensors<M: Module>(
    model: &M,
    (name, prefix): (&str, &str),
    paths: &[String],
) -> NamedTensors {
    if paths.is_empty() {
        return NamedTensors::new();
    }
    let wrapped = wrapped(model, name);
    let of = BaseCopies {
        transposed: transposed(model),
        ..BaseCopies::default()
    };
    let layers = layers(model).into_iter();
    let chosen = layers.filter(|layer| paths.contains(&layer.weight_path()));
    let named = chosen.map(|layer| {
        let beside = match wrapped.contains(&layer.weight_path()) {
            true => ".base_layer",
            false => "",
        };
        let data = of.weight(&layer).into_data().convert_dtype(DType::F32);
        let key = format!("{prefix}{}{beside}.weight", layer.path);
        (key, data)
    });
    named.collect()
}

/// The paths of weights that adapter `name` is on, and has not a copy of.
fn wrapped<M: Module>(model: &M, name: &str) -> HashSet<String> {
    let slots = slots(model).into_iter();
    let on = slots.filter(|(_, slot)| {
        let method = slot.method(name);
        method.is_some_and(|method| method != Whole::<1>::NAME)
    });
    on.map(|(path, _)| path).collect()
}

/// The paths of weights that a file has the other way round.
fn transposed<M: Module>(model: &M) -> HashSet<String> {
    let stored = stored_params(model).into_iter();
    stored
        .filter(|param| param.transposed)
        .map(|param| param.path)
        .collect()
}

/// The copy that a key stands for. A weight that has an adapter on it is PEFT's `base_layer`;
/// beside no adapter PEFT saves those of the two ends alone.
fn copy<'a>(
    key: &str,
    prefix: &str,
    layers: &'a [Layer],
    wrapped: &HashSet<String>,
) -> Option<BaseTensor<'a>> {
    let path = key.strip_prefix(prefix)?.strip_suffix(".weight")?;
    let (path, beside) = match path.strip_suffix(".base_layer") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let is_end = |layer: &Layer| layer.kind == LayerKind::Embedding || layer.path == OUTPUT_LAYER;
    let own = layers.iter().find(|layer| layer.path == path);
    let own = own.filter(|layer| match wrapped.contains(&layer.weight_path()) {
        true => beside,
        false => !beside && is_end(layer),
    });
    let has_own = layers.iter().any(|layer| layer.path == path);
    // An output layer that is tied has no weight of its own.
    let tied = || {
        let embedding = layers
            .iter()
            .find(|layer| layer.kind == LayerKind::Embedding);
        embedding.filter(|_| path == OUTPUT_LAYER && !has_own)
    };
    let layer = own.or_else(tied)?;
    Some(BaseTensor {
        key: key.into(),
        layer,
        tied: !has_own,
    })
}

/// Whether a copy says nothing new: it may have been stored in another precision than the run's.
fn is_same(weight: Tensor<2>, copy: &TensorData, stored: DType) -> bool {
    let weight = weight.into_data();
    let run = weight.dtype();
    copy.clone().convert_dtype(run) == weight
        || weight.convert_dtype(stored) == copy.clone().convert_dtype(stored)
}

struct ReplaceWeights {
    copies: BaseCopies,
}

impl MapParams for ReplaceWeights {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let Some(data) = self.copies.values.remove(&path) else {
            return param;
        };
        let transposed = self.copies.transposed.contains(&path);
        param.map(|base| {
            let to = (&base.device(), base.dtype());
            match transposed {
                true => in_out(data, to).reshape(base.dims()),
                false => Tensor::from_data(data, to),
            }
        })
    }
}
