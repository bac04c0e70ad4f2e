//! [`select_positions`]: of the states of a batch, those at some positions of each row.

use burn::tensor::{DType, Int, Tensor};

/// The states at these positions of each row, in their order; a position may be there more than
/// once.
///
/// # Shapes
///
/// `x` is `[batch, positions, width]`, `at` `[batch, read]`, the result `[batch, read, width]`.
///
/// # Panics
///
/// If a position is beyond the row, or there are not as many rows.
pub fn select_positions(x: Tensor<3>, at: Tensor<2, Int>) -> Tensor<3> {
    let [batch, positions, width] = x.dims();
    let [rows, read] = at.dims();
    assert_eq!(rows, batch, "positions of each row");
    let flat = flat_positions(at, positions);
    x.reshape([batch * positions, width])
        .select(0, flat)
        .reshape([batch, read, width])
}

/// `row · positions + position` of each position, row by row, `[batch, read]` to `[batch · read]`.
fn flat_positions(at: Tensor<2, Int>, positions: usize) -> Tensor<1, Int> {
    let [batch, read] = at.dims();
    let device = at.device();
    let rows = Tensor::<1, Int>::arange(0..batch as i64, (&device, DType::I64))
        .cast(at.dtype())
        .mul_scalar(positions as i64)
        .reshape([batch, 1]);
    (at + rows).reshape([batch * read])
}
