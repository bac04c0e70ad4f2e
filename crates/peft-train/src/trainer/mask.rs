//! [`Mask`]: lets parameters train, or not, by their paths.

use std::collections::BTreeSet;

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use peft_core::{FrozenWeight, MapParams, ParamPlace, VisitParams, map_params, visit_params};
use peft_kernels::PackedFormat;

use crate::TrainError;

/// A parameter that trains.
pub(super) struct TrainingParam {
    pub(super) path: String,
    pub(super) id: ParamId,
    /// The factor on its learning rate.
    pub(super) rate: f64,
    /// How it is packed, which it cannot be.
    packed: Option<PackedFormat>,
}

/// Sets what trains to what has a rate.
pub(super) struct Mask<F> {
    rate: F,
    trains: Vec<TrainingParam>,
}

impl<F: FnMut(&str) -> Option<f64>> Mask<F> {
    pub(super) fn apply<M: Module>(
        model: M,
        rate: F,
    ) -> Result<(M, Vec<TrainingParam>), TrainError> {
        let mut mask = Self {
            rate,
            trains: Vec::new(),
        };
        let model = map_params(model, &mut mask);
        let impossible = |param: &&TrainingParam| !(param.rate.is_finite() && param.rate >= 0.0);
        if let Some(wrong) = mask.trains.iter().find(impossible) {
            return Err(TrainError::Rate {
                path: wrong.path.clone(),
                rate: wrong.rate,
            });
        }
        let packed = mask
            .trains
            .iter()
            .find_map(|param| Some((&param.path, param.packed?)));
        if let Some((path, format)) = packed {
            return Err(TrainError::Packed {
                path: path.clone(),
                format,
            });
        }
        match mask.trains.is_empty() {
            true => Err(TrainError::NothingTrains),
            false => Ok((model, mask.trains)),
        }
    }
}

impl<F: FnMut(&str) -> Option<f64>> MapParams for Mask<F> {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let path = at.path();
        let rate = (self.rate)(&path);
        if let Some(rate) = rate {
            let id = param.id;
            let packed = FrozenWeight::of(&param).packed();
            self.trains.push(TrainingParam {
                path,
                id,
                rate,
                packed,
            });
            if packed.is_some() {
                return param;
            }
        }
        match rate.is_some() == param.base().is_require_grad() {
            true => param,
            false => param.set_require_grad(rate.is_some()),
        }
    }
}

/// The paths of what trains.
pub(super) fn trained<M: Module>(model: &M) -> BTreeSet<String> {
    #[derive(Default)]
    struct Find(BTreeSet<String>);
    impl VisitParams for Find {
        fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
            if param.base().is_require_grad() {
                self.0.insert(at.path());
            }
        }
    }
    let mut find = Find::default();
    visit_params(model, &mut find);
    find.0
}
