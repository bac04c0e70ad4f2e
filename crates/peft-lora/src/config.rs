//! [`LoraConfig`]: what to attach, and the check that it can be.

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{
    AttachReport, Layer, LayerKind, Patterns, PeftError, Placed, Placement, Targets, attach,
};
use serde::{Deserialize, Serialize};

use crate::{Lora, LoraInit};

/// How alpha and rank give the factor of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraScaling {
    /// `α / r`.
    #[default]
    Standard,
    /// `α / √r`.
    RankStabilised,
}

impl LoraScaling {
    /// The factor of the low-rank product.
    pub fn scale(self, rank: usize, alpha: f64) -> f64 {
        match self {
            Self::Standard => alpha / rank as f64,
            Self::RankStabilised => alpha / (rank as f64).sqrt(),
        }
    }
}

/// LoRA on the layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// The rank `r`, at least 1.
    pub rank: usize,
    /// `α`, finite.
    pub alpha: f64,
    /// How alpha and rank give the scale. Default: `α / r`.
    pub scaling: LoraScaling,
    /// Dropout probability on the adapter's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// What the factors start from. Default: Kaiming-uniform.
    pub init: LoraInit,
    /// DoRA: a magnitude for each column of the adapted weight. Default: none.
    #[serde(default)]
    pub dora: bool,
    /// A bias of `B`, on linear layers alone. Default: none.
    #[serde(default)]
    pub lora_bias: bool,
    /// LoRA-FA: `A` stays what it starts as, but on embeddings. Default: it trains.
    #[serde(default)]
    pub freeze_a: bool,
    /// Other ranks for some layers.
    pub rank_pattern: Patterns<usize>,
    /// Other alphas for some layers.
    pub alpha_pattern: Patterns<f64>,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl Placed for LoraConfig {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
}

impl LoraConfig {
    /// LoRA of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            scaling: LoraScaling::default(),
            dropout: 0.0,
            init: LoraInit::default(),
            dora: false,
            lora_bias: false,
            freeze_a: false,
            rank_pattern: Patterns::default(),
            alpha_pattern: Patterns::default(),
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// The scaling rule.
    pub fn with_scaling(mut self, scaling: LoraScaling) -> Self {
        self.scaling = scaling;
        self
    }

    /// Dropout on the adapter's input; needs
    /// [`ForwardPath::Factored`](peft_core::ForwardPath::Factored).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// What the factors start from.
    pub fn with_init(mut self, init: LoraInit) -> Self {
        self.init = init;
        self
    }

    /// With a magnitude for each column of the adapted weight, or without.
    pub fn with_dora(mut self, dora: bool) -> Self {
        self.dora = dora;
        self
    }

    /// With a bias of `B`, which needs
    /// [`ForwardPath::Factored`](peft_core::ForwardPath::Factored), or without.
    pub fn with_lora_bias(mut self, lora_bias: bool) -> Self {
        self.lora_bias = lora_bias;
        self
    }

    /// With an `A` that stays what it starts as, or trains.
    pub fn with_freeze_a(mut self, freeze_a: bool) -> Self {
        self.freeze_a = freeze_a;
        self
    }

    /// Other ranks for some layers.
    pub fn with_rank_pattern(mut self, pattern: Patterns<usize>) -> Self {
        self.rank_pattern = pattern;
        self
    }

    /// Other alphas for some layers.
    pub fn with_alpha_pattern(mut self, pattern: Patterns<f64>) -> Self {
        self.alpha_pattern = pattern;
        self
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, rank, scale| {
            self.fresh(layer, rank, scale)
        })
    }

    /// The config of plain LoRA that acts as what was trained by this one: of twice the rank where
    /// the factors begin at others than zero ([`Lora::acting`]), as PEFT converts it.
    pub fn of_acting(&self) -> Self {
        if !self.init.begins_elsewhere() {
            return self.clone();
        }
        // Of so much larger an alpha that the scale is the same.
        let larger = match self.scaling {
            LoraScaling::Standard => 2.0,
            LoraScaling::RankStabilised => 2f64.sqrt(),
        };
        let ranks = self.rank_pattern.iter();
        let alphas = self.alpha_pattern.iter();
        Self {
            rank: 2 * self.rank,
            alpha: larger * self.alpha,
            init: LoraInit::default(),
            rank_pattern: Patterns::new(ranks.map(|(at, rank)| (at, 2 * rank))),
            alpha_pattern: Patterns::new(alphas.map(|(at, alpha)| (at, larger * alpha))),
            ..self.clone()
        }
    }

    /// As [`attach`](Self::attach), with the adapter that `build` makes for a layer, its rank and
    /// its scale: of a file's tensors, for instance. It is asked for every layer, also after one
    /// that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize, f64) -> Result<Lora, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        self.check()?;
        let supported = [LayerKind::Linear, LayerKind::Embedding, LayerKind::Conv];
        attach(model, name, &self.placement, &supported, |layers| {
            let sizes = self.sizes(layers)?;
            let built: Vec<Result<Lora, PeftError>> = layers
                .iter()
                .zip(sizes)
                .map(|(layer, (rank, scale))| build(layer, rank, scale))
                .collect();
            built.into_iter().collect()
        })
    }

    fn check(&self) -> Result<(), PeftError> {
        let wrong = |field: &str, value: String, expected| PeftError::InvalidSetting {
            field: field.into(),
            value,
            expected,
        };
        let ranks = self.rank_pattern.iter();
        if let Some((at, _)) = [("rank", &self.rank)]
            .into_iter()
            .chain(ranks)
            .find(|(_, rank)| **rank == 0)
        {
            return Err(wrong(&field(at, "rank"), "0".into(), "at least 1"));
        }
        let alphas = self.alpha_pattern.iter();
        if let Some((at, alpha)) = [("alpha", &self.alpha)]
            .into_iter()
            .chain(alphas)
            .find(|(_, alpha)| !(**alpha as f32).is_finite())
        {
            return Err(wrong(
                &field(at, "alpha"),
                format!("{alpha:e}"),
                "finite in f32",
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(wrong(
                "dropout",
                self.dropout.to_string(),
                "at least 0 and below 1",
            ));
        }
        let beside = "false beside another init than Kaiming-uniform, and beside DoRA, as in PEFT";
        if self.lora_bias && (self.dora || self.init != LoraInit::KaimingUniform) {
            return Err(wrong("bias of B", "true".into(), beside));
        }
        let svd = cfg!(feature = "svd") || !self.init.decomposes();
        if !svd {
            return Err(wrong(
                "init",
                format!("{:?}", self.init),
                "another one where the crate's feature `svd` is off",
            ));
        }
        Ok(())
    }

    /// The rank and the scale on each of these layers, of a config whose settings are sound.
    #[cfg(feature = "svd")]
    pub(crate) fn sizes_of(&self, layers: &[Layer]) -> Result<Vec<(usize, f64)>, PeftError> {
        self.check()?;
        self.sizes(layers)
    }

    /// The rank and the scale on each of these layers.
    fn sizes(&self, layers: &[Layer]) -> Result<Vec<(usize, f64)>, PeftError> {
        let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
        let ranks = self
            .rank_pattern
            .resolve("rank pattern", &paths, &self.rank)?;
        let alphas = self
            .alpha_pattern
            .resolve("alpha pattern", &paths, &self.alpha)?;
        let mut each = layers.iter().zip(&ranks);
        each.try_for_each(|(layer, rank)| layer.check_rank(*rank))?;
        let scale = |(rank, alpha)| (rank, self.scaling.scale(rank, alpha));
        Ok(ranks.into_iter().zip(alphas).map(scale).collect())
    }

    fn fresh(&self, layer: &Layer, rank: usize, scale: f64) -> Result<Lora, PeftError> {
        self.begun(self.init.factors(layer, rank, scale)?, layer, scale)
    }

    /// An adapter that begins with these factors, with what the config has beside them.
    pub(crate) fn begun(
        &self,
        [a, b]: [Tensor<2>; 2],
        layer: &Layer,
        scale: f64,
    ) -> Result<Lora, PeftError> {
        let lora = match self.init.begins_elsewhere() {
            true => Lora::from_initial(a, b, scale, self.dropout),
            false => Lora::new(a, b, scale, self.dropout),
        };
        self.dressed(lora, layer)
    }

    /// Fresh factors with what the config has beside them.
    pub(crate) fn dressed(&self, lora: Lora, layer: &Layer) -> Result<Lora, PeftError> {
        let lora = match self.lora_bias {
            true => {
                let [_, d_out] = layer.shape;
                let zeros = Tensor::zeros([d_out], (&layer.device, DType::F32));
                self.with_bias_of(lora, layer, zeros)?
            }
            false => lora,
        };
        let lora = match self.dora {
            true => lora.with_magnitude_of(&layer.frozen_weight()),
            false => lora,
        };
        Ok(self.settled(lora, layer))
    }

    /// An adapter with its bias, `[d_out]`.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] on a layer that takes none.
    pub fn with_bias_of(
        &self,
        lora: Lora,
        layer: &Layer,
        bias: Tensor<1>,
    ) -> Result<Lora, PeftError> {
        if layer.kind == LayerKind::Embedding {
            return Err(PeftError::InvalidSetting {
                field: format!("bias of B on `{}`", layer.path),
                value: "true".into(),
                expected: "false: an embedding takes none, in PEFT neither",
            });
        }
        Ok(lora.with_bias(bias, layer.has_bias))
    }

    /// An adapter of which trains what the config says; on an embedding `A` does in any case, as in
    /// PEFT, since it begins at zero.
    pub fn settled(&self, lora: Lora, layer: &Layer) -> Lora {
        match self.freeze_a && layer.kind == LayerKind::Linear {
            true => lora.with_frozen_a(),
            false => lora,
        }
    }
}

/// `rank`, or `rank of PATTERN`.
fn field(at: &str, setting: &str) -> String {
    if at == setting {
        setting.into()
    } else {
        format!("{setting} of `{at}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        assert_eq!(LoraScaling::Standard.scale(8, 16.0), 2.0);
        assert_eq!(LoraScaling::RankStabilised.scale(16, 6.0), 1.5);
    }

    #[test]
    fn settings_are_checked() {
        let checked = |config: LoraConfig| config.check().map_err(|error| error.to_string());
        assert_eq!(checked(LoraConfig::new(1, -2.0).with_dropout(0.99)), Ok(()));
        let rank = LoraConfig::new(1, 1.0).with_rank_pattern(Patterns::new([("a", 2), ("b", 0)]));
        let message = "rank of `b` is 0, but must be at least 1";
        assert_eq!(checked(rank), Err(message.into()));
        let alpha = Patterns::new([("a", f64::INFINITY)]);
        let message = "alpha of `a` is inf, but must be finite in f32";
        assert_eq!(
            checked(LoraConfig::new(1, 1.0).with_alpha_pattern(alpha)),
            Err(message.into())
        );
        for dropout in [-0.1, 1.0, f64::NAN] {
            assert!(checked(LoraConfig::new(1, 1.0).with_dropout(dropout)).is_err());
        }
    }
}
