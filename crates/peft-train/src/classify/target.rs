//! [`Target`]: what a model is to say of a text.

use super::{LabelSet, ProblemType};
use crate::Label;

/// What a model is to say of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// This class.
    Class(usize),
    /// Whether each class applies.
    Classes(Vec<bool>),
    /// This value.
    Value(f32),
}

impl Target {
    /// The target that a row's label is.
    pub(super) fn new(
        label: &Label,
        problem: ProblemType,
        labels: &LabelSet,
    ) -> Result<Self, String> {
        match (problem, label) {
            (ProblemType::SingleLabel, Label::One(name)) => Ok(Self::Class(labels.id(name)?)),
            (ProblemType::SingleLabel, Label::Many(_)) => {
                Err("the label is a list, but the task is to choose one".into())
            }
            (ProblemType::MultiLabel, label) => {
                let mut applies = vec![false; labels.len()];
                for name in label.names() {
                    applies[labels.id(name)?] = true;
                }
                Ok(Self::Classes(applies))
            }
            (ProblemType::Regression, label) => {
                let number = match label {
                    Label::One(name) => name.to_string().parse::<f32>().ok(),
                    Label::Many(_) => None,
                };
                let number = number.filter(|number| number.is_finite());
                let number = number.ok_or("the label is no number, but the task is a regression");
                Ok(Self::Value(number?))
            }
        }
    }
}
