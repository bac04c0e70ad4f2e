//! Copies of parameters, by path.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use super::state::cannot;
use crate::TrainError;

/// A parameter; the optimizer knows it by its id.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: ParamId,
    pub(super) data: TensorData,
}

/// Copies of the parameters at these paths.
pub(super) fn kept<M: Module>(model: &M, paths: &BTreeSet<String>) -> BTreeMap<String, Kept> {
    let mut copy = Copy {
        path: Vec::new(),
        paths,
        found: BTreeMap::new(),
    };
    model.visit(&mut copy);
    copy.found
}

/// The model with these parameters, which have the ids that they had. What trains stays.
///
/// # Errors
///
/// [`TrainError::Resume`] where the model has no such parameter.
pub(super) fn put_back<M: Module>(
    model: M,
    parameters: &BTreeMap<String, Kept>,
) -> Result<M, TrainError> {
    let mut restore = Restore {
        path: Vec::new(),
        parameters,
        found: 0,
        wrong: None,
    };
    let model = model.map(&mut restore);
    match restore.wrong {
        Some(reason) => Err(cannot(reason)),
        None if restore.found < parameters.len() => Err(cannot(format!(
            "the model has {} of the {} parameters that trained",
            restore.found,
            parameters.len()
        ))),
        None => Ok(model),
    }
}

struct Copy<'a> {
    path: Vec<String>,
    paths: &'a BTreeSet<String>,
    found: BTreeMap<String, Kept>,
}

impl ModuleVisitor for Copy<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if self.paths.contains(&path) {
            let data = param.base().into_data();
            // Burn reads what lies on a device when it is first looked at; the next step may have changed it in place by then.
            let _ = data.as_bytes();
            self.found.insert(path, Kept { id: param.id, data });
        }
    }
}

struct Restore<'a> {
    path: Vec<String>,
    parameters: &'a BTreeMap<String, Kept>,
    found: usize,
    wrong: Option<String>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(kept) = self.parameters.get(&path) else {
            return param;
        };
        let then = &kept.data;
        let now = param.base();
        if *then.shape() != now.shape() || then.dtype() != now.dtype() {
            self.wrong = Some(format!(
                "`{path}` was {:?} of {:?}, but is {:?} of {:?} now",
                then.shape(),
                then.dtype(),
                now.shape(),
                now.dtype()
            ));
            return param;
        }
        self.found += 1;
        let value = Tensor::from_data(then.clone(), (&now.device(), then.dtype()));
        let (_, _, mapper) = param.consume();
        let value = value.set_require_grad(now.is_require_grad());
        Param::from_mapped_value(kept.id, value, mapper)
    }
}
