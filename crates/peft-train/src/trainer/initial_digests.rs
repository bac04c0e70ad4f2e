//! [`InitialDigests`]: digests of the parameters that a run was given, so that a state is of that
//! model alone.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Int, Shape, Tensor, TensorData};
use peft_core::{
    FrozenWeight, ParamPlace, VisitParams, adapter_names, shared_matrices, visit_params,
};

use crate::Digest;

/// A digest of each parameter, formed when it is first asked for: what has not trained by then is
/// as it was given, and what has does not count.
#[derive(Debug, Default)]
pub(super) struct InitialDigests(OnceCell<BTreeMap<String, Digest>>);

impl InitialDigests {
    /// One number for all parameters of `model` but those that have trained, which a state holds
    /// itself.
    pub(super) fn untouched<M: Module>(&self, model: &M, touched: &BTreeSet<String>) -> String {
        let digests = self.0.get_or_init(|| {
            let mut visit = Visit::default();
            visit_params(model, &mut visit);
            for adapter in adapter_names(model) {
                for (name, shared) in shared_matrices(model, &adapter) {
                    visit.note(format!("{adapter}.{name}"), &shared.value().into_data());
                }
            }
            visit.found
        });
        let mut all = Digest::default();
        for (path, digest) in digests {
            if !touched.contains(path) {
                all.add_bytes(path.as_bytes());
                all.add_bytes(digest.to_string().as_bytes());
            }
        }
        all.to_string()
    }
}

#[derive(Default)]
struct Visit {
    found: BTreeMap<String, Digest>,
}

impl Visit {
    fn note(&mut self, path: String, data: &TensorData) {
        let mut digest = Digest::default();
        digest.add_bytes(format!("{:?} {:?}", data.dtype(), data.shape()).as_bytes());
        digest.add_bytes(data.as_bytes());
        self.found.insert(path, digest);
    }
}

impl VisitParams for Visit {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let weight = FrozenWeight::of(param);
        let shape = weight.dims();
        let mut digest = Digest::default();
        let Some(format) = weight.packed() else {
            let of = format!("{:?} {:?}", weight.dtype(), Shape::from(shape));
            digest.add_bytes(of.as_bytes());
            weight.add_to(&mut digest);
            self.found.insert(at.path(), digest);
            return;
        };
        let bytes = format.bytes(shape.iter().product()).unwrap_or(0);
        digest.add_bytes(format!("{:?} {:?}", DType::U8, Shape::from([bytes])).as_bytes());
        weight.add_to(&mut digest);
        // Blocks do not say what they are blocks of.
        let of = format!("{format} {shape:?} {:?}", weight.dtype());
        digest.add_bytes(of.as_bytes());
        self.found.insert(at.path(), digest);
    }

    fn visit_int<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D, Int>>) {
        self.note(at.path(), &param.val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D, Bool>>) {
        self.note(at.path(), &param.val().into_data());
    }
}
