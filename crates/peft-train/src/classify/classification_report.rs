//! [`ClassificationReport`]: how well classes are told.

use serde::Serialize;

use super::measures::{Counts, macro_f1, micro_f1};
use crate::Report;

/// How well classes are told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// The mean loss: of a text, or of a word where words are tagged.
    pub loss: f64,
    /// The fraction that is right; where several classes may apply, of texts whose classes are all
    /// right.
    pub accuracy: f64,
    /// The mean F1 of the classes that occur in truth or prediction.
    pub macro_f1: f64,
    /// The F1 of all decisions together; the accuracy, where each makes one.
    pub micro_f1: f64,
    /// Rows.
    pub examples: usize,
    /// Tokens, special ones included.
    pub tokens: usize,
    /// Decisions: texts, or tagged words.
    pub targets: usize,
}

impl ClassificationReport {
    pub(super) fn new(counts: &[Counts], right: usize, size: Size) -> Self {
        Self {
            loss: size.loss_sum / size.targets as f64,
            accuracy: right as f64 / size.targets as f64,
            macro_f1: macro_f1(counts),
            micro_f1: micro_f1(counts),
            examples: size.examples,
            tokens: size.tokens,
            targets: size.targets,
        }
    }
}

/// How much was evaluated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) loss_sum: f64,
    pub(super) examples: usize,
    pub(super) tokens: usize,
    pub(super) targets: usize,
}

impl Report for ClassificationReport {
    fn loss(&self) -> f64 {
        self.loss
    }

    fn headline(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("loss", self.loss),
            ("accuracy", self.accuracy),
            ("macro F1", self.macro_f1),
        ]
    }
}
