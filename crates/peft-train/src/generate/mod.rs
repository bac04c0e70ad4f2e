//! [`generate`]: tokens from a model, one after the other.

mod config;
mod pick;
mod rules;

use burn::tensor::DType;
use peft_models::CausalLm;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use config::GenerateConfig;
pub use rules::TokenRules;

use self::pick::pick;
use crate::TrainError;
use crate::eval::{device_of, id_tensor};

/// Continue `prompt`; `on_token` gets each new token at once. The new tokens, without the prompt.
///
/// # Errors
///
/// [`TrainError::Setting`]; [`TrainError::PromptLength`] for an empty prompt or one longer than the model takes;
/// [`TrainError::TokenOutOfRange`]; [`TrainError::NotFiniteLogits`].
pub fn generate<M: CausalLm>(
    model: &M,
    prompt: &[u32],
    config: &GenerateConfig,
    mut on_token: impl FnMut(u32),
) -> Result<Vec<u32>, TrainError> {
    config.validate()?;
    let vocab_size = model.vocab_size();
    if let Some(token) = prompt.iter().copied().find(|t| *t as usize >= vocab_size) {
        return Err(TrainError::TokenOutOfRange { token, vocab_size });
    }
    if prompt.is_empty() || prompt.len() > model.max_positions() {
        return Err(TrainError::PromptLength {
            tokens: prompt.len(),
            limit: model.max_positions(),
        });
    }
    let device = device_of(model);
    let mut rng = StdRng::seed_from_u64(config.seed);
    let mut cache = model.new_cache();
    let mut next = prompt.to_vec();
    let mut generated = Vec::new();
    while generated.len() < config.max_new_tokens
        && prompt.len() + generated.len() <= model.max_positions()
    {
        let length = prompt.len() + generated.len();
        if !model.cache_holds(cache.len(), length) {
            cache = model.new_cache();
            next = [prompt, &generated].concat();
        }
        let hidden = model.hidden(id_tensor(&[&next], &device), None, Some(&mut cache));
        let last = hidden.narrow(1, next.len() - 1, 1);
        let logits = model.logits(last).cast(DType::F32).into_data();
        let mut logits: Vec<f32> = logits.iter::<f32>().collect();
        // No model rules tokens out by itself: one that is finite beside others is chance.
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(TrainError::NotFiniteLogits {
                position: generated.len() + 1,
            });
        }
        config.apply(&mut logits, prompt, &generated);
        let token = pick(&logits, config, &mut rng);
        if config.eos.contains(&token) {
            break;
        }
        on_token(token);
        generated.push(token);
        next = vec![token];
    }
    Ok(generated)
}
