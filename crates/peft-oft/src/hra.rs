//! [`Hra`]: a chain of reflections of the inputs, `W' = (I − 2 uᵣ uᵣᵀ) … (I − 2 u₁ u₁ᵀ) W`.
//!
//! A product of reflections is `I − U T Uᵀ` with a triangular `T`, whose inverse is the upper part
//! of `Uᵀ U` above the diagonal and `½` on it (*Accumulating Householder transformations,
//! revisited*, Joffrain et al. 2006): two products with the vectors, as LoRA has, and not one for
//! each of them.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each,
};
use serde::{Deserialize, Serialize};

use crate::cayley::{inverse, one};

/// HRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HraConfig {
    /// How many reflections; even, so that they begin as pairs that undo one another.
    pub rank: usize,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for HraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl HraConfig {
    /// So many reflections on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, _]: [usize; 2]) -> AdapterCost {
        let values = self.rank.saturating_mul(d_in);
        AdapterCost {
            parameters: values,
            products: values.saturating_mul(2),
            fixed: 0,
            kept: self.rank.saturating_mul(2),
            keeps_input: true,
            // The vectors on their way to length one.
            formed: values.saturating_mul(5),
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        if !self.rank.is_multiple_of(2) {
            return Err(PeftError::InvalidSetting {
                field: "rank".into(),
                value: self.rank.to_string(),
                expected: "even: reflections begin as pairs that undo one another",
            });
        }
        self.attach_with(model, name, |layer| {
            let [d_in, half] = [layer.shape[0], self.rank / 2];
            // Uniform by the length of a row, as PEFT draws them; only directions count.
            let vectors = layer.kaiming([half, d_in]).transpose();
            let twice = vectors.reshape([d_in, half, 1]).repeat_dim(2, 2);
            Ok(twice.reshape([d_in, self.rank]))
        })
    }

    /// As [`attach`](Self::attach), with the vectors that `build` gives for a layer,
    /// `[d_in, rank]`: of a file, for instance. It is asked for every layer, also after one that
    /// has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer) -> Result<Tensor<2>, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        attach_each(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layer| {
                layer.check_rank(self.rank)?;
                let vectors = Param::from_tensor(build(layer)?);
                Ok(Hra { vectors })
            },
        )
    }
}

/// Reflections of the inputs of a layer.
#[derive(Module, Debug)]
pub struct Hra {
    /// The vectors `u` before they are of length one, `[d_in, rank]`.
    pub vectors: Param<Tensor<2>>,
}

impl Hra {
    /// The vectors, of length one, `[d_in, rank]`, and `T` transposed, `[rank, rank]`.
    fn factors(&self) -> [Tensor<2>; 2] {
        let u = self.vectors.val();
        let u = u.clone() / u.square().sum_dim(0).sqrt();
        let [_, rank] = u.dims();
        let half = one(&u).mul_scalar(0.5);
        let inner = u.clone().transpose().matmul(u.clone()).triu(1) + half;
        let t = inverse(inner.unsqueeze()).reshape([rank, rank]);
        [u, t.transpose()]
    }
}

impl Adapter for Hra {
    const NAME: &'static str = "hra";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let dims = base.dims();
        let [u, t] = self.factors();
        let weight = base.dense_in(u.dtype()).reshape([dims[D - 2], dims[D - 1]]);
        let inner = t.matmul(u.clone().transpose().matmul(weight.clone()));
        (weight - u.matmul(inner)).reshape(dims)
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let x = x.into_rows();
        let dtype = x.dtype();
        let [u, t] = self.factors();
        let x = x.cast(u.dtype());
        let hidden = peft_kernels::linear(x.clone(), u.clone().matmul(t), None); // [rows, rank]
        let reflected = x - peft_kernels::linear(hidden, u.transpose(), None);
        base.forward(reflected.cast(dtype))
    }
}
