//! [`Ia3Config`]: what to attach.

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{
    AttachReport, ForwardPath, Layer, LayerKind, Names, PeftError, Placement, Targets, attach,
};
use serde::{Deserialize, Serialize};

use crate::{Ia3, Ia3Side};

/// IA3 on the layers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ia3Config {
    /// The targets whose input is rescaled, and not their output. Default: none.
    pub feedforward: Option<Names>,
    /// Where the adapters go and what trains beside them.
    pub placement: Placement,
}

impl Ia3Config {
    /// IA3 on the outputs of `targets`.
    pub fn new(targets: Targets) -> Self {
        Self {
            feedforward: None,
            placement: Placement::new(targets),
        }
    }

    /// The targets whose input is rescaled, and not their output.
    pub fn with_feedforward(mut self, names: Names) -> Self {
        self.feedforward = Some(names);
        self
    }

    /// Modules that train whole, by suffix.
    pub fn with_modules_to_save<S: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = S>,
    ) -> Self {
        self.placement.modules_to_save = modules.into_iter().map(Into::into).collect();
        self
    }

    /// How the model reads its layers. A layer with a bias needs [`ForwardPath::Factored`].
    pub fn with_path(mut self, path: ForwardPath) -> Self {
        self.placement.path = path;
        self
    }

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        attach(
            model,
            name,
            &self.placement,
            &[LayerKind::Linear],
            |layers| self.adapters(layers),
        )
    }

    fn adapters(&self, layers: &[Layer]) -> Result<Vec<Ia3>, PeftError> {
        let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
        let feedforward = match &self.feedforward {
            Some(names) => names.matching("feed-forward target", &paths)?,
            None => vec![false; layers.len()],
        };
        Ok(layers
            .iter()
            .zip(feedforward)
            .map(|(layer, feedforward)| {
                let [d_in, d_out] = layer.shape;
                let (width, side) = if feedforward {
                    (d_in, Ia3Side::Input)
                } else {
                    let has_bias = layer.has_bias;
                    (d_out, Ia3Side::Output { has_bias })
                };
                Ia3::new(Tensor::ones([width], (&layer.device, DType::F32)), side)
            })
            .collect())
    }
}
