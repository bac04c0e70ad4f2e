//! [`ProblemType`]: what the label of a text is.

use serde::{Deserialize, Serialize};

use crate::{Dataset, Label, LabelName, Row, TrainError};

/// What the label of a text is, and so what its loss is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemType {
    /// One of the classes: cross-entropy.
    #[default]
    SingleLabel,
    /// Any number of the classes: binary cross-entropy of each, averaged over the classes.
    MultiLabel,
    /// A number: the squared error.
    Regression,
}

impl ProblemType {
    /// What the labels of a file look like: lists are several labels, numbers of which one is
    /// written with a decimal point are values, also where each is a list by itself; all else is
    /// classes.
    ///
    /// # Errors
    ///
    /// As [`Dataset::row`].
    pub fn of(dataset: &Dataset) -> Result<Self, TrainError> {
        let (mut decimal, mut numbers, mut lists) = (false, true, false);
        for row in dataset.rows() {
            let Row::Labelled { label, .. } = row? else {
                continue;
            };
            match label.names() {
                [LabelName::Number(number)] => decimal |= number.is_f64(),
                _ => numbers = false,
            }
            lists |= matches!(label, Label::Many(_));
        }
        Ok(match (decimal && numbers, lists) {
            (true, _) => Self::Regression,
            (false, true) => Self::MultiLabel,
            (false, false) => Self::SingleLabel,
        })
    }
}
