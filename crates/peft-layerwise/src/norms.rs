//! [`Norms`]: normalisation layers. *Tuning LayerNorm in Attention: Towards Efficient Multi-Modal
//! LLM Finetuning*, Zhao et al. 2023, [arXiv:2312.11420](https://arxiv.org/abs/2312.11420).

use burn::module::Module;
use peft_core::PeftError;
use serde_json::{Value, json};

use crate::chosen::ChosenParams;
use crate::{Role, Strategy};

/// The weights of normalisation layers, and their biases where they are wanted; PEFT's LN tuning
/// trains both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Norms {
    biases: bool,
    chosen: ChosenParams,
}

impl Norms {
    /// Weights and biases.
    ///
    /// # Errors
    ///
    /// [`PeftError::Unmatched`] where the model has no normalisation layer.
    pub fn new<M: Module>(model: &M) -> Result<Self, PeftError> {
        Ok(Self {
            biases: true,
            chosen: ChosenParams::by_role(model, "norm", &[Role::NormWeight, Role::NormBias])?,
        })
    }

    /// Weights alone.
    ///
    /// # Errors
    ///
    /// [`PeftError::Unmatched`] where the model has no normalisation layer with a weight.
    pub fn weights<M: Module>(model: &M) -> Result<Self, PeftError> {
        Ok(Self {
            biases: false,
            chosen: ChosenParams::by_role(model, "norm weight", &[Role::NormWeight])?,
        })
    }
}

impl Strategy for Norms {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        self.chosen.rate(path)
    }

    fn settings(&self) -> Value {
        json!({ "norms": { "biases": self.biases } })
    }
}
