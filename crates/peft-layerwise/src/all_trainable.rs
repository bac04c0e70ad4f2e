//! [`AllTrainable`]: the model's own choice.

use crate::Strategy;

/// The model's own choice, from the first step to the last: what requires gradients trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllTrainable;

impl Strategy for AllTrainable {
    fn rate(&self, _: usize, _: &str, given: bool) -> Option<f64> {
        given.then_some(1.0)
    }
}
