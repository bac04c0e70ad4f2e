//! [`Placement`]: where an adapter goes, and what trains beside it; [`Placed`], which has one.

use serde::{Deserialize, Serialize};

use super::TokenChoice;
use crate::Targets;

/// Which biases train beside the adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainBias {
    /// None.
    #[default]
    None,
    /// Every bias of the model.
    All,
    /// The biases of the adapted layers.
    Adapted,
}

/// How the model reads its adapted layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardPath {
    /// Through the parameter's value, as any Burn module does. Adapters that no weight can express
    /// are refused.
    #[default]
    Weight,
    /// Through [`linear`](crate::linear) and [`embedding`](crate::embedding).
    Factored,
}

/// Where an adapter goes and what trains beside it: the part of a method's config that all methods
/// share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The layers to adapt.
    pub targets: Targets,
    /// Which biases train too.
    pub train_bias: TrainBias,
    /// Modules, by suffix, that train whole: a fresh head for instance.
    #[serde(alias = "modules_to_save")]
    pub whole_modules: Vec<String>,
    /// Rows of an embedding that train too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_rows: Option<TokenChoice>,
    /// How the model reads its layers.
    pub path: ForwardPath,
}

impl Placement {
    /// Adapt `targets`, and nothing else trains.
    pub fn new(targets: Targets) -> Self {
        Self {
            targets,
            train_bias: TrainBias::None,
            whole_modules: Vec::new(),
            token_rows: None,
            path: ForwardPath::Weight,
        }
    }
}

/// The config of a method that adapts weights: it has a [`Placement`], which is set alike in all.
pub trait Placed: Sized {
    /// Where the adapters go and what trains beside them.
    fn placement(&self) -> &Placement;

    /// The same, to change it.
    fn placement_mut(&mut self) -> &mut Placement;

    /// The layers to adapt.
    fn with_targets(mut self, targets: Targets) -> Self {
        self.placement_mut().targets = targets;
        self
    }

    /// Which biases train beside the adapters.
    fn with_train_bias(mut self, bias: TrainBias) -> Self {
        self.placement_mut().train_bias = bias;
        self
    }

    /// Modules that train whole, by suffix.
    fn with_whole_modules<S: Into<String>>(mut self, modules: impl IntoIterator<Item = S>) -> Self {
        self.placement_mut().whole_modules = modules.into_iter().map(Into::into).collect();
        self
    }

    /// How the model reads its layers.
    fn with_path(mut self, path: ForwardPath) -> Self {
        self.placement_mut().path = path;
        self
    }
}
