//! [`PromptInit`]: what a prompt's vectors start from.

use burn::module::Module;
use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use peft_core::PeftError;
use peft_model::Transformer;
use serde::{Deserialize, Serialize};

use crate::fresh;

/// Rows of the table that its standard deviation is taken from.
const SAMPLED: usize = 4096;

/// What a prompt's vectors start from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptInit {
    /// `N(0, s²)`, where `s` is the standard deviation of the model's own embeddings.
    ///
    /// PEFT takes `N(0, 1)`, where trained embeddings have a standard deviation of 0.01 to 0.15:
    /// such vectors are unlike anything that the model has read, and so long that an optimizer's
    /// steps hardly turn them. At the embeddings' own scale the prompt begins as what could be
    /// text.
    Random,
    /// The embeddings of tokens drawn from the vocabulary.
    #[default]
    Vocabulary,
    /// The embeddings of these tokens, a text's: its first ones, or all of it again and again until
    /// there are enough.
    Tokens(Vec<u32>),
}

impl PromptInit {
    /// `[n_virtual_tokens, d_model]` from a model's own tokens.
    pub(crate) fn vectors<M: Transformer>(
        &self,
        model: &M,
        n_virtual_tokens: usize,
    ) -> Result<Tensor<2>, PeftError> {
        let (device, vocab_size) = (device_of(model), model.vocab_size());
        match self {
            Self::Random => {
                let step = vocab_size.div_ceil(SAMPLED).max(1);
                let sample: Vec<u32> = (0..vocab_size as u32).step_by(step).collect();
                let rows = rows(model, &sample, &device);
                let [_, d_model] = rows.dims();
                let all = rows.reshape([sample.len() * d_model]);
                let std = (all.clone() - all.mean()).square().mean().sqrt();
                let std = f64::from(std.into_scalar::<f32>());
                let shape = [n_virtual_tokens, d_model];
                Ok(fresh::normal(shape, std, &device))
            }
            Self::Vocabulary => {
                let unit = Distribution::Uniform(0.0, 1.0);
                let drawn = Tensor::<1>::random([n_virtual_tokens], unit, (&device, DType::F32));
                let id = |at: f32| (f64::from(at) * vocab_size as f64) as u32;
                let last = (vocab_size as u32).saturating_sub(1);
                let drawn = drawn.into_data();
                let ids: Vec<u32> = drawn.iter::<f32>().map(|at| id(at).min(last)).collect();
                Ok(rows(model, &ids, &device))
            }
            Self::Tokens(ids) => {
                if ids.is_empty() {
                    return Err(wrong("no token", "a text of at least one token"));
                }
                if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
                    let value = format!("token {id}, of a vocabulary of {vocab_size}");
                    return Err(wrong(value, "tokens of the vocabulary"));
                }
                let tiled = ids.iter().copied().cycle().take(n_virtual_tokens);
                Ok(rows(model, &tiled.collect::<Vec<_>>(), &device))
            }
        }
    }
}

fn wrong(value: impl Into<String>, expected: &'static str) -> PeftError {
    PeftError::InvalidSetting {
        field: "what the prompt starts from".into(),
        value: value.into(),
        expected,
    }
}

/// Where a model is.
pub(crate) fn device_of<M: Module>(model: &M) -> Device {
    model.devices().into_iter().next().unwrap_or_default()
}

/// The embeddings of these tokens in f32 as the model gives them, scaled where it scales them:
/// `[tokens, d_model]`.
fn rows<M: Transformer>(model: &M, ids: &[u32], device: &Device) -> Tensor<2> {
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let shape = [1, ids.len()];
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), (device, DType::I64));
    model.embed(ids).detach().cast(DType::F32).squeeze_dim(0)
}
