//! [`GenerateConfig`]: how tokens are drawn.

use std::collections::HashSet;

use super::TokenRules;
use crate::{TrainError, WrongSetting};

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
    /// Whether tokens can be drawn so.
    ///
    /// # Errors
    ///
    /// [`TrainError::Settings`] with all that cannot be.
    pub fn validate(&self) -> Result<(), TrainError> {
        let mut wrong = Vec::new();
        let mut check = |is_right: bool, field, value: f64, expected| {
            if !is_right {
                let value = value.to_string();
                wrong.push(WrongSetting {
                    field,
                    value,
                    expected,
                });
            }
        };
        let (heat, penalty) = (self.temperature, self.repetition_penalty);
        check(
            heat.is_finite() && heat >= 0.0,
            "temperature",
            heat,
            "at least 0",
        );
        check(
            penalty.is_finite() && penalty > 0.0,
            "repetition penalty",
            penalty,
            "above 0",
        );
        check(self.top_k != Some(0), "top-k", 0.0, "at least 1");
        if let Some(top_p) = self.top_p {
            let is_part = top_p > 0.0 && top_p <= 1.0;
            check(is_part, "top-p", top_p, "above 0 and at most 1");
        }
        if let Some(min_p) = self.min_p {
            let is_part = (0.0..=1.0).contains(&min_p);
            check(is_part, "min-p", min_p, "from 0 to 1");
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(TrainError::Settings { wrong }),
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
