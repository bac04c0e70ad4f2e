//! [`Placement`]: where an adapter goes, and what trains beside it.

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
