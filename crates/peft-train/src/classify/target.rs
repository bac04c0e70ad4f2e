//! [`Target`]: what a model is to say of a text.

use super::label_set::NO_TARGET;
use super::wrong_label::WrongLabel;
use super::{LabelSet, ProblemType};
use crate::{Label, LabelName};

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
    pub(super) fn new<'a>(
        label: &'a Label,
        problem: ProblemType,
        labels: &'a LabelSet,
    ) -> Result<Self, WrongLabel<'a>> {
        match (problem, label) {
            (ProblemType::SingleLabel, Label::One(name)) => Ok(Self::Class(class(name, labels)?)),
            (ProblemType::SingleLabel, Label::Many(_)) => {
                Err("the label is a list, but the task is to choose one".into())
            }
            (ProblemType::MultiLabel, label) => classes(label, labels),
            (ProblemType::Regression, Label::One(name)) => Ok(Self::Value(value(name)?)),
            (ProblemType::Regression, Label::Many(_)) => Err(
                "the label is a list, but the task is a regression, whose labels are numbers"
                    .into(),
            ),
        }
    }
}

fn class<'a>(name: &'a LabelName, labels: &'a LabelSet) -> Result<usize, WrongLabel<'a>> {
    match labels.id(name) {
        Err(_) if name.is_no_target() => Err(NO_TARGET.into()),
        id => id.map_err(WrongLabel::Unknown),
    }
}

/// The classes of a list, each named once; or, as torch takes them, a decimal for each class, 1 where it applies.
fn classes<'a>(label: &'a Label, labels: &'a LabelSet) -> Result<Target, WrongLabel<'a>> {
    if label.has_decimals() {
        let on = |name: &LabelName| match name.whole() {
            Some(on @ (0 | 1)) => Some(on == 1),
            _ => None,
        };
        let each: Option<Vec<bool>> = label.names().iter().map(on).collect();
        return match each.filter(|each| each.len() == labels.len()) {
            Some(each) => Ok(Target::Classes(each)),
            None => Err(format!(
                "the label is a list of decimals, but is not 0 or 1 for each of the {} classes; or name those that apply",
                labels.len()
            )
            .into()),
        };
    }
    let mut applies = vec![false; labels.len()];
    for name in label.names() {
        let id = class(name, labels)?;
        if applies[id] {
            return Err(format!(
                "the label has `{name}` twice; a list names the classes that apply, and one with 0 or 1 for each class is written in decimals, as [0.0, 1.0]"
            )
            .into());
        }
        applies[id] = true;
    }
    Ok(Target::Classes(applies))
}

fn value(name: &LabelName) -> Result<f32, String> {
    match name.to_string().parse::<f64>() {
        Ok(value) if (value as f32).is_finite() => Ok(value as f32),
        Ok(_) => Err(format!("the label {name} is no number that f32 holds")),
        Err(_) => Err(format!(
            "the label `{name}` is no number, but the task is a regression"
        )),
    }
}
