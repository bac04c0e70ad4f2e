//! [`Report`]: what an evaluation found.

use std::fmt::Debug;

use serde::Serialize;

/// How good a model is on some rows, by the measures of its task; as JSON it has `loss`, `examples`
/// and `tokens` among others.
pub trait Report: Serialize + Debug + Clone + Send {
    /// What the best of several evaluations is told by: the lowest.
    fn loss(&self) -> f64;

    /// The numbers to show first, by name, the loss before all.
    fn headline(&self) -> Vec<(&'static str, f64)>;
}
