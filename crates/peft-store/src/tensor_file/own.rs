//! [`stored_tensors`]: a model's own parameters, to be written.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{FrozenWeight, ParamPlace, VisitParams, visit_params};

use super::write::StoredTensor;
use crate::params::stored_params;

/// The model's own parameters that are `wanted`, by path, in the precision that they have.
pub(crate) fn stored_tensors<M: Module>(
    model: &M,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, StoredTensor> {
    let own = stored_params(model).into_iter();
    let own = own.filter(|param| wanted(&param.path));
    tensors_at(
        model,
        own.map(|param| (param.path, param.transposed)).collect(),
    )
}

/// The float parameters at these paths, each transposed in a file or not, in the precision that
/// they have.
pub(crate) fn tensors_at<M: Module>(
    model: &M,
    transposed: HashMap<String, bool>,
) -> BTreeMap<String, StoredTensor> {
    let mut collect = Collect {
        transposed,
        found: BTreeMap::new(),
    };
    visit_params(model, &mut collect);
    collect.found
}

struct Collect {
    transposed: HashMap<String, bool>,
    found: BTreeMap<String, StoredTensor>,
}

impl VisitParams for Collect {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        let Some(transposed) = self.transposed.get(&path).copied() else {
            return;
        };
        let weight = FrozenWeight::of(param);
        let (shape, dtype) = (weight.dims().to_vec(), weight.dtype());
        let stored =
            StoredTensor::new(shape, dtype, transposed, move || weight.dense().into_data());
        self.found.insert(path, stored);
    }
}
