//! Rotations made of skew matrices, and inverses that have a gradient.

use burn::tensor::{Tensor, TensorData};

/// `(I − Q)(I + Q)⁻¹`, the rotation of a skew `Q`.
///
/// # Shapes
///
/// `q` and the result are `[n, b, b]`.
pub(crate) fn cayley(q: Tensor<3>) -> Tensor<3> {
    let one = one(&q).unsqueeze::<3>();
    (one.clone() - q.clone()).matmul(inverse(one + q))
}

/// The matrix that changes nothing, as wide as the last axis of a tensor and of its type.
pub(crate) fn one<const D: usize>(like: &Tensor<D>) -> Tensor<2> {
    let one: Tensor<2> = Tensor::eye(like.dims()[D - 1], &like.device());
    one.cast(like.dtype())
}

/// `M⁻¹`, by elimination in f64, and with its gradient: `2 X − X M X` has at `X = M⁻¹` the value of
/// the inverse and its derivative, where `X` is a constant.
///
/// # Shapes
///
/// `m` and the result are `[n, b, b]`.
pub(crate) fn inverse(m: Tensor<3>) -> Tensor<3> {
    let [n, b, _] = m.dims();
    let values: Vec<f64> = m.clone().into_data().iter::<f64>().collect();
    let inverses = values
        .chunks_exact((b * b).max(1))
        .flat_map(|of| eliminated(of, b));
    let data = TensorData::new(inverses.collect::<Vec<f64>>(), [n, b, b]);
    let x = Tensor::<3>::from_data(data, (&m.device(), m.dtype()));
    x.clone().mul_scalar(2.0) - x.clone().matmul(m).matmul(x)
}

/// The inverse of one matrix, row by row; of a singular one something that is not finite.
fn eliminated(matrix: &[f64], b: usize) -> Vec<f64> {
    let width = 2 * b;
    let mut rows = vec![0.0; b * width];
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        row[..b].copy_from_slice(&matrix[i * b..(i + 1) * b]);
        row[b + i] = 1.0;
    }
    for at in 0..b {
        let size = |row: usize| rows[row * width + at].abs();
        let pivot = (at..b)
            .max_by(|i, j| size(*i).total_cmp(&size(*j)))
            .unwrap_or(at);
        for column in 0..width {
            rows.swap(pivot * width + column, at * width + column);
        }
        let head = rows[at * width + at];
        let line: Vec<f64> = rows[at * width..(at + 1) * width]
            .iter()
            .map(|x| x / head)
            .collect();
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let factor = if i == at { 0.0 } else { row[at] };
            for (x, head) in row.iter_mut().zip(&line) {
                *x = if i == at { *head } else { *x - factor * head };
            }
        }
    }
    rows.chunks_exact(width)
        .flat_map(|row| row[b..].to_vec())
        .collect()
}

/// Rows of `[rows, n · b]` in blocks, each multiplied by its matrix of `[n, b, b]`, or all by the
/// one of `[1, b, b]`.
pub(crate) fn in_blocks(rows: Tensor<2>, matrices: Tensor<3>) -> Tensor<2> {
    let ([n_rows, width], [n, b, _]) = (rows.dims(), matrices.dims());
    match n {
        1 => {
            let all = rows.reshape([n_rows * width / b, b]);
            peft_kernels::linear(all, matrices.reshape([b, b]), None).reshape([n_rows, width])
        }
        n => {
            let blocks = rows.reshape([n_rows, n, b]).swap_dims(0, 1); // [n, rows, b]
            let turned = peft_kernels::matmul(blocks, matrices).swap_dims(0, 1);
            turned.reshape([n_rows, width])
        }
    }
}

/// The weight whose rows, which are the inputs, are in blocks that rows are multiplied by first:
/// `diag(R₁, …) W`.
pub(crate) fn on_weight(weight: Tensor<2>, matrices: Tensor<3>) -> Tensor<2> {
    let turned = in_blocks(weight.transpose(), matrices.swap_dims(1, 2));
    turned.transpose()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// The same at each call: drawn ones may be far from having an inverse.
    fn values(dims: [usize; 3], device: &Device) -> Tensor<3> {
        let n = dims.iter().product();
        let values: Vec<f32> = (0..n).map(|i: usize| (i as f32 * 2.3).sin()).collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    }

    fn far(a: Tensor<3>, b: Tensor<3>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn a_product_with_the_inverse_is_one() {
        let device = Device::flex();
        let one = Tensor::<2>::eye(7, &device)
            .unsqueeze::<3>()
            .repeat_dim(0, 3);
        let m = values([3, 7, 7], &device) + one.clone().mul_scalar(3.0);
        assert!(far(m.clone().matmul(inverse(m)), one) < 1e-3);
    }

    #[test]
    fn a_rotation_is_orthogonal() {
        let device = Device::flex();
        let m = values([4, 6, 6], &device);
        let r = cayley(m.clone() - m.swap_dims(1, 2));
        let one = Tensor::<2>::eye(6, &device)
            .unsqueeze::<3>()
            .repeat_dim(0, 4);
        assert!(far(r.clone().matmul(r.swap_dims(1, 2)), one) < 1e-4);
    }
}
