//! [`Optimizer`]: how gradients become updates.

use burn::tensor::DType;
use peft_kernels::{AdamWStep, Blockwise8};
use serde::{Deserialize, Serialize};

use super::lazy_tensor::LazyTensor;

/// How gradients become updates. All but AdamW, in either form, are `burn-optim`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// *Decoupled Weight Decay Regularization*, Loshchilov and Hutter 2019,
    /// [arXiv:1711.05101](https://arxiv.org/abs/1711.05101): two moments of each number.
    #[default]
    AdamW,
    /// The same with moments in eight bits a number, as bitsandbytes' `AdamW8bit` keeps them
    /// ([`Blockwise8`]); those of parameters of fewer than 4096 numbers are as AdamW's. *8-bit
    /// Optimizers via Block-wise Quantization*, Dettmers et al. 2022,
    /// [arXiv:2110.02861](https://arxiv.org/abs/2110.02861).
    #[serde(rename = "adamw-8bit")]
    AdamW8Bit,
    /// *Symbolic Discovery of Optimization Algorithms*, Chen et al. 2023,
    /// [arXiv:2302.06675](https://arxiv.org/abs/2302.06675): one moment of each number, of whose
    /// mix with the gradient the sign alone counts, so that a rate is a third to a tenth of
    /// AdamW's.
    Lion,
    /// *Adafactor*, Shazeer and Stern 2018, [arXiv:1804.04235](https://arxiv.org/abs/1804.04235),
    /// at the rates that it is given: of a matrix one moment a row and one a column.
    Adafactor,
    /// *Muon is Scalable for LLM Training*, Liu et al. 2025,
    /// [arXiv:2502.16982](https://arxiv.org/abs/2502.16982): of matrices one moment, made
    /// orthogonal and scaled to the size of AdamW's updates, whose rates it takes; embeddings,
    /// vectors and what has more dimensions go by AdamW.
    Muon,
}

impl Optimizer {
    /// β₁ and β₂ that it is proposed with; Adafactor and Muon have numbers of their own.
    pub fn betas(self) -> (f64, f64) {
        match self {
            Self::Lion => (0.9, 0.99),
            Self::AdamW | Self::AdamW8Bit | Self::Adafactor | Self::Muon => (0.9, 0.999),
        }
    }

    /// Whether a parameter of so many numbers has moments in eight bits.
    pub(super) fn has_blocks(self, numbers: usize) -> bool {
        self == Self::AdamW8Bit && numbers >= AdamWStep::FEWEST_8BIT
    }

    /// Whether these moments can be those of a parameter of this shape and type: in its own type,
    /// or in f32 where Adafactor computes in that.
    pub(super) fn fits(self, param: &[usize], dtype: DType, moments: &[LazyTensor]) -> bool {
        if self.has_blocks(param.iter().product()) {
            let n: usize = param.iter().product();
            let scales = Blockwise8::n_scales(n);
            let moment = [(n, DType::U8), (scales, DType::F32)];
            let expected = moment.into_iter().chain(moment);
            let found = moments.iter().map(|of| (of.shape().to_vec(), of.dtype()));
            return found.eq(expected.map(|(n, dtype)| (vec![n], dtype)));
        }
        let wide = self == Self::Adafactor && dtype.size() < DType::F32.size();
        let dtype = if wide { DType::F32 } else { dtype };
        if moments.iter().any(|moment| moment.dtype() != dtype) {
            return false;
        }
        let shapes = moments.iter().map(LazyTensor::shape);
        let whole = |n: usize| moments.len() == n && shapes.clone().all(|shape| shape == param);
        let rank = param.len();
        match self {
            Self::AdamW | Self::AdamW8Bit => whole(2),
            Self::Lion => whole(1),
            Self::Muon => whole(1) || whole(2),
            Self::Adafactor if rank < 2 => whole(1),
            Self::Adafactor => {
                let reduced = |dim: usize| {
                    let mut shape = param.to_vec();
                    shape[dim] = 1;
                    shape
                };
                shapes.eq([reduced(rank - 1), reduced(rank - 2)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    /// Of a state, moments of another shape, number or type are not taken.
    #[test]
    fn moments_fit_their_parameter() {
        let moment = |shape: [usize; 2], dtype| {
            LazyTensor::on_device(Tensor::<2>::zeros(shape, (&Device::flex(), dtype)))
        };
        let of = |shapes: &[[usize; 2]], dtype| -> Vec<LazyTensor> {
            shapes.iter().map(|shape| moment(*shape, dtype)).collect()
        };
        let (one, two, reduced) = ([[3, 2]], [[3, 2]; 2], [[3, 1], [1, 2]]);
        let fits = |kind: Optimizer, own, shapes: &[[usize; 2]], dtype| {
            kind.fits(&[3, 2], own, &of(shapes, dtype))
        };
        use DType::{BF16, F32};
        assert!(fits(Optimizer::AdamW, F32, &two, F32));
        assert!(!fits(Optimizer::AdamW, F32, &one, F32));
        assert!(!fits(Optimizer::AdamW, F32, &two, BF16));
        assert!(!fits(Optimizer::AdamW, F32, &[[2, 3]; 2], F32));
        assert!(fits(Optimizer::Lion, BF16, &one, BF16));
        assert!(!fits(Optimizer::Lion, BF16, &one, F32));
        assert!(fits(Optimizer::Adafactor, F32, &reduced, F32));
        assert!(fits(Optimizer::Adafactor, BF16, &reduced, F32));
        assert!(!fits(Optimizer::Adafactor, F32, &two, F32));
        assert!(fits(Optimizer::AdamW8Bit, F32, &two, F32));
        assert!(fits(Optimizer::Muon, F32, &one, F32) && fits(Optimizer::Muon, F32, &two, F32));
    }
}
