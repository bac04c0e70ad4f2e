//! [`VbloraConfig`]: what to attach, and the check that it can be.

use burn::module::{Module, Param};
use burn::nn::DropoutConfig;
use burn::tensor::{DType, Distribution, Tensor};
use peft_core::{
    AdapterCost, AttachReport, Layer, LayerKind, PeftError, Placed, Placement, SharedParam,
    Targets, attach,
};
use serde::{Deserialize, Serialize};

use super::Vblora;
use crate::vera::check_dropout;

/// The most vectors of a bank: each run has a logit for each.
const MOST_VECTORS: usize = 1 << 16;

/// VB-LoRA on the linear layers of a model: low-rank factors, each run of which is a mixture of a
/// few vectors of one bank that all layers share and that trains.
///
/// ```text
/// W' = W + A B,    A = [a₁ … a_r],  aᵢ = (Σₖ p_{i,1,k} vₖ, Σₖ p_{i,2,k} vₖ, …),
/// p = softmax over the top k of the logits, zero elsewhere
/// ```
///
/// and `B` likewise. *VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks*, Li et
/// al. 2024, [arXiv:2405.15179](https://arxiv.org/abs/2405.15179).
///
/// A fresh adapter changes the layer a little, as PEFT's does: the bank cannot be zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VbloraConfig {
    /// The rank, at least 1.
    pub rank: usize,
    /// How many vectors the bank has. Default: 256, as in PEFT.
    pub vectors: usize,
    /// The length of each, which divides both sides of every adapted layer. Default: 256, as in
    /// PEFT.
    pub vector_length: usize,
    /// How many vectors are mixed. Default: 2, as in PEFT.
    pub top_k: usize,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// The bank begins as `U(−b, b)`, by this `b`. Default: 0.02, as in PEFT.
    pub bank_bound: f64,
    /// The logits begin as `N(0, σ²)`, by this `σ`. Default: 0.1, as in PEFT.
    pub logits_deviation: f64,
    /// Whether a file has the places and weights of what is mixed alone, and not the logits of what
    /// is not: it is small, and what goes on from it keeps its choice. Default: no.
    pub saves_top_k: bool,
    /// What is adapted. Default: every linear layer.
    pub placement: Placement,
}

impl Placed for VbloraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl VbloraConfig {
    /// With the other settings as PEFT has them.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            vectors: 256,
            vector_length: 256,
            top_k: 2,
            dropout: 0.0,
            bank_bound: 0.02,
            logits_deviation: 0.1,
            saves_top_k: false,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// A bank of so many vectors of this length.
    #[must_use]
    pub fn with_bank(self, vectors: usize, vector_length: usize) -> Self {
        Self {
            vectors,
            vector_length,
            ..self
        }
    }

    /// How many vectors are mixed.
    #[must_use]
    pub fn with_top_k(self, top_k: usize) -> Self {
        Self { top_k, ..self }
    }

    /// Dropout on the adapter's input.
    #[must_use]
    pub fn with_dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// Files that have what is mixed alone.
    #[must_use]
    pub fn with_saves_top_k(self, saves_top_k: bool) -> Self {
        Self {
            saves_top_k,
            ..self
        }
    }

    /// How many runs the sides of a layer of this shape, `[d_in, d_out]`, are.
    pub fn runs(&self, [d_in, d_out]: [usize; 2]) -> [usize; 2] {
        [d_in, d_out].map(|side| side / self.vector_length.max(1))
    }

    /// What it costs on a linear layer of this shape, `[d_in, d_out]`, the bank left out: that is
    /// [`bank_parameters`](Self::bank_parameters) once.
    pub fn cost(&self, shape: [usize; 2]) -> AdapterCost {
        let [d_in, d_out] = shape;
        let [of_in, of_out] = self.runs(shape);
        let logits =
            (self.rank.saturating_mul(of_in.saturating_add(of_out))).saturating_mul(self.vectors);
        AdapterCost {
            parameters: logits,
            products: self.rank.saturating_mul(d_in.saturating_add(d_out)),
            fixed: 0,
            kept: self.rank,
            keeps_input: true,
            formed: 0,
            forming: 0,
        }
    }

    /// The values of the bank.
    pub fn bank_parameters(&self) -> usize {
        self.vectors.saturating_mul(self.vector_length)
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        let random = |of, layer: &Layer, shape: [usize; 3]| {
            Tensor::<3>::random(shape, of, (&layer.device, DType::F32))
        };
        self.attach_with(
            model,
            name,
            |first| {
                let of = Distribution::Uniform(-self.bank_bound, self.bank_bound);
                let shape = [1, self.vectors, self.vector_length];
                Ok(random(of, first, shape).reshape([self.vectors, self.vector_length]))
            },
            |layer| {
                let of = Distribution::Normal(0.0, self.logits_deviation);
                let shapes = self.logits_shapes(layer.shape);
                Ok(shapes.map(|shape| random(of, layer, shape)))
            },
        )
    }

    /// The shapes of the logits of a layer of this shape, `[d_in, d_out]`: `[rank, runs of d_in,
    /// vectors]` and `[runs of d_out, rank, vectors]`.
    pub fn logits_shapes(&self, shape: [usize; 2]) -> [[usize; 3]; 2] {
        let [of_in, of_out] = self.runs(shape);
        [
            [self.rank, of_in, self.vectors],
            [of_out, self.rank, self.vectors],
        ]
    }

    /// As [`attach`](Self::attach), with the bank that `bank` gives, `[vectors, vector_length]`,
    /// where the first layer is, and the [logits](Self::logits_shapes) that `build` gives for a
    /// layer, of a file for instance: asked for every layer, also after one that has failed, but
    /// not where there is no bank.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that these give.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        bank: impl FnOnce(&Layer) -> Result<Tensor<2>, PeftError>,
        mut build: impl FnMut(&Layer) -> Result<[Tensor<3>; 2], PeftError>,
    ) -> Result<AttachReport, PeftError> {
        self.check()?;
        attach(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layers| {
                layers
                    .iter()
                    .try_for_each(|layer| self.check_layer(layer))?;
                let Some(first) = layers.first() else {
                    return Ok(Vec::new());
                };
                let bank = SharedParam::new(bank(first)?);
                let built: Vec<Result<[Tensor<3>; 2], PeftError>> =
                    layers.iter().map(&mut build).collect();
                built
                    .into_iter()
                    .enumerate()
                    .map(|(at, logits)| {
                        let [logits_a, logits_b] = logits?;
                        Ok(Vblora {
                            logits_a: Param::from_tensor(logits_a),
                            logits_b: Param::from_tensor(logits_b),
                            bank: match at {
                                0 => bank.clone(),
                                _ => bank.beside(),
                            },
                            top_k: self.top_k,
                            saves_top_k: self.saves_top_k,
                            dropout: DropoutConfig::new(self.dropout).init(),
                        })
                    })
                    .collect()
            },
        )
    }

    fn check(&self) -> Result<(), PeftError> {
        check_dropout(self.dropout)?;
        let wrong = |field: &str, value: String, expected| {
            Err(PeftError::InvalidSetting {
                field: field.into(),
                value,
                expected,
            })
        };
        if !(1..=MOST_VECTORS).contains(&self.vectors) || self.vector_length == 0 {
            let value = format!("{} vectors of {} values", self.vectors, self.vector_length);
            let expected = "1 to 65536 vectors of at least one value";
            return wrong("the bank", value, expected);
        }
        if !(1..=self.vectors).contains(&self.top_k) {
            return wrong(
                "top k",
                self.top_k.to_string(),
                "at least 1, and at most the number of vectors",
            );
        }
        for (field, value) in [
            ("bound of the bank", self.bank_bound),
            ("deviation of the logits", self.logits_deviation),
        ] {
            if !((value as f32).is_finite() && value > 0.0) {
                return wrong(field, value.to_string(), "finite and above 0");
            }
        }
        Ok(())
    }

    fn check_layer(&self, layer: &Layer) -> Result<(), PeftError> {
        layer.check_rank(self.rank)?;
        let divides = |side: &usize| side.is_multiple_of(self.vector_length);
        match layer.shape.iter().all(divides) {
            true => Ok(()),
            false => Err(PeftError::InvalidSetting {
                field: format!("vector length on `{}`", layer.path),
                value: self.vector_length.to_string(),
                expected: "a divisor of both sides of every adapted layer: a smaller one, or fewer targets",
            }),
        }
    }
}
