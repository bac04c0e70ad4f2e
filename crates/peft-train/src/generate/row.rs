//! [`Row`]: a prompt and what has come after it.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::GenerateConfig;
use super::pick::pick;
use crate::TrainError;

/// A prompt and what has come after it.
pub(super) struct Row<'a> {
    prompt: &'a [u32],
    pub(super) generated: Vec<u32>,
    /// How many tokens the model has read with its cache.
    pub(super) read: usize,
    rng: StdRng,
    pub(super) has_ended: bool,
}

impl<'a> Row<'a> {
    pub(super) fn new(prompt: &'a [u32], config: &GenerateConfig) -> Self {
        Self {
            prompt,
            generated: Vec::new(),
            read: 0,
            rng: StdRng::seed_from_u64(config.seed),
            has_ended: false,
        }
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.prompt.len() + self.generated.len()
    }

    /// Whether another token may come, of a model that takes `limit`.
    pub(super) fn goes_on(&self, config: &GenerateConfig, limit: usize) -> bool {
        !self.has_ended && self.generated.len() < config.max_new_tokens && self.len() <= limit
    }

    /// The tokens that the model has not read.
    pub(super) fn unread(&self) -> Vec<u32> {
        let all = self.prompt.iter().chain(&self.generated);
        all.skip(self.read).copied().collect()
    }

    /// The next token by the scores behind all that there are, which are changed by what came
    /// before; none where the text ends.
    pub(super) fn take(
        &mut self,
        logits: &mut [f32],
        config: &GenerateConfig,
    ) -> Result<Option<u32>, TrainError> {
        self.read = self.len();
        // No model rules tokens out by itself: one that is finite beside others is chance.
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(TrainError::NotFiniteLogits {
                position: self.generated.len() + 1,
            });
        }
        config.apply(logits, self.prompt, &self.generated);
        let token = pick(logits, config, &mut self.rng);
        self.has_ended = config.eos.contains(&token);
        if self.has_ended {
            return Ok(None);
        }
        self.generated.push(token);
        Ok(Some(token))
    }
}
