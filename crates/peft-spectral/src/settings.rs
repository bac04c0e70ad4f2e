//! [`SpectrumSettings`]: what the methods have in common that train some coefficients.

use burn::module::Module;
use peft_core::{
    Adapter, AttachReport, Layer, LayerKind, Patterns, PeftError, Placement, Targets, TorchRandom,
    attach,
};
use serde::{Deserialize, Serialize};

/// How many coefficients there are and where, and the scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpectrumSettings {
    /// How many coefficients a layer has, at least 1 and at most as many as its weight has values.
    pub coefficients: usize,
    /// Other numbers for some layers. Default: none.
    pub pattern: Patterns<usize>,
    /// The scale `s`, finite.
    pub scaling: f64,
    /// By what their places are drawn. Default: 777.
    pub seed: u64,
    /// Where the adapters go and what trains beside them. Default: every linear layer, nothing
    /// beside.
    pub placement: Placement,
}

/// A coefficient's place in a weight: its output and its input.
pub(crate) type Place = [usize; 2];

impl SpectrumSettings {
    /// So many coefficients of this scale on every linear layer.
    pub fn new(coefficients: usize, scaling: f64) -> Self {
        Self {
            coefficients,
            pattern: Patterns::default(),
            scaling,
            seed: 777,
            placement: Placement::new(Targets::all_linear()),
        }
    }

    /// The places of so many coefficients of a weight of this shape, `[d_in, d_out]`: those that
    /// PEFT draws.
    pub(crate) fn places(&self, [d_in, d_out]: [usize; 2], n: usize) -> Vec<Place> {
        let drawn = TorchRandom::new(self.seed).permuted(d_in * d_out, n);
        drawn.into_iter().map(|at| [at / d_in, at % d_in]).collect()
    }

    /// Attach what `build` makes of a layer and its number of coefficients; `shares` has them
    /// spread by the sizes of the layers instead.
    pub(crate) fn attach<M: Module, A: Adapter>(
        &self,
        model: &mut M,
        name: &str,
        shares: bool,
        mut build: impl FnMut(&Layer, usize) -> Result<A, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let wrong = |field: String, value: String, expected| PeftError::InvalidSetting {
            field,
            value,
            expected,
        };
        if !(self.scaling as f32).is_finite() {
            let scaling = format!("{:e}", self.scaling);
            return Err(wrong("scaling".into(), scaling, "finite in f32"));
        }
        let linear = [LayerKind::Linear];
        attach(model, name, &self.placement, &linear, |layers| {
            let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
            let numbers = match shares {
                true => self.shares(layers),
                false => {
                    self.pattern
                        .resolve("pattern of coefficients", &paths, &self.coefficients)?
                }
            };
            let each = || layers.iter().zip(&numbers);
            for (layer, n) in each() {
                let [d_in, d_out] = layer.shape;
                let all = d_in.saturating_mul(d_out);
                if *n == 0 || *n > all || i32::try_from(all).is_err() {
                    let field = format!("coefficients of `{}`", layer.path);
                    let expected = "at least 1, and at most as many as the weight has values, of which there are fewer than 2³¹";
                    return Err(wrong(field, n.to_string(), expected));
                }
            }
            let built: Vec<Result<A, PeftError>> =
                each().map(|(layer, n)| build(layer, *n)).collect();
            built.into_iter().collect()
        })
    }

    /// As many as there would be together, for each layer by its part of all values.
    fn shares(&self, layers: &[Layer]) -> Vec<usize> {
        let values = |layer: &Layer| layer.shape[0] as f64 * layer.shape[1] as f64;
        let all: f64 = layers.iter().map(values).sum();
        let budget = self.coefficients as f64 * layers.len() as f64;
        let share = |layer| (values(layer) / all * budget).round_ties_even().max(1.0) as usize;
        layers.iter().map(share).collect()
    }
}
