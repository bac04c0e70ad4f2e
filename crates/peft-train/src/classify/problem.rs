//! [`ProblemType`]: what the label of a text is.

use serde::{Deserialize, Serialize};

use crate::{Dataset, Label, LabelName, Row};

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
    pub fn of(dataset: &Dataset) -> Self {
        let labels = || {
            dataset.rows().iter().filter_map(|row| {
                let Row::Labelled { label, .. } = row else {
                    return None;
                };
                Some(label)
            })
        };
        let number = |label: &Label| matches!(label.names(), [LabelName::Number(_)]);
        let decimal = |label: &Label| matches!(label.names(), [LabelName::Number(n)] if n.is_f64());
        if labels().any(decimal) && labels().all(number) {
            Self::Regression
        } else if labels().any(|label| matches!(label, Label::Many(_))) {
            Self::MultiLabel
        } else {
            Self::SingleLabel
        }
    }
}
