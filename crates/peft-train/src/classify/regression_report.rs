//! [`RegressionReport`]: how well values are told.

use serde::Serialize;

use crate::Report;

/// How well values are told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RegressionReport {
    /// The mean squared error.
    pub loss: f64,
    /// Pearson's correlation of the values with the true ones.
    pub pearson: f64,
    /// Spearman's: that of their ranks.
    pub spearman: f64,
    /// Rows.
    pub examples: usize,
    /// Tokens, special ones included.
    pub tokens: usize,
}

impl Report for RegressionReport {
    fn loss(&self) -> f64 {
        self.loss
    }

    fn headline(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("loss", self.loss),
            ("Pearson", self.pearson),
            ("Spearman", self.spearman),
        ]
    }
}
