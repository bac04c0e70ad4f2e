//! [`Road`]: outputs in pairs, each rotated and scaled, `y' = y ∘ c₁ + turn(y) ∘ c₂`.
//!
//! In groups of `g` outputs the first half is paired with the second, `turn(y) = (−y₂, y₁)`, and
//! `c₁ = α cos θ`, `c₂ = α sin θ`. The bias is turned with the rest.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use peft_core::{
    Adapter, AdapterCost, AttachReport, FrozenLinear, FrozenWeight, Layer, LayerInput, LayerKind,
    PeftError, Placed, Placement, Targets, attach_each,
};
use serde::{Deserialize, Serialize};

/// Which angles and scales there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoadVariant {
    /// One of each for a pair.
    #[default]
    Pair,
    /// One for each output.
    Output,
    /// Two for each output, one for the cosine and one for the sine.
    Both,
}

impl RoadVariant {
    /// How many angles there are for so many outputs.
    pub fn size(self, d_out: usize) -> usize {
        match self {
            Self::Pair => d_out / 2,
            Self::Output => d_out,
            Self::Both => d_out.saturating_mul(2),
        }
    }
}

/// RoAd on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoadConfig {
    /// Which angles and scales there are. Default: one of each for a pair.
    pub variant: RoadVariant,
    /// How many outputs a group has, even; it divides those of each layer. Default: 64.
    pub group: usize,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Default for RoadConfig {
    fn default() -> Self {
        Self {
            variant: RoadVariant::default(),
            group: 64,
            placement: Placement::new(Targets::all_linear()),
        }
    }
}

impl Placed for RoadConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl RoadConfig {
    /// In groups of so many outputs on every linear layer.
    pub fn new(group: usize) -> Self {
        Self {
            group,
            ..Self::default()
        }
    }

    /// Which angles and scales there are.
    pub fn with_variant(mut self, variant: RoadVariant) -> Self {
        self.variant = variant;
        self
    }

    /// What one is on a layer of this shape, `[d_in, d_out]`.
    pub fn cost(&self, [_, d_out]: [usize; 2]) -> AdapterCost {
        AdapterCost {
            parameters: self.variant.size(d_out).saturating_mul(2),
            products: d_out.saturating_mul(2),
            fixed: 0,
            kept: d_out.saturating_mul(2),
            keeps_input: false,
            formed: 0,
            forming: 0,
        }
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; [`PeftError::InvalidSetting`] for a group that
    /// does not divide a layer's outputs.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| {
            let zeros = || layer.zeros([n]);
            Ok([zeros(), zeros().add_scalar(1.0)])
        })
    }

    /// As [`attach`](Self::attach), with the angles and the scales, so many of each, that `build`
    /// gives for a layer: of a file, for instance. It is asked for every layer, also after one that
    /// has failed.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach); the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize) -> Result<[Tensor<1>; 2], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        attach_each(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layer| {
                let [_, d_out] = layer.shape;
                let group = self.group;
                if group == 0 || !group.is_multiple_of(2) || !d_out.is_multiple_of(group) {
                    return Err(PeftError::InvalidSetting {
                        field: format!("group of `{}`, which has {d_out} outputs,", layer.path),
                        value: group.to_string(),
                        expected: "even and a divisor of them",
                    });
                }
                let [theta, alpha] = build(layer, self.variant.size(d_out))?;
                Ok(Road {
                    theta: Param::from_tensor(theta),
                    alpha: Param::from_tensor(alpha),
                    variant: self.variant,
                    group,
                    has_bias: layer.has_bias,
                })
            },
        )
    }
}

/// Rotations and scales of pairs of a layer's outputs.
#[derive(Module, Debug)]
pub struct Road {
    /// `θ`; zero at first.
    pub theta: Param<Tensor<1>>,
    /// `α`; one at first.
    pub alpha: Param<Tensor<1>>,
    #[module(skip)]
    variant: RoadVariant,
    group: usize,
    has_bias: bool,
}

impl Road {
    /// `c₁` and `c₂`, `[1, d_out]` each.
    fn columns(&self) -> [Tensor<2>; 2] {
        let (theta, alpha) = (self.theta.val(), self.alpha.val());
        let ([n], half) = (theta.dims(), self.group / 2);
        let [theta, alpha] = [theta, alpha].map(|vector| match self.variant {
            // The same for both of a pair, and for the cosine and the sine.
            RoadVariant::Pair => {
                let of_groups = vector.reshape([n / half, 1, half]).repeat_dim(1, 2);
                let all = of_groups.reshape([1, 2 * n]);
                [all.clone(), all]
            }
            RoadVariant::Output => {
                let all = vector.reshape([1, n]);
                [all.clone(), all]
            }
            RoadVariant::Both => {
                let of_groups = vector.reshape([n / (2 * self.group), 2, self.group]);
                [0, 1].map(|at| of_groups.clone().narrow(1, at, 1).reshape([1, n / 2]))
            }
        });
        let ([of_cos, of_sin], [first, second]) = (theta, alpha);
        [first * of_cos.cos(), second * of_sin.sin()]
    }

    /// Rows of outputs, `[rows, d_out]`, turned.
    fn turned(&self, y: Tensor<2>) -> Tensor<2> {
        let ([rows, d_out], half) = (y.dims(), self.group / 2);
        let dtype = y.dtype();
        let y = y.cast(self.theta.dtype());
        let pairs = y.clone().reshape([rows, d_out / self.group, 2, half]);
        let (first, second) = (pairs.clone().narrow(2, 0, 1), pairs.narrow(2, 1, 1));
        let turn = Tensor::cat(vec![second.neg(), first], 2).reshape([rows, d_out]);
        let [c1, c2] = self.columns();
        (y * c1 + turn * c2).cast(dtype)
    }

    /// Which angles and scales it has.
    pub fn variant(&self) -> RoadVariant {
        self.variant
    }
}

impl Adapter for Road {
    const NAME: &'static str = "road";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let dims = base.dims();
        let weight = base.dense_in(self.theta.dtype());
        self.turned(weight.reshape([dims[D - 2], dims[D - 1]]))
            .reshape(dims)
    }

    fn bias(&self, base: Tensor<1>) -> Tensor<1> {
        let dims = base.dims();
        self.turned(base.unsqueeze()).reshape(dims)
    }

    fn needs_factored_path(&self, _training: bool) -> Option<&'static str> {
        self.has_bias
            .then_some("it turns the layer's bias too, which the weight does not hold")
    }

    fn shares_input(&self) -> bool {
        true
    }

    fn linear(&self, x: LayerInput, base: &FrozenLinear<'_>) -> Tensor<2> {
        self.turned(base.forward(x))
    }
}
