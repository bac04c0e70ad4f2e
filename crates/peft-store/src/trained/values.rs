//! Values into a model's parameters by path, from the layout of a checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::params::stored_params;

/// `model` with these values, which are of the shapes that a file has. Each keeps its precision, and whether it trains.
pub(super) fn write<M: Module>(model: M, values: BTreeMap<String, TensorData>) -> M {
    let transposed = transposed(&model);
    model.map(&mut Writer {
        path: Vec::new(),
        values,
        transposed,
    })
}

fn transposed<M: Module>(model: &M) -> BTreeSet<String> {
    let params = stored_params(model).into_iter();
    params
        .filter_map(|param| param.transposed.then_some(param.path))
        .collect()
}

struct Writer {
    path: Vec<String>,
    values: BTreeMap<String, TensorData>,
    transposed: BTreeSet<String>,
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(data) = self.values.remove(&path) else {
            return param;
        };
        let now = param.base();
        let (device, dtype) = (now.device(), now.dtype());
        let value = Tensor::<D>::from_data(data.convert_dtype(dtype), (&device, dtype));
        let value = match self.transposed.contains(&path) {
            // In memory as a fresh layer's.
            true => Tensor::from_data(value.transpose().into_data(), (&device, dtype)),
            false => value,
        };
        let id = param.id;
        param.transform_for_load(value, id)
    }
}
