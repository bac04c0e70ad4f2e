//! [`Prediction`]: what a classifier says of a text.

use serde::Serialize;

/// What a classifier says of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Prediction {
    /// One class.
    Class {
        /// The likeliest.
        label: String,
        /// The probability of each, in the order of the labels.
        probabilities: Vec<(String, f64)>,
    },
    /// The classes that apply.
    Classes {
        /// Those likelier than not.
        labels: Vec<String>,
        /// The probability of each, in the order of the labels.
        probabilities: Vec<(String, f64)>,
    },
    /// A value.
    Value {
        /// The value.
        value: f64,
    },
}
