//! [`Union`]: the union of two strategies.

use serde_json::{Value, json};

use crate::{Length, Strategy};

/// The union of two strategies; the first one's rate wins. Moments are kept if both keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Union<A, B> {
    first: A,
    second: B,
}

impl<A: Strategy, B: Strategy> Union<A, B> {
    /// Both.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Strategy, B: Strategy> Strategy for Union<A, B> {
    fn stage(&self, step: usize, length: &Length) -> usize {
        paired(
            self.first.stage(step, length),
            self.second.stage(step, length),
        )
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        let (first, second) = apart(stage);
        let rate = self.first.rate(first, path, given);
        rate.or_else(|| self.second.rate(second, path, given))
    }

    fn keeps_moments(&self) -> bool {
        self.first.keeps_moments() && self.second.keeps_moments()
    }

    fn settings(&self) -> Value {
        json!({ "with": [self.first.settings(), self.second.settings()] })
    }
}

/// One number for two: Cantor's, which goes through the pairs by their sums.
fn paired(a: usize, b: usize) -> usize {
    (a + b) * (a + b + 1) / 2 + b
}

/// The two numbers of [`paired`].
fn apart(pair: usize) -> (usize, usize) {
    let mut sum = (((8.0 * pair as f64 + 1.0).sqrt() - 1.0) / 2.0) as usize;
    // A root may be off by its rounding.
    while sum * (sum + 1) / 2 > pair {
        sum -= 1;
    }
    while (sum + 1) * (sum + 2) / 2 <= pair {
        sum += 1;
    }
    let b = pair - sum * (sum + 1) / 2;
    (sum - b, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_number_and_its_own() {
        let mut seen = std::collections::HashSet::new();
        let numbers = (0..40).chain([1_000, 65_535, 3_000_000]);
        for a in numbers.clone() {
            for b in numbers.clone() {
                assert_eq!(apart(paired(a, b)), (a, b));
                assert!(seen.insert(paired(a, b)));
            }
        }
    }
}
