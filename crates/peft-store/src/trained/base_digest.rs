//! [`base_digest`]: a number that tells one base model from another.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use peft_core::parameters;

/// A digest of a model's own parameters but those at `except`, which a file holds.
///
/// The sum over the parameters of a digest (FNV-1a) of each one's path, shape and values, so the order does not matter. Values count in bf16: a checkpoint has one digest whether
/// it is run in f32 or in bf16.
pub fn base_digest<M: Module>(model: &M, except: &BTreeSet<String>) -> String {
    let own = parameters(model).into_iter();
    let own = own.filter(|param| param.adapter.is_none() && !except.contains(&param.path));
    let mut sum = Sum {
        path: Vec::new(),
        counts: own.map(|param| param.path).collect(),
        sum: 0,
    };
    model.visit(&mut sum);
    format!("{:016x}", sum.sum)
}

struct Sum {
    path: Vec<String>,
    counts: BTreeSet<String>,
    sum: u64,
}

impl ModuleVisitor for Sum {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if !self.counts.contains(&path) {
            return;
        }
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |value: u64| digest = (digest ^ value).wrapping_mul(0x0100_0000_01b3);
        path.bytes().for_each(|byte| add(byte.into()));
        let data = param.base().into_data();
        data.shape().iter().for_each(|n| add(*n as u64));
        let data = data.convert_dtype(DType::BF16);
        let values = data.as_bytes().chunks_exact(2);
        values.for_each(|b| add(u16::from_le_bytes([b[0], b[1]]).into()));
        self.sum = self.sum.wrapping_add(digest);
    }
}
