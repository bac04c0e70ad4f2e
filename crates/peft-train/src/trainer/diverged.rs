//! [`Divergence`]: what is no finite number any more, and why that may be.

use std::collections::BTreeSet;
use std::fmt;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use peft_core::{FrozenWeight, ParamPlace, VisitParams, visit_params};
use peft_kernels::sum_of_squares;

use super::device_sums::DeviceSums;

/// What of a run is no finite number any more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Divergence {
    /// The loss of a step.
    Loss(f64),
    /// The norm of a step's gradients.
    GradNorm(f64),
    /// A parameter, by its path.
    Parameter(String),
    /// The loss of an evaluation.
    Evaluation(f64),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(loss) => write!(f, "the loss is {loss}"),
            Self::GradNorm(norm) => write!(f, "the norm of the gradients is {norm}"),
            Self::Parameter(path) => write!(f, "`{path}` holds values that are not finite"),
            Self::Evaluation(loss) => write!(f, "the validation loss is {loss}"),
        }
    }
}

/// What has most likely led there.
pub(super) fn likely_cause<M: Module>(model: &M, updates: usize, learning_rate: f64) -> String {
    if updates == 0
        && let Some(path) = not_finite(model, None)
    {
        return format!(
            "nothing has been updated yet, and `{path}` of the model holds values that are not finite, or too large for its dtype"
        );
    }
    let half = Find::default().of(model, |dtype| dtype == DType::F16);
    match (half, updates) {
        (true, _) => {
            "f16 holds nothing beyond 65504, so an activation may have overflowed: take bf16 or f32"
                .into()
        }
        (false, 0) => {
            "nothing has been updated yet, so it is the model's weights, or these rows".into()
        }
        (false, _) => format!(
            "the learning rate, {learning_rate:.1e} in this step, is likely too high: lower it, or lengthen the warm-up"
        ),
    }
}

/// The first of these parameters, or of all, that is not finite.
pub(super) fn not_finite<M: Module>(model: &M, paths: Option<&BTreeSet<String>>) -> Option<String> {
    let mut sums = Sums {
        paths,
        sums: Vec::new(),
    };
    visit_params(model, &mut sums);
    // One sum of all is read in a sound run, and each only in one that is not.
    let mut all = DeviceSums::default();
    sums.sums.iter().for_each(|(_, sum)| all.add(sum.clone()));
    if all.read().is_finite() {
        return None;
    }
    let wrong =
        |(path, sum): (String, Tensor<1>)| (!sum.into_scalar::<f32>().is_finite()).then_some(path);
    sums.sums.into_iter().find_map(wrong)
}

struct Sums<'a> {
    paths: Option<&'a BTreeSet<String>>,
    sums: Vec<(String, Tensor<1>)>,
}

impl VisitParams for Sums<'_> {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        if self.paths.is_none_or(|paths| paths.contains(&path)) {
            // What is packed was finite when it was packed, and does not change.
            if FrozenWeight::of(param).packed().is_none() {
                self.sums.push((path, sum_of_squares(param.base().inner())));
            }
        }
    }
}

/// Whether any parameter is of such a dtype.
#[derive(Default)]
struct Find(Vec<DType>);

impl Find {
    fn of<M: Module>(mut self, model: &M, wanted: impl Fn(DType) -> bool) -> bool {
        model.visit(&mut self);
        self.0.into_iter().any(wanted)
    }
}

impl ModuleVisitor for Find {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.base().dtype());
    }
}
