//! [`generate`]: tokens from a model, one after the other.

use std::collections::HashSet;

use burn::tensor::DType;
use peft_models::CausalLm;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::TrainError;
use crate::eval::{device_of, id_tensor};

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateConfig {
    /// At most this many.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token; above it, tokens are drawn from the softened distribution.
    pub temperature: f64,
    /// Draw only from the likeliest `top_k` tokens.
    pub top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// The scores of tokens that the prompt or the new text has are divided by this, or multiplied by it where they are negative; 1 changes nothing
    /// (Keskar et al. 2019, <https://arxiv.org/abs/1909.05858>).
    pub repetition_penalty: f64,
    /// Decides what is drawn.
    pub seed: u64,
    /// Tokens that end the text; not part of it.
    pub eos: Vec<u32>,
}

impl Default for GenerateConfig {
    /// 128 tokens at most, the likeliest each time.
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
            seed: 0,
            eos: Vec::new(),
        }
    }
}

impl GenerateConfig {
    fn validate(&self) -> Result<(), TrainError> {
        let wrong = |field, value: String, expected| {
            Err(TrainError::Setting {
                field,
                value,
                expected,
            })
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong("temperature", self.temperature.to_string(), "at least 0");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            let value = self.repetition_penalty.to_string();
            return wrong("repetition penalty", value, "above 0");
        }
        if self.top_k == Some(0) {
            return wrong("top-k", "0".into(), "at least 1");
        }
        match self.top_p {
            Some(top_p) if !(top_p > 0.0 && top_p <= 1.0) => {
                wrong("top-p", top_p.to_string(), "above 0 and at most 1")
            }
            _ => Ok(()),
        }
    }
}

/// Continue `prompt`; `on_token` gets each new token at once. The new tokens, without the prompt.
///
/// # Errors
///
/// [`TrainError::Setting`]; [`TrainError::PromptLength`] for an empty prompt or one longer than the model takes;
/// [`TrainError::TokenOutOfRange`].
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
        if config.repetition_penalty != 1.0 {
            penalise(
                &mut logits,
                prompt,
                &generated,
                config.repetition_penalty as f32,
            );
        }
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

/// Each token that is there is penalised once.
fn penalise(logits: &mut [f32], prompt: &[u32], generated: &[u32], penalty: f32) {
    let there: HashSet<u32> = prompt.iter().chain(generated).copied().collect();
    for token in there {
        let score = &mut logits[token as usize];
        *score = if *score < 0.0 {
            *score * penalty
        } else {
            *score / penalty
        };
    }
}

fn pick(logits: &[f32], config: &GenerateConfig, rng: &mut StdRng) -> u32 {
    let likelier = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if config.temperature == 0.0 {
        return (0..logits.len()).min_by(likelier).unwrap_or(0) as u32;
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_unstable_by(likelier);
    order.truncate(config.top_k.unwrap_or(logits.len()));
    let highest = f64::from(logits[order[0]]);
    let mut weights: Vec<f64> = order
        .iter()
        .map(|i| ((f64::from(logits[*i]) - highest) / config.temperature).exp())
        .collect();
    if let Some(top_p) = config.top_p {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let kept = weights
            .iter()
            .take_while(|weight| {
                let enough = sum >= top_p * total;
                sum += **weight;
                !enough
            })
            .count();
        weights.truncate(kept.max(1));
    }
    let mut at = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (i, weight) in order.iter().zip(&weights) {
        at -= weight;
        if at <= 0.0 {
            return *i as u32;
        }
    }
    order[0] as u32
}
