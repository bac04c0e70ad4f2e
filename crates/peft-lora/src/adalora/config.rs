//! [`AdaLoraConfig`]: what to attach, and how the budget of ranks falls.

use burn::module::Module;
use burn::tensor::{DType, Distribution, Tensor};
use peft_core::{
    AttachReport, Layer, LayerKind, PeftError, Placed, Placement, Targets, attach_each,
};
use serde::{Deserialize, Serialize};

use super::AdaLora;

/// AdaLoRA on the linear layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaLoraConfig {
    /// The rank of each layer at first, at least 1.
    pub init_rank: usize,
    /// The mean rank of a layer at the end.
    pub target_rank: usize,
    /// `α`, finite; the scale is `α / init_rank`.
    pub alpha: f64,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// Steps in which all ranks are left. Default: 0.
    pub t_init: usize,
    /// Steps at the end in which what is left stays. Default: 0.
    pub t_final: usize,
    /// Steps between two looks at the ranks. Default: 1.
    pub delta_t: usize,
    /// How much of an importance is that of the steps before, above 0 and below 1. Default: 0.85.
    pub beta_1: f64,
    /// The same of its uncertainty. Default: 0.85.
    pub beta_2: f64,
    /// What being far from orthonormal adds to the loss. Default: 0.5.
    pub orthogonal_weight: f64,
    /// The steps of the run, which PEFT's file asks for.
    pub total_steps: Option<usize>,
    /// The ranks of each layer that there were at first and whether each is left, by the layer's
    /// path; of a layer that is not here all are. A file says it.
    pub ranks: Vec<(String, Vec<bool>)>,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for AdaLoraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl AdaLoraConfig {
    /// From a rank to another on every linear layer.
    pub fn new(init_rank: usize, target_rank: usize, alpha: f64) -> Self {
        Self {
            init_rank,
            target_rank,
            alpha,
            dropout: 0.0,
            t_init: 0,
            t_final: 0,
            delta_t: 1,
            beta_1: 0.85,
            beta_2: 0.85,
            orthogonal_weight: 0.5,
            total_steps: None,
            ranks: Vec::new(),
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// Steps before the budget falls and after it has, and between two looks at the ranks.
    pub fn with_steps(mut self, t_init: usize, t_final: usize, delta_t: usize) -> Self {
        (self.t_init, self.t_final, self.delta_t) = (t_init, t_final, delta_t);
        self
    }

    /// Dropout on the adapter's input; needs
    /// [`ForwardPath::Factored`](peft_core::ForwardPath::Factored).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What being far from orthonormal adds to the loss.
    pub fn with_orthogonal_weight(mut self, weight: f64) -> Self {
        self.orthogonal_weight = weight;
        self
    }

    /// Attach to `model` under `name`, with room for what a [`RankAllocator`](super::RankAllocator)
    /// knows of each element: twice the memory of the adapters. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, kept| {
            let options = || (&layer.device, DType::F32);
            let [d_in, d_out] = layer.shape;
            let rank = kept.iter().filter(|kept| **kept).count();
            let normal = |shape: [usize; 2]| {
                Tensor::<2>::random(shape, Distribution::Normal(0.0, 0.02), options())
            };
            let parts = (
                normal([d_in, rank]),
                Tensor::zeros([rank], options()),
                normal([rank, d_out]),
            );
            Ok(AdaLora::new(parts, self.alpha, kept.to_vec(), self.dropout).with_importance())
        })
    }

    /// As [`attach`](Self::attach), with the adapter that `build` makes for a layer and the ranks
    /// that it has: of a file's tensors, for instance. It is asked for every layer, also after one
    /// that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, &[bool]) -> Result<AdaLora, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        self.check()?;
        let supported = [LayerKind::Linear];
        attach_each(model, name, &self.placement, &supported, |layer| {
            layer.check_rank(self.init_rank)?;
            let mut told = self.ranks.iter();
            match told.find(|(path, _)| *path == layer.path) {
                Some((_, ranks)) => build(layer, ranks),
                None => build(layer, &vec![true; self.init_rank]),
            }
        })
    }

    /// Whether the settings can be.
    pub(super) fn check(&self) -> Result<(), PeftError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        let checks = [
            (
                "rank at first",
                self.init_rank.to_string(),
                self.init_rank > 0,
                "at least 1",
            ),
            (
                "rank at the end",
                self.target_rank.to_string(),
                (1..=self.init_rank).contains(&self.target_rank),
                "at least 1 and at most that at first",
            ),
            (
                "alpha",
                format!("{:e}", self.alpha),
                (self.alpha as f32).is_finite(),
                "finite in f32",
            ),
            (
                "dropout",
                self.dropout.to_string(),
                (0.0..1.0).contains(&self.dropout),
                "at least 0 and below 1",
            ),
            (
                "steps between two looks at the ranks",
                self.delta_t.to_string(),
                self.delta_t > 0,
                "at least 1",
            ),
            (
                "β₁",
                self.beta_1.to_string(),
                share(self.beta_1),
                "above 0 and below 1",
            ),
            (
                "β₂",
                self.beta_2.to_string(),
                share(self.beta_2),
                "above 0 and below 1",
            ),
            (
                "weight of the orthogonal penalty",
                self.orthogonal_weight.to_string(),
                self.orthogonal_weight >= 0.0 && self.orthogonal_weight.is_finite(),
                "at least 0",
            ),
        ];
        let wrong = checks.into_iter().find(|(_, _, right, _)| !right);
        match wrong {
            None => Ok(()),
            Some((field, value, _, expected)) => Err(PeftError::InvalidSetting {
                field: field.into(),
                value,
                expected,
            }),
        }
    }
}
