//! Comparisons of whole tensors.

use burn::tensor::Tensor;

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// Equal up to `tolerance`, absolute below one and relative above.
///
/// # Panics
///
/// If they are not.
#[track_caller]
pub fn assert_close<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    let pairs = numbers(found).into_iter().zip(numbers(expected));
    for (i, (a, b)) in pairs.enumerate() {
        let error = (a - b).abs() / b.abs().max(1.0);
        assert!(
            error <= f64::from(tolerance), // NaN fails too
            "element {i}: {a}, expected {b}"
        );
    }
}

/// Equal bit for bit.
///
/// # Panics
///
/// If they are not.
#[track_caller]
pub fn assert_same<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>) {
    assert_eq!(found.to_data(), expected.to_data());
}

/// Not equal: a test of equality that compares unadapted things shows nothing.
///
/// # Panics
///
/// If they are.
#[track_caller]
pub fn assert_differs<const D: usize>(found: &Tensor<D>, other: &Tensor<D>) {
    let pairs = numbers(found).into_iter().zip(numbers(other));
    let apart = pairs.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    assert!(apart > 1e-3, "only {apart} apart");
}

/// The largest difference, relative to the largest value of `expected`.
pub(crate) fn apart<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (numbers(found), numbers(expected));
    let largest = expected.iter().fold(0.0, |most: f64, b| most.max(b.abs()));
    let pairs = found.into_iter().zip(expected);
    // A NaN is as far as can be.
    pairs.fold(0.0, |most: f64, (a, b)| match (a - b).abs() / largest {
        error if error.is_nan() => f64::INFINITY,
        error => most.max(error),
    })
}
