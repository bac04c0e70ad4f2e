//! How far the merged model may be from the unmerged one, and how far it is.
//!
//! Everything is computed in f32, whatever the weights are stored as, in three steps, so that
//! rounding hides nothing. The folded weights, not rounded yet, must give the logits of the
//! adapter beside its base: only the order of additions differs, so [`SAME`] of the largest logit
//! is far more than it takes in most models, and a scale that is off by a hundredth of what the
//! adapter does is beyond it. A model that multiplies errors moves by more: then the bound is
//! [`CHANCE`] times what a change of every weight by its last bit does. Then the weights are
//! rounded to what they are stored as, which is no error to bound: it is what was asked for, and
//! what it does is said. What is read back from the directory must compute what the rounded
//! weights do.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::FrozenWeight;

use super::probe::Logits;
use crate::error::CliError;

/// Of the largest logit.
const SAME: f64 = 1e-4;
/// How many times the change of every weight's last bit: that is one draw, and a product is rounded
/// many times.
const CHANCE: f64 = 16.0;

/// An error where two models' logits differ by more than f32 explains; else by how much.
pub(in crate::commands) fn same(
    what: &'static str,
    (expected, found): (&[Logits], &[Logits]),
    accepted: bool,
    moved: impl FnOnce() -> Vec<Logits>,
) -> Result<f64, CliError> {
    let (difference, scale) = gap(expected, found);
    if !difference.is_finite() {
        return Err(CliError::MergeNotFinite { what });
    }
    let mut limit = SAME * scale.max(1.0);
    if difference > limit && !accepted {
        limit = limit.max(CHANCE * gap(found, &moved()).0);
        // Noise without a bound explains nothing.
        if difference > limit || !limit.is_finite() {
            return Err(CliError::MergeDiffers {
                what,
                difference,
                limit,
            });
        }
    }
    Ok(difference)
}

/// The largest difference, infinite where one is not finite or the numbers of them differ; and the
/// largest value.
pub(in crate::commands) fn gap(a: &[Logits], b: &[Logits]) -> (f64, f64) {
    let count = |rows: &[Logits]| rows.iter().map(|row| row.values.len()).sum::<usize>();
    if count(a) != count(b) {
        return (f64::INFINITY, 1.0);
    }
    pairs(a, b).fold((0.0, 0.0), |(difference, scale): (f64, f64), (a, b)| {
        let gap = (a - b).abs();
        let gap = if gap.is_finite() { gap } else { f64::INFINITY };
        (gap.max(difference), a.abs().max(scale))
    })
}

/// The root of the mean square of the differences.
pub(in crate::commands) fn mean_gap(a: &[Logits], b: &[Logits]) -> f64 {
    let n = pairs(a, b).count().max(1) as f64;
    let squares: f64 = pairs(a, b).map(|(a, b)| (a - b).powi(2)).sum();
    (squares / n).sqrt()
}

fn pairs(a: &[Logits], b: &[Logits]) -> impl Iterator<Item = (f64, f64)> {
    let values = |row: &'_ Logits| row.values.clone();
    let (a, b) = (a.iter().flat_map(values), b.iter().flat_map(values));
    a.zip(b).map(|(a, b)| (a.into(), b.into()))
}

/// At how many positions the largest logit is the same, and of how many.
pub(in crate::commands) fn agreement(a: &[Logits], b: &[Logits]) -> (usize, usize) {
    let a: Vec<usize> = a.iter().flat_map(Logits::likeliest).collect();
    let b = b.iter().flat_map(Logits::likeliest);
    (a.iter().zip(b).filter(|(a, b)| *a == b).count(), a.len())
}

/// `model` with the last bit of each number in f32 moved up or down, as if by chance.
pub(in crate::commands) fn last_bit_moved<M: Module>(model: M) -> M {
    model.map(&mut Move(0))
}

/// The state of a small generator, splitmix64.
struct Move(u64);

impl Move {
    fn up(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let param = param.map(|tensor| FrozenWeight::from(tensor).dense());
        param.map(|tensor| {
            let (device, dims) = (tensor.device(), tensor.dims());
            let moved = |value: f32| match self.up() {
                true => value.next_up(),
                false => value.next_down(),
            };
            let values: Vec<f32> = tensor.into_data().iter::<f32>().map(moved).collect();
            Tensor::from_data(TensorData::new(values, dims), (&device, DType::F32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> Vec<Logits> {
        vec![Logits {
            values: values.to_vec(),
            width: 3,
        }]
    }

    fn kept(found: &[f32], accepted: bool, moved: &[f32]) -> bool {
        let expected = rows(&[1.0, -20.0, 3.0]);
        let moved = || rows(moved);
        match same("it differs", (&expected, &rows(found)), accepted, moved) {
            Ok(_) => true,
            Err(CliError::MergeDiffers { .. } | CliError::MergeNotFinite { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The limit is 1e-4 of the largest logit, 20, where the last bits of the weights do nothing.
    #[test]
    fn what_f32_does_not_explain_is_refused() {
        let still = |found: &[f32]| kept(found, false, found);
        assert!(still(&[1.0, -20.0, 3.0]));
        assert!(still(&[1.0019, -20.0, 3.0]));
        assert!(!still(&[1.0021, -20.0, 3.0]));
        assert!(!still(&[1.0, -20.0, 3.1]));
        assert!(!still(&[1.0, -20.0]));
    }

    #[test]
    fn a_model_that_multiplies_errors_has_a_wider_bound() {
        let found = [1.0, -20.0, 3.1];
        // The last bits move a logit by 0.01, and 16 times that is more than 0.1.
        assert!(kept(&found, false, &[1.01, -20.0, 3.1]));
        assert!(!kept(&found, false, &[1.001, -20.0, 3.1]));
        assert!(!kept(&found, false, &[f32::NAN, -20.0, 3.1]));
    }

    #[test]
    fn a_difference_may_be_accepted_and_what_is_not_finite_never() {
        assert!(kept(&[9.0, -20.0, 3.0], true, &[]));
        for wrong in [f32::NAN, f32::INFINITY] {
            assert!(!kept(&[1.0, wrong, 3.0], true, &[]));
        }
    }

    #[test]
    fn likeliest_tokens_are_counted() {
        let (a, b) = (
            rows(&[1.0, 2.0, 3.0, 9.0, 1.0, 2.0]),
            rows(&[1.0, 2.0, 3.1, 1.0, 2.0, 1.0]),
        );
        assert_eq!(agreement(&a, &b), (1, 2));
    }
}
