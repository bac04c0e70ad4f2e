//! Running statistics read from a model, and put into it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::of_module::Values;
use crate::{MapParams, ParamPlace, VisitParams, map_params, visit_params};

/// The values at the paths that `wanted` chooses.
///
/// Threads note what they have seen for themselves; it is brought together first, as Burn does when
/// a model leaves training.
pub(crate) fn read<M: Module>(model: &M, wanted: impl Fn(&str) -> bool) -> Values {
    let _ = model.valid();
    let mut read = Read {
        wanted,
        found: Values::new(),
    };
    visit_params(model, &mut read);
    read.found
}

/// The model with these values. What was a clone of it keeps its own: clones share their running
/// statistics otherwise.
pub(super) fn write<M: Module>(model: M, values: &Values) -> M {
    map_params(apart(model), &mut Write { values })
}

/// The same model, sharing its running statistics with no clone.
pub(crate) fn apart<M: Module>(model: M) -> M {
    match model.devices().iter().any(Device::is_autodiff) {
        true => model.valid().train(),
        false => model.valid(),
    }
}

struct Read<F> {
    wanted: F,
    found: Values,
}

impl<F: Fn(&str) -> bool> VisitParams for Read<F> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        if (self.wanted)(&path) {
            self.found.insert(path, param.base().into_data());
        }
    }
}

struct Write<'a> {
    values: &'a Values,
}

impl MapParams for Write<'_> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let Some(data) = self.values.get(&at.path()) else {
            return param;
        };
        let (id, now, mapper) = param.consume();
        let value = Tensor::from_data(data.clone(), (&now.device(), now.dtype()));
        Param::from_mapped_value(id, value, mapper)
    }
}
