//! Running statistics read from a model, and put into it.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use super::of_module::Values;

/// The values at the paths that `wanted` chooses.
///
/// Threads note what they have seen for themselves; it is brought together first, as Burn does when
/// a model leaves training.
pub(crate) fn read<M: Module>(model: &M, wanted: impl Fn(&str) -> bool) -> Values {
    let _ = model.valid();
    let mut read = Read {
        path: Vec::new(),
        wanted,
        found: Values::new(),
    };
    model.visit(&mut read);
    read.found
}

/// The model with these values. What was a clone of it keeps its own: clones share their running
/// statistics otherwise.
pub(super) fn write<M: Module>(model: M, values: &Values) -> M {
    apart(model).map(&mut Write {
        path: Vec::new(),
        values,
    })
}

/// The same model, sharing its running statistics with no clone.
pub(crate) fn apart<M: Module>(model: M) -> M {
    match model.devices().iter().any(Device::is_autodiff) {
        true => model.valid().train(),
        false => model.valid(),
    }
}

struct Read<F> {
    path: Vec<String>,
    wanted: F,
    found: Values,
}

impl<F: Fn(&str) -> bool> ModuleVisitor for Read<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if (self.wanted)(&path) {
            self.found.insert(path, param.base().into_data());
        }
    }
}

struct Write<'a> {
    path: Vec<String>,
    values: &'a Values,
}

impl ModuleMapper for Write<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.values.get(&self.path.join(".")) else {
            return param;
        };
        let (id, now, mapper) = param.consume();
        let value = Tensor::from_data(data.clone(), (&now.device(), now.dtype()));
        Param::from_mapped_value(id, value, mapper)
    }
}
