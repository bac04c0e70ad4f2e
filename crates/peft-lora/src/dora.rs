//! [`Magnitude`]: what DoRA adds to a low-rank adapter, `W' = m ∘ (W + s · A B) / ‖W + s · A B‖` by
//! column. *DoRA: Weight-Decomposed Low-Rank Adaptation*, Liu et al. 2024,
//! [arXiv:2402.09353](https://arxiv.org/abs/2402.09353).
//!
//! The norms are those of the whole weight and are made of low-rank products:
//! `‖W + s A B‖² = ‖W‖² + 2 s ⟨Aᵀ W, B⟩ + s² ⟨Aᵀ A B, B⟩`, where `‖W‖²` is computed once. As in
//! PEFT and in section 4.3 of the paper they are constants to a gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::FrozenWeight;
use peft_kernels::is_same_tensor;

/// A column whose sum of squares is below this part of what it is made of is computed from its
/// elements: what cancels in f32 would be a part of 10⁻⁶ of the whole.
const CANCELS: f64 = 1.0 / 16.0;

/// The magnitudes of a weight's columns.
#[derive(Module, Debug)]
pub struct Magnitude {
    /// `m`: `[d_out]` on a linear layer, `[d_model]` on an embedding.
    pub vector: Param<Tensor<1>>,
    norms: KeptNorms,
}

/// The low-rank part of a weight.
pub(crate) struct Factors {
    /// `[d_in, rank]`.
    pub(crate) a: Tensor<2>,
    /// `[rank, d_out]`.
    pub(crate) b: Tensor<2>,
    pub(crate) scale: f64,
}

impl Magnitude {
    /// One of this vector.
    pub(crate) fn new(vector: Tensor<1>) -> Self {
        Self {
            vector: Param::from_tensor(vector),
            norms: KeptNorms::default(),
        }
    }

    /// The one that changes nothing: the norms themselves.
    pub(crate) fn of(base: &FrozenWeight, factors: &Factors) -> Self {
        let norms = KeptNorms::default().norms(base, factors);
        let (device, dtype) = (factors.a.device(), norms.dtype());
        Self::new(Tensor::from_data(norms.into_data(), (&device, dtype)))
    }

    /// `m / ‖W + s A B‖`, `[d_out]`.
    pub(crate) fn factors(&self, base: &FrozenWeight, factors: &Factors) -> Tensor<1> {
        let norms = self.norms.norms(base, factors);
        // A column of zeros has no direction, and stays one.
        self.vector.val() / norms.clamp_min(f32::MIN_POSITIVE)
    }
}

/// Norms, as long as what they were made of is there unchanged.
#[derive(Debug, Clone, Default)]
struct KeptNorms(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// A weight, and `‖W‖²` by column.
    squares: Option<(FrozenWeight, Tensor<1>)>,
    /// Weight and factors, and the norms; not while they train.
    norms: Option<(FrozenWeight, [Tensor<2>; 2], Tensor<1>)>,
}

impl KeptNorms {
    /// `‖W + s A B‖` by column, a constant to autodiff.
    fn norms(&self, base: &FrozenWeight, of: &Factors) -> Tensor<1> {
        let trains = of.a.is_autodiff() || of.b.is_autodiff();
        let base = base.without_autodiff();
        let factors = [&of.a, &of.b].map(|factor| factor.clone().without_autodiff());
        let (known_squares, known_norms) = {
            let kept = self.kept();
            (kept.squares.clone(), kept.norms.clone())
        };
        if let Some((of, made_of, norms)) = known_norms
            && of.is_same(&base)
            && made_of
                .iter()
                .zip(&factors)
                .all(|(a, b)| is_same_tensor(a, b))
        {
            return norms;
        }
        let dtype = factors[0].dtype();
        let squares = known_squares
            .filter(|(of, squares)| of.is_same(&base) && squares.dtype() == dtype)
            .map_or_else(|| base.column_squares(dtype), |(_, squares)| squares);
        let norms = column_norms(&base, squares.clone(), &factors, of.scale);
        // Kept where a weight is told from another.
        if base.is_same(&base) {
            let mut kept = self.kept();
            kept.norms = (!trains).then(|| (base.clone(), factors, norms.clone()));
            kept.squares = Some((base, squares));
        }
        norms
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `‖W + s A B‖` by column, of `‖W‖²` by column.
fn column_norms(
    base: &FrozenWeight,
    squares: Tensor<1>,
    [a, b]: &[Tensor<2>; 2],
    scale: f64,
) -> Tensor<1> {
    let d_out = b.dims()[1];
    let dtype = squares.dtype();
    let along = |rows: Tensor<2>| (rows.cast(dtype) * b.clone()).sum_dim(0).reshape([d_out]);
    let across = a.clone().transpose(); // [rank, d_in]
    let crossed = along(base.product(across.clone(), None)).mul_scalar(2.0 * scale);
    let own = along(across.matmul(a.clone()).matmul(b.clone())).mul_scalar(scale * scale);
    let parts = squares.clone() + own.clone() + crossed.clone().abs();
    let sums = squares + own + crossed;
    let cancels = sums.clone().lower(parts.mul_scalar(CANCELS));
    let cancels: Vec<bool> = cancels.into_data().iter::<bool>().collect();
    let columns: Vec<usize> = (0..d_out).filter(|column| cancels[*column]).collect();
    if columns.is_empty() {
        return sums.sqrt();
    }
    let n = columns.len();
    let indices: Vec<i32> = columns.iter().map(|column| *column as i32).collect();
    let indices = Tensor::from_data(TensorData::new(indices, [n]), &sums.device());
    let low_rank = a
        .clone()
        .matmul(b.clone().select(1, indices).mul_scalar(scale));
    let exact = base.columns(&columns).cast(dtype) + low_rank; // [d_in, n]
    let exact: Vec<f64> = exact.square().sum_dim(0).into_data().iter().collect();
    let device = sums.device();
    let mut sums: Vec<f64> = sums.into_data().iter().collect();
    for (column, exact) in columns.into_iter().zip(exact) {
        sums[column] = exact;
    }
    Tensor::<1>::from_data(TensorData::new(sums, [d_out]), (&device, dtype)).sqrt()
}

/// It holds no parameters, and what it keeps is told from what it is not of: so clones, and forks
/// on one device, are the same.
impl Module for KeptNorms {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        devices
    }

    fn fork(self, device: &Device) -> Self {
        let here = device.clone().without_autodiff();
        let kept = self.kept().squares.clone();
        match kept.is_some_and(|(_, squares)| squares.device() != here) {
            true => Self::default(),
            false => self,
        }
    }

    fn to_device(self, _device: &Device) -> Self {
        Self::default()
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        // Of what no longer changes more is kept, and not longer than it is used.
        let squares = self.kept().squares.clone();
        Self(Arc::new(Mutex::new(Kept {
            squares,
            norms: None,
        })))
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, _visitor: &mut V) {}

    fn map<M: ModuleMapper>(self, _mapper: &mut M) -> Self {
        self
    }
}

impl ModuleDisplay for KeptNorms {}

impl ModuleDisplayDefault for KeptNorms {
    fn content(&self, content: Content) -> Option<Content> {
        content.optional()
    }
}
