//! [`GenerateConfig`]: how tokens are drawn.

use std::collections::HashSet;

use super::TokenRules;
use crate::TrainError;

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
    /// Draw only from tokens that are at least this many times as likely as the likeliest of those
    /// that the other bounds leave.
    pub min_p: Option<f64>,
    /// The scores of tokens that the prompt or the new text has are divided by this, or multiplied
    /// by it where they are negative; 1 changes nothing (Keskar et al. 2019,
    /// <https://arxiv.org/abs/1909.05858>).
    pub repetition_penalty: f64,
    /// Which tokens do not come.
    pub rules: TokenRules,
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
            min_p: None,
            repetition_penalty: 1.0,
            rules: TokenRules::default(),
            seed: 0,
            eos: Vec::new(),
        }
    }
}

impl GenerateConfig {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
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
        if let Some(min_p) = self.min_p.filter(|min_p| !(0.0..=1.0).contains(min_p)) {
            return wrong("min-p", min_p.to_string(), "from 0 to 1");
        }
        match self.top_p {
            Some(top_p) if !(top_p > 0.0 && top_p <= 1.0) => {
                wrong("top-p", top_p.to_string(), "above 0 and at most 1")
            }
            _ => Ok(()),
        }
    }

    /// Changes the scores of the next token by what came before it, in transformers' order: the
    /// penalty, then the rules.
    pub(super) fn apply(&self, logits: &mut [f32], prompt: &[u32], generated: &[u32]) {
        if self.repetition_penalty != 1.0 {
            penalise(logits, prompt, generated, self.repetition_penalty as f32);
        }
        self.rules.apply(logits, prompt, generated, &self.eos);
    }
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
