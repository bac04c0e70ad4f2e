//! [`GivenModel`]: digests of the parameters that a run was given, so that a state is of that model
//! alone.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use peft_core::{FrozenWeight, adapter_names, shared_matrices};

use crate::Digest;

/// A digest of each parameter, formed when it is first asked for: what has not trained by then is
/// as it was given, and what has does not count.
#[derive(Debug, Default)]
pub(super) struct GivenModel(OnceCell<BTreeMap<String, Digest>>);

impl GivenModel {
    /// One number for all parameters of `model` but those that have trained, which a state holds
    /// itself.
    pub(super) fn untouched<M: Module>(&self, model: &M, touched: &BTreeSet<String>) -> String {
        let digests = self.0.get_or_init(|| {
            let mut visit = Visit::default();
            model.visit(&mut visit);
            for adapter in adapter_names(model) {
                for (name, shared) in shared_matrices(model, &adapter) {
                    visit.path = vec![adapter.clone(), name];
                    visit.note(&shared.value().into_data());
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
    path: Vec<String>,
    found: BTreeMap<String, Digest>,
}

impl Visit {
    fn note(&mut self, data: &TensorData) {
        let mut digest = Digest::default();
        digest.add_bytes(format!("{:?} {:?}", data.dtype(), data.shape()).as_bytes());
        digest.add_bytes(data.as_bytes());
        self.found.insert(self.path.join("."), digest);
    }
}

impl ModuleVisitor for Visit {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.note(&FrozenWeight::of(param).dense().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.note(&param.val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.note(&param.val().into_data());
    }
}
