//! Checks that the configs share.

use crate::ModelConfigError;

/// The features divide among the heads; `n_heads` is not 0.
pub(super) fn heads(d_model: usize, n_heads: usize) -> Result<(), ModelConfigError> {
    match d_model.is_multiple_of(n_heads) {
        true => Ok(()),
        false => Err(ModelConfigError::new(
            "n_heads",
            n_heads as f64,
            "a divisor of d_model",
        )),
    }
}

/// Rates of dropout.
pub(super) fn rates(rates: &[(&'static str, f64)]) -> Result<(), ModelConfigError> {
    match rates.iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
        Some((field, rate)) => Err(ModelConfigError::new(
            field,
            *rate,
            "at least 0 and below 1",
        )),
        None => Ok(()),
    }
}
