//! [`LoraInit`]: what the factors start from.

use burn::tensor::{DType, Distribution, Tensor, TensorData};
use peft_core::{Layer, LayerKind, PeftError};
use serde::{Deserialize, Serialize};

use crate::CordaMode;

/// What the factors start from.
///
/// Whichever is chosen but [`Loftq`](Self::Loftq), a fresh adapter does nothing. Most have a
/// product of zero. Where the
/// factors are parts of the weight, what acts is the difference to what they were: PEFT takes their
/// product out of the base instead, which is the same function of other weights.
///
/// On an embedding `A` is zero and `B ~ N(0, 1)`, as in PEFT, whichever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraInit {
    /// `A` Kaiming-uniform with `a = √5`, that is `U(±1/√d_in)`; `B` zero.
    #[default]
    KaimingUniform,
    /// `A ~ N(0, 1/r)` by standard deviation; `B` zero.
    Gaussian,
    /// Random combinations of the odd and of the even rows of a random orthogonal matrix, a tenth
    /// of them, so that both factors begin with values and the product is zero up to rounding. An
    /// even rank. *Rethinking LoRA initialisation*,
    /// <https://datta0.github.io/posts/rethink-lora-init>.
    Orthogonal,
    /// The largest singular values of the weight: `A = U √(S/s)`, `B = √(S/s) Vᵀ`. *PiSSA*, Meng
    /// et al. 2024, [arXiv:2404.02948](https://arxiv.org/abs/2404.02948). With the crate's feature
    /// `svd`.
    Pissa,
    /// The same by so many products with random directions: near to it where the weight's singular
    /// values fall fast, and in less time. With the crate's feature `svd`.
    PissaRandomised {
        /// How often the weight and its transpose are applied to them.
        rounds: usize,
    },
    /// The first of an orthonormal basis of the weight and their coordinates: with `W_out,in = Q R`
    /// `B` is the first columns of `Q` and `A` the first rows of `R`. *OLoRA*, Büyükakyüz 2024,
    /// [arXiv:2406.01775](https://arxiv.org/abs/2406.01775).
    Olora,
    /// What packing the weight in few bits has left out of it, as near as the rank comes: `s A B ≈
    /// W − Q(W)`, so that the packed layer begins nearer to the dense one. The first step of
    /// *LoftQ*, Li et al. 2023, [arXiv:2310.08659](https://arxiv.org/abs/2310.08659), which leaves
    /// the base as it is; attached by
    /// [`LoraConfig::attach_to_packed`](crate::LoraConfig::attach_to_packed). With the crate's
    /// feature `svd`.
    Loftq,
    /// The principal directions of the layer's inputs, with ranks that went where they explain
    /// most; `B` zero. Attached by [`StartFromRows::eva`](crate::StartFromRows::eva), which has
    /// looked at the inputs. With the crate's feature `svd`.
    Eva,
    /// Directions of the weight's gradient. Attached by
    /// [`StartFromRows::lora_ga`](crate::StartFromRows::lora_ga), which has found it. With the
    /// crate's feature `svd`.
    LoraGa,
    /// Parts of the weight by the covariance of the layer's inputs. Attached by
    /// [`StartFromRows::corda`](crate::StartFromRows::corda), which has looked at them. With the
    /// crate's feature `svd`.
    Corda(CordaMode),
}

impl LoraInit {
    /// Whether the product is not zero at first, so that what acts is the difference to it.
    pub fn begins_elsewhere(self) -> bool {
        match self {
            Self::KaimingUniform | Self::Gaussian | Self::Orthogonal | Self::Loftq | Self::Eva => {
                false
            }
            Self::Pissa
            | Self::PissaRandomised { .. }
            | Self::Olora
            | Self::LoraGa
            | Self::Corda(_) => true,
        }
    }

    /// Whether it takes a decomposition in singular values.
    pub(crate) fn decomposes(self) -> bool {
        matches!(
            self,
            Self::Pissa
                | Self::PissaRandomised { .. }
                | Self::Loftq
                | Self::Eva
                | Self::LoraGa
                | Self::Corda(_)
        )
    }

    /// Fresh factors for a layer: `[d_in, rank]` and `[rank, d_out]`.
    pub(crate) fn factors(
        self,
        layer: &Layer,
        rank: usize,
        scale: f64,
    ) -> Result<[Tensor<2>; 2], PeftError> {
        let options = || (&layer.device, DType::F32);
        let [d_in, d_out] = layer.shape;
        let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, options());
        let random = |shape: [usize; 2], of| Tensor::<2>::random(shape, of, options());
        let normal = |deviation| Distribution::Normal(0.0, deviation);
        if layer.kind == LayerKind::Embedding {
            return Ok([zeros([d_in, rank]), random([rank, d_out], normal(1.0))]);
        }
        let wrong = |expected| PeftError::InvalidSetting {
            field: format!("rank of `{}`", layer.path),
            value: rank.to_string(),
            expected,
        };
        if self.begins_elsewhere() && rank > d_in.min(d_out) {
            return Err(wrong(
                "at most the smaller side of the layer, of whose weight it begins",
            ));
        }
        Ok(match self {
            Self::KaimingUniform => {
                let bound = 1.0 / (d_in as f64).sqrt();
                let uniform = Distribution::Uniform(-bound, bound);
                [random([d_in, rank], uniform), zeros([rank, d_out])]
            }
            Self::Gaussian => {
                let a = random([d_in, rank], normal(1.0 / rank as f64));
                [a, zeros([rank, d_out])]
            }
            Self::Orthogonal => {
                if !rank.is_multiple_of(2) {
                    return Err(wrong("even where the factors begin orthogonal"));
                }
                let basis = orthonormal(rows(random([rank, rank], normal(1.0))));
                let half = |at: usize| -> Tensor<2> {
                    let rows = basis.iter().skip(at).step_by(2);
                    let values: Vec<f32> = rows.flatten().map(|x| *x as f32 / 10.0).collect();
                    let data = TensorData::new(values, [rank / 2, rank]);
                    Tensor::from_data(data, options())
                };
                let a = random([d_in, rank / 2], normal(1.0)).matmul(half(0));
                let b = half(1).transpose();
                [a, b.matmul(random([rank / 2, d_out], normal(1.0)))]
            }
            Self::Pissa => principal(layer, rank, scale, None)?,
            Self::PissaRandomised { rounds } => principal(layer, rank, scale, Some(rounds))?,
            Self::Loftq | Self::Eva | Self::LoraGa | Self::Corda(_) => {
                return Err(PeftError::InvalidSetting {
                    field: format!("init of `{}`", layer.path),
                    value: format!("{self:?}"),
                    expected: "another one where what it begins with is not given, as `LoraConfig::attach_to_packed` and `StartFromRows` have it",
                });
            }
            Self::Olora => {
                let weight = layer
                    .frozen_weight()
                    .without_autodiff()
                    .dense_in(DType::F32);
                if !weight.clone().is_finite().all().into_scalar::<bool>() {
                    let path = layer.weight_path();
                    return Err(PeftError::NonFinite { path });
                }
                let basis = orthonormal(rows(weight.clone().narrow(0, 0, rank)));
                let values: Vec<f32> = basis.iter().flatten().map(|x| *x as f32).collect();
                let data = TensorData::new(values, [rank, d_out]);
                let b = Tensor::<2>::from_data(data, (&weight.device(), DType::F32));
                let a = weight.matmul(b.clone().transpose());
                [a, b].map(|factor| on(factor, layer))
            }
        })
    }
}

/// A factor where the layer is.
fn on(factor: Tensor<2>, layer: &Layer) -> Tensor<2> {
    Tensor::from_data(factor.into_data(), (&layer.device, DType::F32))
}

/// The largest singular values of a layer's weight, divided by the scale.
#[cfg(feature = "svd")]
fn principal(
    layer: &Layer,
    rank: usize,
    scale: f64,
    rounds: Option<usize>,
) -> Result<[Tensor<2>; 2], PeftError> {
    let weight = layer.frozen_weight().without_autodiff();
    let weight = weight.dense_in(DType::F32);
    let found = crate::LowRank::principal(weight, rank, rounds);
    let found = found.ok_or_else(|| PeftError::NonFinite {
        path: layer.weight_path(),
    })?;
    // As in PEFT, whose scale is positive; of a negative one the product has the sign.
    let part = 1.0 / scale.abs().sqrt();
    let b = found.b.mul_scalar(part * scale.signum());
    Ok([found.a.mul_scalar(part), b].map(|factor| on(factor, layer)))
}

/// Never called: such a config is refused.
#[cfg(not(feature = "svd"))]
fn principal(
    layer: &Layer,
    _rank: usize,
    _scale: f64,
    _rounds: Option<usize>,
) -> Result<[Tensor<2>; 2], PeftError> {
    Err(PeftError::InvalidSetting {
        field: format!("init of `{}`", layer.path),
        value: "by singular values".into(),
        expected: "another one where the crate's feature `svd` is off",
    })
}

/// A matrix by its rows, in f64.
fn rows(matrix: Tensor<2>) -> Vec<Vec<f64>> {
    let width = matrix.dims()[1];
    let values: Vec<f64> = matrix.into_data().iter().collect();
    values.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

/// Orthonormal rows that span what these do, each of the ones up to it: Gram and Schmidt, twice
/// (Giraud et al. 2005). A row that adds nothing gives way to an axis; no more rows than columns.
fn orthonormal(rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
    for row in rows {
        let width = row.len();
        let axes = (0..width).map(|at| {
            let mut axis = vec![0.0; width];
            axis[at] = 1.0;
            axis
        });
        let mut candidates = std::iter::once(row).chain(axes);
        let found = candidates.find_map(|mut row| {
            let before = norm(&row);
            for _ in 0..2 {
                for other in &basis {
                    let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
                }
            }
            let left = norm(&row);
            (left > 1e-10 * before).then(|| row.iter().map(|x| x / left).collect::<Vec<f64>>())
        });
        basis.extend(found);
    }
    basis
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basis_is_orthonormal_and_spans() {
        let rows = vec![
            vec![3.0, 4.0, 0.0, 0.0],
            vec![6.0, 8.0, 0.0, 0.0], // nothing new
            vec![1.0, 0.0, 2.0, 0.0],
            vec![0.0; 4],
        ];
        let basis = orthonormal(rows.clone());
        assert_eq!(basis.len(), 4);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (i, a) in basis.iter().enumerate() {
            for (j, b) in basis.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(a, b) - expected).abs() < 1e-12, "{i} {j}");
            }
        }
        assert!((dot(&basis[0], &rows[0]) - 5.0).abs() < 1e-12);
        let third: f64 = basis[..3].iter().map(|b| dot(b, &rows[2]).powi(2)).sum();
        assert!((third - 5.0).abs() < 1e-12);
    }
}
