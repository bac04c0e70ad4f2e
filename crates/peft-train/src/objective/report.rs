//! [`Report`]: what an evaluation found.

use std::fmt::Debug;

use serde::Serialize;

/// How good a model is on some rows, by the measures of its task; as JSON it has `loss`, `examples`
/// and `tokens` among others.
pub trait Report: Serialize + Debug + Clone + Send {
    /// What training makes lower, on these rows.
    fn loss(&self) -> f64;

    /// The numbers to show first, by name, the loss before all.
    fn headline(&self) -> Vec<(&'static str, f64)>;

    /// A number of the headline by its name in lower case with dashes, as `macro-f1`.
    fn measure(&self, name: &str) -> Option<f64> {
        let dashed = |shown: &str| shown.to_lowercase().replace(' ', "-");
        let mut headline = self.headline().into_iter();
        headline
            .find(|(shown, _)| dashed(shown) == name)
            .map(|(_, value)| value)
    }

    /// What tells the best of several evaluations, the lowest: the loss, or a measure of this name,
    /// negative where more of it is better. None where there is no such measure; infinite where it
    /// is not defined.
    fn badness(&self, name: Option<&str>) -> Option<f64> {
        let Some(name) = name else {
            return Some(self.loss());
        };
        let value = self.measure(name)?;
        let badness = match name {
            "loss" | "perplexity" => value,
            _ => -value,
        };
        Some(if badness.is_nan() {
            f64::INFINITY
        } else {
            badness
        })
    }
}
