//! [`Hira`]: the weight times a low-rank product, element by element, `W' = W + W ∘ (A B)`.
//!
//! *HiRA: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models*, Huang et
//! al., ICLR 2025. The change has no form without the dense weight: a step forms it once for each
//! layer, `r · d_in · d_out` multiply-adds, and a packed base is unpacked for it.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each, dropped_input,
};
use serde::{Deserialize, Serialize};

/// HiRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiraConfig {
    /// The rank `r`, at least 1.
    pub rank: usize,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for HiraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl HiraConfig {
    /// Of this rank on every linear layer.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            dropout: 0.0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// Dropout on the adapter's input; needs [`ForwardPath::Factored`](crate::ForwardPath).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [d_in, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.rank.saturating_mul(d_in.saturating_add(d_out)),
            // The gradient of the dense change.
            products: d_in.saturating_mul(d_out),
            fixed: 0,
            kept: 0,
            keeps_input: true,
            // The change.
            formed: d_in.saturating_mul(d_out),
            forming: self
                .rank
                .saturating_mul(d_in)
                .saturating_mul(d_out)
                .saturating_mul(3),
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer| {
            let ([d_in, d_out], rank) = (layer.shape, self.rank);
            Ok([layer.kaiming([d_in, rank]), layer.zeros([rank, d_out])])
        })
    }

    /// As [`attach`](Self::attach), with `A`, `[d_in, rank]`, and `B`, `[rank, d_out]`, that
    /// `build` gives for a layer: of a file, for instance. It is asked for every layer, also after
    /// one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer) -> Result<[Tensor<2>; 2], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(PeftError::InvalidSetting {
                field: "dropout".into(),
                value: self.dropout.to_string(),
                expected: "at least 0 and below 1",
            });
        }
        let linear = [LayerKind::Linear];
        attach_each(model, name, &self.placement, &linear, |layer| {
            layer.check_rank(self.rank)?;
            let [a, b] = build(layer)?;
            Ok(Hira {
                a: Param::from_tensor(a),
                b: Param::from_tensor(b),
                dropout: DropoutConfig::new(self.dropout).init(),
            })
        })
    }
}

/// Factors of the weight's own elements.
#[derive(Module, Debug)]
pub struct Hira {
    /// `A`, `[d_in, rank]`.
    pub a: Param<Tensor<2>>,
    /// `B`, `[rank, d_out]`; zero at first.
    pub b: Param<Tensor<2>>,
    dropout: Dropout,
}

impl Hira {
    /// `W ∘ (A B)`.
    fn delta<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let factors = peft_kernels::matmul(self.a.val(), self.b.val());
        base.dense_in(factors.dtype()) * factors.reshape(base.dims())
    }
}

impl Adapter for Hira {
    const NAME: &'static str = "hira";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let delta = self.delta(base);
        base.dense_in(delta.dtype()) + delta
    }

    fn needs_factored_path(&self, training: bool) -> Option<&'static str> {
        dropped_input(&self.dropout, training)
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        let y = base.forward(x.clone());
        let x = self.dropout.forward(x.into_rows().cast(self.a.dtype()));
        let delta = peft_kernels::linear(x, self.delta(&base.weight()), None);
        let dtype = y.dtype();
        y + delta.cast(dtype)
    }
}
