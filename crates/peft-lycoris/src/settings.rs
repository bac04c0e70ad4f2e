//! [`LycorisSettings`]: what the methods of this crate have in common.

use burn::module::Module;
use peft_core::{
    Adapter, AttachReport, Layer, LayerKind, Patterns, PeftError, Placement, Targets, attach,
};
use serde::{Deserialize, Serialize};

/// Ranks, scale, dropout and place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LycorisSettings {
    /// The rank `r`, at least 1.
    pub rank: usize,
    /// `α`, finite; the scale is `α / r`.
    pub alpha: f64,
    /// Other ranks for some layers. Default: none.
    pub rank_pattern: Patterns<usize>,
    /// Other alphas for some layers. Default: none.
    pub alpha_pattern: Patterns<f64>,
    /// The probability with which an output of a layer gets nothing from the adapter in a step, in
    /// `[0, 1)`. Default: 0.
    pub rank_dropout: f64,
    /// The probability with which all outputs get nothing, in `[0, 1)`. Default: 0.
    pub module_dropout: f64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

impl LycorisSettings {
    /// Of this rank and alpha on every linear layer.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            rank_pattern: Patterns::default(),
            alpha_pattern: Patterns::default(),
            rank_dropout: 0.0,
            module_dropout: 0.0,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// Attach what `build` makes for a layer, its rank and its scale.
    pub(crate) fn attach<M: Module, A: Adapter>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, usize, f64) -> Result<A, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        self.check()?;
        attach(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layers| {
                let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
                let ranks = (self.rank_pattern).resolve("rank pattern", &paths, &self.rank)?;
                let alphas = (self.alpha_pattern).resolve("alpha pattern", &paths, &self.alpha)?;
                let mut sizes = layers.iter().zip(&ranks);
                sizes.try_for_each(|(layer, rank)| layer.check_rank(*rank))?;
                let each = layers.iter().zip(ranks).zip(alphas);
                let built: Vec<Result<A, PeftError>> = each
                    .map(|((layer, rank), alpha)| build(layer, rank, alpha / rank as f64))
                    .collect();
                built.into_iter().collect()
            },
        )
    }

    fn check(&self) -> Result<(), PeftError> {
        let wrong = |field: &str, value: f64, expected| PeftError::InvalidSetting {
            field: field.into(),
            value: format!("{value:e}"),
            expected,
        };
        let patterns = self.alpha_pattern.iter().map(|(_, alpha)| *alpha);
        let mut alphas = patterns.chain([self.alpha]);
        if let Some(alpha) = alphas.find(|alpha| !(*alpha as f32).is_finite()) {
            return Err(wrong("alpha", alpha, "finite in f32"));
        }
        let dropouts = [
            ("rank dropout", self.rank_dropout),
            ("module dropout", self.module_dropout),
        ];
        let mut dropouts = dropouts.into_iter();
        match dropouts.find(|(_, dropout)| !(0.0..1.0).contains(dropout)) {
            Some((field, dropout)) => Err(wrong(field, dropout, "at least 0 and below 1")),
            None => Ok(()),
        }
    }
}
