//! [`Target`]: what a model is to say of a text.

use serde::{Deserialize, Serialize};

use super::label_set::NO_TARGET;
use super::wrong_label::WrongLabel;
use super::{LabelSet, ListReading, ProblemType};
use crate::{Label, LabelName};

/// What a model is to say of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
            // As a table of one column is written.
            (ProblemType::Regression, Label::Many(names)) => match names.as_slice() {
                [name] => Ok(Self::Value(value(name)?)),
                _ => Err(
                    "the label is a list, but the task is a regression, whose labels are numbers"
                        .into(),
                ),
            },
        }
    }
}

fn class<'a>(name: &'a LabelName, labels: &'a LabelSet) -> Result<usize, WrongLabel<'a>> {
    match labels.id(name) {
        Err(_) if name.is_no_target() => Err(NO_TARGET.into()),
        id => id.map_err(WrongLabel::Unknown),
    }
}

/// The classes of a list, each named once; or, as torch takes them, 0 or 1 for each class.
fn classes<'a>(label: &'a Label, labels: &'a LabelSet) -> Result<Target, WrongLabel<'a>> {
    if label.says_each() || labels.lists() == ListReading::Each {
        let each = label.each().filter(|each| each.len() == labels.len());
        return each.map(Target::Classes).ok_or_else(|| {
            let n = labels.len();
            format!("the label does not say 0 or 1 of each of the {n} classes, as lists of this file do; or name those that apply in all rows").into()
        });
    }
    let mut applies = vec![false; labels.len()];
    for name in label.names() {
        let id = class(name, labels)?;
        if applies[id] {
            return Err(format!(
                "the label has `{name}` twice; a list names the classes that apply; where all lists of a file are as long as there are classes, they may say 0 or 1 of each"
            )
            .into());
        }
        applies[id] = true;
    }
    Ok(Target::Classes(applies))
}

fn value(name: &LabelName) -> Result<f32, String> {
    if let LabelName::Bool(flag) = name {
        return Ok(f32::from(u8::from(*flag)));
    }
    match name.to_string().parse::<f64>() {
        Ok(value) if (value as f32).is_finite() => Ok(value as f32),
        Ok(_) => Err(format!("the label {name} is no number that f32 holds")),
        Err(_) => Err(format!(
            "the label `{name}` is no number, but the task is a regression"
        )),
    }
}
