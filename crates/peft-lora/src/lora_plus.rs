//! [`LoraPlus`]: `B` learns faster than `A`. *LoRA+: Efficient Low Rank Adaptation of Large
//! Models*, Hayou, Ghosh and Yu 2024, [arXiv:2402.12354](https://arxiv.org/abs/2402.12354).

use std::collections::BTreeMap;

use burn::module::Module;
use peft_core::{LayerKind, PeftError, layers, parameters};

/// The rates of PEFT's groups of parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoraPlus {
    /// The rate of `B`, and of all vectors, by that of the rest.
    pub ratio: f64,
    /// The rate of both factors on an embedding by that of the rest.
    pub on_embeddings: f64,
}

impl LoraPlus {
    /// With this ratio, at a learning rate of which factors on embeddings have 10⁻⁶, as in PEFT.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] for a ratio or a rate that is not above 0.
    pub fn new(ratio: f64, learning_rate: f64) -> Result<Self, PeftError> {
        for (field, value) in [
            ("ratio of B's learning rate to A's", ratio),
            ("learning rate", learning_rate),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(PeftError::InvalidSetting {
                    field: field.into(),
                    value: value.to_string(),
                    expected: "above 0",
                });
            }
        }
        Ok(Self {
            ratio,
            on_embeddings: 1e-6 / learning_rate,
        })
    }

    /// The factors on the learning rate that are not 1, by path, of the parameters that lie in the
    /// adapters of a model.
    ///
    /// # Errors
    ///
    /// [`PeftError::NoAdapter`] where none has a `B`.
    pub fn factors<M: Module>(&self, model: &M) -> Result<BTreeMap<String, f64>, PeftError> {
        let embeddings = layers(model).into_iter();
        let embeddings: Vec<String> = embeddings
            .filter(|layer| layer.kind == LayerKind::Embedding)
            .map(|layer| format!("{}.adapters.", layer.weight_path()))
            .collect();
        let mut has_b = false;
        let mut factors = BTreeMap::new();
        for param in parameters(model) {
            let is_b = param.name == "lora_b";
            if param.adapter.is_none() {
                continue;
            }
            has_b |= is_b;
            let embeds = embeddings.iter().any(|on| param.path.starts_with(on));
            let factor = match (is_b || param.name == "lora_a", param.rank) {
                (true, _) if embeds => self.on_embeddings,
                (true, _) if is_b => self.ratio,
                (_, 1) => self.ratio,
                _ => continue,
            };
            factors.insert(param.path, factor);
        }
        match has_b {
            true => Ok(factors),
            false => Err(PeftError::NoAdapter),
        }
    }
}
