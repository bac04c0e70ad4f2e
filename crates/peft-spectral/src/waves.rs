//! Cosines and sines as columns.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// `a · cos(2π f t / length)` for each of the waves, and beside them `b · sin` of the same.
///
/// # Shapes
///
/// The result is `[length, 2 · waves]`, a row for each `t`.
pub(crate) fn waves(
    length: usize,
    frequencies: impl ExactSizeIterator<Item = usize> + Clone,
    [a, b]: [f64; 2],
    device: &Device,
) -> Tensor<2> {
    let n = frequencies.len();
    // The angle by whole numbers: that of a large `f t` would be rounded.
    let table: Vec<[f32; 2]> = (0..length)
        .map(|i| {
            let angle = std::f64::consts::TAU * i as f64 / length as f64;
            [(a * angle.cos()) as f32, (b * angle.sin()) as f32]
        })
        .collect();
    let mut values = Vec::with_capacity(length * 2 * n);
    for t in 0..length {
        let at = |f: usize| table[(f % length) * t % length];
        values.extend(frequencies.clone().map(|f| at(f)[0]));
        values.extend(frequencies.clone().map(|f| at(f)[1]));
    }
    let data = TensorData::new(values, [length, 2 * n]);
    Tensor::from_data(data, (device, DType::F32))
}
