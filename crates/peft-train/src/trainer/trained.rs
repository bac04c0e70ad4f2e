//! [`TrainedParam`]: what has trained, as a state keeps it.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{MapParams, ParamPlace, VisitParams, map_params, visit_params};

use peft_kernels::Blockwise8;

use super::lazy_tensor::LazyTensor;
use super::run_optimizer::{Moments, RunOptimizer};
use super::state::cannot;
use super::state_file::failed;
use crate::TrainError;

/// A parameter that has trained, and its moments where they are held.
#[derive(Debug, Clone)]
pub(super) struct TrainedParam {
    pub(super) value: LazyTensor,
    pub(super) moments: Option<Moments<LazyTensor>>,
}

/// Handles to the parameters at these paths.
pub(super) fn capture<M: Module>(
    model: &M,
    optimizer: &RunOptimizer,
    paths: &BTreeSet<String>,
) -> BTreeMap<String, TrainedParam> {
    let mut capture = Capture {
        optimizer,
        paths,
        found: BTreeMap::new(),
    };
    // What threads have noted of running statistics is brought together when a model leaves
    // training.
    let _ = model.valid();
    visit_params(model, &mut capture);
    capture.found
}

/// The model with these parameters, and `optimizer` with their moments. What trains stays.
///
/// # Errors
///
/// [`TrainError::Resume`] where the model has no such parameter, [`TrainError::Io`] where its file
/// cannot be read.
pub(super) fn restore<M: Module>(
    model: M,
    optimizer: &mut RunOptimizer,
    trained: &BTreeMap<String, TrainedParam>,
) -> Result<M, TrainError> {
    let mut restore = Restore {
        optimizer,
        trained,
        found: 0,
        wrong: None,
    };
    let model = map_params(model, &mut restore);
    match restore.wrong {
        Some(error) => Err(error),
        None if restore.found < trained.len() => Err(cannot(format!(
            "the model has {} of the {} parameters that trained",
            restore.found,
            trained.len()
        ))),
        None => Ok(model),
    }
}

struct Capture<'a> {
    optimizer: &'a RunOptimizer,
    paths: &'a BTreeSet<String>,
    found: BTreeMap<String, TrainedParam>,
}

impl VisitParams for Capture<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        if self.paths.contains(&path) {
            let trained = TrainedParam {
                value: LazyTensor::on_device(param.base().inner()),
                moments: self.optimizer.kept(param.id),
            };
            self.found.insert(path, trained);
        }
    }
}

struct Restore<'a> {
    optimizer: &'a mut RunOptimizer,
    trained: &'a BTreeMap<String, TrainedParam>,
    found: usize,
    wrong: Option<TrainError>,
}

impl Restore<'_> {
    /// What is kept of a parameter, as a tensor where the parameter is.
    fn tensor<const D: usize>(kept: &LazyTensor, now: &Tensor<D>) -> Result<Tensor<D>, TrainError> {
        let data = kept.read().map_err(failed)?;
        Ok(Tensor::from_data(data, (&now.device(), kept.dtype())))
    }

    fn put<const D: usize>(
        &mut self,
        path: &str,
        trained: &TrainedParam,
        param: &Param<Tensor<D>>,
    ) -> Result<Tensor<D>, TrainError> {
        let now = param.base();
        if *trained.value.shape() != now.dims() || trained.value.dtype() != now.dtype() {
            return Err(cannot(format!(
                "`{path}` was {:?}, but is {:?} of {:?} now",
                trained.value,
                now.dims(),
                now.dtype()
            )));
        }
        let value = Self::tensor(&trained.value, &now)?;
        if let Some(Moments { time, tensors }) = &trained.moments {
            let kind = self.optimizer.kind();
            if !kind.fits(&now.dims(), now.dtype(), tensors) {
                return Err(cannot(format!(
                    "the moments of `{path}` are {tensors:?}, which are not those of {:?} of {:?} by {kind:?}",
                    now.dims(),
                    now.dtype()
                )));
            }
            let time = *time;
            if kind.has_blocks(now.shape().num_elements()) {
                let tensors = blocks(tensors)?;
                self.optimizer.hold(param.id, Moments { time, tensors });
            } else {
                let moment = |kept| Self::tensor(kept, &now).map(Tensor::inner);
                let tensors = tensors.iter().map(moment).collect::<Result<Vec<_>, _>>()?;
                self.optimizer.hold(param.id, Moments { time, tensors });
            }
        }
        Ok(value.set_require_grad(now.is_require_grad()))
    }
}

/// Moments of codes and scales, which have been found to fit.
fn blocks(tensors: &[LazyTensor]) -> Result<Vec<Blockwise8>, TrainError> {
    let moment = |kept: &[LazyTensor]| {
        let [codes, scales] = kept else {
            return Err(cannot("a moment has codes and scales".into()));
        };
        let codes = codes.read().map_err(failed)?.as_bytes().to_vec();
        let scales = scales.read().map_err(failed)?.iter::<f32>().collect();
        Blockwise8::of_parts(codes, scales)
            .ok_or_else(|| cannot("a moment has other scales than codes".into()))
    };
    tensors.chunks(2).map(moment).collect()
}

impl MapParams for Restore<'_> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let Some(trained) = self.trained.get(&path) else {
            return param;
        };
        match self.put(&path, trained, &param) {
            Ok(value) => {
                self.found += 1;
                let (id, _, mapper) = param.consume();
                Param::from_mapped_value(id, value, mapper)
            }
            Err(error) => {
                self.wrong.get_or_insert(error);
                param
            }
        }
    }
}
