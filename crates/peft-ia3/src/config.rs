//! [`Ia3Config`]: what to attach.

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{
    AttachReport, Layer, LayerKind, Names, PeftError, Placed, Placement, Targets, attach,
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

impl Placed for Ia3Config {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    fn placement_mut(&mut self) -> &mut Placement {
        &mut self.placement
    }
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

    /// Attach to `model` under `name`. Base parameters are frozen.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, side| {
            let ones = Tensor::ones([side.width(layer)], (&layer.device, DType::F32));
            Ok(Ia3::new(ones, side))
        })
    }

    /// As [`attach`](Self::attach), with the adapter that `build` makes for a side of a layer: of a
    /// file's tensors, for instance. It is asked for every layer, also after one that has failed.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched; the first that `build` gives.
    pub fn attach_with<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        mut build: impl FnMut(&Layer, Ia3Side) -> Result<Ia3, PeftError>,
    ) -> Result<AttachReport, PeftError> {
        let supported = [LayerKind::Linear];
        attach(model, name, &self.placement, &supported, |layers| {
            let sides = self.sides(layers)?;
            let built: Vec<Result<Ia3, PeftError>> = layers
                .iter()
                .zip(sides)
                .map(|(layer, side)| build(layer, side))
                .collect();
            built.into_iter().collect()
        })
    }

    /// The side of each of these layers that is rescaled.
    fn sides(&self, layers: &[Layer]) -> Result<Vec<Ia3Side>, PeftError> {
        let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
        let feedforward = match &self.feedforward {
            Some(names) => names.matching("feed-forward target", &paths)?,
            None => vec![false; layers.len()],
        };
        let side = |(layer, feedforward): (&Layer, bool)| match feedforward {
            true => Ia3Side::Input,
            false => Ia3Side::Output {
                has_bias: layer.has_bias,
            },
        };
        Ok(layers.iter().zip(feedforward).map(side).collect())
    }
}
