//! [`BitFit`]: biases. *BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
//! Language-models*, Ben Zaken, Ravfogel and Goldberg 2021,
//! [arXiv:2106.10199](https://arxiv.org/abs/2106.10199).

use burn::module::Module;
use peft_core::PeftError;
use serde_json::{Value, json};

use crate::chosen::ChosenParams;
use crate::{Role, Strategy};

/// Every bias, those of normalisation layers included. A fresh head must train too:
/// `Union::new(BitFit::new(&model)?, Head::new(&model, ["classifier"])?)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitFit {
    chosen: ChosenParams,
}

impl BitFit {
    /// The biases of a model.
    ///
    /// # Errors
    ///
    /// [`PeftError::Unmatched`] where it has none.
    pub fn new<M: Module>(model: &M) -> Result<Self, PeftError> {
        let chosen = ChosenParams::by_role(model, "bias", &[Role::Bias, Role::NormBias])?;
        Ok(Self { chosen })
    }
}

impl Strategy for BitFit {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        self.chosen.rate(path)
    }

    fn settings(&self) -> Value {
        json!("bitfit")
    }
}
