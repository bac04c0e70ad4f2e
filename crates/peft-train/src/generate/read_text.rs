//! [`ReadText`]: what a model has read, for what is read behind it.

use peft_model::{CausalLm, KvCache};

/// The tokens that a model has read, with the keys and values that it has of them: a conversation
/// costs what is new of it, turn by turn. It is of one model with what is attached to it, and to be
/// dropped when that changes.
#[derive(Debug, Clone, Default)]
pub struct ReadText {
    tokens: Vec<u32>,
    cache: Option<KvCache>,
}

impl ReadText {
    pub(super) fn new(tokens: Vec<u32>, cache: KvCache) -> Self {
        Self {
            tokens,
            cache: Some(cache),
        }
    }

    /// The tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// A cache of what `prompt` begins with alike, and how many tokens that is: all but the last at
    /// most, whose scores are not kept.
    pub(super) fn take<M: CausalLm>(&mut self, model: &M, prompt: &[u32]) -> (KvCache, usize) {
        let pairs = self.tokens.iter().zip(prompt);
        let alike = pairs.take_while(|(read, asked)| read == asked).count();
        let alike = alike.min(prompt.len().saturating_sub(1));
        self.tokens.clear();
        match self.cache.take() {
            Some(mut cache) if alike > 0 => {
                cache.truncate(model.stages().n_virtual_tokens() + alike);
                (cache, alike)
            }
            _ => (model.new_cache(), 0),
        }
    }
}
