//! [`SequenceReport`]: how good a classifier of texts is, by the kind of its labels.

use serde::Serialize;

use super::{ClassificationReport, RegressionReport};
use crate::Report;

/// How good a classifier of texts is, by the kind of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SequenceReport {
    /// Of classes.
    Classes(ClassificationReport),
    /// Of values.
    Values(RegressionReport),
}

impl Report for SequenceReport {
    fn loss(&self) -> f64 {
        match self {
            Self::Classes(report) => report.loss(),
            Self::Values(report) => report.loss(),
        }
    }

    fn headline(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Classes(report) => report.headline(),
            Self::Values(report) => report.headline(),
        }
    }
}
