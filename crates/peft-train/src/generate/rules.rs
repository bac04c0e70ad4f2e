//! [`TokenRules`]: tokens that do not come where they would.

/// Tokens that do not come, whatever their scores. Those that a model does not have are passed
/// over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// No sequence of so many tokens comes twice, the prompt's included; 0 for nothing.
    pub no_repeat_ngram_size: usize,
    /// Sequences that do not come: the last token of one, behind the others.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens that never come.
    pub suppressed: Vec<u32>,
    /// Tokens that do not come first.
    pub suppressed_first: Vec<u32>,
    /// No end before so many tokens, the prompt's included.
    pub min_length: usize,
    /// No end before so many new tokens.
    pub min_new_tokens: usize,
}

impl TokenRules {
    pub(super) fn apply(&self, logits: &mut [f32], prompt: &[u32], generated: &[u32], eos: &[u32]) {
        let mut forbid = |tokens: &[u32]| {
            for token in tokens {
                if let Some(score) = logits.get_mut(*token as usize) {
                    *score = f32::NEG_INFINITY;
                }
            }
        };
        let text = [prompt, generated].concat();
        let n = self.no_repeat_ngram_size;
        if n > 0 && text.len() + 1 >= n {
            let last = &text[text.len() + 1 - n..];
            let repeats = text.windows(n).filter(|run| run[..n - 1] == *last);
            let repeats: Vec<u32> = repeats.map(|run| run[n - 1]).collect();
            forbid(&repeats);
        }
        for word in &self.bad_words {
            // A word that is an end alone would keep a text from ending.
            let is_end = word.len() == 1 && eos.contains(&word[0]);
            if let Some((last, before)) = word.split_last()
                && text.ends_with(before)
                && !is_end
            {
                forbid(&[*last]);
            }
        }
        if text.len() < self.min_length || generated.len() < self.min_new_tokens {
            forbid(eos);
        }
        forbid(&self.suppressed);
        if generated.is_empty() {
            forbid(&self.suppressed_first);
        }
    }
}
